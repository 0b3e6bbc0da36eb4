// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// helix-allocator-bump, called directly and handing over behind a heap.

#include "tests/unit/module_under_test.hpp"

#include "bump.cpp"

#include "tests/unit/allocator_host.hpp"

#include <cstring>
#include <vector>

namespace helix {
namespace {

class BumpTest : public test::AllocatorTest {};

TEST_F(BumpTest, HandsOutDisjointAlignedBlocksOfEveryClass) {
    test::AllocatorHost<BumpAllocator> host(heap);
    for (uint32_t size_class = 0; size_class < kSizeClassCount; ++size_class) {
        std::vector<void*> blocks(300);
        ASSERT_EQ(host.policy.refill(size_class, blocks), 300u);
        for (size_t i = 0; i < blocks.size(); ++i) {
            EXPECT_EQ(reinterpret_cast<uint64_t>(blocks[i]) % 16, 0u);
            std::memset(blocks[i], static_cast<int>(i), kSizeClasses[size_class]);
        }
        for (size_t i = 0; i < blocks.size(); ++i) {
            const auto* bytes = static_cast<uint8_t*>(blocks[i]);
            for (size_t k = 0; k < kSizeClasses[size_class]; ++k) ASSERT_EQ(bytes[k], static_cast<uint8_t>(i));
        }
        EXPECT_TRUE(host.policy.self_check());
        host.policy.drain(size_class, Span<void* const>(blocks.data(), blocks.size()));
        EXPECT_TRUE(host.policy.is_healthy());
    }
    EXPECT_EQ(host.policy.statistics().blocks_in_use, 0u);
    EXPECT_TRUE(heap.try_detach(host.owner));
}

TEST_F(BumpTest, NeverHandsOutABlockAgainButGivesWholeRunsBack) {
    test::AllocatorHost<BumpAllocator> host(heap);
    const size_t free_before = pages.free_pages();
    void* last = nullptr;
    for (int i = 0; i < 254; ++i) {  // one page holds 255 blocks of 16 bytes
        void* block[1];
        ASSERT_EQ(host.policy.refill(0, block), 1u);
        EXPECT_GT(block[0], last);
        last = block[0];
        host.policy.drain(0, Span<void* const>(block, 1));
    }
    EXPECT_EQ(pages.free_pages(), free_before - 1);
    void* block[1];
    ASSERT_EQ(host.policy.refill(0, block), 1u);
    EXPECT_EQ(host.policy.statistics().pages, 1u);
    host.policy.drain(0, Span<void* const>(block, 1));
    EXPECT_EQ(pages.free_pages(), free_before);
    EXPECT_EQ(host.policy.statistics().pages, 0u);
    EXPECT_TRUE(host.policy.self_check());
}

TEST_F(BumpTest, NoticesMoreBlocksComingBackThanWentOut) {
    test::AllocatorHost<BumpAllocator> host(heap);
    void* blocks[2];
    ASSERT_EQ(host.policy.refill(4, blocks), 2u);
    host.policy.drain(4, Span<void* const>(blocks, 2));
    EXPECT_TRUE(host.policy.is_healthy());
    host.policy.drain(4, Span<void* const>(blocks, 1));
    EXPECT_FALSE(host.policy.is_healthy());
}

TEST_F(BumpTest, HandsOverToAnotherPolicyAndLeavesNothingBehind) {
    const size_t free_before = pages.free_pages();
    test::AllocatorHost<BumpAllocator> host(heap);
    heap.make_current(host.owner);
    std::vector<void*> blocks;
    for (size_t i = 0; i < 2000; ++i) blocks.push_back(heap.allocate(1 + i % 2048));
    heap.make_current(kernel::Heap::kBuiltin);
    EXPECT_FALSE(heap.try_detach(host.owner));
    EXPECT_EQ(host.policy.statistics().blocks_in_use, 2000u);
    for (void* block : blocks) heap.free(block);
    EXPECT_EQ(heap.bytes_in_use(), 0u);
    EXPECT_TRUE(host.policy.self_check());
    EXPECT_TRUE(heap.try_detach(host.owner));
    EXPECT_EQ(pages.free_pages(), free_before - 1);  // this CPU's magazines
    EXPECT_EQ(heap.violations(), 0u);
}

}  // namespace
}  // namespace helix
