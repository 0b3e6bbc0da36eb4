// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The page allocator against a model, at its limits and on several CPUs.

#include "kernel/memory/page_allocator.hpp"

#include "tests/unit/fake_port.hpp"

#include <cstring>
#include <thread>
#include <vector>

namespace helix::kernel {
namespace {

class PageAllocatorTest : public test::KernelTest {
protected:
    void init() { ASSERT_TRUE(pages.init(machine.memory()).ok()); }

    PageAllocator pages;
};
using PageAllocatorDeathTest = PageAllocatorTest;

TEST_F(PageAllocatorTest, HandsOutEveryPageExactlyOnceAndTakesAllBack) {
    init();
    const size_t total = pages.total_pages();
    EXPECT_GE(total, 4095u - 9);  // 16 MiB less page 0 and the records
    std::vector<bool> seen(4096);
    std::vector<arch::PhysicalAddress> all;
    for (;;) {
        auto page = pages.allocate(1);
        if (!page.ok()) {
            EXPECT_EQ(page.error().code(), ErrorCode::OutOfMemory);
            break;
        }
        const size_t frame = page.value() / kPageSize;
        ASSERT_LT(frame, seen.size());
        ASSERT_FALSE(seen[frame]);
        seen[frame] = true;
        all.push_back(page.value());
        std::memset(arch::direct_map(page.value()), 0xcc, kPageSize);  // would ruin lists that lie in used pages
    }
    EXPECT_EQ(all.size(), total);
    EXPECT_EQ(pages.free_pages(), 0u);
    EXPECT_FALSE(seen[0]);
    for (auto page : all) pages.free(page, 1);
    EXPECT_EQ(pages.free_pages(), total);
    EXPECT_TRUE(pages.self_check());
    auto large = pages.allocate(2048);  // merged again
    ASSERT_TRUE(large.ok());
    EXPECT_EQ(large.value() % (2048 * kPageSize), 0u);
}

TEST_F(PageAllocatorTest, DoesNotReadMemoryThatItHasNotWritten) {
    // Every record looks like the head of a free block, of each order in turn: whoever believed one would merge with
    // memory that is in use, or not there.
    for (uint8_t order = 0; order < 12; ++order) {
        for (size_t frame = 1; frame < 4096; ++frame) std::memset(machine.direct_map(frame * kPageSize), 0xf1, 64);
        for (size_t entry = 0; entry < 4096; ++entry) {
            const PageInfo head{PageInfo::State::FreeHead, order, 1, 1, 0};
            std::memcpy(machine.direct_map(kPageSize + entry * sizeof(head)), &head, sizeof(head));
        }
        PageAllocator fresh;
        ASSERT_TRUE(fresh.init(machine.memory()).ok());
        std::vector<arch::PhysicalAddress> all;
        for (size_t i = 0; i < fresh.total_pages(); ++i) all.push_back(fresh.allocate(1).take());
        ASSERT_EQ(fresh.free_pages(), 0u);
        for (auto page : all) fresh.free(page, 1);
        ASSERT_TRUE(fresh.self_check()) << "order " << int{order};
    }
    init();
    test::Random random(7);
    std::vector<std::pair<arch::PhysicalAddress, size_t>> held;
    for (int i = 0; i < 3000; ++i) {
        const size_t count = 1 + random.below(40);
        if (auto run = pages.allocate(count, {1, 3}); run.ok()) held.push_back({run.value(), count});
        if (held.size() > 60) {
            pages.free(held.front().first, held.front().second);
            held.erase(held.begin());
        }
        ASSERT_TRUE(pages.self_check());
    }
    size_t count = 0;
    for (auto& run : held) count += run.second;
    EXPECT_EQ(pages.free_all_owned(1), count);
    EXPECT_EQ(pages.free_pages(), pages.total_pages());
    EXPECT_TRUE(pages.self_check());
}

TEST_F(PageAllocatorTest, GivesTheTailOfARunBack) {
    init();
    const size_t before = pages.free_pages();
    auto run = pages.allocate(5);
    ASSERT_TRUE(run.ok());
    EXPECT_EQ(run.value() % (8 * kPageSize), 0u);
    EXPECT_EQ(pages.free_pages(), before - 5);
    EXPECT_TRUE(pages.self_check());
    pages.free(run.value(), 5);
    EXPECT_EQ(pages.free_pages(), before);
    EXPECT_TRUE(pages.self_check());
}

TEST_F(PageAllocatorTest, TakesARunBackInParts) {
    init();
    auto run = pages.allocate(13);
    ASSERT_TRUE(run.ok());
    pages.free(run.value() + 4 * kPageSize, 5);
    EXPECT_TRUE(pages.self_check());
    pages.free(run.value(), 4);
    pages.free(run.value() + 9 * kPageSize, 4);
    EXPECT_EQ(pages.free_pages(), pages.total_pages());
    EXPECT_TRUE(pages.self_check());
}

TEST_F(PageAllocatorTest, RefusesNothingAndTooMuch) {
    init();
    EXPECT_EQ(pages.allocate(0).error().code(), ErrorCode::InvalidArgument);
    EXPECT_EQ(pages.allocate(pages.total_pages() + 1).error().code(), ErrorCode::OutOfMemory);
    EXPECT_EQ(pages.allocate(size_t{1} << 40).error().code(), ErrorCode::OutOfMemory);
    EXPECT_EQ(pages.allocate(SIZE_MAX).error().code(), ErrorCode::OutOfMemory);
}

TEST_F(PageAllocatorTest, JoinsRangesThatTouchOrOverlapAndUsesSeparateOnes) {
    constexpr arch::MemoryRange kRanges[] = {{0x800000, 0xa00000}, {0, 0x9f123},         {0x100000, 0x200000},
                                             {0x200000, 0x300000}, {0x280000, 0x380000}, {0x500000, 0x500000},
                                             {0x600800, 0x601800}, {0x700000, 0x701000}};
    ASSERT_TRUE(pages.init(kRanges).ok());
    // 0x100000-0x380000: 640 frames; 0x800000: 512; 0x1000-0x9f000: 158. The records of each come off; ranges of one
    // page hold nothing but their record.
    EXPECT_EQ(pages.total_pages(), (640u - 2) + (512u - 1) + (158u - 1));
    EXPECT_TRUE(pages.self_check());
    size_t count = 0;
    for (; pages.allocate(1, {1, 0}).ok(); ++count) {
    }
    EXPECT_EQ(count, pages.total_pages());
    EXPECT_EQ(pages.find_info(0x400000), nullptr);
    EXPECT_EQ(pages.find_info(0x100000), nullptr);  // a record
    ASSERT_NE(pages.find_info(0x37f000), nullptr);
    EXPECT_EQ(pages.free_all_owned(1), count);
    EXPECT_TRUE(pages.self_check());
}

TEST_F(PageAllocatorTest, KeepsTheLargestOfTooManyRanges) {
    std::vector<arch::MemoryRange> ranges;
    for (uint64_t i = 0; i < 60; ++i)
        ranges.push_back({0x10000 + i * 0x20000, 0x10000 + i * 0x20000 + 0x2000 + i * 0x1000});
    ASSERT_TRUE(pages.init(ranges).ok());
    size_t expected = 0;
    for (uint64_t i = 60 - PageAllocator::kMaximumZones; i < 60; ++i) expected += 2 + i - 1;
    // Ranges of 32 pages and more touch the next one and are joined with it: those hold one record less.
    EXPECT_GE(pages.total_pages(), expected);
    EXPECT_TRUE(pages.self_check());
}

TEST_F(PageAllocatorTest, SaysSoWhenThereIsNoMemoryAtAll) {
    constexpr arch::MemoryRange kRanges[] = {{0, 0x1000}, {0x3000, 0x4000}};
    EXPECT_EQ(pages.init(kRanges).error().code(), ErrorCode::OutOfMemory);
}

TEST_F(PageAllocatorTest, WorksWithTwoMegabytes) {
    constexpr arch::MemoryRange kRange[] = {{0x1000, 0x200000}};
    ASSERT_TRUE(pages.init(kRange).ok());
    EXPECT_EQ(pages.total_pages(), 511u - 1);
    EXPECT_TRUE(pages.allocate(256).ok());
}

TEST_F(PageAllocatorTest, StartsWithoutTouchingTheMemoryItManages) {
    // 64 GiB of addresses, of which only the pages that are written exist. There is one machine at a time.
    machine.~FakeMachine();
    {
        test::FakeMachine huge(uint64_t{64} << 30);
        PageAllocator many;
        ASSERT_TRUE(many.init(huge.memory()).ok());
        EXPECT_GT(many.total_pages(), (uint64_t{64} << 18) * 99 / 100);
        auto run = many.allocate(size_t{1} << 22);
        ASSERT_TRUE(run.ok());
        EXPECT_EQ(run.value() % (uint64_t{1} << 34), 0u);
        many.free(run.value(), size_t{1} << 22);
        EXPECT_TRUE(many.self_check());
    }
    new (&machine) test::FakeMachine(size_t{16} << 20);
}

TEST_F(PageAllocatorTest, RandomUseAgreesWithAModel) {
    init();
    test::Random random;
    SCOPED_TRACE(random.trace());
    std::vector<uint32_t> holder(4096);  // which run a frame belongs to; 0: free
    struct Run {
        arch::PhysicalAddress address;
        size_t pages;
        uint32_t id;
    };
    std::vector<Run> runs;
    size_t used = 0;
    for (uint32_t step = 1; step <= 40'000; ++step) {
        const bool grow = runs.empty() || random.below(100) < (step / 4000 % 2 == 0 ? 60u : 40u);
        if (grow) {
            const size_t count = random.below(10) == 0 ? 1 + random.below(300) : 1 + random.below(9);
            auto run = pages.allocate(count, {static_cast<uint8_t>(step % 5), kNoSizeClass});
            if (!run.ok()) continue;
            for (size_t i = 0; i < count; ++i) {
                const size_t frame = run.value() / kPageSize + i;
                ASSERT_EQ(holder.at(frame), 0u) << "step " << step;
                holder[frame] = step;
                const PageInfo& info = pages.info(frame * kPageSize);
                ASSERT_EQ(info.state, PageInfo::State::Allocated);
                ASSERT_EQ(info.owner, step % 5);
                ASSERT_EQ(info.value, 0u);
            }
            size_t alignment = 1;
            while (alignment < count) alignment *= 2;
            ASSERT_EQ(run.value() / kPageSize % alignment, 0u);
            used += count;
            runs.push_back({run.value(), count, step});
            std::memset(arch::direct_map(run.value()), 0xdd, count * kPageSize);
        } else {
            const size_t pick = random.below(runs.size());
            const Run run = runs[pick];
            runs[pick] = runs.back();
            runs.pop_back();
            for (size_t i = 0; i < run.pages; ++i) holder[run.address / kPageSize + i] = 0;
            const size_t first = random.below(run.pages + 1);  // in two parts
            if (first != 0) pages.free(run.address, first);
            if (first != run.pages) pages.free(run.address + first * kPageSize, run.pages - first);
            used -= run.pages;
        }
        ASSERT_EQ(pages.free_pages(), pages.total_pages() - used);
        if (step % 64 == 0) {
            ASSERT_TRUE(pages.self_check()) << "step " << step;
        }
    }
    for (const Run& run : runs) pages.free(run.address, run.pages);
    EXPECT_EQ(pages.free_pages(), pages.total_pages());
    EXPECT_TRUE(pages.self_check());
}

TEST_F(PageAllocatorTest, TakesBackAllThatAnOwnerHoldsAndNothingElse) {
    init();
    test::Random random;
    SCOPED_TRACE(random.trace());
    struct Run {
        arch::PhysicalAddress address;
        size_t pages;
    };
    std::vector<Run> others;
    size_t mine = 0;
    for (int i = 0; i < 400; ++i) {
        const size_t count = 1 + random.below(8);
        switch (random.below(4)) {
            case 0: others.push_back({pages.allocate(count).take(), count}); break;
            case 1:
                others.push_back({pages.allocate(count, {3, kLargeBlock}).take(), count});  // not of a policy
                break;
            case 2: others.push_back({pages.allocate(count, {4, 2}).take(), count}); break;
            default: ASSERT_TRUE(pages.allocate(count, {3, 2}).ok()); mine += count;
        }
    }
    const size_t before = pages.free_pages();
    EXPECT_EQ(pages.free_all_owned(3), mine);
    EXPECT_EQ(pages.free_pages(), before + mine);
    EXPECT_TRUE(pages.self_check());
    EXPECT_EQ(pages.free_all_owned(3), 0u);
    for (const Run& run : others) pages.free(run.address, run.pages);
    EXPECT_EQ(pages.free_pages(), pages.total_pages());
}

TEST_F(PageAllocatorTest, FreesForAnOwnerOnlyWhatIsWhollyItsOwn) {
    init();
    const arch::PhysicalAddress mine = pages.allocate(4, {2, 1}).take();
    const arch::PhysicalAddress foreign = pages.allocate(4, {3, 1}).take();
    const arch::PhysicalAddress kernel = pages.allocate(4).take();
    const size_t before = pages.free_pages();
    EXPECT_FALSE(pages.free_owned(foreign, 4, 2));
    EXPECT_FALSE(pages.free_owned(kernel, 1, 0));
    EXPECT_FALSE(pages.free_owned(mine + 1, 1, 2));
    EXPECT_FALSE(pages.free_owned(mine, 0, 2));
    EXPECT_FALSE(pages.free_owned(mine, SIZE_MAX, 2));
    EXPECT_FALSE(pages.free_owned(uint64_t{1} << 50, 1, 2));
    EXPECT_EQ(pages.free_pages(), before);
    EXPECT_TRUE(pages.free_owned(mine, 4, 2));
    EXPECT_FALSE(pages.free_owned(mine, 4, 2));
    EXPECT_EQ(pages.free_pages(), before + 4);
}

TEST_F(PageAllocatorTest, SeveralCpusAtATime) {
    init();
    auto work = [&](CpuId id) {
        test::Random random(id + 1);
        std::vector<std::pair<arch::PhysicalAddress, size_t>> held;
        for (int i = 0; i < 20'000; ++i) {
            const size_t count = 1 + random.below(6);
            if (held.size() < 50) {
                auto run = pages.allocate(count);
                if (!run.ok()) continue;
                std::memset(arch::direct_map(run.value()), static_cast<int>(id), count * kPageSize);
                held.push_back({run.value(), count});
            } else {
                const auto run = held[i % held.size()];
                const auto* bytes = static_cast<const uint8_t*>(arch::direct_map(run.first));
                EXPECT_EQ(bytes[0], id);
                EXPECT_EQ(bytes[run.second * kPageSize - 1], id);
                pages.free(run.first, run.second);
                held[i % held.size()] = held.back();
                held.pop_back();
            }
        }
        for (auto& run : held) pages.free(run.first, run.second);
    };
    std::thread other([&] {
        test::FakeCpu second(1);
        work(1);
    });
    work(0);
    other.join();
    EXPECT_EQ(pages.free_pages(), pages.total_pages());
    EXPECT_TRUE(pages.self_check());
}

TEST_F(PageAllocatorDeathTest, FreeingTwiceIsAPanic) {
    init();
    auto run = pages.allocate(4);
    ASSERT_TRUE(run.ok());
    pages.free(run.value(), 4);
    EXPECT_DEATH(pages.free(run.value(), 4), "freed twice");
    EXPECT_DEATH(pages.free(run.value() + kPageSize, 1), "freed twice");
    EXPECT_DEATH(pages.free(0, 1), "not one of its pages");
    EXPECT_DEATH(pages.free(uint64_t{1} << 40, 1), "not one of its pages");
}

}  // namespace
}  // namespace helix::kernel
