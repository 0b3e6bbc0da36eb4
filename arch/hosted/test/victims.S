// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Code that goes wrong in every way; the test copies it into the region, where modules live, and calls it by number.

    .section .rodata.helix_victims, "a", @progbits
    .balign 64
    .globl helix_victims_begin
    .globl helix_victims_end
helix_victims_begin:

// uint64_t victim(void* self, uint64_t kind, uint64_t argument). What a callee must preserve is spoilt first, but for
// the two that return.
    testq %rsi, %rsi
    jz 0f
    cmpq $19, %rsi
    je 1f
    movq $-1, %rbx
    movq %rbx, %r12
    movq %rbx, %r13
    movq %rbx, %r14
    movq %rbx, %r15
    movq %rbx, %rbp
    leaq table(%rip), %rax
    movslq (%rax,%rsi,4), %rcx
    addq %rcx, %rax
    jmpq *%rax
0:  movq %rsp, %rax  // kind 0: the alignment of the stack
    andq $15, %rax
    ret
1:  movq (%rdx), %rax  // kind 19: waits until the word that the argument points to is not zero, and returns it
    testq %rax, %rax
    jz 1b
    ret

    .balign 4
table:
    .long 0
    .long null_read - table
    .long null_write - table
    .long invalid - table
    .long divide - table
    .long non_canonical - table
    .long write_text - table
    .long execute_data - table
    .long push_forever - table
    .long call_forever - table
    .long loop_forever - table
    .long breakpoint - table
    .long loop_low - table
    .long loop_astray - table
    .long privileged - table
    .long counts_up - table
    .long push_astray - table
    .long call_argument - table
    .long stack_non_canonical - table

null_read:
    movl 0, %eax
null_write:
    movl %eax, 0
invalid:
    ud2
divide:
    xorl %edx, %edx
    xorl %ecx, %ecx
    divl %ecx
non_canonical:
    movabsq $0x8000000000000000, %rax
    movq (%rax), %rax
write_text:
    std
    movq %rax, write_text(%rip)
execute_data:
    jmpq *%rdx
push_forever:
    pushq %rax
    jmp push_forever
call_forever:
    call call_forever
loop_forever:
    std
    jmp .
breakpoint:
    int3
loop_low:  // goes down to the address in the argument and loops there
    movq %rdx, %rsp
    jmp .
loop_astray:
    movq $0x1000, %rsp
    jmp .
privileged:
    hlt
counts_up:
    incl %gs:0
    incl %gs:0
    incl %gs:0
    ud2
push_astray:
    movq $0x1000, %rsp
    pushq %rax
call_argument:
    subq $8, %rsp
    callq *%rdx
stack_non_canonical:
    movabsq $0x8000000000000000, %rsp
    pushq %rax

helix_victims_end:
    .section .note.GNU-stack, "", @progbits
