// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The region allocator against a model, and mapped memory with its undo.

#include "kernel/memory/virtual_region.hpp"

#include "kernel/memory/mapped_memory.hpp"
#include "tests/unit/fake_port.hpp"

#include <cstring>
#include <map>
#include <vector>

namespace helix::kernel {
namespace {

class VirtualRegionTest : public test::KernelTest {
protected:
    void SetUp() override {
        ASSERT_TRUE(pages.init(machine.memory()).ok());
        ASSERT_TRUE(region.init(machine.region(), pages).ok());
        free_at_start = pages.free_pages();
        records_at_start = region.record_pages();
    }
    static uint64_t number(const void* address) { return reinterpret_cast<uint64_t>(address); }

    PageAllocator pages;
    VirtualRegion region;
    Heap heap;
    Memory memory{pages, region, heap};
    size_t free_at_start = 0;
    size_t records_at_start = 0;
};
using VirtualRegionDeathTest = VirtualRegionTest;
using MappedMemoryTest = VirtualRegionTest;
using MappedMemoryDeathTest = VirtualRegionTest;

TEST_F(VirtualRegionTest, HoldsTwentyThousandReservationsAndForgetsThemAll) {
    std::vector<void*> all;
    for (int i = 0; i < 20'000; ++i) {
        auto reserved = region.reserve(5);
        ASSERT_TRUE(reserved.ok()) << i;
        all.push_back(reserved.value());
    }
    EXPECT_EQ(region.reserved_pages(), 20'000u * 8);
    EXPECT_LE(region.record_pages(), records_at_start + 2 * (20'000 * 8 / 1024 + 1));
    for (void* address : all) region.release(address, 5);
    EXPECT_EQ(region.reserved_pages(), 0u);
    EXPECT_EQ(region.record_pages(), records_at_start);
    EXPECT_EQ(pages.free_pages(), free_at_start);
}

TEST_F(VirtualRegionTest, MergesWhatWasReleasedSoThatTheWholeCanBeReservedAgain) {
    constexpr size_t kAll = size_t{4} << 18;  // 4 GiB of pages
    auto whole = region.reserve(kAll);
    ASSERT_TRUE(whole.ok());
    EXPECT_EQ(region.reserve(1).error().code(), ErrorCode::OutOfMemory);
    region.release(whole.value(), kAll);
    std::vector<void*> small;
    for (int i = 0; i < 5000; ++i) small.push_back(region.reserve(1).take());
    EXPECT_EQ(region.reserve(kAll).error().code(), ErrorCode::OutOfMemory);
    for (void* address : small) region.release(address, 1);
    EXPECT_TRUE(region.reserve(kAll).ok());
}

TEST_F(VirtualRegionTest, RefusesNothingAndTooMuch) {
    EXPECT_EQ(region.reserve(0).error().code(), ErrorCode::InvalidArgument);
    EXPECT_EQ(region.reserve((size_t{4} << 18) + 1).error().code(), ErrorCode::OutOfMemory);
    EXPECT_EQ(region.reserve(SIZE_MAX).error().code(), ErrorCode::OutOfMemory);
    VirtualRegion other;
    EXPECT_EQ(other.init({0x1000, 0x300000}, pages).error().code(), ErrorCode::InvalidArgument);
}

TEST_F(VirtualRegionTest, UsesARegionWhoseSizeIsNoPowerOfTwoToItsEndAndNoFurther) {
    VirtualRegion odd;
    const uint64_t begin = machine.region().begin;
    ASSERT_TRUE(odd.init({begin + 0x1000, begin + (uint64_t{11} << 22) + 0x5000}, pages).ok());
    size_t count = 0;
    uint64_t lowest = UINT64_MAX;
    uint64_t highest = 0;
    for (;;) {
        auto reserved = odd.reserve(64);
        if (!reserved.ok()) break;
        lowest = std::min(lowest, number(reserved.value()));
        highest = std::max(highest, number(reserved.value()));
        ++count;
    }
    EXPECT_GE(count, 10u * 16);
    EXPECT_LE(count, 11u * 16);
    EXPECT_GE(lowest, begin + 0x1000);
    EXPECT_LE(highest + 64 * kPageSize, begin + (uint64_t{11} << 22) + 0x5000);
}

TEST_F(VirtualRegionTest, FailsCleanlyWhenThereIsNoMemoryForItsRecords) {
    std::vector<arch::PhysicalAddress> all;
    while (true) {
        auto page = pages.allocate(1);
        if (!page.ok()) break;
        all.push_back(page.value());
    }
    EXPECT_EQ(region.reserve(3).error().code(), ErrorCode::OutOfMemory);
    EXPECT_EQ(region.reserved_pages(), 0u);
    EXPECT_TRUE(region.reserve(1024).ok());  // a whole arena needs no record
    for (auto page : all) pages.free(page, 1);
    EXPECT_TRUE(region.reserve(3).ok());
}

TEST_F(VirtualRegionTest, RandomUseAgreesWithAModel) {
    test::Random random;
    SCOPED_TRACE(random.trace());
    struct Entry {
        size_t pages;
        size_t rounded;
        uint32_t note;
    };
    std::map<uint64_t, Entry> model;  // by address
    size_t reserved_pages = 0;
    for (int step = 0; step < 60'000; ++step) {
        if (model.empty() || random.below(100) < (step / 5000 % 2 == 0 ? 65u : 35u)) {
            const uint64_t kind = random.below(100);
            const size_t count = kind < 80   ? 1 + random.below(20)
                                 : kind < 99 ? 1 + random.below(900)
                                             : 1 + random.below(9000);
            auto reserved = region.reserve(count);
            if (!reserved.ok()) continue;
            size_t rounded = 1;
            while (rounded < count) rounded *= 2;
            const uint64_t address = number(reserved.value());
            ASSERT_GE(address, machine.region().begin);
            ASSERT_LE(address + rounded * kPageSize, machine.region().end);
            ASSERT_EQ(address % (std::min<size_t>(rounded, 1024) * kPageSize), 0u);
            auto next = model.lower_bound(address);
            if (next != model.end()) {
                ASSERT_LE(address + rounded * kPageSize, next->first) << "step " << step;
            }
            if (next != model.begin()) {
                --next;
                ASSERT_LE(next->first + next->second.rounded * kPageSize, address) << "step " << step;
            }
            const auto note = static_cast<uint32_t>(random.next());
            region.set_note(reserved.value(), note);
            model[address] = {count, rounded, note};
            reserved_pages += rounded;
        } else {
            auto entry =
                model.lower_bound(machine.region().begin + random.below(machine.region().end - machine.region().begin));
            if (entry == model.end()) entry = model.begin();
            auto* const address = reinterpret_cast<uint8_t*>(entry->first);
            ASSERT_EQ(region.note(address), entry->second.note);
            const auto found = region.find(address + random.below(entry->second.pages * kPageSize));
            ASSERT_EQ(found.start, address);
            ASSERT_EQ(found.pages, entry->second.rounded);
            region.release(address, entry->second.pages);
            ASSERT_EQ(region.find(address).start, nullptr);
            reserved_pages -= entry->second.rounded;
            model.erase(entry);
        }
        ASSERT_EQ(region.reserved_pages(), reserved_pages);
    }
    for (const auto& [address, entry] : model) region.release(reinterpret_cast<void*>(address), entry.pages);
    EXPECT_EQ(region.reserved_pages(), 0u);
    EXPECT_EQ(pages.free_pages(), free_at_start);
}

TEST_F(VirtualRegionDeathTest, ReleasingWhatIsNotReservedIsAPanic) {
    auto* const address = static_cast<uint8_t*>(region.reserve(4).take());
    auto* const other = static_cast<uint8_t*>(region.reserve(4).take());
    EXPECT_DEATH(region.release(address + kPageSize, 1), "not reserved");
    EXPECT_DEATH(region.release(address, 1), "not reserved");
    EXPECT_DEATH(region.release(address, 8), "not reserved");
    EXPECT_DEATH(region.release(address, 5000), "not reserved");
    EXPECT_DEATH(region.release(nullptr, 4), "not reserved");
    region.release(address, 4);
    EXPECT_DEATH(region.release(address, 4), "not reserved");
    region.release(other, 4);
    EXPECT_DEATH(region.release(other, 4), "not reserved");
}

TEST_F(MappedMemoryTest, MapsMemoryWithNothingBelowItAndTakesItBack) {
    auto mapped = map_pages(memory, 4, 1, arch::Protection::ReadWrite);
    ASSERT_TRUE(mapped.ok());
    auto* const bytes = static_cast<uint8_t*>(mapped.value());
    std::memset(bytes, 0x5a, 4 * kPageSize);
    EXPECT_EQ(machine.mapped_pages(), 4u);
    EXPECT_EQ(region.find(bytes - 1).start, bytes - kPageSize) << "the guard page belongs to the reservation";
    EXPECT_DEATH(bytes[-1] = 1, "");
    unmap_pages(memory, bytes);
    EXPECT_EQ(machine.mapped_pages(), 0u);
    EXPECT_EQ(region.reserved_pages(), 0u);
    EXPECT_EQ(pages.free_pages(), free_at_start);
}

TEST_F(MappedMemoryTest, UsesScatteredFramesWhenThereIsNoContiguousRun) {
    std::vector<arch::PhysicalAddress> all;
    auto warm = region.reserve(1);  // its record exists before memory is short
    ASSERT_TRUE(warm.ok());
    while (true) {
        auto page = pages.allocate(1);
        if (!page.ok()) break;
        all.push_back(page.value());
    }
    for (size_t i = 0; i < 200; i += 2) pages.free(all[i], 1);
    const size_t free_before = pages.free_pages();
    ASSERT_EQ(free_before, 100u);
    auto mapped = map_pages(memory, 70, 1, arch::Protection::ReadWrite);
    ASSERT_TRUE(mapped.ok());
    auto* const bytes = static_cast<uint8_t*>(mapped.value());
    for (size_t i = 0; i < 70; ++i) bytes[i * kPageSize] = static_cast<uint8_t>(i);
    for (size_t i = 0; i < 70; ++i) ASSERT_EQ(bytes[i * kPageSize], i);
    EXPECT_EQ(pages.free_pages(), 30u);
    EXPECT_EQ(map_pages(memory, 31, 0, arch::Protection::ReadWrite).error().code(), ErrorCode::OutOfMemory);
    EXPECT_EQ(pages.free_pages(), 30u);
    unmap_pages(memory, mapped.value());
    EXPECT_EQ(pages.free_pages(), free_before);
    EXPECT_EQ(machine.mapped_pages(), 0u);
    EXPECT_TRUE(pages.self_check());
}

TEST_F(MappedMemoryTest, MapsMoreThanAnArena) {
    auto mapped = map_pages(memory, 1500, 2, arch::Protection::ReadWrite);
    ASSERT_TRUE(mapped.ok());
    static_cast<uint8_t*>(mapped.value())[1500 * kPageSize - 1] = 1;
    EXPECT_EQ(machine.mapped_pages(), 1500u);
    unmap_pages(memory, mapped.value());
    EXPECT_EQ(machine.mapped_pages(), 0u);
    EXPECT_EQ(pages.free_pages(), free_at_start);
}

TEST_F(MappedMemoryTest, AFailureAtAnyStepLeavesNothingBehind) {
    for (size_t calls = 0; calls < 4; ++calls) {
        machine.fail_map_after(calls);
        auto mapped = map_pages(memory, 1000, 1, arch::Protection::ReadWrite);
        ASSERT_FALSE(mapped.ok()) << calls;
        EXPECT_EQ(mapped.error().code(), ErrorCode::OutOfMemory);
        EXPECT_EQ(machine.mapped_pages(), 0u);
        EXPECT_EQ(region.reserved_pages(), 0u);
        EXPECT_EQ(pages.free_pages(), free_at_start);
    }
    machine.fail_map_after(4);
    auto mapped = map_pages(memory, 1000, 1, arch::Protection::ReadWrite);
    ASSERT_TRUE(mapped.ok());
    unmap_pages(memory, mapped.value());
    EXPECT_EQ(pages.free_pages(), free_at_start);
    EXPECT_TRUE(pages.self_check());
    EXPECT_EQ(map_pages(memory, 0, 1, arch::Protection::ReadWrite).error().code(), ErrorCode::InvalidArgument);
    EXPECT_EQ(map_pages(memory, SIZE_MAX, 1, arch::Protection::ReadWrite).error().code(), ErrorCode::OutOfMemory);
}

TEST_F(MappedMemoryDeathTest, UnmappingTwiceIsAPanic) {
    auto mapped = map_pages(memory, 2, 1, arch::Protection::ReadWrite);
    ASSERT_TRUE(mapped.ok());
    unmap_pages(memory, mapped.value());
    EXPECT_DEATH(unmap_pages(memory, mapped.value()), "nothing is mapped");
}

}  // namespace
}  // namespace helix::kernel
