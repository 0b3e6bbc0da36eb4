// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The machine's end: exit status for an emulator, ACPI soft-off, reset.

#include <atomic>

#include "arch/x86_64/acpi.hpp"
#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/devices.hpp"
#include "arch/x86_64/paging.hpp"

namespace helix::x86_64 {

namespace {

constexpr uint16_t kExitPort = 0xf4;  // QEMU's isa-debug-exit; nothing elsewhere

// Offsets in the fixed ACPI description table.
constexpr uint32_t kDsdt = 40, kSmiCommand = 48, kAcpiEnable = 52, kPm1aControl = 64, kPm1bControl = 68, kFlags = 112,
                   kDsdtLong = 140, kSleepControl = 244;
constexpr uint32_t kHardwareReduced = 1u << 20;
constexpr uint16_t kAcpiMode = 1, kSleepEnable = 1u << 13;

struct SleepTypes {
    bool found;
    uint8_t first;
    uint8_t second;
};

/// Name (_S5_, Package { first, second, … }) in the byte code of the DSDT.
SleepTypes find_soft_off(Bytes dsdt) {
    constexpr uint8_t kPackage = 0x12, kBytePrefix = 0x0a;
    for (size_t at = kAcpiHeaderSize; at + 12 <= dsdt.size(); ++at) {
        if (!as_text(dsdt.subspan(at)).starts_with("_S5_") || dsdt[at + 4] != kPackage) continue;
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
    const uint16_t command = static_cast<uint16_t>(acpi_number<uint32_t>(description, kSmiCommand));
    if (command == 0 || (in16(control) & kAcpiMode) != 0) return;
    out8(command, acpi_number<uint8_t>(description, kAcpiEnable));
    for (uint32_t polls = 0; polls < 100'000 && (in16(control) & kAcpiMode) == 0; ++polls) {
    }
}

void acpi_soft_off() {
    const Bytes description = acpi_table("FACP");
    if (description.empty()) return;
    const uint64_t wide = acpi_number<uint64_t>(description, kDsdtLong);
    const SleepTypes types = find_soft_off(acpi_table_at(wide != 0 ? wide : acpi_number<uint32_t>(description, kDsdt)));
    if (!types.found) return;
    if ((acpi_number<uint32_t>(description, kFlags) & kHardwareReduced) != 0) {
        const auto value = static_cast<uint8_t>(types.first << 2 | 1u << 5);
        const uint64_t address = acpi_number<uint64_t>(description, kSleepControl + 4);
        if (acpi_number<uint8_t>(description, kSleepControl) == 1) {
            out8(static_cast<uint16_t>(address), value);
        } else if (address != 0) {
            auto* const sleep_control = static_cast<volatile uint8_t*>(map_device(address, 1));
            if (sleep_control != nullptr) *sleep_control = value;
        }
        return;
    }
    const auto first = static_cast<uint16_t>(acpi_number<uint32_t>(description, kPm1aControl));
    const auto second = static_cast<uint16_t>(acpi_number<uint32_t>(description, kPm1bControl));
    if (first == 0) return;
    enter_acpi_mode(description, first);
    out16(first, static_cast<uint16_t>(types.first << 10 | kSleepEnable));
    if (second != 0) out16(second, static_cast<uint16_t>(types.second << 10 | kSleepEnable));
}

[[noreturn]] void halt() {
    for (;;) asm volatile("cli\n\thlt");
}

/// Several CPUs may want the machine to end; one does it.
void become_the_last() {
    static std::atomic<bool> taken;
    interrupts_off();
    if (taken.exchange(true)) halt();
}

}  // namespace

}  // namespace helix::x86_64

namespace helix::arch {

using namespace x86_64;

void power_off(uint8_t status) {
    become_the_last();
    out8(kExitPort, status);
    acpi_soft_off();
    out16(0x604, kSleepEnable);  // QEMU's pc and q35, should their tables be missing
    halt_other_cpus();
    halt();
}

void restart() {
    become_the_last();
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
