// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Module files: whatever ElfModule accepts keeps every promise that the loader relies on.

#include "kernel/module/elf.hpp"

#include <cstring>
#include <vector>

#include "kernel/module/options.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace helix::fuzz {

namespace {

const kernel::ElfSegment* segment_of(const kernel::ElfModule& module, uint64_t address, uint64_t size) {
    for (const kernel::ElfSegment& segment : module.segments())
        if (address >= segment.address && address + size <= segment.address + segment.file_size) return &segment;
    return nullptr;
}

void check(const kernel::ElfModule& module, size_t file_size) {
    uint64_t next_page = 0;
    for (const kernel::ElfSegment& segment : module.segments()) {
        HELIX_FUZZ_REQUIRE(segment.first_page() >= next_page);
        HELIX_FUZZ_REQUIRE(!(segment.write && segment.execute));
        HELIX_FUZZ_REQUIRE(segment.file_size <= segment.memory_size);
        HELIX_FUZZ_REQUIRE(segment.file_offset + segment.file_size <= file_size);
        next_page = segment.first_page() + segment.page_count();
    }
    HELIX_FUZZ_REQUIRE(module.memory_size() == next_page * kPageSize);
    HELIX_FUZZ_REQUIRE(module.memory_size() <= kernel::kMaximumModuleSize);

    const uint64_t begin = module.descriptor_address();
    const kernel::ElfSegment* data = segment_of(module, begin, module.descriptor().size);
    HELIX_FUZZ_REQUIRE(data != nullptr && data->write);
    for (size_t i = 0; i < module.relocation_count(); ++i) {
        const kernel::ElfRelocation relocation = module.relocation(i);
        const kernel::ElfSegment* target = segment_of(module, relocation.offset, 8);
        HELIX_FUZZ_REQUIRE(target != nullptr && target->write && relocation.offset % 8 == 0);
        HELIX_FUZZ_REQUIRE(relocation.addend <= module.memory_size());
        if (relocation.offset >= begin && relocation.offset < begin + module.descriptor().size) {
            const kernel::ElfSegment* code = segment_of(module, relocation.addend, 1);
            HELIX_FUZZ_REQUIRE(code != nullptr && code->execute);
        }
    }

    touch(module.descriptor_bytes());
    const ModuleInfo& info = module.info();
    touch(info.name());
    touch(info.description());
    touch(info.author());
    touch(info.license());
    touch(info.state_format());
    for (size_t i = 0; i < info.dependencies().size(); ++i) touch(info.dependencies()[i]);
    for (size_t i = 0; i < info.provides().size(); ++i) touch(info.provides()[i]);
    for (size_t i = 0; i < info.conflicts().size(); ++i) touch(info.conflicts()[i]);
    for (size_t i = 0; i < info.optional().size(); ++i) touch(info.optional()[i]);
    for (size_t i = 0; i < module.option_count(); ++i) {
        const Option option = module.option(i);
        HELIX_FUZZ_REQUIRE(kernel::check_option(option, option.default_value.text()).ok());
        touch(option.key.text());
        touch(option.documentation.text());
    }
    for (size_t i = 0; i < module.interface_count(); ++i)
        HELIX_FUZZ_REQUIRE(info.provides().contains(module.interface_entry(i).name.text()));
    touch(module.symbols());
    uint64_t offset = 0;
    for (uint64_t address = 0; address < module.memory_size() && address < 0x4000; address += 61)
        touch(module.symbol_for(address, offset));
}

void parse_and_check(Bytes file) {
    const Result<kernel::ElfModule> module = kernel::ElfModule::parse(file, "fuzz.hmod");
    if (module.ok())
        check(module.value(), file.size());
    else
        HELIX_FUZZ_REQUIRE(module.error().sentence().starts_with("fuzz.hmod: "));
}

}  // namespace

void elf(Bytes input) {
    parse_and_check(input);
    // The committed files carry the ABI of their day: give them today's, or they would be refused early.
    std::vector<uint8_t> current(input.begin(), input.end());
    const size_t fields = offsetof(ModuleDescriptor, abi_version);
    for (size_t i = 0; i + sizeof(ModuleDescriptor) <= current.size(); ++i) {
        if (std::memcmp(current.data() + i, kModuleMagic, sizeof(kModuleMagic)) != 0) continue;
        const uint32_t abi[] = {kAbiVersion, kAbiFingerprint};
        std::memcpy(current.data() + i + fields, abi, sizeof(abi));
        parse_and_check(Bytes(current));
        return;
    }
}

}  // namespace helix::fuzz

HELIX_FUZZ_ENTRY(elf)
