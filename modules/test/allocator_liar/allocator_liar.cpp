// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// An allocator that returns with preemption off is not asked again, and nobody who wants memory notices.

#include "helix/interfaces/allocator.hpp"
#include "helix/module.hpp"

class AllocatorLiar final : public helix::Implements<helix::Allocator> {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"allocator-liar"}
                                      .version(1, 0, 0)
                                      .flags(helix::ModuleFlags::Allocator | helix::ModuleFlags::Experimental)
                                      .provides({"helix.allocator"});

    helix::Result<void> init(const helix::Context&) override { return {}; }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }

    size_t refill(uint32_t, helix::Span<void*>) override {
        helix::preempt_disable();
        return 0;
    }
    void drain(uint32_t, helix::Span<void* const>) override {}
    helix::AllocatorStatistics statistics() const override { return {}; }
    bool self_check() const override { return true; }
};
HELIX_MODULE(AllocatorLiar)
