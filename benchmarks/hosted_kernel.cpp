// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The hosted kernel for benchmarks: its bundle, its start, and what runs instead of the shell.
#include "hosted_kernel.hpp"

#include "arch/hosted/machine.hpp"
#include "kernel/console/shell.hpp"

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>

namespace helix::benchmark {

namespace fs = std::filesystem;

namespace {

constexpr const char* kStatic[] = {"helix-allocator-bump", "helix-allocator-slab", "helix-execution", "helix-memory",
                                   "helix-scheduler-round-robin"};

Result<void> (*measurement)(kernel::Kernel&) = nullptr;
FixedText<Error::kCapacity> failure;

[[noreturn]] void give_up(const std::string& sentence) {
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, sentence.c_str());
    exit(125);
}

/// The folder of the build tree that this program belongs to.
fs::path build_directory() {
    return fs::read_symlink("/proc/self/exe").parent_path().parent_path();
}

/// Removed when the process ends in an ordinary way.
class ScratchDirectory {
public:
    ScratchDirectory() {
        std::string name = (fs::temp_directory_path() / "helix-bench-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) give_up("no temporary folder can be made");
        path_ = name;
    }
    ScratchDirectory(const ScratchDirectory&) = delete;
    ScratchDirectory& operator=(const ScratchDirectory&) = delete;
    ~ScratchDirectory() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    const fs::path& path() const { return path_; }

private:
    fs::path path_;
};

std::string read_file(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) give_up("cannot read " + path.string());
    return {std::istreambuf_iterator<char>(file), {}};
}

/// cpio(5), "New ASCII Format".
class Archive {
public:
    void add(const std::string& name, const std::string& content) {
        char header[111];
        snprintf(header, sizeof(header), "070701%08X%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X", ++entries_,
                 0100644u, 0u, 0u, 1u, 0u, content.size(), 0u, 0u, 0u, 0u, name.size() + 1, 0u);
        bytes_ += header + name + '\0';
        pad();
        bytes_ += content;
        pad();
    }
    std::string finish() {
        add("TRAILER!!!", "");
        return std::move(bytes_);
    }

private:
    void pad() { bytes_.resize((bytes_.size() + 3) & ~size_t{3}); }
    std::string bytes_;
    unsigned entries_ = 0;
};

Bytes bytes_of(const std::string& text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

std::string module_content(const std::string& name) {
    return read_file(build_directory() / "modules" / (name + ".hmod"));
}

fs::path stripped_module(const std::string& name) {
    static const ScratchDirectory scratch;
    const std::string from = (build_directory() / "modules" / (name + ".hmod")).string();
    const std::string to = (scratch.path() / (name + ".hmod")).string();
    const char* const arguments[] = {"llvm-strip-19", "--strip-all", "-o", to.c_str(), from.c_str(), nullptr};
    pid_t child = 0;
    int status = 0;
    if (posix_spawnp(&child, arguments[0], nullptr, nullptr, const_cast<char**>(arguments), environ) != 0 ||
        waitpid(child, &status, 0) != child || status != 0)
        give_up("llvm-strip-19 fails for " + from);
    return to;
}

bool run_in_kernel(const std::vector<std::string>& loadable, Result<void> (*measure)(kernel::Kernel& kernel),
                   uint32_t cpus) {
    KernelOptions options;
    options.cpus = cpus;
    return run_in_kernel(loadable, measure, options);
}

bool run_in_kernel(const std::vector<std::string>& loadable, Result<void> (*measure)(kernel::Kernel& kernel),
                   const KernelOptions& wanted) {
    std::vector<std::string> modules(std::begin(kStatic), std::end(kStatic));
    if (std::find(modules.begin(), modules.end(), wanted.scheduler) == modules.end())
        modules.push_back(wanted.scheduler);
    const auto file_of = [&](const std::string& name) {
        return wanted.strip ? stripped_module(name) : build_directory() / "modules" / (name + ".hmod");
    };
    std::string names;
    for (const std::string& name : modules) names += (names.empty() ? "" : " ") + name;
    // The stack: a busy host delivers ticks late, several on one.
    const std::string profile = "profile.name=benchmark\nmodules.static=" + names +
                                "\nprimary.helix.scheduler=" + wanted.scheduler +
                                "\nprimary.helix.allocator=helix-allocator-slab\nconsole.log_level=error\n"
                                "kernel.stack_size_kb=32\n" +
                                wanted.profile;
    Archive bundle;
    bundle.add("profile", profile);
    for (const std::string& name : modules) bundle.add(name + ".hmod", read_file(file_of(name)));
    Archive initrd;
    for (const std::string& name : loadable) initrd.add(name + ".hmod", read_file(file_of(name)));
    for (const auto& [name, content] : wanted.files) initrd.add(name, content);

    const std::string bundle_bytes = bundle.finish();
    const std::string initrd_bytes = initrd.finish();
    arch::hosted::Options options;
    options.bundle = bytes_of(bundle_bytes);
    options.initrd = bytes_of(initrd_bytes);
    options.input = -1;
    options.cpu_count = wanted.cpus;
    options.memory_bytes = wanted.memory_mb << 20;
    options.replay = wanted.seed.has_value();
    options.seed = wanted.seed.value_or(0);
    options.output = 2;
    measurement = measure;
    auto machine = arch::hosted::Machine::start(options);
    if (!machine.ok()) give_up(std::string(machine.error().sentence()));
    if (machine.value()->wait() == 0) return true;
    fprintf(stderr, "%s: %s\n", program_invocation_short_name,
            std::string(failure.empty() ? Text("the kernel failed") : failure.text()).c_str());
    return false;
}

}  // namespace helix::benchmark

namespace helix::kernel {

void run_shell(Kernel& kernel) {
    const auto result = benchmark::measurement(kernel);
    if (!result.ok()) benchmark::failure.assign(result.error().sentence());
    kernel.modules.stop_all();
    arch::power_off(result.ok() ? 0 : 1);
}

}  // namespace helix::kernel
