// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The module helix-memory: stands for the kernel's memory, so that others can depend on it, and counts it.

#include "helix/module.hpp"

class Memory final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"helix-memory"}
                                      .version(1, 0, 0)
                                      .description("Pages and heap of the kernel")
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
        const auto now = context_->memory_statistics();
        return helix::Response::ok(
            helix::format<300>("{{\"pages_total\":{},\"pages_free\":{},\"heap_pages\":{},\"heap_bytes_used\":{},"
                               "\"page_size\":{}}}",
                               now.pages_total, now.pages_free, now.heap_pages, now.heap_bytes_used, now.page_size)
                .text());
    }

private:
    const helix::Context* context_ = nullptr;
};
HELIX_MODULE(Memory)
