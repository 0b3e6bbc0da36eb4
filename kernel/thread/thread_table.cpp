// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Threads: the table, and how threads come into it and leave it: creation, ending, joining.

#include "kernel/kernel.hpp"
#include "kernel/memory/mapped_memory.hpp"
#include "kernel/panic.hpp"
#include "kernel/thread/threads.hpp"

#include <new>
#include <utility>

namespace helix::kernel {

namespace {

constexpr size_t kTableChunkPages = 16;
/// Stacks of neighbours in the table begin at so many places of a page, so far apart in bytes.
constexpr size_t kStackColours = 8;
constexpr size_t kStackColourBytes = 192;

/// Without this all frames of the switch lie at the same offsets in their pages, and what a thread pops waits for what
/// the one before pushed: loads and older stores whose addresses have the lower twelve bits in common (Intel 64 and
/// IA-32 Architectures Optimization Reference Manual, 4-KByte aliasing; colouring as in Bonwick, The Slab Allocator).
MutableBytes coloured(MutableBytes stack, ThreadId id) {
    return {stack.data(), stack.size() - kStackColourBytes * (static_cast<uint64_t>(id) % kStackColours)};
}

}  // namespace

Result<void> Threads::init(size_t cpu_count, size_t stack_bytes) {
    TRY(cpus_.init(cpu_count));
    cpus_.adopt(0);
    cpus_.join(cpu(0));
    stack_pages_ = (stack_bytes + kPageSize - 1) / kPageSize;
    const size_t pages = (kMaximumThreads * sizeof(Thread) + kPageSize - 1) / kPageSize + kTableChunkPages;
    table_ = static_cast<Thread*>(TRY(kernel_.region.reserve(pages)));
    return {};
}

Result<Thread*> Threads::allocate_thread() {
    SpinLockGuard guard(table_lock_);
    Thread* thread = nullptr;
    if (!free_.empty()) {
        thread = &free_.front();
        free_.pop_front();
    } else {
        if (used_ == kMaximumThreads) return Error(ErrorCode::OutOfMemory, "too many threads");
        while ((used_ + 1) * sizeof(Thread) > mapped_ * kPageSize) {
            TRY(map_at(kernel_.memory, reinterpret_cast<uint8_t*>(table_) + mapped_ * kPageSize, kTableChunkPages));
            mapped_ += kTableChunkPages;
        }
        thread = new (&table_[used_]) Thread();
        thread->id = static_cast<ThreadId>(used_ + 1 - kMaximumThreads);  // the first use adds kMaximumThreads
        __atomic_store_n(&used_, used_ + 1, __ATOMIC_RELEASE);
    }
    uint32_t id = static_cast<uint32_t>(thread->id) + kMaximumThreads;
    if (id == 0) id += kMaximumThreads;
    thread->id = static_cast<ThreadId>(id);
    ++alive_;
    ++created_;
    return thread;
}

void Threads::release_thread(Thread& thread) {
    SpinLockGuard guard(table_lock_);
    thread.state = ThreadState::Free;
    free_.push_front(thread);
    --alive_;
}

Thread* Threads::find(ThreadId id) {
    if (id == ThreadId::None) return nullptr;
    const size_t position = position_of(id);
    SpinLockGuard guard(table_lock_);
    if (position >= used_) return nullptr;
    Thread& thread = table_[position];
    return thread.id == id && thread.state != ThreadState::Free ? &thread : nullptr;
}

FixedText<29> Threads::name_of(ThreadId id) const {
    if (id == ThreadId::None) return "idle";
    const size_t position = position_of(id);
    if (position >= used() || table_[position].id != id) return {};
    return table_[position].name;
}

size_t Threads::snapshot(size_t& position, Span<ThreadSnapshot> out) {
    size_t count = 0;
    const size_t limit = used();
    while (position < limit && count < out.size()) {
        Thread& thread = table_[position++];
        with_thread_locked(thread, [&] {
            if (thread.state == ThreadState::Free || thread.state == ThreadState::Ended) return;
            uint64_t runtime_ns = thread.runtime_ns;
            if (thread.state == ThreadState::Running)
                runtime_ns += cycles_to_ns(arch::cycles() - cpu(thread.cpu).switched_at_cycles);
            out[count++] = {thread.id,       thread.name, thread.state,          thread.kind, thread.base_priority,
                            thread.priority, thread.cpu,  thread.allowed_cpus(), runtime_ns,  thread.switches,
                            thread.owner};
        });
    }
    return count;
}

// ---- A thread's life.

Result<ThreadId> Threads::create(Text name, void (*entry)(void*), void* argument, ThreadOptions options) {
    if (options.priority >= kPriorityLevels) return Error(ErrorCode::OutOfRange, "a thread's priority is 0 to 31");
    if (options.owner != nullptr && options.owner->is_ended()) return ErrorCode::Cancelled;
    const size_t pages = options.kind == ThreadClass::Kernel ? 2 * stack_pages_ : stack_pages_;
    void* const stack = TRY(map_pages(kernel_.memory, pages, 1, arch::Protection::ReadWrite));
    auto allocated = allocate_thread();
    if (!allocated.ok()) {
        unmap_pages(kernel_.memory, stack);
        return allocated.error();
    }
    Thread& thread = *allocated.value();
    const ThreadId id = thread.id;
    thread.kind = options.kind;
    thread.name.assign(name.substr(0, thread.name.capacity()));
    thread.entry = entry;
    thread.argument = argument;
    thread.owner = options.owner;
    thread.stack = {static_cast<uint8_t*>(stack), pages * kPageSize};
    thread.base_priority = thread.priority = options.priority;
    thread.gate = nullptr;
    thread.runtime_ns = 0;
    thread.switches = 0;
    thread.woke_at_cycles = 0;
    thread.goes_on = false;
    thread.queued_in = 0;
    thread.vigil = {};
    thread.wake_reason = WakeReason::Signalled;
    thread.cancelled = false;
    thread.cancellable = false;
    thread.lent = false;
    thread.waits_in = nullptr;
    thread.kernel_call = nullptr;
    __atomic_store_n(&thread.cpu, current_cpu(), __ATOMIC_RELEASE);
    for (SchedulerThread& view : thread.view)
        view = SchedulerThread{id, options.priority, ~uint64_t{0}, 0, thread.cpu, 0, {}, {}};
    if (options.owner != nullptr) __atomic_fetch_add(&options.owner->threads, 1, __ATOMIC_ACQ_REL);
    Trace::note(TraceKind::Thread, 0, static_cast<uint32_t>(id), static_cast<uint32_t>(current_thread().id), 0,
                thread.name.text());
    arch::context_announce(thread.context, thread.stack);
    arch::context_create(thread.context, coloured(thread.stack, id), thread_main, &thread);

    preempt_disable();
    Cpu& home = cpu(thread.cpu);
    home.lock.acquire();
    // Whoever ended the owner meanwhile may have passed this thread by.
    if (options.owner != nullptr && options.owner->is_ended()) thread.cancelled = true;
    thread.state = ThreadState::Blocked;
    const bool placed = place(home, thread, EnqueueReason::Created, Haste::Now);
    home.lock.release();
    if (!placed) place_on_its_cpu(thread, EnqueueReason::Created, Haste::Now);
    preempt_enable();
    return id;
}

// Whoever switched here took the lock.
void Threads::thread_main(void* argument) HELIX_NO_THREAD_SAFETY_ANALYSIS {
    Thread& self = *static_cast<Thread*>(argument);
    Threads& threads = this_kernel().threads;
    threads.finish_switch();
    this_cpu().lock.release();
    preempt_enable();
    if (self.owner == nullptr) {
        self.entry(self.argument);
    } else {
        threads.end_rest(self);
        // A failure inside was noted where it happened; here the thread only ends.
        (void)call_module_function<void, GateKind::Thread>(token_of(self.owner), reinterpret_cast<void*>(self.entry),
                                                           self.argument, nullptr);
    }
    threads.exit();
}

void Threads::exit() {
    lock_order::require_no_sleeping("Threads::exit");
    if (Thread& self = current_thread(); self.owner != nullptr) begin_rest(self);
    preempt_disable();
    Cpu& cpu = this_cpu();
    cpu.lock.acquire();
    cpu.current->state = ThreadState::Ended;
    switch_away(cpu);
    panic("an ended thread ran again");
}

Result<void> Threads::start_reaper() {
    renew_cycle_rate();
    TRY(create("reaper", reaper_main, this, {.kind = ThreadClass::Kernel}));
    return {};
}

/// Gives back what ended threads leave: one kernel thread for all CPUs.
void Threads::reaper_main(void* argument) {
    auto& threads = *static_cast<Threads*>(argument);
    for (;;) {
        threads.reap_requested_.wait_until([](bool& requested) { return std::exchange(requested, false); });
        threads.reap();
    }
}

void Threads::reap() {
    for (CpuId id = 0; id < cpu_count(); ++id) {
        for (;;) {
            preempt_disable();
            Cpu& ran_on = cpu(id);
            ran_on.lock.acquire();
            Thread* const thread = ran_on.ended.empty() ? nullptr : &ran_on.ended.front();
            if (thread != nullptr) ran_on.ended.pop_front();
            ran_on.lock.release();
            preempt_enable();
            if (thread == nullptr) break;
            arch::context_retire(thread->context);
            unmap_pages(kernel_.memory, thread->stack.data());
            Owner* const owner = thread->owner;
            ended_.wake_all([&] {
                release_thread(*thread);
                if (owner != nullptr) __atomic_fetch_sub(&owner->threads, 1, __ATOMIC_ACQ_REL);
            });
        }
    }
}

Result<void> Threads::join(ThreadId id, uint64_t timeout_ns) {
    switch (ended_.wait_until([&] { return find(id) == nullptr; }, deadline_after(timeout_ns))) {
        case WakeReason::TimedOut: return ErrorCode::TimedOut;
        case WakeReason::Cancelled: return ErrorCode::Cancelled;
        default: return {};
    }
}

Result<void> Threads::wait_threads_of(const Owner& owner, uint64_t timeout_ns) {
    const WakeReason reason =
        ended_.wait_until([&] { return count_threads_of(owner) == 0; }, deadline_after(timeout_ns), Cancellable::No);
    if (reason == WakeReason::TimedOut) return ErrorCode::TimedOut;
    return {};
}

size_t Threads::count_threads_of(const Owner& owner) {
    return __atomic_load_n(&owner.threads, __ATOMIC_ACQUIRE);
}

void Threads::cancel_threads_of(Owner& owner) {
    for_each_locked([&](Thread& thread) {
        if (thread.owner == &owner) thread.cancelled = true;
    });
    // Waking takes the CPU lock itself, so it happens outside for_each_locked.
    const size_t limit = used();
    for (size_t position = 0; position < limit; ++position) {
        Thread& thread = table_[position];
        if (thread.owner == &owner && thread.cancelled && thread.cancellable) wake(thread, WakeReason::Cancelled);
    }
    end_waits_in(owner);
}

bool Threads::is_alive(Thread& thread, ThreadId id) {
    bool alive = false;
    with_thread_locked(thread, [&] {
        alive = thread.id == id && thread.state != ThreadState::Free && thread.state != ThreadState::Ended;
    });
    return alive;
}

void Threads::take_back_all() {
    const size_t limit = used();
    for (size_t position = 0; position < limit; ++position)
        if (table_[position].lent) inheritance_.take_back(table_[position]);
}

void Threads::end_waits_in(Owner& owner) {
    const size_t limit = used();
    for (size_t position = 0; position < limit; ++position) {
        Thread& thread = table_[position];
        if (thread.waits_in == &owner && wait_is_over(thread) && thread.cancellable)
            wake(thread, WakeReason::Cancelled);
    }
}

}  // namespace helix::kernel
