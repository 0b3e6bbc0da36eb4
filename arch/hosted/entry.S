// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Where signals enter the port, and how they leave it.

    .text

// Handler of ticks and of calls by other CPUs: on the stack of the thread that was interrupted, both blocked. On a busy
// host the next tick is there before the handler's first instruction, and frame upon frame would fill the stack.
    .globl helix_hosted_tick_entry
    .globl helix_hosted_tick_probes_begin
    .globl helix_hosted_tick_probes_end
    .globl helix_hosted_tick_leave
    .type helix_hosted_tick_entry, @function
helix_hosted_tick_entry:
    .cfi_startproc
    movq helix_hosted_cpu@gottpoff(%rip), %rax
    cmpq $0, %fs:(%rax)
    je 1f
    incl %gs:0
    // Is there room for the handler? If not, these fault, and the fault handler takes over (trap.cpp): it finds the
    // interrupted context through %rdx and goes on at helix_hosted_tick_leave.
    // Where the count was zero the kernel goes deeper, and another signal may come on top.
helix_hosted_tick_probes_begin:
    testb $0, -2048(%rsp)
    movl %gs:0, %eax
    andl $0x7fffffff, %eax
    cmpl $1, %eax
    jne helix_hosted_tick_probes_end
    .set depth, 4096
    .rept HELIX_TICK_HEADROOM / 2048 - 1
    testb $0, -depth(%rsp)
    .set depth, depth + 2048
    .endr
helix_hosted_tick_probes_end:
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    callq helix_hosted_on_tick
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
helix_hosted_tick_leave:
    decl %gs:0
1:  ret
    .cfi_endproc
    .size helix_hosted_tick_entry, . - helix_hosted_tick_entry

// Handler of faults: on the CPU's alternate stack, everything but faults blocked.
    .globl helix_hosted_fault_entry
    .type helix_hosted_fault_entry, @function
helix_hosted_fault_entry:
    .cfi_startproc
    movq helix_hosted_cpu@gottpoff(%rip), %rax
    cmpq $0, %fs:(%rax)
    je helix_hosted_foreign_fault
    incl %gs:0
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    callq helix_hosted_on_fault
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    decl %gs:0
    ret
    .cfi_endproc
    .size helix_hosted_fault_entry, . - helix_hosted_fault_entry

// Handler of watchdogs: the same; the interrupted code did nothing wrong and goes on, if its CPU does.
    .globl helix_hosted_watchdog_entry
    .type helix_hosted_watchdog_entry, @function
helix_hosted_watchdog_entry:
    .cfi_startproc
    movq helix_hosted_cpu@gottpoff(%rip), %rax
    cmpq $0, %fs:(%rax)
    je 1f
    incl %gs:0
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    callq helix_hosted_on_watchdog
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    decl %gs:0
1:  ret
    .cfi_endproc
    .size helix_hosted_watchdog_entry, . - helix_hosted_watchdog_entry

// Handlers return here. Debuggers know the end of a signal's frame by this very name, if no function with unwinding
// information ends right before it.
    .balign 16
    nop
    .balign 16
    .globl __restore_rt
    .hidden __restore_rt
    .type __restore_rt, @function
__restore_rt:
    movq $15, %rax
    syscall
    .size __restore_rt, . - __restore_rt

// helix_hosted_switch(ThreadContext& from, ThreadContext& to): pushes what a call preserves, stores the stack pointer in
// `from` and continues at that of `to`. MXCSR and the x87 control word belong to the CPU, not the thread.
    .globl helix_hosted_switch
    .type helix_hosted_switch, @function
helix_hosted_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq (%rsi), %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size helix_hosted_switch, . - helix_hosted_switch

// The first code of a context: %r12 is its entry, %r13 the argument, the stack pointer a multiple of 16.
    .globl helix_hosted_context_entry
    .type helix_hosted_context_entry, @function
helix_hosted_context_entry:
    .cfi_startproc
    .cfi_undefined %rip  // nothing called this
    callq helix_hosted_context_begins
    movq %r13, %rdi
    xorl %ebp, %ebp
    callq *%r12
    ud2
    .cfi_endproc
    .size helix_hosted_context_entry, . - helix_hosted_context_entry

// helix_hosted_gate_continue(Gate* gate, uint32_t failure): goes on behind the call of `gate` (helix/gate.hpp).
    .globl helix_hosted_gate_continue
    .type helix_hosted_gate_continue, @function
helix_hosted_gate_continue:
    movq %rdi, %rbx
    movl %esi, %ecx
    movq 8(%rbx), %rsp
    movq 24(%rbx), %rbp
    cld
    jmpq *16(%rbx)
    .size helix_hosted_gate_continue, . - helix_hosted_gate_continue

    .section .note.GNU-stack, "", @progbits
