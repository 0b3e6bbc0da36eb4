// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Translation shootdown: one request at a time, an interrupt for every running CPU, and their answers.
//
// Requests are numbered. A CPU answers with the number that it read before it looked what to forget; so it may answer
// twice, or in the middle of another answer (the second way in is a non-maskable interrupt), and never too early.

#include "arch/x86_64/shootdown.hpp"

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/cpus.hpp"
#include "arch/x86_64/devices.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/patience.hpp"
#include "arch/x86_64/trap.hpp"

namespace helix::x86_64 {

namespace {

constexpr size_t kPageByPage = 32;  // beyond, forgetting everything is cheaper
constexpr uint64_t kPatience = 5'000'000;
constexpr uint64_t kCr4GlobalPages = 1u << 7;

struct Request {
    std::atomic<uint64_t> begin;
    std::atomic<uint64_t> page_count;
    std::atomic<uint64_t> number;  // written last
};
Request request;

/// Both changes of the bit empty everything, global pages included. Not restored to what it was: in a non-maskable
/// interrupt between the two, it is already zero.
void forget_all() {
    const uint64_t features = read_cr4() | kCr4GlobalPages;
    write_cr4(features & ~kCr4GlobalPages);
    write_cr4(features);
}

void forget(uint64_t begin, size_t page_count) {
    if (page_count > kPageByPage) return forget_all();
    for (size_t i = 0; i < page_count; ++i) invalidate_page(begin + i * kPageSize);
}

bool has_answered(const Cpu& cpu, uint64_t number) {
    return cpu.flushed.load(std::memory_order_acquire) >= number || cpu.state.load() != CpuState::Running;
}

}  // namespace

void forget_everywhere(uint64_t begin, size_t page_count) {
    uint64_t number;
    bool others = false;
    {
        // This thread may go on elsewhere behind the guard, but this CPU has then forgotten, and others were asked.
        const InterruptGuard guard;
        const CpuId self = this_cpu();
        forget(begin, page_count);
        request.begin.store(begin, std::memory_order_relaxed);
        request.page_count.store(page_count, std::memory_order_relaxed);
        number = request.number.load(std::memory_order_relaxed) + 1;
        request.number.store(number);
        cpus[self].flushed.store(number, std::memory_order_release);
        for (CpuId id = 0; id < cpu_count(); ++id) {
            if (has_answered(cpus[id], number)) continue;
            others = true;
            apic_send(cpus[id].apic_id, kVectorFlush);
        }
    }
    if (!others) return;
    Patience patience(kPatience);
    bool insisted = false;
    for (CpuId id = 0; id < cpu_count();) {
        if (has_answered(cpus[id], number)) {
            ++id;
            continue;
        }
        arch::spin_hint();
        if (insisted || !patience.is_over()) continue;
        insisted = true;
        for (CpuId late = id; late < cpu_count(); ++late)
            if (!has_answered(cpus[late], number)) send_non_maskable(late, kReasonFlush);
    }
}

void answer_shootdown() {
    Cpu& self = cpus[this_cpu()];
    const uint64_t number = request.number.load(std::memory_order_acquire);
    forget(request.begin.load(std::memory_order_relaxed), request.page_count.load(std::memory_order_relaxed));
    self.flushed.store(number, std::memory_order_release);
}

void join_shootdowns() {
    const uint64_t number = request.number.load();
    forget_all();
    cpus[this_cpu()].flushed.store(number, std::memory_order_release);
}

}  // namespace helix::x86_64
