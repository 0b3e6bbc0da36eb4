// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A port for unit tests: real memory behind the seam, CPUs that are threads of the test, a clock that stands still.
//
// Physical memory is a memfd, so that arch::map really maps it. Nothing switches contexts or takes interrupts: what a
// test calls runs to its end on the calling thread. panic ends the process, for EXPECT_DEATH.
#pragma once

#include "arch/seam.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>

namespace helix::test {

/// The machine behind arch:: while it lives; one at a time. Physical addresses from 0 to `bytes`.
class FakeMachine {
public:
    explicit FakeMachine(size_t bytes);
    ~FakeMachine();
    FakeMachine(const FakeMachine&) = delete;
    FakeMachine& operator=(const FakeMachine&) = delete;

    static FakeMachine& current();

    /// All of it but the first page.
    Span<const arch::MemoryRange> memory() const { return Span<const arch::MemoryRange>(&range_, 1); }
    /// 8 GiB of addresses with nothing behind them.
    arch::VirtualRange region() const { return region_; }
    size_t mapped_pages();
    /// From now on arch::map fails when it has mapped `calls` more times.
    void fail_map_after(size_t calls) { map_calls_left_ = calls; }
    void set_time(uint64_t now_ns) { now_ns_ = now_ns; }
    uint64_t time() const { return now_ns_; }

    uint8_t* direct_map(arch::PhysicalAddress address) const { return base_ + address; }
    arch::PhysicalAddress physical_of(const void* pointer) const {
        return static_cast<arch::PhysicalAddress>(static_cast<const uint8_t*>(pointer) - base_);
    }
    Result<void> map(void* at, arch::PhysicalAddress address, size_t count, arch::Protection protection);
    void unmap(void* at, size_t count);

private:
    int memory_file_;
    size_t bytes_;
    void* space_;
    size_t space_bytes_;
    uint8_t* base_;
    arch::MemoryRange range_;
    arch::VirtualRange region_;
    std::mutex mutex_;
    std::map<uint64_t, arch::PhysicalAddress> mapped_;  // by virtual page
    size_t map_calls_left_ = SIZE_MAX;
    uint64_t now_ns_ = 0;
};

/// Makes the calling thread a CPU while it lives: `%gs` points to a CpuLocal with preemption on.
class FakeCpu {
public:
    explicit FakeCpu(CpuId cpu = 0, void* kernel = nullptr);
    ~FakeCpu();
    FakeCpu(const FakeCpu&) = delete;
    FakeCpu& operator=(const FakeCpu&) = delete;

    CpuLocal local{};

private:
    uint64_t previous_;
};

/// How often somebody waited in a loop, since the program began.
inline std::atomic<uint64_t> spin_hint_count{0};

/// The fixture for kernel code: 16 MiB of memory and CPU 0. Checks that preemption is on again at the end.
class KernelTest : public ::testing::Test {
protected:
    void TearDown() override { EXPECT_EQ(cpu.local.preempt_word, kNoRescheduleWanted) << "preemption count is uneven"; }

    FakeMachine machine{size_t{16} << 20};
    FakeCpu cpu;
};

/// Random numbers (splitmix64, Steele, Lea and Flood 2014) for property tests. The seed is HELIX_TEST_SEED from the
/// environment, or drawn; SCOPED_TRACE(random.trace()) prints it with every failure.
class Random {
public:
    Random();
    explicit Random(uint64_t seed) : seed_(seed), state_(seed) {}

    uint64_t next() {
        uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    /// 0 to limit - 1.
    uint64_t below(uint64_t limit) { return next() % limit; }
    std::string trace() const { return "repeat with HELIX_TEST_SEED=" + std::to_string(seed_); }

private:
    uint64_t seed_;
    uint64_t state_;
};

}  // namespace helix::test
