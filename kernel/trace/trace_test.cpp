// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What is added to a trace ring is read back whole and in order, or not at all, whatever is added meanwhile.
#include "kernel/trace/trace_reader.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace helix::kernel {
namespace {

struct Rings {
    explicit Rings(size_t count, size_t entries = TraceRing::kSmallest) : memory(count), rings(count) {
        for (size_t i = 0; i < count; ++i) {
            memory[i].resize(TraceRing::capacity_for(entries));
            if (!memory[i].empty()) rings[i].init(Span<TraceEntry>(memory[i].data(), memory[i].size()));
        }
    }
    TraceReader reader() const {
        return TraceReader(
            [](const void* self, CpuId cpu) -> const TraceRing& { return static_cast<const Rings*>(self)->rings[cpu]; },
            this, rings.size());
    }
    /// "CPU:cycles" of everything that `reader` still gives.
    static std::vector<std::string> rest(TraceReader reader) {
        std::vector<std::string> out;
        for (TraceRecord record; reader.next(record);)
            out.push_back(std::to_string(record.cpu) + ":" + std::to_string(record.cycles));
        return out;
    }

    std::vector<std::vector<TraceEntry>> memory;
    std::vector<TraceRing> rings;
};

using Strings = std::vector<std::string>;

TEST(TraceRing, CapacitiesArePowersOfTwoWithinTheirBounds) {
    EXPECT_EQ(TraceRing::capacity_for(0), 0u);
    EXPECT_EQ(TraceRing::capacity_for(1), 16u);
    EXPECT_EQ(TraceRing::capacity_for(16), 16u);
    EXPECT_EQ(TraceRing::capacity_for(17), 32u);
    EXPECT_EQ(TraceRing::capacity_for(1'000'000), 65'536u);
}

TEST(TraceRing, KeepsTheNewestEntriesOnly) {
    Rings one(1);
    TraceRing& ring = one.rings[0];
    EXPECT_EQ(ring.begin(), ring.end());
    TraceEntry entry;
    EXPECT_FALSE(ring.read(0, entry));
    for (uint32_t i = 0; i < 40; ++i) ring.add(1000 + i, TraceKind::Wake, 2, i, i + 1);
    EXPECT_EQ(ring.begin(), 24u);
    EXPECT_EQ(ring.end(), 40u);
    EXPECT_FALSE(ring.read(23, entry)) << "it was overwritten";
    EXPECT_FALSE(ring.read(40, entry)) << "it is still to come";
    ASSERT_TRUE(ring.read(24, entry));
    EXPECT_EQ(entry.cycles, 1024u);
    EXPECT_EQ(entry.kind(), TraceKind::Wake);
    EXPECT_EQ(entry.detail(), 2u);
    EXPECT_EQ(entry.subject, 24u);
    EXPECT_EQ(entry.other, 25u);
}

TEST(TraceRing, BelievesNoPlaceThatIsTakenAndNotYetWritten) {
    Rings one(1);
    TraceRing& ring = one.rings[0];
    for (uint32_t i = 0; i < 16; ++i) ring.add(i, TraceKind::Wake, 0, i, 0);
    const TraceEntry oldest = one.memory[0][0];
    TraceEntry entry;
    EXPECT_TRUE(ring.read(0, entry));
    ring.add(16, TraceKind::Wake, 0, 16, 0);
    one.memory[0][0] = oldest;  // as it is between the taking of the number and the writing
    EXPECT_FALSE(ring.read(0, entry)) << "somebody is about to overwrite it";
    EXPECT_FALSE(ring.read(16, entry)) << "it is not there yet";
    EXPECT_EQ(Rings::rest(one.reader()).size(), 15u);
}

TEST(TraceRing, KeepsNothingWhileItIsOffOrHasNoMemory) {
    Rings none(1, 0);
    none.rings[0].set_on(true);
    none.rings[0].add(1, TraceKind::Wake, 0, 0, 0);
    EXPECT_EQ(none.rings[0].end(), 0u);
    Rings one(1);
    one.rings[0].set_on(false);
    one.rings[0].add(1, TraceKind::Wake, 0, 0, 0);
    one.rings[0].add(1, TraceKind::Module, 0, 0, 0, 0, "nothing");
    EXPECT_EQ(one.rings[0].end(), 0u);
    one.rings[0].set_on(true);
    one.rings[0].add(1, TraceKind::Wake, 0, 0, 0);
    EXPECT_EQ(one.rings[0].end(), 1u);
}

TEST(TraceRing, KeepsChangesAloneIfThatIsItsScope) {
    std::vector<TraceEntry> memory(TraceRing::kSmallest);
    TraceRing ring;
    ring.init(Span<TraceEntry>(memory.data(), memory.size()), TraceScope::Changes);
    EXPECT_TRUE(ring.is_on());
    EXPECT_FALSE(ring.keeps_all());
    ring.add(1, TraceKind::Switch, 0, 0, 0);
    EXPECT_EQ(ring.end(), 0u);
    ring.add(1, TraceKind::Module, 0, 0, 0, 0, "");
    EXPECT_EQ(ring.end(), 1u);
    EXPECT_TRUE(is_change(TraceKind::Failure) && is_change(TraceKind::Transaction) && is_change(TraceKind::Cpu));
    EXPECT_FALSE(is_change(TraceKind::Wake) || is_change(TraceKind::Thread) || is_change(TraceKind::Request));
}

TEST(TraceReader, PutsTheEntriesOfAllCpusInTheOrderOfTheirTimes) {
    Rings three(3);
    three.rings[0].add(10, TraceKind::Wake, 0, 0, 0);
    three.rings[0].add(40, TraceKind::Wake, 0, 0, 0);
    three.rings[2].add(20, TraceKind::Wake, 0, 0, 0);
    three.rings[2].add(30, TraceKind::Wake, 0, 0, 0);
    three.rings[2].add(50, TraceKind::Wake, 0, 0, 0);
    EXPECT_EQ(Rings::rest(three.reader()), (Strings{"0:10", "2:20", "2:30", "0:40", "2:50"}));
    TraceReader last = three.reader();
    last.go_to_last(3);
    EXPECT_EQ(Rings::rest(last), (Strings{"2:30", "0:40", "2:50"}));
    last.go_to_last(100);
    EXPECT_EQ(Rings::rest(last).size(), 5u);
    last.go_to_last(0);
    EXPECT_TRUE(Rings::rest(last).empty());
}

TEST(TraceReader, GivesTextsBackWholeAndCountsThemAsPartOfTheirEntry) {
    Rings one(1);
    const std::string longest(TraceRing::kMaximumText + 10, 'x');
    const Strings texts{"", "a", std::string(24, 'b'), std::string(25, 'c'), longest};
    for (const std::string& text : texts)
        one.rings[0].add(1, TraceKind::Module, 7, 1, 2, 3, Text(text.data(), text.size()));
    TraceReader reader = one.reader();
    TraceRecord record;
    for (const std::string& text : texts) {
        ASSERT_TRUE(reader.next(record));
        EXPECT_EQ(std::string(record.text.data(), record.text.size()), text.substr(0, TraceRing::kMaximumText));
        EXPECT_EQ(record.kind, TraceKind::Module);
        EXPECT_EQ(record.detail, 7u);
        EXPECT_EQ(record.address, 3u);
    }
    EXPECT_FALSE(reader.next(record));
    reader.go_to_last(2);
    ASSERT_TRUE(reader.next(record));
    EXPECT_EQ(record.text.size(), 25u);
}

TEST(TraceReader, LeavesOutTextWhoseEntryIsGone) {
    Rings one(1);
    one.rings[0].add(1, TraceKind::Module, 0, 0, 0, 0, "a text of more than twenty-four bytes");
    for (uint32_t i = 0; i < 14; ++i) one.rings[0].add(2, TraceKind::Wake, 0, i, 0);  // its head is overwritten
    EXPECT_EQ(Rings::rest(one.reader()).size(), 14u);
}

TEST(TraceReader, NeverGivesAnEntryThatWasWrittenHalf) {
    Rings one(1);
    std::atomic<bool> stop = false;
    std::thread writer([&] {
        for (uint32_t i = 0; !stop; ++i) one.rings[0].add(i, TraceKind::Wake, static_cast<uint8_t>(i), i, ~i);
    });
    size_t seen = 0;
    while (seen < 100'000) {
        TraceReader reader = one.reader();
        for (TraceRecord record; reader.next(record); ++seen) {
            ASSERT_EQ(record.subject, static_cast<uint32_t>(record.cycles));
            ASSERT_EQ(record.other, ~record.subject);
            ASSERT_EQ(record.detail, static_cast<uint8_t>(record.subject));
        }
    }
    stop = true;
    writer.join();
}

}  // namespace
}  // namespace helix::kernel
