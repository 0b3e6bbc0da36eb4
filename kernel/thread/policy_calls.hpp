// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What a switch asks of the policy, inline: nothing stands between Threads and the policy but the gate.
#pragma once

#include "kernel/thread/gates.hpp"
#include "kernel/thread/threads.hpp"

namespace helix::kernel {

inline uint32_t PolicySlot::ruling_of(const Thread& thread) const {
    return threads_.cpu(thread.cpu).ruling;
}

/// Calls `Method` of the policy in `place`, which serves; false if the call failed. `out` is null for void methods.
template <auto Method, typename... Arguments>
bool PolicySlot::ask(uint32_t place, void* out, Arguments&&... arguments) {
    const Place& asked = at(place);
    return call_module<Method>(token_of(asked.instance), asked.policy, out, static_cast<Arguments&&>(arguments)...) ==
           GateFailure::None;
}

/// The arguments of a method as the machine words that its gate carries.
template <typename Method>
struct WordsOf;
template <typename C, typename R, typename... A>
struct WordsOf<R (C::*)(A...)> {
    static void put(uint64_t* out, A... arguments) { (detail::put_words<A>(out, arguments), ...); }
};
template <typename C, typename R, typename... A>
struct WordsOf<R (C::*)(A...) const> : WordsOf<R (C::*)(A...)> {};

template <auto Method, typename Out, typename... Arguments>
bool PolicySlot::ask_seldom(uint32_t place, Out* out, Arguments&&... arguments) {
    uint64_t words[kWords] = {};
    WordsOf<decltype(Method)>::put(words, static_cast<Arguments&&>(arguments)...);
    uint64_t answer = 0;
    if (!ask_words(place, detail::vtable_offset(Method), words, answer)) return false;
    if constexpr (std::is_same_v<Out, bool>)
        *out = (answer & 0xff) != 0;
    else if constexpr (!std::is_void_v<Out>)
        __builtin_memcpy(out, &answer, sizeof(Out));
    return true;
}

inline Thread* PolicySlot::validated(uint32_t place, Cpu& cpu, SchedulerThread* answer, uint64_t method) {
    Thread* const thread = threads_.thread_of_view(place, answer);
    if (__builtin_expect(thread != nullptr && thread->state == ThreadState::Runnable && thread->cpu == cpu.local.cpu &&
                             (thread->queued_in & bit_of(place)) != 0,
                         1))
        return thread;
    picked_wrongly(place, cpu, method, answer, thread);
    return nullptr;
}

inline __attribute__((always_inline)) Thread& PolicySlot::yield(Cpu& cpu, Thread& thread, EnqueueReason reason) {
    cpu.policy_ready.push_back(thread);
    const uint32_t place = cpu.ruling;
    if (__builtin_expect(has_mirror(), 0)) enqueue_in_mirror(other(place), cpu, thread, reason);
    Thread* picked = nullptr;
    if (__builtin_expect(serves(place), 1)) {
        thread.queued_in |= bit_of(place);
        thread.view[place].cpu = cpu.local.cpu;
        SchedulerThread* answer = nullptr;
        if (ask<&Scheduler::yield>(place, &answer, cpu.view[place], thread.view[place], reason))
            picked = validated(place, cpu, answer, detail::vtable_offset(&Scheduler::yield));
    }
    if (__builtin_expect(picked == nullptr, 0)) {
        picked = &cpu.policy_ready.front();
        ++cpu.fifo_picks;
    }
    if (__builtin_expect(has_mirror(), 0)) dequeue_in_mirror(other(place), cpu, *picked);
    cpu.policy_ready.erase(cpu.policy_ready.iterator_to(*picked));
    picked->queued_in = 0;
    return *picked;
}

}  // namespace helix::kernel
