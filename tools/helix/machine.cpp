// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A machine that runs the kernel.

#include "machine.hpp"

#include "failure.hpp"
#include "text.hpp"

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

namespace helix::tool {

namespace fs = std::filesystem;

namespace {

constexpr char kEndOfInput = 0x04;  // Ctrl-D: the shell powers off

/// KVM only where the CPU virtualises in hardware; a /dev/kvm that emulates is slower than the emulator.
bool has_hardware_virtualisation() {
    if (access("/dev/kvm", R_OK | W_OK) != 0) return false;
    std::ifstream cpuinfo("/proc/cpuinfo");
    for (std::string line; std::getline(cpuinfo, line);) {
        if (!line.starts_with("flags")) continue;
        const std::vector<std::string> flags = words(line);
        return std::ranges::any_of(flags, [](const std::string& flag) { return flag == "vmx" || flag == "svm"; });
    }
    return false;
}

std::vector<std::string> emulator_command(const MachineSpec& spec) {
    std::vector<std::string> out{"qemu-system-x86_64", "-M", spec.machine, "-m", fmt::format("{}M", spec.memory_mb)};
    const auto add = [&](std::initializer_list<std::string> more) { out.insert(out.end(), more); };
    if (spec.cpus != 1) add({"-smp", std::to_string(spec.cpus)});
    if (!spec.count_instructions && !spec.emulated && has_hardware_virtualisation())
        add({"-accel", "kvm", "-cpu", "max,-arch-capabilities"});
    else
        add({"-accel", "tcg", "-cpu", "max"});
    // With the clock and the random numbers of the machine, every run is the same.
    if (spec.count_instructions)
        add({"-icount", "shift=0,sleep=off", "-rtc", "base=2000-01-01,clock=vm", "-seed", "1"});
    // qboot halves the way from power-on to the kernel; microvm has its own firmware.
    if (spec.machine != "microvm" && fs::exists("/usr/share/qemu/qboot.rom")) add({"-bios", "qboot.rom"});
    add({"-nodefaults", "-display", "none", "-no-reboot", "-serial", spec.interactive ? "mon:stdio" : "stdio"});
    add({"-device", "isa-debug-exit,iobase=0xf4,iosize=4"});
    add({"-kernel", spec.files.kernel.string(), "-initrd", spec.files.initrd.string()});
    if (!spec.command_line.empty()) add({"-append", spec.command_line});
    return out;
}

std::vector<std::string> process_command(const MachineSpec& spec) {
    std::vector<std::string> out{spec.files.kernel.string(), "--bundle", spec.files.bundle.string(),    "--initrd",
                                 spec.files.initrd.string(), "--memory", std::to_string(spec.memory_mb)};
    const auto add = [&](std::initializer_list<std::string> more) { out.insert(out.end(), more); };
    if (spec.cpus != 1) add({"--cpus", std::to_string(spec.cpus)});
    if (spec.replay) add({"--replay", std::to_string(*spec.replay)});
    if (!spec.command_line.empty()) add({"--command-line", spec.command_line});
    return out;
}

/// The emulator's own complaints: lines with its name that are no warnings.
std::string emulator_error(std::string_view errors) {
    for (const std::string& line : split(errors, '\n'))
        if (line.starts_with("qemu-system-x86_64: ") && line.find(": warning: ") == std::string::npos) return line;
    return {};
}

/// Input that waits to be written to a child; the child's pipe does not block.
class InputPump {
public:
    InputPump(Child& child, int source, bool ends_with_control_d)
        : child_(child), source_(source), ends_with_control_d_(ends_with_control_d) {
        fcntl(child.input_descriptor(), F_SETFL, O_NONBLOCK);
        // The emulated serial line keeps one byte until the kernel sets it up, and loses that one: an empty line.
        if (source_ >= 0 && ends_with_control_d) pending_ = "\n";
        // Without input an emulated machine hears nothing at all: a byte that came at some moment of real time would
        // make runs differ that count instructions.
        if (source_ < 0 && !ends_with_control_d) finish();
    }
    bool wants_source() const { return source_ >= 0 && pending_.empty(); }
    bool wants_write() const { return !pending_.empty(); }
    int source() const { return source_; }

    void read_source() {
        char buffer[4096];
        const ssize_t count = ::read(source_, buffer, sizeof(buffer));
        if (count > 0) {
            pending_.append(buffer, static_cast<size_t>(count));
            last_ = pending_.back();
        } else if (count == 0 || errno != EINTR) {
            source_ = -1;
            finish();
        }
    }
    void write_some() {
        const ssize_t count = ::write(child_.input_descriptor(), pending_.data(), pending_.size());
        if (count > 0)
            pending_.erase(0, static_cast<size_t>(count));
        else if (errno != EINTR && errno != EAGAIN)
            pending_.clear();  // the child reads no more; its end will come
        if (pending_.empty() && finished_ && !ends_with_control_d_) child_.close_input();
    }

private:
    void finish() {
        finished_ = true;
        if (!ends_with_control_d_) {
            if (pending_.empty()) child_.close_input();
            return;
        }
        if (last_ != '\n') pending_ += '\n';
        pending_ += kEndOfInput;
    }

    Child& child_;
    int source_;
    bool ends_with_control_d_;
    bool finished_ = false;
    char last_ = '\n';
    std::string pending_;
};

}  // namespace

std::vector<std::string> machine_command(const MachineSpec& spec) {
    return spec.architecture == Architecture::X86_64 ? emulator_command(spec) : process_command(spec);
}

MachineEnd decode_end(const MachineSpec& spec, const ChildEnd& end, std::string_view errors) {
    if (end.timed_out) return {static_cast<int>(ExitStatus::TimedOut), "timed out: the machine was ended"};
    const auto ended_with = [](int status) -> MachineEnd {
        if (status == 0) return {};
        return {status, fmt::format("the kernel ended with status {}", status)};
    };
    if (spec.architecture == Architecture::Hosted) {
        if (end.signal != 0)
            return {static_cast<int>(ExitStatus::Failed), fmt::format("the kernel's process was {}", end.describe())};
        return ended_with(end.status);
    }
    if (end.signal != 0)
        return {static_cast<int>(ExitStatus::Environment), fmt::format("the emulator was {}", end.describe())};
    if (const std::string error = emulator_error(errors); !error.empty() && end.status == 1)
        return {static_cast<int>(ExitStatus::Environment), error};
    // isa-debug-exit turns the status s that the kernel writes into 2s + 1.
    if (end.status % 2 == 1) return ended_with((end.status - 1) / 2);
    if (end.status == 0 && spec.interactive) return {};  // Ctrl-A X
    if (end.status == 0)
        return {static_cast<int>(ExitStatus::Failed), "the machine was reset before the kernel powered off"};
    return {static_cast<int>(ExitStatus::Environment), fmt::format("the emulator ended with {}", end.describe())};
}

MachineRun run_machine(const MachineSpec& spec, int input, const std::function<void(std::string_view)>& output,
                       Deadline deadline) {
    const bool emulated = spec.architecture == Architecture::X86_64;
    Child child({.arguments = machine_command(spec), .input = ChildInput::Pipe, .output = ChildOutput::Pipe});
    const auto ended = [&](ChildEnd end) -> MachineRun {
        const std::string errors = child.errors();
        return {decode_end(spec, end, errors), errors};
    };
    InputPump pump(child, input, emulated);
    for (;;) {
        pollfd descriptors[3] = {{child.output_descriptor(), POLLIN, 0}, {-1, 0, 0}, {-1, 0, 0}};
        if (pump.wants_source()) descriptors[1] = {pump.source(), POLLIN, 0};
        if (pump.wants_write()) descriptors[2] = {child.input_descriptor(), POLLOUT, 0};
        int wait_ms = -1;
        if (deadline) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - Clock::now()).count();
            wait_ms = static_cast<int>(std::clamp<int64_t>(left, 0, 1 << 30));
        }
        const int ready = poll(descriptors, 3, wait_ms);
        if (ready < 0 && errno == EINTR) continue;
        if (ready == 0) {
            child.kill();
            ChildEnd end = child.wait({});
            end.timed_out = true;
            return ended(end);
        }
        if (descriptors[1].revents != 0) pump.read_source();
        if (descriptors[2].revents != 0) pump.write_some();
        if (descriptors[0].revents == 0) continue;
        std::string part = *child.read({});
        if (part.empty()) return ended(child.wait(deadline));
        std::erase(part, '\r');
        output(part);
    }
}

MachineEnd run_machine_on_terminal(const MachineSpec& spec, Deadline deadline) {
    termios saved;
    const bool have_saved = tcgetattr(STDIN_FILENO, &saved) == 0;
    ChildEnd end;
    {
        Child child({.arguments = machine_command(spec),
                     .input = ChildInput::Inherit,
                     .output = ChildOutput::Inherit,
                     .own_group = false});
        end = child.wait(deadline);
    }
    if (have_saved) tcsetattr(STDIN_FILENO, TCSANOW, &saved);
    return decode_end(spec, end, {});
}

}  // namespace helix::tool
