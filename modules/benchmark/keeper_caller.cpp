// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The module helix-benchmark-keeper-caller: calls a module that crashes, and does not notice.

#include "keeper.hpp"

#include "helix/module.hpp"

class BenchmarkKeeperCaller final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"helix-benchmark-keeper-caller"}
                                      .version(1, 0, 0)
                                      .description("Calls helix-benchmark-keeper; request: recover")
                                      .author("Helix contributors")
                                      .license("MIT OR Apache-2.0")
                                      .dependencies({"helix.benchmark_keeper"});

    helix::Result<void> init(const helix::Context& context) override {
        keeper_ = TRY(context.bind<helix::benchmark::Keeper>());
        return {};
    }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }

    /// `recover`: the cycles from the crash of a call to its second, served by the next instance.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type != "recover") return helix::ErrorCode::NotImplemented;
        const uint64_t cycles = TRY(keeper_.call<&helix::benchmark::Keeper::recover>());
        return helix::Response::ok(helix::format<20>("{}", cycles).text());
    }

private:
    helix::Handle<helix::benchmark::Keeper> keeper_;
};
HELIX_MODULE(BenchmarkKeeperCaller)
