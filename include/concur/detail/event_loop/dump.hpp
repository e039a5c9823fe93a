// SPDX-License-Identifier: BSL-1.0
// Who awaits whom: every task of a loop as an indented chain of its coroutines, with the place of
// each co_await and what the innermost one waits for. The loop's thread only.
#pragma once

#include <algorithm>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <concur/detail/event_loop/core.hpp>

namespace concur::inline v0::detail {

/// The coroutine's own name: g++ says the function that it has made of it, with its frame.
inline std::string coroutine_name(std::source_location const& at) {
    std::string name = at.function_name();
    constexpr std::string_view frame = ".Frame*)";
    if (name.ends_with(frame)) {
        std::size_t end = name.size() - 1;
        for (int depth = 1; end > 0 && depth > 0;) {
            --end;
            depth += name[end] == ')' ? 1 : name[end] == '(' ? -1 : 0;
        }
        name.resize(end);
    }
    return name;
}

inline std::string text_of_strand(strand const& s) {
    int depth = 1;
    for (auto const* p = s.parent; p; p = p->parent) ++depth;
    std::string const indent(static_cast<std::size_t>(depth) * 2, ' ');
    std::string line = indent + s.kind().kind;
    if (!s.parent) {
        auto const* const name = s.root->context().name;
        if (name) line += " '" + *name + "'";
    }
    if (!s.started) return line + ": not started\n";
    if (!s.innermost) return line + ": running\n";
    line += s.waiting ? text(": waits for %s", s.waiting->ops->what) : ": about to go on";
    if (s.cancel_pending) line += ", is being cancelled";
    line += '\n';
    for (auto const* f = s.innermost; f; f = f->parent) {
        line += text("%s  %s %s:%u\n", indent.c_str(), f == s.innermost ? "in" : "awaited by",
                     coroutine_name(f->at).c_str(), static_cast<unsigned>(f->at.line()));
    }
    return line;
}

/// The strands of a loop by whom they work for, each group in the order in which they came.
class strand_tree {
public:
    explicit strand_tree(loop_core const& loop) {
        for (auto const* s = loop.first_live(); s; s = s->next_live) {
            strands_.push_back({key_of(s->parent), strands_.size(), s});
        }
        std::sort(strands_.begin(), strands_.end(), [](entry const& a, entry const& b) {
            return std::pair(a.parent, a.number) < std::pair(b.parent, b.number);
        });
    }

    void add_below(strand const* parent, std::string& to) const {
        auto const key = key_of(parent);
        auto s = std::partition_point(strands_.begin(), strands_.end(),
                                      [key](entry const& one) { return one.parent < key; });
        for (; s != strands_.end() && s->parent == key; ++s) {
            to += text_of_strand(*s->one);
            add_below(s->one, to);
        }
    }

private:
    struct entry {
        std::uintptr_t parent;
        std::size_t number;
        strand const* one;
    };
    static std::uintptr_t key_of(strand const* s) noexcept {
        return reinterpret_cast<std::uintptr_t>(s);
    }
    std::vector<entry> strands_;
};

/// A line for each task, and under it a line for each of its coroutines, innermost first.
inline std::string text_of_tasks(loop_core const& loop) {
    std::string all;
    strand_tree(loop).add_below(nullptr, all);
    return all.empty() ? "  no task is under way\n" : all;
}

}  // namespace concur::inline v0::detail
