// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A replacement that refuses the saved state leaves the old instance serving, which noticed nothing.

#include "helix/module.hpp"

class CorruptState final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"corrupt-state"}.version(1, 0, 0).flags(
        helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental);

    helix::Result<void> init(const helix::Context&) override { return {}; }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }

    /// `served`: how many requests this instance has answered.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type != "served") return helix::ErrorCode::NotImplemented;
        return helix::Response::ok(helix::format<20>("{}", ++served_).text());
    }
    helix::Result<void> save_state(helix::StateWriter& state) override { return state.put("served", "not a number"); }
    helix::Result<void> restore_state(helix::StateReader& state, helix::Reason) override {
        served_ = TRY(state.get_unsigned("served"));
        return {};
    }

private:
    uint64_t served_ = 0;
};
HELIX_MODULE(CorruptState)
