// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The heap against a model, swaps of its policy, and policies that misbehave.

#include "kernel/memory/heap.hpp"

#include "tests/unit/allocator_host.hpp"

#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace helix::kernel {
namespace {

/// A sound policy, and what the tests break about it.
class TestPolicy final : public Allocator {
public:
    explicit TestPolicy(Heap& heap) : heap_(heap) { owner = heap.attach(this, nullptr).take(); }

    size_t refill(uint32_t size_class, Span<void*> blocks) override {
        ++calls;
        if (fault_in_refill) arch::gate_resume(*cpu_local()->gate, GateFailure::Fault);
        if (allocate_inside != 0) heap_.free(heap_.allocate(allocate_inside));
        std::lock_guard lock(mutex_);
        size_t wanted = blocks.size();
        if (at_most < wanted) wanted = at_most;
        size_t count = 0;
        for (; count < wanted; ++count) {
            if (free_[size_class].empty()) {
                auto page = heap_.policy_pages(owner, size_class, 1);
                if (!page.ok()) break;
                for (size_t at = 0; at + kSizeClasses[size_class] <= kPageSize; at += kSizeClasses[size_class])
                    free_[size_class].push_back(static_cast<uint8_t*>(page.value()) + at);
            }
            blocks[count] = free_[size_class].back();
            free_[size_class].pop_back();
        }
        in_use += count;
        if (answer) return answer(blocks, count);
        return count;
    }
    void drain(uint32_t size_class, Span<void* const> blocks) override {
        ++calls;
        if (fault_in_drain) arch::gate_resume(*cpu_local()->gate, GateFailure::Fault);
        std::lock_guard lock(mutex_);
        for (void* block : blocks) free_[size_class].push_back(block);
        in_use -= blocks.size();
    }
    AllocatorStatistics statistics() const override { return {0, 0, in_use, 0, 0}; }
    bool self_check() const override { return true; }

    uint8_t owner = 0;
    uint64_t in_use = 0;
    std::atomic<uint64_t> calls = 0;
    size_t at_most = SIZE_MAX;
    size_t allocate_inside = 0;
    bool fault_in_refill = false;
    bool fault_in_drain = false;
    size_t (*answer)(Span<void*> blocks, size_t count) = nullptr;

private:
    Heap& heap_;
    std::mutex mutex_;
    std::vector<void*> free_[kSizeClassCount];
};

class HeapTest : public test::AllocatorTest {};
using HeapDeathTest = HeapTest;

TEST_F(HeapTest, GivesBlocksOfAtLeastTheSizeAskedForAndAligned) {
    for (size_t size : {size_t{0}, size_t{1}, size_t{16}, size_t{17}, size_t{48}, size_t{49}, size_t{2047},
                        size_t{2048}, size_t{2049}, size_t{4096}, size_t{4097}, size_t{100'000}}) {
        for (size_t alignment :
             {size_t{1}, size_t{8}, size_t{16}, size_t{64}, size_t{4096}, size_t{32768}, size_t{1} << 21}) {
            void* const block = heap.allocate(size, alignment);
            ASSERT_NE(block, nullptr) << size << " at " << alignment;
            EXPECT_EQ(reinterpret_cast<uint64_t>(block) % alignment, 0u);
            EXPECT_GE(heap.size_of(block), size);
            std::memset(block, 0xab, heap.size_of(block));
            heap.free(block);
        }
    }
    EXPECT_EQ(heap.bytes_in_use(), 0u);
    heap.free(nullptr);
}

TEST_F(HeapTest, EverySizeHasTheSmallestClassThatHoldsIt) {
    for (size_t size = 0; size <= 2048; ++size) {
        void* const block = heap.allocate(size);
        size_t expected = 0;
        while (kSizeClasses[expected] < size) ++expected;
        ASSERT_EQ(heap.size_of(block), kSizeClasses[expected]) << size;
        heap.free(block);
    }
}

TEST_F(HeapTest, RefusesImpossibleRequests) {
    EXPECT_EQ(heap.allocate(SIZE_MAX), nullptr);
    EXPECT_EQ(heap.allocate(SIZE_MAX - 4095), nullptr);
    EXPECT_EQ(heap.allocate(16, 3), nullptr);
    EXPECT_EQ(heap.allocate(16, 0), nullptr);
    EXPECT_EQ(heap.allocate(16, size_t{1} << 22), nullptr);
    EXPECT_EQ(heap.allocate(16, size_t{1} << 63), nullptr);
    EXPECT_EQ(heap.allocate(size_t{17} << 20), nullptr);
    EXPECT_EQ(heap.bytes_in_use(), 0u);
}

TEST_F(HeapTest, CountsBytesExactly) {
    void* const small = heap.allocate(100);
    EXPECT_EQ(heap.bytes_in_use(), 128u);
    void* const large = heap.allocate(5000);
    EXPECT_EQ(heap.bytes_in_use(), 128u + 8192);
    heap.free(small);
    heap.free(large);
    EXPECT_EQ(heap.bytes_in_use(), 0u);
    const MemoryStatistics statistics = heap.statistics();
    EXPECT_EQ(statistics.pages_total, pages.total_pages());
    EXPECT_EQ(statistics.pages_free, pages.free_pages());
    EXPECT_EQ(statistics.heap_pages, 1u);
    EXPECT_EQ(statistics.heap_bytes_used, 0u);
    EXPECT_EQ(statistics.page_size, kPageSize);
}

TEST_F(HeapTest, AnswersNullWhenMemoryIsShortAndServesAgainAfterwards) {
    for (size_t size : {size_t{64}, size_t{2048}, size_t{4096}}) {
        std::vector<void*> all;
        while (void* block = heap.allocate(size)) all.push_back(block);
        EXPECT_GT(all.size() * heap.size_of(all[0]), (pages.total_pages() - 200) * kPageSize);
        EXPECT_EQ(heap.bytes_in_use(), all.size() * size);
        for (void* block : all) heap.free(block);
        EXPECT_EQ(heap.bytes_in_use(), 0u);
        if (size == 4096) continue;
        void* const again = heap.allocate(size);
        ASSERT_NE(again, nullptr);
        heap.free(again);
        // The built-in keeps its pages: a fresh heap for the next size.
        pages.~PageAllocator();
        new (&pages) PageAllocator();
        ASSERT_TRUE(pages.init(machine.memory()).ok());
        heap.~Heap();
        new (&heap) Heap();
        heap.init(pages);
    }
}

TEST_F(HeapTest, WorksWithoutMemoryForMagazines) {
    std::vector<arch::PhysicalAddress> all;
    while (true) {
        auto page = pages.allocate(1);
        if (!page.ok()) break;
        all.push_back(page.value());
    }
    EXPECT_EQ(heap.allocate(16), nullptr);
    EXPECT_EQ(heap.bytes_in_use(), 0u);
    pages.free(all.back(), 1);
    all.pop_back();
    // The page goes to the magazines, and none is left for blocks.
    EXPECT_EQ(heap.allocate(16), nullptr);
    pages.free(all.back(), 1);
    void* const block = heap.allocate(16);
    ASSERT_NE(block, nullptr);
    heap.free(block);
    EXPECT_EQ(heap.bytes_in_use(), 0u);
}

/// Allocates and frees at random and checks contents and counts. `between` is called now and then.
template <typename Between>
void random_use(Heap& heap, test::Random& random, int steps, Between between) {
    struct Block {
        uint8_t* data;
        size_t size;
        uint8_t pattern;
    };
    std::vector<Block> blocks;
    uint64_t bytes = 0;
    const uint64_t bytes_before = heap.bytes_in_use();
    auto release = [&](size_t index) {
        const Block block = blocks[index];
        for (size_t i = 0; i < block.size; ++i) ASSERT_EQ(block.data[i], block.pattern) << "of " << block.size;
        bytes -= heap.size_of(block.data);
        heap.free(block.data);
        blocks[index] = blocks.back();
        blocks.pop_back();
    };
    for (int step = 0; step < steps; ++step) {
        if (blocks.empty() || random.below(100) < (step / 2000 % 2 == 0 ? 60u : 40u)) {
            const uint64_t kind = random.below(100);
            const size_t size = kind < 70 ? random.below(256) : kind < 97 ? random.below(2049) : random.below(30'000);
            auto* const data = static_cast<uint8_t*>(heap.allocate(size));
            if (data == nullptr) continue;
            const auto pattern = static_cast<uint8_t>(random.next());
            std::memset(data, pattern, size);
            blocks.push_back({data, size, pattern});
            bytes += heap.size_of(data);
        } else {
            release(random.below(blocks.size()));
            if (::testing::Test::HasFatalFailure()) return;
        }
        ASSERT_EQ(heap.bytes_in_use() - bytes_before, bytes);
        if (step % 500 == 499) between(step);
    }
    while (!blocks.empty()) release(blocks.size() - 1);
    EXPECT_EQ(heap.bytes_in_use(), bytes_before);
}

TEST_F(HeapTest, RandomUseAgreesWithAModel) {
    test::Random random;
    SCOPED_TRACE(random.trace());
    random_use(heap, random, 60'000, [](int) {});
    EXPECT_TRUE(pages.self_check());
}

TEST_F(HeapTest, RandomUseWhilePoliciesComeAndGoLosesNothing) {
    test::Random random;
    SCOPED_TRACE(random.trace());
    void* const first = heap.allocate(1);  // makes this CPU's magazines
    std::vector<std::unique_ptr<TestPolicy>> policies;
    uint8_t used[Heap::kMaximumOwners] = {};
    auto detach_finished = [&] {
        for (size_t i = 0; i < policies.size();) {
            const uint8_t owner = policies[i]->owner;
            if (owner == heap.current() || !heap.try_detach(owner)) {
                ++i;
                continue;
            }
            EXPECT_EQ(policies[i]->in_use, 0u);
            EXPECT_EQ(heap.owner_statistics(owner).pages, 0u);
            policies.erase(policies.begin() + static_cast<ptrdiff_t>(i));
        }
    };
    random_use(heap, random, 60'000, [&](int) {
        policies.push_back(std::make_unique<TestPolicy>(heap));
        used[policies.back()->owner] = 1;
        heap.make_current(policies.back()->owner);
        detach_finished();
    });
    heap.make_current(Heap::kBuiltin);
    detach_finished();
    EXPECT_EQ(policies.size(), 0u);
    heap.free(first);
    EXPECT_EQ(heap.bytes_in_use(), 0u);
    EXPECT_EQ(heap.statistics().heap_pages, heap.owner_statistics(Heap::kBuiltin).pages);
    EXPECT_EQ(pages.total_pages() - pages.free_pages(), heap.statistics().heap_pages + 1);  // and the magazines
    EXPECT_TRUE(pages.self_check());
}

TEST_F(HeapTest, ABlockOutlivesTheReignOfItsPolicy) {
    TestPolicy first(heap);
    TestPolicy second(heap);
    heap.make_current(first.owner);
    auto* const old_block = static_cast<uint8_t*>(heap.allocate(100));
    std::memset(old_block, 1, 100);
    heap.make_current(second.owner);
    void* const new_block = heap.allocate(100);
    EXPECT_EQ(first.in_use, 1u) << "its magazine blocks went back";
    EXPECT_FALSE(heap.try_detach(first.owner));
    EXPECT_FALSE(heap.try_detach(second.owner)) << "it is current";
    EXPECT_EQ(old_block[99], 1);
    heap.free(old_block);
    EXPECT_EQ(first.in_use, 0u);
    const size_t free_before = pages.free_pages();
    EXPECT_EQ(heap.owner_statistics(first.owner).pages, 1u);
    EXPECT_TRUE(heap.try_detach(first.owner));
    EXPECT_EQ(pages.free_pages(), free_before + 1);
    EXPECT_FALSE(heap.try_detach(first.owner)) << "it left already";
    EXPECT_EQ(heap.owner_statistics(first.owner).state, HeapOwnerStatistics::State::Vacant);
    const uint64_t calls = first.calls;
    heap.free(new_block);
    heap.free(heap.allocate(100));
    EXPECT_EQ(first.calls, calls);
}

TEST_F(HeapTest, MagazinesKeepThePolicyOutOfMostCalls) {
    TestPolicy policy(heap);
    heap.make_current(policy.owner);
    for (int i = 0; i < 10'000; ++i) heap.free(heap.allocate(64));
    EXPECT_EQ(policy.calls, 1u);
    std::vector<void*> blocks;
    for (int i = 0; i < 1600; ++i) blocks.push_back(heap.allocate(64));
    for (void* block : blocks) heap.free(block);
    EXPECT_LE(policy.calls, 1u + 2 * 1600 / 16 + 2);
    heap.make_current(Heap::kBuiltin);
    EXPECT_EQ(policy.in_use, 0u);
    EXPECT_TRUE(heap.try_detach(policy.owner));
}

TEST_F(HeapTest, APolicyThatGivesFewerBlocksIsServedFromTheBuiltinWhenItGivesNone) {
    TestPolicy policy(heap);
    heap.make_current(policy.owner);
    policy.at_most = 1;
    void* const one = heap.allocate(64);
    EXPECT_EQ(policy.in_use, 1u);
    policy.at_most = 0;
    void* const two = heap.allocate(64);
    ASSERT_NE(two, nullptr);
    EXPECT_EQ(heap.owner_statistics(Heap::kBuiltin).blocks, 1u);
    EXPECT_EQ(heap.violations(), 0u);
    EXPECT_EQ(heap.current(), policy.owner) << "short of memory is no failure";
    heap.free(one);
    heap.free(two);
    EXPECT_EQ(heap.owner_statistics(Heap::kBuiltin).blocks, 0u);
    heap.make_current(Heap::kBuiltin);
    EXPECT_TRUE(heap.try_detach(policy.owner));
}

struct Breach {
    const char* name;
    size_t (*answer)(Span<void*> blocks, size_t count);
};
class HeapBreachTest : public HeapTest, public ::testing::WithParamInterface<Breach> {};

TEST_P(HeapBreachTest, IsRefusedWholeAndThePolicyIsNotAskedAgain) {
    TestPolicy policy(heap);
    heap.make_current(policy.owner);
    void* const sound = heap.allocate(64);
    std::memset(sound, 7, 64);
    std::vector<void*> drained;
    policy.answer = GetParam().answer;
    std::vector<void*> blocks;
    for (int i = 0; i < 100; ++i) {
        auto* const block = static_cast<uint8_t*>(heap.allocate(64));
        ASSERT_NE(block, nullptr);
        for (void* other : blocks) ASSERT_NE(other, block);
        blocks.push_back(block);
    }
    EXPECT_EQ(heap.violations(), 1u);
    EXPECT_EQ(heap.current(), Heap::kBuiltin);
    EXPECT_EQ(heap.owner_statistics(policy.owner).state, HeapOwnerStatistics::State::Failed);
    const uint64_t calls = policy.calls;
    EXPECT_EQ(static_cast<uint8_t*>(sound)[63], 7);
    EXPECT_FALSE(heap.try_detach(policy.owner));
    heap.free(sound);
    for (void* block : blocks) heap.free(block);
    EXPECT_EQ(policy.calls, calls);
    EXPECT_EQ(heap.bytes_in_use(), 0u);
    EXPECT_TRUE(heap.try_detach(policy.owner));
    EXPECT_EQ(pages.total_pages() - pages.free_pages(), heap.statistics().heap_pages + 1);
}

INSTANTIATE_TEST_SUITE_P(, HeapBreachTest,
                         ::testing::Values(Breach{"MoreThanAskedFor",
                                                  [](Span<void*> blocks, size_t) { return blocks.size() + 1; }},
                                           Breach{"AHugeCount", [](Span<void*>, size_t) { return SIZE_MAX; }},
                                           Breach{"TheSameBlockTwice",
                                                  [](Span<void*> blocks, size_t count) {
                                                      blocks[count - 1] = blocks[0];
                                                      return count;
                                                  }},
                                           Breach{"Null",
                                                  [](Span<void*> blocks, size_t count) {
                                                      blocks[count - 1] = nullptr;
                                                      return count;
                                                  }},
                                           Breach{"Misaligned",
                                                  [](Span<void*> blocks, size_t count) {
                                                      blocks[0] = static_cast<uint8_t*>(blocks[0]) + 8;
                                                      return count;
                                                  }},
                                           Breach{"MemoryOfAnother",
                                                  [](Span<void*> blocks, size_t count) {
                                                      static uint64_t elsewhere[16];
                                                      blocks[0] = elsewhere;
                                                      return count;
                                                  }},
                                           Breach{"ReachesBehindItsPage",
                                                  [](Span<void*> blocks, size_t count) {
                                                      blocks[0] = reinterpret_cast<void*>(
                                                          (reinterpret_cast<uint64_t>(blocks[0]) | 4095) - 15);
                                                      return count;
                                                  }}),
                         [](const auto& info) { return std::string(info.param.name); });

#if !__has_feature(thread_sanitizer)  // which loses its way when frames vanish

TEST_F(HeapTest, APolicyThatFaultsInRefillIsReplacedByTheBuiltinAtOnce) {
    TestPolicy policy(heap);
    heap.make_current(policy.owner);
    void* const before = heap.allocate(500);
    policy.fault_in_refill = true;
    void* const block = heap.allocate(64);
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(heap.current(), Heap::kBuiltin);
    EXPECT_EQ(cpu.local.gate, nullptr);
    const uint64_t calls = policy.calls;
    heap.free(before);
    heap.free(block);
    heap.free(heap.allocate(500));
    EXPECT_EQ(policy.calls, calls);
    EXPECT_EQ(heap.violations(), 0u);
    EXPECT_GE(heap.owner_statistics(policy.owner).dropped, 1u);
    EXPECT_TRUE(heap.try_detach(policy.owner));
    EXPECT_EQ(heap.bytes_in_use(), 0u);
    EXPECT_EQ(pages.total_pages() - pages.free_pages(), heap.statistics().heap_pages + 1);
}

TEST_F(HeapTest, APolicyThatFaultsInDrainKeepsNobodyWaiting) {
    TestPolicy policy(heap);
    heap.make_current(policy.owner);
    std::vector<void*> blocks;
    for (int i = 0; i < 200; ++i) blocks.push_back(heap.allocate(64));
    policy.fault_in_drain = true;
    for (void* block : blocks) heap.free(block);
    EXPECT_EQ(heap.bytes_in_use(), 0u);
    EXPECT_EQ(heap.owner_statistics(policy.owner).state, HeapOwnerStatistics::State::Failed);
    heap.flush_this_cpu();
    EXPECT_EQ(heap.owner_statistics(policy.owner).blocks, 0u);
    EXPECT_TRUE(heap.try_detach(policy.owner));
    EXPECT_EQ(pages.total_pages() - pages.free_pages(), heap.statistics().heap_pages + 1);
}

#endif

TEST_F(HeapTest, BlocksOfAFailedPolicyStayValidAndAreOnlyCountedWhenFreed) {
    TestPolicy policy(heap);
    heap.make_current(policy.owner);
    std::vector<uint8_t*> blocks;
    for (int i = 0; i < 50; ++i) {
        blocks.push_back(static_cast<uint8_t*>(heap.allocate(256)));
        std::memset(blocks.back(), i, 256);
    }
    heap.owner_failed(policy.owner);
    heap.owner_failed(policy.owner);
    heap.free(heap.allocate(256));
    const uint64_t calls = policy.calls;
    for (int i = 0; i < 50; ++i) {
        EXPECT_EQ(blocks[static_cast<size_t>(i)][255], i);
        EXPECT_FALSE(heap.try_detach(policy.owner));
        heap.free(blocks[static_cast<size_t>(i)]);
    }
    EXPECT_EQ(policy.calls, calls);
    EXPECT_GE(heap.owner_statistics(policy.owner).dropped, 50u);
    EXPECT_EQ(heap.policy_pages(policy.owner, 0, 1).error().code(), ErrorCode::InvalidState);
    EXPECT_TRUE(heap.try_detach(policy.owner));
    EXPECT_EQ(pages.total_pages() - pages.free_pages(), heap.statistics().heap_pages + 1);
}

TEST_F(HeapTest, AnAbandonedPolicyIsDetachedByItsLastFree) {
    TestPolicy policy(heap);
    heap.make_current(policy.owner);
    void* const one = heap.allocate(256);
    void* const two = heap.allocate(256);
    heap.abandon(policy.owner);
    const uint64_t calls = policy.calls;
    EXPECT_EQ(heap.current(), Heap::kBuiltin);
    EXPECT_EQ(heap.owner_statistics(policy.owner).state, HeapOwnerStatistics::State::Abandoned);
    heap.free(one);
    EXPECT_EQ(heap.owner_statistics(policy.owner).blocks, 1u);
    heap.free(two);
    EXPECT_EQ(heap.owner_statistics(policy.owner).state, HeapOwnerStatistics::State::Vacant);
    EXPECT_EQ(policy.calls, calls);
    EXPECT_EQ(pages.total_pages() - pages.free_pages(), heap.statistics().heap_pages + 1);

    TestPolicy idle(heap);
    heap.abandon(idle.owner);
    EXPECT_EQ(heap.owner_statistics(idle.owner).state, HeapOwnerStatistics::State::Vacant);
}

TEST_F(HeapTest, APolicyThatAllocatesFromTheHeapItServesGetsTheBuiltin) {
    TestPolicy policy(heap);
    policy.allocate_inside = 64;
    heap.make_current(policy.owner);
    void* const block = heap.allocate(64);
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(policy.calls, 1u);
    heap.free(block);
    heap.make_current(Heap::kBuiltin);
    EXPECT_EQ(heap.bytes_in_use(), 0u);
    EXPECT_TRUE(heap.try_detach(policy.owner));
}

TEST_F(HeapTest, AnotherCpuReturnsItsMagazinesBeforeItsNextUse) {
    TestPolicy policy(heap);
    heap.make_current(policy.owner);
    void* block = nullptr;
    std::thread([&] {
        test::FakeCpu second(1);
        block = heap.allocate(64);
    }).join();
    heap.make_current(Heap::kBuiltin);
    heap.free(block);  // freed on a CPU that did not allocate it
    EXPECT_EQ(heap.bytes_in_use(), 0u);
    EXPECT_FALSE(heap.try_detach(policy.owner)) << "CPU 1 still has blocks of it in a magazine";
    EXPECT_GT(policy.in_use, 0u);
    std::thread([&] {
        test::FakeCpu second(1);
        heap.flush_this_cpu();
    }).join();
    EXPECT_EQ(policy.in_use, 0u);
    EXPECT_TRUE(heap.try_detach(policy.owner));
}

TEST_F(HeapTest, ACpuThatLeavesReturnsItsMagazinesThoughTheirOwnerStays) {
    TestPolicy policy(heap);
    heap.make_current(policy.owner);
    std::thread([&] {
        test::FakeCpu second(1);
        heap.free(heap.allocate(64));
        EXPECT_GT(policy.in_use, 0u) << "the magazine is empty already";
        heap.flush_this_cpu();
        EXPECT_GT(policy.in_use, 0u) << "the owner did not change";
        heap.leave_this_cpu();
        EXPECT_EQ(policy.in_use, 0u);
        heap.free(heap.allocate(64));  // it serves again if it comes back
        heap.leave_this_cpu();
    }).join();
    heap.make_current(Heap::kBuiltin);
    EXPECT_TRUE(heap.try_detach(policy.owner));
}

TEST_F(HeapTest, TwoCpusAllocateAndFreeEachOthersBlocksWhilePoliciesAreSwapped) {
    constexpr int kRounds = 60'000;
    std::mutex mutex;
    std::vector<void*> shared;
    std::atomic<bool> done = false;
    auto work = [&](CpuId id) {
        test::FakeCpu local(id);
        test::Random random(id);
        for (int i = 0; i < kRounds; ++i) {
            const size_t size = 16 + random.below(400);
            auto* block = static_cast<uint8_t*>(heap.allocate(size));
            if (block != nullptr) std::memset(block, static_cast<int>(size), size);
            std::lock_guard lock(mutex);
            if (block != nullptr) shared.push_back(block);
            if (shared.size() > 100) {
                const size_t pick = random.below(shared.size());
                void* const other = shared[pick];
                shared[pick] = shared.back();
                shared.pop_back();
                heap.free(other);
            }
        }
        heap.flush_this_cpu();
    };
    std::thread first([&] { work(1); });
    std::thread second([&] {
        work(2);
        done = true;
    });
    std::vector<std::unique_ptr<TestPolicy>> policies;
    size_t swaps = 0;
    auto detach_finished = [&] {
        std::erase_if(policies,
                      [&](auto& policy) { return policy->owner != heap.current() && heap.try_detach(policy->owner); });
    };
    while (!done || swaps <= 3) {  // a busy host may let the others finish first
        policies.push_back(std::make_unique<TestPolicy>(heap));
        heap.make_current(policies.back()->owner);
        ++swaps;
        while (policies.size() > 20 && !done) {
            detach_finished();
            std::this_thread::yield();
        }
    }
    first.join();
    second.join();
    heap.make_current(Heap::kBuiltin);
    for (void* block : shared) heap.free(block);
    for (CpuId id : {1u, 2u})
        std::thread([&, id] {
            test::FakeCpu local(id);
            heap.flush_this_cpu();
        }).join();
    detach_finished();
    EXPECT_EQ(policies.size(), 0u);
    EXPECT_GT(swaps, 3u);
    EXPECT_EQ(heap.bytes_in_use(), 0u);
    EXPECT_EQ(heap.violations(), 0u);
    EXPECT_TRUE(pages.self_check());
}

TEST_F(HeapTest, PolicyPagesAreAlignedToTheirNumberAndBelongToWhoTookThem) {
    TestPolicy policy(heap);
    TestPolicy other(heap);
    const size_t free_before = pages.free_pages();
    EXPECT_EQ(heap.policy_pages(policy.owner, kSizeClassCount, 1).error().code(), ErrorCode::InvalidArgument);
    EXPECT_EQ(heap.policy_pages(Heap::kBuiltin, 0, 1).error().code(), ErrorCode::InvalidArgument);
    EXPECT_EQ(heap.policy_pages(100, 0, 1).error().code(), ErrorCode::InvalidState);
    EXPECT_EQ(heap.policy_pages(policy.owner, 0, 0).error().code(), ErrorCode::InvalidArgument);
    EXPECT_EQ(heap.policy_pages(policy.owner, 0, 100'000).error().code(), ErrorCode::OutOfMemory);
    void* const run = heap.policy_pages(policy.owner, 3, 8).take();
    EXPECT_EQ(arch::physical_of(run) % (8 * kPageSize), 0u);
    EXPECT_EQ(heap.owner_statistics(policy.owner).pages, 8u);
    EXPECT_FALSE(heap.policy_pages_free(other.owner, run, 8).ok());
    EXPECT_FALSE(heap.policy_pages_free(policy.owner, run, 9).ok());
    EXPECT_FALSE(heap.policy_pages_free(policy.owner, nullptr, 1).ok());
    EXPECT_TRUE(heap.policy_pages_free(policy.owner, run, 8).ok());
    EXPECT_FALSE(heap.policy_pages_free(policy.owner, run, 8).ok());
    EXPECT_EQ(pages.free_pages(), free_before);
    EXPECT_TRUE(heap.try_detach(policy.owner));
    EXPECT_TRUE(heap.try_detach(other.owner));
}

TEST_F(HeapTest, SaysSoWhenThereAreTooManyOwners) {
    std::vector<uint8_t> owners;
    for (;;) {
        auto owner = heap.attach(nullptr, nullptr);
        if (!owner.ok()) {
            EXPECT_EQ(owner.error().code(), ErrorCode::Busy);
            break;
        }
        owners.push_back(owner.value());
    }
    EXPECT_EQ(owners.size(), Heap::kMaximumOwners - 1);
    for (uint8_t owner : owners) EXPECT_TRUE(heap.try_detach(owner));
    EXPECT_TRUE(heap.attach(nullptr, nullptr).ok());
}

TEST_F(HeapDeathTest, FreeingWhatIsNotInUseIsAPanic) {
    void* const large = heap.allocate(10'000);
    EXPECT_DEATH(heap.free(static_cast<uint8_t*>(large) + kPageSize), "inside of a block");
    heap.free(large);
    EXPECT_DEATH(heap.free(large), "not in use");
    int elsewhere = 0;
    EXPECT_DEATH(heap.free(&elsewhere), "not in use");
    EXPECT_DEATH(heap.free(arch::direct_map(pages.allocate(1).take())), "no block of the heap");
    EXPECT_DEATH(heap.make_current(9), "not attached");
}

#if defined(HELIX_DEBUG_LOCKS)
TEST_F(HeapDeathTest, UsingItWithASpinLockHeldIsAPanic) {
    SpinLock lock(LockRank::Slot);
    SpinLockGuard guard(lock);
    EXPECT_DEATH(heap.allocate(16), "Heap::allocate called while a lock of rank Slot is held");
    EXPECT_DEATH(heap.free(&lock), "Heap::free called while a lock of rank Slot is held");
}
#endif

}  // namespace
}  // namespace helix::kernel
