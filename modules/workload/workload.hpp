// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Many threads of mixed behaviour, and the proof that each of them keeps running and none runs twice at once; and
// runs of workload files, which are in file_runs.hpp.
//
// A slot is one logical thread: a short-lived one is ended and replaced, its slot goes on. The requests run one at a
// time (the module contract); what they share with the threads is atomic or written before the threads start.
#pragma once

#include "file_runs.hpp"

#include "helix/module.hpp"

namespace helix::workload {

enum class Kind : uint32_t {
    Compute,  ///< computes and yields
    Burn,     ///< computes and never calls the kernel
    Sleep,    ///< computes and sleeps up to 20 ms
    Yield,    ///< yields with hardly any work between
    Ring,     ///< waits for the one before it in its ring and wakes the next; a pair is a ring of two
    Short,    ///< ends after some rounds, having started its successor
    Turns,    ///< computes and looks at the clock, to know how long its turns on the CPU are
};

class Workload;

struct alignas(16) Slot {
    Workload* owner;
    uint64_t progress;  ///< rounds completed; written by its own thread only; atomic
    uint64_t random;    ///< its own thread's alone; atomic, for when two run it after all
    uint32_t index;
    Kind kind;
    uint32_t next;  ///< Ring: index of the slot that this one wakes
    uint32_t priority;
    SemaphoreId semaphore;  ///< Ring: where this one waits
    uint32_t running;       ///< 1 between two points where the thread may leave the CPU by its own will; atomic
    uint32_t seen_check;    ///< number of the last check that saw it progress; atomic
    uint32_t thread;        ///< ThreadId of the newest thread of this slot; only moves forward; atomic
    ThreadId predecessor;   ///< the one before it, which the newest joins
    uint32_t reserved;
    uint64_t turn_begin_ns;  ///< Turns: when the present turn began, and the last moment at which it was seen;
    uint64_t turn_seen_ns;   ///< its own thread's alone; 0 before its first
};

class Workload final : public Module {
public:
    static constexpr auto kInfo = ModuleInfo{"helix-workload"}
                                      .version(1, 0, 0)
                                      .description("Threads of mixed behaviour or as a file says; checks and measures")
                                      .author("Helix contributors")
                                      .license("MIT OR Apache-2.0")
                                      .dependencies({"helix-execution >=1.0"});
    static constexpr Option kOptions[] = {
        Option::integer("seed", 0, INT64_MAX, 1, "What the behaviour of the threads is drawn from"),
        Option::duration(
            "check_timeout", 1'000'000, 600'000'000'000, "30s",
            "How long a check waits for every thread to make progress; 60ms for each of them if that is longer"),
        Option::integer("burst", 1, 10'000'000, 5000, "Steps of computation a thread does at most in one round"),
        Option::integer("burners", 0, 1000, 2, "How many threads compute without ever calling the kernel"),
        Option::integer("attribute_rounds", 0, 1'000'000, 0,
                        "One of so many rounds of a thread that sleeps changes what it asks of the scheduler; 0: none"),
        Option::integer("priority_spread", 0, 15, 2, "Priorities are drawn from 16 minus this to 16 plus this"),
        Option::duration("run_limit", 1'000'000, 3'600'000'000'000, "600s",
                         "When the run of a file that names no duration is given up"),
    };
    static constexpr uint32_t kMaximumThreads = 20'000;

    Result<void> init(const Context& context) override {
        context_ = &context;
        seed_ = static_cast<uint64_t>(TRY(context.config_integer("seed")));
        check_timeout_ns_ = TRY(context.config_duration("check_timeout"));
        burst_ = static_cast<uint32_t>(TRY(context.config_integer("burst")));
        burners_ = static_cast<uint32_t>(TRY(context.config_integer("burners")));
        attribute_rounds_ = static_cast<uint32_t>(TRY(context.config_integer("attribute_rounds")));
        priority_spread_ = static_cast<uint32_t>(TRY(context.config_integer("priority_spread")));
        runs_.use(context, TRY(context.config_duration("run_limit")));
        return {};
    }
    Result<void> start() override {
        all_seen_ = TRY(context_->semaphore_create(0));
        return {};
    }
    Result<void> stop() override {
        TRY(runs_.end());
        TRY(end_threads());
        return context_->semaphore_destroy(all_seen_);
    }

    /// `start N`: threads of mixed behaviour. `start_equals N`: threads of equal priority that only compute, and note
    /// how long their turns are. `start_steps N`: the same, each a priority below the one before it. `attributes "SLOT
    /// WEIGHT RUNTIME DEADLINE PERIOD"`, times in microseconds: what that thread asks of the scheduler. `affinity "SLOT
    /// MASK"`: the CPUs on which it may run, bit n being CPU n; 0: all. `turns`, `check`, `status`, `stop`: see the
    /// functions of these names. `run`, `details`, `calibrate`: see FileRuns.
    Result<Response> handle_request(const Request& request) override {
        if (request.request_type == "start") return start_threads(as_text(request.payload), Mix::All);
        if (request.request_type == "start_equals") return start_threads(as_text(request.payload), Mix::Equals);
        if (request.request_type == "start_steps") return start_threads(as_text(request.payload), Mix::Steps);
        if (request.request_type == "attributes") return set_attributes(as_text(request.payload));
        if (request.request_type == "affinity") return set_affinity(as_text(request.payload));
        if (request.request_type == "turns") return turns();
        if (request.request_type == "check") return check();
        if (request.request_type == "run") return runs_.run(as_text(request.payload));
        if (request.request_type == "details") return runs_.details();
        if (request.request_type == "calibrate") return runs_.calibrate(as_text(request.payload));
        if (request.request_type == "status") return Response::ok(status().text());
        if (request.request_type == "stop") {
            TRY(end_threads());
            return Response::ok(status().text());
        }
        return ErrorCode::NotImplemented;
    }

private:
    static constexpr uint32_t kAtOnce = 2000;  // threads that a request creates in its own call
    enum class Mix : uint32_t { All, Equals, Steps };
    static constexpr uint32_t kMaximumTurns = 1024;

    Span<Slot> slots() { return {reinterpret_cast<Slot*>(table_.mutable_bytes().data()), count_}; }

    // ---- Requests.

    /// Starts N threads. On an error none is left.
    Result<Response> start_threads(Text payload, Mix mix) {
        uint64_t wanted = 0;
        if (!parse_unsigned(payload, wanted) || wanted == 0 || wanted > kMaximumThreads)
            return Response::err(
                format("start N: \"{}\" is not a number from 1 to {}", payload, kMaximumThreads).text());
        if (count_ != 0)
            return Response::err(format("a crowd of {} runs already; stop it first", counted(count_, "thread")).text());
        auto table = Buffer::create(wanted * sizeof(Slot));
        if (!table.ok()) return Response::err(format("no memory for {}", counted(wanted, "thread")).text());
        table_ = table.take();
        count_ = static_cast<uint32_t>(wanted);
        __atomic_store_n(&stopping_, 0, __ATOMIC_RELAXED);
        started_ = ended_ = run_twice_ = cancelled_ = not_replaced_ = 0;
        turn_owner_ = turn_count_ = 0;
        lay_out(mix);
        auto result = count_ <= kAtOnce ? create_all() : create_all_apart();
        if (!result.ok()) {
            TRY(end_threads());
            Text remedy;
            if (result.error().code() == ErrorCode::OutOfMemory) remedy = "; run with more --memory";
            return Response::err(
                format("{}: {}{}", counted(wanted, "thread"), result.error().sentence(), remedy).text());
        }
        return Response::ok(status().text());
    }

    /// Reads as many numbers, with a space between each two.
    template <size_t N>
    static bool read_numbers(Text payload, uint64_t (&values)[N]) {
        for (uint64_t& value : values) {
            const size_t space = payload.find(' ');
            const bool last = &value == &values[N - 1];
            if (last != (space == SIZE_MAX) || !parse_unsigned(payload.substr(0, space), value)) return false;
            if (!last) payload = payload.substr(space + 1);
        }
        return true;
    }
    Result<Response> set_attributes(Text payload) {
        uint64_t values[5] = {};
        bool read = read_numbers(payload, values);
        for (const uint64_t value : values) read = read && value <= UINT32_MAX;
        if (!read) return Response::err("expected: SLOT WEIGHT RUNTIME DEADLINE PERIOD, times in microseconds");
        if (values[0] >= count_) return Response::err(format("there is no slot {}", values[0]).text());
        SchedulingAttributes wanted;
        wanted.weight = static_cast<uint32_t>(values[1]);
        wanted.runtime_ns = values[2] * 1000;
        wanted.deadline_ns = values[3] * 1000;
        wanted.period_ns = values[4] * 1000;
        TRY(context_->thread_set_attributes(newest_thread(slots()[values[0]]), wanted));
        return Response::ok_empty();
    }

    Result<Response> set_affinity(Text payload) {
        uint64_t values[2] = {};
        if (!read_numbers(payload, values))
            return Response::err("expected: SLOT MASK, the sum of 2 to the power of each CPU");
        if (values[0] >= count_) return Response::err(format("there is no slot {}", values[0]).text());
        const uint64_t cpus = values[1] != 0 ? values[1] : ~uint64_t{0};
        TRY(context_->thread_set_affinity(newest_thread(slots()[values[0]]), cpus));
        return Response::ok_empty();
    }

    /// Waits until every thread has completed a round since now. An error response names those that did not until
    /// the deadline: starved if they did soon after, lost if not; and any that ran twice at once. Who is interrupted
    /// (Cancelled, Restart) says nothing of them.
    Result<Response> check() {
        if (count_ == 0) return Response::err("no threads run; start N first");
        const uint64_t begin = context_->now_ns();
        while (context_->semaphore_wait(all_seen_, 0).ok()) {
        }
        __atomic_store_n(&unseen_, count_, __ATOMIC_RELAXED);
        const uint32_t number = __atomic_add_fetch(&check_number_, 1, __ATOMIC_RELEASE);

        const uint64_t patience_ns = check_patience_ns();
        const uint32_t late = TRY(wait_for_all(number, begin + patience_ns));
        const uint64_t elapsed_ns = context_->now_ns() - begin;
        FixedText<80> ids;
        uint32_t lost = 0;
        if (late != 0) {
            list_unseen(number, ids);
            lost = TRY(wait_for_all(number, begin + patience_ns + patience_ns / 2));
        }
        const uint64_t twice = __atomic_load_n(&run_twice_, __ATOMIC_RELAXED);
        if (late != 0 || twice != 0) {
            if (twice != 0 && late == 0)
                ids.append(format<20>(" slot {}", __atomic_load_n(&twice_slot_, __ATOMIC_RELAXED)).text());
            return Response::err(format("of {} {} starved, {} lost, {} run twice; ids:{}; waited for {} s",
                                        counted(count_, "thread"), late - lost, lost, twice, ids,
                                        (context_->now_ns() - begin) / 1'000'000'000)
                                     .text());
        }
        const Slot& slowest = slots()[__atomic_load_n(&slowest_, __ATOMIC_RELAXED)];
        return Response::ok(
            format<400>("{{\"threads\":{},\"progressed\":{},\"lost\":0,\"run_twice\":0,\"starved\":0,"
                        "\"slowest_id\":{},\"slowest_ms\":{},\"ended_as_planned\":{},\"not_replaced\":{}}}",
                        count_, count_, newest_thread(slowest), elapsed_ns / 1'000'000,
                        __atomic_load_n(&ended_, __ATOMIC_RELAXED), __atomic_load_n(&not_replaced_, __ATOMIC_RELAXED))
                .text());
    }

    /// A policy may give each thread 20 ms at a time, on one CPU for all of them.
    uint64_t check_patience_ns() const {
        const uint64_t for_each_ns = uint64_t{count_} * 60'000'000;
        return check_timeout_ns_ > for_each_ns ? check_timeout_ns_ : for_each_ns;
    }

    /// The turns since the last such request, of threads that `start_equals` started: from when one got the CPU until
    /// another of them did. Only with one CPU does that measure the scheduler. The first 1024 are kept.
    Result<Response> turns() {
        const uint32_t seen = __atomic_exchange_n(&turn_count_, 0, __ATOMIC_ACQ_REL);
        uint32_t count = 0;
        for (uint32_t i = 0; i < seen && i < kMaximumTurns; ++i) {
            const uint64_t turn_ns = __atomic_exchange_n(&turns_ns_[i], 0, __ATOMIC_RELAXED);
            if (turn_ns != 0) sorted_ns_[count++] = turn_ns;  // else it was counted and is being noted
        }
        if (count == 0) return Response::err("no turn has ended; start_equals N first, then wait");
        sort(Span<uint64_t>(sorted_ns_, count));
        return Response::ok(format<200>("{{\"turns\":{},\"shortest_us\":{},\"median_us\":{},\"longest_us\":{}}}", count,
                                        sorted_ns_[0] / 1000, sorted_ns_[count / 2] / 1000,
                                        sorted_ns_[count - 1] / 1000)
                                .text());
    }
    static void sort(Span<uint64_t> values) {  // by insertion: they are few
        for (size_t i = 1; i < values.size(); ++i)
            for (size_t k = i; k > 0 && values[k] < values[k - 1]; --k) std::swap(values[k], values[k - 1]);
    }

    FixedText<400> status() {
        uint64_t progress = 0;
        for (const Slot& slot : slots()) progress += __atomic_load_n(&slot.progress, __ATOMIC_RELAXED);
        return format<400>(
            "{{\"threads\":{},\"progress\":{},\"started\":{},\"ended_as_planned\":{},\"run_twice\":{},"
            "\"cancelled\":{},\"not_replaced\":{}}}",
            count_, progress, __atomic_load_n(&started_, __ATOMIC_RELAXED), __atomic_load_n(&ended_, __ATOMIC_RELAXED),
            __atomic_load_n(&run_twice_, __ATOMIC_RELAXED), __atomic_load_n(&cancelled_, __ATOMIC_RELAXED),
            __atomic_load_n(&not_replaced_, __ATOMIC_RELAXED));
    }

    /// Ends and joins every thread and frees everything. Errors: those of joining; then the rest stays as it is.
    Result<void> end_threads() {
        __atomic_store_n(&stopping_, 1, __ATOMIC_SEQ_CST);
        for (Slot& slot : slots())
            if (slot.semaphore != SemaphoreId::None) TRY(context_->semaphore_signal(slot.semaphore));
        for (Slot& slot : slots()) {
            // A short-lived thread may have started its successor meanwhile; it noted it before it ended.
            for (;;) {
                const ThreadId newest = newest_thread(slot);
                if (newest == ThreadId::None) break;
                TRY(context_->thread_join(newest));
                if (newest_thread(slot) == newest) break;
            }
        }
        for (Slot& slot : slots()) {
            if (slot.semaphore == SemaphoreId::None) continue;
            TRY(context_->semaphore_destroy(slot.semaphore));
            slot.semaphore = SemaphoreId::None;
        }
        count_ = 0;
        table_ = Buffer();
        return {};
    }

    // ---- Setting up.

    /// Decides the behaviour of every slot, from the seed alone. Of each eight neighbours two compute, one sleeps,
    /// one yields, two are a pair, one belongs to a ring of four and one is short-lived.
    void lay_out(Mix mix) {
        constexpr uint32_t kGroup = 8;
        constexpr uint32_t kRing = 4;
        constexpr Kind kKinds[kGroup] = {Kind::Compute, Kind::Compute, Kind::Sleep, Kind::Yield,
                                         Kind::Ring,    Kind::Ring,    Kind::Ring,  Kind::Short};
        for (uint32_t i = 0; i < count_; ++i) {
            Slot& slot = slots()[i];
            slot = Slot{};
            slot.owner = this;
            slot.index = i;
            slot.random = scramble(seed_ + i);
            slot.kind = kKinds[i % kGroup];
            if (i % kGroup == 0 && i / kGroup < burners_) slot.kind = Kind::Burn;
            slot.priority =
                kDefault - priority_spread_ + static_cast<uint32_t>(draw(slot) % (2 * priority_spread_ + 1));
            slot.seen_check = __atomic_load_n(&check_number_, __ATOMIC_RELAXED);
            if (mix != Mix::All) {
                slot.kind = Kind::Turns;
                slot.priority = mix == Mix::Equals ? kDefault : i < kDefault ? kDefault - i : 0;
                continue;
            }
            switch (i % kGroup) {
                case 4: slot.next = i + 1 < count_ ? i + 1 : i; break;
                case 5: slot.next = i - 1; break;
                case 6: {
                    const uint32_t first = i - i / kGroup % kRing * kGroup;
                    const bool last = i / kGroup % kRing == kRing - 1 || i + kGroup >= count_;
                    slot.next = last ? first : i + kGroup;
                    break;
                }
                default: break;
            }
            // A ring of one would never wait for anybody, and have its CPU for good where nobody is preempted.
            if (slot.kind == Kind::Ring && slot.next == i) slot.kind = Kind::Yield;
        }
    }
    /// The first of each ring holds its token at the beginning: the one that others lead back to.
    static bool begins_ring(const Slot& slot) {
        return slot.index % 8 == 4 || (slot.index % 8 == 6 && slot.index / 8 % 4 == 0);
    }

    Result<void> create_all() {
        for (Slot& slot : slots())
            if (slot.kind == Kind::Ring) slot.semaphore = TRY(context_->semaphore_create(begins_ring(slot) ? 1 : 0));
        for (Slot& slot : slots()) {
            if (stopping()) return ErrorCode::Cancelled;
            const ThreadId thread = TRY(create(slot));
            advance(slot, ThreadId::None, thread);
        }
        return {};
    }
    /// On a thread of its own: a call has a budget of CPU time, threads have none.
    Result<void> create_all_apart() {
        const auto main = [](void* workload) {
            auto& self = *static_cast<Workload*>(workload);
            self.created_ = self.create_all();
        };
        const ThreadId creator = TRY(context_->thread_create("workload-start", main, this, kPriorityLevels - 1));
        const auto joined = context_->thread_join(creator);
        if (joined.ok()) return std::exchange(created_, {});
        __atomic_store_n(&stopping_, 1, __ATOMIC_SEQ_CST);
        TRY(context_->thread_join(creator));
        return joined;
    }
    Result<ThreadId> create(Slot& slot) {
        const auto name = format<30>("workload-{}", slot.index);
        const ThreadId thread = TRY(context_->thread_create(name.text(), entry, &slot, slot.priority));
        __atomic_fetch_add(&started_, 1, __ATOMIC_RELAXED);
        return thread;
    }
    /// Creator and created both note the newest thread of a slot; whoever comes late changes nothing.
    static void advance(Slot& slot, ThreadId from, ThreadId to) {
        auto expected = static_cast<uint32_t>(from);
        __atomic_compare_exchange_n(&slot.thread, &expected, static_cast<uint32_t>(to), false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE);
    }
    static ThreadId newest_thread(const Slot& slot) {
        return ThreadId(__atomic_load_n(&slot.thread, __ATOMIC_ACQUIRE));
    }

    // ---- What the threads do.

    static void entry(void* argument) {
        Slot& slot = *static_cast<Slot*>(argument);
        slot.owner->live(slot);
    }
    bool stopping() const { return __atomic_load_n(&stopping_, __ATOMIC_ACQUIRE) != 0; }

    void live(Slot& slot) {
        const ThreadId self = context_->thread_current();
        const ThreadId predecessor = slot.predecessor;
        advance(slot, predecessor, self);
        if (predecessor != ThreadId::None && !went_on(context_->thread_join(predecessor))) return;
        const uint64_t rounds = slot.kind == Kind::Short ? 8 + draw(slot) % 32 : UINT64_MAX;
        for (uint64_t round = 0; !stopping(); ++round) {
            if (round >= rounds && replace(slot, self)) return;
            if (slot.kind == Kind::Ring && !went_on(context_->semaphore_wait(slot.semaphore))) return;
            work(slot, slot.kind == Kind::Yield ? 16 : burst_);
            switch (slot.kind) {
                case Kind::Burn: break;
                case Kind::Turns: note_turn(slot); break;
                case Kind::Compute:
                case Kind::Yield: context_->thread_yield(); break;
                case Kind::Sleep:
                    if (attribute_rounds_ != 0 && draw(slot) % attribute_rounds_ == 0) change_attributes(slot, self);
                    if (!went_on(context_->thread_sleep(1 + draw(slot) % 20'000'000))) return;
                    break;
                case Kind::Short:
                    if (!went_on(context_->thread_sleep(1 + draw(slot) % 2'000'000))) return;
                    break;
                case Kind::Ring:
                    if (!went_on(context_->semaphore_signal(slots()[slot.next].semaphore))) return;
                    break;
            }
        }
    }
    /// Asks for another weight, for turns of another length, for a reservation, for one CPU or another, or for nothing
    /// any more. A policy may refuse that, and the machine may have no such CPU.
    void change_attributes(Slot& slot, ThreadId self) {
        SchedulingAttributes wanted;
        const uint64_t cpus = draw(slot) % 4 == 0 ? uint64_t{1} << draw(slot) % 4 : ~uint64_t{0};
        (void)context_->thread_set_affinity(self, cpus).ok();
        switch (draw(slot) % 4) {
            case 0: wanted.weight = static_cast<uint32_t>(256 + draw(slot) % 4096); break;
            case 1: wanted.runtime_ns = 1'000'000 + draw(slot) % 20'000'000; break;
            case 2:
                wanted.period_ns = 100'000'000 + draw(slot) % 900'000'000;
                wanted.runtime_ns = wanted.period_ns / 1000;
                break;
            default: break;
        }
        (void)context_->thread_set_attributes(self, wanted).ok();
    }
    /// Starts the successor of a short-lived thread. False when there is no memory for one: then this one goes on.
    bool replace(Slot& slot, ThreadId self) {
        slot.predecessor = self;
        auto successor = create(slot);
        if (!successor.ok()) {
            __atomic_fetch_add(&not_replaced_, 1, __ATOMIC_RELAXED);
            return false;
        }
        __atomic_fetch_add(&ended_, 1, __ATOMIC_RELAXED);
        advance(slot, self, successor.value());
        return true;
    }
    /// A wait that fails (Cancelled, when the module is ended by force) ends the thread that waited.
    bool went_on(const Result<void>& result) {
        if (!result.ok()) __atomic_fetch_add(&cancelled_, 1, __ATOMIC_RELAXED);
        return result.ok();
    }

    /// Whoever finds another as the owner has been away. The clock is read while the ownership holds; should it be lost
    /// between the two, the reading may be from before or after the gap, and is taken again.
    void note_turn(Slot& slot) {
        const uint32_t self = slot.index + 1;
        bool was_away = false;
        uint64_t now = 0;
        do {
            was_away |= __atomic_exchange_n(&turn_owner_, self, __ATOMIC_ACQ_REL) != self;
            now = context_->now_ns();
        } while (__atomic_load_n(&turn_owner_, __ATOMIC_ACQUIRE) != self);
        if (was_away) {
            if (slot.turn_seen_ns != 0) add_turn(slot.turn_seen_ns - slot.turn_begin_ns);
            slot.turn_begin_ns = now;
        }
        slot.turn_seen_ns = now;
    }
    void add_turn(uint64_t duration_ns) {
        const uint32_t i = __atomic_fetch_add(&turn_count_, 1, __ATOMIC_ACQ_REL);
        if (i < kMaximumTurns) __atomic_store_n(&turns_ns_[i], duration_ns, __ATOMIC_RELAXED);
    }

    /// One round: computes, preempted wherever the scheduler likes. Were this thread ever on two CPUs at once, or
    /// resumed twice from the same point, one of the exchanges would find what the other left.
    void work(Slot& slot, uint32_t limit) {
        if (__atomic_exchange_n(&slot.running, 1, __ATOMIC_ACQ_REL) != 0) note_twice(slot);
        uint64_t value = __atomic_load_n(&slot.random, __ATOMIC_RELAXED);
        for (uint64_t step = draw(slot) % limit + 1; step > 0; --step) {
            value = scramble(value);
            asm volatile("" : "+r"(value));  // the work is the point: it may not be left out
        }
        if (__atomic_exchange_n(&slot.running, 0, __ATOMIC_ACQ_REL) != 1) note_twice(slot);
        const uint64_t before = __atomic_load_n(&slot.progress, __ATOMIC_RELAXED);
        __atomic_store_n(&slot.progress, before + 1, __ATOMIC_RELAXED);
        const uint32_t number = __atomic_load_n(&check_number_, __ATOMIC_ACQUIRE);
        if (__atomic_load_n(&slot.seen_check, __ATOMIC_RELAXED) == number) return;
        __atomic_store_n(&slot.seen_check, number, __ATOMIC_RELEASE);
        if (__atomic_sub_fetch(&unseen_, 1, __ATOMIC_ACQ_REL) != 0) return;
        __atomic_store_n(&slowest_, slot.index, __ATOMIC_RELAXED);
        // An error means that the module is being ended by force; then nobody waits.
        (void)context_->semaphore_signal(all_seen_).ok();
    }
    void note_twice(const Slot& slot) {
        __atomic_store_n(&twice_slot_, slot.index, __ATOMIC_RELAXED);
        __atomic_fetch_add(&run_twice_, 1, __ATOMIC_RELAXED);
    }

    // ---- Checking.

    /// Waits until all slots were seen by check `number` or `deadline_ns` passed; returns how many were not.
    Result<uint32_t> wait_for_all(uint32_t number, uint64_t deadline_ns) {
        for (;;) {
            uint32_t unseen = 0;
            for (const Slot& slot : slots()) unseen += __atomic_load_n(&slot.seen_check, __ATOMIC_ACQUIRE) != number;
            const uint64_t now = context_->now_ns();
            if (unseen == 0 || now >= deadline_ns) return unseen;
            // The count may reach zero early, by a thread that was still at the check before: then look again soon.
            const auto woken = context_->semaphore_wait(all_seen_, deadline_ns - now);
            if (!woken.ok() && woken.error().code() != ErrorCode::TimedOut) return woken.error();
            if (woken.ok() && unseen_now(number)) TRY(context_->thread_sleep(1'000'000));
        }
    }
    bool unseen_now(uint32_t number) {
        for (const Slot& slot : slots())
            if (__atomic_load_n(&slot.seen_check, __ATOMIC_ACQUIRE) != number) return true;
        return false;
    }
    void list_unseen(uint32_t number, FixedText<80>& out) {
        for (const Slot& slot : slots()) {
            if (__atomic_load_n(&slot.seen_check, __ATOMIC_ACQUIRE) == number) continue;
            if (out.size() + 12 > out.capacity()) {
                out.append(" …");
                return;
            }
            out.append(format<12>(" {}", newest_thread(slot)).text());
        }
    }

    static constexpr uint32_t kDefault = 16;

    /// splitmix64, after Steele, Lea and Flood (OOPSLA 2014).
    static uint64_t scramble(uint64_t value) {
        uint64_t z = value + 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return z ^ (z >> 31);
    }
    static uint64_t draw(Slot& slot) {
        const uint64_t drawn = scramble(__atomic_load_n(&slot.random, __ATOMIC_RELAXED));
        __atomic_store_n(&slot.random, drawn, __ATOMIC_RELAXED);
        return drawn;
    }

    const Context* context_ = nullptr;
    uint64_t seed_ = 0;
    uint64_t check_timeout_ns_ = 0;
    uint32_t burst_ = 1;
    uint32_t burners_ = 0;
    uint32_t attribute_rounds_ = 0;
    uint32_t priority_spread_ = 0;
    uint32_t count_ = 0;
    Buffer table_;
    FileRuns runs_;
    Result<void> created_;  ///< by create_all_apart
    SemaphoreId all_seen_ = SemaphoreId::None;

    // Shared with the threads; atomic.
    uint32_t stopping_ = 0;
    uint32_t check_number_ = 0;
    uint32_t unseen_ = 0;  ///< slots that the check did not see yet; a hint, the slots decide
    uint32_t slowest_ = 0;
    uint32_t twice_slot_ = 0;
    uint32_t turn_owner_ = 0;  ///< Turns: index of the slot that ran last, plus 1
    uint32_t turn_count_ = 0;
    uint64_t turns_ns_[kMaximumTurns];
    uint64_t sorted_ns_[kMaximumTurns];  // of the request being answered
    uint64_t started_ = 0;
    uint64_t ended_ = 0;
    uint64_t run_twice_ = 0;
    uint64_t cancelled_ = 0;
    uint64_t not_replaced_ = 0;
};

}  // namespace helix::workload
