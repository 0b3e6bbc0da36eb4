// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The runs of a workload as a picture.
#pragma once

#include "workload_figures.hpp"

namespace helix::tool {

/// An SVG document: which part of the wake-ups came later than a time, for each policy, and bars of the other figures.
std::string workload_svg(std::string_view title, const std::vector<WorkloadFigures>& all);

}  // namespace helix::tool
