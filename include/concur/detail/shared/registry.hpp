// SPDX-License-Identifier: BSL-1.0
// How shared segments are made, of new memory or of what was used before; how those of other
// processes are attached; and what a fork does to all of them.
#pragma once

#include <cstring>
#include <memory>
#include <utility>

#include <concur/detail/shared/mapping.hpp>

namespace concur::inline v0::detail {

// ---- memory that is used again

inline std::unique_ptr<shared_mapping> shared_registry::take_spare(std::size_t bytes) noexcept {
    for (auto at = spares_.begin(); at != spares_.end(); ++at) {
        auto const has = (*at)->bytes();
        if (has < bytes || has / 2 > bytes + 32768) continue;
        auto found = std::move(*at);
        spares_.erase(at);
        return found;
    }
    return nullptr;
}

/// Keeps it if there is room; what has to go instead.
inline std::unique_ptr<shared_mapping> shared_registry::keep_spare(
    std::unique_ptr<shared_mapping> mapping) noexcept {
    static std::size_t const most_bytes = std::min<std::size_t>(
        256u << 20, static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * page_bytes() / 64);
    auto const fits = [&] {
        auto all = mapping->bytes();
        for (auto const& spare : spares_) all += spare->bytes();
        return all <= most_bytes && spares_.size() < most_spares;
    };
    if (mapping->forked_ || mapping->bytes() > most_bytes) return mapping;
    if (!fits()) {
        if (spares_.empty()) return mapping;
        auto oldest = std::move(spares_.front());
        spares_.erase(spares_.begin());
        if (fits()) {
            spares_.push_back(std::move(mapping));
            return oldest;
        }
        return mapping;  // two have gone, so the next one fits sooner
    }
    try {
        spares_.push_back(std::move(mapping));
    } catch (std::bad_alloc const&) {
        // push_back leaves the argument alone: it is not kept, then.
    }
    return mapping;
}

// ---- new mappings

inline mapping_ref shared_registry::create(char const* what, std::size_t bytes, bool zeroed) {
    std::unique_ptr<shared_mapping> made;
    {
        std::lock_guard const lock(mutex_);
        made = take_spare(bytes);
    }
    if (made) {
        if (zeroed) {
            // What was touched is warm, and faster to overwrite than to get anew.
            struct stat file{};
            bool const warm = fstat(made->fd(), &file) == 0 &&
                              static_cast<std::uint64_t>(file.st_blocks) * 512 >= bytes / 2;
            warm ? static_cast<void>(std::memset(made->data(), 0, bytes)) : made->punch();
        }
        made->id_ = fresh_segment_id();
    } else {
        constexpr std::size_t worth_a_look = 1u << 20;
        if (bytes > SIZE_MAX - 2 * segment_words::bytes) throw_no_room(what, bytes, find_room());
        if (bytes >= worth_a_look) {
            try {
                require_room(what, bytes);
            } catch (std::system_error const&) {
                trim();
                require_room(what, bytes);
            }
        }
        auto const data = (bytes + segment_words::bytes - 1) / segment_words::bytes;
        auto memory = segment::create((data + 1) * segment_words::bytes);
        // Where the system has no huge pages for shared memory, it refuses, or does nothing.
        constexpr std::size_t huge = 2u << 20;
        if (bytes >= huge) madvise(memory.data(), memory.size(), MADV_HUGEPAGE);
        made = std::make_unique<shared_mapping>(std::move(memory), fresh_segment_id(), true);
        ::new (static_cast<void*>(&made->words())) segment_words;
        made->made_here_ = true;
    }
    made->words().begin(made->id_);
    std::lock_guard const lock(mutex_);
    return use(enter(std::move(made)));
}

inline mapping_ref shared_registry::attach(shared_image const& image) {
    std::lock_guard const lock(mutex_);
    if (auto* const known = find(image.id, image.writable != 0)) {
        if (!known->counted_ || known->words().id.load() == image.id) {
            if (known->fd() < 0) reopen(*known, image);
            return use(*known);
        }
    }
    drop_dead_idle();
    return open(image);
}

[[noreturn, gnu::cold]] inline void throw_not_shared(shared_image const& image, int error) {
    char why[160] = "";
    if (error != 0 && error != ENOENT && error != ESRCH) {
        std::snprintf(why, sizeof why, " (%s)", errno_text(error).c_str());
    }
    throw codec_error(
        text("the shared memory %016llx of process %d cannot be reached%s: it no longer exists, or "
             "that process has let go of it; keep a handle there until this one has arrived",
             static_cast<unsigned long long>(image.id), image.pid, why));
}

/// The sender's descriptor: the number may be another file's by now. `mode` becomes read_only where
/// nothing more is allowed, nor needed.
inline unique_fd open_file_of(shared_image const& image, struct stat& file,
                              boost::interprocess::mode_t& mode) {
    if (image.fd < 0) throw_not_shared(image, 0);
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/fd/%d", image.pid, image.fd);
    // Nothing but a regular file is opened: with others that might mean something, or block.
    if (stat(path, &file) != 0) throw_not_shared(image, errno);
    constexpr auto page = static_cast<off_t>(segment_words::bytes);
    if (!S_ISREG(file.st_mode) || file.st_size < page || file.st_size % page != 0) {
        throw_not_shared(image, 0);
    }
    constexpr int flags = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    unique_fd fd(::open(path, O_RDWR | flags));
    if (!fd && errno == EACCES && image.writable == 0) {
        fd.reset(::open(path, O_RDONLY | flags));
        mode = boost::interprocess::read_only;
    }
    if (!fd) throw_not_shared(image, errno);
    return fd;
}

inline mapping_ref shared_registry::open(shared_image const& image) {
    struct stat file{};
    auto mode = boost::interprocess::read_write;
    auto fd = open_file_of(image, file, mode);
    auto made = std::make_unique<shared_mapping>(segment::attach(std::move(fd), mode), image.id,
                                                 image.writable != 0);
    auto const& words = made->words();
    if (words.magic.load() != segment_words::right_magic || words.id.load() != image.id) {
        throw_not_shared(image, 0);
    }
    made->counted_ = words.named == 0;
    if (!made->writable_) mprotect(made->data(), made->bytes(), PROT_READ);
    return use(enter(std::move(made)));
}

/// A forked process has lost the descriptor that it needs for sending the handle on.
[[gnu::cold]] inline void shared_registry::reopen(shared_mapping& mapping,
                                                  shared_image const& image) noexcept {
    try {
        struct stat file{};
        auto mode = boost::interprocess::read_write;
        auto fd = open_file_of(image, file, mode);
        if (file.st_ino != mapping.inode_ || file.st_dev != mapping.device_) return;
        mapping.memory_.forget_fd();
        mapping.memory_.replace_fd(std::move(fd));
        mapping.forked_ = false;
    } catch (std::exception const&) {
        // It is mapped, which is what this call needs; who sends it on hears of it.
    }
}

inline mapping_ref shared_registry::adopt(unique_fd fd, std::uint64_t id, bool writable) {
    auto memory = segment::attach(std::move(fd));
    if (memory.size() < segment_words::bytes || memory.size() % segment_words::bytes != 0)
        return {};
    auto made = std::make_unique<shared_mapping>(std::move(memory), id, writable);
    auto& words = made->words();
    if (words.magic.load() != segment_words::right_magic || words.id.load() != id) return {};
    made->counted_ = words.named == 0;
    if (!made->writable_) mprotect(made->data(), made->bytes(), PROT_READ);
    mapping_ref ours;
    {
        std::lock_guard const lock(mutex_);
        auto* const known = find(id, writable);
        ours = use(known ? *known : enter(std::move(made)));
    }
    if (ours->counted_) ours->words().holders.fetch_sub(1);  // ours instead of the one in the mail
    return ours;
}

inline mapping_ref shared_registry::enter_named(segment&& memory, bool writable) {
    auto const* const words = reinterpret_cast<segment_words const*>(memory.data() + memory.size() -
                                                                     segment_words::bytes);
    auto const id = words->id.load();
    auto made = std::make_unique<shared_mapping>(std::move(memory), id, writable);
    made->counted_ = false;
    std::lock_guard const lock(mutex_);
    auto* const known = find(id, writable);
    return use(known ? *known : enter(std::move(made)));
}

// ---- fork by the user, or by a nursery of start_method::fork

inline void shared_registry::before_fork() noexcept {
    mutex_.lock();
    for (auto* first : first_) {
        for (auto* m = first; m; m = m->next_) {
            if (m->held_) m->words().holders.fetch_add(1);  // the child's
        }
    }
}

inline void shared_registry::in_child() noexcept {
    pid_ = getpid();
    for (auto* first : first_) {
        for (auto* m = first; m; m = m->next_) {
            if (m->held_) m->place_ = m->words().sign(pid_);
            struct stat file{};
            if (!m->forked_ && fstat(m->memory_.fd(), &file) == 0) {
                m->inode_ = file.st_ino;
                m->device_ = file.st_dev;
            }
            m->forked_ = true;
        }
    }
    spares_.clear();  // two processes would make segments of the same memory
    mutex_.unlock();
}

}  // namespace concur::inline v0::detail
