// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// `helix new module`: a copy of a module that works, under a name of its own, with its test.
//
// What is copied is code of the tree that is built and tested there, so a new module cannot be out of date.

#include "commands.hpp"
#include "failure.hpp"
#include "files.hpp"
#include "text.hpp"

#include <algorithm>
#include <array>
#include <regex>

namespace helix::tool {

namespace fs = std::filesystem;

namespace {

/// What a new module for an interface starts from.
struct Pattern {
    std::string_view interface;
    std::string_view source;      ///< in the tree
    std::string_view class_name;  ///< in that file
    std::string_view module_name;
    std::string_view category;  ///< folder under modules/; also the conformance suite
    std::string_view shared;    ///< a header that goes with it, empty for none
};
constexpr Pattern kPatterns[] = {
    {"", "modules/template/template.cpp", "Template", "template", "", ""},
    {"helix.scheduler", "examples/my_scheduler/my_scheduler.cpp", "MyScheduler", "my-scheduler", "scheduler", ""},
    {"helix.allocator", "modules/allocator/bump/bump.cpp", "BumpAllocator", "helix-allocator-bump", "allocator",
     "modules/allocator/spin_flag.hpp"},
};

const Pattern& find_pattern(const std::string& interface) {
    std::vector<std::string> known;
    for (const Pattern& pattern : kPatterns) {
        if (pattern.interface == interface) return pattern;
        if (!pattern.interface.empty()) known.emplace_back(pattern.interface);
    }
    throw Failure(ExitStatus::Usage,
                  "a module for \"{}\" is not supported{} (there is {}; without --interface the module "
                  "answers requests only)",
                  interface, did_you_mean(interface, known), join(known, ", "));
}

void check_name(const std::string& name) {
    constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789-";
    const bool good = !name.empty() && name.size() <= 46 && name.find_first_not_of(kAllowed) == std::string::npos &&
                      name.front() >= 'a' && name.front() <= 'z' && name.back() != '-';
    if (!good)
        throw Failure(ExitStatus::Usage,
                      "\"{}\" is no name for a module: small letters, digits and dashes, at most 46, a "
                      "letter first",
                      name);
}

/// Where `name` names something that is built already, or nothing. A module is a target of its name.
std::string owner_of_target(const Workspace& workspace, const std::string& name) {
    static const std::regex kTarget(
        R"((?:helix_add_module|add_executable|add_library|add_custom_target)\(\s*([^\s)]+))");
    for (const char* folder : {"arch", "benchmarks", "examples", "kernel", "modules", "tests", "tools"}) {
        std::error_code ignored;
        for (const auto& entry : fs::recursive_directory_iterator(workspace.root / folder, ignored)) {
            if (entry.path().filename() != "CMakeLists.txt") continue;
            const std::string text = read_file(entry.path());
            for (std::sregex_iterator match(text.begin(), text.end(), kTarget), end; match != end; ++match)
                if ((*match)[1] == name) return Workspace::shown(entry.path());
        }
    }
    return {};
}

/// CMake and Ninja keep some names for themselves.
void check_not_reserved(const std::string& name) {
    constexpr std::array<std::string_view, 12> kReserved = {
        "all",           "clean",   "depend",     "edit_cache",    "help", "install",
        "install-local", "package", "preinstall", "rebuild_cache", "test", "codegen"};
    if (std::ranges::find(kReserved, name) != kReserved.end())
        throw Failure(ExitStatus::Usage, "\"{}\" means something else to the build; choose another name", name);
}

std::string replace_all(std::string text, std::string_view from, std::string_view to) {
    for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
        text.replace(at, from.size(), to);
    return text;
}

/// "helix-scheduler-lottery" in category "scheduler" is "lottery".
std::string short_name(const std::string& name, std::string_view category) {
    const std::string prefix = category.empty() ? "helix-" : fmt::format("helix-{}-", category);
    return replace_all(name.starts_with(prefix) && name.size() > prefix.size() ? name.substr(prefix.size()) : name, "-",
                       "_");
}

std::string class_name(const std::string& short_name, std::string_view category) {
    std::string out;
    bool upper = true;
    for (char c : short_name) {
        if (c != '_') out += upper ? static_cast<char>(std::toupper(c)) : c;
        upper = c == '_';
    }
    if (category == "scheduler" && !out.ends_with("Scheduler")) out += "Scheduler";
    if (category == "allocator" && !out.ends_with("Allocator")) out += "Allocator";
    return category.empty() ? out + "Module" : out;
}

std::string source_text(const Workspace& workspace, const Pattern& pattern, const std::string& name,
                        const std::string& type) {
    std::string text = read_file(workspace.root / pattern.source);
    text = replace_all(std::move(text), pattern.class_name, type);
    text = replace_all(std::move(text), fmt::format("\"{}\"", pattern.module_name), fmt::format("\"{}\"", name));
    // The third line says what the copied file is.
    size_t begin = 0;
    for (int line = 0; line < 2; ++line) begin = text.find('\n', begin) + 1;
    const size_t end = text.find('\n', begin);
    return text.replace(begin, end - begin, "// The module " + name + ".");
}

std::string test_text(const Pattern& pattern, const std::string& name) {
    std::string out = "# SPDX-FileCopyrightText: Helix contributors\n# SPDX-License-Identifier: MIT OR Apache-2.0\n";
    if (pattern.category.empty())
        return out + fmt::format(
                         "# {0} answers a request.\nprofile: minimal\narch: hosted x86_64\n"
                         "file: ${{modules}}/{0}.hmod\nexec:\n    load {0}.hmod\n    request {0} greet\n"
                         "expect:\n    hello\n",
                         name);
    return out + fmt::format(
                     "# {0} passes the conformance suite of {1}.\nprofile: demo\narch: hosted x86_64\n"
                     "file: ${{modules}}/{0}.hmod\nexec:\n    load {0}.hmod\n    load helix-conformance.hmod\n"
                     "    request helix-conformance {2} {0}\nexpect:\n    \"failures\":[]\n",
                     name, pattern.interface, pattern.category);
}

std::string presets_text(const Workspace& workspace) {
    return fmt::format(R"({{
  "version": 6,
  "configurePresets": [
    {{
      "name": "default",
      "generator": "Ninja",
      "binaryDir": "${{sourceDir}}/build",
      "cacheVariables": {{
        "CMAKE_CXX_COMPILER": "clang++-19",
        "CMAKE_BUILD_TYPE": "RelWithDebInfo",
        "CMAKE_EXPORT_COMPILE_COMMANDS": "ON",
        "Helix_DIR": "{}"
      }}
    }}
  ],
  "buildPresets": [{{"name": "default", "configurePreset": "default"}}]
}}
)",
                       (workspace.root / "cmake").string());
}

}  // namespace

int command_new_module(Session& session, const NewModuleOptions& options) {
    const Workspace& workspace = session.workspace;
    check_name(options.name);
    check_not_reserved(options.name);
    const Pattern& pattern = find_pattern(options.interface);
    const std::string file = short_name(options.name, pattern.category);
    const bool in_tree = options.directory.empty();
    const fs::path folder =
        in_tree ? workspace.root / "modules" / pattern.category / file : fs::path(options.directory) / options.name;
    std::error_code ignored;
    if (fs::exists(folder, ignored))
        throw Failure(ExitStatus::Failed, "{}: is there already; choose another name or remove it",
                      Workspace::shown(folder));
    // A project of its own has names of its own.
    if (const std::string owner = in_tree ? owner_of_target(workspace, options.name) : std::string(); !owner.empty())
        throw Failure(ExitStatus::Failed, "the name {} is taken, in {}; choose another", options.name, owner);

    std::string text = source_text(workspace, pattern, options.name, class_name(file, pattern.category));
    if (!in_tree && !pattern.shared.empty()) {
        const std::string shared = fs::path(pattern.shared).filename().string();
        text = replace_all(std::move(text), "\"../" + shared + "\"", "\"" + shared + "\"");
        write_file(folder / shared, read_file(workspace.root / pattern.shared));
    }
    write_file(folder / (file + ".cpp"), text);
    const std::string rule = fmt::format("helix_add_module({} {}.cpp)\n", options.name, file);
    std::vector<std::string> next;
    if (in_tree) {
        write_file(folder / "CMakeLists.txt", rule);
        write_file(folder / (options.name + ".test"), test_text(pattern, options.name));
        next = {shell_command({"./helix", "test", "system/" + options.name})};
    } else {
        write_file(folder / "CMakeLists.txt",
                   fmt::format("cmake_minimum_required(VERSION 3.25)\nproject({} LANGUAGES CXX)\n"
                               "find_package(Helix REQUIRED)\n{}",
                               replace_all(options.name, "-", "_"), rule));
        write_file(folder / "CMakePresets.json", presets_text(workspace));
        write_file(folder / ".gitignore", "/build/\n/compile_commands.json\n");
        fs::create_symlink("build/compile_commands.json", folder / "compile_commands.json", ignored);
        const std::string built = (fs::absolute(folder) / "build/modules" / (options.name + ".hmod")).string();
        next.push_back("(cd " + shell_quote(folder.string()) +
                       " && cmake --preset default && cmake --build --preset default)");
        next.push_back(pattern.category.empty()
                           ? shell_command({"./helix", "run", "--file", built, "--exec",
                                            fmt::format("load {0}.hmod; request {0} greet", options.name)})
                           : shell_command({"./helix", "test", "--conformance", built}));
    }
    session.console.line("{}", Workspace::shown(folder));
    session.console.notice("Build and test it with:");
    for (const std::string& command : next) session.console.notice("  " + command);
    return 0;
}

}  // namespace helix::tool
