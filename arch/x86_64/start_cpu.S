# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# From a startup interrupt to C++ on another CPU: real mode to long mode, as boot.S does it for the first one.
#
# Only the few bytes of real mode are copied below 1 MiB, where such an interrupt must lead. The rest runs where the
# image was loaded, at first without paging, then by start_pml4, which shows these pages at their physical addresses.
# Kernel's tables never have a low half.

.set KERNEL_BASE, 0xffffffff80000000

.section .rodata.start_cpu, "a", @progbits
.code16
.globl start_cpu_real_mode, start_cpu_real_mode_end
start_cpu_real_mode:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    lgdtl start_gdt_pointer - start_cpu_real_mode
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x18, $start_cpu_protected
start_gdt_pointer:
    .short 4 * 8 - 1
    .long boot_gdt
start_cpu_real_mode_end:

.section .boot, "ax"
.code32
start_cpu_protected:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $0x20, %eax                                      # CR4: PAE
    movl %eax, %cr4
    movl $(start_pml4 - KERNEL_BASE), %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx                                # EFER: LME, NXE
    rdmsr
    orl $0x900, %eax
    wrmsr
    movl $0x80010035, %eax                                # CR0 as in boot.S
    movl %eax, %cr0
    ljmp $8, $start_cpu_long_mode

.code64
start_cpu_long_mode:
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    # A CPU that answers when it was given up already must not take another's stack.
    cpuid
    cmpl $0xb, %eax
    jb 1f
    movl $0xb, %eax
    xorl %ecx, %ecx
    cpuid
    testl %ebx, %ebx
    jnz 2f
1:  movl $1, %eax
    cpuid
    movl %ebx, %edx
    shrl $24, %edx
2:  cmpl %edx, start_cpu_apic_id
    jne 3f
    xorl %eax, %eax
    xchgq %rax, start_cpu_stack
    testq %rax, %rax
    jz 3f
    movq %rax, %rsp
    xorl %ebp, %ebp
    movq $x86_64_cpu_start, %rax
    callq *%rax
3:  cli
    hlt
    jmp 3b

.section .note.GNU-stack, "", @progbits
