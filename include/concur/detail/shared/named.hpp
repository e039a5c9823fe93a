// SPDX-License-Identifier: BSL-1.0
// Shared memory with a name, in /dev/shm: between programs that do not start each other. A name
// appears with everything in place, or not at all.
#pragma once

#include <string>
#include <string_view>

#include <concur/detail/shared/registry.hpp>

namespace concur::inline v0::detail {

inline constexpr char named_folder[] = "/dev/shm";

[[gnu::cold]] inline std::string path_of_name(std::string_view name) {
    constexpr std::size_t longest = 255;
    if (name.empty() || name.size() > longest || name == "." || name == ".." ||
        name.find('/') != name.npos || name.find('\0') != name.npos) {
        throw std::invalid_argument(text(
            "shared_array: \"%.*s\" is no name for shared memory; use 1 to 255 characters without "
            "a slash",
            static_cast<int>(std::min<std::size_t>(name.size(), longest)), name.data()));
    }
    std::string path(named_folder);
    path.append("/").append(name);
    return path;
}

[[noreturn, gnu::cold]] inline void throw_named(std::string_view name, char const* problem,
                                                int error) {
    throw_errno(
        text("shared_array \"%.*s\": %s", static_cast<int>(name.size()), name.data(), problem)
            .c_str(),
        error);
}

/// Takes the pages now: later there would only be a signal.
[[gnu::cold]] inline void commit_named(int fd, std::string_view name, std::size_t bytes) {
    auto const what = text("shared_array \"%.*s\"", static_cast<int>(name.size()), name.data());
    auto const refuse = [&] {
        throw_no_room(what.c_str(), bytes,
                      {bytes_free_in(named_folder),
                       "/dev/shm (in a container: docker run --shm-size=...) has"},
                      ENOSPC);
    };
    if (bytes_free_in(named_folder) < bytes) refuse();
    require_room(what.c_str(), bytes);
    int error;
    while ((error = posix_fallocate(fd, 0, static_cast<off_t>(bytes))) == EINTR) {
    }
    if (error == ENOSPC || error == ENOMEM) refuse();
    if (error != 0) throw_named(name, "no memory could be taken from /dev/shm", error);
}

/// Throws std::invalid_argument, std::system_error.
[[gnu::cold]] inline mapping_ref create_named(std::string_view name, std::size_t bytes,
                                              std::size_t count, std::uint32_t layout) {
    auto const path = path_of_name(name);
    unique_fd fd(::open(named_folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (!fd) throw_named(name, "cannot be made in /dev/shm", errno);
    constexpr auto page = segment_words::bytes;
    if (bytes > SIZE_MAX / 2 - 2 * page) throw_no_room("shared_array", bytes, find_room());
    auto const size = (bytes + page - 1) / page * page + page;
    commit_named(fd.get(), name, size);
    auto memory = segment::attach(std::move(fd));
    auto& words = *::new (memory.data() + memory.size() - page) segment_words;
    words.named = 1;
    words.layout = layout;
    words.count = count;
    words.begin(fresh_segment_id());
    char self[64];
    std::snprintf(self, sizeof self, "/proc/self/fd/%d", memory.fd());
    if (linkat(AT_FDCWD, self, AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) != 0) {
        if (errno == EEXIST) {
            throw_named(name, "exists already; open() it, or remove() it first", EEXIST);
        }
        throw_named(name, "cannot be made in /dev/shm", errno);
    }
    return shared_registry::get().enter_named(std::move(memory), true);
}

struct named_memory {
    mapping_ref memory;
    std::size_t count;
};

/// Throws std::invalid_argument, std::system_error, codec_error when it is something else.
[[gnu::cold]] inline named_memory open_named(std::string_view name, std::size_t element,
                                             std::uint32_t layout, bool writable) {
    auto const path = path_of_name(name);
    auto const length = static_cast<int>(name.size());
    // Nothing that would wait: a name may be a pipe's.
    unique_fd fd(::open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW |
                                          O_NONBLOCK | O_NOCTTY));
    if (!fd && errno == ENOENT) {
        throw_named(name, "there is none by that name; create() makes one", ENOENT);
    }
    if (!fd) throw_named(name, "cannot be opened", errno);
    struct stat file{};
    if (fstat(fd.get(), &file) != 0) throw_named(name, "cannot be opened", errno);
    auto const foreign = [&] {
        throw codec_error(
            text("what is named \"%.*s\" in /dev/shm was not made by a shared_array "
                 "of this version of concur",
                 length, name.data()));
    };
    if (!S_ISREG(file.st_mode) || file.st_size < static_cast<off_t>(segment_words::bytes) ||
        file.st_size % static_cast<off_t>(segment_words::bytes) != 0) {
        foreign();
    }
    auto const mode = writable ? boost::interprocess::read_write : boost::interprocess::read_only;
    auto memory = segment::attach(std::move(fd), mode);
    auto const room = memory.size() - segment_words::bytes;
    auto const& words = *std::launder(reinterpret_cast<segment_words const*>(memory.data() + room));
    if (words.magic.load() != segment_words::right_magic || words.named == 0) foreign();
    auto const count = static_cast<std::size_t>(words.count);
    if (words.layout != layout || count > room / element) {
        throw codec_error(text(
            "shared_array \"%.*s\" has elements of another type; open it with the type that it "
            "was created with",
            length, name.data()));
    }
    return {shared_registry::get().enter_named(std::move(memory), writable), count};
}

/// False: there was none by that name.
[[gnu::cold]] inline bool remove_named(std::string_view name) {
    if (unlink(path_of_name(name).c_str()) == 0) return true;
    if (errno != ENOENT) throw_named(name, "cannot be removed", errno);
    return false;
}

}  // namespace concur::inline v0::detail
