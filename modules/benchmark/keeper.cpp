// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The module helix-benchmark-keeper: 64 KiB of kept memory and 64 bytes of saved state, for timing reloads and
// restarts.

#include "keeper.hpp"

#include "helix/module.hpp"

class BenchmarkKeeper final : public helix::Implements<helix::benchmark::Keeper> {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"helix-benchmark-keeper"}
                                      .version(1, 0, 0)
                                      .description("Keeps state, crashes on purpose; for benchmarks")
                                      .author("Helix contributors")
                                      .license("MIT OR Apache-2.0")
                                      .flags(helix::ModuleFlags::HotReloadable)
                                      .provides({"helix.benchmark_keeper"})
                                      .state_schema(1);

    helix::Result<void> init(const helix::Context& context) override {
        kept_ = TRY(context.kept_memory<Kept>("kept"));
        return {};
    }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }

    helix::Result<void> save_state(helix::StateWriter& state) override {
        return state.put("numbers", helix::Span<const uint64_t>(numbers_));
    }
    helix::Result<void> restore_state(helix::StateReader& state, helix::Reason) override {
        const auto count = TRY(state.get_array("numbers", helix::Span<uint64_t>(numbers_)));
        return count == kNumbers ? helix::Result<void>() : helix::ErrorCode::Corrupt;
    }

    uint64_t recover() override {
        if (kept_->crash_cycles == 0) {
            kept_->crash_cycles = cycles();
            asm volatile("ud2");
        }
        return cycles() - std::exchange(kept_->crash_cycles, 0);
    }

    uint64_t work(uint64_t steps) override { return helix::benchmark::compute(steps); }

private:
    static constexpr size_t kNumbers = 5;  // of nine bytes each: with the key and the frame they are 64 bytes
    struct Kept {
        uint64_t crash_cycles;  ///< 0: it has not crashed
        uint8_t rest[64 * 1024 - sizeof(uint64_t)];
    };

    static uint64_t cycles() {
        uint32_t low = 0, high = 0;
        asm volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
        return uint64_t{high} << 32 | low;
    }

    Kept* kept_ = nullptr;
    uint64_t numbers_[kNumbers] = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
};
HELIX_MODULE(BenchmarkKeeper)
