// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The threads of one CPU that share it by weight: virtual time, lag, and who runs next by EEVDF.
//
// After I. Stoica and H. Abdel-Wahab, "Earliest Eligible Virtual Deadline First: A Flexible and Accurate Mechanism for
// Proportional Share Resource Allocation" (Old Dominion University TR-95-22, 1995). Each thread has a virtual runtime,
// the CPU time that it had divided by its weight. The virtual time of the CPU is the mean of them, by weight: that of
// somebody who had exactly its share. A thread whose virtual runtime is not beyond it is owed CPU time (its lag is not
// negative) and is eligible; of these the one with the earliest virtual deadline runs, which is the virtual runtime
// that it will have when its request, a slice, is fulfilled.
//
// Who leaves keeps its lag, and has it again where it joins, on this CPU or another. Lag is bounded both ways, so that
// time in which another policy ruled, or a tick that came late, is not paid back: among a thousand threads a thread
// waits a thousand times as long as it is ahead.
//
// In SchedulerCpu::area; all zero is valid. Under the lock of the CPU. Joining, leaving and picking take logarithmic
// time.
#pragma once

#include "../thread_tree.hpp"

namespace helix::scheduling {

/// What the policy keeps in each thread. Zero when it first sees the thread.
struct FairState {
    TreeNode node;
    union {
        int64_t virtual_ns;  ///< while it competes: its virtual runtime, by the time of its CPU
        int64_t lag_ns;      ///< otherwise: how far that was behind the virtual time when it left
    };
    int64_t deadline_ns;   ///< virtual; while it competes
    int64_t earliest_ns;   ///< while queued: the least virtual runtime of its subtree
    uint64_t charged_ns;   ///< the CPU time up to which virtual_ns counts it
    uint32_t weight : 24;  ///< while it competes
    uint32_t competes : 1;
    uint32_t queued : 1;
};
static_assert(sizeof(FairState) <= SchedulerThread::kAreaSize);

inline FairState& fair(SchedulerThread& thread) {
    return thread.policy<FairState>();
}
inline const FairState& fair(const SchedulerThread& thread) {
    return thread.policy<FairState>();
}

/// By virtual deadline; each subtree knows its least virtual runtime.
struct ByVirtualDeadline {
    static TreeNode& node(SchedulerThread& thread) { return fair(thread).node; }
    static const TreeNode& node(const SchedulerThread& thread) { return fair(thread).node; }
    static bool before(const SchedulerThread& a, const SchedulerThread& b) {
        return fair(a).deadline_ns < fair(b).deadline_ns;
    }
    static int64_t earliest_of(const FairState& state) {
        int64_t earliest_ns = state.virtual_ns;
        const SchedulerThread* const children[] = {state.node.left, state.node.right};
        for (const SchedulerThread* child : children)
            if (child != nullptr && fair(*child).earliest_ns < earliest_ns) earliest_ns = fair(*child).earliest_ns;
        return earliest_ns;
    }
    static bool summarise(SchedulerThread& thread) {
        FairState& state = fair(thread);
        const int64_t earliest_ns = earliest_of(state);
        const bool changed = earliest_ns != state.earliest_ns;
        state.earliest_ns = earliest_ns;
        return changed;
    }
};

class FairQueue {
public:
    /// Lag beyond this, and two slices, is forgotten; of a thread of usual weight, in virtual time. As long as ticks
    /// are on time nobody's own requests bring it there.
    static constexpr int64_t kForgottenNs = 1'000'000;

    uint32_t queued_count() const { return queued_; }
    bool empty() const { return tree_.empty(); }
    SchedulerThread* running() const { return running_; }

    /// `thread` competes from now on, with the lag that it left with, and a new request. It is not queued yet.
    void join(SchedulerThread& thread, uint32_t weight, uint64_t slice_ns) {
        FairState& state = fair(thread);
        const int64_t lag_ns = within(state.lag_ns, lag_limit_ns(weight, slice_ns));
        // It moves the mean itself: with this much more lag before, it has its own afterwards.
        const int64_t extra_ns = weight_ == 0 ? 0 : lag_ns * static_cast<int64_t>(weight) / weight_;
        state.virtual_ns = weight_ == 0 ? zero_ns_ : virtual_time() - lag_ns - extra_ns;
        state.weight = weight;
        state.competes = 1;
        state.charged_ns = thread.runtime_ns;
        weight_ += weight;
        weighted_ns_ += (state.virtual_ns - zero_ns_) * weight;
        begin_request(state, slice_ns);
    }
    /// `thread` competes no more; it is not queued.
    void leave(SchedulerThread& thread, uint64_t slice_ns) {
        FairState& state = fair(thread);
        const int64_t lag_ns = within(virtual_time() - state.virtual_ns, lag_limit_ns(state.weight, slice_ns));
        weight_ -= state.weight;
        weighted_ns_ -= (state.virtual_ns - zero_ns_) * state.weight;
        if (weight_ == 0) weighted_ns_ = 0;
        state.competes = 0;
        state.lag_ns = lag_ns;
        if (running_ == &thread) running_ = nullptr;
    }
    /// Its weight is another from now on; it keeps its lag in CPU time. It competes and is not queued.
    void reweigh(SchedulerThread& thread, uint32_t weight, uint64_t slice_ns) {
        FairState& state = fair(thread);
        const auto old = static_cast<int64_t>(state.weight);
        SchedulerThread* const running = running_;
        leave(thread, slice_ns);
        running_ = running;
        state.lag_ns = state.lag_ns * old / weight;
        join(thread, weight, slice_ns);
    }

    /// `thread`, which competes and has run, goes on or waits: what it used is counted.
    void charge(SchedulerThread& thread, uint64_t slice_ns) {
        FairState& state = fair(thread);
        const uint64_t used_ns = thread.runtime_ns - state.charged_ns;
        state.charged_ns = thread.runtime_ns;
        if (used_ns == 0) return;
        const int64_t limit_ns = lag_limit_ns(state.weight, slice_ns);
        // However long it was: beyond this it is forgotten anyway, and the product fits.
        const uint64_t counted_ns = used_ns < kLongestUseNs ? used_ns : kLongestUseNs;
        int64_t passed_ns = scaled(static_cast<int64_t>(counted_ns), state.weight);
        const int64_t ahead_ns = state.virtual_ns - virtual_time();
        if (ahead_ns + passed_ns > limit_ns) passed_ns = ahead_ns < limit_ns ? limit_ns - ahead_ns : 0;
        state.virtual_ns += passed_ns;
        weighted_ns_ += passed_ns * state.weight;
        // Numbers stay small if they are taken from where the virtual time is.
        const int64_t mean_ns = weighted_ns_ / weight_;
        zero_ns_ += mean_ns;
        weighted_ns_ -= mean_ns * weight_;
    }
    /// `thread`, which competes and is not queued, does without the time that it is owed, and a little more: others
    /// that are owed some are eligible then, and it is not.
    void forgo(SchedulerThread& thread) {
        FairState& state = fair(thread);
        const int64_t weight = weight_ - state.weight;
        if (weight == 0) return;
        const int64_t others_ns = zero_ns_ + (weighted_ns_ - (state.virtual_ns - zero_ns_) * state.weight) / weight;
        const int64_t owed_ns = others_ns + 1 - state.virtual_ns;
        if (owed_ns <= 0) return;
        state.virtual_ns += owed_ns;
        weighted_ns_ += owed_ns * state.weight;
    }
    /// Its request is fulfilled, so that the next one begins.
    static bool is_fulfilled(const SchedulerThread& thread) {
        return fair(thread).virtual_ns >= fair(thread).deadline_ns;
    }
    static void begin_request(FairState& state, uint64_t slice_ns) {
        state.deadline_ns = state.virtual_ns + scaled(static_cast<int64_t>(slice_ns), state.weight);
    }

    void insert(SchedulerThread& thread) {
        tree_.insert(thread);
        fair(thread).queued = 1;
        ++queued_;
        if (running_ == &thread) running_ = nullptr;
    }
    void remove(SchedulerThread& thread) {
        tree_.remove(thread);
        fair(thread).queued = 0;
        --queued_;
    }
    void set_running(SchedulerThread& thread) { running_ = &thread; }

    bool is_eligible(int64_t virtual_ns) const {
        return static_cast<__int128>(virtual_ns - zero_ns_) * weight_ <= weighted_ns_;
    }
    /// The eligible thread with the earliest deadline; null if none is queued. If none is eligible, since the one that
    /// runs is owed the time, the first by deadline.
    SchedulerThread* best() const {
        SchedulerThread* at = tree_.root();
        while (at != nullptr) {
            const TreeNode& node = fair(*at).node;
            if (node.left != nullptr && is_eligible(fair(*node.left).earliest_ns))
                at = node.left;
            else if (is_eligible(fair(*at).virtual_ns))
                return at;
            else
                at = node.right != nullptr && is_eligible(fair(*node.right).earliest_ns) ? node.right : nullptr;
        }
        return tree_.first();
    }

    /// True if the links, the order and the summary of `thread` agree with those of its neighbours.
    bool holds(const SchedulerThread& thread) const {
        const FairState& state = fair(thread);
        return state.queued != 0 && state.competes != 0 && tree_.holds(thread) &&
               ByVirtualDeadline::earliest_of(state) == state.earliest_ns;
    }

    int64_t virtual_time() const { return weight_ == 0 ? zero_ns_ : zero_ns_ + weighted_ns_ / weight_; }
    int64_t weight() const { return weight_; }
    SchedulerThread* first() const { return tree_.first(); }
    static SchedulerThread* next(SchedulerThread& thread) { return ThreadTree<ByVirtualDeadline>::next(thread); }

private:
    static constexpr uint64_t kLongestUseNs = uint64_t{1} << 40;

    /// CPU time as virtual time.
    static int64_t scaled(int64_t ns, uint32_t weight) {
        return ns * int64_t{SchedulingAttributes::kUsualWeight} / static_cast<int64_t>(weight);
    }
    static int64_t lag_limit_ns(uint32_t weight, uint64_t slice_ns) {
        return scaled(kForgottenNs + 2 * static_cast<int64_t>(slice_ns), weight);
    }
    static int64_t within(int64_t value, int64_t limit) {
        return value > limit ? limit : value < -limit ? -limit : value;
    }

    ThreadTree<ByVirtualDeadline> tree_;
    SchedulerThread* running_;  ///< competes, but is not queued
    int64_t zero_ns_;           ///< where virtual times are counted from
    int64_t weighted_ns_;       ///< the virtual runtimes of all that compete, from there, times their weights
    int64_t weight_;            ///< of all that compete
    uint32_t queued_;
};
static_assert(sizeof(FairQueue) <= SchedulerCpu::kAreaSize);

}  // namespace helix::scheduling
