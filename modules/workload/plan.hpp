// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A plan: what a workload file asks for, checked. docs/workloads.md explains the words.
#pragma once

#include "helix/scheduling.hpp"

namespace helix::workload {

enum class Step : uint32_t { Run, Sleep, Timer, Lock, Unlock, Barrier, Yield };

struct Action {
    Step step;
    uint32_t resource;     ///< Lock, Unlock, Barrier: which
    uint64_t duration_ns;  ///< Run, Sleep, Timer
};

/// Actions, one after the other, so many times.
struct Phase {
    uint64_t loops;
    uint32_t first_action;
    uint32_t action_count;
};

/// Threads that do the same.
struct Task {
    static constexpr uint64_t kForEver = UINT64_MAX;

    FixedText<24> name;
    uint32_t instances;
    uint32_t priority;
    uint64_t loops;  ///< of all phases; kForEver: until the run ends
    uint64_t delay_ns;
    SchedulingAttributes attributes;
    uint64_t cpus;  ///< bit n: it may run on CPU n; 0: on all
    uint32_t first_phase;
    uint32_t phase_count;
};

/// A lock or a barrier, named by whoever uses it.
struct Resource {
    FixedText<24> name;
    bool is_barrier;
    uint32_t participants;  ///< of a barrier: threads that come to it
};

/// Some ten kilobytes, of values alone.
struct Plan {
    static constexpr uint32_t kMaximumTasks = 32;
    static constexpr uint32_t kMaximumPhases = 128;
    static constexpr uint32_t kMaximumActions = 512;
    static constexpr uint32_t kMaximumResources = 64;
    static constexpr uint32_t kMaximumThreads = 10'000;

    uint64_t duration_ns;  ///< 0: until all loops are done
    uint32_t task_count;
    uint32_t phase_count;
    uint32_t action_count;
    uint32_t resource_count;
    uint32_t thread_count;
    Task tasks[kMaximumTasks];
    Phase phases[kMaximumPhases];
    Action actions[kMaximumActions];
    Resource resources[kMaximumResources];

    Span<const Task> all_tasks() const { return {tasks, task_count}; }
    Span<const Phase> phases_of(const Task& task) const { return {phases + task.first_phase, task.phase_count}; }
    Span<const Action> actions_of(const Phase& phase) const {
        return {actions + phase.first_action, phase.action_count};
    }
};

}  // namespace helix::workload
