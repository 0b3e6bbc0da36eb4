// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// helix-allocator-slab, called directly and behind a heap.

#include "tests/unit/module_under_test.hpp"

#include "slab.cpp"

#include "tests/unit/allocator_host.hpp"

#include <cstring>
#include <thread>
#include <vector>

namespace helix {
namespace {

class SlabTest : public test::AllocatorTest {};

size_t refill(SlabAllocator& policy, uint32_t size_class, std::vector<void*>& out, size_t count) {
    std::vector<void*> blocks(count);
    const size_t got = policy.refill(size_class, blocks);
    out.insert(out.end(), blocks.begin(), blocks.begin() + static_cast<ptrdiff_t>(got));
    return got;
}
void drain(SlabAllocator& policy, uint32_t size_class, std::vector<void*>& blocks) {
    policy.drain(size_class, Span<void* const>(blocks.data(), blocks.size()));
    blocks.clear();
}

TEST_F(SlabTest, HandsOutDisjointAlignedBlocksOfEveryClass) {
    test::AllocatorHost<SlabAllocator> host(heap);
    for (uint32_t size_class = 0; size_class < kSizeClassCount; ++size_class) {
        std::vector<void*> blocks;
        ASSERT_EQ(refill(host.policy, size_class, blocks, 300), 300u);
        for (size_t i = 0; i < blocks.size(); ++i) {
            EXPECT_EQ(reinterpret_cast<uint64_t>(blocks[i]) % 16, 0u);
            std::memset(blocks[i], static_cast<int>(i), kSizeClasses[size_class]);
        }
        for (size_t i = 0; i < blocks.size(); ++i) {
            const auto* bytes = static_cast<uint8_t*>(blocks[i]);
            for (size_t k = 0; k < kSizeClasses[size_class]; ++k) ASSERT_EQ(bytes[k], static_cast<uint8_t>(i));
        }
        EXPECT_TRUE(host.policy.self_check());
        drain(host.policy, size_class, blocks);
        EXPECT_TRUE(host.policy.is_healthy());
    }
    EXPECT_EQ(host.policy.statistics().blocks_in_use, 0u);
    EXPECT_TRUE(heap.try_detach(host.owner));
}

TEST_F(SlabTest, KeepsEmptySlabsUpToItsReserveAndGivesTheRestBack) {
    for (const char* reserve : {"0", "1", "3"}) {
        const size_t free_before = pages.free_pages();
        test::AllocatorHost<SlabAllocator> host(heap, reserve);
        std::vector<void*> blocks;
        ASSERT_EQ(refill(host.policy, 0, blocks, 3000), 3000u);
        EXPECT_EQ(host.policy.statistics().pages, 12u);  // 252 blocks of 16 bytes a page
        drain(host.policy, 0, blocks);
        EXPECT_EQ(host.policy.statistics().pages, static_cast<uint64_t>(reserve[0] - '0'));
        EXPECT_EQ(pages.free_pages(), free_before - host.policy.statistics().pages);
        EXPECT_TRUE(host.policy.self_check());
        EXPECT_TRUE(heap.try_detach(host.owner));
        EXPECT_EQ(pages.free_pages(), free_before);
    }
}

TEST_F(SlabTest, FillsPartlyUsedSlabsBeforeEmptyOnes) {
    test::AllocatorHost<SlabAllocator> host(heap, "8");
    std::vector<void*> blocks;
    refill(host.policy, 5, blocks, 200);
    const uint64_t pages_used = host.policy.statistics().pages;
    std::vector<void*> some;
    for (size_t i = 0; i < blocks.size(); i += 2) some.push_back(blocks[i]);
    const size_t count = some.size();
    drain(host.policy, 5, some);
    refill(host.policy, 5, some, count);
    EXPECT_EQ(host.policy.statistics().pages, pages_used);
    EXPECT_TRUE(host.policy.self_check());
}

TEST_F(SlabTest, NoticesABlockThatComesBackTwiceOrIsNone) {
    for (int kind = 0; kind < 4; ++kind) {
        test::AllocatorHost<SlabAllocator> host(heap);
        std::vector<void*> blocks;
        refill(host.policy, 3, blocks, 4);
        void* wrong[1] = {};
        switch (kind) {
            case 0:  // twice
                wrong[0] = blocks[0];
                host.policy.drain(3, Span<void* const>(wrong, 1));
                break;
            case 1: wrong[0] = static_cast<uint8_t*>(blocks[0]) + 16; break;  // the inside of one
            case 2: wrong[0] = reinterpret_cast<void*>(reinterpret_cast<uint64_t>(blocks[0]) & ~uint64_t{4095}); break;
            default: wrong[0] = heap.policy_pages(host.owner, 3, 1).take(); std::memset(wrong[0], 0, 64);
        }
        EXPECT_TRUE(host.policy.is_healthy());
        host.policy.drain(3, Span<void* const>(wrong, 1));
        EXPECT_FALSE(host.policy.is_healthy()) << kind;
        EXPECT_EQ(host.policy.statistics().blocks_in_use, kind == 0 ? 3u : 4u) << "a wrong block changes no count";
        heap.owner_failed(host.owner);
        EXPECT_TRUE(heap.try_detach(host.owner));
    }
}

TEST_F(SlabTest, AnswersStatisticsAndRefusesOtherRequests) {
    test::AllocatorHost<SlabAllocator> host(heap);
    auto response = host.policy.handle_request({InstanceId::None, "statistics", {}});
    ASSERT_TRUE(response.ok());
    EXPECT_EQ(std::string(response.value().payload().text()),
              "{\"pages\":0,\"blocks_free\":0,\"blocks_in_use\":0,\"refills\":0,\"drains\":0}");
    EXPECT_EQ(host.policy.handle_request({InstanceId::None, "other", {}}).error().code(), ErrorCode::NotImplemented);
}

TEST_F(SlabTest, GivesWhatItCanWhenMemoryIsShort) {
    test::AllocatorHost<SlabAllocator> host(heap);
    std::vector<void*> blocks;
    size_t got = 0;
    do got = refill(host.policy, 13, blocks, 64);
    while (got == 64);
    EXPECT_GT(blocks.size(), 7000u);
    EXPECT_TRUE(host.policy.self_check());
    drain(host.policy, 13, blocks);
    EXPECT_TRUE(host.policy.self_check());
    EXPECT_EQ(host.policy.refill(kSizeClassCount, Span<void*>()), 0u);
}

TEST_F(SlabTest, RandomUseBehindAHeapOnTwoCpusLeavesNothingInUse) {
    test::Random seeds;
    SCOPED_TRACE(seeds.trace());
    test::AllocatorHost<SlabAllocator> host(heap);
    heap.make_current(host.owner);
    auto work = [&](uint64_t seed) {
        test::Random random(seed);
        std::vector<std::pair<uint8_t*, size_t>> blocks;
        for (int step = 0; step < 40'000; ++step) {
            if (blocks.empty() || random.below(100) < (step / 3000 % 2 == 0 ? 65u : 35u)) {
                const size_t size = 1 + random.below(random.below(4) == 0 ? 2048 : 200);
                auto* const block = static_cast<uint8_t*>(heap.allocate(size));
                if (block == nullptr) continue;
                std::memset(block, static_cast<int>(size), size);
                blocks.push_back({block, size});
            } else {
                const size_t pick = random.below(blocks.size());
                const auto [block, size] = blocks[pick];
                EXPECT_EQ(block[0], static_cast<uint8_t>(size));
                EXPECT_EQ(block[size - 1], static_cast<uint8_t>(size));
                heap.free(block);
                blocks[pick] = blocks.back();
                blocks.pop_back();
            }
            if (step % 1000 == 0) {
                EXPECT_TRUE(host.policy.self_check());
            }
        }
        for (auto& [block, size] : blocks) heap.free(block);
        heap.flush_this_cpu();
    };
    const uint64_t seed = seeds.next();
    std::thread other([&] {
        test::FakeCpu second(1);
        work(seed);
        // Its magazines are full of the policy's blocks; the swap comes while it stands still.
    });
    work(seed + 1);
    other.join();
    heap.make_current(kernel::Heap::kBuiltin);
    std::thread([&] {
        test::FakeCpu second(1);
        heap.flush_this_cpu();
    }).join();
    EXPECT_EQ(heap.bytes_in_use(), 0u);
    EXPECT_EQ(host.policy.statistics().blocks_in_use, 0u);
    EXPECT_TRUE(host.policy.self_check());
    EXPECT_LE(host.policy.statistics().pages, 14u * 8);
    EXPECT_EQ(heap.violations(), 0u);
    EXPECT_TRUE(heap.try_detach(host.owner));
}

}  // namespace
}  // namespace helix
