// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// EventQueue: events on their way to subscribers, in order, and held back by nobody who is slow.
//
// One thread leads: it hands each event to one subscriber after the other, in the order in which their modules were
// started, so that what a module needs has heard it before. Another one stands by, and leads when the first has been in
// one module for long; the first stays with that module, as its attendant, until it has heard what all others have.
// Source: Leader/Followers (D. C. Schmidt et al., PLoP 2000), which has no attendants.
#pragma once

#include "helix/module.hpp"
#include "kernel/thread/condition_variable.hpp"

#include <boost/intrusive/list.hpp>

namespace helix::kernel {

struct Kernel;
class ModuleRecord;
class RecordPin;
struct Thread;

/// At most kCapacity events wait. One more takes the place of the oldest that only those wait for who are slow: they
/// miss it, and their metrics count it. If there is none it is refused with Busy, and nobody hears it. A Tick takes the
/// place of one that waits.
class EventQueue {
public:
    static constexpr size_t kCapacity = 64;
    /// Who is at an event for longer, waiting for its call lock included, is slow. The others wait for it for so long,
    /// and not at all while it counts as slow: until it was quick with kSlowFor of them, one after the other.
    static constexpr uint64_t kPatienceNs = 10'000'000;
    static constexpr uint32_t kSlowFor = 16;

    /// Starts the thread that leads. Once, at boot.
    Result<void> init(Kernel& kernel);
    /// Copies the event. Errors: Busy, OutOfMemory, InvalidArgument (the name is too long). Thread context, preemption
    /// on, no lock held that comes after a call lock.
    Result<void> push(Kernel& kernel, const Event& event);
    /// Waits until all events that were queued so far were handled, by those who are slow too, and, for as long again,
    /// until what that took was given back. Errors: TimedOut, Cancelled.
    Result<void> drain(Kernel& kernel, uint64_t timeout_ns);
    /// Events queued so far: the number of the newest one. A module hears none of those that were queued before it was
    /// started.
    uint64_t newest() {
        MutexGuard guard(lock_);
        return sent_;
    }

private:
    static constexpr uint32_t kPriority = 24;

    struct Queued : boost::intrusive::list_base_hook<> {
        Queued(const Event& sent, Buffer copy);
        Event event;
        uint64_t number = 0;
        FixedText<46> name;
        Buffer data;
        uint32_t readers = 0;  ///< threads that have it in hand
    };

    static void thread_main(void* kernel);
    /// Whoever calls it said that there is one who stands by. Errors: OutOfMemory.
    Result<void> create_stand_by(Kernel& kernel);
    /// Of an attendant that is none any more. False if there is one who stands by.
    bool is_to_stand_by(Kernel& kernel);
    /// Returns when the calling thread is to lead.
    void stand_by(Kernel& kernel);
    /// The thread is about to attend to a slow module, which competes with no quick one for a CPU.
    static void make_way(Kernel& kernel, const Thread& attendant);
    /// Returns when another thread leads; the calling one may be an attendant then.
    void lead(Kernel& kernel);
    /// Returns when the module that the calling thread attends to, if there is one, heard what all others have.
    void attend(Kernel& kernel);
    /// Takes into hand what the calling thread is to hand out next, and says to whom. Nobody: for the leader, all who
    /// have no attendant heard all there is; for an attendant, it is none any more.
    RecordPin take(Kernel& kernel, Queued*& in_hand);
    /// Whether the calling thread still leads.
    bool hand_out(Kernel& kernel, ModuleRecord& record, Queued& in_hand);
    void begin_call(Kernel& kernel, const ModuleRecord& record, uint64_t now_ns);
    static void call(Kernel& kernel, ModuleRecord& record, const Event& event);
    void drop_tick(Kernel& kernel) HELIX_REQUIRES(lock_);
    /// Makes room at the cost of those who are slow, if something waits for them alone. Registry lock held.
    void drop_oldest(Kernel& kernel) HELIX_REQUIRES(lock_);
    void remove(Kernel& kernel, Queued& queued) HELIX_REQUIRES(lock_);
    /// Registry lock held.
    void forget_heard(Kernel& kernel) HELIX_REQUIRES(lock_);

    Mutex lock_ HELIX_RANK(SleepingLeaf);
    ConditionVariable changed_;
    boost::intrusive::list<Queued> waiting_ HELIX_GUARDED_BY(lock_);  // by their numbers
    uint64_t sent_ HELIX_GUARDED_BY(lock_) = 0;                       // the newest one's number
    uint64_t heard_ HELIX_GUARDED_BY(lock_) = 0;              // whoever has no attendant heard those up to this number
    const Thread* leader_ HELIX_GUARDED_BY(lock_) = nullptr;  // null: whoever stands by is to lead
    uint64_t call_began_ns_ HELIX_GUARDED_BY(lock_) = 0;      // the leader's; 0: it is in none
    uint32_t idle_attendants_ HELIX_GUARDED_BY(lock_) = 0;    // that have nothing in hand, and look for more
    ThreadId ending_ HELIX_GUARDED_BY(lock_) = ThreadId::None;  // the last of those nobody needs any more
    bool has_stand_by_ HELIX_GUARDED_BY(lock_) = false;         // or one is being created
    bool is_watched_ HELIX_GUARDED_BY(lock_) = false;           // who stands by looks at the leader by itself
};

}  // namespace helix::kernel
