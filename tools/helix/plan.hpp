// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The plan of a boot: a profile joined with the module files it names, checked, in start order.
#pragma once

#include "module_file.hpp"
#include "profile.hpp"

#include <string>
#include <vector>

namespace helix::tool {

/// Finds `.hmod` files by the name of the module, in the folder where the build puts them.
class ModuleLibrary {
public:
    explicit ModuleLibrary(std::filesystem::path directory) : directory_(std::move(directory)) {}

    /// The file of module `name`; an empty path when there is none.
    std::filesystem::path find(const std::string& name) const;
    /// The names of all files, without the ending, sorted.
    std::vector<std::string> names() const;
    const std::filesystem::path& directory() const { return directory_; }

private:
    std::filesystem::path directory_;
};

/// One arrow of the dependency graph: `from` needs `to`.
struct Dependency {
    size_t from;
    size_t to;
    std::string requirement;  ///< as declared: "helix-execution >=1.0"
    bool optional = false;
};

struct BootPlan {
    Profile profile;
    std::vector<ModuleFile> modules;  ///< static ones in start order, then dynamic ones in start order
    size_t static_count = 0;
    std::vector<Dependency> dependencies;
    std::vector<std::pair<std::string, std::string>> primaries;  ///< interface, module
    std::vector<std::string> notices;                            ///< the profile's and the plan's own

    /// The compiled profile: lines "key=value", as the kernel reads it.
    std::string compiled() const;
};

/// Throws Failure(Failed) with one line for each mistake.
BootPlan make_plan(Profile profile, const ModuleLibrary& library);

}  // namespace helix::tool
