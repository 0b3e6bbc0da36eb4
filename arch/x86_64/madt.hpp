// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The CPUs that the ACPI table MADT (signature "APIC") lists; ACPI specification 6.5, section 5.2.12.
#pragma once

#include "arch/x86_64/acpi.hpp"

namespace helix::x86_64 {

/// Calls `visit` with the number of each local APIC that may be used, in the table's order; a number may come twice.
/// What follows an entry of impossible length is not read.
template <typename Visit>
void for_each_local_apic(Bytes madt, Visit visit) {
    constexpr size_t kEntriesBegin = 44;
    constexpr uint8_t kLocalApic = 0, kLocalX2Apic = 9;
    constexpr uint32_t kEnabled = 1;
    for (size_t at = kEntriesBegin; at + 2 <= madt.size();) {
        const uint8_t kind = madt[at];
        const size_t length = madt[at + 1];
        if (length < 2 || length > madt.size() - at) return;
        const Bytes entry = madt.subspan(at, length);
        if (kind == kLocalApic && length >= 8 && (acpi_number<uint32_t>(entry, 4) & kEnabled) != 0)
            visit(uint32_t{entry[3]});
        if (kind == kLocalX2Apic && length >= 16 && (acpi_number<uint32_t>(entry, 8) & kEnabled) != 0)
            visit(acpi_number<uint32_t>(entry, 4));
        at += length;
    }
}

}  // namespace helix::x86_64
