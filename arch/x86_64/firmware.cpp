// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What the loader left in memory: PVH start information or Multiboot2 tags, and the bundle behind the image.

#include "arch/x86_64/devices.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/paging.hpp"

namespace helix::x86_64 {

namespace {

using arch::MemoryRange;
using arch::PhysicalAddress;

// ---- What the loaders write.

struct PvhStart {
    uint32_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t module_count;
    uint64_t modules;
    uint64_t command_line;
    uint64_t rsdp;
    uint64_t memory_map;  // version 1
    uint32_t memory_map_count;
    uint32_t reserved;
};
constexpr uint32_t kPvhMagic = 0x336e'c578;

struct PvhModule {
    uint64_t address;
    uint64_t size;
    uint64_t command_line;
    uint64_t reserved;
};

struct Multiboot2Tag {
    uint32_t type;
    uint32_t size;
};
enum Multiboot2TagType : uint32_t {
    kTagEnd = 0,
    kTagCommandLine = 1,
    kTagModule = 3,
    kTagMemoryMap = 6,
    kTagRsdp1 = 14,
    kTagRsdp2 = 15
};

// The same in both protocols; Multiboot2 may have longer entries.
struct MapEntry {
    uint64_t address;
    uint64_t size;
    uint32_t type;
    uint32_t reserved;
};
constexpr uint32_t kTypeRam = 1;

struct [[gnu::packed]] Rsdp {
    char signature[8];
    uint8_t checksum;
    char vendor[6];
    uint8_t revision;
    uint32_t rsdt;
    uint32_t length;  // from here on: revision 2
    uint64_t xsdt;
    uint8_t whole_checksum;
    uint8_t reserved[3];
};
constexpr uint32_t kRsdpSummed = 36;
static_assert(sizeof(Rsdp) == kRsdpSummed);

/// In front of the cpio archive in the image's last segment.
struct BundleHeader {
    char magic[8];
    uint64_t size;
};

// ---- What lives on.

constexpr size_t kMaximumRanges = 64;
constexpr size_t kCommandLineSize = 2048;
constexpr PhysicalAddress kFirstMebibyte = 1u << 20;

class RangeList {
public:
    void add(PhysicalAddress begin, PhysicalAddress end) {
        if (begin < end && count_ < kMaximumRanges) ranges_[count_++] = {begin, end};
    }
    void subtract(PhysicalAddress begin, PhysicalAddress end) {
        if (begin >= end) return;
        const size_t before = count_;
        for (size_t i = 0; i < before; ++i) {
            const MemoryRange range = ranges_[i];
            if (range.end <= begin || range.begin >= end) continue;
            ranges_[i].end = range.begin < begin ? begin : range.begin;
            add(end, range.end);
        }
        size_t kept = 0;
        for (size_t i = 0; i < count_; ++i)
            if (ranges_[i].begin < ranges_[i].end) ranges_[kept++] = ranges_[i];
        count_ = kept;
    }
    bool contains(PhysicalAddress begin, PhysicalAddress end) const {
        for (const MemoryRange& range : *this)
            if (range.begin <= begin && end <= range.end) return true;
        return false;
    }
    MemoryRange* begin() { return ranges_; }
    MemoryRange* end() { return ranges_ + count_; }
    const MemoryRange* begin() const { return ranges_; }
    const MemoryRange* end() const { return ranges_ + count_; }
    size_t size() const { return count_; }

private:
    MemoryRange ranges_[kMaximumRanges];
    size_t count_;  // zero at boot, like all of .bss
};

RangeList ram;        // what can be seen
RangeList available;  // what the kernel may use
char command_line[kCommandLineSize];
PhysicalAddress low_page = 0;  // what low_memory_page returns
PhysicalAddress rsdp = 0;      // where the firmware says it is, or 0
AcpiRoot root{0, 0};           // what a copy of it said

// ---- Reading.

struct LoaderInformation {
    PhysicalAddress command_line = 0;
    PhysicalAddress initrd = 0;
    uint64_t initrd_size = 0;
    const uint8_t* map = nullptr;
    uint64_t map_count = 0;
    uint64_t map_stride = sizeof(MapEntry);
};

template <typename T>
const T* view(PhysicalAddress address, uint64_t size = sizeof(T)) {
    direct_map_range(address, address + size);
    return static_cast<const T*>(arch::direct_map(address));
}

[[noreturn]] void end_boot(Text reason) {
    arch::console_write("helix: ");
    arch::console_write(reason);
    arch::console_write("\n");
    arch::power_off(127);
}

LoaderInformation read_pvh(PhysicalAddress information) {
    const PvhStart& start = *view<PvhStart>(information);
    if (start.magic != kPvhMagic) end_boot("the PVH start information has a wrong magic number");
    LoaderInformation out;
    out.command_line = start.command_line;
    if (start.module_count > 0) {
        const PvhModule& module = *view<PvhModule>(start.modules);
        out.initrd = module.address;
        out.initrd_size = module.size;
    }
    rsdp = start.rsdp;
    if (start.version >= 1) {
        out.map_count = start.memory_map_count;
        out.map = view<uint8_t>(start.memory_map, out.map_count * sizeof(MapEntry));
    }
    return out;
}

void copy_rsdp(const Rsdp& copy, uint32_t size) {
    if (size < offsetof(Rsdp, length)) return;
    root.rsdt = copy.rsdt;
    if (copy.revision >= 2 && size >= offsetof(Rsdp, whole_checksum)) root.xsdt = copy.xsdt;
}

LoaderInformation read_multiboot2(PhysicalAddress information) {
    const uint32_t total = *view<uint32_t>(information);
    const auto* const base = view<uint8_t>(information, total);
    LoaderInformation out;
    for (uint32_t at = 8; at + sizeof(Multiboot2Tag) <= total;) {
        const auto& tag = *reinterpret_cast<const Multiboot2Tag*>(base + at);
        const uint8_t* const body = base + at + sizeof(tag);
        if (tag.type == kTagEnd || tag.size < sizeof(tag) || tag.size > total - at) break;
        switch (tag.type) {
            case kTagCommandLine: out.command_line = information + at + sizeof(tag); break;
            case kTagModule:
                if (out.initrd_size == 0) {
                    const auto* const ends = reinterpret_cast<const uint32_t*>(body);
                    out.initrd = ends[0];
                    out.initrd_size = ends[1] - ends[0];
                }
                break;
            case kTagMemoryMap:
                out.map_stride = *reinterpret_cast<const uint32_t*>(body);
                if (out.map_stride < sizeof(MapEntry)) end_boot("the Multiboot2 memory map has short entries");
                out.map_count = (tag.size - 16) / out.map_stride;
                out.map = body + 8;
                break;
            case kTagRsdp1:
            case kTagRsdp2: copy_rsdp(*reinterpret_cast<const Rsdp*>(body), tag.size - 8); break;
            default: break;
        }
        at += static_cast<uint32_t>(round_up(tag.size, 8));
    }
    return out;
}

void read_memory_map(const LoaderInformation& information) {
    for (int pass = 0; pass < 2; ++pass) {
        for (uint64_t i = 0; i < information.map_count; ++i) {
            const auto& entry = *reinterpret_cast<const MapEntry*>(information.map + i * information.map_stride);
            if (entry.address >= kDirectMapSize || entry.size == 0) continue;
            const PhysicalAddress end =
                entry.size > kDirectMapSize - entry.address ? kDirectMapSize : entry.address + entry.size;
            // What one entry calls RAM and another does not is left alone.
            if (pass == 0 && entry.type == kTypeRam) {
                ram.add(entry.address, end);
                available.add(round_up(entry.address, kPageSize), round_down(end, kPageSize));
            } else if (pass == 1 && entry.type != kTypeRam) {
                available.subtract(round_down(entry.address, kPageSize), round_up(end, kPageSize));
            }
        }
    }
    if (ram.size() == 0) end_boot("the loader passed no memory map");
}

Text copy_command_line(PhysicalAddress address) {
    if (address == 0) return {};
    const auto* const from = view<char>(address, kCommandLineSize);
    size_t size = 0;
    for (; size < kCommandLineSize && from[size] != '\0'; ++size) command_line[size] = from[size];
    return {command_line, size};
}

Bytes find_bundle() {
    const PhysicalAddress address = image_physical(__bundle_start);
    const BundleHeader& header = *view<BundleHeader>(address);
    if (Text(header.magic, sizeof(header.magic)) != Text("HELIXBND")) return {};
    const PhysicalAddress archive = address + sizeof(BundleHeader);
    if (header.size > kDirectMapSize - archive || !ram.contains(archive, archive + header.size))
        end_boot("the bundle in the kernel image does not fit into memory");
    return {view<uint8_t>(archive, header.size), header.size};
}

/// Sees to it that direct_map_range never lacks tables: they come from a large range that is itself visible.
void choose_table_source() {
    constexpr PhysicalAddress kGibibyte = 1u << 30;
    constexpr uint64_t kEnough = 16u << 20;
    MemoryRange* best = nullptr;
    for (MemoryRange& range : available)
        if (range.begin < kGibibyte && (best == nullptr || range.end - range.begin > best->end - best->begin))
            best = &range;
    if (best == nullptr) end_boot("no free memory below 1 GiB");
    const uint64_t size = best->end - best->begin;
    direct_map_range(best->begin, best->begin + (size < kEnough ? size : kEnough));
    set_table_source(best);
}

/// A free page where a CPU that starts in real mode can run, or 0. Not the first, which holds the BIOS's data.
PhysicalAddress choose_low_page() {
    constexpr PhysicalAddress kVideoMemory = 0xa0000;
    for (const MemoryRange& range : available) {
        const PhysicalAddress page = range.begin < kPageSize ? kPageSize : range.begin;
        if (page + kPageSize <= range.end && page + kPageSize <= kVideoMemory) return page;
    }
    return 0;
}

uint8_t sum_of(const uint8_t* bytes, size_t size) {
    uint8_t sum = 0;
    for (size_t i = 0; i < size; ++i) sum = static_cast<uint8_t>(sum + bytes[i]);
    return sum;
}

bool has_good_sum(const Rsdp& found) {
    const auto* const bytes = reinterpret_cast<const uint8_t*>(&found);
    return Text(found.signature, sizeof(found.signature)) == Text("RSD PTR ") &&
           sum_of(bytes, offsetof(Rsdp, length)) == 0 && (found.revision < 2 || sum_of(bytes, kRsdpSummed) == 0);
}

/// The root pointer in [begin, end) of the first mebibyte, on a multiple of 16; or 0.
PhysicalAddress find_rsdp(PhysicalAddress begin, PhysicalAddress end) {
    for (PhysicalAddress at = begin; at + sizeof(Rsdp) <= end; at += 16)
        if (has_good_sum(*static_cast<const Rsdp*>(arch::direct_map(at)))) return at;
    return 0;
}

}  // namespace

void read_boot_information(Protocol protocol, PhysicalAddress address, arch::BootInfo& boot) {
    const LoaderInformation information = protocol == Protocol::Pvh ? read_pvh(address) : read_multiboot2(address);
    read_memory_map(information);
    boot.command_line = copy_command_line(information.command_line);
    boot.bundle = find_bundle();
    // From here on the loader's own data are free memory.

    const PhysicalAddress bundle_end = image_physical(__bundle_start) + sizeof(BundleHeader) + boot.bundle.size();
    const PhysicalAddress initrd_end = information.initrd + information.initrd_size;
    available.subtract(address_of(__image_start_physical), round_up(bundle_end, kPageSize));
    if (information.initrd_size != 0)
        available.subtract(round_down(information.initrd, kPageSize), round_up(initrd_end, kPageSize));
    low_page = choose_low_page();
    available.subtract(0, kFirstMebibyte);
    choose_table_source();
    if (information.initrd_size != 0)
        boot.initrd = {view<uint8_t>(information.initrd, information.initrd_size), information.initrd_size};
    for (const MemoryRange& range : ram) direct_map_range(range.begin, range.end);
    // The final tables may still need one; no pointer into the list may move before they are entered.
    boot.memory = {available.begin(), available.size()};
    boot.region = {kRegion, kRegion + kRegionSize};
}

arch::PhysicalAddress low_memory_page() {
    return low_page;
}

AcpiRoot acpi_root() {
    if (root.rsdt != 0 || root.xsdt != 0) return root;
    if (rsdp == 0) {
        constexpr PhysicalAddress kExtendedDataSegment = 0x40e;  // in the BIOS's data
        constexpr PhysicalAddress kBiosBegin = 0xe0000;
        const auto segment = *static_cast<const uint16_t*>(arch::direct_map(kExtendedDataSegment));
        const PhysicalAddress extended = static_cast<PhysicalAddress>(segment) << 4;
        if (extended >= kPageSize && extended < kBiosBegin) rsdp = find_rsdp(extended, extended + 1024);
        if (rsdp == 0) rsdp = find_rsdp(kBiosBegin, kFirstMebibyte);
    }
    if (rsdp == 0) return {0, 0};
    const volatile void* const window = map_device(rsdp, sizeof(Rsdp));
    if (window == nullptr) return {0, 0};
    const Rsdp& found = *const_cast<const Rsdp*>(static_cast<const volatile Rsdp*>(window));
    if (has_good_sum(found)) copy_rsdp(found, sizeof(Rsdp));
    return root;
}

}  // namespace helix::x86_64
