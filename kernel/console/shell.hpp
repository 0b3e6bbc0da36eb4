// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The shell: commands typed on the console, or kept in the initrd's file `exec`.
#pragma once

#include "kernel/console/commands.hpp"

namespace helix::kernel {

/// Runs the session on the calling thread, then stops all modules and powers off. Preemption on, no lock held.
///
/// With a file `exec` in the initrd its commands are run up to the first that fails; the exit status is 0 or 1.
/// Otherwise lines come from the console until Ctrl-D on an empty line or `poweroff`. The boot word `interactive=1`
/// says that a person sits there: prompt, echo, editing. Without it nothing but the output of the commands is printed,
/// and the exit status is 1 if any command failed. The boot word `json=1` gives every command `--json`. `poweroff
/// STATUS` decides the status itself. The boot word `report=boot` prints how many cycles the start took,
/// `report=trace` prints the trace at the end.
[[noreturn]] void run_shell(Kernel& kernel);

/// Tells all modules that the end has come, stops them and powers off. Thread context, preemption on.
[[noreturn]] void shut_down(Kernel& kernel, uint8_t status);

}  // namespace helix::kernel
