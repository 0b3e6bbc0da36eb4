// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What CPUs want of each other is done once, in order, and by whoever is there to do it.

#include "kernel/thread/cpu_work.hpp"

#include "tests/unit/fake_port.hpp"

#include <thread>
#include <vector>

namespace helix::kernel {
namespace {

class CpuWorkTest : public test::KernelTest {
protected:
    CpuWorkTest() { preempt_disable(); }
    void TearDown() override {
        preempt_enable();
        KernelTest::TearDown();
    }
};

/// Writes down that it was done.
struct Note {
    std::vector<int>* done;
    int number;
    static void write(void* note) {
        const Note& self = *static_cast<Note*>(note);
        self.done->push_back(self.number);
    }
};

TEST_F(CpuWorkTest, IsDoneInTheOrderInWhichItCame) {
    std::vector<int> done;
    Note notes[] = {{&done, 1}, {&done, 2}, {&done, 3}};
    CpuWork first(Note::write, &notes[0]), second(Note::write, &notes[1]), third(Note::write, &notes[2]);
    CpuWorkQueue queue;
    queue.open();
    for (CpuWork* work : {&first, &second, &third}) work->begin(1);
    EXPECT_EQ(queue.put(first, 0), CpuWorkQueue::Put::First);
    EXPECT_EQ(queue.put(second, 0), CpuWorkQueue::Put::Behind);
    queue.run(0);
    EXPECT_EQ(queue.put(third, 0), CpuWorkQueue::Put::First) << "the CPU has to be told again";
    EXPECT_TRUE(first.is_done() && second.is_done());
    EXPECT_FALSE(third.is_done());
    queue.open();  // it is open: nothing is lost
    queue.run(0);
    EXPECT_TRUE(third.is_done());
    queue.run(0);
    EXPECT_EQ(done, (std::vector<int>{1, 2, 3}));
}

TEST_F(CpuWorkTest, OneThingWaitsInTheQueuesOfSeveralCpus) {
    std::vector<int> done;
    Note note{&done, 1};
    CpuWork work(Note::write, &note);
    CpuWorkQueue queues[3];
    for (CpuWorkQueue& queue : queues) queue.open();
    work.begin(3);
    for (CpuId id = 0; id < 3; ++id) EXPECT_EQ(queues[id].put(work, id), CpuWorkQueue::Put::First);
    for (CpuId id = 0; id < 3; ++id) {
        EXPECT_FALSE(work.is_done());
        queues[id].run(id);
    }
    EXPECT_TRUE(work.is_done());
    EXPECT_EQ(done.size(), 3u);
}

TEST_F(CpuWorkTest, WhoLeavesDoesWhatWasAskedBeforeAndRefusesTheRest) {
    std::vector<int> done;
    Note notes[] = {{&done, 1}, {&done, 2}};
    CpuWork before(Note::write, &notes[0]), after(Note::write, &notes[1]);
    CpuWorkQueue queue;
    EXPECT_EQ(queue.put(before, 0), CpuWorkQueue::Put::Refused) << "it is closed at first";
    queue.open();
    before.begin(1);
    EXPECT_EQ(queue.put(before, 0), CpuWorkQueue::Put::First);
    queue.close(0);
    EXPECT_TRUE(before.is_done());
    EXPECT_EQ(queue.put(after, 0), CpuWorkQueue::Put::Refused);
    EXPECT_EQ(done, std::vector<int>{1});
}

TEST_F(CpuWorkTest, SeveralCpusAskAtOnceAndNothingIsLostOrDoneTwice) {
    constexpr uint32_t kAskers = 4;
    constexpr uint64_t kRounds = 20'000;
    CpuWorkQueue queue;
    queue.open();
    uint64_t done[kAskers] = {};  // written by this CPU only
    uint32_t asking = kAskers;
    std::vector<std::thread> askers;
    for (uint32_t i = 0; i < kAskers; ++i)
        askers.emplace_back([&, i] {
            const test::FakeCpu other(1 + i);
            for (uint64_t round = 0; round < kRounds; ++round) {
                CpuWork work([](void* count) { ++*static_cast<uint64_t*>(count); }, &done[i]);
                work.begin(1);
                EXPECT_NE(queue.put(work, 0), CpuWorkQueue::Put::Refused);
                while (!work.is_done()) arch::spin_hint();
                EXPECT_EQ(done[i], round + 1);  // seen, since it is done; not atomic
            }
            __atomic_fetch_sub(&asking, 1, __ATOMIC_SEQ_CST);
        });
    while (__atomic_load_n(&asking, __ATOMIC_SEQ_CST) != 0) queue.run(0);
    for (std::thread& asker : askers) asker.join();
    for (const uint64_t count : done) EXPECT_EQ(count, kRounds);
}

}  // namespace
}  // namespace helix::kernel
