// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Finds ACPI tables: root pointer, RSDT or XSDT, and the tables that these name.

#include "arch/x86_64/acpi.hpp"

#include "arch/x86_64/devices.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/paging.hpp"

namespace helix::x86_64 {

namespace {

using arch::PhysicalAddress;

constexpr uint64_t kLongestTable = 1u << 20;
constexpr size_t kSignatureSize = 4, kLengthOffset = 4;

/// Firmware memory as it is mapped; empty when it cannot be.
Bytes view(PhysicalAddress address, uint64_t size) {
    const volatile void* const window = map_device(address, size);
    if (window == nullptr) return {};
    return {const_cast<const uint8_t*>(static_cast<const volatile uint8_t*>(window)), size};
}

bool sum_is_zero(Bytes bytes) {
    uint8_t sum = 0;
    for (const uint8_t byte : bytes) sum = static_cast<uint8_t>(sum + byte);
    return sum == 0;
}

/// The table behind a header that is visible already; most tables end in the header's page.
Bytes whole_table(PhysicalAddress address, Bytes header) {
    const uint64_t length = acpi_number<uint32_t>(header, kLengthOffset);
    if (length < kAcpiHeaderSize || length > kLongestTable) return {};
    const bool fits = address % kPageSize + length <= kPageSize;
    const Bytes table = fits ? Bytes(header.data(), length) : view(address, length);
    return sum_is_zero(table) ? table : Bytes();
}

/// Looks through an RSDT or XSDT, whose entries have `entry_size` bytes.
Bytes find_in(Bytes index, size_t entry_size, Text signature) {
    for (size_t at = kAcpiHeaderSize; at + entry_size <= index.size(); at += entry_size) {
        const PhysicalAddress address =
            entry_size == 8 ? acpi_number<uint64_t>(index, at) : acpi_number<uint32_t>(index, at);
        if (address == 0) continue;
        const Bytes header = view(address, kAcpiHeaderSize);
        if (header.empty() || as_text(header).substr(0, kSignatureSize) != signature) continue;
        const Bytes table = whole_table(address, header);
        if (!table.empty()) return table;
    }
    return {};
}

}  // namespace

Bytes acpi_table_at(PhysicalAddress address) {
    if (address == 0) return {};
    const Bytes header = view(address, kAcpiHeaderSize);
    return header.empty() ? Bytes() : whole_table(address, header);
}

Bytes acpi_table(Text signature) {
    const AcpiRoot root = acpi_root();
    const Bytes wide = acpi_table_at(root.xsdt);
    if (!wide.empty()) return find_in(wide, 8, signature);
    return find_in(acpi_table_at(root.rsdt), 4, signature);
}

}  // namespace helix::x86_64
