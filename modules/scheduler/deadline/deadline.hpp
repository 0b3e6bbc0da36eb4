// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Deadline policy: reservations by the earliest deadline first, everybody else behind them in turn.
//
// Each reservation is a constant bandwidth server, after L. Abeni and G. Buttazzo, "Integrating Multimedia Applications
// in Hard Real-Time Systems" (RTSS 1998): it has a budget and a deadline, and of those that wait the one with the
// earliest deadline runs (C. Liu and J. Layland, JACM 1973). Who wakes keeps both if it could not have used more than
// its share with them, otherwise a new period begins. Unlike there, whoever has used up its budget does not go on with
// a later deadline: until the period ends it runs only when nobody else would, so that neither other reservations nor
// the threads behind them pay. Yielding says that the work of this period is done.
//
// A reservation is granted on one CPU, its home, if all of them there take no more than the limit; then the deadlines
// hold, up to a tick for each that comes in between, as long as the kernel class leaves the CPU alone. The thread's own
// CPU is tried first, then the others. It is a reservation only there: it waits at home, the kernel moves it there and
// nowhere else, and where it cannot be at home (the CPU is offline, or not in its affinity) it looks for another. A
// reservation that came with the thread when this policy took over is granted when the thread is enqueued, if there is
// room; until there is, the thread is one of those behind. Priorities mean nothing.
//
// What a server has used of its budget is paid for by the time in which its part of the CPU would have sufficed for it
// (its zero-lag time; L. Abeni, G. Lipari, A. Parri and Y. Sun, "Multicore CPU Reclaiming: Parallel or Sequential?",
// SAC 2016). Only from then on others may reserve what it gives back, and only then begins the first period of what its
// thread reserves instead: neither who ends nor who asks again and again takes more than it was promised.
//
// Queues and budgets are in the areas of CPUs and threads, under the CPU's lock.
#pragma once

#include "../counted_policy.hpp"
#include "../thread_list.hpp"
#include "../thread_tree.hpp"
#include "utilisation.hpp"

namespace helix::scheduling {

class DeadlinePolicy : public CountedPolicy {
public:
    static constexpr Option kOptions[] = {
        Option::integer("time_slice_ms", 1, 1000, 10, "How long a thread without a reservation runs in its turn"),
        Option::integer("reservable_percent", 1, 100, 90, "How much of each CPU may be reserved"),
    };

    Result<void> init(const Context& context) override {
        slice_ns_ = static_cast<uint64_t>(TRY(context.config_integer("time_slice_ms"))) * kMillisecond;
        const int64_t percent = TRY(context.config_integer("reservable_percent"));
        context_ = &context;
        utilisation_.configure(static_cast<uint32_t>(percent) * (Utilisation::kWhole / 100));
        return {};
    }

    /// `statistics`: settings and counters as JSON. `reservations`: for each CPU that takes part, millionths of it,
    /// with those that are given back but not yet free for others.
    Result<Response> handle_request(const Request& request) override {
        if (request.request_type == "statistics")
            return Response::ok(format<250>("{{\"time_slice_ms\":{},\"reservable\":{},\"overruns\":{},{}}}",
                                            slice_ns_ / kMillisecond, utilisation_.limit(),
                                            __atomic_load_n(&overruns_, __ATOMIC_RELAXED), counts_as_json())
                                    .text());
        if (request.request_type != "reservations") return ErrorCode::NotImplemented;
        FixedText<1500> out;
        for (uint64_t left = utilisation_.online(); left != 0; left &= left - 1) {
            const auto cpu = static_cast<CpuId>(__builtin_ctzll(left));
            utilisation_.free_what_is_due(cpu, context_->now_ns());
            out.append(out.empty() ? Text("[") : Text(","));
            out.append(format<20>("{}", utilisation_.reserved(cpu)).text());
        }
        out.append(out.empty() ? Text("[]") : Text("]"));
        return Response::ok(out.text());
    }

    SchedulerTraits plug_in() override {
        utilisation_.clear();
        return SchedulerTraits::Preempts | SchedulerTraits::WantsBlock | SchedulerTraits::WantsTime |
               SchedulerTraits::PlacesThreads | turns_of(slice_ns_);
    }
    void cpu_changed(SchedulerCpu& cpu, bool online) override { utilisation_.set_online(cpu.id, online); }

    void enqueue(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason reason) override {
        State& state = state_of(thread);
        if (state.place != Place::None) return disagree();
        count_enqueue(cpu);
        const bool ran = reason == EnqueueReason::Preempted || reason == EnqueueReason::Yielded;
        const uint64_t now_ns = cpu.now_ns;
        if (ran) charge(thread);
        if (thread.attributes.reserves() &&
            (state.part != Utilisation::part_of(thread.attributes) || !has_home(thread)) &&
            !find_home(cpu, thread, thread.attributes))
            give_back(thread, now_ns);
        if (state.part != 0) {
            if (!ran) wake(thread, now_ns);
            if (reason == EnqueueReason::Yielded && state.budget_ns > 0) state.budget_ns = 0;
            replenish_if_due(thread, now_ns);
        }
        state.resumes = reason == EnqueueReason::Preempted && state.part == 0 && !has_had_its_turn(thread);
        put(cpu, thread);
    }

    void dequeue(SchedulerCpu& cpu, SchedulerThread& thread, DequeueReason reason) override {
        if (state_of(thread).place == Place::None) return disagree();
        take(cpu, thread);
        if (reason == DequeueReason::Picked) begin_run(thread);
        if (reason == DequeueReason::Ended) give_back(thread, cpu.now_ns);
    }

    SchedulerThread* pick_next(SchedulerCpu& cpu) override {
        SchedulerThread* const thread = DeadlinePolicy::would_pick(cpu);
        if (thread == nullptr) return nullptr;
        take(cpu, *thread);
        begin_run(*thread);
        ++counters(cpu).picks;
        return thread;
    }

    SchedulerThread* would_pick(SchedulerCpu& cpu) override {
        Queues& queues = queues_of(cpu);
        SchedulerThread* thread = queues.ready.first();
        if (thread == nullptr) thread = queues.behind.first();
        return thread != nullptr ? thread : queues.spent.first();
    }

    void block(SchedulerCpu& cpu, SchedulerThread& thread, BlockReason reason) override {
        charge(thread);
        if (reason == BlockReason::Ended) give_back(thread, cpu.now_ns);
    }

    TickDecision tick(SchedulerCpu& cpu, uint64_t now_ns) override {
        Queues& queues = queues_of(cpu);
        utilisation_.free_what_is_due(cpu.id, now_ns);
        while (SchedulerThread* const spent = queues.spent.first()) {
            if (state_of(*spent).period_end_ns > now_ns) break;
            take(cpu, *spent);
            replenish_if_due(*spent, now_ns);
            put(cpu, *spent);
        }
        if (cpu.current == nullptr) return TickDecision::Continue;
        SchedulerThread& thread = *cpu.current;
        State& state = state_of(thread);
        if (charge(thread)) __atomic_fetch_add(&overruns_, 1, __ATOMIC_RELAXED);
        if (state.part != 0) replenish_if_due(thread, now_ns);
        const SchedulerThread* const ready = queues.ready.first();
        const Place place = place_of(cpu, thread);
        bool preempts = ready != nullptr;
        if (place == Place::Ready) {
            preempts = preempts && state_of(*ready).deadline_ns < state.deadline_ns;
        } else if (place == Place::Spent) {
            preempts = preempts || !queues.behind.empty();
        } else if (!preempts && (state.part != 0 || has_had_its_turn(thread))) {
            preempts = !queues.behind.empty();
            if (!preempts && state.part == 0) state.slice_start_ns = thread.runtime_ns;
        }
        if (!preempts) return TickDecision::Continue;
        ++counters(cpu).preemptions;
        return TickDecision::Preempt;
    }

    bool should_preempt(const SchedulerCpu& cpu, const SchedulerThread& woken) const override {
        if (cpu.current == nullptr) return true;
        const Place mine = place_of(cpu, *cpu.current);
        const Place its = state_of(woken).place;
        if (its != Place::Ready || mine != Place::Ready) return its < mine;
        return state_of(woken).deadline_ns < state_of(*cpu.current).deadline_ns;
    }
    CpuId select_cpu(const SchedulerThread& thread, CpuId waker) const override {
        const State& state = state_of(thread);
        if (state.part != 0 && allowed(thread, state.home)) return state.home;
        return CountedPolicy::select_cpu(thread, waker);
    }
    bool may_move(const SchedulerThread& thread, CpuId to) const override {
        return state_of(thread).part == 0 || state_of(thread).home == to;
    }

    void priority_changed(SchedulerCpu&, SchedulerThread& thread, uint32_t, bool queued) override {
        if (queued != (state_of(thread).place != Place::None)) disagree();
    }
    bool set_attributes(SchedulerCpu& cpu, SchedulerThread& thread, const SchedulingAttributes& wanted,
                        bool queued) override {
        State& state = state_of(thread);
        if (queued != (state.place != Place::None)) {
            disagree();
            return false;
        }
        if (cpu.current == &thread) charge(thread);
        // Who has what it asks for goes on with the budget and the deadline that it has.
        if (wanted.reserves() && has_home(thread) && wanted.runtime_ns == thread.attributes.runtime_ns &&
            wanted.period_ns == thread.attributes.period_ns && wanted.due_ns() == thread.attributes.due_ns())
            return true;
        // A refusal changes nothing; a grant changes that by which the queues are ordered.
        Grant grant;
        if (wanted.reserves() && !reserve(cpu, thread, wanted, grant)) return false;
        if (queued) take(cpu, thread);
        if (wanted.reserves())
            begin(thread, wanted, grant, cpu.now_ns);
        else
            give_back(thread, cpu.now_ns);
        if (queued) put(cpu, thread);
        return true;
    }

    SchedulerStatistics statistics(const SchedulerCpu& cpu) const override {
        return counted(cpu, queues_of(cpu).count);
    }
    bool self_check(const SchedulerCpu& cpu, const SchedulerThread& thread) const override {
        const Queues& queues = queues_of(cpu);
        switch (state_of(thread).place) {
            case Place::Ready: return queues.ready.holds(thread);
            case Place::Behind: return queues.behind.holds(thread);
            case Place::Spent: return queues.spent.holds(thread);
            case Place::None: break;
        }
        return false;
    }

    /// Those with budget by deadline, those who have used it up by when they get more, and those behind.
    size_t dump(const SchedulerCpu& cpu, Span<char> out) const override {
        const Queues& queues = queues_of(cpu);
        size_t size = format_to(out, "{} queued, {} millionths reserved, at {} us\n", queues.count,
                                utilisation_.reserved(cpu.id), cpu.now_ns / 1000);
        const auto write = [&](SchedulerThread& thread, Text what, uint64_t time_ns) {
            size += format_to(out.subspan(size), "{}: budget {} us, {} {} us\n", static_cast<uint64_t>(thread.id),
                              state_of(thread).budget_ns / 1000, what, time_ns / 1000);
        };
        for (SchedulerThread* at = queues.ready.first(); at != nullptr && size < out.size();
             at = queues.ready.next(*at))
            write(*at, "deadline", state_of(*at).deadline_ns);
        for (SchedulerThread* at = queues.spent.first(); at != nullptr && size < out.size();
             at = queues.spent.next(*at))
            write(*at, "spent until", state_of(*at).period_end_ns);
        size += format_to(out.subspan(size), "behind:");
        for (SchedulerThread* at = queues.behind.first(); at != nullptr && size < out.size();
             at = queues.behind.next(*at))
            size += format_to(out.subspan(size), " {}", static_cast<uint64_t>(at->id));
        return size + format_to(out.subspan(size), "\n");
    }

    /// What is reserved of `cpu`, in millionths.
    uint32_t reserved(CpuId cpu) const { return utilisation_.reserved(cpu); }

protected:
    ~DeadlinePolicy() = default;

private:
    /// In the order in which they go first.
    enum class Place : uint8_t { None = 0, Ready = 1, Behind = 2, Spent = 3 };

    /// What the policy keeps in each thread. Zero when it first sees the thread.
    struct State {
        union {
            TreeNode node;    ///< Ready, Spent
            ListLinks links;  ///< Behind
        };
        union {
            uint64_t deadline_ns;     ///< with a reservation
            uint64_t slice_start_ns;  ///< without: CPU time it had used when its turn began
        };
        uint64_t period_end_ns;  ///< when it gets its next budget
        int64_t budget_ns;
        uint64_t charged_ns;  ///< the CPU time up to which the budget counts it
        uint32_t part;        ///< of its home, in millionths; 0: nothing is reserved
        uint8_t home;
        Place place;
        bool resumes;  ///< goes on with the turn that it had
    };
    static_assert(sizeof(State) <= SchedulerThread::kAreaSize);

    struct ByDeadline {
        static TreeNode& node(SchedulerThread& thread) { return state_of(thread).node; }
        static const TreeNode& node(const SchedulerThread& thread) { return state_of(thread).node; }
        static bool before(const SchedulerThread& a, const SchedulerThread& b) {
            return state_of(a).deadline_ns < state_of(b).deadline_ns;
        }
        static bool summarise(SchedulerThread&) { return false; }
    };
    struct ByPeriodEnd : ByDeadline {
        static bool before(const SchedulerThread& a, const SchedulerThread& b) {
            return state_of(a).period_end_ns < state_of(b).period_end_ns;
        }
    };
    struct InLine {
        static ListLinks& links(SchedulerThread& thread) { return state_of(thread).links; }
        static const ListLinks& links(const SchedulerThread& thread) { return state_of(thread).links; }
    };
    struct Queues {
        ThreadTree<ByDeadline> ready;   ///< reservations with budget
        ThreadTree<ByPeriodEnd> spent;  ///< reservations that have used it up
        ThreadList<InLine> behind;      ///< all others
        uint64_t count;
    };
    static_assert(sizeof(Queues) <= SchedulerCpu::kAreaSize);

    static State& state_of(SchedulerThread& thread) { return thread.policy<State>(); }
    static const State& state_of(const SchedulerThread& thread) { return thread.policy<State>(); }
    static Queues& queues_of(SchedulerCpu& cpu) { return cpu.policy<Queues>(); }
    static const Queues& queues_of(const SchedulerCpu& cpu) { return cpu.policy<Queues>(); }

    /// Where `thread` belongs on `cpu`, by what is left to it.
    static Place place_of(const SchedulerCpu& cpu, const SchedulerThread& thread) {
        const State& state = state_of(thread);
        if (state.part == 0 || state.home != cpu.id) return Place::Behind;
        return state.budget_ns > 0 ? Place::Ready : Place::Spent;
    }
    void put(SchedulerCpu& cpu, SchedulerThread& thread) {
        Queues& queues = queues_of(cpu);
        State& state = state_of(thread);
        state.place = place_of(cpu, thread);
        if (state.place == Place::Ready)
            queues.ready.insert(thread);
        else if (state.place == Place::Spent)
            queues.spent.insert(thread);
        else if (state.resumes)
            queues.behind.push_front(thread);
        else
            queues.behind.push_back(thread);
        ++queues.count;
    }
    void take(SchedulerCpu& cpu, SchedulerThread& thread) {
        Queues& queues = queues_of(cpu);
        State& state = state_of(thread);
        if (state.place == Place::Ready)
            queues.ready.remove(thread);
        else if (state.place == Place::Spent)
            queues.spent.remove(thread);
        else
            queues.behind.remove(thread);
        state.place = Place::None;
        --queues.count;
    }
    /// Of one without a reservation: whether it used its slice, however often others came in between.
    bool has_had_its_turn(const SchedulerThread& thread) const {
        return thread.runtime_ns - state_of(thread).slice_start_ns >= slice_ns_;
    }
    static void begin_run(SchedulerThread& thread) {
        State& state = state_of(thread);
        state.charged_ns = thread.runtime_ns;
        if (state.part == 0 && !state.resumes) state.slice_start_ns = thread.runtime_ns;
        state.resumes = false;
    }

    /// Counts what `thread` used since it was last charged; true if that was the end of its budget.
    static bool charge(SchedulerThread& thread) {
        State& state = state_of(thread);
        const uint64_t used_ns = thread.runtime_ns - state.charged_ns;
        state.charged_ns = thread.runtime_ns;
        if (state.part == 0 || state.budget_ns <= 0) return false;
        const bool ends = used_ns >= static_cast<uint64_t>(state.budget_ns);
        // What it used beyond is taken from the next budget, but not from more than that one.
        const auto least = -static_cast<int64_t>(thread.attributes.runtime_ns);
        state.budget_ns = used_ns > static_cast<uint64_t>(state.budget_ns - least)
                              ? least
                              : state.budget_ns - static_cast<int64_t>(used_ns);
        return ends;
    }
    static void begin_period(State& state, const SchedulingAttributes& attributes, uint64_t begin_ns) {
        state.budget_ns = static_cast<int64_t>(attributes.runtime_ns);
        state.deadline_ns = begin_ns + attributes.due_ns();
        state.period_end_ns = begin_ns + attributes.period_ns;
    }
    /// The rule for a server that becomes active: it keeps its deadline if what is left of its budget is no more than
    /// its share of the time up to there.
    static void wake(SchedulerThread& thread, uint64_t now_ns) {
        State& state = state_of(thread);
        const SchedulingAttributes& attributes = thread.attributes;
        if (state.budget_ns <= 0 && now_ns < state.period_end_ns) return;
        if (now_ns < state.deadline_ns &&
            static_cast<unsigned __int128>(state.budget_ns) * attributes.due_ns() <=
                static_cast<unsigned __int128>(state.deadline_ns - now_ns) * attributes.runtime_ns)
            return;
        begin_period(state, attributes, now_ns);
    }
    /// A new period begins for `thread`, whose budget is used up, if the old one is over: at its end, or now if that
    /// was a whole period ago.
    static void replenish_if_due(SchedulerThread& thread, uint64_t now_ns) {
        State& state = state_of(thread);
        const SchedulingAttributes& attributes = thread.attributes;
        if (state.budget_ns > 0 || now_ns < state.period_end_ns) return;
        const int64_t overrun_ns = state.budget_ns;
        const uint64_t end_ns = state.period_end_ns;
        begin_period(state, attributes, now_ns - end_ns < attributes.period_ns ? end_ns : now_ns);
        state.budget_ns += overrun_ns;
    }

    /// When what the server of `thread` used so far is paid for, up to now, by its part of the CPU: it keeps nobody
    /// waiting longer than it was allowed to, if it does nothing from now on and its part is another's from then on.
    static uint64_t zero_lag_ns(const State& state) {
        // No budget is longer than those of valid attributes, and an overrun no longer than a budget.
        const auto left_ns = state.budget_ns * int64_t{Utilisation::kWhole} / int64_t{state.part};
        return state.deadline_ns - static_cast<uint64_t>(left_ns);
    }
    /// When `thread`, with another reservation than it has, would have used no more than both allow: by the share of
    /// the period, which is less than its part if its deadlines are earlier than the periods' ends.
    static uint64_t next_begin_ns(const SchedulerThread& thread) {
        const State& state = state_of(thread);
        if (state.part == 0) return state.period_end_ns;
        const uint64_t least_ns = zero_lag_ns(state);
        uint64_t at_ns = state.period_end_ns;
        if (state.budget_ns > 0 && thread.attributes.reserves()) {
            // Of the period what is left of the budget; rounded down, in words that a module can divide.
            auto left = static_cast<uint64_t>(state.budget_ns);
            const uint64_t period_ns = thread.attributes.period_ns;
            const int bits = 128 - __builtin_clzll(left) - __builtin_clzll(period_ns);
            const int shift = bits > 64 ? bits - 64 : 0;
            left = (left >> shift) * period_ns / ((thread.attributes.runtime_ns >> shift) + (shift != 0 ? 1 : 0));
            at_ns = left < at_ns ? at_ns - left : 0;
        }
        return at_ns > least_ns ? at_ns : least_ns;
    }

    /// Whether what `thread` has reserved is on a CPU where it can be.
    bool has_home(const SchedulerThread& thread) const {
        const State& state = state_of(thread);
        return state.part != 0 && utilisation_.is_online(state.home) && allowed(thread, state.home);
    }

    /// Where a part of a CPU was reserved for a thread: all of what it wants there, or what it has there already is
    /// among it.
    struct Grant {
        CpuId home = 0;
        uint32_t part = 0;
        bool stays = false;
    };
    /// Reserves what `wanted` takes, on the CPU where `thread` is or another. False, and nothing has changed, if there
    /// is no room. What it has already is given back by `begin`.
    bool reserve(const SchedulerCpu& cpu, const SchedulerThread& thread, const SchedulingAttributes& wanted,
                 Grant& grant) {
        const State& state = state_of(thread);
        grant = {state.home, Utilisation::part_of(wanted), true};
        if (has_home(thread)) {  // there the difference will do
            if (grant.part <= state.part) return true;
            if (utilisation_.reserve(state.home, grant.part - state.part, cpu.now_ns)) return true;
        }
        grant.stays = false;
        uint64_t candidates = utilisation_.online() & thread.affinity;
        for (CpuId next = cpu.id;; next = static_cast<CpuId>(__builtin_ctzll(candidates))) {
            if ((candidates >> next & 1) != 0 && utilisation_.reserve(next, grant.part, cpu.now_ns)) {
                grant.home = next;
                return true;
            }
            candidates &= ~(uint64_t{1} << next);
            if (candidates == 0) return false;
        }
    }
    /// `thread`, in no queue, has `wanted` from now on, as `reserve` granted it; of what it had it gives back what is
    /// too much. Its first period begins when what it used before is paid for.
    void begin(SchedulerThread& thread, const SchedulingAttributes& wanted, const Grant& grant, uint64_t now_ns) {
        State& state = state_of(thread);
        const uint64_t begin_ns = next_begin_ns(thread);
        if (!grant.stays)
            give_back(thread, now_ns);
        else if (grant.part < state.part)
            utilisation_.release(state.home, state.part - grant.part, zero_lag_ns(state), now_ns);
        state.home = static_cast<uint8_t>(grant.home);
        state.part = grant.part;
        if (begin_ns <= now_ns) return begin_period(state, wanted, now_ns);
        state.budget_ns = 0;
        state.deadline_ns = state.period_end_ns = begin_ns;
    }
    bool find_home(const SchedulerCpu& cpu, SchedulerThread& thread, const SchedulingAttributes& wanted) {
        Grant grant;
        if (!reserve(cpu, thread, wanted, grant)) return false;
        begin(thread, wanted, grant, cpu.now_ns);
        return true;
    }
    /// `thread`, in no queue, has no reservation any more.
    void give_back(SchedulerThread& thread, uint64_t now_ns) {
        State& state = state_of(thread);
        if (state.part != 0) {
            const uint64_t next_ns = next_begin_ns(thread);
            utilisation_.release(state.home, state.part, zero_lag_ns(state), now_ns);
            state.period_end_ns = next_ns;
        }
        state.part = 0;
        state.slice_start_ns = thread.runtime_ns;
    }

    uint64_t slice_ns_ = 10 * kMillisecond;
    const Context* context_ = nullptr;
    uint64_t overruns_ = 0;  ///< budgets that a thread would have gone beyond; atomic
    Utilisation utilisation_;
};

}  // namespace helix::scheduling
