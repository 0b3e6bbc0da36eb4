// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Reading ACPI tables: finding them by signature, and numbers in them.
#pragma once

#include "arch/seam.hpp"

namespace helix::x86_64 {

inline constexpr size_t kAcpiHeaderSize = 36;

/// The table at `address` with its whole length visible. Empty when it is missing, longer than 1 MiB, or its sum is
/// wrong. Boot, or the one CPU that powers off: this maps pages that stay mapped.
Bytes acpi_table_at(arch::PhysicalAddress address);
/// The first table with that signature of four letters that the root names; empty without one. As acpi_table_at.
Bytes acpi_table(Text signature);

/// A number in a table, zero where the table is too short for it.
template <typename T>
T acpi_number(Bytes table, size_t offset) {
    T value = 0;
    if (offset + sizeof(T) <= table.size()) __builtin_memcpy(&value, table.data() + offset, sizeof(T));
    return value;
}

}  // namespace helix::x86_64
