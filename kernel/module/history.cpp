// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// HistoryRecord: made in one place, since many make one.

#include "kernel/module/history.hpp"

namespace helix::kernel {

HistoryRecord::HistoryRecord() = default;

}  // namespace helix::kernel
