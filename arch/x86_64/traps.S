# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# First and last instructions of every exception and interrupt; builds the TrapFrame of trap.hpp.

.macro SAVE_REGISTERS
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rdi
.endm

.macro RESTORE_REGISTERS
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rbp
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rbx
    popq %rax
    addq $16, %rsp
.endm

# One stub of 16 bytes for each exception. The CPU pushes an error code for some of them.
.text
.balign 16
.globl exception_stubs
exception_stubs:
.set vector, 0
.rept 32
    .balign 16
    .if !((0x60227d00 >> vector) & 1)
    pushq $0
    .endif
    pushq $vector
    jmp exception_common
    .set vector, vector + 1
.endr

# The CPU aligns the stack before its frame, so here it is aligned but for a word. It is not where an `int` instruction
# named an exception that has an error code, which the CPU does not push then. In ring 3 that is a protection fault.
exception_common:
    testb $8, %spl
    jnz 1f
    movq $0, (%rsp)
    pushq $13
1:  SAVE_REGISTERS
    callq x86_64_exception
    RESTORE_REGISTERS
    iretq

# Device interrupts run on the interrupted thread's stack with preemption off. The count is lowered without a
# look at the reschedule bit: the kernel has decided that in its handler.
#
# The handler may take locks, so it must not run out of stack. The first instruction touches the lowest byte that it
# may need (its frame, the kernel's decision, a policy's answer, a nested interrupt). Without room that is a stack
# overflow of what was interrupted, before anything has changed; x86_64_exception acknowledges the interrupt.
.set INTERRUPT_HEADROOM, 1536
.macro INTERRUPT name, vector, handler
    .balign 16
    .globl \name
\name:
    testb $0, -INTERRUPT_HEADROOM(%rsp)
    incl %gs:0
    pushq $0
    pushq $\vector
    SAVE_REGISTERS
    callq \handler
    RESTORE_REGISTERS
    decl %gs:0
    iretq
.endm

    INTERRUPT interrupt_timer, 0x20, x86_64_timer
    INTERRUPT interrupt_console, 0x21, x86_64_console
    INTERRUPT interrupt_call, 0x22, x86_64_call
    INTERRUPT interrupt_flush, 0x23, x86_64_flush

# Lines of modules. One stub of 8 bytes for each; it tells its vector, twice, since the frame has room for an error code.
# Here the first instruction that may find no room is the second but one, before which nothing has changed either.
    .balign 8
.globl interrupt_lines
interrupt_lines:
.set vector, 0x30
.rept 16
    .balign 8
    pushq $vector
    jmp interrupt_line
    .set vector, vector + 1
.endr
interrupt_line:
    testb $0, -INTERRUPT_HEADROOM(%rsp)
    incl %gs:0
    pushq (%rsp)
    SAVE_REGISTERS
    callq x86_64_line
    RESTORE_REGISTERS
    decl %gs:0
    iretq

# The local APIC withdrew an interrupt; it wants no acknowledgement.
    .balign 16
.globl interrupt_spurious
interrupt_spurious:
    iretq

.section .note.GNU-stack, "", @progbits
