// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A provider whose next version implements another major version of its interface, so that users go along with it.

#include "helix/module.hpp"
#include "pair.hpp"

class PairProvider final : public helix::Implements<helix::test::Pair> {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"pair-provider"}
                                      .version(PAIR_MAJOR, 0, 0)
                                      .flags(helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental)
                                      .provides({"test.pair"})
                                      .state_schema(PAIR_MAJOR);

    helix::Result<void> init(const helix::Context&) override { return {}; }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }

    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type == "crash") __builtin_trap();
        return helix::ErrorCode::NotImplemented;
    }
    helix::Result<void> save_state(helix::StateWriter& state) override { return state.put("count", count_); }
    helix::Result<void> restore_state(helix::StateReader& state, helix::Reason) override {
        count_ = TRY(state.get_unsigned("count"));
        return {};
    }

#if PAIR_MAJOR >= 2
    uint64_t version() override { return 1'000'000 + PAIR_MAJOR; }
#endif
    uint64_t count() override { return __atomic_add_fetch(&count_, 1, __ATOMIC_RELAXED); }

private:
    uint64_t count_ = 0;
};
HELIX_MODULE(PairProvider)
