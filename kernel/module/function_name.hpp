// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The names of functions, as reports of failures show them.
#pragma once

#include "helix/types.hpp"

namespace helix::kernel {

/// The function that a symbol stands for, without its parameters: `Crasher::crash` for `_ZNK7Crasher5crashEj` (Itanium
/// C++ ABI, 5.1). Names within names, thunks, constructors, destructors and what is local to a function are read; a
/// symbol with anything else, such as a template's arguments, is returned as it is. Cut at 120 characters. Any context.
FixedText<120> function_name(Text symbol);

}  // namespace helix::kernel
