// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Where things are in the address space, and the symbols of linker.ld.
#pragma once

#include "arch/seam.hpp"

namespace helix::x86_64 {

inline constexpr uint64_t kPageSize = 4096;
inline constexpr uint64_t kLargePageSize = 2u << 20;

inline constexpr uint64_t kDirectMap = 0xffff'8000'0000'0000;  ///< all RAM, 2 MiB pages, never executable
inline constexpr uint64_t kDirectMapSize = 1ull << 46;
inline constexpr uint64_t kRegion = 0xffff'c000'0000'0000;  ///< BootInfo::region, under one PML4 entry
inline constexpr uint64_t kRegionSize = 64ull << 30;
inline constexpr uint64_t kCpuStacks = kRegion + kRegionSize;  ///< of the CPUs but the first; under the same PML4 entry
inline constexpr uint64_t kKernelBase = 0xffff'ffff'8000'0000;    ///< the image: physical address + kKernelBase
inline constexpr uint64_t kDeviceWindow = 0xffff'ffff'ffe0'0000;  ///< 4 KiB pages of device registers and tables

constexpr uint64_t round_down(uint64_t value, uint64_t unit) {
    return value & ~(unit - 1);
}
constexpr uint64_t round_up(uint64_t value, uint64_t unit) {
    return round_down(value + unit - 1, unit);
}

extern "C" {
extern const uint8_t __image_start_physical[];
extern const uint8_t __text_start[], __text_end[];
extern const uint8_t __rodata_start[], __rodata_end[];
extern const uint8_t __data_start[], __data_end[];
extern const uint8_t __bundle_start[];
}

inline uint64_t address_of(const void* pointer) {
    return reinterpret_cast<uint64_t>(pointer);
}
/// Physical address of something inside the kernel image.
inline arch::PhysicalAddress image_physical(const void* pointer) {
    return address_of(pointer) - kKernelBase;
}

}  // namespace helix::x86_64
