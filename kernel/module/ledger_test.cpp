// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Ledger: a block is given back once, whoever tries, and not by one that has handed it over.

#include "kernel/module/ledger.hpp"

#include "tests/unit/allocator_host.hpp"

#include <atomic>
#include <thread>

namespace helix::kernel {
namespace {

class LedgerTest : public test::AllocatorTest {
protected:
    Ledger mine{heap};
    Ledger other{heap};
};

TEST_F(LedgerTest, GivesABlockBackOnce) {
    void* const block = mine.allocate(100, 16);
    ASSERT_NE(block, nullptr);
    EXPECT_FALSE(other.try_free(block));
    EXPECT_EQ(mine.blocks(), 1u);
    EXPECT_TRUE(mine.try_free(block));
    EXPECT_FALSE(mine.try_free(block));
    EXPECT_EQ(mine.blocks(), 0u);
    EXPECT_EQ(heap.bytes_in_use(), 0u);
}

TEST_F(LedgerTest, WhoHandedABlockOverCannotFreeIt) {
    void* const block = mine.allocate(100, 16);
    EXPECT_FALSE(other.hand_over(block, 1, mine));
    EXPECT_FALSE(mine.hand_over(static_cast<char*>(block) + 16, 1, other));
    EXPECT_FALSE(mine.hand_over(block, size_t{1} << 20, other));
    EXPECT_TRUE(mine.hand_over(block, 1, other));
    EXPECT_FALSE(mine.hand_over(block, 1, other));
    EXPECT_FALSE(mine.try_free(block));
    EXPECT_EQ(mine.bytes(), 0u);
    EXPECT_EQ(other.bytes(), 100u);
    other.release_all();
    EXPECT_EQ(heap.bytes_in_use(), 0u);
}

TEST_F(LedgerTest, SumsUpWhereBlocksComeFrom) {
    constexpr uint32_t kHighest = (1u << 29) - 1;
    (void)mine.allocate(100, 16);
    (void)mine.allocate(1, 4'096, kHighest);
    void* const freed = mine.allocate(50, 64, 7);
    (void)mine.allocate(60, 16, 7);
    (void)mine.allocate(size_t{1} << 20, 16, 7);
    (void)mine.allocate(9, 16, 8);
    EXPECT_TRUE(mine.try_free(freed));
    LedgerSite sites[3];
    ASSERT_EQ(mine.sites(sites), 3u);
    EXPECT_EQ(sites[0].site, kHighest);
    EXPECT_EQ(sites[0].bytes, 1u);
    EXPECT_EQ(sites[1].site, 7u);
    EXPECT_EQ(sites[1].blocks, 2u);
    EXPECT_EQ(sites[1].bytes, 60u + (1u << 20));
    EXPECT_EQ(sites[2].site, 8u);
    LedgerSite one[1];
    EXPECT_EQ(mine.sites(one), 1u) << "the oldest, if there is no room for others";
    mine.release_all();
    EXPECT_EQ(mine.sites(sites), 0u);
    EXPECT_EQ(heap.bytes_in_use(), 0u);
}

TEST_F(LedgerTest, OfTwoThreadsThatFreeABlockAtOnceOneDoes) {
    constexpr int kRounds = 4'000;
    std::atomic<void*> block = nullptr;
    std::atomic<int> arrived = 0;
    std::atomic<int> freed = 0;
    const auto free_all = [&](CpuId cpu) {
        const test::FakeCpu self(cpu);
        for (int round = 0; round < kRounds; ++round) {
            if (cpu == 0) block = mine.allocate(100, 16);
            ++arrived;
            while (arrived < 4 * round + 2) std::this_thread::yield();
            if (mine.try_free(block)) ++freed;
            ++arrived;
            while (arrived < 4 * round + 4) std::this_thread::yield();
        }
    };
    std::thread second(free_all, 1);
    std::thread first(free_all, 0);
    first.join();
    second.join();
    EXPECT_EQ(freed, kRounds);
    EXPECT_EQ(mine.blocks(), 0u);
    EXPECT_EQ(heap.bytes_in_use(), 0u);
}

}  // namespace
}  // namespace helix::kernel
