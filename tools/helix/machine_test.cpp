// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Command lines of machines, and what their ends mean.

#include "machine.hpp"

#include "failure.hpp"

#include <gmock/gmock.h>

namespace helix::tool {
namespace {

using ::testing::HasSubstr;

MachineSpec spec(Architecture architecture) {
    MachineSpec out;
    out.architecture = architecture;
    return out;
}
ChildEnd exit_status(int status) {
    return {status, 0, false};
}

TEST(DecodeEnd, UndoesWhatTheExitDeviceDoes) {
    const MachineSpec emulated = spec(Architecture::X86_64);
    EXPECT_EQ(decode_end(emulated, exit_status(1), "").status, 0);
    EXPECT_EQ(decode_end(emulated, exit_status(1), "").problem, "");
    EXPECT_EQ(decode_end(emulated, exit_status(15), "").status, 7);
    EXPECT_THAT(decode_end(emulated, exit_status(15), "").problem, HasSubstr("status 7"));
}

TEST(DecodeEnd, TakesAResetForAFailure) {
    const MachineEnd end = decode_end(spec(Architecture::X86_64), exit_status(0), "");
    EXPECT_EQ(end.status, static_cast<int>(ExitStatus::Failed));
    EXPECT_THAT(end.problem, HasSubstr("reset"));
}

TEST(DecodeEnd, TellsTheEmulatorsErrorsFromTheKernelsSuccess) {
    const std::string_view errors = "qemu-system-x86_64: -m 1T: cannot set up guest memory\n";
    EXPECT_EQ(decode_end(spec(Architecture::X86_64), exit_status(1), errors).status,
              static_cast<int>(ExitStatus::Environment));
    EXPECT_EQ(decode_end(spec(Architecture::X86_64), exit_status(1), "qemu-system-x86_64: warning: TCG\n").status, 0);
}

TEST(DecodeEnd, KnowsTimeOutsAndSignals) {
    EXPECT_EQ(decode_end(spec(Architecture::X86_64), {0, 9, true}, "").status, static_cast<int>(ExitStatus::TimedOut));
    EXPECT_EQ(decode_end(spec(Architecture::Hosted), {0, 11, false}, "").status, static_cast<int>(ExitStatus::Failed));
    EXPECT_EQ(decode_end(spec(Architecture::Hosted), exit_status(3), "").status, 3);
    EXPECT_EQ(decode_end(spec(Architecture::Hosted), exit_status(0), "").problem, "");
}

TEST(MachineCommand, SaysWhatWasAskedFor) {
    MachineSpec emulated = spec(Architecture::X86_64);
    emulated.machine = "microvm";
    emulated.memory_mb = 8;
    emulated.count_instructions = true;
    emulated.command_line = "json=1";
    const std::vector<std::string> command = machine_command(emulated);
    for (const char* word : {"microvm", "8M", "shift=0,sleep=off", "json=1", "isa-debug-exit,iobase=0xf4,iosize=4"})
        EXPECT_THAT(command, ::testing::Contains(word));

    MachineSpec never_virtual = spec(Architecture::X86_64);
    never_virtual.emulated = true;
    EXPECT_THAT(machine_command(never_virtual), ::testing::Contains("tcg"));

    MachineSpec process = spec(Architecture::Hosted);
    process.replay = 7;
    EXPECT_THAT(machine_command(process), ::testing::IsSupersetOf({"--replay", "7", "--memory", "256"}));
}

}  // namespace
}  // namespace helix::tool
