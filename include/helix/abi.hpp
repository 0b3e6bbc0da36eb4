// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The binary contract: the table of kernel services that a module gets, and the descriptor that it exports.
//
// Module code does not use this directly: Context, Handle and HELIX_MODULE do.
#pragma once

#include "helix/gate.hpp"
#include "helix/info.hpp"
#include "helix/interface.hpp"
#include "helix/method_shape.hpp"
#include "helix/request.hpp"
#include "helix/scheduling.hpp"

/// Of a function that is inlined into modules: its code counts as the line from where it is called, which is what a
/// report of a failure is to name. Only clang++ knows such a thing.
#if defined(__clang__)
#define HELIX_CALLERS_LINE [[gnu::nodebug]]
#else
#define HELIX_CALLERS_LINE
#endif

namespace helix {

class Module;
class Context;

enum class LogLevel : uint32_t { Debug = 0, Info = 1, Warning = 2, Error = 3 };
enum class SemaphoreId : uint32_t { None = 0 };
enum class RequestId : uint32_t { None = 0 };
enum class TimerId : uint32_t { None = 0 };
using ThreadEntry = void (*)(void*);

/// Numbers of the running system, as helix-execution and helix-memory report them.
struct ExecutionStatistics {
    uint64_t threads;          ///< alive now, the kernel's own counted
    uint64_t threads_created;  ///< since boot
    uint64_t switches;
    uint64_t ticks;
    uint64_t cpus;
};
struct MemoryStatistics {
    uint64_t pages_total;
    uint64_t pages_free;
    uint64_t heap_pages;       ///< pages held by allocator policies
    uint64_t heap_bytes_used;  ///< bytes in blocks that are handed out
    uint64_t page_size;
};

/// Kernel services. New ones are appended and raise kAbiVersion's minor part; `size` says how far the table goes.
/// The first argument is always the calling instance. Unless a line says otherwise, a service may block and must
/// not be called with preemption off.
struct Services {
    uint32_t size;
    uint32_t abi_version;

    // Any context.
    void (*log)(InstanceToken*, LogLevel, Text);
    uint64_t (*now_ns)(InstanceToken*);
    __attribute__((noreturn)) void (*abort)(InstanceToken*, Text reason);

    // Configuration.
    Result<Text> (*config)(InstanceToken*, Text key);

    // Memory, charged to the caller.
    void* (*allocate)(InstanceToken*, size_t size, size_t alignment);
    void (*free)(InstanceToken*, void*);
    uint8_t* (*buffer_allocate)(InstanceToken*, size_t size);
    void (*buffer_free)(InstanceToken*, uint8_t*);
    Result<void*> (*kept_memory)(InstanceToken*, Text name, uint32_t version, size_t size, size_t alignment);
    /// Allocator policies only; preemption may be off.
    Result<void*> (*heap_pages)(InstanceToken*, uint32_t size_class, size_t count);
    void (*heap_pages_free)(InstanceToken*, void* pages, size_t count);

    // Requests, events, interfaces.
    Result<Response> (*request)(InstanceToken*, Text target, Text type, Bytes payload);
    Result<void> (*subscribe)(InstanceToken*, uint32_t kind, Text custom_name);
    Result<void> (*emit)(InstanceToken*, Text name, Bytes data);
    Result<SlotHead*> (*bind)(InstanceToken*, Text interface, uint16_t major, uint16_t minor, Text module);
    void (*unbind)(InstanceToken*, SlotHead*);
    Result<FixedText<46>> (*get_primary)(InstanceToken*, Text interface);
    Result<FixedText<46>> (*get_implementor)(InstanceToken*, Text interface, size_t position);
    /// A call behind a slot failed: composes the error. Any context. `generation`, where the call may be made twice, is
    /// the slot's before the call: waits until it is decided who serves from now on, and is true if that is another.
    bool (*call_failed)(InstanceToken*, SlotHead*, Text method, GateFailure, const uint32_t* generation, Error* out);
    /// The slot is closed or was when the caller left it: waits until it is open, or tells who waits for it.
    Result<void> (*slot_wait)(InstanceToken*, SlotHead*);
    void (*slot_left)(InstanceToken*, SlotHead*);

    // Threads.
    Result<ThreadId> (*thread_create)(InstanceToken*, Text name, ThreadEntry, void* argument, uint32_t priority);
    void (*thread_yield)(InstanceToken*);
    Result<void> (*thread_sleep)(InstanceToken*, uint64_t duration_ns);
    Result<void> (*thread_join)(InstanceToken*, ThreadId);
    ThreadId (*thread_current)(InstanceToken*);
    __attribute__((noreturn)) void (*thread_exit)(InstanceToken*);
    Result<SemaphoreId> (*semaphore_create)(InstanceToken*, uint32_t initial);
    Result<void> (*semaphore_destroy)(InstanceToken*, SemaphoreId);
    Result<void> (*semaphore_wait)(InstanceToken*, SemaphoreId, uint64_t timeout_ns);
    Result<void> (*semaphore_signal)(InstanceToken*, SemaphoreId);

    // Numbers.
    void (*execution_statistics)(InstanceToken*, ExecutionStatistics* out);
    void (*memory_statistics)(InstanceToken*, MemoryStatistics* out);

    // More of threads.
    Result<void> (*thread_set_attributes)(InstanceToken*, ThreadId, const SchedulingAttributes*);
    Result<void> (*thread_set_affinity)(InstanceToken*, ThreadId, uint64_t cpus);

    // Requests that are not waited for at once.
    Result<RequestId> (*request_start)(InstanceToken*, Text target, Text type, Bytes payload, uint64_t timeout_ns,
                                       SemaphoreId answered);
    Result<Response> (*request_wait)(InstanceToken*, RequestId, uint64_t timeout_ns);
    Result<void> (*request_cancel)(InstanceToken*, RequestId);

    // Timers.
    Result<TimerId> (*timer_start)(InstanceToken*, SemaphoreId, uint64_t first_ns, uint64_t period_ns);
    Result<void> (*timer_stop)(InstanceToken*, TimerId);

    // Interrupts.
    Result<void> (*interrupt_claim)(InstanceToken*, uint32_t line, SemaphoreId);
    Result<void> (*interrupt_enable)(InstanceToken*, uint32_t line);
    Result<void> (*interrupt_release)(InstanceToken*, uint32_t line);
};

/// One interface that a module implements.
struct InterfaceEntry {
    FixedText<46> name;
    uint16_t major;
    uint16_t minor;
    uint32_t pure_count;                  ///< of its methods, those of which a trial can ask two implementations
    void* (*cast)(Module*);               ///< the module as that interface
    void (*describe_pure)(MethodShape*);  ///< writes so many
};

/// What a `.hmod` exports as `helix_module`. Everything but the functions is readable from the file as it is; the
/// options and interfaces follow at offsets from the start of the descriptor.
struct ModuleDescriptor {
    char magic[8];             ///< kModuleMagic
    uint32_t abi_version;      ///< kAbiVersion
    uint32_t abi_fingerprint;  ///< kAbiFingerprint: a hash over the layout of everything that crosses
    uint32_t size;             ///< of all, options and interfaces included
    uint32_t option_count;
    uint32_t option_offset;
    uint32_t option_size;
    uint32_t interface_count;
    uint32_t interface_offset;
    uint32_t interface_size;
    uint32_t reserved;
    ModuleInfo info;
    /// Constructs the module in the instance's own data and returns it. Called once for an instance.
    Module* (*create)(const Services*, InstanceToken*);
    void (*destroy)(Module*);

    Span<const Option> options() const {
        return {reinterpret_cast<const Option*>(reinterpret_cast<const char*>(this) + option_offset), option_count};
    }
    Span<const InterfaceEntry> interfaces() const {
        return {reinterpret_cast<const InterfaceEntry*>(reinterpret_cast<const char*>(this) + interface_offset),
                interface_count};
    }
};

inline constexpr char kModuleMagic[8] = {'H', 'E', 'L', 'I', 'X', 'M', 'O', 'D'};
inline constexpr uint32_t kAbiVersion = 1;

/// FNV-1a over the sizes of everything that crosses the boundary.
consteval uint32_t abi_fingerprint() {
    uint32_t hash = 2166136261u;
    const size_t sizes[] = {sizeof(Text),
                            sizeof(Bytes),
                            sizeof(Error),
                            sizeof(Result<void>),
                            sizeof(Version),
                            sizeof(ModuleInfo),
                            sizeof(Option),
                            sizeof(InterfaceEntry),
                            sizeof(MethodShape),
                            sizeof(Services),
                            sizeof(Request),
                            sizeof(Response),
                            sizeof(Gate),
                            sizeof(CpuLocal),
                            sizeof(SlotHead),
                            sizeof(CallCounters),
                            sizeof(Buffer),
                            sizeof(Result<Response>),
                            sizeof(ModuleDescriptor)};
    for (size_t size : sizes) hash = (hash ^ static_cast<uint32_t>(size)) * 16777619u;
    return hash;
}
inline constexpr uint32_t kAbiFingerprint = abi_fingerprint();

}  // namespace helix
