// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The /init of a Linux guest that times its threads as helix-benchmark-threads does, prints the samples and ends the
// machine; with the word "first_line" it prints that and times nothing, with the words "workload STEPS" it runs the
// file /workload.json. Linked statically: it is the only program there.
#include "modules/benchmark/thread_timing.hpp"
#include "pthread_workload.hpp"

#include <fcntl.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <termios.h>

#include <cstring>
#include <fstream>
#include <iterator>

namespace {

/// What ThreadTiming needs, by pthreads.
class Pthreads {
public:
    using Thread = pthread_t;
    using Semaphore = sem_t;

    bool create(Thread& thread, void (*entry)(void*), void* argument) {
        // A pthread returns something; the entry, which does not, and its argument travel in one object.
        auto* start = new (std::nothrow) Start{entry, argument};
        if (start == nullptr) return false;
        if (pthread_create(&thread, nullptr, run, start) == 0) return true;
        delete start;
        return false;
    }
    bool join(Thread thread) { return pthread_join(thread, nullptr) == 0; }
    bool open(Semaphore& semaphore) { return sem_init(&semaphore, 0, 0) == 0; }
    bool close(Semaphore& semaphore) { return sem_destroy(&semaphore) == 0; }
    bool signal(Semaphore& semaphore) { return sem_post(&semaphore) == 0; }
    bool wait(Semaphore& semaphore) {
        while (sem_wait(&semaphore) != 0)
            if (errno != EINTR) return false;
        return true;
    }
    bool sleep(uint64_t nanoseconds) {
        const timespec duration{static_cast<time_t>(nanoseconds / 1'000'000'000),
                                static_cast<long>(nanoseconds % 1'000'000'000)};
        return nanosleep(&duration, nullptr) == 0;
    }

private:
    struct Start {
        void (*entry)(void*);
        void* argument;
    };
    static void* run(void* argument) {
        const Start start = *static_cast<Start*>(argument);
        delete static_cast<Start*>(argument);
        start.entry(start.argument);
        return nullptr;
    }
};

using Timing = helix::benchmark::ThreadTiming<Pthreads>;

bool report(const char* name, Timing& timing, bool (Timing::*measure)(Timing::Samples&)) {
    static Timing::Samples samples;
    if (!(timing.*measure)(samples)) {
        printf("error: %s: a thread or a semaphore failed\n", name);
        return false;
    }
    printf("%s:", name);
    for (const uint64_t sample : samples) printf(" %llu", static_cast<unsigned long long>(sample));
    printf("\n");
    return true;
}

/// Ends the machine as the kernel of Helix does: status s leaves the emulator with 2s + 1.
[[noreturn]] void end_machine(int status) {
    if (ioperm(0xf4, 1, 1) == 0) outb(static_cast<unsigned char>(status), 0xf4);
    _exit(status);  // only where there is no such device: the kernel panics, and the machine is reset
}

}  // namespace

int main(int argument_count, char** arguments) {
    mkdir("/dev", 0755);
    const bool have_line = mount("devtmpfs", "/dev", "devtmpfs", 0, nullptr) == 0;
    const int line = have_line ? open("/dev/ttyS0", O_RDWR | O_NOCTTY) : -1;
    if (line < 0) end_machine(2);
    dup2(line, STDOUT_FILENO);

    if (argument_count == 2 && strcmp(arguments[1], "first_line") == 0) {
        constexpr char kLine[] = "first_line\n";
        const bool printed = write(STDOUT_FILENO, kLine, sizeof(kLine) - 1) == sizeof(kLine) - 1;
        tcdrain(STDOUT_FILENO);
        end_machine(printed ? 0 : 1);
    }

    if (argument_count == 3 && strcmp(arguments[1], "workload") == 0) {
        std::ifstream file("/workload.json", std::ios::binary);
        const std::string content{std::istreambuf_iterator<char>(file), {}};
        const bool ran = helix::benchmark::run_workload(content, strtoull(arguments[2], nullptr, 10), 600'000'000'000);
        fflush(stdout);
        tcdrain(STDOUT_FILENO);
        end_machine(ran ? 0 : 1);
    }

    Pthreads pthreads;
    Timing timing(pthreads);
    const bool measured = report("switch_pair", timing, &Timing::switch_pair) &&
                          report("thread_create_join", timing, &Timing::thread_create_join) &&
                          report("wakeup", timing, &Timing::wakeup);
    fflush(stdout);
    tcdrain(STDOUT_FILENO);  // what was written leaves the line's buffer before the machine ends
    end_machine(measured ? 0 : 1);
}
