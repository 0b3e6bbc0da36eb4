// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Contexts: making them, switching between them, cutting them back to a gate, and telling sanitizers about it.
#include "arch/hosted/port.hpp"

#include <stdlib.h>

#if HELIX_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if HELIX_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
#endif

extern "C" {
void helix_hosted_switch(helix::arch::ThreadContext& from, helix::arch::ThreadContext& to);
void helix_hosted_context_entry();
[[noreturn]] void helix_hosted_gate_continue(helix::Gate* gate, uint32_t failure);
void helix_hosted_context_begins();
}

namespace helix::arch {

using namespace hosted;

namespace {

constexpr bool kSanitized = HELIX_ADDRESS_SANITIZER || HELIX_THREAD_SANITIZER;

}  // namespace

void context_create(ThreadContext& context, MutableBytes stack, void (*entry)(void*), void* argument) {
    // What helix_hosted_switch pops, and padding: above it the stack pointer is a multiple of 16, as
    // helix_hosted_context_entry wants it.
    struct Frame {
        uint64_t r15, r14, r13, r12, rbx, rbp, resume;
        uint64_t padding[2];
    };
    static_assert(sizeof(Frame::padding) % 16 == 0);
    const uint64_t top = (word_of(stack.data()) + stack.size()) & ~15ull;
    auto* frame = reinterpret_cast<Frame*>(top) - 1;
    *frame = {};
    frame->r13 = word_of(argument);
    frame->r12 = reinterpret_cast<uint64_t>(entry);
    frame->resume = reinterpret_cast<uint64_t>(&helix_hosted_context_entry);
    context.stack_pointer = word_of(frame);
}

#if HELIX_ADDRESS_SANITIZER || HELIX_THREAD_SANITIZER
HELIX_NO_SANITIZER void context_switch(ThreadContext& from, ThreadContext& to) {
    Cpu* cpu = this_cpu();
    if (from.sanitizer == nullptr) from.sanitizer = cpu->running;  // the boot context: the kernel did not make it
    if (to.sanitizer == nullptr) fatal("a switch to a context that context_announce never saw");
    auto* next = static_cast<SanitizerStack*>(to.sanitizer);
    cpu->running = next;
#if HELIX_ADDRESS_SANITIZER
    // Nobody may stop this CPU between the two: the sanitizer takes no second switch then.
    HostCall::begin(*cpu);
    auto* own = static_cast<SanitizerStack*>(from.sanitizer);
    __sanitizer_start_switch_fiber(&own->fake_stack, next->bottom, next->size);
#endif
#if HELIX_THREAD_SANITIZER
    __tsan_switch_to_fiber(next->fiber, 0);
#endif
    helix_hosted_switch(from, to);
#if HELIX_ADDRESS_SANITIZER
    __sanitizer_finish_switch_fiber(own->fake_stack, nullptr, nullptr);
    HostCall::end(*this_cpu());  // another CPU than before, perhaps
#endif
}
#else
[[gnu::naked, gnu::no_profile_instrument_function]] void context_switch(ThreadContext&, ThreadContext&) {
    asm("jmp helix_hosted_switch");
}
#endif

void context_announce(ThreadContext& context, MutableBytes stack) {
    if constexpr (kSanitized) {
        HostCall guard;
        void* memory = calloc(1, sizeof(SanitizerStack));
        if (memory == nullptr) fatal("no memory for what a sanitizer knows of a stack");
        auto* record = static_cast<SanitizerStack*>(memory);
        record->bottom = stack.data();
        record->size = stack.size();
        record->owned = true;
#if HELIX_THREAD_SANITIZER
        record->fiber = __tsan_create_fiber(0);
#endif
        context.sanitizer = record;
    } else {
        (void)context;
        (void)stack;
    }
}

void context_retire(ThreadContext& context) {
    if constexpr (kSanitized) {
        HostCall guard;
        auto* record = static_cast<SanitizerStack*>(context.sanitizer);
        if (record == nullptr || !record->owned) return;
#if HELIX_THREAD_SANITIZER
        __tsan_destroy_fiber(record->fiber);
#endif
#if HELIX_ADDRESS_SANITIZER
        // Frames that never returned left their red zones behind; the memory is somebody else's from now on.
        __asan_unpoison_memory_region(record->bottom, record->size);
#endif
        free(record);
        context.sanitizer = nullptr;
    } else {
        (void)context;
    }
}

void hosted::sanitizer_adopt(Cpu& cpu) {
    if constexpr (kSanitized) {
        SanitizerStack& own = cpu.leave_stack;
        pthread_attr_t attributes;
        void* bottom = nullptr;
        if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
            pthread_attr_getstack(&attributes, &bottom, &own.size);
            pthread_attr_destroy(&attributes);
        }
        own.bottom = bottom;
#if HELIX_THREAD_SANITIZER
        own.fiber = __tsan_get_current_fiber();
#endif
        cpu.running = &own;
    } else {
        (void)cpu;
    }
}

void hosted::sanitizer_cut(uint64_t low, const Gate& gate) {
#if HELIX_ADDRESS_SANITIZER
    // A wild stack pointer says nothing about which frames are gone.
    constexpr uint64_t kLargestStack = 8 << 20;
    if (low < gate.stack_pointer && gate.stack_pointer - low < kLargestStack)
        __asan_unpoison_memory_region(reinterpret_cast<void*>(low), gate.stack_pointer - low);
#else
    (void)low;
    (void)gate;
#endif
}

void gate_resume(Gate& gate, GateFailure failure) {
    preempt_disable();
    // One more than the gate's own, so that nothing switches before the frames are gone.
    set_preempt_count(gate.preempt_count() + 1);
    sanitizer_cut(word_of(__builtin_frame_address(0)) & ~7ull, gate);
    preempt_enable();
    helix_hosted_gate_continue(&gate, static_cast<uint32_t>(failure));
}

void trap_resume_at_gate(kernel::TrapFrame& frame, Gate& gate, GateFailure failure) {
    if (frame.context == nullptr) {
        frame.gate = &gate;
        frame.failure = failure;
        return;
    }
    auto& registers = frame.context->uc_mcontext.gregs;
    sanitizer_cut(static_cast<uint64_t>(registers[REG_RSP]) & ~7ull, gate);
    registers[REG_RIP] = static_cast<greg_t>(gate.resume);
    registers[REG_RSP] = static_cast<greg_t>(gate.stack_pointer);
    registers[REG_RBP] = static_cast<greg_t>(gate.frame_pointer);
    registers[REG_RBX] = static_cast<greg_t>(word_of(&gate));
    registers[REG_RCX] = static_cast<greg_t>(failure);
    constexpr greg_t kTrap = 1 << 8, kDirection = 1 << 10, kAlignmentCheck = 1 << 18;
    registers[REG_EFL] &= ~(kTrap | kDirection | kAlignmentCheck);
    // Preemption is off here, and the handlers lower the count again when they return.
    set_preempt_count(gate.preempt_count() + frame.raised);
}

uint64_t trap_instruction_pointer(const kernel::TrapFrame& frame) {
    return frame.context == nullptr ? 0 : static_cast<uint64_t>(frame.context->uc_mcontext.gregs[REG_RIP]);
}
uint64_t trap_stack_pointer(const kernel::TrapFrame& frame) {
    return frame.context == nullptr ? 0 : static_cast<uint64_t>(frame.context->uc_mcontext.gregs[REG_RSP]);
}
uint64_t trap_frame_pointer(const kernel::TrapFrame& frame) {
    return frame.context == nullptr ? 0 : static_cast<uint64_t>(frame.context->uc_mcontext.gregs[REG_RBP]);
}
bool trap_interrupts_enabled(const kernel::TrapFrame&) {
    return true;
}

}  // namespace helix::arch

/// Runs first on every new context: the second half of the switch that led to it.
HELIX_NO_SANITIZER void helix_hosted_context_begins() {
#if HELIX_ADDRESS_SANITIZER
    helix::arch::hosted::Cpu& cpu = *helix::arch::hosted::this_cpu();
    __sanitizer_finish_switch_fiber(cpu.running->fake_stack, nullptr, nullptr);
    helix::arch::hosted::HostCall::end(cpu);
#endif
}
