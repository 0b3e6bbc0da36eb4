// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ModuleSystem: registry, interfaces, requests, events and reloads; what the shell and the services call.
//
// Unless a line says otherwise, every function is called from a thread with preemption on and no lock held, may
// block, and is safe to call from several threads. `change_` orders whatever changes the set of modules, for as long
// as that takes; `registry_` guards the lists themselves and is held briefly, never around a call into a module but
// those of a policy under all CPU locks (scheduler_swap.cpp).
#pragma once

#include "arch/seam.hpp"
#include "helix/module.hpp"
#include "kernel/module/archive.hpp"
#include "kernel/module/canary.hpp"
#include "kernel/module/event_queue.hpp"
#include "kernel/module/file_index.hpp"
#include "kernel/module/history.hpp"
#include "kernel/module/instance.hpp"
#include "kernel/module/interface_registry.hpp"
#include "kernel/module/interrupt_lines.hpp"
#include "kernel/module/pending_requests.hpp"
#include "kernel/module/phase_clock.hpp"
#include "kernel/module/probation.hpp"
#include "kernel/module/profile.hpp"
#include "kernel/module/record.hpp"
#include "kernel/module/replacement.hpp"
#include "kernel/module/semaphore_table.hpp"
#include "kernel/module/shadow_report.hpp"

namespace helix::kernel {

struct Kernel;

/// A static module that boot left out, and why.
struct NotStarted : boost::intrusive::list_base_hook<> {
    FixedText<46> name;
    ModuleInfo info;
    FixedText<62> file;
    Error reason = ErrorCode::NotFound;
};

/// What unload does with those who depend on the module.
enum class Dependents : uint8_t { Refuse, Unload };

class ModuleSystem {
public:
    explicit ModuleSystem(Kernel& kernel);

    /// Starts the supervisor and the event thread. Once, at boot, after memory and threads are up.
    Result<void> init();
    /// Loads, initialises and starts the static modules of the profile in order and plugs in the primaries, then loads
    /// what `boot.load` names. A static module that does not start is named in the log, and the rest comes up without
    /// it; only an essential one, a missing file, or a failure in `boot.load` is an error.
    Result<void> boot_modules();
    /// Stops all modules, dependents first. For power-off.
    void stop_all();

    // ---- Modules by name.

    /// Loads, initialises and starts the module in `file`, a name in the initrd or the bundle ("helix-workload.hmod";
    /// the ending may be left out), or of an instance that the profile describes. It is called `as`; empty: as the
    /// profile says, or as the module itself; `name` is what came of that. Errors name file and reason; nothing stays
    /// behind.
    Result<void> load(Text file, Text as = {}, FixedText<46>* name = nullptr);
    /// Stops and removes a module. Refused for Essential modules, those that others depend on, a ruling policy, and one
    /// that stands by for a policy on probation. With Dependents::Unload those who depend on it, directly or not, go
    /// before it: all of them, or, if one may not or cannot, none. `gone` is told each name, with the change lock held.
    /// With ModuleFailed all are gone, but not each cleanly.
    using GoneFunction = void (*)(void* context, Text name);
    Result<void> unload(Text name, Dependents dependents = Dependents::Refuse, GoneFunction gone = nullptr,
                        void* context = nullptr);
    /// Puts a new instance into the place of each of the modules, of the same file or another, as one transaction: all
    /// of them serve, or none. Returns the number of the first record in the history; each module has one, in their
    /// order. Several have to be Running.
    Result<uint64_t> reload(Span<const Wanted> wanted);
    Result<uint64_t> reload(Text name, Text file = {}) {
        const Wanted wanted[] = {{name, file}};
        return reload(wanted);
    }
    /// The same of one module that runs, after a trial: a new instance, the shadow, is asked the next pure calls of its
    /// interfaces too, and has to answer as the old one does. Errors: NotSupported (it has none); Incompatible (the
    /// answers differ), ModuleFailed, TimedOut, Cancelled: then nothing was changed. last_trial says more.
    Result<uint64_t> reload_after_trial(const Wanted& wanted, const TrialTerms& terms);
    /// What came of the last trial; nothing is wanted of it if there was none.
    TrialReport last_trial() {
        MutexGuard guard(registry_);
        return last_trial_;
    }
    /// Makes `name` (a module, or a file, which is then loaded) the primary of `interface`. Returns the same.
    Result<uint64_t> swap(Text interface, Text name);
    /// The same of a scheduler, which first rules `terms.cpu` alone, for `terms.duration_ns`, while the other one rules
    /// the rest. It is swapped in if nothing was amiss then; else, or if the calling thread is interrupted, that CPU
    /// goes back to the other one, and the error says why. If that one fails meanwhile, the new one takes over.
    /// Errors also: Busy, while another is a canary or a policy is on probation; InvalidState (the CPU is not online,
    /// or went offline; nobody rules). `progress`, unless null, is called once a second, with no lock held, and told
    /// how long it has been.
    using ProgressFunction = void (*)(void* context, uint64_t ran_ns);
    Result<uint64_t> swap_after_canary(Text interface, Text name, const CanaryTerms& terms,
                                       ProgressFunction progress = nullptr, void* context = nullptr);
    /// A canary there is over. Any thread, preemption on; locks nothing that is held for long.
    void note_cpu_offline(CpuId cpu);
    /// Lets `name` (a module, or a file: then of one that is loaded for that, or of another version of the one that
    /// rules) follow all that the ruling scheduler is told for `duration_ns`, or until the calling thread is
    /// interrupted, and compares its picks. `report` is filled meanwhile. Nothing is swapped. An error says why it was
    /// not, or would not be, fit to rule. `progress` as above.
    Result<void> shadow(Text interface, Text name, uint64_t duration_ns, ShadowReport& report,
                        ProgressFunction progress = nullptr, void* context = nullptr);

    // ---- Talking to modules.

    /// `source` is null for the kernel and its shell. The payload outlives the call; the response's buffer belongs to
    /// `source`. Errors: NotFound, InvalidState (not running), Busy (it is being called by this thread already),
    /// TimedOut, ModuleFailed, and the module's own.
    Result<Response> request(Instance* source, Text target, Text type, Bytes payload);
    Result<Response> request(const Asking& asking, Text target, Text type, Bytes payload);
    PendingRequests& pending_requests() { return pending_requests_; }
    /// Queues an event for its subscribers. Errors: Busy (queue full), OutOfMemory.
    Result<void> emit(const Event& event) { return events_.push(kernel_, event); }
    /// Waits until all events queued so far were handled.
    Result<void> drain_events(uint64_t timeout_ns = kForever) { return events_.drain(kernel_, timeout_ns); }
    /// Waits until the events that were sent are delivered and the failures that were noted are dealt with. Thread
    /// context, preemption on; not from an event's handler.
    void settle();
    /// False if the module says so, failed while it was asked, or does not run.
    bool ask_health(Text name);

    // ---- Looking. `visit` is called with the registry locked: it copies what it needs and calls nothing here.

    template <typename Visit>
    void for_each(Visit visit) {
        MutexGuard guard(registry_);
        for (ModuleRecord& record : records_) visit(record);
    }
    /// Static modules that boot left out, until one of that name is loaded.
    template <typename Visit>
    void for_each_not_started(Visit visit) {
        MutexGuard guard(registry_);
        for (const NotStarted& left_out : not_started_) visit(left_out);
    }
    template <typename Visit>
    void for_each_interface(Visit visit) {
        MutexGuard guard(registry_);
        for (InterfaceRecord& interface : interfaces_)
            if (interface.is_known() && interfaces_.find(interface.name.text()) == &interface) visit(interface);
    }
    /// Also those that nobody sees.
    size_t count_interfaces();
    History& history() { return history_; }
    const Archive& initrd() const { return initrd_; }
    const Archive& bundle() const { return bundle_; }
    /// The value of option `key` for `record`: from the profile (its own table, then the table of an interface that it
    /// implements), or the declared default. Errors: NotFound.
    Result<Text> config(ModuleRecord& record, const ModuleDescriptor& descriptor, Text key) const;

    // ---- For the services (services.cpp). `instance` is the caller.

    /// For callers at a closed slot. Errors: TimedOut, Cancelled; ModuleFailed, where only the calling thread itself
    /// could decide who serves after a failure.
    Result<void> wait_open(Slot& slot, uint64_t timeout_ns);
    /// After a failed call through `slot`: waits until it is decided who serves. True if somebody does who did not fill
    /// the slot when its generation was `generation`.
    bool wait_for_successor(Slot& slot, uint32_t generation);
    Result<SlotHead*> bind(Instance& instance, Text interface, uint16_t major, uint16_t minor, Text module);
    /// False if no handle of the instance leads to `slot`, which need not be one.
    bool unbind(const Instance& instance, const SlotHead* slot);
    bool has_handle(const Instance& instance, const SlotHead* slot);
    void release_handles_of(Instance& instance);
    /// Any context, and takes no lock; `interface` may change meanwhile. Errors: NotFound.
    Result<FixedText<46>> get_primary(Text interface) HELIX_READS_UNLOCKED HELIX_ANY_CONTEXT;
    Result<FixedText<46>> get_implementor(Text interface, size_t position);
    Result<void> subscribe(Instance& instance, EventKind kind, Text name);
    Result<void*> kept_memory(Instance& instance, Text name, uint32_t version, size_t size, size_t alignment);
    SemaphoreTable& semaphores() { return semaphores_; }
    InterruptLines& lines() { return lines_; }
    /// Never 0. Change lock held.
    uint32_t next_hold_number() {
        change_.assert_held();
        return ++last_hold_number_ != 0 ? last_hold_number_ : ++last_hold_number_;
    }
    InstanceId next_instance_id() {
        return static_cast<InstanceId>(__atomic_add_fetch(&last_instance_id_, 1, __ATOMIC_RELAXED));
    }
    Ledger& kernel_ledger() { return kernel_ledger_; }

    // ---- Failures.

    /// Queues a failed instance for the supervisor. Any context.
    void push_failed(Instance& instance);
    /// Preemption count one or zero, no lock held.
    void wake_supervisor();
    /// The instance goes away: the supervisor must not look at it any more. Change lock held.
    void forget_failed(Instance& instance);

private:
    friend class EventQueue;

    /// How long calls and threads have to leave an instance that goes away.
    static constexpr uint64_t kLeaveWaitNs = 5'000'000'000;
    static constexpr size_t kStateCapacity = 16 * 1024;
    /// How long a call by name waits for its turn, and for a restart.
    static constexpr uint64_t kCallWaitNs = 5'000'000'000;

    // calls.cpp
    Result<Slot*> refusing_slot(Instance& instance, InterfaceRecord& interface) HELIX_REQUIRES(registry_);
    Result<Response> request_locked(const Asking& asking, ModuleRecord& record, Text type, Bytes payload)
        HELIX_REQUIRES(record.call_lock);
    /// Whether `module` can serve all handles that lead to `record`, as itself and as primary implementor. Errors:
    /// Incompatible. Registry lock held.
    Result<void> check_holders(const ModuleRecord& record, const ModuleDescriptor& module) const
        HELIX_REQUIRES(registry_);
    // dependencies.cpp; change lock held
    class Nodes;
    Result<void> check_dependencies(const ModuleInfo& info) HELIX_REQUIRES(change_);
    /// Whether `info`, of a module for `record`, and all others that run or are to run again can be there together.
    /// Errors: Incompatible.
    Result<void> check_conflicts(const ModuleRecord& record, const ModuleInfo& info) HELIX_REQUIRES(change_);
    /// Whether what the module of `record` needs is not there, but will be once those are back that are Restarting.
    bool needs_those_who_return(const ModuleRecord& record) HELIX_REQUIRES(change_);
    Result<void> check_cycle_in_files(const ModuleInfo& info) HELIX_REQUIRES(change_);
    /// Whether what others need, and have, is still there when the reload that is under way is done. Errors:
    /// Incompatible, OutOfMemory.
    Result<void> check_dependents() HELIX_REQUIRES(change_);
    /// What is known of the module of `record`, or will be when the reload that is under way is done.
    const ModuleInfo& info_of(const ModuleRecord& record) const HELIX_REQUIRES(change_);
    // module_system.cpp
    RecordPin find(Text name);
    ModuleRecord* find_record(Text name);
    Result<Bytes> find_file(Text name, FixedText<62>& full_name) const;
    /// The module of which the profile says that `name` is an instance; `name` itself if it says nothing.
    Text module_of(Text name) const;
    Result<ModuleRecord*> load_record(Text file, Text as, Link link, PhaseClock& clock) HELIX_REQUIRES(change_);
    /// Its first half: a record that nobody finds, with an instance that is Initialized.
    Result<ModuleRecord*> prepare_record(Text file, Text as, Link link, PhaseClock& clock) HELIX_REQUIRES(change_);
    /// Its second half. With an error nobody finds the record, and it is to be discarded.
    Result<void> start_record(ModuleRecord& record) HELIX_REQUIRES(change_);
    /// Gives up a record that nobody finds.
    void discard_record(ModuleRecord& record) HELIX_REQUIRES(change_);
    /// What speaks against an instance of `image` for `record`.
    Result<void> check_candidate(ModuleRecord& record, const Image& image) HELIX_REQUIRES(change_);
    Result<Instance*> make_candidate(ModuleRecord& record, Image& image, PhaseClock& clock) HELIX_REQUIRES(change_);
    Result<void> check_options(ModuleRecord& record, const ModuleDescriptor& descriptor);
    Result<void> plug_in_primaries(ModuleRecord& record) HELIX_REQUIRES(change_);
    void release_kept(ModuleRecord& record) HELIX_REQUIRES(change_);
    // unload.cpp; change lock held
    class Departure;
    /// Stops `record` and forgets it. Refused, with nothing changed, while callers do not leave (TimedOut) or handles
    /// lead to it (Busy). With ModuleFailed it is gone, but did not go cleanly.
    Result<void> remove_record(ModuleRecord& record) HELIX_REQUIRES(change_);
    /// The same for several, in their order. `begun`: it was not refused; the history then has a record for each,
    /// unless the removal is part of another transaction.
    enum class Alone : uint8_t { No, Yes };
    Result<void> remove_records(Span<ModuleRecord* const> leaving, Alone alone, bool& begun, GoneFunction gone,
                                void* context) HELIX_REQUIRES(change_);
    Result<void> empty(ModuleRecord& record, ModuleHold& hold) HELIX_REQUIRES(change_);
    Result<void> retire(ModuleRecord& record, ModuleHold& hold, const Result<void>& left) HELIX_REQUIRES(change_);
    void forget(ModuleRecord& record) HELIX_REQUIRES(change_);
    /// What speaks against unloading `record`, whoever depends on it. Errors: PermissionDenied, Busy.
    Result<void> check_removable(const ModuleRecord& record) const HELIX_REQUIRES(change_);
    Result<void> check_not_standing_by(const ModuleRecord& record) const HELIX_REQUIRES(change_);
    /// Takes the interfaces of `leaving` out of the registry, in one step under its lock with the check that no handle
    /// of anybody else leads there: `bind` finds them no more, and so their slots can be freed. What comes after cannot
    /// fail, so nothing publishes them again. Errors, with nothing changed: Busy.
    Result<void> unpublish(Span<ModuleRecord* const> leaving) HELIX_REQUIRES(change_);
    // module_system.cpp
    FixedText<Error::kCapacity> describe_absence(Text name);
    Text why_absent(Text name);
    Result<void> check_boot_failure(Text name, const Error& error) HELIX_REQUIRES(change_);
    void report_leaks(Instance& instance);
    /// Ends threads and calls of an ended instance and waits until nobody is inside. Call lock held.
    bool expel(Instance& instance);
    /// expel, and destroy: false, with a word in the log, if somebody stays inside and the instance therefore too.
    bool dispose(Instance& instance);
    const SlotTarget* target_of(Instance& instance, Text interface) const;
    /// The same, if it implements that major version.
    const SlotTarget* target_of(Instance& instance, const InterfaceRecord& interface) const;

    // publishing.cpp
    /// A slot of `record` for each interface of `module` for which it has none yet, seen by nobody. Errors:
    /// OutOfMemory; what was made stays until trim_slots.
    Result<void> add_slots(ModuleRecord& record, const ModuleDescriptor& module) HELIX_REQUIRES(change_);
    /// Frees the slots of `record` that nobody sees, no handle leads to, and no instance that may come back implements.
    /// Change lock held.
    void trim_slots(ModuleRecord& record) HELIX_REQUIRES(change_);
    /// What the image of `record` kept of mappings for the next reload goes, unless that is under way, or may follow
    /// soon: while there is a probation.
    void give_back_mappings(ModuleRecord& record) HELIX_REQUIRES(change_);
    /// Enters `record` and all its interfaces into the registry, in one step under its lock, or nothing. From then on
    /// it is found by name, and `bind` leads to it.
    Result<void> publish(ModuleRecord& record) HELIX_REQUIRES(change_);
    bool may_inherit(const InterfaceRecord& interface, ModuleRecord& record) HELIX_REQUIRES(registry_);
    void withdraw_interfaces(ModuleRecord& record) HELIX_REQUIRES(change_);
    /// The slots of `record`, and the primary ones that it fills, lead to `with`, its current instance, from now on;
    /// what that one implements is published, the rest is not any more. What it cannot serve (see check_holders) is
    /// left empty. Closed or bounded. Registry lock held.
    /// With Later the caller waits for the grace period after which no bounded call is left in what filled them before.
    enum class Grace : uint8_t { Now, Later };
    void refill_slots(ModuleRecord& record, Instance& with, Grace grace = Grace::Now) HELIX_REQUIRES(registry_);
    void follow_to_other_majors(ModuleRecord& record, Instance& with) HELIX_REQUIRES(registry_);
    /// Another implementor than `record` becomes primary, or nobody. Registry lock held.
    void pass_on(InterfaceRecord& interface, const ModuleRecord& record) HELIX_REQUIRES(registry_);
    // trial.cpp
    class Trial;
    // reload.cpp
    class Replacing;
    /// reload, with the change lock held; `trial` is what came before it.
    Result<uint64_t> replace(Span<const Wanted> wanted, const TrialCounts& trial) HELIX_REQUIRES(change_);
    /// Errors: InvalidArgument, if `image` from `file` is not of the module of `record`.
    static Result<void> check_same_module(const ModuleRecord& record, const Image& image, Text file);
    uint64_t store(PhaseClock& clock, const Result<void>& result, const Replacements& group) HELIX_REQUIRES(change_);
    // transaction.cpp
    /// `error`, whose sentence says that it is about `name` if it does not yet: a module's own error, or "out of
    /// memory".
    static Error naming(Text name, const Error& error);
    static FixedText<46> name_with_version(Text name, Version version);  // "NAME 1.2.3"
    static FixedText<46> name_with_version(const Instance& instance) {
        return name_with_version(instance.name(), instance.info().version());
    }
    Probation* store(PhaseClock& clock, const Result<void>& result) HELIX_REQUIRES(change_);
    void note_pause(const HistoryRecord& entry) HELIX_REQUIRES(change_);
    InterfaceRecord* ruled_by(ModuleRecord& record) const HELIX_REQUIRES(change_);
    void set_choice(InterfaceRecord& interface, ModuleRecord* record) HELIX_REQUIRES(change_);
    Result<void> check_reloadable(ModuleRecord& record, const Image& image) HELIX_REQUIRES(change_);
    /// Later: the state has no checksum yet, so that a hold is not longer for it; see StateWriter::seal.
    enum class Seal : uint8_t { Now, Later };
    /// The caller holds the call lock of `from`. What there is to save lies in `buffer`, not validated yet.
    static Result<void> save_state_of(Instance& from, Buffer& buffer, Bytes& state, Seal seal = Seal::Now);
    Result<void> restore_state_of(Instance& to, Bytes state, Text format_name, Seal seal = Seal::Now)
        HELIX_REQUIRES(change_);
    Result<void> check_health(Instance& candidate);
    /// What `candidate` answered when it was asked. Errors: InvalidState, if it is not healthy; its failure.
    static Result<void> judge_health(const Instance& candidate, const Result<bool>& answer);
    void retire_replaced(Instance& old) HELIX_REQUIRES(change_);
    // swap.cpp
    /// A swap that is under way.
    struct Swapping {
        explicit Swapping(const Threads& threads) : clock(threads, entry) {}
        HistoryRecord entry;
        PhaseClock clock;
        InterfaceRecord* interface = nullptr;
        ModuleRecord* record = nullptr;    ///< of who is swapped in; null: it was not found
        ModuleRecord* replaced = nullptr;  ///< of who served when it began; null: nobody did
        bool is_loaded = false;            ///< `record` is, for this swap
    };
    Result<void> begin_swap(Swapping& swapping, Text interface_name, Text name, const CanaryTerms* terms)
        HELIX_REQUIRES(change_);
    Result<uint64_t> finish_swap(Swapping& swapping, Result<void> result) HELIX_REQUIRES(change_);
    Result<InterfaceRecord*> find_interface_record(Text name) HELIX_REQUIRES(change_);
    Result<ModuleRecord*> load_for_swap(Text interface, const ModuleRecord* serving, Text name, PhaseClock& clock)
        HELIX_REQUIRES(change_);
    /// Errors: InvalidArgument (it does not implement `interface`), AlreadyExists (it is the primary one).
    Result<void> check_implementor(const InterfaceRecord& interface, const ModuleRecord& record)
        HELIX_REQUIRES(change_);
    Result<void> swap_primary(InterfaceRecord& interface, ModuleRecord& record, PhaseClock& clock)
        HELIX_REQUIRES(change_);
    Result<void> check_health_of(ModuleRecord& record);
    Result<void> take_over(ModuleRecord& record, Instance& from, Buffer& buffer, PhaseClock& clock)
        HELIX_REQUIRES(change_);
    // scheduler_swap.cpp
    Result<void> plug_in_scheduler(ModuleRecord& record, Instance& candidate, PhaseClock& clock)
        HELIX_REQUIRES(change_);
    Result<void> prepare_scheduler(Instance& candidate, PhaseClock& clock) HELIX_REQUIRES(change_);
    Result<void> carry_scheduler_state(Instance& candidate, PhaseClock& clock) HELIX_REQUIRES(change_);
    Result<void> check_mirror(Instance& candidate) HELIX_REQUIRES(change_);
    Result<void> check_count(const Instance& candidate, Cpu& cpu) HELIX_REQUIRES(cpu.lock);
    Result<void> verify_scheduler(Instance& candidate) HELIX_REQUIRES(all_cpu_locks);
    Result<void> commit_scheduler(ModuleRecord& record, Instance& candidate, Instance* old, Probation* suspended,
                                  PhaseClock& clock) HELIX_REQUIRES(change_);
    void make_primary(InterfaceRecord& interface, Instance& instance) HELIX_REQUIRES(registry_);
    // scheduler_canary.cpp
    /// Errors: Busy, if there is one.
    Result<void> check_no_canary() const HELIX_REQUIRES(change_);
    Result<void> check_no_policy_on_probation() const HELIX_REQUIRES(change_);
    Result<void> check_canary(const InterfaceRecord& interface, const CanaryTerms& terms) const HELIX_REQUIRES(change_);
    Result<void> begin_canary(Swapping& swapping, const CanaryTerms& terms, Canary& canary) HELIX_REQUIRES(change_);
    Result<void> decide_canary(Swapping& swapping, const Canary& canary, WakeReason woken) HELIX_REQUIRES(change_);
    void forget_canary() HELIX_REQUIRES(change_);
    void end_canary(Text why) HELIX_REQUIRES(change_);
    void end_failed_canary(Text why) HELIX_REQUIRES(change_);
    void let_canary_take_over() HELIX_REQUIRES(change_);
    // scheduler_trial.cpp
    Result<Instance*> make_extra(ModuleRecord& ruling, Image& image) HELIX_REQUIRES(change_);
    Result<void> begin_scheduler_trial(InterfaceRecord& interface, Text name, ShadowReport& report,
                                       ModuleRecord*& loaded) HELIX_REQUIRES(change_);
    void end_scheduler_trial(Text why) HELIX_REQUIRES(change_);
    void end_failed_scheduler_trial(Text why) HELIX_REQUIRES(change_);
    uint64_t trials_ended() {
        return trials_ended_.with([](uint64_t ended) { return ended; });
    }
    void announce_trial_over();
    /// Waits until more trials than `ended` are over, the calling thread is interrupted, or `duration_ns` have passed
    /// (TimedOut), with `progress` as above.
    WakeReason wait_for_trial(uint64_t ended, uint64_t duration_ns, ProgressFunction progress = nullptr,
                              void* context = nullptr);
    bool is_on_scheduler_trial(const ModuleRecord& record) const HELIX_REQUIRES(change_) {
        return scheduler_trial_.instance != nullptr && !scheduler_trial_.is_extra &&
               &scheduler_trial_.instance->record == &record;
    }
    // allocator_swap.cpp
    Result<void> plug_in_allocator(ModuleRecord& record, PhaseClock& clock) HELIX_REQUIRES(change_);
    void let_allocator_rule(ModuleRecord& record, PhaseClock& clock) HELIX_REQUIRES(change_);
    // supervisor.cpp
    static void supervisor_main(void* system);
    /// Waits until the supervisor has looked after what failed before, and so for the transaction that is under way.
    void wait_for_supervisor();
    /// Whether a module is to be brought back now. Registry lock not held.
    bool is_restart_due();
    /// So many restarts came to an end, one way or the other.
    uint64_t restarts_ended() const { return __atomic_load_n(&restarts_ended_, __ATOMIC_ACQUIRE); }
    /// Waits until one more has than `ended`, which was read before the module was seen to be Restarting. Errors:
    /// TimedOut, Cancelled.
    Result<void> wait_for_restart(uint64_t ended, uint64_t deadline_ns);
    /// The module of `record` is not Restarting any more: who waits for it goes on. Change lock held.
    void announce_decided(ModuleRecord& record) HELIX_REQUIRES(change_);
    /// False on the thread of a transaction, for which the supervisor waits.
    bool may_wait_for_supervisor() { return !change_.held_by_me(); }
    void supervise();
    void look_after_failed() HELIX_REQUIRES(change_);
    uint64_t next_tick_ns();
    void send_periodic_events();
    void handle_failed(Instance& instance) HELIX_REQUIRES(change_);
    void retire_failed(ModuleRecord& record) HELIX_REQUIRES(change_);
    void abandon_heap_blocks(Instance& instance) HELIX_REQUIRES(change_);
    void fail_over(InterfaceRecord& interface, Text from, uint64_t failed_cycles = 0) HELIX_REQUIRES(change_);
    HistoryRecord record_of_failure(const Instance& failed, Text reason, uint64_t time_ns) const
        HELIX_REQUIRES(change_);
    // health.cpp
    static void health_main(void* system);
    /// Modules came, or run again: those who look at them now and then decide anew when they do next.
    void plan_looks();
    /// Waits until `next_ns`, or until looks are planned anew; `planned` is of the caller, 0 at first.
    void wait_for_look(uint64_t next_ns, uint64_t& planned) HELIX_MAY_SLEEP;
    FixedText<46> next_look(uint64_t& next_ns);
    void look_at(ModuleRecord& record);
    void take_checkpoint(ModuleRecord& record);
    /// A restart of the module restores what was saved in the reload `replacement`, unless `serves`, which began with
    /// that, has saved its state since.
    void keep_reloaded(const Replacement& replacement, const Instance& serves) HELIX_REQUIRES(change_);
    /// From now on a restart of `record` restores a copy of `state`, saved at `time_ns`; nothing, if it is empty. `by`:
    /// it is a checkpoint of that instance. `unless`: what that one saved stays.
    void keep_for_restart(ModuleRecord& record, Bytes state = {}, uint64_t time_ns = 0,
                          InstanceId by = InstanceId::None, InstanceId unless = InstanceId::None);
    // call_watch.cpp
    Result<void> start_call_watch();
    static void call_watch_main(void* system);
    uint64_t watch_calls();
    // supervisor_restart.cpp; change lock held
    bool plan_restart(ModuleRecord& record, Text reason) HELIX_REQUIRES(change_);
    bool empty_failed(ModuleRecord& record, uint64_t timeout_ns) HELIX_REQUIRES(change_);
    void run_restarts() HELIX_REQUIRES(change_);
    uint64_t next_restart_ns() HELIX_REQUIRES(change_);
    bool waits_for_provider(ModuleRecord& record) HELIX_REQUIRES(change_);
    Result<Instance*> make_successor(ModuleRecord& record, PhaseClock& clock, Bytes state) HELIX_REQUIRES(change_);
    Result<void> bring_back(ModuleRecord& record) HELIX_REQUIRES(change_);
    void rule_again(ModuleRecord& record) HELIX_REQUIRES(change_);
    void abandon_restart(ModuleRecord& record) HELIX_REQUIRES(change_);
    void give_up(ModuleRecord& record) HELIX_REQUIRES(change_);
    Probation& begin_probation(Probation probation) HELIX_REQUIRES(change_);
    void end_probation_of(ModuleRecord& record) HELIX_REQUIRES(change_);
    void end_probation_of(const InterfaceRecord& interface) HELIX_REQUIRES(change_);
    void resume_probation(Probation& probation) HELIX_REQUIRES(change_);
    void finish_probation(Probation& probation) HELIX_REQUIRES(change_);
    void end_probation(Probation& probation) HELIX_REQUIRES(change_);
    bool let_previous_rule(const Probation& probation) HELIX_REQUIRES(change_);
    // rollback.cpp; change lock held
    Result<void> start_spares(const Replacements& group) HELIX_REQUIRES(change_);
    Result<void> let_spares_serve(Replacements& group) HELIX_REQUIRES(change_);
    void roll_back_policy(Probation& probation) HELIX_REQUIRES(change_);
    void remove_failed(ModuleRecord& record) HELIX_REQUIRES(change_);
    bool roll_back_swaps_of(Instance& failed, Text reason) HELIX_REQUIRES(change_);
    bool return_primary(const Probation& probation) HELIX_REQUIRES(change_);
    void roll_back(Probation& probation, Text reason) HELIX_REQUIRES(change_);
    // supervisor.cpp
    void expire_probations(uint64_t now_ns) HELIX_REQUIRES(change_);
    uint64_t probation_ns(const ModuleRecord& record) const;
    /// Changes what the history says of the transaction that `probation` belongs to, of each module.
    template <typename Change>
    void amend_history_of(const Probation& probation, Change change) {
        const size_t records = probation.group.size() == 0 ? 1 : probation.group.size();
        for (size_t i = 0; i < records; ++i) history_.amend(probation.history_id + i, change);
    }

    Kernel& kernel_;
    Archive bundle_;
    Archive initrd_;
    FileIndex bundle_files_{bundle_};
    FileIndex initrd_files_{initrd_};
    Mutex change_ HELIX_RANK(ModuleChange);
    Mutex registry_ HELIX_RANK(ModuleRegistry);
    boost::intrusive::list<ModuleRecord> records_ HELIX_GUARDED_BY(registry_);  // in order of start
    NameIndex<ModuleRecord> names_ HELIX_GUARDED_BY(registry_);                 // of the same
    boost::intrusive::list<NotStarted> not_started_ HELIX_GUARDED_BY(registry_);
    InterfaceRegistry interfaces_ HELIX_GUARDED_BY(registry_);
    WaitQueue unpinned_;  // for whoever removes a record
    History history_;
    EventQueue events_;
    SemaphoreTable semaphores_;
    InterruptLines lines_{semaphores_};
    PendingRequests pending_requests_;
    Ledger kernel_ledger_;
    uint32_t last_instance_id_ = 0;
    uint32_t last_hold_number_ HELIX_GUARDED_BY(change_) = 0;

    static constexpr size_t kMaximumProbations = 16;
    Probation probations_[kMaximumProbations] HELIX_GUARDED_BY(change_);
    /// A policy that follows the ruling one and is compared with it.
    struct SchedulerTrial {
        Instance* instance = nullptr;  ///< null: there is none
        bool is_extra = false;         ///< an instance made for the trial, of the module that rules
        uint64_t ended = 0;            ///< so many had, when it began
        FixedText<186> why;            ///< it ended before its time; empty if it did not
    };
    SchedulerTrial scheduler_trial_ HELIX_GUARDED_BY(change_);
    Awaited<uint64_t> trials_ended_;  ///< so many trials and canaries have, or should look whether they have to
    Canary* canary_ HELIX_GUARDED_BY(change_) = nullptr;  ///< that is under way
    static constexpr uint32_t kNoCpu = UINT32_MAX;
    uint32_t canary_cpu_ = kNoCpu;  ///< of that; atomic
    /// Of the reload that is under way, while others are looked at as if it were done.
    const Replacements* changing_ HELIX_GUARDED_BY(change_) = nullptr;
    Trial* trial_ HELIX_GUARDED_BY(change_) = nullptr;  ///< that is under way
    TrialReport last_trial_ HELIX_GUARDED_BY(registry_);
    /// Instances of modules that name others with which they conflict; also those that do not serve yet, or any more.
    boost::intrusive::list<Instance, boost::intrusive::constant_time_size<false>> conflicting_
        HELIX_GUARDED_BY(change_);
    Instance* failed_ = nullptr;                                 // atomic: a stack that any context pushes to
    Instance* failed_seen_ HELIX_GUARDED_BY(change_) = nullptr;  // those taken from it
    uint64_t last_tick_ns_ = 0;                                  // of the supervisor's thread, like the next
    MemoryPressureLevel memory_pressure_ = MemoryPressureLevel::Normal;
    struct Rounds {
        bool wanted = false;
        uint64_t asked = 0;  ///< tickets of those who wait for a round of the supervisor
        uint64_t done = 0;   ///< up to this ticket a round began after it was drawn, and ended
    };
    Awaited<Rounds> rounds_;
    uint64_t restarts_ended_ = 0;  // atomic; who waits for it to change does so at rounds_
    Awaited<uint64_t> plans_;      // how often looks were planned anew
};

}  // namespace helix::kernel
