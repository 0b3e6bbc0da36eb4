// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A scheduler that breaks the rule it is told to is found out, whichever that is. It says in the log whom it wronged,
// and on which CPU, so that a test can compare that with what the kernel says.

#include "../odd_policy.hpp"

using namespace helix;

class SchedulerRuleBreaker final : public test_support::OddPolicy {
public:
    static constexpr auto kInfo =
        ModuleInfo{"scheduler-rule-breaker"}
            .version(1, 0, 0)
            .flags(ModuleFlags::Scheduler | ModuleFlags::HotReloadable | ModuleFlags::Experimental)
            .dependencies({"helix-execution >=1.0"})
            .provides({"helix.scheduler"});

    Result<void> init(const Context& context) override {
        context_ = &context;
        return OddPolicy::init(context);
    }
    Result<void> start() override {
        never_ = TRY(context_->semaphore_create(0));
        return OddPolicy::start();
    }
    Result<void> stop() override {
        TRY(context_->semaphore_destroy(never_));
        return OddPolicy::stop();
    }

    /// `break WAY`: from now on, and does not return before that was found out.
    ///   never      picks nobody
    ///   foreign    picks memory of its own
    ///   running    picks a thread that runs on another CPU
    ///   blocked    picks a thread that has just blocked
    ///   elsewhere  picks a thread that waits on another CPU
    ///   forgets    forgets a thread, and says so in its statistics
    ///   hides      forgets a thread, and says that it has it
    ///   admits     forgets a thread, and says so only where it is asked for that one
    ///   starves    keeps a thread for when there is no other
    ///   counts     says that one more waits than does
    ///   migration  forgets who comes from another CPU; returns at once, for somebody has to come
    ///   area       writes over its own area of a CPU
    ///   tick       faults at a tick
    ///   spins      does not return from a pick
    /// `arm WAY`: from its next pick on, and so when it rules; returns at once.
    ///
    /// The log has a line `begins: WAY`, and then `wrongs thread N on CPU C` for each pick that is wrong, each thread
    /// that is kept from running, and whoever runs where it faults or spins; `never` has one for each that waits. Of
    /// those who are kept from running one after the other the last is meant.
    Result<Response> handle_request(const Request& request) override {
        const bool arms = request.request_type == "arm";
        if (request.request_type != "break" && !arms) return OddPolicy::handle_request(request);
        for (size_t i = 1; i < sizeof(kWays) / sizeof(kWays[0]); ++i) {
            if (as_text(request.payload) != kWays[i]) continue;
            if (arms) {
                __atomic_store_n(&armed_, static_cast<uint32_t>(i), __ATOMIC_RELEASE);
                return Response::ok_empty();
            }
            begin(static_cast<uint32_t>(i));
            if (does(Way::Migration)) return Response::ok_empty();
            TRY(context_->semaphore_wait(never_, 60'000'000'000));
        }
        return Response::err("break WAY, or arm WAY");
    }

    SchedulerTraits plug_in() override {
        return OddPolicy::plug_in() | SchedulerTraits::WantsBlock | SchedulerTraits::PlacesThreads;
    }
    /// Whom it keeps from running stays: who is moved might find another in its place.
    bool may_move(const SchedulerThread& thread, CpuId) const override { return !is_victim(thread); }

    void enqueue(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason reason) override {
        __atomic_store_n(&cpus_[cpu.id % kCpus], &cpu, __ATOMIC_RELEASE);
        SchedulerThread* self = &thread;
        __atomic_compare_exchange_n(&blocked_, &self, nullptr, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
        if (does(Way::Migration) && reason == EnqueueReason::Migrated) return wrongs(cpu, &thread);
        if (keeps_one_out() && thread.priority >= kMostUrgent) {
            SchedulerThread* nobody = nullptr;
            if (__atomic_compare_exchange_n(&victim_, &nobody, &thread, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
                __atomic_store_n(&victim_cpu_, cpu.id, __ATOMIC_RELEASE);
                return wrongs(cpu, &thread);
            }
        }
        OddPolicy::enqueue(cpu, thread, reason);
    }
    void dequeue(SchedulerCpu& cpu, SchedulerThread& thread, DequeueReason reason) override {
        if (is_victim(thread)) return __atomic_store_n(&victim_, nullptr, __ATOMIC_RELEASE);
        OddPolicy::dequeue(cpu, thread, reason);
    }
    SchedulerThread* pick_next(SchedulerCpu& cpu) override {
        SchedulerThread* wrong = nullptr;
        if (const uint32_t armed = __atomic_exchange_n(&armed_, 0, __ATOMIC_ACQ_REL); armed != 0) begin(armed);
        switch (static_cast<Way>(__atomic_load_n(&way_, __ATOMIC_ACQUIRE))) {
            case Way::Never: wrongs_all(cpu); return nullptr;
            case Way::Foreign: wrongs(cpu, cpu.current); return &own_;
            case Way::Spins:
                wrongs(cpu, cpu.current);
                for (;;) asm volatile("");
            case Way::Running: wrong = on_another(cpu, [](SchedulerCpu& other) { return other.current; }); break;
            case Way::Elsewhere:
                wrong = on_another(cpu, [](SchedulerCpu& other) -> SchedulerThread* {
                    const auto& queue = queues(other);
                    return queue.empty() ? nullptr : queue.first[queue.highest()];
                });
                break;
            case Way::Blocked: wrong = __atomic_load_n(&blocked_, __ATOMIC_ACQUIRE); break;
            default: break;
        }
        if (wrong != nullptr) {
            wrongs(cpu, wrong);
            return wrong;
        }
        SchedulerThread* const thread = OddPolicy::pick_next(cpu);
        if (thread != nullptr || !does(Way::Starves) || __atomic_load_n(&victim_cpu_, __ATOMIC_ACQUIRE) != cpu.id)
            return thread;
        return __atomic_exchange_n(&victim_, nullptr, __ATOMIC_ACQ_REL);
    }
    void block(SchedulerCpu& cpu, SchedulerThread& thread, BlockReason reason) override {
        if (reason == BlockReason::Blocked) __atomic_store_n(&blocked_, &thread, __ATOMIC_RELEASE);
        OddPolicy::block(cpu, thread, reason);
    }
    TickDecision tick(SchedulerCpu& cpu, uint64_t now_ns) override {
        if (does(Way::Tick)) wrongs(cpu, cpu.current);
        if (does(Way::Tick)) asm volatile("ud2");
        if (does(Way::Area)) __builtin_memset(cpu.area, 0xa5, sizeof(cpu.area));
        return OddPolicy::tick(cpu, now_ns);
    }
    void priority_changed(SchedulerCpu& cpu, SchedulerThread& thread, uint32_t old, bool queued) override {
        if (!is_victim(thread)) OddPolicy::priority_changed(cpu, thread, old, queued);
    }
    SchedulerStatistics statistics(const SchedulerCpu& cpu) const override {
        SchedulerStatistics answer = OddPolicy::statistics(cpu);
        const bool keeps = __atomic_load_n(&victim_, __ATOMIC_ACQUIRE) != nullptr &&
                           __atomic_load_n(&victim_cpu_, __ATOMIC_ACQUIRE) == cpu.id;
        if (does(Way::Counts) || (keeps && !does(Way::Forgets))) ++answer.runnable;
        return answer;
    }
    bool self_check(const SchedulerCpu& cpu, const SchedulerThread& thread) const override {
        if (is_victim(thread)) return !does(Way::Forgets) && !does(Way::Admits);
        return OddPolicy::self_check(cpu, thread);
    }

private:
    enum class Way : uint32_t {
        None,
        Never,
        Foreign,
        Running,
        Blocked,
        Elsewhere,
        Forgets,
        Hides,
        Admits,
        Starves,
        Counts,
        Migration,
        Area,
        Tick,
        Spins
    };

    static constexpr Text kWays[] = {"",          "never",     "foreign", "running", "blocked",
                                     "elsewhere", "forgets",   "hides",   "admits",  "starves",
                                     "counts",    "migration", "area",    "tick",    "spins"};

    /// Of helix-workload: nobody keeps such a thread waiting by right.
    static constexpr uint32_t kMostUrgent = kDefaultPriority + 2;

    bool does(Way way) const { return __atomic_load_n(&way_, __ATOMIC_ACQUIRE) == static_cast<uint32_t>(way); }
    void begin(uint32_t way) {
        context_->info("begins: {}", kWays[way]);
        __atomic_store_n(&wronged_all_, 0, __ATOMIC_RELEASE);
        __atomic_store_n(&way_, way, __ATOMIC_RELEASE);
    }
    /// With the lock of `cpu` held, where the log may be written to, as anywhere. Of who is null only the CPU is said.
    void wrongs(const SchedulerCpu& cpu, const SchedulerThread* thread) const {
        if (thread == nullptr)
            context_->info("wrongs no thread on CPU {}", cpu.id);
        else
            context_->info("wrongs thread {} on CPU {}", static_cast<uint64_t>(thread->id), cpu.id);
    }
    /// Once for each CPU: the one that finds it out may take a while to say so, and others go on asking meanwhile.
    void wrongs_all(const SchedulerCpu& cpu) {
        const uint64_t bit = uint64_t{1} << cpu.id;
        if ((__atomic_fetch_or(&wronged_all_, bit, __ATOMIC_ACQ_REL) & bit) != 0) return;
        const auto& queue = queues(cpu);
        for (uint32_t rest = queue.occupied; rest != 0; rest &= rest - 1)
            for (const SchedulerThread* at = queue.first[__builtin_ctz(rest)]; at != nullptr;
                 at = scheduling::state_of(*at).next)
                wrongs(cpu, at);
    }
    bool keeps_one_out() const {
        return does(Way::Forgets) || does(Way::Hides) || does(Way::Admits) || does(Way::Starves);
    }
    bool is_victim(const SchedulerThread& thread) const {
        return __atomic_load_n(&victim_, __ATOMIC_ACQUIRE) == &thread;
    }
    /// What `find` finds on a CPU beside `cpu`; null if nothing. Without that CPU's lock: it may be of a moment ago.
    template <typename Find>
    SchedulerThread* on_another(const SchedulerCpu& cpu, Find find) {
        for (SchedulerCpu*& place : cpus_) {
            SchedulerCpu* const other = __atomic_load_n(&place, __ATOMIC_ACQUIRE);
            if (other == nullptr || other == &cpu) continue;
            if (SchedulerThread* const found = find(*other); found != nullptr) return found;
        }
        return nullptr;
    }

    const Context* context_ = nullptr;
    SemaphoreId never_ = SemaphoreId::None;
    // Shared between CPUs; atomic.
    uint32_t way_ = 0;                    ///< Way
    uint64_t wronged_all_ = 0;            ///< bit n: those on CPU n were named
    uint32_t armed_ = 0;                  ///< the way that comes with the next pick
    SchedulerThread* blocked_ = nullptr;  ///< who blocked last, until it is woken
    SchedulerThread* victim_ = nullptr;   ///< who was kept out of the queues
    CpuId victim_cpu_ = 0;
    SchedulerCpu* cpus_[kCpus] = {};
    SchedulerThread own_{};
};
HELIX_MODULE(SchedulerRuleBreaker)
