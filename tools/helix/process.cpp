// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Child processes.

#include "process.hpp"

#include "failure.hpp"
#include "text.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace helix::tool {

namespace {
// Groups to kill when a signal ends the tool; read by the handler, so plain atomics of a fixed number.
constexpr size_t kMaximumGroups = 32;
std::atomic<pid_t> g_groups[kMaximumGroups];

void remember_group(pid_t group) {
    for (auto& slot : g_groups) {
        pid_t free = 0;
        if (slot.compare_exchange_strong(free, group)) return;
    }
}
void forget_group(pid_t group) {
    for (auto& slot : g_groups) {
        pid_t expected = group;
        if (slot.compare_exchange_strong(expected, 0)) return;
    }
}

std::atomic<bool> g_is_ending{false};
std::atomic<const char*> g_farewell{nullptr};

void on_ending_signal(int signal_number) {
    g_is_ending = true;  // before any child ends, so that nobody takes its end for a result
    if (const char* const farewell = g_farewell.load(); farewell != nullptr) [[maybe_unused]]
        const ssize_t told = ::write(STDERR_FILENO, farewell, strlen(farewell));
    for (auto& slot : g_groups) {
        const pid_t group = slot.load();
        if (group <= 0) continue;
        ::kill(-group, SIGKILL);
        waitpid(group, nullptr, 0);
    }
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

int milliseconds_until(Deadline deadline) {
    if (!deadline) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - Clock::now()).count();
    return left < 0 ? 0 : static_cast<int>(std::min<int64_t>(left, 1 << 30));
}

void make_pipe(int (&ends)[2]) {
    if (pipe2(ends, O_CLOEXEC) != 0) throw Failure(ExitStatus::Environment, "cannot make a pipe: {}", strerror(errno));
}

std::vector<std::string> merged_environment(const ChildOptions& options) {
    std::vector<std::string> merged;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        const std::string_view name = text.substr(0, text.find('='));
        bool replaced = false;
        for (const auto& [key, value] : options.environment) replaced = replaced || key == name;
        if (!replaced) merged.emplace_back(text);
    }
    for (const auto& [key, value] : options.environment) merged.push_back(key + "=" + value);
    return merged;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> out;
    for (std::string& text : texts) out.push_back(text.data());
    out.push_back(nullptr);
    return out;
}
}  // namespace

void end_children_on_signals() {
    struct sigaction action{};
    action.sa_handler = on_ending_signal;
    for (int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &action, nullptr);
    signal(SIGPIPE, SIG_IGN);
}

void say_on_signals(const char* farewell) {
    g_farewell = farewell;
}

void halt_if_ending() {
    while (g_is_ending) pause();
}

void open_standard_descriptors() {
    // Each open takes the lowest number that is free.
    for (int opened = 0; opened >= 0 && opened <= STDERR_FILENO;) {
        opened = open("/dev/null", O_RDONLY);
        if (opened > STDERR_FILENO) close(opened);
    }
}

std::string ChildEnd::describe() const {
    if (timed_out) return "timed out";
    if (signal != 0) return fmt::format("ended by signal {} ({})", signal, strsignal(signal));
    return fmt::format("exit status {}", status);
}

Child::Child(const ChildOptions& options) : own_group_(options.own_group) {
    // Everything the child needs is prepared before fork: another thread may hold the allocator's lock in that moment.
    std::vector<std::string> arguments = options.arguments;
    std::vector<std::string> environment = merged_environment(options);
    const std::vector<char*> argument_pointers = pointers(arguments);
    const std::vector<char*> environment_pointers = pointers(environment);
    const std::string directory = options.directory.string();
    int input[2] = {-1, -1};
    int output[2] = {-1, -1};
    int failure[2];
    if (options.input == ChildInput::Pipe) make_pipe(input);
    if (options.output != ChildOutput::Inherit) make_pipe(output);
    make_pipe(failure);
    if (options.output == ChildOutput::Pipe) errors_ = memfd_create("errors", MFD_CLOEXEC);
    const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

    id_ = fork();
    if (id_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (own_group_) setpgid(0, 0);
        if (options.input != ChildInput::Inherit) dup2(options.input == ChildInput::Pipe ? input[0] : nothing, 0);
        if (options.output != ChildOutput::Inherit) dup2(output[1], 1);
        if (options.output == ChildOutput::Merged) dup2(output[1], 2);
        if (errors_ >= 0) dup2(errors_, 2);
        for (int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) signal(number, SIG_DFL);
        if (directory.empty() || chdir(directory.c_str()) == 0)
            execvpe(argument_pointers[0], argument_pointers.data(), environment_pointers.data());
        const int reason = errno;
        [[maybe_unused]] const ssize_t told = ::write(failure[1], &reason, sizeof(reason));
        _exit(127);
    }
    const int fork_error = errno;
    for (int descriptor : {input[0], output[1], failure[1], nothing})
        if (descriptor >= 0) close(descriptor);
    input_ = input[1];
    output_ = output[0];
    int reason = id_ < 0 ? fork_error : 0;
    if (id_ > 0) {
        if (own_group_) {
            setpgid(id_, id_);
            remember_group(id_);
        }
        while (::read(failure[0], &reason, sizeof(reason)) < 0 && errno == EINTR) {
        }
    }
    close(failure[0]);
    if (reason != 0) {
        if (id_ > 0) wait({});
        for (int descriptor : {input_, output_, errors_})
            if (descriptor >= 0) close(descriptor);
        throw Failure(ExitStatus::Environment, "cannot start {}: {}", arguments[0], strerror(reason));
    }
}

Child::~Child() {
    if (!end_) {
        kill();
        wait({});
    }
    close_input();
    for (int descriptor : {output_, errors_})
        if (descriptor >= 0) close(descriptor);
}

std::string Child::errors() const {
    std::string out;
    char buffer[4096];
    for (ssize_t count;
         errors_ >= 0 && (count = pread(errors_, buffer, sizeof(buffer), static_cast<off_t>(out.size()))) > 0;)
        out.append(buffer, static_cast<size_t>(count));
    return out;
}

std::optional<std::string> Child::read(Deadline deadline) {
    for (;;) {
        pollfd poll_for{output_, POLLIN, 0};
        const int ready = poll(&poll_for, 1, milliseconds_until(deadline));
        if (ready < 0 && errno == EINTR) continue;
        if (ready == 0) return std::nullopt;
        char buffer[16384];
        const ssize_t count = ::read(output_, buffer, sizeof(buffer));
        if (count < 0 && errno == EINTR) continue;
        return std::string(buffer, count > 0 ? static_cast<size_t>(count) : 0);
    }
}

bool Child::write(std::string_view text) {
    while (!text.empty()) {
        const ssize_t count = ::write(input_, text.data(), text.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        text.remove_prefix(static_cast<size_t>(count));
    }
    return true;
}

void Child::close_input() {
    if (input_ >= 0) close(input_);
    input_ = -1;
}

void Child::kill() {
    if (end_ || id_ <= 0) return;
    ::kill(own_group_ ? -id_ : id_, SIGKILL);
}

ChildEnd Child::wait(Deadline deadline) {
    if (end_) return *end_;
    ChildEnd end;
    // A pidfd would be woken by the kernel; without one (old kernels) a short sleep does.
    while (deadline) {
        siginfo_t info{};
        if (waitid(P_PID, static_cast<id_t>(id_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == id_) break;
        const int left = milliseconds_until(deadline);
        if (left == 0) {
            end.timed_out = true;
            kill();
            break;
        }
        poll(nullptr, 0, std::min(left, 5));
    }
    int status = 0;
    while (waitpid(id_, &status, 0) < 0 && errno == EINTR) {
    }
    // Whatever the child left behind in its group ends with it.
    if (own_group_) {
        ::kill(-id_, SIGKILL);
        forget_group(id_);
    }
    if (WIFEXITED(status)) end.status = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
    end_ = end;
    return end;
}

CapturedRun run_captured(const ChildOptions& options, Deadline deadline,
                         const std::function<void(std::string_view)>& on_line) {
    Child child(options);
    CapturedRun run;
    size_t told = 0;
    for (;;) {
        const std::optional<std::string> part = child.read(deadline);
        if (!part) {
            child.kill();
            run.end = child.wait({});
            run.end.timed_out = true;
            return run;
        }
        if (part->empty()) break;
        run.output += *part;
        if (!on_line) continue;
        for (size_t end; (end = run.output.find('\n', told)) != std::string::npos; told = end + 1)
            if (const auto line = trim(std::string_view(run.output).substr(told, end - told)); !line.empty())
                on_line(line);
    }
    run.end = child.wait(deadline);
    return run;
}

}  // namespace helix::tool
