// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Debian's Linux kernel for virtual machines, as a peer to boot.

#include "debian_kernel.hpp"

#include "archive_writer.hpp"
#include "failure.hpp"
#include "files.hpp"
#include "process.hpp"
#include "text.hpp"

#include <fmt/format.h>

#include <vector>

namespace helix::benchmark {

namespace {

namespace fs = std::filesystem;
using namespace helix::tool;

constexpr std::string_view kPackage = "linux-image-cloud-amd64";
constexpr auto kDeadline = std::chrono::seconds(120);

/// Output of a program that must succeed; its complaint, in one line, otherwise.
std::string output_of(const std::vector<std::string>& arguments, const fs::path& directory) {
    const CapturedRun run = run_captured(
        {.arguments = arguments, .environment = {{"LC_ALL", "C"}}, .directory = directory}, deadline_after(kDeadline));
    if (run.end.ok()) return run.output;
    std::string complaint = run.end.describe();
    for (const std::string& line : split(run.output, '\n'))
        if (line.starts_with("E: ")) complaint = line.substr(3);
    throw Failure(ExitStatus::Environment, "{} {}: {}", arguments[0], arguments[1], complaint);
}

/// The package that holds the kernel itself: the one that `kPackage` depends on.
std::string kernel_package(const fs::path& folder) {
    constexpr std::string_view kPrefix = "linux-image-";
    for (const std::string& line : split(output_of({"apt-cache", "depends", std::string(kPackage)}, folder), '\n')) {
        const std::vector<std::string> parts = words(line);
        if (parts.size() == 2 && parts[0] == "Depends:" && parts[1].starts_with(kPrefix)) return parts[1];
    }
    throw Failure(ExitStatus::Environment, "apt-cache knows no kernel that {} depends on", kPackage);
}

}  // namespace

DebianKernel fetch_debian_kernel(const fs::path& folder) {
    fs::create_directories(folder);
    const std::string package = kernel_package(folder);
    const std::string release = package.substr(std::string_view("linux-image-").size());
    DebianKernel kernel{folder / package / "boot" / ("vmlinuz-" + release), release};
    if (fs::exists(kernel.image)) return kernel;

    // Beside the place where it is looked for, so that a fetch that was broken off leaves nothing that looks whole.
    const fs::path fresh = folder / "fresh";
    fs::remove_all(fresh);
    fs::create_directories(fresh);
    output_of({"apt-get", "download", package}, fresh);
    std::string archive;
    for (const auto& entry : fs::directory_iterator(fresh))
        if (entry.path().extension() == ".deb") archive = entry.path().string();
    if (archive.empty()) throw Failure(ExitStatus::Environment, "apt-get download {}: no file came", package);
    output_of({"dpkg-deb", "-x", archive, "unpacked"}, fresh);
    if (!fs::exists(fresh / "unpacked/boot" / kernel.image.filename()))
        throw Failure(ExitStatus::Environment, "{} holds no {}", package, kernel.image.filename().string());
    fs::remove_all(folder / package);
    fs::rename(fresh / "unpacked", folder / package);
    fs::remove_all(fresh);
    return kernel;
}

std::optional<MachineSpec> linux_guest(const Session& session, MachineSpec guest, std::string_view metrics,
                                       std::string_view workload) try {
    const fs::path folder = session.workspace.build / "peers";
    const DebianKernel kernel = fetch_debian_kernel(folder);
    ArchiveWriter archive;
    archive.add_program("init", read_file(session.workspace.programs() / "helix-guest-peer"));
    if (!workload.empty()) archive.add("workload.json", workload);
    guest.files.kernel = kernel.image;
    guest.files.initrd = folder / (workload.empty() ? "initrd" : "initrd-workload");
    write_file(guest.files.initrd, archive.finish());
    fmt::print("note: {}: the peer linux is {}\n", metrics, kernel.release);
    return guest;
} catch (const Failure& failure) {
    fmt::print("note: {}: the peer linux is left out: {}\n", metrics, failure.what());
    return std::nullopt;
}

}  // namespace helix::benchmark
