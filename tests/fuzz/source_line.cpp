// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Line tables: whatever a module's file holds, what is said of a place is one printable line "FILE:LINE", or nothing.

#include "kernel/module/source_line.hpp"

#include <vector>

#include "kernel/module/text_rules.hpp"
#include "tests/fuzz/fuzz_target.hpp"
#include "tests/unit/line_table.hpp"

namespace helix::fuzz {

namespace {

void look(Bytes file) {
    for (const uint64_t address : {uint64_t{0}, uint64_t{0x1000}, uint64_t{0x1004}, uint64_t{0x2000}, UINT64_MAX}) {
        const auto line = kernel::source_line(file, address);
        if (line.empty()) continue;
        const size_t colon = line.text().find(':');
        HELIX_FUZZ_REQUIRE(kernel::is_printable(line.text()) && colon != 0 && colon != SIZE_MAX);
        HELIX_FUZZ_REQUIRE(line.text()[line.size() - 1] >= '0' && line.text()[line.size() - 1] <= '9');
    }
}

}  // namespace

void source_line(Bytes input) {
    look(input);
    // The same as a table in a file that is well otherwise, which chance would not find.
    test::LineTable table;
    table.raw = std::vector<uint8_t>(input.begin(), input.end());
    look(Bytes(table.file()));
}

}  // namespace helix::fuzz

HELIX_FUZZ_ENTRY(source_line)
