// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What threads wait for in line, step by step against models: reader-writer lock, condition variable, event flags,
// semaphore. Who goes on, who stays, who runs out of time, who is cancelled.
#include "players.hpp"

#include "kernel/thread/condition_variable.hpp"
#include "kernel/thread/event_flag.hpp"
#include "kernel/thread/rw_lock.hpp"

namespace helix::test {
namespace {

constexpr uint32_t kPlayers = 7;

enum What : uint32_t { kEnter, kEnterShared, kLeave };

/// A primitive and its model. `Subject` is what differs: it says who may go on, and lets the kernel do it.
template <typename Subject>
class LineModel {
public:
    explicit LineModel(const ModelRun& run)
        : random_(run.seed), players_(run.kernel, &subject_, Subject::perform, Subject::clean_up) {
        for (uint32_t i = 0; i < kPlayers; ++i) begin(i);
    }
    void step() {
        const auto number = static_cast<uint32_t>(random_.below(kPlayers));
        if (random_.one_in(40)) {
            cancel(number);
        } else if (random_.one_in(40)) {
            players_.wake_by_mistake(players_[number]);
        } else if (random_.one_in(3)) {
            subject_.change(random_);  // by the main thread
            players_.settle();
            go_on();
        } else if (waiting_.find(number) == waiting_.count) {
            act(number);
        }
        check();
    }
    void finish() {
        for (uint32_t i = 0; i < kPlayers; ++i) end(i);
    }

private:
    void begin(uint32_t number) { players_.start(players_[number], kDefaultPriority); }
    void act(uint32_t number) {
        Player& player = players_[number];
        if (subject_.holds(number)) {
            subject_.leave(number);
            go_on();
            players_.tell(player, {kLeave, 0, 0});
            return;
        }
        const bool briefly = random_.one_in(8);
        const uint32_t what = random_.one_in(2) ? kEnter : kEnterShared;
        player.order.what = what;  // the model asks for it
        wants_[number] = what;
        waiting_.push(number);
        go_on();
        players_.tell(player, {what, 0, briefly ? kShort : kLong});
        check();
        if (!briefly || waiting_.find(number) == waiting_.count) return;
        if (random_.one_in(2)) {
            subject_.change(random_);
            players_.settle();
            go_on();
            check();
        }
        players_.wait(2 * kShort);
        if (waiting_.find(number) == waiting_.count) return;
        waiting_.remove(number);
        go_on();
        MODEL_CHECK(player.result == ErrorCode::TimedOut);
    }
    void end(uint32_t number) {
        if (waiting_.find(number) < waiting_.count) waiting_.remove(number);
        if (subject_.holds(number)) subject_.leave(number);
        go_on();
        players_.cancel(players_[number]);
    }
    void cancel(uint32_t number) {
        end(number);
        begin(number);
    }
    /// Lets those of the line go on, from the first, as the subject says.
    void go_on() {
        while (!waiting_.empty() && subject_.admits(wants_[waiting_.front()])) {
            const uint32_t number = waiting_.pop();
            subject_.enter(number, wants_[number]);
        }
        subject_.changed();
    }
    void check() {
        for (uint32_t i = 0; i < kPlayers; ++i) MODEL_CHECK(players_[i].busy == (waiting_.find(i) < waiting_.count));
    }

    KernelRandom random_;
    Subject subject_;
    Players<kPlayers> players_;
    uint32_t wants_[kPlayers] = {};
    Line<kPlayers> waiting_;
};

template <typename Subject>
void run_line_model(const ModelRun& run) {
    LineModel<Subject> model(run);
    for (uint64_t i = 0; i < run.steps; ++i, took_step()) model.step();
    model.finish();
}

ErrorCode code_of(const Result<void>& result) {
    return result.ok() ? ErrorCode::NotImplemented : result.error().code();  // any that is no result of a wait
}

// ---- Reader-writer lock.

class RwLockSubject {
public:
    static void perform(Player& self) HELIX_NO_THREAD_SAFETY_ANALYSIS {
        auto& subject = *static_cast<RwLockSubject*>(self.model);
        if (self.order.what == kLeave) return give_back(self);
        const bool alone = self.order.what == kEnter;
        const bool entered = alone ? subject.lock_.lock_for(self.order.timeout_ns)
                                   : subject.lock_.lock_shared_for(self.order.timeout_ns);
        self.result = entered ? ErrorCode::NotImplemented : ErrorCode::TimedOut;
        if (entered) subject.held_[self.number] = alone ? 2 : 1;
    }
    static void clean_up(Player& self) {
        if (static_cast<RwLockSubject*>(self.model)->held_[self.number] != 0) give_back(self);
    }
    bool holds(uint32_t number) const { return held_model_[number] != 0; }
    bool admits(uint32_t what) const {
        uint32_t readers = 0;
        for (uint32_t held : held_model_) {
            if (held == 2) return false;
            readers += held;
        }
        return what == kEnterShared || readers == 0;
    }
    void enter(uint32_t number, uint32_t what) { held_model_[number] = what == kEnter ? 2 : 1; }
    void leave(uint32_t number) { held_model_[number] = 0; }
    void change(KernelRandom&) {}
    void changed() {}

private:
    static void give_back(Player& self) HELIX_NO_THREAD_SAFETY_ANALYSIS {
        auto& subject = *static_cast<RwLockSubject*>(self.model);
        uint32_t& held = subject.held_[self.number];
        const bool alone = held == 2;
        held = 0;
        alone ? subject.lock_.unlock() : subject.lock_.unlock_shared();
    }

    kernel::RwLock lock_{kernel::LockRank::SleepingLeaf};
    uint32_t held_[kPlayers] = {};        // by the players: 1 shared, 2 alone
    uint32_t held_model_[kPlayers] = {};  // what the model thinks
};
TEST(RwLockModel, IsFollowedStepByStep) {
    run_model(run_line_model<RwLockSubject>, Machines::Replay);
}

// ---- What lets as many go on as there are units: condition variable, semaphore, automatic event.

/// `kMost` is what units can add up to, `kKeeps` whether they wait for those who come later.
template <typename Kind, uint64_t kMost, bool kKeeps>
class UnitsSubject {
public:
    static void perform(Player& self) {
        self.result = code_of(static_cast<UnitsSubject*>(self.model)->kind_.wait(self.order.timeout_ns));
    }
    static void clean_up(Player&) {}
    bool holds(uint32_t) const { return false; }
    bool admits(uint32_t) const { return units_ != 0; }
    void enter(uint32_t, uint32_t) { --units_; }
    void leave(uint32_t) {}
    void change(KernelRandom& random) {
        const uint64_t added = kind_.signal(random.one_in(8));
        units_ = added > kMost - units_ ? kMost : units_ + added;
    }
    void changed() {
        if (!kKeeps) units_ = 0;
    }

private:
    Kind kind_;
    uint64_t units_ = 0;
};

struct ConditionKind {
    Result<void> wait(uint64_t timeout_ns) {
        kernel::MutexGuard guard(mutex);
        auto result = condition.wait(mutex, timeout_ns);
        MODEL_CHECK(mutex.held_by_me());
        return result;
    }
    uint64_t signal(bool everybody) {
        everybody ? condition.signal_all() : condition.signal_one();
        return everybody ? kPlayers : 1;
    }
    kernel::Mutex mutex{kernel::LockRank::SleepingLeaf};
    kernel::ConditionVariable condition;
};
TEST(ConditionVariableModel, IsFollowedStepByStep) {
    run_model(run_line_model<UnitsSubject<ConditionKind, UINT64_MAX, false>>, Machines::Replay);
}

struct SemaphoreKind {
    Result<void> wait(uint64_t timeout_ns) { return semaphore.wait(timeout_ns); }
    uint64_t signal(bool twice) {
        semaphore.signal();
        if (twice) semaphore.signal();
        return twice ? 2 : 1;
    }
    kernel::Semaphore semaphore{0};
};
TEST(SemaphoreModel, IsFollowedStepByStep) {
    run_model(run_line_model<UnitsSubject<SemaphoreKind, UINT64_MAX, true>>, Machines::Replay);
}

struct AutomaticEventKind {
    Result<void> wait(uint64_t timeout_ns) { return event.wait(timeout_ns); }
    uint64_t signal(bool) {
        event.set();
        return 1;
    }
    kernel::EventFlag event{kernel::EventReset::Automatic};
};
TEST(AutomaticEventModel, IsFollowedStepByStep) {
    run_model(run_line_model<UnitsSubject<AutomaticEventKind, 1, true>>, Machines::Replay);
}

class ManualEventSubject {
public:
    static void perform(Player& self) {
        self.result = code_of(static_cast<ManualEventSubject*>(self.model)->event_.wait(self.order.timeout_ns));
    }
    static void clean_up(Player&) {}
    bool holds(uint32_t) const { return false; }
    bool admits(uint32_t) const { return set_; }
    void enter(uint32_t, uint32_t) {}
    void leave(uint32_t) {}
    void change(KernelRandom& random) {
        set_ = random.one_in(2);
        set_ ? event_.set() : event_.reset();
        MODEL_CHECK(event_.is_set() == set_);
    }
    void changed() {}

private:
    kernel::EventFlag event_{kernel::EventReset::Manual};
    bool set_ = false;
};
TEST(ManualEventModel, IsFollowedStepByStep) {
    run_model(run_line_model<ManualEventSubject>, Machines::Replay);
}

}  // namespace
}  // namespace helix::test
