// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Include this before a module's .cpp in a unit test: the module then exports no descriptor, of which a program can
// have only one.
#pragma once

#include "helix/module.hpp"

#undef HELIX_MODULE
#define HELIX_MODULE(Class) static_assert(Class::kInfo.name().size() > 0);
