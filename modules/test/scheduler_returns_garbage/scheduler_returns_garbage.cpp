// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A scheduler that picks what is no waiting thread does not crash the kernel, which brings back the one before.

#include "../odd_policy.hpp"

class SchedulerReturnsGarbage final : public helix::test_support::OddPolicy {
public:
    static constexpr auto kInfo =
        helix::ModuleInfo{"scheduler-returns-garbage"}
            .version(1, 0, 0)
            .flags(helix::ModuleFlags::Scheduler | helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental)
            .dependencies({"helix-execution >=1.0"})
            .provides({"helix.scheduler"});
    static constexpr helix::Option kOptions[] = {
        RoundRobinPolicy::kOptions[0],
        RoundRobinPolicy::kOptions[1],
        RoundRobinPolicy::kOptions[2],
        helix::Option::string("what", "wild",
                              "wild: an address of nothing; own: of memory of its own; stale: the last pick"),
        helix::Option::integer("after", 0, 1'000'000'000, 10, "How many picks are right before the one that is not"),
    };

    helix::Result<void> init(const helix::Context& context) override {
        const helix::Text what = TRY(context.config("what"));
        if (what != "wild" && what != "own" && what != "stale")
            return helix::Error(helix::ErrorCode::InvalidArgument, "option what is wild, own or stale");
        kind_ = what[0];
        left_ = TRY(context.config_integer("after"));
        return RoundRobinPolicy::init(context);
    }
    helix::SchedulerThread* pick_next(helix::SchedulerCpu& cpu) override {
        if (__atomic_fetch_sub(&left_, 1, __ATOMIC_RELAXED) <= 0) {
            if (kind_ == 'w') return reinterpret_cast<helix::SchedulerThread*>(uintptr_t{0x1000});
            if (kind_ == 'o') return &own_;
            if (last_ != nullptr) return last_;
        }
        last_ = RoundRobinPolicy::pick_next(cpu);
        return last_;
    }

private:
    char kind_ = 'w';
    int64_t left_ = 0;
    helix::SchedulerThread own_{};
    helix::SchedulerThread* last_ = nullptr;
};
HELIX_MODULE(SchedulerReturnsGarbage)
