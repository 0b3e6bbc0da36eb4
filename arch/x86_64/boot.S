# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# From the loader to C++: PVH and Multiboot2 entry, 32-bit protected mode to long mode at -2 GiB.
#
# Both loaders enter in 32-bit protected mode without paging, interrupts off. The image's .bss is zero: an ELF
# loader's duty. The boot tables map the first 16 MiB at 0 and at KERNEL_BASE; paging.cpp replaces them.

.set KERNEL_BASE, 0xffffffff80000000

.section .multiboot2, "a"
.balign 8
multiboot2_header:
    .long 0xe85250d6                                      # magic
    .long 0                                               # architecture: 32-bit protected mode of i386
    .long multiboot2_header_end - multiboot2_header
    .long -(0xe85250d6 + (multiboot2_header_end - multiboot2_header))
    .balign 8
    .short 6, 1                                           # modules start at page boundaries, optional
    .long 8
    .balign 8
    .short 0, 0                                           # end
    .long 8
multiboot2_header_end:

.section .note.pvh, "a", @note
.balign 4
    .long 4                                               # "Xen" and its zero
    .long 8
    .long 18                                              # XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_entry

.section .boot, "ax"
.code32
.globl multiboot2_entry
multiboot2_entry:
    movl $2, %esi                                         # Protocol::Multiboot2
    cmpl $0x36d76289, %eax
    je enter
    movl $message_loader, %esi
    jmp refuse
pvh_entry:
    movl $1, %esi                                         # Protocol::Pvh
enter:
    cli
    cld
    movl $(boot_stack_top - KERNEL_BASE), %esp
    rdtsc
    pushl %edx
    pushl %eax
    movl %ebx, %ebp                                       # cpuid destroys ebx

    movl $0x80000000, %eax
    cpuid
    cmpl $0x80000001, %eax
    jb no_long_mode
    movl $0x80000001, %eax
    cpuid
    andl $0x20100000, %edx                                # long mode and no-execute
    cmpl $0x20100000, %edx
    jne no_long_mode

    # PML4 -> two PDPTs -> one page directory of eight 2 MiB pages.
    movl $(boot_pdpt - KERNEL_BASE + 3), boot_pml4 - KERNEL_BASE
    movl $(kernel_pdpt - KERNEL_BASE + 3), boot_pml4 - KERNEL_BASE + 511 * 8
    movl $(boot_directory - KERNEL_BASE + 3), boot_pdpt - KERNEL_BASE
    movl $(boot_directory - KERNEL_BASE + 3), kernel_pdpt - KERNEL_BASE + 510 * 8
    movl $0x83, %eax
    movl $(boot_directory - KERNEL_BASE), %edi
1:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    cmpl $0x1000083, %eax
    jne 1b

    movl $0x20, %eax                                      # CR4: PAE
    movl %eax, %cr4
    movl $(boot_pml4 - KERNEL_BASE), %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx                                # EFER: LME, NXE
    rdmsr
    orl $0x900, %eax
    wrmsr
    # PG, WP, NE, PE, and EM without MP: x87 and vector instructions fault instead of changing a thread's state.
    movl $0x80010035, %eax
    movl %eax, %cr0
    lgdt boot_gdt_pointer
    ljmp $8, $long_mode

no_long_mode:
    movl $message_cpu, %esi
refuse:                                                   # prints esi on COM1 and ends with status 125
    movw $0x3fd, %dx
1:  inb %dx, %al
    testb $0x20, %al
    jz 1b
    lodsb
    testb %al, %al
    jz 2f
    movw $0x3f8, %dx
    outb %al, %dx
    jmp refuse
2:  movb $125, %al
    outb %al, $0xf4
3:  cli
    hlt
    jmp 3b

message_cpu:
    .asciz "helix: this CPU has no 64-bit mode with no-execute pages\n"
message_loader:
    .asciz "helix: started by a loader that speaks neither PVH nor Multiboot2\n"

.code64
long_mode:
    movl $0x10, %eax
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    popq %rdx                                             # cycles at entry
    movl %esi, %edi                                       # protocol
    movl %ebp, %esi                                       # the loader's information
    xorl %ebp, %ebp
    movq $boot_stack_top, %rsp
    movq $x86_64_start, %rax
    callq *%rax
    ud2

.balign 8
.globl boot_gdt
boot_gdt:
    .quad 0
    .quad 0x00af9a000000ffff                              # 64-bit code
    .quad 0x00cf92000000ffff                              # data
    .quad 0x00cf9a000000ffff                              # 32-bit code, for start_cpu.S
boot_gdt_pointer:
    .short boot_gdt_pointer - boot_gdt - 1
    .long boot_gdt

# Page-aligned memory that the loader zeroes. paging.cpp leaves the guard pages unmapped.
.section .bss.page, "aw", @nobits
.balign 4096
.globl boot_pml4, start_pml4, kernel_pdpt, boot_stack_guard, boot_stack_top
boot_stack_guard:
    .skip 4096
    .skip 32768
boot_stack_top:
boot_pml4:
    .skip 4096
start_pml4:
    .skip 4096
kernel_pdpt:
    .skip 4096
boot_pdpt:
    .skip 4096
boot_directory:
    .skip 4096

# What an image without a bundle holds: a header with neither magic nor size.
.section .bundle, "a", @progbits
    .quad 0, 0

.section .note.GNU-stack, "", @progbits
