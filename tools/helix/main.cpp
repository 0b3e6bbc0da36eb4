// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The entry of the command-line tool.

#include "command_line.hpp"

int main(int argument_count, char** arguments) {
    return helix::tool::run_command_line(argument_count, arguments);
}
