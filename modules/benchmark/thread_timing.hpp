// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What threads cost in the system this runs on: the same code in a module of Helix and in a program for another kernel.
#pragma once

#include <cstddef>
#include <cstdint>

namespace helix::benchmark {

inline constexpr size_t kThreadSamples = 100;
inline constexpr uint32_t kSwitchesInSample = 200;  ///< half of them each way
inline constexpr uint32_t kThreadsInSample = 10;
inline constexpr uint64_t kAsleepNs = 1'000'000;

/// The measurements. All threads may run on any CPU: the system places them as it does any others. `System` has
///     Thread, Semaphore        values that name one; a semaphore counts from zero
///     bool create(Thread&, void (*)(void*), void*), bool join(Thread)
///     bool open(Semaphore&), bool close(Semaphore&), bool signal(Semaphore&), bool wait(Semaphore&)
///     bool sleep(uint64_t nanoseconds)
/// and false from any of them spoils the measurement. One at a time; the caller is a thread that waits meanwhile.
template <typename System>
class ThreadTiming {
public:
    explicit ThreadTiming(System& system) : system_(system) {}

    using Samples = uint64_t[kThreadSamples];

    /// Cycles of `kSwitchesInSample` switches between two threads: each wakes the other by its semaphore, then waits on
    /// its own.
    bool switch_pair(Samples& samples) { return measure(samples, time_switches, answer_switches); }
    /// Cycles of `kThreadsInSample` times creating a thread that does nothing and waiting for its end.
    bool thread_create_join(Samples& samples) { return measure(samples, time_creations, nullptr); }
    /// Cycles from before one thread signals a semaphore to the first instruction of another that waited on it. Before
    /// that the first slept for `kAsleepNs`, so no CPU had anything to do.
    bool wakeup(Samples& samples) { return measure(samples, time_wakeups, answer_wakeup); }

private:
    using Entry = void (*)(void*);

    /// The time stamp counter; what stands before has finished, what stands behind has not begun.
    static uint64_t cycles() {
        uint32_t low = 0, high = 0;
        asm volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high)::"memory");
        return uint64_t{high} << 32 | low;
    }

    /// Runs `timed`, and `other` beside it, on threads of their own.
    bool measure(Samples& samples, Entry timed, Entry other) {
        samples_ = samples;
        failed_ = false;
        typename System::Thread timed_thread{}, other_thread{};
        if (!system_.open(to_other_)) return false;
        if (!system_.open(to_timed_)) return system_.close(to_other_) && false;
        const bool has_other = other != nullptr && must(system_.create(other_thread, other, this));
        if (has_other == (other != nullptr) && must(system_.create(timed_thread, timed, this)))
            must(system_.join(timed_thread));
        else if (has_other)
            for (size_t i = 0; i < kRounds; ++i) must(system_.signal(to_other_));  // it waits for nobody now
        if (has_other) must(system_.join(other_thread));
        must(system_.close(to_other_));
        must(system_.close(to_timed_));
        return !__atomic_load_n(&failed_, __ATOMIC_ACQUIRE);
    }
    bool must(bool succeeded) {
        if (!succeeded) __atomic_store_n(&failed_, true, __ATOMIC_RELEASE);
        return succeeded;
    }

    static void time_switches(void* self) {
        auto& timing = *static_cast<ThreadTiming*>(self);
        timing.pass_turn();  // both have run once before the clock starts
        for (size_t i = 0; i < kThreadSamples; ++i) {
            const uint64_t begin = cycles();
            for (uint32_t turn = 0; turn < kSwitchesInSample / 2; ++turn) timing.pass_turn();
            timing.samples_[i] = cycles() - begin;
        }
    }
    void pass_turn() {
        must(system_.signal(to_other_));
        must(system_.wait(to_timed_));
    }
    static void answer_switches(void* self) {
        auto& timing = *static_cast<ThreadTiming*>(self);
        for (size_t i = 0; i < kRounds; ++i) {
            timing.must(timing.system_.wait(timing.to_other_));
            timing.must(timing.system_.signal(timing.to_timed_));
        }
    }

    static void time_creations(void* self) {
        auto& timing = *static_cast<ThreadTiming*>(self);
        timing.create_and_join();
        for (size_t i = 0; i < kThreadSamples; ++i) {
            const uint64_t begin = cycles();
            for (uint32_t k = 0; k < kThreadsInSample; ++k) timing.create_and_join();
            timing.samples_[i] = cycles() - begin;
        }
    }
    void create_and_join() {
        typename System::Thread thread{};
        if (must(system_.create(thread, [](void*) {}, nullptr))) must(system_.join(thread));
    }

    static void time_wakeups(void* self) {
        auto& timing = *static_cast<ThreadTiming*>(self);
        for (size_t i = 0; i < kThreadSamples; ++i) {
            timing.must(timing.system_.sleep(kAsleepNs));
            const uint64_t begin = cycles();
            timing.pass_turn();
            timing.samples_[i] = timing.woken_ - begin;
        }
    }
    static void answer_wakeup(void* self) {
        auto& timing = *static_cast<ThreadTiming*>(self);
        for (size_t i = 0; i < kThreadSamples; ++i) {
            timing.must(timing.system_.wait(timing.to_other_));
            timing.woken_ = cycles();
            timing.must(timing.system_.signal(timing.to_timed_));
        }
    }

    /// Turns of switch_pair; no other measurement passes more.
    static constexpr size_t kRounds = 1 + kThreadSamples * kSwitchesInSample / 2;

    System& system_;
    typename System::Semaphore to_other_{}, to_timed_{};
    uint64_t* samples_ = nullptr;  ///< written by the timed thread, which measure() joins
    uint64_t woken_ = 0;           ///< handed over with the turn
    bool failed_ = false;          ///< atomic
};

}  // namespace helix::benchmark
