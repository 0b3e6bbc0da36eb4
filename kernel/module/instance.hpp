// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Instance: one module object in a mapping of its own, and the gated way into it.
#pragma once

#include "helix/module.hpp"
#include "kernel/module/image.hpp"
#include "kernel/module/ledger.hpp"
#include "kernel/module/lifecycle.hpp"
#include "kernel/thread/gates.hpp"
#include "kernel/thread/owner.hpp"
#include "kernel/trace/trace.hpp"

#include <atomic>

namespace helix::kernel {

struct Kernel;
class ModuleRecord;
class Tap;
struct Instance;

/// The sentence for a call that failed: "NAME failed: divide error in SYMBOL+0x12".
FixedText<186> describe_failure(const FailureNote& note, Instance& instance);
/// "thread 12 (NAME)", as the note has it.
FixedText<62> describe_thread(const FailureNote& note);

/// While it lives, waits of the calling thread in the code of `owner` end at `deadline_ns`, and `owner` has failed
/// then.
class KernelCall {
public:
    /// For `deadline_ns`: Instance::kLifecycleWaitNs after the first wait began, so that a call that does not wait need
    /// not look at the clock.
    static constexpr uint64_t kFromFirstWait = 0;

    KernelCall(Owner& owner, uint64_t deadline_ns)
        : thread_(current_thread()), outer_(thread_.kernel_call), outer_deadline_ns_(thread_.kernel_call_deadline_ns) {
        thread_.kernel_call = &owner;
        thread_.kernel_call_deadline_ns = deadline_ns;
    }
    ~KernelCall() {
        thread_.kernel_call = outer_;
        thread_.kernel_call_deadline_ns = outer_deadline_ns_;
    }
    KernelCall(const KernelCall&) = delete;
    KernelCall& operator=(const KernelCall&) = delete;

private:
    Thread& thread_;
    Owner* const outer_;
    const uint64_t outer_deadline_ns_;
};

/// Created and destroyed by the module system only, with the change lock held. The address is the InstanceToken that
/// modules and gates carry.
struct Instance : Owner, boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
    /// Maps `image`, constructs the module object. Errors: OutOfMemory, ModuleFailed (its constructor failed).
    static Result<Instance*> create(Kernel& kernel, ModuleRecord& record, Image& image);
    /// Destroys the module object if that is still possible and gives everything back. No thread is inside, no slot
    /// leads here, and the instance is not Running.
    static void destroy(Instance* instance);

    const ModuleInfo& info() const { return descriptor->info; }
    /// Of its place: several of one module have names of their own.
    Text name() const;
    /// What it holds now, beside its mapping.
    LedgerTotals totals();
    /// Ends the module object and gives back all that the instance holds, its mapping included. Nobody is inside.
    void give_back();
    /// Change lock held, or nobody knows the instance yet.
    void become(ModuleState next);

    /// Calls `Method` of the module behind a gate: the one way in for lifecycle, state, events and requests.
    /// The caller holds the record's call lock (or is its only user). Errors: ModuleFailed with the cause, and the
    /// method's own.
    template <auto Method, typename... Arguments>
    auto call(Arguments&&... arguments) -> typename detail::CallResult<GateReturn<Method>>::Type {
        using R = GateReturn<Method>;
        if (is_ended()) return failed_error();
        GateResult<R> result;
        const GateFailure failure =
            call_module<Method>(token_of(this), module, &result.value, static_cast<Arguments&&>(arguments)...);
        if (failure != GateFailure::None) return failed_error();
        typename detail::CallResult<R>::Type taken(std::move(result.value));
        result.value.~R();
        return taken;
    }
    /// The same for its lifecycle and its state: waits in it that go on for longer than this are its failure.
    static constexpr uint64_t kLifecycleWaitNs = 5'000'000'000;
    template <auto Method, typename... Arguments>
    auto call_in_time(Arguments&&... arguments) {
        const KernelCall timed(*this, KernelCall::kFromFirstWait);
        return call<Method>(static_cast<Arguments&&>(arguments)...);
    }
    /// From here to end_restart waits in calls from outside end, each thread's once, so that the calls return Restart.
    /// Thread context, change lock held.
    void begin_restart();
    void end_restart() { __atomic_store_n(&restarting, 0, __ATOMIC_SEQ_CST); }
    /// Adds to the note's cause what is found out while the mapping is there. It has failed; change lock held.
    void complete_cause();
    Error failed_error() { return Error(ErrorCode::ModuleFailed, describe_failure(note, *this).text()); }

    Kernel& kernel;
    ModuleRecord& record;
    InstanceId id;
    Image* image;
    Mapping* mapping = nullptr;
    const ModuleDescriptor* descriptor = nullptr;
    Module* module = nullptr;
    std::atomic<ModuleState> state = ModuleState::Registered;  ///< become alone changes it
    Context context;
    Ledger ledger;
    SlotTarget targets[6] = {};  ///< one for each interface, in the descriptor's order
    uint8_t heap_owner = 0;      ///< its number with the heap, for an allocator

    // Subscriptions; guarded by the registry's lock.
    uint32_t event_kinds = 0;  ///< bit n: EventKind n
    static constexpr size_t kMaximumNames = 8;
    FixedText<46> event_names[kMaximumNames];
    uint32_t event_name_count = 0;
    /// Whether it subscribed to such an event.
    bool hears(const Event& event) const;
    uint32_t semaphores = 0;  ///< atomic
    uint32_t handles = 0;     ///< atomic
    uint32_t requests = 0;    ///< pending; atomic
    uint32_t timers = 0;      ///< atomic
    uint32_t lines = 0;       ///< atomic

    // In a reload; guarded by the registry's lock.
    bool replaces = false;  ///< it is to take a place: it sees what will be published then
    bool leaves = false;    ///< it will have gone: its handles speak against nothing

    // Trials.
    Tap* tap = nullptr;     ///< stands before it while another is compared with it, and is kept; change lock
    bool on_trial = false;  ///< it is the other: it may change nothing outside
    ModuleRecord* tried_for = nullptr;  ///< whose kept memory it gets copies of while it is started
    SlotTarget refusing = {};           ///< where its handles lead then

    // Failure: the first note counts.
    uint32_t noted = 0;  ///< atomic
    FailureNote note;
    uint64_t failed_cycles = 0;       ///< when that was
    FixedText<186> failure_text;      ///< set when the mapping goes, since symbols go with it
    Instance* next_failed = nullptr;  ///< in the list that module_failed pushes to

    Instance(Kernel& kernel, ModuleRecord& record, Image& image, InstanceId id);
};

/// Traces how far the calling thread has come with a call into `instance`; `type`: of a request that begins.
void note_call(TraceKind kind, TraceCall how, const Instance& instance, Text type = {});

inline Instance& instance_of(InstanceToken* token) {
    return *static_cast<Instance*>(owner_of(token));
}

}  // namespace helix::kernel
