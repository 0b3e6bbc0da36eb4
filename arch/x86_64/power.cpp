// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The machine's end: exit status for an emulator, ACPI soft-off, reset.

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/devices.hpp"
#include "arch/x86_64/paging.hpp"

namespace helix::x86_64 {

namespace {

constexpr uint16_t kExitPort = 0xf4;  // QEMU's isa-debug-exit; nothing elsewhere

struct [[gnu::packed]] TableHeader {
    char signature[4];
    uint32_t length;
    uint8_t revision;
    uint8_t checksum;
    char vendor[6];
    char vendor_table[8];
    uint32_t vendor_revision;
    uint32_t creator;
    uint32_t creator_revision;
};
static_assert(sizeof(TableHeader) == 36);

// Offsets in the fixed ACPI description table.
constexpr uint32_t kDsdt = 40, kSmiCommand = 48, kAcpiEnable = 52, kPm1aControl = 64, kPm1bControl = 68, kFlags = 112,
                   kDsdtLong = 140, kSleepControl = 244;
constexpr uint32_t kHardwareReduced = 1u << 20;
constexpr uint16_t kAcpiMode = 1, kSleepEnable = 1u << 13;

/// An ACPI table with its whole length visible, or empty. Tables of more than 1 MiB are not ours to read.
Bytes table_at(arch::PhysicalAddress address) {
    if (address == 0) return {};
    const volatile void* window = map_device(address, sizeof(TableHeader));
    if (window == nullptr) return {};
    const uint32_t length = static_cast<const volatile TableHeader*>(window)->length;
    if (length < sizeof(TableHeader) || length > 1u << 20) return {};
    window = map_device(address, length);
    if (window == nullptr) return {};
    return {const_cast<const uint8_t*>(static_cast<const volatile uint8_t*>(window)), length};
}

/// A number in a table, zero where the table is too short for it.
template <typename T>
T number_at(Bytes table, size_t offset) {
    T value = 0;
    if (offset + sizeof(T) <= table.size()) __builtin_memcpy(&value, table.data() + offset, sizeof(T));
    return value;
}

bool has_signature(Bytes table, Text signature) {
    return as_text(table).starts_with(signature);
}

Bytes find_description() {
    const AcpiRoot root = acpi_root();
    const bool wide = root.xsdt != 0;
    const Bytes index = table_at(wide ? root.xsdt : root.rsdt);
    const size_t step = wide ? 8 : 4;
    for (size_t at = sizeof(TableHeader); at + step <= index.size(); at += step) {
        const Bytes table = table_at(wide ? number_at<uint64_t>(index, at) : number_at<uint32_t>(index, at));
        if (has_signature(table, "FACP")) return table;
    }
    return {};
}

struct SleepTypes {
    bool found;
    uint8_t first;
    uint8_t second;
};

/// Name (_S5_, Package { first, second, … }) in the byte code of the DSDT.
SleepTypes find_soft_off(Bytes dsdt) {
    constexpr uint8_t kPackage = 0x12, kBytePrefix = 0x0a;
    for (size_t at = sizeof(TableHeader); at + 12 <= dsdt.size(); ++at) {
        if (!has_signature(dsdt.subspan(at), "_S5_") || dsdt[at + 4] != kPackage) continue;
        size_t element = at + 5 + (dsdt[at + 5] >> 6) + 2;  // behind the package's length and count
        uint8_t types[2] = {0, 0};
        for (uint8_t& type : types) {
            if (element + 2 > dsdt.size()) return {false, 0, 0};
            if (dsdt[element] == kBytePrefix) ++element;
            type = dsdt[element++];
        }
        return {true, types[0], types[1]};
    }
    return {false, 0, 0};
}

void enter_acpi_mode(Bytes description, uint16_t control) {
    const uint16_t command = static_cast<uint16_t>(number_at<uint32_t>(description, kSmiCommand));
    if (command == 0 || (in16(control) & kAcpiMode) != 0) return;
    out8(command, number_at<uint8_t>(description, kAcpiEnable));
    for (uint32_t polls = 0; polls < 100'000 && (in16(control) & kAcpiMode) == 0; ++polls) {
    }
}

void acpi_soft_off() {
    const Bytes description = find_description();
    if (description.empty()) return;
    const uint64_t wide = number_at<uint64_t>(description, kDsdtLong);
    const SleepTypes types = find_soft_off(table_at(wide != 0 ? wide : number_at<uint32_t>(description, kDsdt)));
    if (!types.found) return;
    if ((number_at<uint32_t>(description, kFlags) & kHardwareReduced) != 0) {
        const auto value = static_cast<uint8_t>(types.first << 2 | 1u << 5);
        const uint64_t address = number_at<uint64_t>(description, kSleepControl + 4);
        if (number_at<uint8_t>(description, kSleepControl) == 1) {
            out8(static_cast<uint16_t>(address), value);
        } else if (address != 0) {
            auto* const sleep_control = static_cast<volatile uint8_t*>(map_device(address, 1));
            if (sleep_control != nullptr) *sleep_control = value;
        }
        return;
    }
    const auto first = static_cast<uint16_t>(number_at<uint32_t>(description, kPm1aControl));
    const auto second = static_cast<uint16_t>(number_at<uint32_t>(description, kPm1bControl));
    if (first == 0) return;
    enter_acpi_mode(description, first);
    out16(first, static_cast<uint16_t>(types.first << 10 | kSleepEnable));
    if (second != 0) out16(second, static_cast<uint16_t>(types.second << 10 | kSleepEnable));
}

[[noreturn]] void halt() {
    for (;;) asm volatile("cli\n\thlt");
}

}  // namespace

}  // namespace helix::x86_64

namespace helix::arch {

using namespace x86_64;

void power_off(uint8_t status) {
    interrupts_off();
    out8(kExitPort, status);
    acpi_soft_off();
    out16(0x604, kSleepEnable);  // QEMU's pc and q35, should their tables be missing
    halt();
}

void restart() {
    interrupts_off();
    out8(0xcf9, 0x02);  // the chipset's reset register: first the kind, then the order
    out8(0xcf9, 0x06);
    for (uint32_t polls = 0; polls < 100'000 && (in8(0x64) & 2) != 0; ++polls) {
    }
    out8(0x64, 0xfe);  // the keyboard controller's reset line
    // Last resort: no descriptor table, so the next exception is a triple fault.
    struct [[gnu::packed]] {
        uint16_t limit;
        uint64_t base;
    } const nothing{0, 0};
    asm volatile("lidt %0\n\tint3" ::"m"(nothing));
    halt();
}

}  // namespace helix::arch
