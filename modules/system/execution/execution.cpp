// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The module helix-execution: stands for the kernel's threads, so that others can depend on them, and counts them.

#include "helix/module.hpp"

class Execution final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"helix-execution"}
                                      .version(1, 0, 0)
                                      .description("Threads and CPUs of the kernel")
                                      .author("Helix contributors")
                                      .license("MIT OR Apache-2.0")
                                      .flags(helix::ModuleFlags::Essential);

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }

    /// `statistics`: the numbers of the running system as JSON.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type != "statistics") return helix::ErrorCode::NotImplemented;
        const auto now = context_->execution_statistics();
        return helix::Response::ok(
            helix::format<300>("{{\"threads\":{},\"threads_created\":{},\"switches\":{},\"ticks\":{},\"cpus\":{}}}",
                               now.threads, now.threads_created, now.switches, now.ticks, now.cpus)
                .text());
    }

private:
    const helix::Context* context_ = nullptr;
};
HELIX_MODULE(Execution)
