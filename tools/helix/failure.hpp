// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Failure: how a command of the tool ends other than well, with its exit status and one sentence.
#pragma once

#include <fmt/format.h>

#include <stdexcept>

namespace helix::tool {

enum class ExitStatus : int {
    Ok = 0,
    Failed = 1,  ///< a command or a test failed
    Usage = 2,   ///< the command line or a profile is wrong
    TimedOut = 124,
    Environment = 125,  ///< the tool itself or the machine: a missing file, a program that does not start
};

class Failure : public std::runtime_error {
public:
    Failure(ExitStatus status, const std::string& sentence) : std::runtime_error(sentence), status_(status) {}
    template <typename... Arguments>
        requires(sizeof...(Arguments) > 0)
    Failure(ExitStatus status, fmt::format_string<Arguments...> format, Arguments&&... arguments)
        : Failure(status, fmt::format(format, std::forward<Arguments>(arguments)...)) {}

    ExitStatus status() const { return status_; }

private:
    ExitStatus status_;
};

}  // namespace helix::tool
