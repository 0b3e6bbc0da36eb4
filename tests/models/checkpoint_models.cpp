// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Checkpoints that were damaged while the kernel kept them: a module begins afresh, and the log says so.
#include "model_kernel.hpp"

#include "benchmarks/hosted_kernel.hpp"

namespace helix::test {
namespace {

using kernel::ModuleRecord;

std::vector<std::pair<std::string, std::string>> phoenix_file(uint64_t) {
    return {{"phoenix.hmod", benchmark::module_content("phoenix")}};
}

/// Calls `visit` for what is kept of the phoenix, once there is something.
template <typename Visit>
void with_saved(kernel::Kernel& kernel, Visit visit) {
    for (;;) {
        bool found = false;
        kernel.modules.for_each([&](ModuleRecord& record) {
            if (record.name() != "phoenix" || record.saved.state.size() == 0) return;
            found = true;
            visit(record.saved);
        });
        if (found) return;
        MODEL_CHECK(kernel.threads.sleep(1'000'000).ok());
    }
}

void ask(kernel::Kernel& kernel, Text type, Text payload, Text answer) {
    const auto response = kernel.modules.request(nullptr, "phoenix", type, as_bytes(payload));
    MODEL_CHECK(response.ok() == (answer != "error"));
    MODEL_CHECK(!response.ok() || response.value().payload().text() == answer);
}

/// Lets the phoenix die after `damage` was done to its checkpoint.
template <typename Damage>
void die_after(kernel::Kernel& kernel, Damage damage, Text then) {
    ask(kernel, "add", "5", "");
    with_saved(kernel, damage);
    ask(kernel, "die", "", "error");
    kernel.modules.settle();
    ask(kernel, "get", "", then);
}

void run_damage(const ModelRun& run) {
    kernel::Kernel& kernel = run.kernel;
    MODEL_CHECK(kernel.modules.load("phoenix").ok());
    // Whole it is restored; with one bit that is not what it was, nothing of it is.
    die_after(kernel, [](kernel::SavedState&) {}, R"({"kept":5,"saved":5,"why":"crash","pokes":0})");
    die_after(
        kernel,
        [](kernel::SavedState& saved) {
            MutableBytes bytes = saved.state.mutable_bytes();
            bytes[bytes.size() / 2] ^= 4;
        },
        R"({"kept":10,"saved":0,"why":"nothing","pokes":0})");
    kernel.log.dump(20);
}

TEST(Checkpoint, ThatIsDamagedIsRefusedAndTheModuleBeginsAfresh) {
    for (const uint32_t cpus : {1u, 2u}) {
        int status = 0;
        const std::string output = run_one(run_damage, cpus, 1, "helix-scheduler-round-robin", status, phoenix_file,
                                           Restarts::FromCheckpoints);
        EXPECT_EQ(status, 0) << output;
        EXPECT_NE(output.find("supervisor: phoenix begins without its saved state: "), std::string::npos) << output;
    }
}

}  // namespace
}  // namespace helix::test
