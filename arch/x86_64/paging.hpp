// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Translation tables while the port boots, and what other parts of the port ask of them.
#pragma once

#include "arch/seam.hpp"

namespace helix::x86_64 {

/// Makes [begin, end) visible at direct_map(begin). Whole 2 MiB pages; what is visible stays as it is. Boot only.
void direct_map_range(arch::PhysicalAddress begin, arch::PhysicalAddress end);

/// Table frames beyond the built-in ones are cut off the front of `*source`, which is visible already. Boot only.
void set_table_source(arch::MemoryRange* source);

/// Maps the image with its final protection, drops the boot tables and all of the low half. Boot only, once.
void enter_final_tables();

/// Maps cpu_stacks(id), with guards. False when that would take much of the memory there is. Boot, final tables.
bool map_cpu_stacks(CpuId id);
/// Fills the tables by which another CPU leaves its first mode: the kernel's, and start_cpu.S at its physical address.
/// Boot, after all that makes entries of the first level.
void prepare_start_tables();

/// Makes `size` bytes of device registers or firmware tables at `address` visible, uncached, and returns where.
/// Null when the window is full. Stays mapped.
volatile void* map_device(arch::PhysicalAddress address, uint64_t size);

bool is_mapped(uint64_t address);

}  // namespace helix::x86_64
