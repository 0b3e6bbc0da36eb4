// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What editors complete a helix.toml from: its keys and the modules' options as JSON Schema.
#pragma once

#include "plan.hpp"

#include <string>

namespace helix::tool {

/// JSON Schema (draft 7), one line: the keys of profiles, and [module."NAME"] with its options for each module in
/// `library` whose file can be read. Guidance for editors: `helix check` decides what is right.
std::string editor_schema(const ModuleLibrary& library);

}  // namespace helix::tool
