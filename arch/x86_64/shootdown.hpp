// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Making all CPUs forget translations.
#pragma once

#include "arch/seam.hpp"

namespace helix::x86_64 {

/// Returns when no CPU uses an old translation of these pages, whose entries were changed before. One caller at a time,
/// in any context but a non-maskable interrupt: it waits for others, and what they wait for is not needed, as they
/// answer also where interrupts are disabled.
void forget_everywhere(uint64_t begin, size_t page_count);

/// Obeys the shootdown that is under way, if any. Any context.
void answer_shootdown();
/// Forgets everything. What a CPU does first once it is Running.
void join_shootdowns();

}  // namespace helix::x86_64
