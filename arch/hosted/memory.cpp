// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Memory of a hosted machine: a memory file, mapped whole as the direct map and page by page into a reserved region.
#include "arch/hosted/port.hpp"

#include <errno.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

namespace helix::arch {

using namespace hosted;

namespace {

constexpr uint64_t kRegionSizes[] = {64ull << 30, 16ull << 30, 4ull << 30};
/// Where regions go if the host lets them: the same addresses in each run, outside of what sanitizers keep for
/// themselves, below what the host gives out by itself. One place for each machine of the process.
constexpr uint64_t kRegionPlaces = 0x7e90'0000'0000;
constexpr uint64_t kRegionPlaceCount = 16;

/// Executable parts of the process; filled before the first kernel starts, read by handlers.
struct TextRange {
    uint64_t begin;
    uint64_t end;
};
constexpr size_t kMaximumTextRanges = 128;
TextRange text_ranges[kMaximumTextRanges];
size_t text_range_count = 0;

int note_text(dl_phdr_info* object, size_t, void*) {
    for (size_t i = 0; i < object->dlpi_phnum; ++i) {
        const auto& segment = object->dlpi_phdr[i];
        if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
        if (text_range_count == kMaximumTextRanges) return 1;
        const uint64_t begin = object->dlpi_addr + segment.p_vaddr;
        text_ranges[text_range_count++] = {begin, begin + segment.p_memsz};
    }
    return 0;
}

void mark(Port& port, uint64_t at, size_t count, bool mapped) {
    uint64_t page = (at - word_of(port.region)) / kPageSize;
    for (const uint64_t end = page + count; page < end;) {
        // A whole word at once where possible: unmapping a large range should not crawl.
        const uint64_t bit = page % 64;
        const uint64_t run = end - page < 64 - bit ? end - page : 64 - bit;
        const uint64_t mask = (run == 64 ? ~0ull : (1ull << run) - 1) << bit;
        uint64_t* word = &port.mapped[page / 64];
        const uint64_t before = __atomic_load_n(word, __ATOMIC_RELAXED);
        const uint64_t after = mapped ? before | mask : before & ~mask;
        if (after != before) __atomic_store_n(word, after, __ATOMIC_RELAXED);
        page += run;
    }
}

bool reserve(void* at, size_t bytes) {
    return mmap(at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED;
}

/// Maps `bytes` of `file` at a multiple of arch::kDirectMapAlignment.
void* map_aligned(int file, uint64_t bytes) {
    const uint64_t space = bytes + kDirectMapAlignment;
    void* const start = mmap(nullptr, space, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) return MAP_FAILED;
    const uint64_t before = (kDirectMapAlignment - word_of(start) % kDirectMapAlignment) % kDirectMapAlignment;
    uint8_t* const aligned = static_cast<uint8_t*>(start) + before;
    if (before != 0) munmap(start, before);
    munmap(aligned + bytes, space - before - bytes);
    return mmap(aligned, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, file, 0);
}

bool reserve_region(uint64_t size, uint8_t*& region) {
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void* at = MAP_FAILED;
    for (uint64_t i = 0; i < kRegionPlaceCount && at == MAP_FAILED; ++i) {
        void* place = reinterpret_cast<void*>(kRegionPlaces + i * kRegionSizes[0]);
        at = mmap(place, size, PROT_NONE, kFlags | MAP_FIXED_NOREPLACE, -1, 0);
    }
    if (at == MAP_FAILED) at = mmap(nullptr, size, PROT_NONE, kFlags, -1, 0);
    if (at != MAP_FAILED) region = static_cast<uint8_t*>(at);
    return at != MAP_FAILED;
}

}  // namespace

Result<void> hosted::memory_create(Port& port, uint64_t bytes) {
    port.memory_file = memfd_create("helix-memory", MFD_CLOEXEC);
    if (port.memory_file < 0) return Error(ErrorCode::OutOfMemory, "the host gives no memory file");
    if (ftruncate(port.memory_file, static_cast<off_t>(bytes)) != 0)
        return Error(ErrorCode::OutOfMemory, "the host has not that much memory");
    void* direct = map_aligned(port.memory_file, bytes);
    if (direct == MAP_FAILED) return Error(ErrorCode::OutOfMemory, "the host cannot map the memory");
    port.direct_map = static_cast<uint8_t*>(direct);
    port.memory_bytes = bytes;
    for (const uint64_t size : kRegionSizes)
        if (port.region == nullptr && reserve_region(size, port.region)) port.region_bytes = size;
    if (port.region == nullptr) return Error(ErrorCode::OutOfMemory, "the host reserves no 4 GiB of addresses");
    void* bits = mmap(nullptr, port.region_bytes / kPageSize / 8, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bits == MAP_FAILED) return Error(ErrorCode::OutOfMemory, "the host gives no memory for page bits");
    port.mapped = static_cast<uint64_t*>(bits);
    port.memory_range = {kPageSize, bytes};  // address 0 means "none" in many a place
    static const bool noted = (dl_iterate_phdr(note_text, nullptr), true);
    (void)noted;
    return {};
}

void hosted::memory_destroy(Port& port) {
    if (port.mapped != nullptr) munmap(port.mapped, port.region_bytes / kPageSize / 8);
    if (port.region != nullptr) munmap(port.region, port.region_bytes);
    if (port.direct_map != nullptr) munmap(port.direct_map, port.memory_bytes);
    if (port.memory_file >= 0) close(port.memory_file);
}

bool hosted::is_mapped(const Port& port, uint64_t address) {
    if (!port.in_region(address)) return false;
    const uint64_t page = (address - word_of(port.region)) / kPageSize;
    return ((__atomic_load_n(&port.mapped[page / 64], __ATOMIC_RELAXED) >> (page % 64)) & 1) != 0;
}

void* direct_map(PhysicalAddress address) {
    return this_port().direct_map + address;
}

PhysicalAddress physical_of(const void* pointer) {
    return static_cast<PhysicalAddress>(static_cast<const uint8_t*>(pointer) - this_port().direct_map);
}

Result<void> map(void* at, PhysicalAddress address, size_t count, Protection protection) {
    PreemptionGuard guard;
    Port& port = this_port();
    int bits = PROT_READ;
    if (protection == Protection::ReadWrite) bits |= PROT_WRITE;
    if (protection == Protection::ReadExecute) bits |= PROT_EXEC;
    // A module's segments, if small, are soon used whole, and a fault for each page costs more. Stacks are not.
    const size_t whole = protection == Protection::ReadWrite ? 2 : 16;
    const int populate = count <= whole ? MAP_POPULATE : 0;
    void* mapped = mmap(at, count * kPageSize, bits, MAP_SHARED | MAP_FIXED | populate, port.memory_file,
                        static_cast<off_t>(address));
    if (mapped == MAP_FAILED) {
        // The host checks its limits before it takes the reservation away, so there is mostly nothing to undo, and
        // at the limit of mappings this fails too.
        reserve(at, count * kPageSize);
        return Error(ErrorCode::OutOfMemory, "the host has no room for another mapping (vm.max_map_count)");
    }
    mark(port, word_of(at), count, true);
    return {};
}

void unmap(void* at, size_t count) {
    PreemptionGuard guard;
    Port& port = this_port();
    mark(port, word_of(at), count, false);
    if (reserve(at, count * kPageSize)) return;
    // At the limit of mappings the host exchanges none, but it still takes away. Whatever else the process maps in
    // between could land here, then the pages are not ours: stop rather than let frames be seen by two owners.
    if (munmap(at, count * kPageSize) != 0 || !reserve(at, count * kPageSize))
        fatal("the host cannot unmap pages, error ", static_cast<uint64_t>(errno));
}

bool is_kernel_text(uint64_t address) {
    for (size_t i = 0; i < text_range_count; ++i)
        if (address - text_ranges[i].begin < text_ranges[i].end - text_ranges[i].begin) return true;
    return false;
}

}  // namespace helix::arch
