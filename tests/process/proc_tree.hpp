// SPDX-License-Identifier: BSL-1.0
// Which processes there are, from /proc.
#pragma once

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace process {

/// Empty when there is no such file, or when the process that it tells of ends meanwhile.
inline std::string file_content(const std::string& path) {
    std::string content;
    if (std::FILE* const file = std::fopen(path.c_str(), "re")) {
        char part[4096];
        while (const auto got = std::fread(part, 1, sizeof part, file)) content.append(part, got);
        std::fclose(file);
    }
    return content;
}

/// Of all threads of a process; zombies too.
inline std::vector<int> children_of(int pid) {
    std::vector<int> all;
    std::error_code error;
    const auto tasks = "/proc/" + std::to_string(pid) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks, error)) {
        std::ifstream list(task.path() / "children");
        for (int child = 0; list >> child;) all.push_back(child);
    }
    return all;
}

/// Children, their children, and so on.
inline std::vector<int> descendants_of(int pid) {
    auto all = children_of(pid);
    for (std::size_t i = 0; i != all.size(); ++i)
        for (const int child : children_of(all[i])) all.push_back(child);
    return all;
}

/// 0 for a process that is no more, or nobody's child.
inline int parent_of(int pid) {
    const auto text = file_content("/proc/" + std::to_string(pid) + "/stat");
    const auto end = text.rfind(')');
    return end == text.npos ? 0 : std::stoi(text.substr(end + 4));
}

inline std::size_t entries_of(const char* folder) {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++count;
    return count;
}

/// As name_thread() has called its main thread.
inline bool is_called(int pid, const std::string& name) {
    return file_content("/proc/" + std::to_string(pid) + "/comm") == name + "\n";
}

}  // namespace process
