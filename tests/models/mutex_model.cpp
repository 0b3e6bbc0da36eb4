// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Mutexes step by step against a model: who gets one, who runs with which priority, time-outs, cancellation.
#include "players.hpp"

#include "kernel/thread/mutex.hpp"

namespace helix::test {
namespace {

using kernel::Mutex;

constexpr uint32_t kPlayers = 7;
constexpr uint32_t kMutexes = 4;
constexpr uint32_t kNobody = UINT32_MAX;

enum What : uint32_t { kLock, kUnlock };

/// The model: what must be true between two steps. Priorities are computed afresh each time, from all waiters.
class MutexModel {
public:
    explicit MutexModel(const ModelRun& run)
        : threads_(run.kernel.threads), random_(run.seed), players_(run.kernel, this, perform, clean_up) {
        for (uint32_t i = 0; i < kPlayers; ++i) begin(i);
    }

    void step() {
        const auto player = static_cast<uint32_t>(random_.below(kPlayers));
        const auto mutex = static_cast<uint32_t>(random_.below(kMutexes));
        if (random_.one_in(6)) {
            set_priority(player);
        } else if (random_.one_in(40)) {
            cancel(player);
        } else if (random_.one_in(40)) {
            players_.wake_by_mistake(players_[player]);
        } else if (waits_for_[player] == kNobody) {
            if (owner_[mutex] == player)
                unlock(player, mutex);
            else if (!would_wait_for(owner_[mutex], player))
                lock(player, mutex, owner_[mutex] != kNobody && random_.one_in(8));
        }
        check();
    }
    void finish() {
        for (uint32_t i = 0; i < kPlayers; ++i) end(i);
        for (uint32_t owner : owner_) MODEL_CHECK(owner == kNobody);
    }

private:
    static void perform(Player& self) {
        Mutex& mutex = static_cast<MutexModel*>(self.model)->mutexes_[self.order.which];
        if (self.order.what == kUnlock)
            release(mutex);
        else
            self.succeeded = take(mutex, self.order.timeout_ns);
    }
    /// What it holds it gives back, from the first mutex to the last.
    static void clean_up(Player& self) {
        for (Mutex& mutex : static_cast<MutexModel*>(self.model)->mutexes_)
            if (mutex.held_by_me()) release(mutex);
    }
    static bool take(Mutex& mutex, uint64_t timeout_ns) HELIX_NO_THREAD_SAFETY_ANALYSIS {
        return mutex.lock_for(timeout_ns);
    }
    static void release(Mutex& mutex) HELIX_NO_THREAD_SAFETY_ANALYSIS { mutex.unlock(); }

    void begin(uint32_t player) {
        base_[player] = priority_[player] = static_cast<uint32_t>(random_.below(kPriorityLevels));
        waits_for_[player] = kNobody;
        players_.start(players_[player], base_[player]);
    }
    bool would_wait_for(uint32_t owner, uint32_t player) const {
        for (uint32_t next = owner; next != kNobody; next = owner_[waits_for_[next]]) {
            if (next == player) return true;
            if (waits_for_[next] == kNobody) return false;
        }
        return false;
    }
    void lock(uint32_t player, uint32_t mutex, bool briefly) {
        if (owner_[mutex] == kNobody) {
            owner_[mutex] = player;
        } else {
            waits_for_[player] = mutex;
            place(player);
        }
        update();
        players_.tell(players_[player], {kLock, mutex, briefly ? kShort : kLong});
        check();
        if (!briefly) return;
        if (random_.one_in(2)) {
            if (const uint32_t owner = owner_[mutex]; waits_for_[owner] == kNobody) unlock(owner, mutex);
            check();
        }
        players_.wait(2 * kShort);
        if (waits_for_[player] != mutex) return;
        forget(player);
        MODEL_CHECK(!players_[player].succeeded);
    }
    void unlock(uint32_t player, uint32_t mutex) {
        give_on(mutex);
        players_.tell(players_[player], {kUnlock, mutex, 0});
    }
    void give_on(uint32_t mutex) {
        owner_[mutex] = kNobody;
        if (!line_[mutex].empty()) {
            owner_[mutex] = line_[mutex].pop();
            waits_for_[owner_[mutex]] = kNobody;
        }
        update();
    }
    /// It no longer waits.
    void forget(uint32_t player) {
        line_[waits_for_[player]].remove(player);
        waits_for_[player] = kNobody;
        update();
    }
    void set_priority(uint32_t player) {
        base_[player] = static_cast<uint32_t>(random_.below(kPriorityLevels));
        update();
        MODEL_CHECK(threads_.set_priority(players_[player].id, base_[player]).ok());
        players_.settle();
    }
    void end(uint32_t player) {
        if (waits_for_[player] != kNobody) forget(player);
        for (uint32_t mutex = 0; mutex < kMutexes; ++mutex)
            if (owner_[mutex] == player) give_on(mutex);
        players_.cancel(players_[player]);
    }
    void cancel(uint32_t player) {
        end(player);
        check_others(player);
        begin(player);
    }

    /// Behind all who are as urgent.
    void place(uint32_t player) {
        auto& line = line_[waits_for_[player]];
        size_t at = 0;
        while (at < line.count && priority_[line.entries[at]] >= priority_[player]) ++at;
        line.insert(at, player);
    }
    /// The least priorities such that nobody runs with less than its own and that of any who waits for it.
    void update() {
        uint32_t now[kPlayers];
        for (uint32_t i = 0; i < kPlayers; ++i) now[i] = base_[i];
        for (bool changed = true; changed;) {
            changed = false;
            for (uint32_t i = 0; i < kPlayers; ++i) {
                if (waits_for_[i] == kNobody) continue;
                uint32_t& owner = now[owner_[waits_for_[i]]];
                if (owner >= now[i]) continue;
                owner = now[i];
                changed = true;
            }
        }
        for (uint32_t i = 0; i < kPlayers; ++i) {
            if (now[i] == priority_[i]) continue;
            priority_[i] = now[i];
            if (waits_for_[i] == kNobody) continue;
            line_[waits_for_[i]].remove(i);
            place(i);
        }
    }

    void check() { check_others(kNobody); }
    void check_others(uint32_t left_out) {
        for (uint32_t i = 0; i < kPlayers; ++i) {
            if (i == left_out) continue;
            Player& player = players_[i];
            kernel::Thread& thread = *player.thread;
            MODEL_CHECK(player.busy == (waits_for_[i] != kNobody));
            MODEL_CHECK(thread.base_priority == base_[i]);
            MODEL_CHECK(thread.priority == priority_[i]);
            for (const SchedulerThread& view : thread.view) MODEL_CHECK(view.priority == priority_[i]);
            MODEL_CHECK(threads_.inheritance().is_consistent(thread));
        }
    }

    kernel::Threads& threads_;
    KernelRandom random_;
    Mutex mutexes_[kMutexes] = {Mutex(kernel::LockRank::SleepingLeaf), Mutex(kernel::LockRank::SleepingLeaf),
                                Mutex(kernel::LockRank::SleepingLeaf), Mutex(kernel::LockRank::SleepingLeaf)};
    Players<kPlayers> players_;
    uint32_t base_[kPlayers] = {};
    uint32_t priority_[kPlayers] = {};
    uint32_t waits_for_[kPlayers] = {};
    uint32_t owner_[kMutexes] = {kNobody, kNobody, kNobody, kNobody};
    Line<kPlayers> line_[kMutexes];
};

void run_mutex_model(const ModelRun& run) {
    MutexModel model(run);
    for (uint64_t i = 0; i < run.steps; ++i, took_step()) model.step();
    model.finish();
}

TEST(MutexModel, IsFollowedStepByStep) {
    run_model(run_mutex_model, Machines::Replay, "helix-scheduler-priority");
}

}  // namespace
}  // namespace helix::test
