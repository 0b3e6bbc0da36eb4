// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Thread contexts: only what the calling convention keeps, on the thread's own stack. And what a CPU does idle.

#include "arch/seam.hpp"
#include "arch/x86_64/cpu.hpp"

namespace helix::x86_64 {

// rbx and r12 come from the frame that context_create laid out.
extern "C" [[gnu::naked]] void x86_64_thread_start() {
    asm("movq %r12, %rdi\n\t"
        "callq *%rbx\n\t"
        "ud2");
}

}  // namespace helix::x86_64

namespace helix::arch {

void context_create(ThreadContext& context, MutableBytes stack, void (*entry)(void*), void* argument) {
    const uint64_t top = reinterpret_cast<uint64_t>(stack.data() + stack.size()) & ~15ull;
    auto* const words = reinterpret_cast<uint64_t*>(top) - 9;
    words[0] = 0;                                     // r15
    words[1] = 0;                                     // r14
    words[2] = 0;                                     // r13
    words[3] = reinterpret_cast<uint64_t>(argument);  // r12
    words[4] = 0;                                     // rbp: backtraces end here
    words[5] = reinterpret_cast<uint64_t>(entry);     // rbx
    words[6] = reinterpret_cast<uint64_t>(x86_64::x86_64_thread_start);
    words[7] = words[8] = 0;  // x86_64_thread_start begins with rsp here, a multiple of 16
    context.stack_pointer = reinterpret_cast<uint64_t>(words);
}

// The flags need no saving: interrupts are on wherever the kernel switches, and if a module turned them off and called
// a service that waits, that must not become the next thread's affair.
[[gnu::naked]] void context_switch(ThreadContext&, ThreadContext&) {
    asm("pushq %rbx\n\t"
        "pushq %rbp\n\t"
        "pushq %r12\n\t"
        "pushq %r13\n\t"
        "pushq %r14\n\t"
        "pushq %r15\n\t"
        "movq %rsp, (%rdi)\n\t"
        "movq (%rsi), %rsp\n\t"
        "popq %r15\n\t"
        "popq %r14\n\t"
        "popq %r13\n\t"
        "popq %r12\n\t"
        "popq %rbp\n\t"
        "popq %rbx\n\t"
        "sti\n\t"
        "retq");
}

void context_announce(ThreadContext&, MutableBytes) {}
void context_retire(ThreadContext&) {}

// `sti` takes effect behind the next instruction: no interrupt can come between the look and the wait. Only a
// non-maskable one can; its handler knows the labels.
[[gnu::naked]] void idle() {
    asm("cli\n\t"
        "testl $0x80000000, %gs:0\n\t"
        "jz x86_64_idle_end\n\t"
        "sti\n"
        ".globl x86_64_idle_wait\n"
        "x86_64_idle_wait:\n\t"
        "hlt\n"
        ".globl x86_64_idle_end\n"
        "x86_64_idle_end:\n\t"
        "sti\n\t"
        "retq");
}

// Not `pause`: emulators give up the virtual CPU there.
void spin_hint() {
    asm volatile("" ::: "memory");
}
void preemption_point() {}

}  // namespace helix::arch
