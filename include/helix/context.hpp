// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Context: everything that a module may touch comes through here.
#pragma once

#include "helix/abi.hpp"
#include "helix/event.hpp"
#include "helix/format.hpp"
#include "helix/handle.hpp"
#include "helix/pending_request.hpp"
#include "helix/units.hpp"

namespace helix {

/// A module's door to the kernel. The kernel passes it to init; it stays valid until the instance is destroyed.
/// Unless a line says otherwise: any thread of the module may call, with preemption on, and may block.
class Context {
public:
    Context(const Services* services, InstanceToken* instance, InstanceId id)
        : services_(services), instance_(instance), id_(id) {}
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    InstanceId id() const { return id_; }

    // ---- Configuration: the profile's value, or the default that the module declared.

    /// Errors: NotFound when the key is neither declared nor set. The text lives as long as the instance.
    Result<Text> config(Text key) const { return services_->config(instance_, key); }
    Text config_or(Text key, Text otherwise) const { return config(key).value_or(otherwise); }
    /// Errors: NotFound; InvalidArgument, naming key and value, when it does not parse.
    Result<int64_t> config_integer(Text key) const { return parsed<int64_t>(key, "an integer", parse_integer); }
    Result<bool> config_boolean(Text key) const { return parsed<bool>(key, "true or false", parse_boolean); }
    /// In bytes.
    Result<uint64_t> config_size(Text key) const { return parsed<uint64_t>(key, "a size such as 64K", parse_size); }
    /// In nanoseconds.
    Result<uint64_t> config_duration(Text key) const {
        return parsed<uint64_t>(key, "a duration such as 10ms", parse_duration);
    }

    // ---- Logging. Any context, also with preemption off. Lines are cut at 200 characters.

    template <typename... Arguments>
    void log(LogLevel level, FormatString<std::type_identity_t<Arguments>...> format,
             const Arguments&... arguments) const {
        char line[200];
        services_->log(instance_, level, Text(line, format_to(Span<char>(line), format, arguments...)));
    }
    template <typename... Arguments>
    void debug(FormatString<std::type_identity_t<Arguments>...> format, const Arguments&... arguments) const {
        log<Arguments...>(LogLevel::Debug, format, arguments...);
    }
    template <typename... Arguments>
    void info(FormatString<std::type_identity_t<Arguments>...> format, const Arguments&... arguments) const {
        log<Arguments...>(LogLevel::Info, format, arguments...);
    }
    template <typename... Arguments>
    void warning(FormatString<std::type_identity_t<Arguments>...> format, const Arguments&... arguments) const {
        log<Arguments...>(LogLevel::Warning, format, arguments...);
    }
    template <typename... Arguments>
    void error(FormatString<std::type_identity_t<Arguments>...> format, const Arguments&... arguments) const {
        log<Arguments...>(LogLevel::Error, format, arguments...);
    }

    // ---- Time. Any context.

    /// Nanoseconds since boot, monotonic.
    uint64_t now_ns() const { return services_->now_ns(instance_); }

    // ---- Requests, events, interfaces.

    /// Asks module `target` and waits for its response.
    /// Errors: NotFound (no such module), NotImplemented (no such request), ModuleFailed, TimedOut.
    HELIX_CALLERS_LINE Result<Response> request(Text target, const Request& request) const {
        return services_->request(instance_, target, request.request_type, request.payload);
    }
    /// The same without waiting: a thread of the kernel asks. Everything is copied, once. After `timeout_ns` a request
    /// that has not begun never does, and whoever waits is told TimedOut. `answered`, a semaphore of this module, is
    /// signalled when there is an answer or will be none. Errors: OutOfMemory; Busy (64 are pending).
    Result<PendingRequest> start_request(Text target, const Request& request, uint64_t timeout_ns = kForever,
                                         SemaphoreId answered = SemaphoreId::None) const {
        const RequestId id = TRY(
            services_->request_start(instance_, target, request.request_type, request.payload, timeout_ns, answered));
        return PendingRequest(id, services_, instance_);
    }
    /// From now on handle_event gets events of `kind` that were sent after this module was started; Custom ones by
    /// name, see below.
    Result<void> subscribe(EventKind kind) const {
        return services_->subscribe(instance_, static_cast<uint32_t>(kind), {});
    }
    /// From now on handle_event gets Custom events called `name`.
    Result<void> subscribe(Text name) const {
        return services_->subscribe(instance_, static_cast<uint32_t>(EventKind::Custom), name);
    }
    /// Queues a Custom event for its subscribers; name and data are copied. Errors: OutOfMemory, Busy (queue full).
    Result<void> emit(Text name, Bytes data = {}) const { return services_->emit(instance_, name, data); }

    /// A handle to the primary implementor of `Interface`, or to the one in `module`.
    /// Errors: NotFound; Incompatible (versions); PermissionDenied (the kernel alone calls it).
    template <typename Interface>
    Result<Handle<Interface>> bind(Text module = {}) const {
        constexpr InterfaceId id = InterfaceTraits<Interface>::kId;
        SlotHead* slot = TRY(services_->bind(instance_, id.name, id.major, id.minor, module));
        return Handle<Interface>(slot, services_, instance_);
    }

    /// The name of the module to which a handle to `interface` leads now. Any context; takes no lock, and is quickest
    /// with a constant. Errors: NotFound (nobody).
    Result<FixedText<46>> get_primary(Text interface) const { return services_->get_primary(instance_, interface); }
    /// Calls `visit(Text name)` for each module that implements `interface`, in order of loading. Modules that come or
    /// go meanwhile may be seen or missed.
    template <typename Visit>
    void get_implementors(Text interface, Visit visit) const {
        for (size_t position = 0;; ++position) {
            const auto name = services_->get_implementor(instance_, interface, position);
            if (!name.ok()) return;
            visit(name.value().text());
        }
    }

    // ---- Memory. operator new is the ordinary way; it is charged to the module.

    /// Named memory that belongs to the module's place and not to this instance: after a reload the next instance
    /// gets the same bytes. Zeroed when new; another `version` is another region. T holds no address of code,
    /// constants or instance memory. Errors: OutOfMemory, InvalidArgument (same name and version, other size).
    template <typename T>
    Result<T*> kept_memory(Text name, uint32_t version = 1) const {
        static_assert(std::is_trivially_copyable_v<T>);
        return static_cast<T*>(TRY(services_->kept_memory(instance_, name, version, sizeof(T), alignof(T))));
    }
    /// Whole pages for an allocator policy, contiguous and aligned to the next power of two of `count`; the kernel
    /// notes `size_class` and owner for each, and takes back what is left when the policy has gone. Bounded: preemption
    /// may be off. Errors: OutOfMemory; PermissionDenied unless the module is an Allocator.
    Result<void*> heap_pages(uint32_t size_class, size_t count) const {
        return services_->heap_pages(instance_, size_class, count);
    }
    void heap_pages_free(void* pages, size_t count) const { services_->heap_pages_free(instance_, pages, count); }

    // ---- Threads. They belong to the module: it joins them in stop, or stop is reported as a leak. While the module's
    // state is taken they stay in the waits that its own code asked for (sleep, join, a semaphore, a request) and where
    // they give way: whatever save_state reads is whole there.

    /// Starts a thread at `entry(argument)`. Priority 0 (least urgent) to 31. Errors: OutOfMemory, OutOfRange.
    Result<ThreadId> thread_create(Text name, ThreadEntry entry, void* argument, uint32_t priority = 16) const {
        return services_->thread_create(instance_, name, entry, argument, priority);
    }
    void thread_yield() const { services_->thread_yield(instance_); }
    /// Errors: Cancelled when the module is being stopped by force; Restart (see ErrorCode), in a call from outside,
    /// when the module is to be replaced.
    HELIX_CALLERS_LINE Result<void> thread_sleep(uint64_t duration_ns) const {
        return services_->thread_sleep(instance_, duration_ns);
    }
    /// Waits until the thread has ended. A thread that is already gone counts as ended. Errors: as thread_sleep.
    HELIX_CALLERS_LINE Result<void> thread_join(ThreadId thread) const {
        return services_->thread_join(instance_, thread);
    }
    ThreadId thread_current() const { return services_->thread_current(instance_); }
    /// Asks the scheduler for `attributes` for a thread of this module, in the place of those it had.
    /// Errors: InvalidArgument; NotFound (no such thread of this module); Busy (the scheduler cannot grant them: there
    /// is no room for the reservation).
    Result<void> thread_set_attributes(ThreadId thread, const SchedulingAttributes& attributes) const {
        return services_->thread_set_attributes(instance_, thread, &attributes);
    }
    /// Lets a thread of this module run on the CPUs alone whose bits are set in `cpus` (bit n: CPU n), from its next
    /// turn on; while none of them is online, on any. All bits are what it has at first. Errors: InvalidArgument (the
    /// machine has none of them); NotFound (no such thread of this module); Busy (it has a reservation, for which there
    /// is no room on them).
    Result<void> thread_set_affinity(ThreadId thread, uint64_t cpus) const {
        return services_->thread_set_affinity(instance_, thread, cpus);
    }
    [[noreturn]] void thread_exit() const { services_->thread_exit(instance_); }

    static constexpr uint64_t kForever = UINT64_MAX;
    Result<SemaphoreId> semaphore_create(uint32_t initial) const {
        return services_->semaphore_create(instance_, initial);
    }
    /// Errors: NotFound; Busy while threads wait on it, or a timer is to signal it.
    Result<void> semaphore_destroy(SemaphoreId id) const { return services_->semaphore_destroy(instance_, id); }
    /// Takes one unit, waiting up to `timeout_ns`. Errors: TimedOut, NotFound, and as thread_sleep.
    HELIX_CALLERS_LINE Result<void> semaphore_wait(SemaphoreId id, uint64_t timeout_ns = kForever) const {
        return services_->semaphore_wait(instance_, id, timeout_ns);
    }
    /// Adds one unit and wakes one waiter. Does not block.
    Result<void> semaphore_signal(SemaphoreId id) const { return services_->semaphore_signal(instance_, id); }

    // ---- Timers. They belong to this instance: one that stop leaves running is reported as a leak.

    static constexpr uint64_t kShortestPeriodNs = 100'000;
    /// The kernel signals `semaphore`, one of this module's, as soon as `first_ns` from now have passed, never before.
    /// With a period it does so again at every multiple of that after the first time, however late a time before was
    /// seen; without one the timer is over then. A semaphore that has a unit gets no second one: times that come before
    /// the one before was taken are one. Errors: NotFound (no such semaphore), OutOfRange (a period below
    /// kShortestPeriodNs or above 2^62 ns), OutOfMemory; InvalidState where the caller may not block.
    Result<TimerId> timer_start(SemaphoreId semaphore, uint64_t first_ns, uint64_t period_ns = 0) const {
        return services_->timer_start(instance_, semaphore, first_ns, period_ns);
    }
    /// When this returns the timer signals no more; what it did signal stays. Errors: NotFound (no timer of this
    /// module's, or one that is over); InvalidState where the caller may not block.
    Result<void> timer_stop(TimerId id) const { return services_->timer_stop(instance_, id); }

    // ---- Interrupts. The claim on a line belongs to the module's place: the next instance, which claims the line in
    // its start, has it as soon as it serves, and is told of what the one before did not look after.

    /// From now on the kernel, when a device interrupts on `line`, masks the line and gives `semaphore`, one of this
    /// module's, a unit unless it has one. A thread that takes it calls interrupt_enable, and then looks after the
    /// device: what comes while the line is masked may be lost. Lines are the machine's own; docs/writing-modules.md
    /// says which. Errors: InvalidArgument (no such line), Busy (it belongs to somebody, who is named), NotFound (no
    /// such semaphore), NotSupported (this machine has none); InvalidState where the caller may not block.
    Result<void> interrupt_claim(uint32_t line, SemaphoreId semaphore) const {
        return services_->interrupt_claim(instance_, line, semaphore);
    }
    /// The next interrupt on `line` may come. Nothing if it may already, or another instance serves. Errors: NotFound
    /// (it is not claimed); InvalidState as above.
    Result<void> interrupt_enable(uint32_t line) const { return services_->interrupt_enable(instance_, line); }
    /// The other way; before the semaphore is destroyed. Errors: as interrupt_enable.
    Result<void> interrupt_release(uint32_t line) const { return services_->interrupt_release(instance_, line); }

    // ---- Numbers of the running system. Any context.

    ExecutionStatistics execution_statistics() const {
        ExecutionStatistics out;
        services_->execution_statistics(instance_, &out);
        return out;
    }
    MemoryStatistics memory_statistics() const {
        MemoryStatistics out;
        services_->memory_statistics(instance_, &out);
        return out;
    }

    /// Ends the current call into this module as failed, with `reason`. For broken invariants, not for bad input.
    HELIX_CALLERS_LINE [[noreturn]] void abort(Text reason) const { services_->abort(instance_, reason); }

private:
    template <typename T, typename Parse>
    Result<T> parsed(Text key, Text expected, Parse parse) const {
        const Text value = TRY(config(key));
        T out{};
        if (!parse(value, out))
            return Error(ErrorCode::InvalidArgument,
                         format("option {}: \"{}\" is not {}", key, value, expected).text());
        return out;
    }

    const Services* services_;
    InstanceToken* instance_;
    InstanceId id_;
};

}  // namespace helix
