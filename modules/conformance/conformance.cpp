// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The module helix-conformance: runs an interface's suite on one implementor, by name, through an ordinary handle.

#include "allocator_conformance.hpp"
#include "helix/module.hpp"
#include "scheduler_conformance.hpp"

class Conformance final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"helix-conformance"}
                                      .version(1, 0, 0)
                                      .description("Conformance suites of helix.scheduler and helix.allocator")
                                      .author("Helix contributors")
                                      .license("MIT OR Apache-2.0")
                                      .dependencies({"helix-execution >=1.0", "helix-memory >=1.0"});

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }

    /// `scheduler` or `allocator` with payload `MODULE [SEED]`: the suite's findings as JSON; an error response that
    /// names the first failure otherwise. The implementor must be running and may not rule at the moment.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        const helix::Text payload = helix::as_text(request.payload);
        const size_t space = payload.find(' ');
        const helix::Text module = payload.substr(0, space);
        uint64_t seed = 1;
        if (space != SIZE_MAX && !helix::parse_unsigned(payload.substr(space + 1), seed))
            return helix::Response::err("the seed is not a number; expected: MODULE [SEED]");
        if (request.request_type != "scheduler" && request.request_type != "allocator")
            return helix::ErrorCode::NotImplemented;
        if (module.empty()) return helix::Response::err("which module? expected: MODULE [SEED]");
        report_ = helix::conformance::Report();
        if (request.request_type == "scheduler") return run<helix::Scheduler>(scheduler_, module, seed);
        return run<helix::Allocator>(allocator_, module, seed);
    }

private:
    template <typename Interface, typename Suite>
    helix::Result<helix::Response> run(Suite& suite, helix::Text module, uint64_t seed) {
        auto handle = context_->bind<Interface>(module);
        if (!handle.ok()) return helix::Error(handle.error());
        suite.run(handle.value(), seed, report_);
        return report_.response(helix::InterfaceTraits<Interface>::kId.name, module, seed);
    }

    // Members, because they are too large for a stack.
    const helix::Context* context_ = nullptr;
    helix::conformance::Report report_;
    helix::conformance::SchedulerConformance<helix::Handle<helix::Scheduler>> scheduler_;
    helix::conformance::AllocatorConformance<helix::Handle<helix::Allocator>> allocator_;
};
HELIX_MODULE(Conformance)
