// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Runs a workload file on pthreads, measured by the code that the module helix-workload measures with.
#pragma once

#include "modules/workload/plan_parser.hpp"
#include "modules/workload/report.hpp"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <new>
#include <string>

namespace helix::benchmark {

/// What Runner needs, by pthreads and what Linux has for attributes: a weight is a nice value, a reservation
/// SCHED_DEADLINE, the length of a turn nothing.
class Pthreads {
public:
    using Thread = pthread_t;
    using Semaphore = sem_t;

    bool create(Thread& thread, Text name, void (*entry)(void*), void* argument, uint32_t priority) {
        auto* const start = new (std::nothrow) Start{entry, argument, priority, {}};
        if (start == nullptr) return false;
        snprintf(start->name, sizeof(start->name), "%.*s", static_cast<int>(name.size()), name.data());
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, kStackSize);
        const bool created = pthread_create(&thread, &attributes, run, start) == 0;
        pthread_attr_destroy(&attributes);
        if (!created) delete start;
        return created;
    }
    bool join(Thread thread) { return pthread_join(thread, nullptr) == 0; }
    bool open(Semaphore& semaphore, uint32_t units) { return sem_init(&semaphore, 0, units) == 0; }
    bool close(Semaphore& semaphore) { return sem_destroy(&semaphore) == 0; }
    bool signal(Semaphore& semaphore) { return sem_post(&semaphore) == 0; }
    workload::Wait wait(Semaphore& semaphore, uint64_t timeout_ns) {
        const uint64_t until_ns = timeout_ns == UINT64_MAX ? 0 : now_ns() + timeout_ns;
        const timespec until{static_cast<time_t>(until_ns / kSecond), static_cast<long>(until_ns % kSecond)};
        for (;;) {
            const int result = timeout_ns == 0            ? sem_trywait(&semaphore)
                               : timeout_ns == UINT64_MAX ? sem_wait(&semaphore)
                                                          : sem_clockwait(&semaphore, CLOCK_MONOTONIC, &until);
            if (result == 0) return workload::Wait::Taken;
            if (errno == ETIMEDOUT || errno == EAGAIN) return workload::Wait::TimedOut;
            if (errno != EINTR) return workload::Wait::Failed;
        }
    }
    /// CPU n is the one in place n of those that the process may use.
    bool bind(uint64_t cpus) {
        cpu_set_t allowed, wanted;
        CPU_ZERO(&wanted);
        if (sched_getaffinity(getpid(), sizeof(allowed), &allowed) != 0) return false;
        for (int cpu = 0; cpu < CPU_SETSIZE && cpus != 0; ++cpu) {
            if (!CPU_ISSET(cpu, &allowed)) continue;
            if ((cpus & 1) != 0) CPU_SET(cpu, &wanted);
            cpus >>= 1;
        }
        return CPU_COUNT(&wanted) != 0 && sched_setaffinity(0, sizeof(wanted), &wanted) == 0;
    }
    bool ask(const SchedulingAttributes& wanted) {
        bool granted = true;
        if (wanted.weight != 0) {
            // Each nice value is a quarter more or less than the one beside it (sched(7)).
            const double nice = std::round(std::log(1024.0 / wanted.weight) / std::log(1.25));
            granted = set_nice(static_cast<int>(nice));
        }
        if (!wanted.reserves()) return granted;
        DeadlineAttributes attributes{};
        attributes.runtime_ns = wanted.runtime_ns;
        attributes.deadline_ns = wanted.due_ns();
        attributes.period_ns = wanted.period_ns;
        return syscall(SYS_sched_setattr, 0, &attributes, 0) == 0 && granted;
    }
    uint64_t now_ns() {
        timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return static_cast<uint64_t>(now.tv_sec) * kSecond + static_cast<uint64_t>(now.tv_nsec);
    }
    uint64_t switches() {
        rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        return static_cast<uint64_t>(usage.ru_nvcsw) + static_cast<uint64_t>(usage.ru_nivcsw);
    }
    uint32_t cpu() { return static_cast<uint32_t>(sched_getcpu()); }
    void yield() { sched_yield(); }
    void look() {}
    void* allocate(size_t size) { return calloc(1, size); }
    void free(void* memory) { ::free(memory); }

private:
    static constexpr uint64_t kSecond = 1'000'000'000;
    static constexpr size_t kStackSize = 64 * 1024;

    /// sched_setattr(2), in its first version: glibc 2.36 declares none, and Linux's own header clashes with it.
    struct DeadlineAttributes {
        uint32_t size = sizeof(DeadlineAttributes);
        uint32_t policy = 6;  // SCHED_DEADLINE
        uint64_t flags = 0;
        int32_t nice = 0;
        uint32_t priority = 0;
        uint64_t runtime_ns = 0;
        uint64_t deadline_ns = 0;
        uint64_t period_ns = 0;
    };
    struct Start {
        void (*entry)(void*);
        void* argument;
        uint32_t priority;
        char name[16];
    };
    static void* run(void* argument) {
        const Start start = *static_cast<Start*>(argument);
        delete static_cast<Start*>(argument);
        prctl(PR_SET_NAME, start.name);
        prctl(PR_SET_TIMERSLACK, 1);  // by default Linux adds up to 50 microseconds to each sleep
        if (start.priority != kDefaultPriority)
            set_nice(static_cast<int>(kDefaultPriority) - static_cast<int>(start.priority));
        start.entry(start.argument);
        return nullptr;
    }
    static bool set_nice(int nice) {
        return setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), nice) == 0;
    }
};

struct StringSink {
    void append(Text part) { text.append(part.data(), part.size()); }
    std::string text;
};

/// Runs the workload `file` and prints two lines: its summary and its details. `steps_in_ms` 0: measured first. False,
/// with a sentence on standard output, when that is not possible.
inline bool run_workload(const std::string& file, uint64_t steps_in_ms, uint64_t limit_ns) {
    static workload::PlanParser parser;
    static workload::Plan plan;
    static workload::Histogram scratch;
    workload::PlanProblem problem;
    if (!parser.parse(file, plan, problem)) {
        printf("error: line %u, column %u: %s\n", problem.line, problem.column,
               std::string(problem.sentence.text()).c_str());
        return false;
    }
    Pthreads system;
    workload::Runner<Pthreads> runner(system);
    if (steps_in_ms == 0) steps_in_ms = runner.calibrate();
    if (!runner.run(plan, steps_in_ms, limit_ns)) {
        printf("error: %u threads and their semaphores were not to be had\n", plan.thread_count);
        return runner.release() && false;
    }
    StringSink summary, details;
    workload::Report<Pthreads, StringSink>(runner, scratch, summary).summary();
    workload::Report<Pthreads, StringSink>(runner, scratch, details).details();
    printf("%s\n%s\n", summary.text.c_str(), details.text.c_str());
    return runner.release();
}

}  // namespace helix::benchmark
