// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Loading and mapping on real memory: shared and private pages, code that runs, and undo to the last page.

#include "kernel/module/image.hpp"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <memory>
#include <set>
#include <string>

#include "helix/module.hpp"
#include "tests/unit/fake_port.hpp"
#include "tests/unit/module_files.hpp"

namespace helix::kernel {
namespace {

class ImageTest : public test::KernelTest {
protected:
    ImageTest() {
        EXPECT_TRUE(pages.init(machine.memory()).ok());
        heap.init(pages);
        EXPECT_TRUE(region.init(machine.region(), pages).ok());
        // What the services set up on first use is no leak of ours.
        const test::ModuleFile file("template");
        Result<Image*> image = Image::create(memory, file.bytes(), "warm-up");
        EXPECT_TRUE(image.ok());
        Result<Mapping*> mapping = Mapping::create(memory, *image.value());
        EXPECT_TRUE(mapping.ok());
        Mapping::destroy(mapping.value());
        image.value()->release();
    }

    struct Usage {
        size_t reserved;
        size_t mapped;
        uint64_t heap_bytes;
        bool operator==(const Usage&) const = default;
    };
    Usage usage() { return {region.reserved_pages(), machine.mapped_pages(), heap.bytes_in_use()}; }
    /// The heap keeps free blocks in magazines, so pages are compared after equal operations only.
    size_t free_pages() const { return pages.free_pages(); }

    Image* load(const std::string& name) {
        const test::ModuleFile file(name);
        Result<Image*> image = Image::create(memory, file.bytes(), name);
        if (!image.ok()) throw std::runtime_error(std::string(image.error().sentence()));
        return image.value();
    }

    PageAllocator pages;
    VirtualRegion region;
    Heap heap;
    Memory memory{pages, region, heap};
};

uint64_t relocated(const Mapping& mapping, const test::ModuleFile& file, size_t offset) {
    const uint64_t address = file.descriptor_address() + offset;
    return mapping.base() + static_cast<uint64_t>(file.get<elf::Relocation>(file.find_relocation(address)).addend);
}

/// The protection of the page at `address` as the operating system has it: "r-x".
std::string protection_at(uint64_t address) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        uint64_t begin = 0;
        uint64_t end = 0;
        char access[5] = {};
        if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, access) == 3 && address >= begin && address < end)
            return std::string(access, 3);
    }
    return "none";
}

TEST_F(ImageTest, DescriptorsOfTheKernelAndOfTheMappingAgree) {
    const test::ModuleFile file("helix-scheduler-round-robin");
    Image* image = load("helix-scheduler-round-robin");
    EXPECT_EQ(image->info().name(), Text("helix-scheduler-round-robin"));
    EXPECT_EQ(image->descriptor().create, nullptr);
    ASSERT_EQ(image->descriptor().interfaces().size(), 1u);
    EXPECT_EQ(image->descriptor().interfaces()[0].cast, nullptr);
    EXPECT_EQ(image->descriptor().interfaces()[0].name, Text("helix.scheduler"));
    Mapping* mapping = Mapping::create(memory, *image).value();
    const ModuleDescriptor& descriptor = mapping->descriptor();
    EXPECT_EQ(descriptor.info.name(), image->info().name());
    ASSERT_EQ(descriptor.options().size(), image->descriptor().options().size());
    for (size_t i = 0; i < descriptor.options().size(); ++i)
        EXPECT_EQ(descriptor.options()[i].key, image->descriptor().options()[i].key.text());
    EXPECT_EQ(reinterpret_cast<uint64_t>(descriptor.create),
              relocated(*mapping, file, offsetof(ModuleDescriptor, create)));
    EXPECT_EQ(reinterpret_cast<uint64_t>(descriptor.interfaces()[0].cast),
              relocated(*mapping, file, descriptor.interface_offset + offsetof(InterfaceEntry, cast)));
    Mapping::destroy(mapping);
    image->release();
}

TEST_F(ImageTest, TheMappingHoldsTheFileWithEveryRelocationAndZerosBehind) {
    for (const char* name : {"template", "helix-scheduler-round-robin"}) {
        const test::ModuleFile file(name);
        const Result<ElfModule> module = ElfModule::parse(file.bytes(), "x");
        ASSERT_TRUE(module.ok());
        // Frames that were used before hold something: none of it may show.
        for (int i = 0; i < 2; ++i) {
            const arch::PhysicalAddress dirty = pages.allocate(64).value();
            std::memset(arch::direct_map(dirty), 0xEE, 64 * kPageSize);
            pages.free(dirty, 64);
        }
        Image* image = load(name);
        Mapping* mapping = Mapping::create(memory, *image).value();

        std::vector<uint8_t> expected(module.value().memory_size());
        for (const ElfSegment& segment : module.value().segments())
            std::memcpy(expected.data() + segment.address, file.bytes().data() + segment.file_offset,
                        segment.file_size);
        for (size_t i = 0; i < module.value().relocation_count(); ++i) {
            const ElfRelocation relocation = module.value().relocation(i);
            const uint64_t value = mapping->base() + relocation.addend;
            std::memcpy(expected.data() + relocation.offset, &value, sizeof(value));
        }
        for (const ElfSegment& segment : module.value().segments()) {
            const uint64_t begin = segment.first_page() * kPageSize;
            EXPECT_EQ(std::memcmp(reinterpret_cast<const void*>(mapping->base() + begin), expected.data() + begin,
                                  segment.page_count() * kPageSize),
                      0)
                << name << ", segment at " << segment.address;
            const std::string access = segment.write ? "rw-" : segment.execute ? "r-x" : "r--";
            EXPECT_EQ(protection_at(mapping->base() + begin), access);
            EXPECT_EQ(protection_at(mapping->base() + begin + (segment.page_count() - 1) * kPageSize), access);
        }
        EXPECT_EQ(protection_at(mapping->base() + image->memory_size()), "---") << "no guard behind the module";
        Mapping::destroy(mapping);
        image->release();
    }
}

TEST_F(ImageTest, MappingsShareCodeAndHaveTheirOwnData) {
    const test::ModuleFile file("template");
    Image* image = load("template");
    const size_t before = free_pages();
    Mapping* first = Mapping::create(memory, *image).value();
    const size_t one = before - free_pages();
    Mapping* second = Mapping::create(memory, *image).value();
    size_t writable = 0;
    const Result<ElfModule> module = ElfModule::parse(file.bytes(), "x");
    for (const ElfSegment& segment : module.value().segments())
        if (segment.write) writable += segment.page_count();
    EXPECT_EQ(before - free_pages() - one, writable) << "a further mapping costs its writable pages and nothing else";

    auto* data = const_cast<ModuleDescriptor*>(&first->descriptor());
    data->magic[0] = '?';
    EXPECT_EQ(second->descriptor().magic[0], 'H');
    EXPECT_EQ(image->descriptor().magic[0], 'H');
    Mapping* third = Mapping::create(memory, *image).value();
    EXPECT_EQ(third->descriptor().magic[0], 'H') << "a mapping starts from the file, not from another's data";

    EXPECT_TRUE(first->contains(first->base()));
    EXPECT_TRUE(first->contains(first->base() + image->memory_size() - 1));
    EXPECT_FALSE(first->contains(first->base() + image->memory_size()));
    EXPECT_FALSE(first->contains(first->base() - 1));
    EXPECT_FALSE(first->contains(second->base()));
    for (Mapping* mapping : {first, second, third}) Mapping::destroy(mapping);
    image->release();
}

/// Services that count; a module that calls another one crashes the test.
struct FakeServices {
    Services table{};
    static inline std::string logged;

    FakeServices() {
        table.size = sizeof(Services);
        table.abi_version = kAbiVersion;
        table.log = [](InstanceToken*, LogLevel, Text text) { logged += std::string(text) + ';'; };
        table.allocate = [](InstanceToken*, size_t size, size_t alignment) {
            return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
        };
        table.free = [](InstanceToken*, void* block) { std::free(block); };
        table.buffer_allocate = [](InstanceToken*, size_t size) { return static_cast<uint8_t*>(std::malloc(size)); };
        table.buffer_free = [](InstanceToken*, uint8_t* block) { std::free(block); };
    }
};

TEST_F(ImageTest, AMappingThatIsKeptIsAsNewWhenItIsUsedAgain) {
    const Usage before = usage();
    const test::ModuleFile file("template");
    const Result<ElfModule> module = ElfModule::parse(file.bytes(), "x");
    Image* image = load("template");
    image->keep_mappings(Image::KeepsMappings::Yes);
    const Usage without = usage();
    Mapping* mapping = Mapping::create(memory, *image).value();
    const Usage with = usage();
    const uint64_t base = mapping->base();
    const auto contents = [&] {
        std::string all;
        for (const ElfSegment& segment : module.value().segments())
            all.append(reinterpret_cast<const char*>(base + segment.first_page() * kPageSize),
                       segment.page_count() * kPageSize);
        return all;
    };
    const std::string fresh = contents();
    for (const ElfSegment& segment : module.value().segments())
        if (segment.write)
            std::memset(reinterpret_cast<void*>(base + segment.first_page() * kPageSize), 0xEE,
                        segment.page_count() * kPageSize);
    Mapping::destroy(mapping);
    EXPECT_EQ(usage(), with) << "it is kept";
    machine.fail_map_after(0);  // nothing is asked of the port
    mapping = Mapping::create(memory, *image).value();
    EXPECT_EQ(mapping->base(), base);
    EXPECT_TRUE(contents() == fresh);
    machine.fail_map_after(SIZE_MAX);

    Mapping* more[3];
    for (Mapping*& each : more) each = Mapping::create(memory, *image).value();
    Mapping::destroy(mapping);
    for (Mapping* each : more) Mapping::destroy(each);
    EXPECT_EQ(usage().mapped - without.mapped, 2 * (with.mapped - without.mapped)) << "as many as a reload needs";
    image->keep_mappings(Image::KeepsMappings::No);
    EXPECT_EQ(usage(), without);
    mapping = Mapping::create(memory, *image).value();
    Mapping::destroy(mapping);
    EXPECT_EQ(usage(), without);

    image->keep_mappings(Image::KeepsMappings::Yes);
    mapping = Mapping::create(memory, *image).value();
    image->release();
    Mapping::destroy(mapping);
    EXPECT_EQ(usage(), before) << "what an image keeps goes with it";
}

TEST_F(ImageTest, CodeInAMappingRuns) {
    FakeServices services;
    Image* image = load("template");
    Mapping* mapping = Mapping::create(memory, *image).value();
    Module* module = mapping->descriptor().create(&services.table, nullptr);
    ASSERT_TRUE(mapping->contains(reinterpret_cast<uint64_t>(module)));
    const Context context(&services.table, nullptr, static_cast<InstanceId>(1));
    FakeServices::logged.clear();
    EXPECT_TRUE(module->init(context).ok());
    EXPECT_TRUE(module->start().ok());
    EXPECT_EQ(FakeServices::logged, "hello;");
    EXPECT_TRUE(module->stop().ok());
    mapping->descriptor().destroy(module);

    uint64_t offset = 1;
    const auto create = reinterpret_cast<uint64_t>(mapping->descriptor().create);
    EXPECT_FALSE(mapping->symbol_for(create, offset).empty());
    EXPECT_EQ(offset, 0u);
    EXPECT_TRUE(mapping->symbol_for(mapping->base() - 1, offset).empty());
    Mapping::destroy(mapping);
    image->release();
}

TEST_F(ImageTest, TheFileIsNotNeededAfterLoading) {
    auto file = std::make_unique<test::ModuleFile>("template");
    Image* image = Image::create(memory, file->bytes(), "template.hmod").value();
    std::fill(file->data().begin(), file->data().end(), uint8_t{0xEE});
    file.reset();
    Mapping* mapping = Mapping::create(memory, *image).value();
    EXPECT_EQ(mapping->descriptor().info.name(), Text("template"));
    EXPECT_EQ(image->info().name(), Text("template"));
    Mapping::destroy(mapping);
    image->release();
}

TEST_F(ImageTest, AnImageLivesUntilItsLastMappingIsGone) {
    const Usage before = usage();
    Image* image = load("template");
    Mapping* mapping = Mapping::create(memory, *image).value();
    image->release();
    EXPECT_EQ(mapping->image().info().name(), Text("template"));
    EXPECT_NE(usage(), before);
    Mapping::destroy(mapping);
    EXPECT_EQ(usage(), before);
}

TEST_F(ImageTest, ManyLoadsLeaveMemoryWhereItWas) {
    const test::ModuleFile file("helix-scheduler-round-robin");
    const auto cycle = [&] {
        Image* image = Image::create(memory, file.bytes(), "x").value();
        Mapping* mapping = Mapping::create(memory, *image).value();
        Mapping::destroy(mapping);
        image->release();
    };
    cycle();
    const Usage before = usage();
    const size_t pages_before = free_pages();
    for (int i = 0; i < 1000; ++i) cycle();
    EXPECT_EQ(usage(), before);
    EXPECT_EQ(free_pages(), pages_before);
}

TEST_F(ImageTest, ARefusedFileLeavesNothing) {
    test::ModuleFile file("template");
    file.edit<ModuleDescriptor>(file.descriptor(), [](ModuleDescriptor& d) { d.abi_version = 9; });
    const Usage before = usage();
    const size_t pages_before = free_pages();
    const Result<Image*> image = Image::create(memory, file.bytes(), "bad.hmod");
    ASSERT_FALSE(image.ok());
    EXPECT_EQ(image.error().code(), ErrorCode::Incompatible);
    EXPECT_EQ(usage(), before);
    EXPECT_EQ(free_pages(), pages_before);
}

TEST_F(ImageTest, AFailureOfThePortIsUndoneAtEveryStep) {
    Image* image = load("template");
    const Usage before = usage();
    const size_t pages_before = free_pages();
    size_t failures = 0;
    for (size_t calls = 0;; ++calls) {
        machine.fail_map_after(calls);
        const Result<Mapping*> mapping = Mapping::create(memory, *image);
        machine.fail_map_after(SIZE_MAX);
        if (mapping.ok()) {
            Mapping::destroy(mapping.value());
            break;
        }
        ++failures;
        EXPECT_EQ(mapping.error().code(), ErrorCode::OutOfMemory);
        EXPECT_EQ(usage(), before) << calls;
        EXPECT_EQ(free_pages(), pages_before) << calls;
    }
    EXPECT_GE(failures, 3u);
    EXPECT_EQ(usage(), before);
    image->release();
}

TEST_F(ImageTest, ShortMemoryIsUndoneAtEveryStep) {
    const test::ModuleFile file("helix-scheduler-round-robin");
    const Usage before = usage();
    std::vector<arch::PhysicalAddress> held;
    while (true) {
        const Result<arch::PhysicalAddress> page = pages.allocate(1);
        if (!page.ok()) break;
        held.push_back(page.value());
    }
    // Frames come back one by one and apart from each other, so the module's parts lie in several runs.
    size_t failures = 0;
    bool done = false;
    for (size_t i = 0; i < held.size() && !done; i += 2) {
        const size_t free_before = free_pages();
        Result<Image*> image = Image::create(memory, file.bytes(), "x");
        if (image.ok()) {
            Result<Mapping*> mapping = Mapping::create(memory, *image.value());
            if (mapping.ok()) {
                Mapping::destroy(mapping.value());
                done = true;
            } else {
                EXPECT_EQ(mapping.error().code(), ErrorCode::OutOfMemory);
                ++failures;
            }
            image.value()->release();
        } else {
            EXPECT_EQ(image.error().code(), ErrorCode::OutOfMemory);
            ++failures;
        }
        EXPECT_EQ(usage(), before) << i;
        EXPECT_LE(free_before - free_pages(), 2u) << "more than a magazine of the heap stayed behind";
        if (done) break;
        // Whole runs for the heap's large blocks every now and then, single frames otherwise.
        if (i % 16 == 0)
            for (size_t k = 1; k < 16 && i + k < held.size(); k += 2) {
                pages.free(held[i + k], 1);
                held[i + k] = 0;
            }
        pages.free(held[i], 1);
        held[i] = 0;
    }
    EXPECT_TRUE(done);
    EXPECT_GT(failures, 2u);
    for (arch::PhysicalAddress page : held)
        if (page != 0) pages.free(page, 1);
}

TEST_F(ImageTest, FramesInManyRunsMakeOneMapping) {
    auto* at = static_cast<uint8_t*>(region.reserve(10).value());
    // Every second frame is taken, so that no two free ones touch.
    std::vector<arch::PhysicalAddress> all;
    while (true) {
        const Result<arch::PhysicalAddress> page = pages.allocate(1);
        if (!page.ok()) break;
        all.push_back(page.value());
    }
    std::sort(all.begin(), all.end());
    const size_t scattered = all.size() / 2;
    for (size_t i = 0; i < scattered; i += 2) pages.free(all[i], 1);
    Frames frames;
    std::vector<uint8_t> contents(8 * kPageSize - 100);
    for (size_t i = 0; i < contents.size(); ++i) contents[i] = static_cast<uint8_t>(i * 7 + i / 4096);
    ASSERT_TRUE(frames.allocate(memory, 10).ok());
    frames.fill(kPageSize + 40, contents);
    std::set<uint64_t*> words;
    for (size_t page = 0; page < 10; ++page) words.insert(frames.word_at(page * kPageSize));
    EXPECT_EQ(words.size(), 10u);
    ASSERT_TRUE(frames.map(memory, at, arch::Protection::ReadWrite).ok());
    std::vector<uint8_t> expected(10 * kPageSize);
    std::memcpy(expected.data() + kPageSize + 40, contents.data(), contents.size());
    EXPECT_EQ(std::memcmp(at, expected.data(), expected.size()), 0);
    *frames.word_at(9 * kPageSize + 8) = 0x1234;
    EXPECT_EQ(*reinterpret_cast<uint64_t*>(at + 9 * kPageSize + 8), 0x1234u);
    arch::unmap(at, 10);
    region.release(at, 10);
    const size_t before = free_pages();
    frames.release(memory);
    EXPECT_GE(free_pages(), before + 10);
    for (size_t i = 0; i < all.size(); ++i)
        if (i >= scattered || i % 2 == 1) pages.free(all[i], 1);
}

TEST_F(ImageTest, AMethodBeginsWhereItsSourceSaysAlsoBehindAThunk) {
    const test::ModuleFile file("helix-scheduler-fair");
    Image* image = Image::create(memory, file.bytes(), "x").value();
    Mapping* mapping = Mapping::create(memory, *image).value();
    const std::string method = "N5helix10scheduling10FairPolicy9pick_nextERNS_12SchedulerCpuE";
    uint64_t found[2] = {};
    for (uint64_t at = mapping->base(); at < mapping->base() + image->memory_size(); ++at) {
        uint64_t offset = 1;
        const std::string symbol(mapping->symbol_for(at, offset));
        if (offset == 0 && symbol == "_Z" + method) found[0] = at;
        if (offset == 0 && symbol == "_ZThn8_" + method) found[1] = at;
    }
    ASSERT_NE(found[0], 0u);
    ASSERT_NE(found[1], 0u);
    const std::string line(mapping->source_line_of_method(found[0]).text());
    EXPECT_EQ(line.substr(0, 9), "fair.hpp:");
    EXPECT_EQ(std::string(mapping->source_line_of_method(found[1]).text()), line);
    EXPECT_NE(std::string(mapping->source_line(found[1]).text()), line);  // the thunk itself has another, or none
    EXPECT_TRUE(mapping->source_line(mapping->base() - 1).empty());
    Mapping::destroy(mapping);
    image->release();
}

}  // namespace
}  // namespace helix::kernel
