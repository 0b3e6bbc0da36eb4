// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Tap: while a trial is on, it stands in the slots of the instance that serves, and copies pure calls on their way.
//
// The slots lead to an object of the kernel whose every method is one piece of code, which calls the implementation and
// is seen neither by who calls nor by who is called. Where no trial is on, nothing of this is in the way.
#pragma once

#include "kernel/module/trial_call.hpp"
#include "kernel/thread/awaited.hpp"

namespace helix::kernel {

/// What compiled code calls in the place of an implementation.
struct TappedObject {
    const void* vtable;
    void* implementation;  ///< null: nobody, the call is refused
};

/// Of one instance, from its first trial to its end: calls that are inside find it whenever they return. What changes
/// `watched`, and the slots, holds the change lock.
class Tap {
public:
    /// One interface of the instance.
    struct Way {
        Way();  // out of line, as that of the calls: there are many
        TappedObject object{};
        SlotTarget target{};  ///< leads to the object
        FixedText<46> interface;
        MethodShape* shapes = nullptr;  ///< of its pure methods
        uint32_t shape_count = 0;
    };

    /// Asks `instance`, which runs, for its pure methods. Errors: OutOfMemory, ModuleFailed; NotSupported, if it has
    /// none that a trial could ask twice.
    static Result<Tap*> create(Instance& instance);
    /// The instance goes: nobody is inside. Whoever waits for calls is told; then the tap is theirs to destroy.
    static void leave(Tap* tap);
    static void destroy(Tap* tap);

    Way* begin() { return ways_; }
    Way* end() { return ways_ + way_count_; }
    /// The one that takes the place of `target` in a slot, or null.
    Way* find(const SlotTarget* target);

    /// For an instance on trial, in the place of everybody else: calls there are refused. As long as the tap is there.
    TappedObject* refusing() { return &refusing_; }

    /// Grows with every call that may change what the pure methods answer. Any context.
    uint64_t epoch() const;

    /// From now on calls are copied that are answered in `epoch`.
    void open(uint64_t epoch);
    /// No call is copied any more, and those that were are forgotten.
    void close();
    enum class News : uint8_t { Call, Stale, Gone, TimedOut, Cancelled };
    /// Waits for a copied call (`call`, until `done`), until the epoch is over, the instance is gone, or somebody calls
    /// `cancel`. For one thread.
    News wait(uint64_t deadline_ns, TrialCall*& call);
    void done(TrialCall& call);
    void cancel();
    /// Calls that could not be copied: they were too many at a time, too long, or came in another epoch.
    uint64_t skipped();
    /// The instance was destroyed, so the tap is to be. Change lock held.
    bool is_left() const { return left_; }
    bool watched = false;  ///< a trial uses it

    // What the calls themselves do; tap.cpp.
    struct Frame;
    void enter(Frame& frame, Way& way);
    void answered(Frame& frame);

private:
    static constexpr size_t kCalls = 16;
    enum class Use : uint8_t { Free, Written, UnderWay, Ready };
    struct State {
        bool open = false;
        bool stale = false;
        bool gone = false;
        bool cancelled = false;
        uint64_t epoch = 0;
        uint64_t skipped = 0;
        uint32_t ticket = 0;
        uint32_t tickets[kCalls] = {};
        Use uses[kCalls] = {};
    };

    explicit Tap(Instance& instance);
    /// Runs `change` with the state locked. Out of line, whatever the change is.
    using Change = void (*)(State& state, void* context);
    void run_locked(Change change, void* context);
    template <typename Function>
    void locked(Function function) {
        run_locked([](State& state, void* context) { (*static_cast<Function*>(context))(state); }, &function);
    }

    using Method = void (*)();
    Method vtable_[MethodShape::kMaximumMethods];
    TappedObject refusing_ = {&vtable_, nullptr};
    Kernel& kernel_;
    Instance& instance_;  ///< until it is left
    Way ways_[6];
    size_t way_count_ = 0;
    uint64_t changes_ = 0;  ///< calls of other methods; atomic
    bool left_ = false;
    Awaited<State> state_;
    TrialCall calls_[kCalls];
};

}  // namespace helix::kernel
