// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A module with thread-local variables is refused: no port gives modules any.

#include "helix/module.hpp"

namespace {
// In this model no function of a libc is needed, so that the file links.
__attribute__((tls_model("initial-exec"))) constinit thread_local uint64_t t_calls = 1;
}  // namespace

class ThreadLocalData final : public helix::Module {
public:
    static constexpr auto kInfo =
        helix::ModuleInfo{"thread-local-data"}.version(1, 0, 0).flags(helix::ModuleFlags::Experimental);

    helix::Result<void> init(const helix::Context& context) override {
        context.error("a module with thread-local variables was run {}", ++t_calls);
        return {};
    }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }
};
HELIX_MODULE(ThreadLocalData)
