// SPDX-License-Identifier: BSL-1.0
// Where code stands, in words that another process of the same program understands: the module
// (executable or shared library) by its build-id, and an offset. Any thread. Cost: a look-up in a
// table, which is read again only after a dlopen or dlclose.
#pragma once

#include <elf.h>
#include <link.h>

#include <atomic>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <concur/detail/base/config.hpp>
#include <concur/detail/base/cpus.hpp>
#include <concur/detail/base/linux.hpp>
#include <concur/detail/base/linux_process.hpp>
#include <concur/detail/base/text.hpp>
#include <concur/error.hpp>

namespace concur::inline v0::detail {

struct code_address {
    std::uint64_t module;  ///< module_info::key
    std::uint64_t offset;  ///< from module_info::base
};

struct module_info {
    std::uint64_t key;    ///< of its build-id; without one, of its path, size, time and headers
    std::uintptr_t base;  ///< what offsets count from; 0 in an executable that is not relocated
    std::uintptr_t begin;
    std::uintptr_t end;
};

struct module_table {
    unsigned long long adds = 0, subs = 0;  ///< the loader's counts when this was read
    std::vector<module_info> modules;       ///< the executable comes first
};

inline std::uint64_t hash_bytes(std::uint64_t hash, void const* bytes, std::size_t count) noexcept {
    auto const* const text = static_cast<unsigned char const*>(bytes);
    for (std::size_t i = 0; i != count; ++i) hash = (hash ^ text[i]) * 0x100000001b3u;
    return hash;
}

inline constexpr std::uint64_t hash_seed = 0xcbf29ce484222325u;

/// The text of an ELF note, which stands in memory; empty when the module has none.
inline std::string_view find_note(dl_phdr_info const& info, std::string_view name,
                                  std::uint32_t type) noexcept {
    for (int i = 0; i != info.dlpi_phnum; ++i) {
        auto const& header = info.dlpi_phdr[i];
        if (header.p_type != PT_NOTE) continue;
        std::size_t const align = header.p_align == 8 ? 8 : 4;
        auto const padded = [&](std::size_t size) { return (size + align - 1) / align * align; };
        auto const* at = reinterpret_cast<char const*>(info.dlpi_addr + header.p_vaddr);
        for (std::size_t left = header.p_memsz; left >= sizeof(ElfW(Nhdr));) {
            ElfW(Nhdr) note;
            std::memcpy(&note, at, sizeof note);
            auto const words = sizeof note + padded(note.n_namesz);
            auto const all = words + padded(note.n_descsz);
            if (words + note.n_descsz > left) break;
            // The name is counted with the zero at its end.
            if (note.n_type == type && note.n_namesz == name.size() + 1 &&
                std::memcmp(at + sizeof note, name.data(), name.size()) == 0) {
                return {at + words, note.n_descsz};
            }
            at += all;
            left -= all < left ? all : left;
        }
    }
    return {};
}

/// For a module without a build-id: its file's path, size and time (of the executable the inode
/// instead of the path, which may be gone), its program headers and its table of functions.
[[gnu::cold]] inline std::uint64_t key_of_file(dl_phdr_info const& info, bool executable) noexcept {
    auto const* const path = executable ? "/proc/self/exe" : info.dlpi_name;
    file_stamp stamp = stamp_of_file(path);
    if (!executable) stamp.device = stamp.inode = 0;
    auto hash = hash_bytes(hash_seed, path, std::strlen(path));
    hash = hash_bytes(hash, &stamp, sizeof stamp);
    for (int i = 0; i != info.dlpi_phnum; ++i) {
        auto const& header = info.dlpi_phdr[i];
        hash = hash_bytes(hash, &header, sizeof header);
        if (header.p_type != PT_GNU_EH_FRAME) continue;
        auto const* const table = reinterpret_cast<char const*>(info.dlpi_addr + header.p_vaddr);
        hash = hash_bytes(hash, table, header.p_memsz);
    }
    return hash;
}

inline module_info describe_module(dl_phdr_info const& info, bool executable) noexcept {
    auto const id = find_note(info, "GNU", NT_GNU_BUILD_ID);
    auto const key =
        id.empty() ? key_of_file(info, executable) : hash_bytes(hash_seed, id.data(), id.size());
    module_info module{key, info.dlpi_addr, UINTPTR_MAX, 0};
    for (int i = 0; i != info.dlpi_phnum; ++i) {
        auto const& header = info.dlpi_phdr[i];
        if (header.p_type != PT_LOAD) continue;
        auto const begin = info.dlpi_addr + header.p_vaddr;
        if (begin < module.begin) module.begin = begin;
        if (begin + header.p_memsz > module.end) module.end = begin + header.p_memsz;
    }
    return module;
}

/// Asks the loader. Its callbacks allocate nothing: no exception may pass through the loader.
[[gnu::cold]] inline module_table read_modules() {
    struct reading {
        module_table table;
        std::size_t seen = 0;
    } now;
    for (std::size_t room = 32;; room = now.seen + 8) {
        now.seen = 0;
        now.table.modules.clear();
        now.table.modules.reserve(room);
        dl_iterate_phdr(
            [](dl_phdr_info* info, std::size_t, void* to) {
                auto& [table, seen] = *static_cast<reading*>(to);
                table.adds = info->dlpi_adds;
                table.subs = info->dlpi_subs;
                if (++seen > table.modules.capacity()) return 0;
                table.modules.push_back(describe_module(*info, seen == 1));
                return 0;
            },
            &now);
        if (now.seen <= room) return std::move(now.table);
    }
}

// Protocol [modules] - one table per program, as of the loader's last change that somebody saw.
//   lock   0 free, 1 held. Who holds it may read `table` or exchange it; it is held for a search in
//          a few lines of memory, never across malloc, the loader, or foreign code.
// Order    the exchange that takes the lock is an acquire, the store that frees it a release.
// Death    a fork may catch another thread with the lock: forget_modules() in the child. Without
//          it nothing hangs: who waits too long reads a table of its own.
struct module_cache {
    std::atomic<std::uint32_t> lock{0};
    module_table* table = nullptr;

    bool enter() noexcept {
        for (int round = 0; round != 1000; ++round) {
            if (lock.exchange(1, std::memory_order_acquire) == 0) return true;  // [modules]
            yield_thread();
        }
        return false;
    }
    void leave() noexcept { lock.store(0, std::memory_order_release); }  // [modules] with enter()
};
CONCUR_API inline module_cache known_modules{};

/// For the child of a fork, which has one thread. What the parent knew is leaked.
inline void forget_modules() noexcept {
    known_modules.table = nullptr;
    known_modules.leave();
}

/// `look(module_table const&)` on a table that is up to date; it must not throw.
template <class Look>
auto look_at_modules(Look look) {
    module_table now;
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* to) {
            static_cast<module_table*>(to)->adds = info->dlpi_adds;
            static_cast<module_table*>(to)->subs = info->dlpi_subs;
            return 1;
        },
        &now);
    if (known_modules.enter()) {
        auto const* const table = known_modules.table;
        bool const fits = table && table->adds == now.adds && table->subs == now.subs;
        auto const found = fits ? look(*table) : decltype(look(*table)){};
        known_modules.leave();
        if (fits) return found;
    }
    auto* fresh = new module_table(read_modules());
    auto const found = look(*fresh);
    if (known_modules.enter()) {
        std::swap(fresh, known_modules.table);
        known_modules.leave();
    }
    delete fresh;
    return found;
}

/// The executable, which is never unloaded: asked of the loader once.
inline module_info const& executable_module() {
    static module_info const first = read_modules().modules.front();
    return first;
}

/// What stands at `code`, for other processes. Throws codec_error when that is in no module.
inline code_address locate_code(void const* code) {
    auto const at = reinterpret_cast<std::uintptr_t>(code);
    auto const& executable = executable_module();
    if (executable.begin <= at && at < executable.end) {
        return {executable.key, at - executable.base};
    }
    auto const module = look_at_modules([at](module_table const& table) {
        for (auto const& one : table.modules)
            if (one.begin <= at && at < one.end) return one;
        return module_info{};
    });
    if (module.end == 0) {
        throw codec_error(text(
            "the function at %p is in no loaded module: other processes cannot find it", code));
    }
    return {module.key, at - module.base};
}

/// The same code in this process; null when its module is not loaded (or cannot be told, for want
/// of memory: the caller refuses the call either way).
inline void const* find_code(code_address code) noexcept {
    try {
        auto const& executable = executable_module();
        auto const module = code.module == executable.key
                                ? executable
                                : look_at_modules([code](module_table const& table) {
                                      for (auto const& one : table.modules)
                                          if (one.key == code.module) return one;
                                      return module_info{};
                                  });
        auto const at = module.base + code.offset;
        if (at < module.begin || at >= module.end) return nullptr;
        return reinterpret_cast<void const*>(at);
    } catch (std::bad_alloc const&) {
        return nullptr;
    }
}

/// Every module of this process; the executable comes first.
inline std::vector<module_info> loaded_modules() { return read_modules().modules; }

/// `look(dl_phdr_info const&)` on the executable.
template <class Look>
auto look_at_executable(Look look) {
    struct {
        Look look;
        decltype(look(std::declval<dl_phdr_info const&>())) found{};
    } to{look};
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* at) {
            auto& result = *static_cast<decltype(to)*>(at);
            result.found = result.look(*info);
            return 1;  // the first is the executable
        },
        &to);
    return to.found;
}

/// True for code of the executable itself, false for that of a shared library.
inline bool in_main_executable(void const* code) noexcept {
    auto const main =
        look_at_executable([](dl_phdr_info const& info) { return describe_module(info, true); });
    auto const at = reinterpret_cast<std::uintptr_t>(code);
    return main.begin <= at && at < main.end;
}

/// The file of a loaded module, for dlopen in another process; empty when it is not known. Reads
/// /proc/self/maps: the loader's own name may be relative to a directory that was left since.
[[gnu::cold]] inline std::string module_path(std::uint64_t key) {
    std::string maps, path;
    for (auto const& module : loaded_modules()) {
        if (module.key != key) continue;
        append_file(maps, "/proc/self/maps");
        for (std::size_t line = 0; line < maps.size(); line = maps.find('\n', line) + 1) {
            unsigned long begin = 0, end = 0;
            int read = 0;
            if (std::sscanf(maps.c_str() + line, "%lx-%lx %*s %*s %*s %*s %n", &begin, &end,
                            &read) != 2) {
                break;
            }
            auto const name = line + static_cast<std::size_t>(read);
            if (end <= module.begin || begin >= module.end || maps[name] != '/') continue;
            path.assign(maps, name, maps.find('\n', name) - name);
            break;
        }
        break;
    }
    return path;
}

}  // namespace concur::inline v0::detail
