// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The table of kernel services that every module gets. Each entry marks the thread as being in the kernel, so that a
// kill waits until the service is done, and copies what the module points to before it looks at it.

#include "kernel/kernel.hpp"
#include "kernel/memory/failure_injection.hpp"
#include "kernel/module/module_wait.hpp"
#include "kernel/module/service_scope.hpp"
#include "kernel/panic.hpp"

namespace helix::kernel {

void broke_rule(Instance& instance, Text rule) {
    FailureNote note;
    note.failure = GateFailure::Abort;
    note.rule = rule;
    note.instruction = current_gate()->resume - 1;
    module_failed(instance, note);
}

namespace {

/// Copies a value to where a module wants it; a pointer to nowhere is the module's failure.
template <typename T>
void copy_out(Instance& instance, T* to, const T& value) {
    if (!copy_in(instance, to, &value, sizeof(T))) broke_rule(instance, "it passed a pointer that cannot be written");
}

constexpr Text kBadHandle = "it used a handle that is damaged, or not its own";

/// Whether one of the module's handles leads to `slot`; if not, that is its failure. May block.
bool require_handle(Instance& instance, const SlotHead* slot) {
    if (instance.kernel.modules.has_handle(instance, slot)) return true;
    broke_rule(instance, kBadHandle);
    return false;
}

/// A copy of a text from a module: cut at N characters; `ok` false if it points nowhere or was too long.
template <size_t N>
struct CopiedText {
    CopiedText(Instance& instance, Text text) {
        char buffer[N];
        const size_t size = text.size() < N ? text.size() : N;
        if (!copy_in(instance, buffer, text.data(), size)) return;
        value.assign(Text(buffer, size));
        ok = text.size() <= N;
    }
    FixedText<N> value;
    bool ok = false;
};

constexpr Text kBadText = "a text or payload points to memory that cannot be read, or is too long";

Error cannot_block() {
    return Error(ErrorCode::InvalidState, "this service may block and preemption is off");
}

// ---- The services. Each runs inside a ServiceScope.

void log(Instance& instance, LogLevel level, Text line) {
    const CopiedText<200> copy(instance, line);
    instance.kernel.log.write(level, instance.name(), copy.value.text());
}
uint64_t now_ns(Instance&) {
    return arch::now_ns();
}

Result<Text> config(Instance& instance, Text key) {
    const CopiedText<46> copy(instance, key);
    if (!copy.ok) return Error(ErrorCode::InvalidArgument, kBadText);
    return instance.kernel.modules.config(instance.record, *instance.descriptor, copy.value.text());
}

/// Where `operator new` of the module was called, which is what calls `allocate`: so far behind the begin of the
/// mapping. 0: not known, or nobody could read it.
uint32_t allocation_site(Instance& instance) {
    const Mapping& mapping = *instance.mapping;
    if (!mapping.image().has_symbols()) return 0;
    uint64_t outer[2];  // the frame pointer below, and where it returns to
    if (!copy_in(instance, outer, reinterpret_cast<const void*>(current_gate()->frame_pointer), sizeof(outer)) ||
        !mapping.contains(outer[1] - 1))
        return 0;
    return static_cast<uint32_t>(outer[1] - 1 - mapping.base());
}
void* allocate(Instance& instance, size_t size, size_t alignment) {
    return instance.ledger.allocate(size, alignment, allocation_site(instance));
}
/// A block that the module has not got, or has given back already, is its failure and not the kernel's.
void free_block(Instance& instance, void* block) {
    if (block == nullptr) return;
    alignas(LedgerBlock) unsigned char copy[sizeof(LedgerBlock)];
    const bool aligned = reinterpret_cast<uint64_t>(block) % alignof(LedgerBlock) == 0;
    if (aligned && copy_in(instance, copy, static_cast<LedgerBlock*>(block) - 1, sizeof(copy)) &&
        instance.ledger.is_header_of_mine(*reinterpret_cast<LedgerBlock*>(copy)) && instance.ledger.try_free(block))
        return;  // and no other thread of the module was faster
    broke_rule(instance, "it freed memory that it does not hold");
}
uint8_t* buffer_allocate(Instance& instance, size_t size) {
    return static_cast<uint8_t*>(instance.ledger.allocate(size, 16));
}
void buffer_free(Instance& instance, uint8_t* data) {
    free_block(instance, data);
}
Result<void*> kept_memory(Instance& instance, Text name, uint32_t version, size_t size, size_t alignment) {
    if (!may_block()) return cannot_block();
    const CopiedText<46> copy(instance, name);
    if (!copy.ok) return Error(ErrorCode::InvalidArgument, kBadText);
    return instance.kernel.modules.kept_memory(instance, copy.value.text(), version, size, alignment);
}
Result<void*> heap_pages(Instance& instance, uint32_t size_class, size_t count) {
    if (instance.heap_owner == 0)
        return Error(ErrorCode::PermissionDenied, "only an allocator that is plugged in gets heap pages");
    return instance.kernel.heap.policy_pages(instance.heap_owner, size_class, count);
}
void heap_pages_free(Instance& instance, void* pages, size_t count) {
    if (instance.heap_owner != 0) (void)instance.kernel.heap.policy_pages_free(instance.heap_owner, pages, count);
}

/// What a module asks of whom, copied.
struct CopiedRequest {
    CopiedRequest(Instance& instance, Text to, Text what) : target(instance, to), type(instance, what) {}
    Result<void> copy(Instance& instance, Bytes from) {
        if (!target.ok || !type.ok || from.size() > size_t{1} << 26) return Error(ErrorCode::InvalidArgument, kBadText);
        payload = TRY(Buffer::create(from.size()));
        if (!copy_in(instance, payload.mutable_bytes().data(), from.data(), from.size()))
            return Error(ErrorCode::InvalidArgument, kBadText);
        return {};
    }
    const CopiedText<46> target;
    const CopiedText<62> type;
    Buffer payload;
};

/// An instance that is asked beside the one that serves changes nothing for others.
Error on_trial() {
    return Error(ErrorCode::PermissionDenied, "it is on trial: nothing of it may reach others");
}

Result<Response> request(Instance& instance, Text target, Text type, Bytes payload) {
    if (!may_block()) return cannot_block();
    if (instance.on_trial) return on_trial();
    CopiedRequest copied(instance, target, type);
    TRY(copied.copy(instance, payload));
    const ModuleWait wait(instance, ModuleWait::Restartable::No);
    return instance.kernel.modules.request(&instance, copied.target.value.text(), copied.type.value.text(),
                                           copied.payload.bytes());
}
Result<RequestId> request_start(Instance& instance, Text target, Text type, Bytes payload, uint64_t timeout_ns,
                                SemaphoreId answered) {
    if (!may_block()) return cannot_block();
    if (instance.on_trial) return on_trial();
    CopiedRequest copied(instance, target, type);
    TRY(copied.copy(instance, payload));
    return instance.kernel.modules.pending_requests().start(instance, copied.target.value.text(),
                                                            copied.type.value.text(), std::move(copied.payload),
                                                            timeout_ns, answered);
}
Result<Response> request_wait(Instance& instance, RequestId id, uint64_t timeout_ns) {
    if (!may_block()) return cannot_block();
    ModuleWait wait(instance);
    auto response = instance.kernel.modules.pending_requests().wait(instance, id, wait.shorten(timeout_ns));
    if (response.ok() || response.error().code() != ErrorCode::Cancelled) return response;
    return wait.outcome(response.error()).error();
}
Result<void> request_cancel(Instance& instance, RequestId id) {
    if (!may_block()) return cannot_block();
    return instance.kernel.modules.pending_requests().cancel(instance, id);
}
Result<void> subscribe(Instance& instance, uint32_t kind, Text name) {
    if (!may_block()) return cannot_block();
    const CopiedText<46> copy(instance, name);
    if (!copy.ok || kind < 1 || kind > 5) return Error(ErrorCode::InvalidArgument, kBadText);
    return instance.kernel.modules.subscribe(instance, static_cast<EventKind>(kind), copy.value.text());
}
Result<void> emit(Instance& instance, Text name, Bytes data) {
    if (!may_block()) return cannot_block();
    if (instance.on_trial) return on_trial();
    const CopiedText<46> name_copy(instance, name);
    if (!name_copy.ok || data.size() > size_t{1} << 20) return Error(ErrorCode::InvalidArgument, kBadText);
    Buffer copy = TRY(Buffer::create(data.size()));
    if (!copy_in(instance, copy.mutable_bytes().data(), data.data(), data.size()))
        return Error(ErrorCode::InvalidArgument, kBadText);
    return instance.kernel.modules.emit(Event::make_custom(name_copy.value.text(), copy.bytes()));
}
Result<SlotHead*> bind(Instance& instance, Text interface, uint16_t major, uint16_t minor, Text module) {
    if (!may_block()) return cannot_block();
    const CopiedText<46> interface_copy(instance, interface);
    const CopiedText<46> module_copy(instance, module);
    if (!interface_copy.ok || !module_copy.ok) return Error(ErrorCode::InvalidArgument, kBadText);
    return instance.kernel.modules.bind(instance, interface_copy.value.text(), major, minor, module_copy.value.text());
}
void unbind(Instance& instance, SlotHead* slot) {
    if (!may_block()) return;  // counted until the instance goes
    if (!instance.kernel.modules.unbind(instance, slot)) broke_rule(instance, kBadHandle);
}

Result<FixedText<46>> get_primary(Instance& instance, Text interface) {
    // Mostly a constant of the module's, which can be read where it is.
    if (interface.size() <= 46 && instance.mapping->contains(as_bytes(interface)))
        return instance.kernel.modules.get_primary(interface);
    const CopiedText<46> copy(instance, interface);
    if (!copy.ok) return Error(ErrorCode::InvalidArgument, kBadText);
    return instance.kernel.modules.get_primary(copy.value.text());
}
Result<FixedText<46>> get_implementor(Instance& instance, Text interface, size_t position) {
    if (!may_block()) return cannot_block();
    const CopiedText<46> copy(instance, interface);
    if (!copy.ok) return Error(ErrorCode::InvalidArgument, kBadText);
    return instance.kernel.modules.get_implementor(copy.value.text(), position);
}

bool call_failed(Instance& instance, SlotHead* slot, Text method, GateFailure failure, const uint32_t* generation,
                 Error* out) {
    // Where nobody may block the handle cannot be looked up.
    const bool checked = may_block();
    if (checked && !require_handle(instance, slot)) return false;
    if (instance.on_trial) {
        copy_out(instance, out, on_trial());
        return false;
    }
    const CopiedText<46> method_copy(instance, method);
    constexpr Text kReasons[] = {"", "faulted", "ran over its budget", "aborted", "was ended"};
    const auto index = static_cast<size_t>(failure);
    const Error error(
        ErrorCode::ModuleFailed,
        format("{}{}{}: the implementation {}", checked ? static_cast<Slot*>(slot)->interface.name.text() : Text(),
               checked ? "." : "", method_copy.value.text(), index < 5 ? kReasons[index] : Text("failed"))
            .text());
    copy_out(instance, out, error);
    uint32_t called = 0;
    if (generation == nullptr || !checked || !copy_in(instance, &called, generation, sizeof(called))) return false;
    const ModuleWait wait(instance, ModuleWait::Restartable::No);
    return instance.kernel.modules.wait_for_successor(*static_cast<Slot*>(slot), called);
}
Result<void> slot_wait(Instance& instance, SlotHead* slot) {
    if (!may_block()) return cannot_block();
    if (!require_handle(instance, slot)) return ErrorCode::InvalidArgument;
    ModuleWait wait(instance);
    return wait.outcome(instance.kernel.modules.wait_open(*static_cast<Slot*>(slot), wait.shorten(kForever)));
}
void slot_left(Instance& instance, SlotHead* slot) {
    if (!may_block())
        broke_rule(instance, "it called a blocking method where it may not block");
    else if (require_handle(instance, slot))
        static_cast<Slot*>(slot)->left();
}

Result<ThreadId> thread_create(Instance& instance, Text name, ThreadEntry entry, void* argument, uint32_t priority) {
    if (!may_block()) return cannot_block();
    if (instance.on_trial) return on_trial();
    const CopiedText<200> copy(instance, name);
    return instance.kernel.threads.create(copy.value.text(), entry, argument,
                                          {.priority = priority, .owner = &instance});
}
void thread_yield(Instance& instance) {
    if (!may_block()) return;
    const Rest rest;
    instance.kernel.threads.yield();
}
Result<void> thread_sleep(Instance& instance, uint64_t duration_ns) {
    if (!may_block()) return cannot_block();
    ModuleWait wait(instance);
    const uint64_t shortened_ns = wait.shorten(duration_ns);
    Result<void> slept = instance.kernel.threads.sleep(shortened_ns);
    if (slept.ok() && shortened_ns < duration_ns) slept = ErrorCode::TimedOut;
    return wait.outcome(slept);
}
Result<void> thread_join(Instance& instance, ThreadId thread) {
    if (!may_block()) return cannot_block();
    if (thread == current_thread().id) return Error(ErrorCode::InvalidArgument, "a thread cannot join itself");
    ModuleWait wait(instance);
    return wait.outcome(instance.kernel.threads.join(thread, wait.shorten(kForever)));
}
ThreadId thread_current(Instance&) {
    return current_thread().id;
}
Result<void> thread_set_attributes(Instance& instance, ThreadId thread, const SchedulingAttributes* wanted) {
    SchedulingAttributes copy;
    if (!copy_in(instance, &copy, wanted, sizeof(copy)) || !copy.is_valid())
        return Error(ErrorCode::InvalidArgument, "the attributes are out of their limits");
    return instance.kernel.threads.set_attributes(thread, instance, copy);
}
Result<void> thread_set_affinity(Instance& instance, ThreadId thread, uint64_t cpus) {
    return instance.kernel.threads.set_affinity(thread, instance, cpus);
}
Result<SemaphoreId> semaphore_create(Instance& instance, uint32_t initial) {
    return instance.kernel.modules.semaphores().create(instance, initial);
}
Result<void> semaphore_destroy(Instance& instance, SemaphoreId id) {
    return instance.kernel.modules.semaphores().destroy(instance, id);
}
Result<void> semaphore_wait(Instance& instance, SemaphoreId id, uint64_t timeout_ns) {
    if (!may_block()) return cannot_block();
    SemaphoreTable& semaphores = instance.kernel.modules.semaphores();
    // Where it does not have to wait, nobody that is parked needs to go on.
    if (current_thread().kernel_call != nullptr && semaphores.wait(instance, id, 0).ok()) return {};
    ModuleWait wait(instance);
    return wait.outcome(semaphores.wait(instance, id, wait.shorten(timeout_ns)));
}
Result<void> semaphore_signal(Instance& instance, SemaphoreId id) {
    return instance.kernel.modules.semaphores().signal(instance, id);
}
Result<TimerId> timer_start(Instance& instance, SemaphoreId semaphore, uint64_t first_ns, uint64_t period_ns) {
    if (!may_block()) return cannot_block();
    return instance.kernel.modules.semaphores().start_timer(instance, semaphore, first_ns, period_ns);
}
Result<void> timer_stop(Instance& instance, TimerId id) {
    if (!may_block()) return cannot_block();
    return instance.kernel.modules.semaphores().stop_timer(instance, id);
}
Result<void> interrupt_claim(Instance& instance, uint32_t line, SemaphoreId semaphore) {
    if (!may_block()) return cannot_block();
    if (instance.on_trial) return on_trial();
    return instance.kernel.modules.lines().claim(instance, line, semaphore);
}
Result<void> interrupt_enable(Instance& instance, uint32_t line) {
    if (!may_block()) return cannot_block();
    return instance.kernel.modules.lines().enable(instance, line);
}
Result<void> interrupt_release(Instance& instance, uint32_t line) {
    if (!may_block()) return cannot_block();
    return instance.kernel.modules.lines().release(instance, line);
}
void execution_statistics(Instance& instance, ExecutionStatistics* out) {
    copy_out(instance, out, instance.kernel.threads.statistics());
}
void memory_statistics(Instance& instance, MemoryStatistics* out) {
    copy_out(instance, out, instance.kernel.heap.statistics());
}

/// The module that runs behind the innermost gate and so is the one that calls the service, with `token`: which says
/// the same, unless the module damaged it. A service needs stack of its own: a module that comes with too little has
/// overflowed, and fails before the kernel would. `caller` is where in the module the service was called.
Instance& enter_service(const InstanceToken* token, const void* caller) {
    detail::clear_direction_flag();
    constexpr uint64_t kHeadroom = 3 * 1024;
    Gate* const gate = current_gate();
    if (gate == nullptr || !runs_module(*gate)) panic("a service was called from outside of any module");
    Instance& instance = instance_of(gate->instance);
    const MutableBytes stack = current_thread().stack;
    const auto here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
    const bool fits = stack.empty() || here - reinterpret_cast<uint64_t>(stack.data()) >= kHeadroom;
    // Modulo 2^31, which is what the count has: more often enabled than disabled since the gate was entered?
    const bool enabled_too_often = static_cast<int32_t>((preempt_count() - gate->preempt_word) << 1) < 0;
    if (fits && gate->instance == token && !enabled_too_often) return instance;
    FailureNote note;
    note.failure = fits ? GateFailure::Abort : GateFailure::Fault;
    note.kind = FaultKind::StackOverflow;
    note.instruction = reinterpret_cast<uint64_t>(caller) - 1;
    if (fits) note.rule = enabled_too_often ? kPreemptionRule : "it called the kernel with a token that is not its own";
    module_failed(instance, note);
    end_call(*gate, note.failure);
}

/// What a service answers that cannot do what it is asked for lack of memory; those that return anything else, or
/// nothing, always succeed.
template <typename R>
constexpr bool kCanRefuse = std::is_pointer_v<R> || std::is_constructible_v<R, ErrorCode>;
template <typename R>
R refusal() {
    if constexpr (std::is_pointer_v<R>)
        return nullptr;
    else
        return ErrorCode::OutOfMemory;
}

/// The entry that the module sees: a scope around `Function`, and a look at the end whether the call is over.
template <auto Function>
struct Service;
template <typename R, typename... A, R (*Function)(Instance&, A...)>
struct Service<Function> {
    static R call(InstanceToken* token, A... arguments) {
        arch::preemption_point();
        void* const caller = __builtin_return_address(0);
        const void* const frame = *static_cast<void* const*>(__builtin_frame_address(0));
        Instance& instance = enter_service(token, caller);
        if constexpr (std::is_void_v<R>) {
            {
                ServiceScope scope(caller, frame);
                Function(instance, arguments...);
            }
            return_to_module();
        } else {
            R result = [&]() -> R {
                ServiceScope scope(caller, frame);
                if constexpr (kCanRefuse<R>)
                    if (fails_on_purpose(Attempt::Service)) return refusal<R>();
                return Function(instance, arguments...);
            }();
            return_to_module();
            return result;
        }
    }
};

/// `call`, unless that is in the SDK's own runtime: then who called that. `frame` is of the function that contains it.
uint64_t outside_of_runtime(Instance& instance, uint64_t call, const void* frame) {
    for (int depth = 0; depth < 4; ++depth) {
        if (!instance.mapping->source_line(call).text().starts_with("module_runtime.cpp:")) break;
        uint64_t outer[2];  // the frame pointer below, and where it returns to
        if (!copy_in(instance, outer, frame, sizeof(outer)) || !instance.mapping->contains(outer[1])) break;
        frame = reinterpret_cast<const void*>(outer[0]);
        call = outer[1] - 1;
    }
    return call;
}

__attribute__((noreturn)) void abort_call(InstanceToken* token, Text reason) {
    Instance& instance = enter_service(token, __builtin_return_address(0));
    FailureNote note;
    note.failure = GateFailure::Abort;
    // The call does not return, so what follows it may be the next function: the call itself is what to name.
    note.instruction = reinterpret_cast<uint64_t>(__builtin_return_address(0)) - 1;
    {
        ServiceScope scope(__builtin_return_address(0));
        note.reason = FixedText<100>(CopiedText<100>(instance, reason).value.text());
        const void* const frame = *static_cast<void* const*>(__builtin_frame_address(0));
        note.instruction = outside_of_runtime(instance, note.instruction, frame);
    }
    module_failed(instance, note);
    end_call(*current_gate(), GateFailure::Abort);
}

__attribute__((noreturn)) void thread_exit(InstanceToken* token) {
    // The gates of the module are left behind with the stack.
    if (current_thread().owner != &enter_service(token, __builtin_return_address(0)))
        abort_call(token, "thread_exit outside of a thread of the module");
    set_current_gate(nullptr);
    this_kernel().threads.exit();
}

}  // namespace

extern const Services kServices;
constinit const Services kServices = {
    .size = sizeof(Services),
    .abi_version = kAbiVersion,
    .log = Service<log>::call,
    .now_ns = Service<now_ns>::call,
    .abort = abort_call,
    .config = Service<config>::call,
    .allocate = Service<allocate>::call,
    .free = Service<free_block>::call,
    .buffer_allocate = Service<buffer_allocate>::call,
    .buffer_free = Service<buffer_free>::call,
    .kept_memory = Service<kept_memory>::call,
    .heap_pages = Service<heap_pages>::call,
    .heap_pages_free = Service<heap_pages_free>::call,
    .request = Service<request>::call,
    .subscribe = Service<subscribe>::call,
    .emit = Service<emit>::call,
    .bind = Service<bind>::call,
    .unbind = Service<unbind>::call,
    .get_primary = Service<get_primary>::call,
    .get_implementor = Service<get_implementor>::call,
    .call_failed = Service<call_failed>::call,
    .slot_wait = Service<slot_wait>::call,
    .slot_left = Service<slot_left>::call,
    .thread_create = Service<thread_create>::call,
    .thread_yield = Service<thread_yield>::call,
    .thread_sleep = Service<thread_sleep>::call,
    .thread_join = Service<thread_join>::call,
    .thread_current = Service<thread_current>::call,
    .thread_exit = thread_exit,
    .semaphore_create = Service<semaphore_create>::call,
    .semaphore_destroy = Service<semaphore_destroy>::call,
    .semaphore_wait = Service<semaphore_wait>::call,
    .semaphore_signal = Service<semaphore_signal>::call,
    .execution_statistics = Service<execution_statistics>::call,
    .memory_statistics = Service<memory_statistics>::call,
    .thread_set_attributes = Service<thread_set_attributes>::call,
    .thread_set_affinity = Service<thread_set_affinity>::call,
    .request_start = Service<request_start>::call,
    .request_wait = Service<request_wait>::call,
    .request_cancel = Service<request_cancel>::call,
    .timer_start = Service<timer_start>::call,
    .timer_stop = Service<timer_stop>::call,
    .interrupt_claim = Service<interrupt_claim>::call,
    .interrupt_enable = Service<interrupt_enable>::call,
    .interrupt_release = Service<interrupt_release>::call,
};

}  // namespace helix::kernel
