// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A workload file: read, and checked by the same code as in the module that runs it.
#pragma once

#include "modules/workload/plan.hpp"

#include <filesystem>
#include <memory>
#include <string>

namespace helix::tool {

struct WorkloadFile {
    std::string text;
    std::unique_ptr<const workload::Plan> plan;  ///< large
};

/// Throws Failure(Failed) with "file:line:column: …" for a mistake in it, Failure(Environment) when it cannot be read.
WorkloadFile load_workload(const std::filesystem::path& file);

}  // namespace helix::tool
