// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// PendingRequests: starting, waiting, giving up. Memory is freed by whoever comes last, outside the lock.

#include "kernel/kernel.hpp"
#include "kernel/memory/make.hpp"

#include <new>
#include <utility>

namespace helix::kernel {

/// `id` None: any of `by`.
PendingRequests::Pending* PendingRequests::find(State& state, const Instance& by, RequestId id) {
    for (Pending& pending : state.all)
        if (pending.by == &by && (pending.id == id || id == RequestId::None)) return &pending;
    return nullptr;
}

/// The module has it no more. True if it is over, and so to be freed by the caller; else its thread does that.
bool PendingRequests::let_go(State& state, Pending& pending) {
    __atomic_fetch_sub(&pending.by->requests, 1, __ATOMIC_ACQ_REL);
    pending.by = nullptr;
    __atomic_store_n(&pending.given_up, 1, __ATOMIC_RELEASE);
    if (pending.done) state.all.erase(state.all.iterator_to(pending));
    return pending.done;
}

Result<RequestId> PendingRequests::start(Instance& by, Text target, Text type, Buffer payload, uint64_t timeout_ns,
                                         SemaphoreId answered) {
    if (__atomic_fetch_add(&by.requests, 1, __ATOMIC_ACQ_REL) >= kMaximum) {
        __atomic_fetch_sub(&by.requests, 1, __ATOMIC_ACQ_REL);
        return Error(ErrorCode::Busy, format("{} has {} requests pending", by.name(), kMaximum).text());
    }
    auto* const pending = make<Pending>(by.kernel.heap);
    if (pending == nullptr) {
        __atomic_fetch_sub(&by.requests, 1, __ATOMIC_ACQ_REL);
        return ErrorCode::OutOfMemory;
    }
    pending->by = &by;
    pending->target.assign(target);
    pending->type.assign(type);
    pending->payload = std::move(payload);
    pending->source = by.id;
    pending->deadline_ns = deadline_after(timeout_ns);
    pending->answered = answered;
    RequestId id = RequestId::None;
    state_.with([&](State& state) {
        if (++state.last_id == 0) ++state.last_id;
        id = pending->id = static_cast<RequestId>(state.last_id);
        state.all.push_back(*pending);
    });
    const auto thread = by.kernel.threads.create("request", thread_main, pending, {});
    if (thread.ok()) return id;
    pending->done = true;  // there is no thread
    (void)cancel(by, id).ok();
    return thread.error();
}

void PendingRequests::thread_main(void* argument) {
    auto& pending = *static_cast<Pending*>(argument);
    ModuleSystem& modules = this_kernel().modules;
    const Asking asking{pending.source, modules.kernel_ledger(), pending.deadline_ns, &pending.given_up};
    modules.pending_requests().finish(
        pending, modules.request(asking, pending.target.text(), pending.type.text(), pending.payload.bytes()));
}

void PendingRequests::finish(Pending& pending, Result<Response> result) {
    bool last = false;
    state_.wake_all([&](State& state) {
        pending.result.~Result();
        new (&pending.result) Result<Response>(std::move(result));
        pending.done = true;
        last = pending.by == nullptr;
        if (last)
            state.all.erase(state.all.iterator_to(pending));
        else if (pending.answered != SemaphoreId::None)
            (void)this_kernel().modules.semaphores().signal(*pending.by, pending.answered).ok();
    });
    if (last) unmake(this_kernel().heap, &pending);
}

Result<Response> PendingRequests::wait(Instance& by, RequestId id, uint64_t timeout_ns) {
    Pending* pending = nullptr;
    uint64_t deadline_ns = kForever;
    state_.with([&](State& state) {
        pending = find(state, by, id);
        if (pending != nullptr) deadline_ns = pending->deadline_ns;
    });
    const uint64_t until_ns = deadline_after(timeout_ns);
    bool over = false;
    const WakeReason reason = state_.wait_until(
        [&](State& state) {
            pending = find(state, by, id);
            if (pending == nullptr || !pending->done) return pending == nullptr;
            return over = let_go(state, *pending);
        },
        until_ns < deadline_ns ? until_ns : deadline_ns);
    if (reason == WakeReason::Cancelled) return ErrorCode::Cancelled;
    if (reason == WakeReason::TimedOut) {
        if (arch::now_ns() < deadline_ns) return Error(ErrorCode::Busy, "no answer yet");
        const Error error(ErrorCode::TimedOut, "no answer in time");
        return cancel(by, id).ok() ? error : Error(ErrorCode::NotFound);
    }
    if (!over) return ErrorCode::NotFound;
    Result<Response> result = std::move(pending->result);
    unmake(by.kernel.heap, pending);
    if (result.ok()) {
        const Bytes answer = result.value().payload().bytes();
        if (answer.data() != nullptr)
            by.kernel.modules.kernel_ledger().hand_over(answer.data(), answer.size(), by.ledger);
    }
    return result;
}

Result<void> PendingRequests::cancel(Instance& by, RequestId id) {
    Pending* pending = nullptr;
    bool over = false;
    state_.wake_all([&](State& state) {
        pending = find(state, by, id);
        if (pending != nullptr) over = let_go(state, *pending);
    });
    if (over) unmake(by.kernel.heap, pending);
    return pending != nullptr ? Result<void>() : Error(ErrorCode::NotFound);
}

void PendingRequests::release_all(Instance& by) {
    while (cancel(by, RequestId::None).ok()) {
    }
}

}  // namespace helix::kernel
