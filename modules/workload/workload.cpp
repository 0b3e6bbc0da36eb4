// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The module helix-workload.

#include "workload.hpp"

HELIX_MODULE(helix::workload::Workload)
