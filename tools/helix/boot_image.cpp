// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Boot artefacts.

#include "boot_image.hpp"

#include "archive_writer.hpp"
#include "failure.hpp"
#include "files.hpp"
#include "process.hpp"
#include "text.hpp"

#include <elf.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <set>

namespace helix::tool {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kPage = 4096;
constexpr std::string_view kBundleMagic = "HELIXBND";

/// The program headers of a 64-bit ELF file, checked to lie in it.
std::vector<Elf64_Phdr> program_headers(std::string_view file, std::string_view name, Elf64_Ehdr& header) {
    const auto damaged = [&](std::string_view what) {
        return Failure(ExitStatus::Environment, "{}: {}; build it again", name, what);
    };
    if (file.size() < sizeof(header) || memcmp(file.data(), ELFMAG, SELFMAG) != 0) throw damaged("no ELF file");
    memcpy(&header, file.data(), sizeof(header));
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof(Elf64_Phdr))
        throw damaged("no 64-bit ELF file");
    const uint64_t size = uint64_t{header.e_phnum} * sizeof(Elf64_Phdr);
    if (header.e_phoff > file.size() || size > file.size() - header.e_phoff) throw damaged("truncated ELF file");
    std::vector<Elf64_Phdr> programs(header.e_phnum);
    memcpy(programs.data(), file.data() + header.e_phoff, size);
    for (const Elf64_Phdr& program : programs)
        if (program.p_offset > file.size() || program.p_filesz > file.size() - program.p_offset)
            if (program.p_filesz != 0) throw damaged("truncated ELF file");
    return programs;
}

/// A module as it goes into an archive. Of debug information only its lines do, and those and symbols only where a
/// profile keeps them.
std::string stripped_module(const ModuleFile& module, bool keep_symbols) {
    if (!keep_symbols) return strip_elf(module.bytes, module.path.string());
    const TemporaryDirectory directory;
    const fs::path out = directory.path() / "stripped";
    const CapturedRun run =
        run_captured({.arguments = {"llvm-strip-19", "--strip-debug", "--keep-section=.debug_line",
                                    "--keep-section=.debug_line_str", "-o", out.string(), module.path.string()}});
    if (!run.end.ok()) throw Failure(ExitStatus::Environment, "llvm-strip-19: {}", trim(run.output));
    return read_file(out);
}

/// Writes `content` to a file named after it, unless it is there, and marks it as used.
fs::path store(const fs::path& directory, std::string_view name, std::string_view ending, std::string_view content) {
    const fs::path file = directory / fmt::format("{}-{:016x}.{}", name, fingerprint(content), ending);
    std::error_code error;
    if (fs::file_size(file, error) == content.size() && !error)
        fs::last_write_time(file, fs::file_time_type::clock::now(), error);
    else
        write_file(file, content);
    return file;
}

}  // namespace

void forget_old_files(const fs::path& directory, fs::file_time_type built) {
    std::error_code error;
    const auto now = fs::file_time_type::clock::now();
    // The hour is for command lines that were printed and not typed yet.
    const auto oldest = std::max(now - std::chrono::hours(24), std::min(built, now - std::chrono::hours(1)));
    for (const auto& entry : fs::directory_iterator(directory, error))
        if (const auto time = entry.last_write_time(error); !error && time < oldest) fs::remove(entry.path(), error);
}

std::string strip_elf(std::string file, std::string_view name) {
    Elf64_Ehdr header;
    uint64_t end = sizeof(header);
    for (const Elf64_Phdr& program : program_headers(file, name, header))
        if (program.p_filesz != 0) end = std::max(end, program.p_offset + program.p_filesz);
    end = std::max(end, header.e_phoff + uint64_t{header.e_phnum} * sizeof(Elf64_Phdr));
    header.e_shoff = 0;
    header.e_shnum = 0;
    header.e_shentsize = 0;
    header.e_shstrndx = SHN_UNDEF;
    memcpy(file.data(), &header, sizeof(header));
    file.resize(std::min<uint64_t>(file.size(), end));
    return file;
}

std::string embed_bundle(std::string kernel, std::string_view bundle, std::string_view name) {
    kernel = strip_elf(std::move(kernel), name);
    Elf64_Ehdr header;
    std::vector<Elf64_Phdr> programs = program_headers(kernel, name, header);
    const auto last = std::find_if(programs.rbegin(), programs.rend(),
                                   [](const Elf64_Phdr& program) { return program.p_type == PT_LOAD; });
    if (last == programs.rend() || last->p_vaddr % kPage != last->p_offset % kPage ||
        last->p_paddr % kPage != last->p_offset % kPage || last->p_filesz >= kPage)
        throw Failure(ExitStatus::Environment, "{}: its last segment is no placeholder for a bundle; build it again",
                      name);
    for (const Elf64_Phdr& program : programs)
        if (&program != &*last && program.p_type == PT_LOAD &&
            (program.p_paddr + program.p_memsz > last->p_paddr || program.p_offset + program.p_filesz > last->p_offset))
            throw Failure(ExitStatus::Environment, "{}: the placeholder for the bundle is not at the end of the image",
                          name);
    kernel.resize(last->p_offset, '\0');
    last->p_filesz = last->p_memsz = kBundleMagic.size() + sizeof(uint64_t) + bundle.size();
    const uint64_t size = bundle.size();
    kernel += kBundleMagic;
    kernel.append(reinterpret_cast<const char*>(&size), sizeof(size));
    kernel += bundle;
    memcpy(kernel.data() + header.e_phoff, programs.data(), programs.size() * sizeof(Elf64_Phdr));
    return kernel;
}

std::string make_bundle(const BootPlan& plan) {
    ArchiveWriter archive;
    archive.add("profile", plan.compiled());
    std::set<std::string> names;  // several instances have one file
    for (size_t i = 0; i < plan.static_count; ++i)
        if (const std::string name = plan.modules[i].name() + ".hmod"; names.insert(name).second)
            archive.add(name, stripped_module(plan.modules[i], plan.profile.keep_symbols));
    return archive.finish();
}

std::string make_initrd(const BootPlan& plan, const std::vector<InitrdFile>& files) {
    ArchiveWriter archive;
    std::set<std::string> names;
    for (const InitrdFile& file : files)
        if (!names.insert(file.name).second)
            throw Failure(ExitStatus::Usage, "the initrd would hold two files \"{}\"; give one another name",
                          file.name);
    for (size_t i = plan.static_count; i < plan.modules.size(); ++i) {
        const std::string name = plan.modules[i].name() + ".hmod";
        if (names.insert(name).second) archive.add(name, stripped_module(plan.modules[i], plan.profile.keep_symbols));
    }
    for (const InitrdFile& file : files) archive.add(file.name, file.content);
    return archive.finish();
}

BootFiles write_boot_files(const Workspace& workspace, const BootPlan& plan, Architecture architecture,
                           const std::vector<InitrdFile>& files) {
    const fs::path kernel =
        workspace.programs() / (architecture == Architecture::X86_64 ? "helix-kernel-x86_64.elf" : "helix-kernel");
    if (!fs::exists(kernel))
        throw Failure(ExitStatus::Environment, "{}: not built; run `cmake --build {}`", kernel.string(),
                      workspace.build.string());
    const fs::path images = workspace.images();
    std::error_code ignored;
    forget_old_files(images, fs::last_write_time(kernel, ignored));
    const std::string bundle = make_bundle(plan);
    BootFiles out;
    out.initrd = store(images, plan.profile.name, "initrd", make_initrd(plan, files));
    if (architecture == Architecture::X86_64) {
        out.kernel = store(images, plan.profile.name, "elf", embed_bundle(read_file(kernel), bundle, kernel.string()));
    } else {
        out.kernel = kernel;
        out.bundle = store(images, plan.profile.name, "bundle", bundle);
    }
    return out;
}

}  // namespace helix::tool
