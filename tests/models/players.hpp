// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Players: threads that do one thing at a time when they are told, so that a model knows what each of them is at.
#pragma once

#include "model_kernel.hpp"

#include "kernel/thread/owner.hpp"
#include "kernel/thread/semaphore.hpp"

namespace helix::test {

inline constexpr uint64_t kLong = 3'600'000'000'000;  ///< a time-out that no run sees
inline constexpr uint64_t kShort = 50'000'000;
inline constexpr uint64_t kPause = 20'000;  ///< between two looks whether all are blocked

struct Order {
    uint32_t what = 0;  ///< the model's own number
    uint32_t which = 0;
    uint64_t timeout_ns = 0;
};

struct Player {
    kernel::Semaphore told{0};
    kernel::Owner owner;
    kernel::Thread* thread = nullptr;
    ThreadId id = ThreadId::None;
    void (*perform)(Player& self) = nullptr;
    void (*clean_up)(Player& self) = nullptr;  ///< when its waits are cancelled, before it ends
    void* model = nullptr;
    uint32_t number = 0;
    Order order;
    ErrorCode result = ErrorCode::InvalidState;  ///< of the last order
    bool succeeded = false;
    bool busy = false;       ///< has not finished what it was told
    bool cancelled = false;  ///< will end
};

template <size_t kCount>
class Players {
public:
    Players(kernel::Kernel& kernel, void* model, void (*perform)(Player&), void (*clean_up)(Player&))
        : threads_(kernel.threads) {
        for (uint32_t i = 0; i < kCount; ++i) {
            Player& player = players_[i];
            player.model = model;
            player.number = i;
            player.perform = perform;
            player.clean_up = clean_up;
        }
    }
    Player& operator[](size_t number) { return players_[number]; }

    void start(Player& player, uint32_t priority) {
        player.cancelled = player.busy = false;
        player.owner.ended = 0;
        auto created = threads_.create("player", main, &player, {.priority = priority, .owner = &player.owner});
        MODEL_CHECK(created.ok());
        player.id = created.value();
        settle();
    }
    /// Lets `player` do something and waits until nobody can go on.
    void tell(Player& player, const Order& order) {
        MODEL_CHECK(!player.busy);
        player.order = order;
        player.busy = true;
        player.told.signal();
        settle();
    }
    /// Ends the wait that `player` is in, and the player.
    void cancel(Player& player) {
        player.cancelled = true;
        threads_.cancel_threads_of(player.owner);
        MODEL_CHECK(threads_.wait_threads_of(player.owner, kLong).ok());
        settle();
    }
    /// Somebody wanted to end an earlier wait of `player`, and is late. Nothing may come of it.
    void wake_by_mistake(Player& player) {
        threads_.wake(*player.thread, kernel::WakeReason::Cancelled);
        settle();
    }
    /// Time passes.
    void wait(uint64_t duration_ns) {
        (void)threads_.sleep(duration_ns);
        settle();
    }
    /// Time passes until that of `player` has run out, who has no CPU to see it with. On one CPU, where the main
    /// thread, which is of the kernel class, goes before all players.
    void let_time_run_out(Player& player) {
        while (player.thread->wake_reason == kernel::WakeReason::None) arch::preemption_point();
        MODEL_CHECK(player.busy && player.thread->wake_reason == kernel::WakeReason::TimedOut);
    }
    /// Waits until every player is blocked.
    void settle() {
        for (uint64_t before = 0, after = 1; before != after;) {
            const bool blocked = all_blocked(before);
            after = before + 1;
            if (blocked && all_blocked(after) && before == after) break;
            after = before + 1;
            (void)threads_.sleep(kPause);
        }
    }

private:
    static void main(void* argument) {
        auto& self = *static_cast<Player*>(argument);
        self.thread = &kernel::current_thread();
        while (self.told.wait().ok()) {
            self.perform(self);
            self.busy = false;
            if (self.cancelled) break;
        }
        self.clean_up(self);
        self.thread = nullptr;
    }
    bool all_blocked(uint64_t& switches) {
        bool blocked = true;
        switches = 0;
        threads_.for_each_locked([&](kernel::Thread& thread) {
            for (const Player& player : players_) {
                if (thread.owner != &player.owner) continue;
                blocked &= thread.state == kernel::ThreadState::Blocked;
                switches += thread.switches;
            }
        });
        return blocked;
    }

    kernel::Threads& threads_;
    Player players_[kCount];
};

/// Numbers of players in an order, at most as many as there are.
template <size_t kCapacity>
struct Line {
    uint32_t entries[kCapacity] = {};
    size_t count = 0;

    bool empty() const { return count == 0; }
    uint32_t front() const { return entries[0]; }
    void insert(size_t at, uint32_t number) {
        for (size_t i = count++; i > at; --i) entries[i] = entries[i - 1];
        entries[at] = number;
    }
    void push(uint32_t number) { insert(count, number); }
    size_t find(uint32_t number) const {
        size_t at = 0;
        while (at < count && entries[at] != number) ++at;
        return at;
    }
    void remove(uint32_t number) {
        const size_t at = find(number);
        MODEL_CHECK(at < count);
        --count;
        for (size_t i = at; i < count; ++i) entries[i] = entries[i + 1];
    }
    uint32_t pop() {
        const uint32_t first = front();
        remove(first);
        return first;
    }
};

}  // namespace helix::test
