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
    Absent = 5,  ///< nothing fills the slot: nobody was called
};

enum class GateKind : uint32_t {
    Module = 0,   ///< code of a module runs inside; a fault is its failure
    Kernel = 1,   ///< a kernel service runs inside; never unwound
    Copy = 2,     ///< the kernel reads or writes memory named by a module; a fault is the module's bad pointer
    Thread = 3,   ///< first gate of a module's own thread; without budget
    Bounded = 4,  ///< as Module, in a bounded method: while it is in the chain, its thread is not preempted
};

inline constexpr uint32_t kNoRescheduleWanted = 1u << 31;  ///< in CpuLocal::preempt_word

/// Layout is ABI: the call sequence below and the kernel's fault path both use it.
struct alignas(16) Gate {
    uint64_t previous_and_kind;  // 0: address of the next gate outwards, and in its low bits the kind
    uint64_t stack_pointer;      // 8
    uint64_t resume;             // 16: address to continue at, with rbx = this gate and ecx = GateFailure
    uint64_t frame_pointer;      // 24
    InstanceToken* instance;     // 32: who runs inside; null while a bounded gate is still finding out
    uint32_t preempt_word;       // 40: preemption word of the CPU at entry
    uint32_t ticks;              // 44: timer ticks seen while innermost; above those, of the kernel (call_watch.cpp):
                                 // how often the gate was seen open. Whoever opens it sets both to 0

    static constexpr uint64_t kKindMask = 15;
    static constexpr uint32_t kTicksMask = (1u << 30) - 1;
    Gate* previous() const { return reinterpret_cast<Gate*>(previous_and_kind & ~kKindMask); }
    GateKind kind() const { return static_cast<GateKind>(previous_and_kind & kKindMask); }
    uint32_t preempt_count() const { return preempt_word & ~kNoRescheduleWanted; }
};
static_assert(sizeof(Gate) == 48 && __builtin_offsetof(Gate, instance) == 32 &&
              __builtin_offsetof(Gate, preempt_word) == 40);

/// What fills a slot. Layout is ABI.
struct SlotTarget {
    void* implementation;     // 0: the interface pointer; never null
    InstanceToken* instance;  // 8
};
/// Blocking calls into a slot, as one CPU counted them; only the sums over all CPUs mean anything. Layout is ABI.
struct CallCounters {
    uint64_t entered;  // 0
    uint64_t left;     // 8
};
/// What a Handle points to: where an implementation is plugged in. Layout is ABI.
struct SlotHead {
    const SlotTarget* target;  // 0: null while nothing fills the slot; read and written atomically
    uint64_t counters;         // 8: distance of this CPU's CallCounters from `%gs`; the same on every CPU
    uint32_t closed;           // 16: nonzero while blocking callers must wait; atomic
    uint32_t generation;       // 20: counts the implementations that filled the slot; atomic
};
static_assert(__builtin_offsetof(SlotHead, target) == 0 && __builtin_offsetof(SlotTarget, instance) == 8);

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

/// The innermost gate of the running thread.
inline Gate* current_gate() {
    Gate* gate;
    asm volatile("movq %%gs:8, %0" : "=r"(gate)::"memory");
    return gate;
}

inline void preempt_disable() {
    asm volatile("incl %%gs:0" ::: "memory", "cc");
}
inline void preempt_enable() {
    bool wanted;
    asm volatile("decl %%gs:0" : "=@ccz"(wanted)::"memory");
    if (__builtin_expect(wanted, 0)) cpu_local()->reschedule();
}

/// How often preemption was disabled on this CPU and not yet enabled again.
inline __attribute__((always_inline)) uint32_t preempt_count() {
    uint32_t word;
    asm volatile("movl %%gs:0, %0" : "=r"(word)::"memory");
    return word & ~kNoRescheduleWanted;
}
/// Sets the count, for what continues elsewhere than it was called from: in one addition, so that an interrupt in
/// between loses neither its own count nor a wish to reschedule. Kernel and ports; where nothing preempts meanwhile.
inline __attribute__((always_inline)) void set_preempt_count(uint32_t count) {
    const uint32_t change = count - preempt_count();
    asm volatile("addl %0, %%gs:0" ::"r"(change) : "memory", "cc");
}

/// What preempt_enable does last, for those who kept preemption off without counting: the bounded calls.
inline void reschedule_if_wanted() {
    bool wanted;
    asm volatile("cmpl $0, %%gs:0" : "=@ccz"(wanted)::"memory");
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

/// Where in its class's vtable a virtual method stands, in bytes (Itanium C++ ABI: pointers to it hold 1 + that).
template <typename Method>
inline uint64_t vtable_offset(Method method) {
    struct {
        uintptr_t vtable_offset_plus_one;
        ptrdiff_t adjustment;
    } pointer;
    static_assert(sizeof(pointer) == sizeof(method));
    __builtin_memcpy(&pointer, &method, sizeof(pointer));
    return pointer.vtable_offset_plus_one - 1;
}

/// A value that nobody reads: costs no instruction.
inline __attribute__((always_inline)) uint64_t unspecified() {
    uint64_t value;
    asm volatile("" : "=r"(value));
    return value;
}

/// How a call's result and arguments travel: as words in registers, the first of which may name where the result goes.
template <typename R, typename... A>
struct Passing {
    static constexpr bool kHidden = !std::is_void_v<R> && !kInRegisters<std::conditional_t<std::is_void_v<R>, char, R>>;
    static constexpr size_t kCount = (kWords<A> + ... + 0) + (kHidden ? 2 : 1);
    static_assert(kCount <= 6, "too many arguments for one crossing");

    inline __attribute__((always_inline)) Passing(const void* self, void* result, A&... arguments) {
        uint64_t* out = words;
        if constexpr (kHidden) *out++ = reinterpret_cast<uint64_t>(result);
        *out++ = reinterpret_cast<uint64_t>(self);
        (put_words<A>(out, arguments), ...);
        for (size_t i = kCount; i < 6; ++i) words[i] = unspecified();
    }
    static inline __attribute__((always_inline)) void take(uint64_t rax, uint64_t rdx, void* result) {
        if constexpr (!std::is_void_v<R> && !kHidden) {
            const uint64_t registers[2] = {rax, rdx};
            __builtin_memcpy(result, registers, sizeof(R));
        }
    }
    uint64_t words[6];
};

/// Compiled code relies on the direction flag being clear; another module's need not have left it so.
inline __attribute__((always_inline)) void clear_direction_flag() {
    asm volatile("cld" ::: "cc");
}

/// Stores are what a gate costs: the preemption word and ticks (none yet) are one.
inline __attribute__((always_inline)) void begin_gate(Gate& gate) {
    uint64_t begin;
    asm volatile("movl %%gs:0, %k0" : "=r"(begin)::"memory");
    __builtin_memcpy(reinterpret_cast<char*>(&gate) + __builtin_offsetof(Gate, preempt_word), &begin, sizeof(begin));
}

// The crossing. rbx is the gate and r13 the one around it, so far the innermost; `call` ends with the callee's return,
// at whatever it finds in rax, and the direction flag clear. A failure inside continues at 1 with rbx, rbp and rsp,
// which the gate keeps, and ecx, which says why. All other registers are lost then, so all are outputs or clobbers.
#define HELIX_REGISTERS                                \
    uint64_t rdi = passing.words[0];                   \
    uint64_t rsi = passing.words[1];                   \
    uint64_t rdx = passing.words[2];                   \
    uint64_t rcx = passing.words[3];                   \
    register uint64_t r8 asm("r8") = passing.words[4]; \
    register uint64_t r9 asm("r9") = passing.words[5]; \
    Gate* rbx = &gate
#define HELIX_CROSS(call)                                                                                            \
    asm goto volatile(                                                                                               \
        "leaq 1f(%%rip), %%r11\n\t"                                                                                  \
        "movq %%rsp, 8(%%rbx)\n\t"                                                                                   \
        "movq %%r11, 16(%%rbx)\n\t"                                                                                  \
        "movq %%rbp, 24(%%rbx)\n\t"                                                                                  \
        "leaq %c[kind](%%r13), %%r11\n\t"                                                                            \
        "movq %%r11, 0(%%rbx)\n\t"                                                                                   \
        "movq %%rbx, %%gs:8\n\t" call                                                                                \
        "cld\n\t"                                                                                                    \
        "movq %%r13, %%gs:8\n\t"                                                                                     \
        ".subsection 1\n"                                                                                            \
        "1:\n\t"                                                                                                     \
        "movq 0(%%rbx), %%r13\n\t"                                                                                   \
        "andq %[mask], %%r13\n"                                                                                      \
        "2:\n\t"                                                                                                     \
        "movq %%r13, %%gs:8\n\t"                                                                                     \
        "jmp %l[cut_off]\n"                                                                                          \
        "3:\n\t"                                                                                                     \
        "movl %[absent], %%ecx\n\t"                                                                                  \
        "jmp 2b\n\t"                                                                                                 \
        ".subsection 0"                                                                                              \
        : "+a"(rax), "+c"(rcx), "+d"(rdx), "+S"(rsi), "+D"(rdi), "+r"(r8), "+r"(r9), "+r"(r10), "+r"(r13), "+b"(rbx) \
        : [kind] "i"(static_cast<int>(kKind)), [mask] "i"(~static_cast<int64_t>(Gate::kKindMask)),                   \
          [absent] "i"(static_cast<int>(GateFailure::Absent))                                                        \
        : "r11", "r12", "r14", "r15", "memory", "cc"                                                                 \
        : cut_off)
#define HELIX_ALIGN_STACK(call) \
    "movq %%rsp, %%r12\n\t"     \
    "andq $-16, %%rsp\n\t" call "movq %%r12, %%rsp\n\t"
#define HELIX_CALL_METHOD     \
    "movq (%%rax), %%rax\n\t" \
    "callq *(%%rax, %%r10)\n\t"

/// The gate around this function: the same from its beginning to its end, so that the compiler may read it once.
inline __attribute__((always_inline)) Gate* enclosing_gate() {
    Gate* gate;
    asm("movq %%gs:8, %0" : "=r"(gate));
    return gate;
}

/// What a crossing leads to.
enum class Callee : uint32_t {
    Function,  ///< its address is given
    Method,    ///< an offset in the vtable of an object, which is read behind the gate: the callee may have damaged it
    SlotMethod,  ///< the same of what fills a slot
};

/// Calls `callee`, the address of a function or an object, with `self` and `arguments` behind a gate. The stack is
/// aligned, since not every caller makes other calls, for which its compiler would have done so; slots' callers do.
template <GateKind kKind, Callee kCallee, typename R, typename... A>
inline __attribute__((always_inline)) GateFailure cross(InstanceToken* instance, const void* callee, uint64_t offset,
                                                        const void* self, void* result, A... arguments) {
    const Passing<R, A...> passing(self, result, arguments...);
    Gate gate;
    gate.instance = instance;
    begin_gate(gate);
    uint64_t rax = reinterpret_cast<uint64_t>(callee);
    register uint64_t r10 asm("r10") = offset;
    register Gate* r13 asm("r13") = kCallee == Callee::SlotMethod ? enclosing_gate() : current_gate();
    HELIX_REGISTERS;
    if constexpr (kCallee == Callee::Function)
        HELIX_CROSS(HELIX_ALIGN_STACK("callq *%%rax\n\t"));
    else if constexpr (kCallee == Callee::Method)
        HELIX_CROSS(HELIX_ALIGN_STACK(HELIX_CALL_METHOD));
    else
        HELIX_CROSS(HELIX_CALL_METHOD);
    Passing<R, A...>::take(rax, rdx, result);
    return GateFailure::None;
cut_off:
    return static_cast<GateFailure>(rcx);
}

/// A bounded method of whatever fills `slot`. The gate is in the chain, with no instance, before the slot is looked at:
/// from there on this thread is not preempted, so that what it finds there stays until it returns.
#define HELIX_SLOT_CALL(object) \
    "movq (%%rax), %%r12\n\t"   \
    "testq %%r12, %%r12\n\t"    \
    "jz 3f\n\t"                 \
    "movq 8(%%r12), %%rax\n\t"  \
    "movq (%%r12), " object     \
    "\n\t"                      \
    "movq %%rax, 32(%%rbx)\n\t" \
    "movq (" object             \
    "), %%rax\n\t"              \
    "callq *(%%rax, %%r10)\n\t"
template <typename R, typename... A>
inline __attribute__((always_inline)) GateFailure slot_call_bounded(const SlotHead* slot, uint64_t offset, void* result,
                                                                    A... arguments) {
    constexpr GateKind kKind = GateKind::Bounded;
    const Passing<R, A...> passing(reinterpret_cast<const void*>(unspecified()), result, arguments...);
    Gate gate;
    gate.instance = nullptr;
    begin_gate(gate);
    uint64_t rax = reinterpret_cast<uint64_t>(slot);
    register uint64_t r10 asm("r10") = offset;
    register Gate* r13 asm("r13") = enclosing_gate();
    HELIX_REGISTERS;
    if constexpr (Passing<R, A...>::kHidden)
        HELIX_CROSS(HELIX_SLOT_CALL("%%rsi"));
    else
        HELIX_CROSS(HELIX_SLOT_CALL("%%rdi"));
    reschedule_if_wanted();
    Passing<R, A...>::take(rax, rdx, result);
    return GateFailure::None;
cut_off:
    reschedule_if_wanted();
    return static_cast<GateFailure>(rcx);
}
#undef HELIX_SLOT_CALL
#undef HELIX_CALL_METHOD
#undef HELIX_ALIGN_STACK
#undef HELIX_CROSS
#undef HELIX_REGISTERS

template <typename Method>
struct Signature;
template <typename C, typename R, typename... A>
struct Signature<R (C::*)(A...)> {
    using Return = R;
    template <GateKind Kind>
    static inline __attribute__((always_inline)) GateFailure call(InstanceToken* instance, const void* object,
                                                                  uint64_t offset, void* result, A... arguments) {
        return cross<Kind, Callee::Method, R, A...>(instance, object, offset, object, result,
                                                    static_cast<A>(arguments)...);
    }
    static inline __attribute__((always_inline)) GateFailure call_bounded(const SlotHead* slot, uint64_t offset,
                                                                          void* result, A... arguments) {
        return slot_call_bounded<R, A...>(slot, offset, result, static_cast<A>(arguments)...);
    }
    static inline __attribute__((always_inline)) GateFailure call_blocking(const SlotTarget* target, uint64_t offset,
                                                                           void* result, A... arguments) {
        void* const object = target->implementation;
        return cross<GateKind::Module, Callee::SlotMethod, R, A...>(target->instance, object, offset, object, result,
                                                                    static_cast<A>(arguments)...);
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
    void* storage() { return &value; }
    R value;
};
template <>
union GateResult<void> {
    void* storage() { return nullptr; }
};

/// Calls `object`'s virtual `Method` behind a gate of kind `Kind`, charged to `instance`. On failure the reason
/// is returned and `*result` stays raw. `result` is null for void methods. The caller keeps `instance` and
/// `object` alive through the call. Any context in which `Method` itself may run.
template <auto Method, GateKind Kind = GateKind::Module, typename... Arguments>
inline __attribute__((always_inline)) GateFailure gate_call(InstanceToken* instance, const void* object, void* result,
                                                            Arguments&&... arguments) {
    return detail::Signature<decltype(Method)>::template call<Kind>(instance, object, detail::vtable_offset(Method),
                                                                    result, static_cast<Arguments&&>(arguments)...);
}

/// The same for a plain function, which gets `self` first.
template <typename R, GateKind Kind = GateKind::Module, typename... A>
inline __attribute__((always_inline)) GateFailure gate_call_function(InstanceToken* instance, const void* function,
                                                                     const void* self, void* result, A... arguments) {
    return detail::cross<Kind, detail::Callee::Function, R, A...>(instance, function, detail::unspecified(), self,
                                                                  result, arguments...);
}

template <auto Method>
using GateReturn = typename detail::Signature<decltype(Method)>::Return;

}  // namespace helix
