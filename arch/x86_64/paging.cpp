// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Four-level translation tables: the kernel image, the direct map, the device window and the kernel's region.
//
// A table's parent entry counts the table's live entries in bits that the CPU ignores, so that unmap gives a table
// back with its last entry. Tables above the region's first level, and all boot tables, stay. A table goes back only
// when no CPU remembers it.

#include "arch/x86_64/paging.hpp"

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/shootdown.hpp"
#include "arch/x86_64/stacks.hpp"
#include "arch/x86_64/trap.hpp"

namespace helix::x86_64 {

namespace {

using arch::PhysicalAddress;
using Table = uint64_t[512];

constexpr uint64_t kPresent = 1, kWritable = 2, kUncached = 0x18, kAccessed = 0x20, kDirty = 0x40, kLarge = 0x80,
                   kGlobal = 0x100, kNoExecute = 1ull << 63;
constexpr uint64_t kAddressMask = 0x000f'ffff'ffff'f000;
// Accessed is set from the start: the CPU then never writes an entry, and a plain addition can count in it.
constexpr uint64_t kTableFlags = kPresent | kWritable | kAccessed;
constexpr uint64_t kReadOnly = kPresent | kAccessed | kGlobal | kNoExecute;
constexpr uint64_t kReadWrite = kReadOnly | kWritable | kDirty;
constexpr uint64_t kReadExecute = kPresent | kAccessed | kGlobal;

constexpr uint32_t kCountShift = 52;
constexpr uint64_t kCountOne = 1ull << kCountShift;
constexpr uint64_t kCountMask = 0x3ffull << kCountShift;

constexpr uint64_t kCr4GlobalPages = 1u << 7, kCr4Smep = 1u << 20, kCr4Smap = 1u << 21;

extern "C" {
extern Table boot_pml4;
extern Table start_pml4;
extern Table kernel_pdpt;
extern uint8_t boot_stack_guard[kPageSize];
}

// Enough for the image, the windows and the first 3 GiB of RAM.
constexpr size_t kBuiltInTables = 14;
[[gnu::section(".bss.page")]] alignas(kPageSize) Table built_in_tables[kBuiltInTables];
size_t built_in_used = 0;
arch::MemoryRange* table_source = nullptr;
constexpr uint64_t kDeviceWindowPages = 511;  // the last page of the address space stays free
uint64_t device_pages_used = 0;

/// Tables inside the image are reached there, as the direct map does not exist at first.
Table& table_at(PhysicalAddress address) {
    const bool in_image = address < image_physical(__data_end) && address >= address_of(__image_start_physical);
    return *reinterpret_cast<Table*>(address + (in_image ? kKernelBase : kDirectMap));
}

[[noreturn]] void end_boot(Text reason) {
    arch::console_write(reason);
    arch::power_off(127);
}

PhysicalAddress boot_table() {
    if (built_in_used < kBuiltInTables) return image_physical(built_in_tables[built_in_used++]);
    if (table_source == nullptr || table_source->end - table_source->begin < kPageSize)
        end_boot("helix: not enough memory for translation tables\n");
    const PhysicalAddress address = table_source->begin;
    table_source->begin += kPageSize;
    for (uint64_t& entry : table_at(address)) entry = 0;
    return address;
}

constexpr size_t index_of(uint64_t address, uint32_t level) {
    return address >> (12 + 9 * level) & 511;
}

/// The entry for `address` in the table of `level` (0: 4 KiB pages), with the tables above made as needed.
uint64_t& boot_entry(uint64_t address, uint32_t level) {
    Table* table = &boot_pml4;
    for (uint32_t at = 3; at > level; --at) {
        uint64_t& entry = (*table)[index_of(address, at)];
        if ((entry & kPresent) == 0) entry = boot_table() | kTableFlags;
        table = &table_at(entry & kAddressMask);
    }
    return (*table)[index_of(address, level)];
}

bool is_guard(uint64_t address) {
    return address == address_of(boot_stack_guard) || is_boot_stack_guard(address);
}

uint64_t image_flags(uint64_t address) {
    if (address >= address_of(__text_start) && address < address_of(__text_end)) return kReadExecute;
    if (address >= address_of(__rodata_start) && address < address_of(__rodata_end)) return kReadOnly;
    return is_guard(address) ? 0 : kReadWrite;
}

/// The direct map shows code and constants of the image too, so these are read-only there as well.
uint64_t direct_map_flags(PhysicalAddress page) {
    const bool constant = page >= address_of(__image_start_physical) && page < image_physical(__rodata_end);
    return constant ? kReadOnly : kReadWrite;
}

/// Where an address of the region is translated.
struct RegionPath {
    uint64_t* upper;   ///< entry that names the page directory
    uint64_t* middle;  ///< entry that names the last table
};

uint64_t* upper_entry(uint64_t address) {
    Table& top = table_at(boot_pml4[index_of(kRegion, 3)] & kAddressMask);
    return &top[index_of(address, 2)];
}

Result<RegionPath> make_path(uint64_t address) {
    uint64_t* const upper = upper_entry(address);
    if ((*upper & kPresent) == 0) *upper = TRY(kernel::allocate_frame()) | kTableFlags;
    uint64_t* const middle = &table_at(*upper & kAddressMask)[index_of(address, 1)];
    if ((*middle & kPresent) == 0) {
        const Result<PhysicalAddress> frame = kernel::allocate_frame();
        if (!frame.ok()) {
            if ((*upper & kCountMask) == 0) {
                kernel::free_frame(*upper & kAddressMask);
                *upper = 0;
            }
            return frame.error();
        }
        *middle = frame.value() | kTableFlags;
        *upper += kCountOne;
    }
    return RegionPath{upper, middle};
}

bool is_in_region(uint64_t address, size_t count) {
    return address % kPageSize == 0 && address >= kRegion && address <= kRegion + kRegionSize &&
           count <= (kRegion + kRegionSize - address) / kPageSize;
}

uint64_t flags_of(arch::Protection protection) {
    switch (protection) {
        case arch::Protection::ReadWrite: return kReadWrite;
        case arch::Protection::ReadExecute: return kReadExecute;
        default: return kReadOnly;
    }
}

}  // namespace

void direct_map_range(PhysicalAddress begin, PhysicalAddress end) {
    for (PhysicalAddress large = round_down(begin, kLargePageSize); large < end; large += kLargePageSize) {
        uint64_t& entry = boot_entry(kDirectMap + large, 1);
        if ((entry & kPresent) != 0) continue;
        if (large >= image_physical(__rodata_end) || large + kLargePageSize <= address_of(__image_start_physical)) {
            entry = large | kReadWrite | kLarge;
            continue;
        }
        const PhysicalAddress table = boot_table();
        for (size_t i = 0; i < 512; ++i) {
            const PhysicalAddress page = large + i * kPageSize;
            table_at(table)[i] = page | direct_map_flags(page);
        }
        entry = table | kTableFlags;
    }
}

void set_table_source(arch::MemoryRange* source) {
    table_source = source;
}

void enter_final_tables() {
    const PhysicalAddress directory = boot_table();
    for (uint64_t address = address_of(__text_start); address < address_of(__data_end); address += kPageSize) {
        uint64_t& entry = table_at(directory)[index_of(address, 1)];
        if (entry == 0) entry = boot_table() | kTableFlags;
        const uint64_t flags = image_flags(address);
        if (flags != 0) table_at(entry & kAddressMask)[index_of(address, 0)] = (address - kKernelBase) | flags;
    }
    kernel_pdpt[index_of(kKernelBase, 2)] = directory | kTableFlags;
    boot_entry(kRegion, 2);
    boot_entry(kDeviceWindow, 0);
    boot_pml4[0] = 0;
    write_cr3(read_cr3());

    uint64_t features = read_cr4() | kCr4GlobalPages;
    if (cpuid(0).eax >= 7) {
        const uint32_t supported = cpuid(7).ebx;
        if ((supported & 1u << 7) != 0) features |= kCr4Smep;
        if ((supported & 1u << 20) != 0) features |= kCr4Smap;
    }
    write_cr4(features);
}

bool map_cpu_stacks(CpuId id) {
    const uint64_t at = address_of(&cpu_stacks(id));
    if (table_source == nullptr || (table_source->end - table_source->begin) / 16 < sizeof(CpuStacks)) return false;
    for (uint64_t offset = 0; offset < sizeof(CpuStacks); offset += kPageSize)
        if (!is_guard_page(offset)) boot_entry(at + offset, 0) = boot_table() | kReadWrite;
    return true;
}

void prepare_start_tables() {
    [[gnu::section(".bss.page")]] alignas(kPageSize) static Table lower[3];
    for (size_t i = 256; i < 512; ++i) start_pml4[i] = boot_pml4[i];
    start_pml4[0] = image_physical(lower[0]) | kTableFlags;
    lower[0][0] = image_physical(lower[1]) | kTableFlags;
    lower[1][0] = image_physical(lower[2]) | kTableFlags;
    const uint64_t end = image_physical(__text_start);
    for (uint64_t page = address_of(__image_start_physical); page < end; page += kPageSize)
        lower[2][index_of(page, 0)] = page | kPresent | kAccessed;
}

volatile void* map_device(PhysicalAddress address, uint64_t size) {
    const PhysicalAddress begin = round_down(address, kPageSize);
    const uint64_t count = (round_up(address + size, kPageSize) - begin) / kPageSize;
    if (address + size < address || count > kDeviceWindowPages - device_pages_used) return nullptr;
    const uint64_t at = kDeviceWindow + device_pages_used * kPageSize;
    for (uint64_t i = 0; i < count; ++i)
        boot_entry(at + i * kPageSize, 0) = (begin + i * kPageSize) | kReadWrite | kUncached;
    device_pages_used += count;
    return reinterpret_cast<volatile void*>(at + (address - begin));
}

bool is_mapped(uint64_t address) {
    const Table* table = &boot_pml4;
    for (uint32_t level = 3;; --level) {
        const uint64_t entry = (*table)[index_of(address, level)];
        if ((entry & kPresent) == 0) return false;
        if (level == 0 || (entry & kLarge) != 0) return true;
        table = &table_at(entry & kAddressMask);
    }
}

}  // namespace helix::x86_64

namespace helix::arch {

using namespace x86_64;

void* direct_map(PhysicalAddress address) {
    return reinterpret_cast<void*>(kDirectMap + address);
}
PhysicalAddress physical_of(const void* pointer) {
    return address_of(pointer) - kDirectMap;
}

Result<void> map(void* at, PhysicalAddress address, size_t count, Protection protection) {
    const uint64_t begin = address_of(at);
    if (!is_in_region(begin, count) || address % kPageSize != 0) return ErrorCode::InvalidArgument;
    const uint64_t flags = flags_of(protection);
    for (size_t done = 0; done < count;) {
        const uint64_t virtual_address = begin + done * kPageSize;
        const Result<RegionPath> path = make_path(virtual_address);
        if (!path.ok()) {
            unmap(at, done);
            return path.error();
        }
        uint64_t* const entries = table_at(*path.value().middle & kAddressMask);
        const size_t first = index_of(virtual_address, 0);
        const size_t here = count - done < 512 - first ? count - done : 512 - first;
        for (size_t i = 0; i < here; ++i) {
            if (entries[first + i] != 0) __builtin_trap();  // the caller's mistake: mapped already
            entries[first + i] = (address + (done + i) * kPageSize) | flags;
        }
        *path.value().middle += here * kCountOne;
        done += here;
    }
    return {};
}

void unmap(void* at, size_t count) {
    const uint64_t begin = address_of(at);
    if (!is_in_region(begin, count)) __builtin_trap();  // the caller's mistake
    uint64_t first_page = UINT64_MAX, end_page = 0;
    // Tables that became empty, chained by their first entries: to a CPU that still remembers one, these are absent.
    PhysicalAddress dead = 0;
    const auto bury = [&dead](PhysicalAddress table) {
        table_at(table)[0] = dead;
        dead = table;
    };
    for (size_t done = 0; done < count;) {
        const uint64_t virtual_address = begin + done * kPageSize;
        const size_t first = index_of(virtual_address, 0);
        const size_t here = count - done < 512 - first ? count - done : 512 - first;
        done += here;
        uint64_t* const upper = upper_entry(virtual_address);
        if ((*upper & kPresent) == 0) continue;
        const PhysicalAddress directory = *upper & kAddressMask;
        uint64_t* const middle = &table_at(directory)[index_of(virtual_address, 1)];
        if ((*middle & kPresent) == 0) continue;
        const PhysicalAddress table = *middle & kAddressMask;
        uint64_t* const entries = table_at(table);
        for (size_t i = 0; i < here; ++i) {
            if (entries[first + i] == 0) continue;
            entries[first + i] = 0;
            *middle -= kCountOne;
            const uint64_t page = virtual_address + i * kPageSize;
            if (page < first_page) first_page = page;
            end_page = page + kPageSize;
        }
        if ((*middle & kCountMask) != 0) continue;
        *middle = 0;
        bury(table);
        *upper -= kCountOne;
        if ((*upper & kCountMask) != 0) continue;
        *upper = 0;
        bury(directory);
    }
    if (end_page == 0) return;
    forget_everywhere(first_page, (end_page - first_page) / kPageSize);
    while (dead != 0) {
        const PhysicalAddress table = dead;
        dead = table_at(table)[0];
        kernel::free_frame(table);
    }
}

bool is_kernel_text(uint64_t address) {
    return address >= address_of(__text_start) && address < address_of(__text_end);
}

}  // namespace helix::arch
