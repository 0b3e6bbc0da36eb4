// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A port for unit tests.

#include "tests/unit/fake_port.hpp"

#include "helix/request.hpp"

#include <asm/prctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#endif

namespace helix::test {

namespace {

FakeMachine* g_machine = nullptr;

[[noreturn]] void fail(const char* sentence) {
    std::fprintf(stderr, "fake port: %s\n", sentence);
    std::abort();
}

constexpr uint64_t kPage = 4096;

}  // namespace

FakeMachine::FakeMachine(size_t bytes) : bytes_(bytes), range_{kPage, bytes} {
    if (g_machine != nullptr) fail("two machines at a time");
    memory_file_ = memfd_create("helix-test-memory", MFD_CLOEXEC);
    if (memory_file_ < 0 || ftruncate(memory_file_, static_cast<off_t>(bytes)) != 0) fail("no memory file");
    // The mapping begins where its alignment is right; the rest of the space stays empty.
    space_bytes_ = bytes + arch::kDirectMapAlignment;
    space_ = mmap(nullptr, space_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (space_ == MAP_FAILED) fail("no address space");
    const auto start = reinterpret_cast<uint64_t>(space_);
    const uint64_t aligned =
        (start + arch::kDirectMapAlignment - 1) / arch::kDirectMapAlignment * arch::kDirectMapAlignment;
    void* base = mmap(reinterpret_cast<void*>(aligned), bytes, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_NORESERVE | MAP_FIXED, memory_file_, 0);
    void* region = mmap(nullptr, uint64_t{8} << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED || region == MAP_FAILED) fail("no address space");
    base_ = static_cast<uint8_t*>(base);
    region_ = {reinterpret_cast<uint64_t>(region), reinterpret_cast<uint64_t>(region) + (uint64_t{8} << 30)};
    g_machine = this;
}

FakeMachine::~FakeMachine() {
    g_machine = nullptr;
    munmap(space_, space_bytes_);
    munmap(reinterpret_cast<void*>(region_.begin), region_.end - region_.begin);
    close(memory_file_);
}

FakeMachine& FakeMachine::current() {
    if (g_machine == nullptr) fail("the seam was called without a machine");
    return *g_machine;
}

size_t FakeMachine::mapped_pages() {
    std::lock_guard lock(mutex_);
    return mapped_.size();
}

Result<void> FakeMachine::map(void* at, arch::PhysicalAddress address, size_t count, arch::Protection protection) {
    std::lock_guard lock(mutex_);
    const auto start = reinterpret_cast<uint64_t>(at);
    if (start % kPage != 0 || address % kPage != 0 || count == 0) fail("map: not whole pages");
    if (start < region_.begin || start + count * kPage > region_.end) fail("map: outside the region");
    if (address + count * kPage > bytes_) fail("map: beyond the end of memory");
    for (size_t i = 0; i < count; ++i)
        if (mapped_.contains(start + i * kPage)) fail("map: mapped already");
    if (map_calls_left_ == 0) return ErrorCode::OutOfMemory;
    if (map_calls_left_ != SIZE_MAX) --map_calls_left_;
    const int access = protection == arch::Protection::Read        ? PROT_READ
                       : protection == arch::Protection::ReadWrite ? PROT_READ | PROT_WRITE
                                                                   : PROT_READ | PROT_EXEC;
    if (mmap(at, count * kPage, access, MAP_SHARED | MAP_FIXED, memory_file_, static_cast<off_t>(address)) != at)
        return ErrorCode::OutOfMemory;
    for (size_t i = 0; i < count; ++i) mapped_[start + i * kPage] = address + i * kPage;
    return {};
}

void FakeMachine::unmap(void* at, size_t count) {
    std::lock_guard lock(mutex_);
    const auto start = reinterpret_cast<uint64_t>(at);
    if (start < region_.begin || start + count * kPage > region_.end) fail("unmap: outside the region");
    if (count == 0) return;
    for (size_t i = 0; i < count; ++i) mapped_.erase(start + i * kPage);
    if (mmap(at, count * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != at)
        fail("unmap failed");
}

namespace {
void no_reschedule() {}
}  // namespace

FakeCpu::FakeCpu(CpuId cpu, void* kernel) {
    local.preempt_word = kNoRescheduleWanted;
    local.cpu = cpu;
    local.self = &local;
    local.reschedule = no_reschedule;
    local.kernel = kernel;
    syscall(SYS_arch_prctl, ARCH_GET_GS, &previous_);
    arch::set_cpu_local(&local);
}

FakeCpu::~FakeCpu() {
    syscall(SYS_arch_prctl, ARCH_SET_GS, previous_);
}

Random::Random() {
    const char* given = std::getenv("HELIX_TEST_SEED");
    seed_ = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    state_ = seed_;
}

}  // namespace helix::test

// ---- The seam. What no unit test can have says so and ends the process.

namespace helix::arch {

using test::FakeMachine;

void console_write(Text text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
}
int console_read() {
    return -1;
}

uint64_t now_ns() {
    return FakeMachine::current().time();
}
uint64_t cycles() {
    return __builtin_ia32_rdtsc();
}
void start_interrupts() {}
void set_timer(uint64_t) {}

void set_cpu_local(CpuLocal* local) {
    syscall(SYS_arch_prctl, ARCH_SET_GS, local);
}
void idle() {
    test::fail("idle");
}
void spin_hint() {
    test::spin_hint_count.fetch_add(1, std::memory_order_relaxed);
    __builtin_ia32_pause();
}
[[noreturn]] void power_off(uint8_t status) {
    std::fprintf(stderr, "power off with status %u\n", static_cast<unsigned>(status));
    std::_Exit(status);
}
[[noreturn]] void restart() {
    power_off(1);
}
void preemption_point() {}

Result<void> start_cpu(CpuId) {
    test::fail("start_cpu");
}
[[noreturn]] void stop_cpu() {
    test::fail("stop_cpu");
}
void halt_other_cpus() {}
void interrupt_cpu(CpuId, CpuInterrupt) {
    test::fail("interrupt_cpu");
}

Result<void> line_check(uint32_t) {
    test::fail("line_check");
}
void line_enable(uint32_t) {
    test::fail("line_enable");
}
void line_disable(uint32_t) {
    test::fail("line_disable");
}

void context_create(ThreadContext&, MutableBytes, void (*)(void*), void*) {
    test::fail("context_create");
}
void context_switch(ThreadContext&, ThreadContext&) {
    test::fail("context_switch");
}
void context_announce(ThreadContext&, MutableBytes) {}
void context_retire(ThreadContext&) {}

// As a port does it, so that a test's module can fail in the middle of a call. ASan is told that frames vanish.
[[noreturn]] void gate_resume(Gate& gate, GateFailure failure) {
#if __has_feature(address_sanitizer)
    __asan_handle_no_return();
#endif
    CpuLocal* const local = cpu_local();
    local->preempt_word = (local->preempt_word & kNoRescheduleWanted) | (gate.preempt_word & ~kNoRescheduleWanted);
    asm volatile(
        "cld\n\t"
        "movq 8(%%rbx), %%rsp\n\t"
        "movq 24(%%rbx), %%rbp\n\t"
        "jmpq *16(%%rbx)"
        :
        : "b"(&gate), "c"(static_cast<uint32_t>(failure))
        : "memory");
    __builtin_unreachable();
}
void trap_resume_at_gate(kernel::TrapFrame&, Gate&, GateFailure) {
    test::fail("trap_resume_at_gate");
}
uint64_t trap_instruction_pointer(const kernel::TrapFrame&) {
    return 0;
}
uint64_t trap_stack_pointer(const kernel::TrapFrame&) {
    return 0;
}
uint64_t trap_frame_pointer(const kernel::TrapFrame&) {
    return 0;
}
bool trap_interrupts_enabled(const kernel::TrapFrame&) {
    return true;
}

void* direct_map(PhysicalAddress address) {
    return FakeMachine::current().direct_map(address);
}
PhysicalAddress physical_of(const void* pointer) {
    return FakeMachine::current().physical_of(pointer);
}
Result<void> map(void* at, PhysicalAddress address, size_t count, Protection protection) {
    return FakeMachine::current().map(at, address, count, protection);
}
void unmap(void* at, size_t count) {
    FakeMachine::current().unmap(at, count);
}

bool is_kernel_text(uint64_t) {
    return false;
}

}  // namespace helix::arch

// ---- What the kernel defines too; weak, so that these serve only where its own parts are not linked.

namespace helix::kernel {
[[noreturn]] __attribute__((weak)) void panic(Text reason) {
    std::fprintf(stderr, "panic: %.*s\n", static_cast<int>(reason.size()), reason.data());
    std::abort();
}
}  // namespace helix::kernel

namespace helix::runtime {
__attribute__((weak)) uint8_t* buffer_allocate(size_t size) {
    return static_cast<uint8_t*>(std::malloc(size));
}
__attribute__((weak)) void buffer_free(uint8_t* data) {
    std::free(data);
}
}  // namespace helix::runtime
