// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Boot artefacts: the bundle inside the kernel image and the initrd beside it.
#pragma once

#include "plan.hpp"
#include "workspace.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace helix::tool {

/// A file that goes into the initrd beside the dynamic modules.
struct InitrdFile {
    std::string name;
    std::string content;
};

/// What a machine boots from. Files are named after their content, so equal ones are shared and never change.
struct BootFiles {
    std::filesystem::path kernel;  ///< x86_64: with the bundle inside
    std::filesystem::path bundle;  ///< hosted
    std::filesystem::path initrd;
};

/// The bundle: entry "profile", then NAME.hmod of each static module, stripped.
std::string make_bundle(const BootPlan& plan);
/// The initrd: NAME.hmod of each dynamic module, then `files`, of which one takes the place of a module's file of the
/// same name. Throws Failure when two of them have one name.
std::string make_initrd(const BootPlan& plan, const std::vector<InitrdFile>& files);
/// `kernel` (an ELF image whose last PT_LOAD is the placeholder for the bundle) with `bundle` in it.
/// Throws Failure when it is no such image.
std::string embed_bundle(std::string kernel, std::string_view bundle, std::string_view name);
/// An ELF file without section headers and everything that is not loaded. Throws Failure for a damaged file.
std::string strip_elf(std::string file, std::string_view name);

/// Removes the files in `directory` that no run has used for a day, or since the kernel was `built`, an hour ago or
/// more.
void forget_old_files(const std::filesystem::path& directory, std::filesystem::file_time_type built);

/// Writes what `architecture` boots from under the build's images folder.
BootFiles write_boot_files(const Workspace& workspace, const BootPlan& plan, Architecture architecture,
                           const std::vector<InitrdFile>& files);

}  // namespace helix::tool
