// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ModuleRecord: a module's place in the registry. It survives reloads; instances come and go in it.
#pragma once

#include "helix/request.hpp"
#include "kernel/module/instance.hpp"
#include "kernel/module/metrics.hpp"
#include "kernel/module/restart.hpp"
#include "kernel/module/slot.hpp"
#include "kernel/thread/mutex.hpp"

namespace helix::kernel {

enum class Link : uint8_t { Static, Dynamic };

/// Memory that belongs to a place and passes from instance to instance without a copy.
struct KeptRegion : boost::intrusive::list_base_hook<> {
    FixedText<46> name;
    uint32_t version = 0;
    size_t size = 0;
    void* memory = nullptr;
};

/// The state that a restart restores, of a module that takes an old one: what was saved last.
struct SavedState {
    Buffer state;  ///< empty: there is none
    uint64_t time_ns = 0;
    InstanceId instance = InstanceId::None;  ///< that saved it as a checkpoint
};

/// When calls into a module are looked at; call_watch.cpp.
struct CallWatch {
    uint64_t next_ns = 0;
    bool is_due = false;  ///< in the look that is under way
};

/// What is known of how a module is. Of the thread that asks, but for what says otherwise.
class Health {
public:
    uint64_t look_ns = 0;                    ///< when it is looked at next; 0: not known yet
    uint64_t ask_ns = 0;                     ///< not asked before
    InstanceId instance = InstanceId::None;  ///< that was asked last
    uint64_t checkpoint_ns = 0;              ///< its state is not saved before
    InstanceId saves = InstanceId::None;     ///< for which that is
    InstanceId refused = InstanceId::None;   ///< of which a word is in the log that its state could not be saved

    /// So many bad answers in a row. Anybody reads it.
    uint32_t unhealthy() const { return __atomic_load_n(&unhealthy_, __ATOMIC_RELAXED); }
    void set_unhealthy(uint32_t count) { __atomic_store_n(&unhealthy_, count, __ATOMIC_RELAXED); }

private:
    uint32_t unhealthy_ = 0;
};

/// How far a module is with events. Guarded by the event queue's lock, once the record is in the registry.
struct Hearing {
    uint64_t newest = 0;  ///< number of the newest that it was handed, or that was sent before it was started
    const Thread* attendant = nullptr;  ///< hands it one at the moment, or stays with it because it is slow
    uint32_t slow_for = 0;              ///< it counts as slow for so many more that it is quick with
};

class ModuleRecord : public boost::intrusive::list_base_hook<> {
public:
    static constexpr size_t kMaximumInterfaces = 6;
    /// Of the instance that serves, of the one that is to replace it, and of the one that may come back.
    static constexpr size_t kMaximumSlots = 3 * kMaximumInterfaces;

    ModuleRecord(Text name_text, Link linked, Text file_name) : name_(name_text), link(linked), file(file_name) {}

    Text name() const { return name_.text(); }
    const FixedText<46>& fixed_name() const { return name_; }
    /// `failed`, an instance of this place, failed: blocking callers wait at the slots that it fills until the
    /// supervisor has decided who serves. Any context.
    void close_for_failed(const Instance& failed);
    /// Callers go on, wherever nobody who failed serves any more. The supervisor's.
    void open_after_failed();
    /// Change lock, registry lock or call lock held.
    ModuleState state() const { return current == nullptr ? ModuleState::Registered : current->state.load(); }
    /// Ticks in which its code ran, of all its instances; see Owner. Registry lock held.
    uint64_t ticks() const {
        return metrics.ticks() + (current == nullptr ? 0 : __atomic_load_n(&current->ticks, __ATOMIC_RELAXED));
    }
    /// Whether it runs or is to run again: what it needs has to stay.
    bool is_wanted() const { return state() == ModuleState::Running || state() == ModuleState::Restarting; }

private:
    FixedText<46> name_;

public:
    const Link link;
    FixedText<62> file;  ///< from which it was loaded: reload without a file takes it again
    // Changed under ModuleSystem's change lock and the registry's lock, read under either.
    Instance* current = nullptr;
    uint32_t generation = 0;  ///< instances that have run here
    /// Those that are published are in the lists of their interfaces; the others wait for the end of a transaction or
    /// of a probation.
    Slot* slots[kMaximumSlots] = {};
    uint32_t slot_count = 0;
    boost::intrusive::list<KeptRegion> kept;
    Hearing hearing;
    Supervision supervision;  ///< as the profile has it, from before the record is in the registry
    Restarts restarts;        ///< guarded by the change lock, as it says
    SavedState saved;         ///< guarded by the registry's lock; nobody changes it while the module is Restarting but
                              ///< the supervisor
    Health health;
    CallWatch watch;       ///< guarded by the registry's lock
    bool changes = false;  ///< it is replaced or removed, and its slots are trimmed later; guarded by the change lock
    bool stays = false;    ///< it was removed, but its memory cannot be given back; guarded by the change lock
    Metrics metrics;
    uint32_t pins = 0;  ///< threads between look-up and return of a call; atomic
    /// Orders the lifecycle, state, event and request calls of this place; a transaction holds it.
    Mutex call_lock HELIX_RANK(ModuleCall);
    uint64_t calls HELIX_GUARDED_BY(call_lock) = 0;  ///< requests and events so far
    uint64_t calls_so_far() const HELIX_READS_UNLOCKED { return __atomic_load_n(&calls, __ATOMIC_ACQUIRE); }
};

/// Whether it is decided who serves where `record` (null: nobody) is plugged in. A failed instance of an interface that
/// the kernel plugs in itself leaves its slot empty, and that is decided too. Change lock held.
inline bool is_decided(const ModuleRecord* record) {
    if (record == nullptr || !record->is_wanted()) return true;
    return record->state() == ModuleState::Running && !record->current->is_ended();
}

/// Keeps a record from being removed while a call is on its way. Whoever has one does not wait for the supervisor,
/// which may wait for the removal; but for a restart, which the removal ends first.
class RecordPin {
public:
    /// Whoever removes a record waits in `unpinned`, which outlives the records.
    explicit RecordPin(WaitQueue& unpinned) : unpinned_(unpinned) {}
    /// Once. Registry lock held.
    void take(ModuleRecord& record) {
        record_ = &record;
        __atomic_fetch_add(&record.pins, 1, __ATOMIC_ACQ_REL);
    }
    RecordPin(RecordPin&& other) : unpinned_(other.unpinned_), record_(other.record_) { other.record_ = nullptr; }
    RecordPin(const RecordPin&) = delete;
    RecordPin& operator=(const RecordPin&) = delete;
    ~RecordPin() {
        if (record_ == nullptr || __atomic_sub_fetch(&record_->pins, 1, __ATOMIC_ACQ_REL) != 0) return;
        unpinned_.wake_all([] {});  // the record may be gone already
    }
    ModuleRecord* operator->() const { return record_; }
    ModuleRecord& operator*() const { return *record_; }
    explicit operator bool() const { return record_ != nullptr; }

private:
    WaitQueue& unpinned_;
    ModuleRecord* record_ = nullptr;
};

}  // namespace helix::kernel
