// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Timers of modules against a model of them: which units there are to take, whatever is started, stopped, taken late,
// given back as a whole, or moved from a CPU that leaves.
#include "model_kernel.hpp"

#include "kernel/module/instance.hpp"

namespace helix::test {
namespace {

using kernel::Instance;
using kernel::SemaphoreTable;

constexpr size_t kSemaphores = 4, kTimers = 3;
/// How late a time may be seen: other CPUs may have their turns first.
constexpr uint64_t kLateNs = 6'000'000;

/// When something happened, to what is known of it.
struct Moment {
    uint64_t from = 0;
    uint64_t to = 0;
};
template <typename Action>
Moment during(Action action) {
    const uint64_t from = arch::now_ns();
    action();
    return {from, arch::now_ns()};
}

struct Timer {
    TimerId id = TimerId::None;  ///< None: there is none
    Moment first;                ///< when its first time comes
    uint64_t period_ns = 0;
};
/// A semaphore that nothing else signals.
struct Signalled {
    SemaphoreId id = SemaphoreId::None;
    Timer timers[kTimers];
    Moment emptied;  ///< when it was last seen to have no unit
};

/// Calls `visit` for each time of `timer` up to `until_ns`.
template <typename Visit>
void for_each_time(const Timer& timer, uint64_t until_ns, Visit visit) {
    if (timer.id == TimerId::None) return;
    for (Moment time = timer.first; time.from <= until_ns; time.from += timer.period_ns, time.to += timer.period_ns) {
        visit(time);
        if (timer.period_ns == 0) return;
    }
}

class TimerModel {
public:
    TimerModel(const ModelRun& run, Instance& owner)
        : run_(run), owner_(owner), table_(run.kernel.modules.semaphores()), random_(run.seed) {}

    void perform() {
        const size_t before = table_.in_use();
        for (Signalled& signalled : all_) create(signalled);
        for (uint64_t step = 0; step < run_.steps / 4; ++step) {
            Signalled& signalled = all_[random_.below(kSemaphores)];
            Timer& timer = signalled.timers[random_.below(kTimers)];
            switch (random_.below(8)) {
                case 0:
                case 1: timer.id == TimerId::None ? start(signalled, timer) : stop(signalled, timer); break;
                case 2:
                case 3: take(signalled); break;
                case 4: wait(signalled); break;
                case 5: MODEL_CHECK(run_.kernel.threads.sleep(random_.below(40'000'000)).ok()); break;
                case 6: change_cpus(); break;
                default: random_.one_in(10) ? give_back() : destroy(signalled); break;
            }
            took_step();
        }
        table_.release_all(owner_);
        MODEL_CHECK(owner_.totals().empty() && table_.in_use() == before);
        MODEL_CHECK(run_.kernel.threads.sleep(1'000'000'000).ok());
    }

private:
    void create(Signalled& signalled) {
        signalled = {};
        signalled.emptied = during([&] {
            auto created = table_.create(owner_, 0);
            MODEL_CHECK(created.ok());
            signalled.id = created.value();
        });
    }
    /// On whichever CPU a new thread runs.
    void start(Signalled& signalled, Timer& timer) {
        struct Order {
            TimerModel& model;
            Signalled& signalled;
            Timer& timer;
        } order{*this, signalled, timer};
        const uint64_t first_ns = random_.one_in(8) ? 0 : random_.below(50'000'000);
        timer.period_ns = random_.one_in(2) ? 0 : Context::kShortestPeriodNs + random_.below(20'000'000);
        timer.first = {first_ns, first_ns};
        auto thread = run_.kernel.threads.create(
            "starts",
            [](void* argument) {
                auto& wanted = *static_cast<Order*>(argument);
                const Moment now = during([&] {
                    auto started = wanted.model.table_.start_timer(wanted.model.owner_, wanted.signalled.id,
                                                                   wanted.timer.first.from, wanted.timer.period_ns);
                    MODEL_CHECK(started.ok());
                    wanted.timer.id = started.value();
                });
                wanted.timer.first.from += now.from;
                wanted.timer.first.to += now.to;
            },
            &order);
        MODEL_CHECK(thread.ok() && run_.kernel.threads.join(thread.value()).ok());
    }
    /// A stopped one signals no more: what it did signal is taken, and nothing may come after that.
    void stop(Signalled& signalled, Timer& timer) {
        bool stopped = false;
        const Moment now = during([&] { stopped = table_.stop_timer(owner_, timer.id).ok(); });
        const bool may_be_over = timer.period_ns == 0 && timer.first.from <= now.to;
        const bool is_over = timer.period_ns == 0 && timer.first.to + kLateNs <= now.from;
        MODEL_CHECK(stopped ? !is_over : may_be_over);
        take(signalled);
        timer.id = TimerId::None;
    }
    /// Takes all units that there are, one at a time.
    void take(Signalled& signalled) {
        for (bool taken = true; taken;) {
            const Moment now = during([&] { taken = table_.wait(owner_, signalled.id, 0).ok(); });
            check(signalled, taken, now);
        }
    }
    void check(Signalled& signalled, bool taken, const Moment& now) {
        bool may_have_come = false;
        bool has_come = false;
        for (const Timer& timer : signalled.timers)
            for_each_time(timer, now.to, [&](const Moment& time) {
                may_have_come |= time.to + kLateNs >= signalled.emptied.from;
                has_come |= time.from > signalled.emptied.to && time.to + kLateNs <= now.from;
            });
        MODEL_CHECK(taken ? may_have_come : !has_come);
        signalled.emptied = now;
    }
    /// Until the next time comes, if there is one.
    void wait(Signalled& signalled) {
        take(signalled);
        const uint64_t begin_ns = arch::now_ns();
        uint64_t next_ns = UINT64_MAX;
        for (const Timer& timer : signalled.timers)
            for_each_time(timer, begin_ns + 100'000'000, [&](const Moment& time) {
                if (time.from > begin_ns && time.to < next_ns) next_ns = time.to;
            });
        if (next_ns == UINT64_MAX) return;
        const Moment now = during([&] { MODEL_CHECK(table_.wait(owner_, signalled.id, kernel::kForever).ok()); });
        check(signalled, true, {now.to, now.to});
        MODEL_CHECK(now.to <= next_ns + kLateNs);
    }
    void destroy(Signalled& signalled) {
        bool may_run = false;
        bool runs = false;
        bool destroyed = false;
        const Moment now = during([&] {
            auto result = table_.destroy(owner_, signalled.id);
            destroyed = result.ok();
            MODEL_CHECK(destroyed || result.error().code() == ErrorCode::Busy);
        });
        for (const Timer& timer : signalled.timers) {
            if (timer.id == TimerId::None) continue;
            may_run |= timer.period_ns != 0 || timer.first.to + kLateNs > now.from;
            runs |= timer.period_ns != 0 || timer.first.from > now.to;
        }
        MODEL_CHECK(destroyed ? !runs : may_run);
        if (!destroyed) return;
        MODEL_CHECK(table_.signal(owner_, signalled.id).error().code() == ErrorCode::NotFound);
        create(signalled);
    }
    /// As when the module has gone.
    void give_back() {
        table_.release_all(owner_);
        MODEL_CHECK(owner_.totals().empty());
        for (Signalled& signalled : all_) {
            for (const Timer& timer : signalled.timers)
                MODEL_CHECK(table_.stop_timer(owner_, timer.id).error().code() == ErrorCode::NotFound);
            create(signalled);
        }
    }
    void change_cpus() {
        if (run_.cpus == 1) return;
        kernel::Cpus& cpus = run_.kernel.threads.cpus();
        const auto id = static_cast<CpuId>(1 + random_.below(run_.cpus - 1));
        MODEL_CHECK(cpus.is_online(id) ? cpus.take_offline(id).ok() : cpus.bring_online(id).ok());
    }

    const ModelRun& run_;
    Instance& owner_;
    SemaphoreTable& table_;
    KernelRandom random_;
    Signalled all_[kSemaphores];
};

void run_timers(const ModelRun& run) {
    Instance* owner = nullptr;
    run.kernel.modules.for_each([&](kernel::ModuleRecord& record) {
        if (record.name() == "helix-memory") owner = record.current;
    });
    MODEL_CHECK(owner != nullptr && owner->totals().empty());
    TimerModel(run, *owner).perform();
}
TEST(TimerModel, SignalsWhatIsDueAndNothingElseUnderReplay) {
    run_model(run_timers, Machines::Replay);
}

}  // namespace
}  // namespace helix::test
