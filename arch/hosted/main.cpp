// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// helix-kernel: the command line around one hosted machine.
#include "arch/hosted/machine.hpp"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using helix::arch::hosted::Machine;
using helix::arch::hosted::Options;

constexpr int kUsage = 2;
constexpr int kEnvironment = 125;
constexpr char kHelp[] =
    "usage: helix-kernel --bundle FILE [--initrd FILE] [--memory MB] [--command-line \"KEY=VALUE ...\"] [--cpus N]\n"
    "                    [--replay SEED]\n"
    "  --bundle FILE        cpio archive with the profile and the static modules\n"
    "  --initrd FILE        cpio archive with the dynamic modules and files\n"
    "  --memory MB          physical memory, 4 to 65536 (256)\n"
    "  --command-line TEXT  words for the kernel\n"
    "  --cpus N             number of CPUs, 1 to 64 (1)\n"
    "  --replay SEED        manual clock; preempt at points drawn from SEED\n"
    "Ctrl-\\ ends the process. The exit status is the kernel's.\n";

/// For the handler of fatal signals; set once, before any can come.
Machine* machine;

[[noreturn]] void fail(int status, const char* what, const char* detail) {
    fprintf(stderr, "helix-kernel: %s%s\n", what, detail);
    exit(status);
}

/// Leaves the terminal as it was and lets the signal do what it does.
void on_fatal_signal(int number) {
    if (machine != nullptr) machine->restore_terminal();
    signal(number, SIG_DFL);
    raise(number);
}

/// A closed standard descriptor would be given to the next file that is opened, and the console would use that.
void open_standard_files() {
    for (int file = 0; file <= 2; ++file)
        if (fcntl(file, F_GETFD) < 0 && open("/dev/null", file == 0 ? O_RDONLY : O_WRONLY) != file) exit(kEnvironment);
}

uint64_t parse_number(const char* option, const char* text, uint64_t least, uint64_t most) {
    char* end = nullptr;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 0);
    if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' || value < least || value > most) {
        fprintf(stderr, "helix-kernel: %s wants a number from %llu to %llu, not '%s'\n", option,
                static_cast<unsigned long long>(least), static_cast<unsigned long long>(most), text);
        exit(kUsage);
    }
    return value;
}

/// The whole file, mapped for as long as the process lives.
helix::Bytes map_file(const char* path) {
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status{};
    if (file < 0 || fstat(file, &status) != 0) {
        fprintf(stderr, "helix-kernel: cannot read '%s': %s\n", path, strerror(errno));
        exit(kUsage);
    }
    if (!S_ISREG(status.st_mode)) fail(kUsage, "not a file: ", path);
    const auto size = static_cast<size_t>(status.st_size);
    if (size == 0) return {};
    void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
    if (data == MAP_FAILED) fail(kEnvironment, "cannot map ", path);
    close(file);
    return {static_cast<const uint8_t*>(data), size};
}

Options parse(int count, char** arguments) {
    Options options;
    options.exit_process = true;
    bool has_bundle = false;
    for (int i = 1; i < count; ++i) {
        const char* name = arguments[i];
        auto is = [&](const char* other) { return strcmp(name, other) == 0; };
        if (is("-h") || is("--help")) {
            fputs(kHelp, stdout);
            exit(0);
        }
        const bool known = is("--bundle") || is("--initrd") || is("--memory") || is("--command-line") || is("--cpus") ||
                           is("--replay");
        if (!known) fail(kUsage, "unknown argument (try --help): ", name);
        if (i + 1 == count) fail(kUsage, "a value is missing behind ", name);
        const char* value = arguments[++i];
        if (is("--bundle")) {
            options.bundle = map_file(value);
            has_bundle = true;
        } else if (is("--initrd")) {
            options.initrd = map_file(value);
        } else if (is("--memory")) {
            options.memory_bytes = parse_number(name, value, 4, 65536) << 20;
        } else if (is("--command-line")) {
            options.command_line = helix::Text::from_c_string(value);
        } else if (is("--cpus")) {
            options.cpu_count = static_cast<uint32_t>(parse_number(name, value, 1, 64));
        } else {
            options.replay = true;
            options.seed = parse_number(name, value, 0, UINT64_MAX);
        }
    }
    if (!has_bundle) fail(kUsage, "--bundle FILE is missing (try --help)", "");
    return options;
}

/// Addresses that the kernel may print are the same in each replay, if the host allows that.
void fix_addresses(char** arguments) {
    const int before = personality(0xffffffff);
    if (before < 0 || (before & ADDR_NO_RANDOMIZE) != 0) return;
    if (personality(static_cast<unsigned long>(before) | ADDR_NO_RANDOMIZE) < 0) return;
    char path[4096];  // by its own name, for those who look for the process
    const ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (size <= 0) return;
    path[size] = '\0';
    execv(path, arguments);
}

}  // namespace

int main(int count, char** arguments) {
    open_standard_files();
    const Options options = parse(count, arguments);
    if (options.replay) fix_addresses(arguments);
    sigset_t fatal;
    sigset_t before;
    sigemptyset(&fatal);
    constexpr int kFatal[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
    for (const int number : kFatal) {
        sigaddset(&fatal, number);
        struct sigaction action{};
        action.sa_handler = on_fatal_signal;
        // SIGPIPE comes to a CPU, on whatever stack it is; a tick must not switch threads on the alternate one.
        action.sa_flags = SA_ONSTACK;
        sigfillset(&action.sa_mask);
        sigaction(number, &action, nullptr);
    }
    // A replay reads all its input before it starts, perhaps from a person: leave signals in while it does.
    if (!options.replay) pthread_sigmask(SIG_BLOCK, &fatal, &before);
    auto started = Machine::start(options);
    if (!started.ok()) {
        const helix::Text sentence = started.error().sentence();
        fprintf(stderr, "helix-kernel: %.*s\n", static_cast<int>(sentence.size()), sentence.data());
        return kEnvironment;
    }
    machine = started.value();
    if (!options.replay) {
        // Those of lines are the CPUs'.
        for (int number = SIGRTMIN; number <= SIGRTMAX; ++number) sigaddset(&before, number);
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    return machine->wait();
}
