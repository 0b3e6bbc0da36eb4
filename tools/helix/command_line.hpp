// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What the words on the command line mean.
#pragma once

namespace helix::tool {

/// Does what the command line says and returns the exit status. Never throws.
int run_command_line(int argument_count, const char* const* arguments);

}  // namespace helix::tool
