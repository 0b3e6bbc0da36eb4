// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Checks a configured value against the option that a module declares.
#pragma once

#include "helix/info.hpp"
#include "helix/result.hpp"

namespace helix::kernel {

/// Any context. Errors: InvalidArgument (not a value of the option's type), OutOfRange; the sentence names the
/// option, the value and what it takes.
Result<void> check_option(const Option& option, Text value);

/// `value`, an end of the range of `option`, with the largest unit that divides it: "64K", "10ms". Any context.
FixedText<24> describe_bound(const Option& option, int64_t value);

}  // namespace helix::kernel
