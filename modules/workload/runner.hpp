// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Runs a plan on threads and measures: the same code in the module and in the program that does so on another kernel.
//
// All that is counted belongs to one thread and is read when that has been joined; latencies go into a histogram of
// their task. A latency is the time from when a thread was to wake up (the end of its sleep, the moment at which the
// lock was given back or the last came to the barrier) to when it runs.
#pragma once

#include "histogram.hpp"
#include "plan.hpp"

#include "helix/format.hpp"

namespace helix::workload {

enum class Wait : uint32_t { Taken, TimedOut, Failed };

/// Steps of computation, at the speed that `calibrate` measured. The result says nothing, and keeps the compiler from
/// leaving them out. splitmix64, after Steele, Lea and Flood (OOPSLA 2014).
[[gnu::noinline]] inline uint64_t compute(uint64_t value, uint64_t steps) {
    for (; steps > 0; --steps) {
        value += 0x9E3779B97F4A7C15u;
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
        value ^= value >> 27;
        asm volatile("" : "+r"(value));
    }
    return value;
}

/// What one thread did. Zeroed memory is one that did nothing.
struct Tally {
    uint64_t loops;    ///< of its task, whole ones
    uint64_t actions;  ///< whole ones
    uint64_t work_ns;  ///< computed, in time of a CPU that does nothing else
    uint64_t missed;   ///< periods that began before the thread came to its timer
    uint64_t migrations;
    bool refused;  ///< the scheduler did not grant the reservation
};

/// One run at a time; who calls is a thread that waits meanwhile, and is not measured. `System` has
///     Thread, Semaphore      values that name one
///     bool create(Thread&, Text name, void (*)(void*), void*, uint32_t priority), bool join(Thread)
///     bool open(Semaphore&, uint32_t units), bool close(Semaphore&), bool signal(Semaphore&)
///     Wait wait(Semaphore&, uint64_t timeout_ns)
///     bool ask(const SchedulingAttributes&)  for the thread that calls; false where they are refused
///     bool bind(uint64_t cpus)               likewise; bit n: it may run on CPU n
///     uint64_t now_ns(), uint64_t switches(), uint32_t cpu(), void yield()
///     void look()                            between pieces of work
///     void* allocate(size_t)                 zeroed, aligned to 16; null when memory is short
///     void free(void*)
template <typename System>
class Runner {
public:
    explicit Runner(System& system) : system_(system) {}
    Runner(const Runner&) = delete;
    Runner& operator=(const Runner&) = delete;

    static constexpr uint64_t kForever = UINT64_MAX;
    static constexpr uint64_t kPieceNs = 50'000;  ///< of work, between two looks at the CPU and whether to end

    /// Steps of computation in a millisecond: of many short measurements the fastest, which nothing interrupted. Zero
    /// where time does not pass by itself.
    uint64_t calibrate() {
        constexpr uint64_t kShortestNs = 500'000;
        constexpr uint64_t kMostSteps = uint64_t{1} << 22;
        constexpr int kTimes = 20;
        uint64_t steps = 8192;
        uint64_t best = time(steps);
        for (; best < kShortestNs && steps < kMostSteps; best = time(steps)) steps *= 2;
        if (best < kShortestNs / 4) return 0;
        for (int i = 0; i < kTimes; ++i) {
            const uint64_t once = time(steps);
            if (once < best) best = once;
        }
        return steps * 1'000'000 / best;
    }

    /// Runs `plan`, which stays as it is until `release`, for `limit_ns` at most where it names no duration; so long
    /// all threads may take to be there, too. False: one was not, or a semaphore was not to be had, or a wait failed;
    /// what was measured means nothing then.
    bool run(const Plan& plan, uint64_t steps_in_ms, uint64_t limit_ns) {
        plan_ = &plan;
        steps_in_ms_ = steps_in_ms;
        stopping_ = failed_ = false;
        ready_count_ = ended_count_ = 0;
        if (!prepare()) {
            end_all();
            return false;
        }
        bool began = must(create_all());
        // All wait at the gate now, with what they asked of the scheduler.
        began = began && must(system_.wait(ready_, limit_ns) == Wait::Taken);
        const uint64_t switches = system_.switches();
        begin_ns_ = end_ns_ = system_.now_ns();
        for (uint32_t i = 0; began && i < plan.thread_count; ++i) began = must(system_.signal(gate_));
        const bool limited = plan.duration_ns == 0;
        const Wait wait = began ? system_.wait(done_, limited ? limit_ns : plan.duration_ns) : Wait::Failed;
        must(wait != Wait::Failed);
        by_itself_ = wait == Wait::Taken;
        at_limit_ = wait == Wait::TimedOut && limited;
        end_all();
        switches_ = system_.switches() - switches;
        return !failed_;
    }

    /// Ends and joins what still runs, and frees everything. False: a join failed, nothing is freed; call again.
    bool release() {
        if (players_ == nullptr) return true;
        if (!end_all()) return false;
        for (uint32_t i = 0; i < players_open_; ++i) system_.close(players_[i].own);
        for (uint32_t i = 0; i < meetings_open_; ++i) {
            system_.close(meetings_[i].places[0]);
            system_.close(meetings_[i].places[1]);
        }
        Semaphore* const own[] = {&gate_, &ready_, &done_};
        for (uint32_t i = 0; i < open_; ++i) system_.close(*own[i]);
        system_.free(players_);
        system_.free(meetings_);
        system_.free(histograms_);
        players_ = nullptr;
        meetings_ = nullptr;
        histograms_ = nullptr;
        players_open_ = meetings_open_ = open_ = 0;
        return true;
    }

    // ---- What came of the run, until `release`.

    const Plan& plan() const { return *plan_; }
    bool has_result() const { return players_ != nullptr && histograms_ != nullptr && !failed_; }
    bool by_itself() const { return by_itself_; }  ///< all loops were done
    bool at_limit() const { return at_limit_; }    ///< `limit_ns` ended it
    uint64_t elapsed_ns() const { return end_ns_ - begin_ns_; }
    uint64_t switches() const { return switches_; }
    uint64_t steps_in_ms() const { return steps_in_ms_; }
    const Tally& tally(uint32_t thread) const { return players_[thread].tally; }
    /// Wake-ups of all threads of a task, in the plan's order.
    const Histogram& latencies(uint32_t task) const { return histograms_[task]; }

private:
    using Thread = typename System::Thread;
    using Semaphore = typename System::Semaphore;

    struct alignas(16) Player {
        Runner* runner;
        const Task* task;
        Histogram* latencies;
        Tally tally;  ///< of its own thread
        uint64_t next_period_ns;
        uint64_t held;   ///< locks, by their numbers
        uint64_t value;  ///< what it computes
        uint32_t cpu;
        bool exists;  ///< a thread that was not joined yet
        Semaphore own;
        Thread thread;
    };
    /// A lock, or a barrier whose visitors wait at its two places in turns.
    struct alignas(16) Meeting {
        uint64_t released_ns[2];  ///< when the lock was given back, or the last came; atomic
        uint32_t arrived;         ///< atomic
        uint32_t round;           ///< whole ones; changed by the last to come; atomic
        Semaphore places[2];
    };

    // ---- The caller's side.

    uint64_t time(uint64_t steps) {
        const uint64_t begin = system_.now_ns();
        calibrated_ = compute(calibrated_, steps);
        return system_.now_ns() - begin;
    }

    bool prepare() {
        const uint32_t threads = plan_->thread_count;
        players_ = static_cast<Player*>(system_.allocate(threads * sizeof(Player)));
        if (players_ == nullptr) return must(false);
        meetings_ = static_cast<Meeting*>(system_.allocate((plan_->resource_count + 1) * sizeof(Meeting)));
        histograms_ = static_cast<Histogram*>(system_.allocate(plan_->task_count * sizeof(Histogram)));
        if (meetings_ == nullptr || histograms_ == nullptr) return must(false);
        Semaphore* const own[] = {&gate_, &ready_, &done_};
        for (; open_ < 3; ++open_)
            if (!must(system_.open(*own[open_], 0))) return false;
        for (; meetings_open_ < plan_->resource_count; ++meetings_open_) {
            Meeting& meeting = meetings_[meetings_open_];
            if (!must(system_.open(meeting.places[0], plan_->resources[meetings_open_].is_barrier ? 0 : 1)))
                return false;
            if (!must(system_.open(meeting.places[1], 0))) return system_.close(meeting.places[0]) && false;
        }
        for (; players_open_ < threads; ++players_open_)
            if (!must(system_.open(players_[players_open_].own, 0))) return false;
        return true;
    }

    bool create_all() {
        uint32_t next = 0;
        for (uint32_t t = 0; t < plan_->task_count; ++t) {
            const Task& task = plan_->tasks[t];
            for (uint32_t i = 0; i < task.instances; ++i) {
                Player& player = players_[next++];
                player.runner = this;
                player.task = &task;
                player.latencies = &histograms_[t];
                const auto name = format<29>("{}-{}", task.name, i);
                player.exists = system_.create(player.thread, name.text(), entry, &player, task.priority);
                if (!player.exists) return false;
            }
        }
        return true;
    }

    /// Lets all threads end and joins them. False when that failed.
    bool end_all() {
        if (players_ == nullptr) return true;
        __atomic_store_n(&stopping_, true, __ATOMIC_SEQ_CST);
        bool ended = true;
        for (uint32_t i = 0; i < players_open_; ++i) {
            if (!players_[i].exists) continue;
            ended &= system_.signal(gate_) && system_.signal(players_[i].own);
        }
        for (uint32_t r = 0; r < meetings_open_; ++r)
            for (uint32_t i = 0; i < plan_->resources[r].participants; ++i)
                ended &= system_.signal(meetings_[r].places[0]) && system_.signal(meetings_[r].places[1]);
        for (uint32_t i = 0; i < players_open_; ++i) {
            if (!players_[i].exists) continue;
            if (system_.join(players_[i].thread))
                players_[i].exists = false;
            else
                ended = false;
        }
        return must(ended);
    }
    bool must(bool succeeded) {
        if (!succeeded) __atomic_store_n(&failed_, true, __ATOMIC_RELEASE);
        return succeeded;
    }

    // ---- The threads' side.

    static void entry(void* argument) {
        Player& player = *static_cast<Player*>(argument);
        player.runner->play(player);
    }
    bool stopping() const { return __atomic_load_n(&stopping_, __ATOMIC_ACQUIRE); }

    void play(Player& player) {
        // Bound first: what it reserves has to be there.
        player.tally.refused = player.task->cpus != 0 && !system_.bind(player.task->cpus);
        player.tally.refused |= !system_.ask(player.task->attributes);
        if (__atomic_add_fetch(&ready_count_, 1, __ATOMIC_ACQ_REL) == plan_->thread_count) must(system_.signal(ready_));
        if (must(system_.wait(gate_, kForever) == Wait::Taken)) {
            player.cpu = system_.cpu();
            if (!perform(player)) count_unmet_periods(player);
        }
        for (uint32_t r = 0; player.held != 0; ++r)
            if ((player.held >> r & 1) != 0) give_back(player, r);
        const uint64_t now = system_.now_ns();
        uint64_t seen = __atomic_load_n(&end_ns_, __ATOMIC_RELAXED);
        while (now > seen &&
               !__atomic_compare_exchange_n(&end_ns_, &seen, now, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        }
        if (__atomic_add_fetch(&ended_count_, 1, __ATOMIC_ACQ_REL) == plan_->thread_count) must(system_.signal(done_));
    }

    /// False when the run ended before the loops of the task.
    bool perform(Player& player) {
        const Task& task = *player.task;
        player.next_period_ns = begin_ns_ + task.delay_ns;
        if (task.delay_ns != 0 && !sleep(player, task.delay_ns)) return false;
        for (uint64_t loop = 0; loop != task.loops; ++loop) {
            for (const Phase& phase : plan_->phases_of(task))
                for (uint64_t turn = 0; turn < phase.loops; ++turn)
                    for (const Action& action : plan_->actions_of(phase)) {
                        if (stopping() || !act(player, action)) return false;
                        ++player.tally.actions;
                    }
            ++player.tally.loops;
        }
        return true;
    }
    /// A thread that got no time did not come to its timer: what began since counts as missed all the same. Of several
    /// timers the first says how long a period is.
    void count_unmet_periods(Player& player) {
        const uint64_t end_ns = plan_->duration_ns != 0 ? begin_ns_ + plan_->duration_ns : system_.now_ns();
        for (const Phase& phase : plan_->phases_of(*player.task))
            for (const Action& action : plan_->actions_of(phase)) {
                if (action.step != Step::Timer) continue;
                if (end_ns > player.next_period_ns)
                    player.tally.missed += (end_ns - player.next_period_ns) / action.duration_ns;
                return;
            }
    }

    /// False when the run ends meanwhile.
    bool act(Player& player, const Action& action) {
        switch (action.step) {
            case Step::Run: return work(player, action.duration_ns);
            case Step::Sleep: {
                const uint64_t due_ns = system_.now_ns() + action.duration_ns;
                if (!sleep(player, action.duration_ns)) return false;
                note_latency(player, due_ns);
                return true;
            }
            case Step::Timer: return await_period(player, action.duration_ns);
            case Step::Lock: return take(player, action.resource);
            case Step::Unlock: give_back(player, action.resource); return true;
            case Step::Barrier: return meet(player, action.resource);
            case Step::Yield:
                system_.yield();
                note_cpu(player);
                return true;
        }
        return false;
    }

    bool work(Player& player, uint64_t duration_ns) {
        while (duration_ns > 0) {
            const uint64_t piece_ns = duration_ns < kPieceNs ? duration_ns : kPieceNs;
            player.value = compute(player.value, piece_ns * steps_in_ms_ / 1'000'000);
            player.tally.work_ns += piece_ns;
            duration_ns -= piece_ns;
            system_.look();
            note_cpu(player);
            if (duration_ns > 0 && stopping()) return false;
        }
        return true;
    }

    /// Nobody signals the thread's own semaphore before the end of the run.
    bool sleep(Player& player, uint64_t duration_ns) {
        const Wait wait = system_.wait(player.own, duration_ns);
        must(wait != Wait::Failed);
        return wait == Wait::TimedOut;
    }
    /// Periods follow each other from the begin of the run on: one that was missed does not shift the others.
    bool await_period(Player& player, uint64_t period_ns) {
        player.next_period_ns += period_ns;
        const uint64_t now = system_.now_ns();
        if (now >= player.next_period_ns) {
            ++player.tally.missed;
            return true;
        }
        if (!sleep(player, player.next_period_ns - now)) return false;
        note_latency(player, player.next_period_ns);
        return true;
    }

    bool take(Player& player, uint32_t lock) {
        Meeting& meeting = meetings_[lock];
        Wait wait = system_.wait(meeting.places[0], 0);
        if (wait == Wait::TimedOut) {
            wait = system_.wait(meeting.places[0], kForever);
            // Whoever writes it next is this thread.
            if (wait == Wait::Taken) note_latency(player, __atomic_load_n(&meeting.released_ns[0], __ATOMIC_ACQUIRE));
        }
        if (!must(wait == Wait::Taken)) return false;
        player.held |= uint64_t{1} << lock;
        return true;
    }
    void give_back(Player& player, uint32_t lock) {
        Meeting& meeting = meetings_[lock];
        player.held &= ~(uint64_t{1} << lock);
        __atomic_store_n(&meeting.released_ns[0], system_.now_ns(), __ATOMIC_RELEASE);
        must(system_.signal(meeting.places[0]));
    }

    /// The last to come lets the others go, who wait at the place of this round. The next round is at the other place
    /// and ends only when all of this one have come to it, so nobody takes what is meant for another.
    bool meet(Player& player, uint32_t barrier) {
        Meeting& meeting = meetings_[barrier];
        const uint32_t participants = plan_->resources[barrier].participants;
        const uint32_t round = __atomic_load_n(&meeting.round, __ATOMIC_ACQUIRE);
        Semaphore& place = meeting.places[round & 1];
        uint64_t& released_ns = meeting.released_ns[round & 1];
        if (__atomic_add_fetch(&meeting.arrived, 1, __ATOMIC_ACQ_REL) == participants) {
            __atomic_store_n(&meeting.arrived, 0, __ATOMIC_RELAXED);
            __atomic_store_n(&released_ns, system_.now_ns(), __ATOMIC_RELAXED);
            __atomic_store_n(&meeting.round, round + 1, __ATOMIC_RELEASE);
            for (uint32_t i = 1; i < participants; ++i)
                if (!must(system_.signal(place))) return false;
            return true;
        }
        if (!must(system_.wait(place, kForever) == Wait::Taken) || stopping()) return false;
        note_latency(player, __atomic_load_n(&released_ns, __ATOMIC_ACQUIRE));
        return true;
    }

    void note_latency(Player& player, uint64_t due_ns) {
        const uint64_t now = system_.now_ns();
        player.latencies->add(now > due_ns ? now - due_ns : 0);
        note_cpu(player);
    }
    void note_cpu(Player& player) {
        const uint32_t cpu = system_.cpu();
        player.tally.migrations += cpu != player.cpu;
        player.cpu = cpu;
    }

    System& system_;
    const Plan* plan_ = nullptr;
    uint64_t steps_in_ms_ = 0;
    uint64_t calibrated_ = 0;
    uint64_t begin_ns_ = 0;  ///< written before the gate opens
    uint64_t end_ns_ = 0;    ///< when the last thread was done; atomic
    uint64_t switches_ = 0;
    bool by_itself_ = false;
    bool at_limit_ = false;
    bool stopping_ = false;     ///< atomic
    bool failed_ = false;       ///< atomic
    uint32_t ready_count_ = 0;  ///< atomic
    uint32_t ended_count_ = 0;  ///< atomic
    Semaphore gate_{}, ready_{}, done_{};
    uint32_t open_ = 0;  ///< of those three, how many there are
    uint32_t players_open_ = 0;
    uint32_t meetings_open_ = 0;
    Player* players_ = nullptr;
    Meeting* meetings_ = nullptr;
    Histogram* histograms_ = nullptr;
};

}  // namespace helix::workload
