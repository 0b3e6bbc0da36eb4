// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The suites pass what is right and find what is wrong, each planted mistake with the sentence that names it.

#include "../scheduler/cooperative/cooperative.hpp"
#include "../scheduler/deadline/deadline.hpp"
#include "../scheduler/fair/fair.hpp"
#include "../scheduler/priority/priority.hpp"
#include "../scheduler/round_robin/round_robin.hpp"
#include "../test/host_services.hpp"
#include "../test/odd_policy.hpp"
#include "allocator_conformance.hpp"
#include "scheduler_conformance.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {
using namespace helix;
using conformance::Report;
using test_support::DirectTarget;
using test_support::HostServices;
using test_support::OddPolicy;

class RightPolicy final : public scheduling::RoundRobinPolicy {};
class RightPriorityPolicy final : public scheduling::PriorityPolicy {};
class RightFairPolicy final : public scheduling::FairPolicy {};
class RightDeadlinePolicy final : public scheduling::DeadlinePolicy {};
class RightCooperativePolicy final : public scheduling::CooperativePolicy {};

Report check_scheduler(Scheduler& policy, uint64_t seed) {
    auto suite = std::make_unique<conformance::SchedulerConformance<DirectTarget<Scheduler>>>();
    Report report;
    suite->run(DirectTarget<Scheduler>(policy), seed, report);
    return report;
}

template <typename Policy>
Report check_scheduler(uint64_t seed = 1) {
    HostServices host;
    if constexpr (requires { Policy::kOptions; }) host.declare(Policy::kOptions);
    Policy policy;
    EXPECT_TRUE(policy.init(host.context()).ok());
    return check_scheduler(policy, seed);
}

TEST(SchedulerConformance, RoundRobinPassesWithManySeeds) {
    for (uint64_t seed = 0; seed < 50; ++seed) {
        const Report report = check_scheduler<RightPolicy>(seed);
        ASSERT_EQ(report.failures(), 0u) << "seed " << seed << ": " << std::string(report.first_failure());
        EXPECT_GT(report.checks(), 5000u);
    }
}

TEST(SchedulerConformance, PriorityPassesWithManySeeds) {
    for (uint64_t seed = 0; seed < 50; ++seed) {
        const Report report = check_scheduler<RightPriorityPolicy>(seed);
        ASSERT_EQ(report.failures(), 0u) << "seed " << seed << ": " << std::string(report.first_failure());
    }
}

template <typename Policy>
class SchedulerConformanceOf : public ::testing::Test {};
using OtherPolicies = ::testing::Types<RightFairPolicy, RightDeadlinePolicy, RightCooperativePolicy>;
TYPED_TEST_SUITE(SchedulerConformanceOf, OtherPolicies);
TYPED_TEST(SchedulerConformanceOf, PassesWithManySeeds) {
    for (uint64_t seed = 0; seed < 50; ++seed) {
        const Report report = check_scheduler<TypeParam>(seed);
        ASSERT_EQ(report.failures(), 0u) << "seed " << seed << ": " << std::string(report.first_failure());
        EXPECT_GT(report.checks(), 5000u);
    }
}

TEST(SchedulerConformance, ExtremeSettingsPass) {
    for (const char* slice : {"1", "1000"}) {
        for (const char* levels : {"1", "7", "32"}) {
            HostServices host;
            host.set("time_slice_ms", slice);
            host.set("priority_levels", levels);
            host.set("aging_ms", "60000");
            RightPolicy policy;
            ASSERT_TRUE(policy.init(host.context()).ok());
            const Report report = check_scheduler(policy, 3);
            EXPECT_EQ(report.failures(), 0u) << slice << ' ' << levels << ": " << std::string(report.first_failure());
        }
    }
}

TEST(SchedulerConformance, SameSeedSameReport) {
    EXPECT_EQ(std::string(check_scheduler<RightPolicy>(9).json("i", "m", 9).text()),
              std::string(check_scheduler<RightPolicy>(9).json("i", "m", 9).text()));
}

/// A policy with one mistake.
class LosesOne final : public OddPolicy {
    void enqueue(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason reason) override {
        if (++enqueues_ != 500) RoundRobinPolicy::enqueue(cpu, thread, reason);
    }
    uint32_t enqueues_ = 0;
};
class ReturnsForeign final : public OddPolicy {
    SchedulerThread* pick_next(SchedulerCpu& cpu) override {
        return ++picks_ == 300 ? reinterpret_cast<SchedulerThread*>(0x1000) : RoundRobinPolicy::pick_next(cpu);
    }
    uint32_t picks_ = 0;
};
class ReturnsTheLastAgain final : public OddPolicy {
    SchedulerThread* pick_next(SchedulerCpu& cpu) override {
        if (++picks_ % 100 == 0 && last_ != nullptr) return last_;
        return last_ = RoundRobinPolicy::pick_next(cpu);
    }
    uint32_t picks_ = 0;
    SchedulerThread* last_ = nullptr;
};
class IgnoresMirrored final : public OddPolicy {
    void dequeue(SchedulerCpu& cpu, SchedulerThread& thread, DequeueReason reason) override {
        if (reason != DequeueReason::Picked) RoundRobinPolicy::dequeue(cpu, thread, reason);
    }
};
class NeverPreempts final : public OddPolicy {
    TickDecision tick(SchedulerCpu&, uint64_t) override { return TickDecision::Continue; }
};
class AnyCpu final : public OddPolicy {
    CpuId select_cpu(const SchedulerThread&, CpuId waker) const override { return waker; }
};
class WritesIntoThreads final : public OddPolicy {
    void enqueue(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason reason) override {
        if (++enqueues_ > 700) thread.runtime_ns += 1;
        RoundRobinPolicy::enqueue(cpu, thread, reason);
    }
    uint32_t enqueues_ = 0;
};
class FailsSelfCheck final : public OddPolicy {
    bool self_check(const SchedulerCpu&, const SchedulerThread&) const override { return false; }
};
class Miscounts final : public OddPolicy {
    SchedulerStatistics statistics(const SchedulerCpu& cpu) const override {
        SchedulerStatistics now = RoundRobinPolicy::statistics(cpu);
        now.picks += now.picks > 1000;
        return now;
    }
};
class ForgetsWhoYields final : public OddPolicy {
    SchedulerThread* yield(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason reason) override {
        return ++yields_ == 100 ? pick_next(cpu) : OddPolicy::yield(cpu, thread, reason);
    }
    uint32_t yields_ = 0;
};
class YieldsToAForeignThread final : public OddPolicy {
    SchedulerThread* yield(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason reason) override {
        SchedulerThread* const next = OddPolicy::yield(cpu, thread, reason);
        return ++yields_ == 100 ? reinterpret_cast<SchedulerThread*>(0x1000) : next;
    }
    uint32_t yields_ = 0;
};

class WouldPickWhoRuns final : public OddPolicy {
    SchedulerThread* would_pick(SchedulerCpu& cpu) override {
        return cpu.current != nullptr ? cpu.current : OddPolicy::would_pick(cpu);
    }
};
class LetsGoWhomItWouldPick final : public OddPolicy {
    SchedulerThread* would_pick(SchedulerCpu& cpu) override { return OddPolicy::pick_next(cpu); }
};

class KeepsTheCpu : public OddPolicy {
protected:
    ~KeepsTheCpu() = default;
    SchedulerThread* keep(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason reason) {
        enqueue(cpu, thread, reason);
        dequeue(cpu, thread, DequeueReason::Picked);
        ++counters(cpu).picks;
        return &thread;
    }
};
class YieldsToItself final : public KeepsTheCpu {
    SchedulerThread* yield(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason reason) override {
        return reason == EnqueueReason::Yielded ? keep(cpu, thread, reason) : OddPolicy::yield(cpu, thread, reason);
    }
};
class KeepsWhomItPreempts final : public KeepsTheCpu {
    SchedulerThread* yield(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason reason) override {
        return reason == EnqueueReason::Preempted ? keep(cpu, thread, reason) : OddPolicy::yield(cpu, thread, reason);
    }
};
class RefusesWhatCostsNothing final : public OddPolicy {
    bool set_attributes(SchedulerCpu&, SchedulerThread&, const SchedulingAttributes&, bool) override { return false; }
};

class LosesItsQueueOffline final : public OddPolicy {
    void cpu_changed(SchedulerCpu& cpu, bool online) override {
        if (!online) __builtin_memset(cpu.area, 0, sizeof(cpu.area));
    }
};
class LosesItsQueueBackOnline final : public OddPolicy {
    void cpu_changed(SchedulerCpu& cpu, bool online) override { online_[cpu.id] = online; }
    void enqueue(SchedulerCpu& cpu, SchedulerThread& thread, EnqueueReason reason) override {
        was_offline_ |= !online_[1];
        if (!was_offline_ || cpu.id != 1) RoundRobinPolicy::enqueue(cpu, thread, reason);
    }
    bool online_[2] = {true, true};
    bool was_offline_ = false;
};
class DumpsTooMuch final : public OddPolicy {
    size_t dump(const SchedulerCpu&, Span<char> out) const override {
        if (out.size() != 0) out.data()[out.size()] = 'x';
        return out.size();
    }
};
class DumpsIntoNothing final : public OddPolicy {
    size_t dump(const SchedulerCpu&, Span<char> out) const override { return out.size() != 0 ? 1 : 12; }
};
class PromisesShortTurns final : public OddPolicy {
    SchedulerTraits plug_in() override {
        configure(900'000'000, 32, 0);
        (void)OddPolicy::plug_in();
        return SchedulerTraits::Preempts | turns_of(1'000'000);
    }
};
class GrantsAndForgets final : public OddPolicy {
    bool set_attributes(SchedulerCpu&, SchedulerThread&, const SchedulingAttributes&, bool) override { return true; }
};
class MiscountsPreemptions final : public OddPolicy {
    SchedulerStatistics statistics(const SchedulerCpu& cpu) const override {
        SchedulerStatistics now = RoundRobinPolicy::statistics(cpu);
        now.preemptions += now.preemptions > 100;
        return now;
    }
};

template <typename Policy>
std::string first_failure() {
    const Report report = check_scheduler<Policy>();
    EXPECT_GT(report.failures(), 0u);
    const Response response = report.response("helix.scheduler", "m", 1);
    EXPECT_FALSE(response.is_ok());
    return std::string(report.first_failure());
}
bool contains(const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
}

TEST(SchedulerConformance, FindsALostThread) {
    const std::string found = first_failure<LosesOne>();
    EXPECT_TRUE(contains(found, "self_check failed") || contains(found, "statistics counts")) << found;
}
TEST(SchedulerConformance, FindsAWrongAnswerToWhomItWouldPick) {
    EXPECT_TRUE(contains(first_failure<WouldPickWhoRuns>(), "would_pick named nobody"));
    const std::string found = first_failure<LetsGoWhomItWouldPick>();
    EXPECT_TRUE(contains(found, "self_check failed") || contains(found, "statistics counts")) << found;
}
TEST(SchedulerConformance, FindsAForeignThread) {
    EXPECT_TRUE(contains(first_failure<ReturnsForeign>(), "never enqueued"));
}
TEST(SchedulerConformance, FindsAThreadPickedTwice) {
    const std::string found = first_failure<ReturnsTheLastAgain>();
    EXPECT_TRUE(contains(found, "while it ran") || contains(found, "did not wait")) << found;
}
TEST(SchedulerConformance, FindsAThreadLostWhenItYields) {
    const std::string found = first_failure<ForgetsWhoYields>();
    EXPECT_TRUE(contains(found, "self_check failed") || contains(found, "statistics counts")) << found;
}
TEST(SchedulerConformance, FindsAYieldToAForeignThread) {
    EXPECT_TRUE(contains(first_failure<YieldsToAForeignThread>(), "yield returned a thread that was never enqueued"));
}
TEST(SchedulerConformance, FindsAPolicyThatIgnoresMirroredPicks) {
    EXPECT_TRUE(contains(first_failure<IgnoresMirrored>(), "mirrored"));
}
TEST(SchedulerConformance, FindsEqualsThatDoNotShare) {
    EXPECT_TRUE(contains(first_failure<NeverPreempts>(), "did not run for"));
}
TEST(SchedulerConformance, FindsAPolicyThatGivesTheCpuBackToWhoeverYields) {
    const std::string found = first_failure<YieldsToItself>();
    EXPECT_TRUE(contains(found, "by giving way") && contains(found, "did not run for")) << found;
}
TEST(SchedulerConformance, FindsAPolicyThatGivesTheCpuBackToWhomItPreempted) {
    const std::string found = first_failure<KeepsWhomItPreempts>();
    EXPECT_TRUE(contains(found, "equals share the CPU by time") && contains(found, "did not run for")) << found;
}
TEST(SchedulerConformance, FindsAPolicyThatRefusesWhatReservesNothing) {
    EXPECT_TRUE(contains(first_failure<RefusesWhatCostsNothing>(), "attributes that reserve nothing"));
}
TEST(SchedulerConformance, FindsACpuOutsideTheAffinity) {
    EXPECT_TRUE(contains(first_failure<AnyCpu>(), "affinity"));
}
TEST(SchedulerConformance, FindsWritesOutsideTheArea) {
    EXPECT_TRUE(contains(first_failure<WritesIntoThreads>(), "outside its area"));
}
TEST(SchedulerConformance, FindsAFailedSelfCheck) {
    EXPECT_TRUE(contains(first_failure<FailsSelfCheck>(), "self_check failed"));
}
TEST(SchedulerConformance, FindsWrongStatistics) {
    EXPECT_TRUE(contains(first_failure<Miscounts>(), "statistics"));
}

TEST(SchedulerConformance, FindsAQueueThatIsLostWhenItsCpuLeavesOrComesBack) {
    for (const std::string& found : {first_failure<LosesItsQueueOffline>(), first_failure<LosesItsQueueBackOnline>()}) {
        EXPECT_TRUE(contains(found, "a CPU leaves and comes back")) << found;
        EXPECT_TRUE(contains(found, "self_check failed") || contains(found, "statistics counts")) << found;
    }
}
TEST(SchedulerConformance, FindsADumpBeyondItsSpan) {
    EXPECT_TRUE(contains(first_failure<DumpsTooMuch>(), "dump wrote outside"));
    EXPECT_TRUE(contains(first_failure<DumpsIntoNothing>(), "dump says 12 characters, with room for 0"));
}
TEST(SchedulerConformance, FindsTurnsThatAreLongerThanPromised) {
    EXPECT_TRUE(contains(first_failure<PromisesShortTurns>(), "with promised turns of 1 ms"));
}
TEST(SchedulerConformance, FindsAReservationThatIsNotKept) {
    EXPECT_TRUE(contains(first_failure<GrantsAndForgets>(), "with a granted reservation of 10 ms in 20 ms got"));
}
TEST(SchedulerConformance, FindsWrongPreemptions) {
    EXPECT_TRUE(contains(first_failure<MiscountsPreemptions>(), "preemptions"));
}

/// Carves blocks out of memory of its own and reuses what comes back.
class CarvingAllocator : public Allocator {
public:
    size_t refill(uint32_t size_class, Span<void*> blocks) override {
        for (size_t i = 0; i < blocks.size(); ++i) {
            auto& free = free_[size_class];
            if (free.empty()) {
                pages_.push_back(std::make_unique<Page>());
                for (size_t at = 0; at + kSizeClasses[size_class] <= kPageSize; at += kSizeClasses[size_class])
                    free.push_back(pages_.back()->bytes + at);
            }
            blocks[i] = free.back();
            free.pop_back();
            ++in_use_;
        }
        return blocks.size();
    }
    void drain(uint32_t size_class, Span<void* const> blocks) override {
        for (void* block : blocks) free_[size_class].push_back(block);
        in_use_ -= blocks.size();
    }
    AllocatorStatistics statistics() const override { return {pages_.size(), 0, in_use_, 0, 0}; }
    bool self_check() const override { return true; }

protected:
    ~CarvingAllocator() = default;

private:
    struct Page {
        alignas(16) uint8_t bytes[kPageSize];
    };
    std::vector<std::unique_ptr<Page>> pages_;
    std::vector<void*> free_[kSizeClassCount];
    size_t in_use_ = 0;
};
class RightAllocator final : public CarvingAllocator {};
class HandsOutTwice final : public CarvingAllocator {
    size_t refill(uint32_t size_class, Span<void*> blocks) override {
        const size_t filled = CarvingAllocator::refill(size_class, blocks);
        if (++refills_ == 100 && filled > 1) blocks[1] = blocks[0];
        return filled;
    }
    uint32_t refills_ = 0;
};
class WritesIntoBlocks final : public CarvingAllocator {
    size_t refill(uint32_t size_class, Span<void*> blocks) override {
        const size_t filled = CarvingAllocator::refill(size_class, blocks);
        if (victim_ != nullptr && ++refills_ == 100) *static_cast<uint8_t*>(victim_) ^= 1;
        victim_ = blocks[0];
        return filled;
    }
    uint32_t refills_ = 0;
    void* victim_ = nullptr;
};
class ClaimsTooMany final : public CarvingAllocator {
    size_t refill(uint32_t size_class, Span<void*> blocks) override {
        return CarvingAllocator::refill(size_class, blocks) + 1;
    }
};
class MiscountsBlocks final : public CarvingAllocator {
    AllocatorStatistics statistics() const override {
        AllocatorStatistics now = CarvingAllocator::statistics();
        now.blocks_in_use /= 2;
        return now;
    }
};

template <typename Policy>
Report check_allocator(uint64_t seed = 1) {
    Policy policy;
    Allocator& allocator = policy;
    auto suite = std::make_unique<conformance::AllocatorConformance<DirectTarget<Allocator>>>();
    Report report;
    suite->run(DirectTarget<Allocator>(allocator), seed, report);
    return report;
}

TEST(AllocatorConformance, ARightOnePassesWithManySeeds) {
    for (uint64_t seed = 0; seed < 10; ++seed) {
        const Report report = check_allocator<RightAllocator>(seed);
        ASSERT_EQ(report.failures(), 0u) << "seed " << seed << ": " << std::string(report.first_failure());
        EXPECT_GT(report.checks(), 1000u);
    }
}
TEST(AllocatorConformance, FindsEachMistake) {
    EXPECT_TRUE(contains(std::string(check_allocator<HandsOutTwice>().first_failure()), "overlaps"));
    EXPECT_TRUE(contains(std::string(check_allocator<WritesIntoBlocks>().first_failure()), "overwritten"));
    EXPECT_TRUE(contains(std::string(check_allocator<ClaimsTooMany>().first_failure()), "claims"));
    EXPECT_TRUE(contains(std::string(check_allocator<MiscountsBlocks>().first_failure()), "in use"));
}

}  // namespace
