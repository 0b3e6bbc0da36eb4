// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The gate: the one place where control crosses from one module into another.
//
// A gate is a record on the caller's stack: where to go on when the callee fails. Gates form a chain for
// each thread, innermost first. A fault, a kill or an abort in the callee resumes the caller behind its call
// with a reason; nothing of the callee's frames is unwound. Module code reaches this through Handle::call.
#pragma once

#include "helix/types.hpp"

namespace helix {

struct InstanceToken;  ///< the kernel's Instance, opaque to modules

/// Why a gated call came back without a result.
enum class GateFailure : uint32_t {
    None = 0,
    Fault = 1,   ///< CPU exception in the callee
    Budget = 2,  ///< over its CPU-time budget
    Abort = 3,   ///< it gave up by itself (abort, failed assertion)
    Killed = 4,  ///< its instance had failed or was being ended
};

enum class GateKind : uint32_t {
    Module = 0,  ///< code of a module runs inside; a fault is its failure
    Kernel = 1,  ///< a kernel service runs inside; never unwound
    Copy = 2,    ///< the kernel reads or writes memory named by a module; a fault is the module's bad pointer
    Thread = 3,  ///< first gate of a module's own thread; without budget
};

/// Layout is ABI: the call sequence below and the kernel's fault path both use it.
struct alignas(16) Gate {
    Gate* previous;           // 0
    uint64_t stack_pointer;   // 8
    uint64_t resume;          // 16: address to continue at, with rbx = this gate and ecx = GateFailure
    uint64_t frame_pointer;   // 24
    InstanceToken* instance;  // 32: who runs inside
    uint32_t preempt_word;    // 40: preemption word of the CPU at entry
    GateKind kind : 8;        // 44
    uint32_t ticks : 24;      // 45: timer ticks seen while innermost
};
static_assert(sizeof(Gate) == 48 && __builtin_offsetof(Gate, preempt_word) == 40);

/// What `%gs` points to on every CPU; the part of it that module code uses. Layout is ABI.
struct CpuLocal {
    /// Preemption count in bits 0 to 30; bit 31 is set while *no* reschedule is wanted, so that the word is
    /// zero exactly when one is wanted and allowed. Only the own CPU writes it.
    uint32_t preempt_word;  // 0
    CpuId cpu;              // 4
    Gate* gate;             // 8: innermost gate of the running thread
    CpuLocal* self;         // 16
    void* thread;           // 24: the kernel's Thread that runs here
    void (*reschedule)();   // 32: called when preempt_word dropped to zero
    void* kernel;           // 40: the Kernel this CPU belongs to
};
inline constexpr uint32_t kNoRescheduleWanted = 1u << 31;

/// The CPU this thread runs on right now; stale after any point where it may be preempted.
inline CpuLocal* cpu_local() {
    CpuLocal* self;
    asm volatile("movq %%gs:16, %0" : "=r"(self)::"memory");
    return self;
}
inline CpuId current_cpu() {
    CpuId cpu;
    asm volatile("movl %%gs:4, %0" : "=r"(cpu)::"memory");
    return cpu;
}

inline void preempt_disable() {
    asm volatile("incl %%gs:0" ::: "memory", "cc");
}
inline void preempt_enable() {
    bool wanted;
    asm volatile("decl %%gs:0" : "=@ccz"(wanted)::"memory");
    if (__builtin_expect(wanted, 0)) cpu_local()->reschedule();
}

/// Preemption stays off while one of these lives.
class PreemptionGuard {
public:
    PreemptionGuard() { preempt_disable(); }
    ~PreemptionGuard() { preempt_enable(); }
    PreemptionGuard(const PreemptionGuard&) = delete;
    PreemptionGuard& operator=(const PreemptionGuard&) = delete;
};

namespace detail {

template <typename T>
inline constexpr bool kInRegisters = std::is_trivially_copyable_v<T> && sizeof(T) <= 16;

template <typename T>
inline constexpr size_t kWords = std::is_reference_v<T> ? 1 : (sizeof(std::remove_reference_t<T>) + 7) / 8;

/// Writes the argument as the machine words in which the System V ABI passes it.
template <typename T>
inline void put_words(uint64_t*& out, std::remove_reference_t<T>& argument) {
    if constexpr (std::is_reference_v<T>) {
        *out++ = reinterpret_cast<uint64_t>(&argument);
    } else {
        static_assert(kInRegisters<T>, "arguments that cross a module boundary are values of at most 16 bytes");
        static_assert(!std::is_floating_point_v<T>, "no floating point crosses a module boundary");
        static_assert(sizeof(T) >= 4 || !std::is_signed_v<T> || std::is_same_v<T, bool>);
        uint64_t words[kWords<T>] = {};
        __builtin_memcpy(words, &argument, sizeof(T));
        for (uint64_t word : words) *out++ = word;
    }
}

/// The function behind a virtual method (Itanium C++ ABI: 1 + offset into the vtable).
template <typename Method>
inline void* virtual_function(const void* object, Method method) {
    struct {
        uintptr_t vtable_offset_plus_one;
        ptrdiff_t adjustment;
    } pointer;
    static_assert(sizeof(pointer) == sizeof(method));
    __builtin_memcpy(&pointer, &method, sizeof(pointer));
    const char* vtable = *static_cast<const char* const*>(object);
    return *reinterpret_cast<void* const*>(vtable + pointer.vtable_offset_plus_one - 1);
}

struct RawOutcome {
    uint64_t rax;
    uint64_t rdx;
    uint32_t failure;
};

/// Calls `function` behind `gate` with up to six words. Everything that the callee may leave changed when it
/// is cut off (all callee-saved registers but rbp, which the gate keeps) is clobbered here.
inline __attribute__((always_inline)) RawOutcome raw_gate_call(Gate& gate, void* function, const uint64_t (&words)[6]) {
    RawOutcome outcome;
    uint64_t rcx = words[3];
    uint64_t rdi = words[0];
    uint64_t rsi = words[1];
    uint64_t rdx = words[2];
    uint64_t rax = reinterpret_cast<uint64_t>(function);
    register uint64_t r8 asm("r8") = words[4];
    register uint64_t r9 asm("r9") = words[5];
    register uint64_t r11 asm("r11");
    Gate* rbx = &gate;
    // r12 and r13 are back when the callee returns; only when it is cut off does the gate say what they held.
    asm volatile(
        "movq %%gs:8, %%r13\n\t"
        "leaq 1f(%%rip), %%r11\n\t"
        "movq %%r13, 0(%%rbx)\n\t"
        "movq %%rsp, 8(%%rbx)\n\t"
        "movq %%r11, 16(%%rbx)\n\t"
        "movq %%rbp, 24(%%rbx)\n\t"
        "movq %%rbx, %%gs:8\n\t"
        "movq %%rsp, %%r12\n\t"
        "andq $-16, %%rsp\n\t"
        "callq *%%rax\n\t"
        "movq %%r12, %%rsp\n\t"
        "xorl %%ecx, %%ecx\n"
        "2:\n\t"
        "movq %%r13, %%gs:8\n\t"
        ".subsection 1\n"
        "1:\n\t"
        "movq 0(%%rbx), %%r13\n\t"
        "jmp 2b\n\t"
        ".subsection 0"
        : "+a"(rax), "+c"(rcx), "+d"(rdx), "+S"(rsi), "+D"(rdi), "+r"(r8), "+r"(r9), "=r"(r11), "+b"(rbx)
        :
        : "r10", "r12", "r13", "r14", "r15", "memory", "cc");
    outcome.rax = rax;
    outcome.rdx = rdx;
    outcome.failure = static_cast<uint32_t>(rcx);
    return outcome;
}

}  // namespace detail

namespace detail {

template <GateKind Kind, typename R, typename... A>
inline __attribute__((always_inline)) GateFailure gate_call_words(InstanceToken* instance, void* function,
                                                                  const void* self, void* result, A... arguments) {
    constexpr bool kHidden = !std::is_void_v<R> && !kInRegisters<std::conditional_t<std::is_void_v<R>, char, R>>;
    static_assert((kWords<A> + ... + 0) + (kHidden ? 2 : 1) <= 6, "too many arguments for one crossing");
    Gate gate;
    gate.instance = instance;
    // Stores are what a gate costs: preempt_word, kind and ticks (none yet) are one.
    uint32_t preempt_word;
    asm volatile("movl %%gs:0, %0" : "=r"(preempt_word)::"memory");
    const uint64_t begin = preempt_word | static_cast<uint64_t>(Kind) << 32;
    __builtin_memcpy(reinterpret_cast<char*>(&gate) + __builtin_offsetof(Gate, preempt_word), &begin, sizeof(begin));
    uint64_t words[6] = {};
    uint64_t* out = words;
    if constexpr (kHidden) *out++ = reinterpret_cast<uint64_t>(result);
    *out++ = reinterpret_cast<uint64_t>(self);
    (put_words<A>(out, arguments), ...);
    const RawOutcome outcome = raw_gate_call(gate, function, words);
    if (__builtin_expect(outcome.failure != 0, 0)) return static_cast<GateFailure>(outcome.failure);
    if constexpr (!std::is_void_v<R> && !kHidden) {
        const uint64_t registers[2] = {outcome.rax, outcome.rdx};
        __builtin_memcpy(result, registers, sizeof(R));
    }
    return GateFailure::None;
}

template <typename Method>
struct Signature;
template <typename C, typename R, typename... A>
struct Signature<R (C::*)(A...)> {
    using Return = R;
    template <GateKind Kind>
    static inline __attribute__((always_inline)) GateFailure call(InstanceToken* instance, void* function,
                                                                  const void* self, void* result, A... arguments) {
        return gate_call_words<Kind, R, A...>(instance, function, self, result, static_cast<A>(arguments)...);
    }
};
template <typename C, typename R, typename... A>
struct Signature<R (C::*)(A...) const> : Signature<R (C::*)(A...)> {};

}  // namespace detail

/// Raw storage for what a gated call returns; constructed by the callee, and only when it succeeds.
template <typename R>
union GateResult {
    GateResult() {}
    ~GateResult() {}
    R value;
};

/// Calls `object`'s virtual `Method` behind a gate of kind `Kind`, charged to `instance`. On failure the reason
/// is returned and `*result` stays raw. `result` is null for void methods. The caller keeps `instance` and
/// `object` alive through the call. Any context in which `Method` itself may run.
template <auto Method, GateKind Kind = GateKind::Module, typename... Arguments>
inline __attribute__((always_inline)) GateFailure gate_call(InstanceToken* instance, const void* object, void* result,
                                                            Arguments&&... arguments) {
    return detail::Signature<decltype(Method)>::template call<Kind>(
        instance, detail::virtual_function(object, Method), object, result, static_cast<Arguments&&>(arguments)...);
}

template <auto Method>
using GateReturn = typename detail::Signature<decltype(Method)>::Return;

}  // namespace helix
