// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The ways in which modules for tests crash.
#pragma once

#include "helix/module.hpp"

namespace helix::test {

inline constexpr Text kHows[] = {"null",
                                 "divide",
                                 "ud2",
                                 "noncanonical",
                                 "write_text",
                                 "execute_data",
                                 "loop",
                                 "stack_overflow",
                                 "abort",
                                 "exhaust_memory",
                                 "creeping_overflow",
                                 "interrupts_off",
                                 "halt",
                                 "services_without_interrupts",
                                 "double_fault",
                                 "foreign_token",
                                 "foreign_handle",
                                 "preemption_off",
                                 "preemption_on"};
namespace detail {

// Assembler, so that the compiler cannot see the mistake and turn it into another one.
inline void write_byte(uint64_t address) {
    asm volatile("movb $1, (%0)" ::"r"(address) : "memory");
}

alignas(16) inline unsigned char g_data[16] = {0xC3};  // a return instruction, where only data may be

[[gnu::noinline]] inline uint64_t recurse(uint64_t depth) {
    volatile unsigned char frame[512];
    for (size_t i = 0; i < sizeof(frame); i += 64) frame[i] = static_cast<unsigned char>(depth);
    const uint64_t below = depth == UINT64_MAX ? 0 : recurse(depth + 1);
    return below + frame[0];
}

/// In small steps that take long, so that ticks find ever less room, down to none.
[[gnu::noinline]] inline uint64_t creep(uint64_t depth) {
    constexpr uint64_t kCyclesPerStep = 200'000;
    volatile uint64_t at_this_depth = depth;
    const uint64_t begin = __builtin_ia32_rdtsc();
    while (__builtin_ia32_rdtsc() - begin < kCyclesPerStep) {
    }
    const uint64_t below = depth == UINT64_MAX ? 0 : creep(depth + 1);
    return below + at_this_depth;
}

}  // namespace detail

/// Fails in way `name`, for which `context` may be null. Inlined, so that the failure is seen in the caller. Returns in
/// the ways that are about how the call returns.
[[gnu::always_inline]] inline void crash_in_way(Text name, const Context* context) {
    if (name == "preemption_off") return preempt_disable();
    if (name == "preemption_on") return preempt_enable();
    if (name == "null") detail::write_byte(0);
    if (name == "divide")
        asm volatile("xorl %%ecx, %%ecx; movl $1, %%eax; xorl %%edx, %%edx; divl %%ecx" ::: "eax", "ecx", "edx", "cc");
    if (name == "ud2") asm volatile("ud2");
    if (name == "noncanonical") detail::write_byte(0x8000'0000'0000);
    if (name == "write_text") detail::write_byte(reinterpret_cast<uint64_t>(&detail::write_byte));
    if (name == "execute_data") asm volatile("call *%0" ::"r"(static_cast<void*>(detail::g_data)) : "memory");
    if (name == "loop")
        for (;;) asm volatile("");
    if (name == "interrupts_off")
        for (;;) asm volatile("cli" ::: "memory");
    if (name == "halt")
        for (;;) asm volatile("cli; hlt" ::: "memory");
    if (name == "services_without_interrupts") {
        for (;;) {
            asm volatile("cli" ::: "memory");
            (void)context->execution_statistics();
        }
    }
    if (name == "stack_overflow") context->info("impossible: {}", detail::recurse(0));
    if (name == "creeping_overflow") context->info("impossible: {}", detail::creep(0));
    if (name == "exhaust_memory")
        for (;;) *static_cast<volatile unsigned char*>(::operator new(1 << 20)) = 1;
    if (name == "double_fault") asm volatile("int $8");
    if (context == nullptr) __builtin_abort();  // in the constructor there is no other way
    // What a context keeps for itself, in this order.
    const auto* const services = *reinterpret_cast<const Services* const*>(context);
    auto* const token = reinterpret_cast<InstanceToken* const*>(context)[1];
    if (name == "foreign_token") services->thread_yield(reinterpret_cast<InstanceToken*>(detail::g_data));
    if (name == "foreign_handle") (void)services->slot_wait(token, reinterpret_cast<SlotHead*>(detail::g_data)).ok();
    if (name == "abort") context->abort("told to abort");
    context->abort("survived its own failure");
}

}  // namespace helix::test
