// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The source lines of a module's code, as reports of failures show them.
#pragma once

#include "helix/types.hpp"

namespace helix::kernel {

/// "crasher.cpp:85": file and line that the instruction at `address`, counted from the start of the mapping, was
/// compiled from; of inlined code, where that stands. Read from the line table in the bytes of the module's file (DWARF
/// 5, 6.2, 32-bit, not compressed). Empty if the file has none, says nothing about the address, or is damaged. As much
/// work as the table is long. No allocation; any context.
FixedText<62> source_line(Bytes file, uint64_t address);

}  // namespace helix::kernel
