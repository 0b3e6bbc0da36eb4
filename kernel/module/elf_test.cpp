// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The loader's first gate: good modules pass, and each way in which a file can be bad is named.

#include "kernel/module/elf.hpp"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/module_files.hpp"

namespace helix::kernel {
namespace {

using test::ModuleFile;

/// Has options and an interface.
constexpr const char* kRichModule = "helix-scheduler-round-robin";

TEST(ElfModule, ReadsTheTemplate) {
    const ModuleFile file("template");
    const Result<ElfModule> result = ElfModule::parse(file.bytes(), "template.hmod");
    ASSERT_TRUE(result.ok()) << std::string(result.error().sentence());
    const ElfModule& module = result.value();
    EXPECT_EQ(module.info().name(), Text("template"));
    EXPECT_EQ(module.info().version(), (Version{1, 0, 0}));
    EXPECT_EQ(module.descriptor().abi_version, kAbiVersion);
    EXPECT_EQ(module.descriptor_address(), file.descriptor_address());
    EXPECT_EQ(module.relocation_count(), file.relocation_count());
    EXPECT_EQ(module.memory_size() % kPageSize, 0u);
    ASSERT_GE(module.segments().size(), 3u);
    uint64_t end = 0;
    for (const ElfSegment& segment : module.segments()) {
        EXPECT_GE(segment.first_page(), end);
        EXPECT_FALSE(segment.write && segment.execute);
        end = segment.first_page() + segment.page_count();
    }
    EXPECT_EQ(end * kPageSize, module.memory_size());
    for (size_t i = 0; i < module.relocation_count(); ++i) {
        EXPECT_EQ(module.relocation(i).offset % 8, 0u);
        EXPECT_LE(module.relocation(i).addend, module.memory_size());
    }
}

TEST(ElfModule, ReadsOptionsAndInterfaces) {
    const ModuleFile file(kRichModule);
    const Result<ElfModule> result = ElfModule::parse(file.bytes(), "x");
    ASSERT_TRUE(result.ok()) << std::string(result.error().sentence());
    const ElfModule& module = result.value();
    ASSERT_GT(module.option_count(), 0u);
    bool found = false;
    for (size_t i = 0; i < module.option_count(); ++i) found |= module.option(i).key == Text("time_slice_ms");
    EXPECT_TRUE(found);
    ASSERT_EQ(module.interface_count(), 1u);
    EXPECT_EQ(module.interface_entry(0).name, Text("helix.scheduler"));
    EXPECT_EQ(module.interface_entry(0).cast, nullptr);
    EXPECT_TRUE(module.info().provides().contains("helix.scheduler"));
}

TEST(ElfModule, FindsFunctionsForBacktraces) {
    const ModuleFile file("template");
    const Result<ElfModule> result = ElfModule::parse(file.bytes(), "x");
    ASSERT_TRUE(result.ok());
    const ElfModule& module = result.value();
    if (module.symbols().empty()) GTEST_SKIP() << "the module is stripped";
    const auto create =
        file.get<elf::Relocation>(file.find_relocation(file.descriptor_address() + offsetof(ModuleDescriptor, create)));
    uint64_t offset = 99;
    const Text at_start = module.symbol_for(static_cast<uint64_t>(create.addend), offset);
    EXPECT_FALSE(at_start.empty());
    EXPECT_EQ(offset, 0u);
    EXPECT_EQ(module.symbol_for(static_cast<uint64_t>(create.addend) + 1, offset), at_start);
    EXPECT_EQ(offset, 1u);
    EXPECT_TRUE(module.symbol_for(0, offset).empty());
    EXPECT_TRUE(module.symbol_for(UINT64_MAX, offset).empty());
}

TEST(ElfModule, TheFileMayLieAnywhereInMemory) {
    const ModuleFile file(kRichModule);
    std::vector<uint8_t> moved(file.bytes().size() + 1);
    std::memcpy(moved.data() + 1, file.bytes().data(), file.bytes().size());
    EXPECT_TRUE(ElfModule::parse(Bytes(moved).subspan(1), "x").ok());
}

TEST(ElfModule, EveryTruncationIsRefused) {
    const ModuleFile file("template");
    // Everything near the boundaries of what is parsed, and steps through the rest.
    for (size_t size = 0; size < file.bytes().size(); size += size < 512 ? 1 : 61) {
        const std::vector<uint8_t> cut(file.bytes().begin(), file.bytes().begin() + size);
        const Result<ElfModule> result = ElfModule::parse(Bytes(cut), "cut.hmod");
        ASSERT_FALSE(result.ok()) << size;
        ASSERT_TRUE(result.error().sentence().starts_with("cut.hmod: ")) << size;
    }
}

struct BadCase {
    const char* name;
    ErrorCode code;
    const char* reason;
    void (*bend)(ModuleFile&);
    const char* module = "template";
};

using elf::Dynamic;
using elf::FileHeader;
using elf::ProgramHeader;
using elf::Relocation;
using elf::Symbol;

template <typename Change>
void edit_header(ModuleFile& file, Change change) {
    file.edit<FileHeader>(0, change);
}
template <typename Change>
void edit_load(ModuleFile& file, uint32_t flags, Change change, size_t n = 0) {
    file.edit<ProgramHeader>(file.find_program(elf::kSegmentLoad, flags, n), change);
}
template <typename Change>
void edit_descriptor(ModuleFile& file, Change change) {
    file.edit<ModuleDescriptor>(file.descriptor(), change);
}
/// Writes `value` at a place that is given as a pointer into the descriptor's copy.
template <typename T, typename Place>
void poke(ModuleFile& file, Place place, T value) {
    const auto descriptor = file.get<ModuleDescriptor>(file.descriptor());
    const auto* at = reinterpret_cast<const char*>(place(descriptor));
    file.put<T>(file.descriptor() + static_cast<uint64_t>(at - reinterpret_cast<const char*>(&descriptor)), value);
}
/// The size of a FixedText lies two bytes before its characters.
template <typename Place>
void set_text_size(ModuleFile& file, Place place, uint16_t size) {
    poke<uint16_t>(file, [&](const ModuleDescriptor& d) { return place(d).data() - sizeof(uint16_t); }, size);
}
/// Turns an entry of the dynamic section that the loader ignores into another.
void add_dynamic(ModuleFile& file, int64_t tag, uint64_t value) {
    constexpr int64_t kFlags1 = 0x6FFFFFFB;
    file.put(file.find_dynamic(kFlags1), Dynamic{tag, value});
}
uint64_t option_at(const ModuleFile& file, size_t i) {
    return file.descriptor() + file.get<ModuleDescriptor>(file.descriptor()).option_offset + i * sizeof(Option);
}
uint64_t interface_at(const ModuleFile& file, size_t i) {
    return file.descriptor() + file.get<ModuleDescriptor>(file.descriptor()).interface_offset +
           i * sizeof(InterfaceEntry);
}
uint64_t create_relocation(const ModuleFile& file) {
    return file.find_relocation(file.descriptor_address() + offsetof(ModuleDescriptor, create));
}
/// A relocation that is none of the descriptor's.
uint64_t other_relocation(const ModuleFile& file) {
    const uint64_t size = file.get<ModuleDescriptor>(file.descriptor()).size;
    for (size_t i = 0; i < file.relocation_count(); ++i) {
        const uint64_t at = file.relocation_offset(i);
        if (file.get<Relocation>(at).offset - file.descriptor_address() >= size) return at;
    }
    throw std::runtime_error("every relocation is the descriptor's");
}

TEST(ElfModule, IsRefusedIfItExportsMoreThanItsDescriptor) {
    const ModuleFile file("exports-more");
    const Result<ElfModule> result = ElfModule::parse(file.bytes(), "bad.hmod");
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code(), ErrorCode::NotSupported);
    EXPECT_EQ(std::string(result.error().sentence()),
              "bad.hmod: it exports function_for_all beside helix_module; link it with the version script of the SDK");
}

class BadElf : public testing::TestWithParam<BadCase> {};

TEST_P(BadElf, IsRefusedWithFileReasonAndRemedy) {
    const BadCase& bad = GetParam();
    ModuleFile file(bad.module);
    ASSERT_TRUE(ElfModule::parse(file.bytes(), "bad.hmod").ok()) << "the original is bad";
    bad.bend(file);
    const Result<ElfModule> result = ElfModule::parse(file.bytes(), "bad.hmod");
    ASSERT_FALSE(result.ok());
    const std::string sentence(result.error().sentence());
    EXPECT_EQ(result.error().code(), bad.code) << sentence;
    EXPECT_TRUE(sentence.starts_with("bad.hmod: ")) << sentence;
    EXPECT_NE(sentence.find(bad.reason), std::string::npos) << sentence;
    EXPECT_NE(sentence.find("; "), std::string::npos) << sentence;
    EXPECT_LT(sentence.size(), Error::kCapacity) << sentence;
}

const BadCase kFileCases[] = {
    {"not_elf", ErrorCode::Corrupt, "not an ELF file", [](ModuleFile& f) { f.put<uint8_t>(1, 'e'); }},
    {"class_32", ErrorCode::Incompatible, "not a 64-bit", [](ModuleFile& f) { f.put<uint8_t>(4, 1); }},
    {"big_endian", ErrorCode::Incompatible, "little-endian", [](ModuleFile& f) { f.put<uint8_t>(5, 2); }},
    {"machine", ErrorCode::Incompatible, "built for ELF machine 183, not for x86_64 (62)",
     [](ModuleFile& f) { edit_header(f, [](FileHeader& h) { h.machine = 183; }); }},
    {"executable", ErrorCode::NotSupported, "type 2",
     [](ModuleFile& f) { edit_header(f, [](FileHeader& h) { h.type = 2; }); }},
    {"program_entry_size", ErrorCode::Corrupt, "program headers of an unknown size",
     [](ModuleFile& f) { edit_header(f, [](FileHeader& h) { h.program_entry_size = 32; }); }},
    {"program_headers_far_away", ErrorCode::Corrupt, "truncated in the program headers",
     [](ModuleFile& f) { edit_header(f, [](FileHeader& h) { h.program_offset = UINT64_MAX - 8; }); }},
    {"too_many_program_headers", ErrorCode::Corrupt, "truncated in the program headers",
     [](ModuleFile& f) { edit_header(f, [](FileHeader& h) { h.program_count = 0xFFFF; }); }},
    {"no_program_headers", ErrorCode::Corrupt, "nothing in it is to be loaded",
     [](ModuleFile& f) { edit_header(f, [](FileHeader& h) { h.program_count = 0; }); }},
    {"section_headers_far_away", ErrorCode::Corrupt, "truncated in the section headers",
     [](ModuleFile& f) { edit_header(f, [](FileHeader& h) { h.section_offset = UINT64_MAX - 8; }); }},
    {"section_entry_size", ErrorCode::Corrupt, "section headers",
     [](ModuleFile& f) { edit_header(f, [](FileHeader& h) { h.section_entry_size = 1; }); }},
};

const BadCase kSegmentCases[] = {
    {"writable_and_executable", ErrorCode::NotSupported, "both writable and executable",
     [](ModuleFile& f) { edit_load(f, elf::kExecute, [](ProgramHeader& p) { p.flags |= elf::kWrite; }); }},
    {"overlap", ErrorCode::Corrupt, "overlap",
     [](ModuleFile& f) { edit_load(f, elf::kExecute, [](ProgramHeader& p) { p.memory_size += 4096; }); }},
    {"shared_page", ErrorCode::Corrupt, "share a page",
     [](ModuleFile& f) { edit_load(f, elf::kWrite, [](ProgramHeader& p) { p.address -= 4096; }); }},
    {"unsorted", ErrorCode::Corrupt, "not sorted",
     [](ModuleFile& f) {
         const uint64_t first = f.find_program(elf::kSegmentLoad, elf::kExecute);
         const uint64_t second = f.find_program(elf::kSegmentLoad, elf::kWrite);
         const auto a = f.get<ProgramHeader>(first);
         const auto b = f.get<ProgramHeader>(second);
         f.put(first, b);
         f.put(second, a);
     }},
    {"alignment", ErrorCode::Corrupt, "not aligned to pages",
     [](ModuleFile& f) { edit_load(f, elf::kExecute, [](ProgramHeader& p) { p.alignment = 16; }); }},
    {"alignment_no_power", ErrorCode::Corrupt, "not aligned to pages",
     [](ModuleFile& f) { edit_load(f, elf::kExecute, [](ProgramHeader& p) { p.alignment = 12288; }); }},
    {"incongruent", ErrorCode::Corrupt, "not aligned to pages",
     [](ModuleFile& f) { edit_load(f, elf::kExecute, [](ProgramHeader& p) { p.offset += 8; }); }},
    {"file_larger_than_memory", ErrorCode::Corrupt, "larger in the file than in memory",
     [](ModuleFile& f) { edit_load(f, elf::kExecute, [](ProgramHeader& p) { p.file_size = p.memory_size + 1; }); }},
    {"beyond_the_file", ErrorCode::Corrupt, "truncated: a segment ends behind",
     [](ModuleFile& f) { edit_load(f, elf::kExecute, [](ProgramHeader& p) { p.offset += uint64_t{1} << 40; }); }},
    {"offset_wraps", ErrorCode::Corrupt, "truncated: a segment ends behind",
     [](ModuleFile& f) { edit_load(f, elf::kExecute, [](ProgramHeader& p) { p.offset = UINT64_MAX - 4095; }); }},
    {"address_wraps", ErrorCode::OutOfRange, "more than 64 MiB",
     [](ModuleFile& f) { edit_load(f, elf::kWrite, [](ProgramHeader& p) { p.address = UINT64_MAX - 4095; }); }},
    {"absurd_size", ErrorCode::OutOfRange, "more than 64 MiB",
     [](ModuleFile& f) { edit_load(f, elf::kWrite, [](ProgramHeader& p) { p.memory_size = uint64_t{64} << 20; }); }},
    {"size_wraps", ErrorCode::OutOfRange, "more than 64 MiB",
     [](ModuleFile& f) { edit_load(f, elf::kWrite, [](ProgramHeader& p) { p.memory_size = UINT64_MAX; }); }},
    {"thread_local", ErrorCode::NotSupported, "thread-local",
     [](ModuleFile& f) {
         f.edit<ProgramHeader>(f.find_program(elf::kSegmentGnuStack),
                               [](ProgramHeader& p) { p.type = elf::kSegmentThreadLocal; });
     }},
    {"interpreter", ErrorCode::NotSupported, "it is a program",
     [](ModuleFile& f) {
         f.edit<ProgramHeader>(f.find_program(elf::kSegmentGnuStack),
                               [](ProgramHeader& p) { p.type = elf::kSegmentInterpreter; });
     }},
    {"executable_stack", ErrorCode::NotSupported, "executable stack",
     [](ModuleFile& f) {
         f.edit<ProgramHeader>(f.find_program(elf::kSegmentGnuStack),
                               [](ProgramHeader& p) { p.flags |= elf::kExecute; });
     }},
    {"no_dynamic", ErrorCode::Corrupt, "no dynamic section",
     [](ModuleFile& f) {
         f.edit<ProgramHeader>(f.find_program(elf::kSegmentDynamic), [](ProgramHeader& p) { p.type = 0; });
     }},
    {"two_dynamic", ErrorCode::Corrupt, "two dynamic sections",
     [](ModuleFile& f) {
         f.put(f.find_program(elf::kSegmentGnuStack), f.get<ProgramHeader>(f.find_program(elf::kSegmentDynamic)));
     }},
    {"dynamic_elsewhere", ErrorCode::Corrupt, "dynamic section is outside",
     [](ModuleFile& f) {
         f.edit<ProgramHeader>(f.find_program(elf::kSegmentDynamic),
                               [](ProgramHeader& p) { p.address = UINT64_MAX - 15; });
     }},
    {"dynamic_without_end", ErrorCode::Corrupt, "dynamic section has no end",
     [](ModuleFile& f) {
         f.edit<ProgramHeader>(f.find_program(elf::kSegmentDynamic), [](ProgramHeader& p) { p.file_size = 32; });
     }},
};

const BadCase kDynamicCases[] = {
    {"needs_library", ErrorCode::NotSupported, "shared library",
     [](ModuleFile& f) { add_dynamic(f, elf::tag::kNeeded, 1); }},
    {"init", ErrorCode::NotSupported, "global constructors", [](ModuleFile& f) { add_dynamic(f, elf::tag::kInit, 1); }},
    {"fini", ErrorCode::NotSupported, "global constructors", [](ModuleFile& f) { add_dynamic(f, elf::tag::kFini, 1); }},
    {"init_array", ErrorCode::NotSupported, "global constructors",
     [](ModuleFile& f) { add_dynamic(f, elf::tag::kInitArray, 1); }},
    {"fini_array", ErrorCode::NotSupported, "global constructors",
     [](ModuleFile& f) { add_dynamic(f, elf::tag::kFiniArray, 1); }},
    {"preinit_array", ErrorCode::NotSupported, "global constructors",
     [](ModuleFile& f) { add_dynamic(f, elf::tag::kPreinitArray, 1); }},
    {"text_relocations", ErrorCode::NotSupported, "-fPIC",
     [](ModuleFile& f) { add_dynamic(f, elf::tag::kTextRelocations, 0); }},
    {"rel", ErrorCode::NotSupported, "packed relocations", [](ModuleFile& f) { add_dynamic(f, elf::tag::kRel, 8); }},
    {"relr", ErrorCode::NotSupported, "packed relocations", [](ModuleFile& f) { add_dynamic(f, elf::tag::kRelr, 8); }},
    {"procedure_linkage", ErrorCode::NotSupported, "procedure linkage table",
     [](ModuleFile& f) { add_dynamic(f, elf::tag::kProcedureRelocationSize, 24); }},
    {"no_hash", ErrorCode::NotSupported, "hash table",
     [](ModuleFile& f) { f.edit<Dynamic>(f.find_dynamic(elf::tag::kHash), [](Dynamic& d) { d.tag = 0x6FFFFEF5; }); }},
    {"symbols_elsewhere", ErrorCode::Corrupt, "symbol table is outside",
     [](ModuleFile& f) { f.edit<Dynamic>(f.find_dynamic(elf::tag::kSymbols), [](Dynamic& d) { d.value = ~0ull; }); }},
    {"strings_elsewhere", ErrorCode::Corrupt, "symbol table is outside",
     [](ModuleFile& f) {
         f.edit<Dynamic>(f.find_dynamic(elf::tag::kStringSize), [](Dynamic& d) { d.value = ~0ull; });
     }},
    {"symbol_entry", ErrorCode::Corrupt, "symbol table is outside",
     [](ModuleFile& f) { f.edit<Dynamic>(f.find_dynamic(elf::tag::kSymbolEntry), [](Dynamic& d) { d.value = 16; }); }},
    {"absurd_symbol_count", ErrorCode::Corrupt, "symbol table is outside",
     [](ModuleFile& f) { f.put<uint32_t>(f.offset_of(f.dynamic_value(elf::tag::kHash)) + 4, ~0u); }},
    {"undefined_symbol", ErrorCode::NotSupported, "the symbol helix_module is undefined",
     [](ModuleFile& f) { f.edit<Symbol>(f.descriptor_symbol(), [](Symbol& s) { s.section = 0; }); }},
    {"thread_local_symbol", ErrorCode::NotSupported, "thread-local",
     [](ModuleFile& f) {
         f.edit<Symbol>(f.descriptor_symbol(), [](Symbol& s) { s.info = 0x10 | elf::kSymbolThreadLocal; });
     }},
    {"no_descriptor", ErrorCode::NotFound, "exports no helix_module",
     [](ModuleFile& f) { f.edit<Symbol>(f.descriptor_symbol(), [](Symbol& s) { s.name += 1; }); }},
    {"symbol_name_elsewhere", ErrorCode::NotFound, "exports no helix_module",
     [](ModuleFile& f) { f.edit<Symbol>(f.descriptor_symbol(), [](Symbol& s) { s.name = ~0u; }); }},
};

const BadCase kRelocationCases[] = {
    {"table_elsewhere", ErrorCode::Corrupt, "relocation table",
     [](ModuleFile& f) {
         f.edit<Dynamic>(f.find_dynamic(elf::tag::kRelocations), [](Dynamic& d) { d.value = 0x3FFFFF0; });
     }},
    {"table_cut", ErrorCode::Corrupt, "relocation table",
     [](ModuleFile& f) {
         f.edit<Dynamic>(f.find_dynamic(elf::tag::kRelocationSize), [](Dynamic& d) { d.value -= 1; });
     }},
    {"entry_size", ErrorCode::Corrupt, "relocation table",
     [](ModuleFile& f) {
         f.edit<Dynamic>(f.find_dynamic(elf::tag::kRelocationEntry), [](Dynamic& d) { d.value = 8; });
     }},
    {"no_relocations", ErrorCode::Corrupt, "has no relocation",
     [](ModuleFile& f) {
         f.edit<Dynamic>(f.find_dynamic(elf::tag::kRelocationSize), [](Dynamic& d) { d.value = 0; });
     }},
    {"kind", ErrorCode::NotSupported, "a relocation of type 6 and symbol 1; only RELATIVE (8) without one",
     [](ModuleFile& f) {
         f.edit<Relocation>(f.relocation_offset(0), [](Relocation& r) { r.info = uint64_t{1} << 32 | 6; });
     }},
    {"relative_with_symbol", ErrorCode::NotSupported, "relocation of type 8 and symbol 1;",
     [](ModuleFile& f) {
         f.edit<Relocation>(f.relocation_offset(0), [](Relocation& r) { r.info |= uint64_t{1} << 32; });
     }},
    {"target_in_code", ErrorCode::Corrupt, "writable data",
     [](ModuleFile& f) {
         const auto code = f.get<ProgramHeader>(f.find_program(elf::kSegmentLoad, elf::kExecute));
         f.edit<Relocation>(other_relocation(f), [&](Relocation& r) { r.offset = code.address; });
     }},
    {"target_misaligned", ErrorCode::Corrupt, "aligned word",
     [](ModuleFile& f) { f.edit<Relocation>(other_relocation(f), [](Relocation& r) { r.offset += 4; }); }},
    {"target_wraps", ErrorCode::Corrupt, "writable data",
     [](ModuleFile& f) { f.edit<Relocation>(other_relocation(f), [](Relocation& r) { r.offset = UINT64_MAX - 7; }); }},
    {"leads_outside", ErrorCode::Corrupt, "leads outside the module",
     [](ModuleFile& f) { f.edit<Relocation>(other_relocation(f), [](Relocation& r) { r.addend = 1 << 30; }); }},
    {"leads_before", ErrorCode::Corrupt, "leads outside the module",
     [](ModuleFile& f) { f.edit<Relocation>(other_relocation(f), [](Relocation& r) { r.addend = -1; }); }},
    {"changes_info", ErrorCode::Corrupt, "changes its descriptor's data",
     [](ModuleFile& f) {
         f.edit<Relocation>(other_relocation(f), [&](Relocation& r) { r.offset = f.descriptor_address() + 48; });
     }},
    {"changes_options", ErrorCode::Corrupt, "changes its descriptor's data",
     [](ModuleFile& f) {
         const auto d = f.get<ModuleDescriptor>(f.descriptor());
         f.edit<Relocation>(other_relocation(f),
                            [&](Relocation& r) { r.offset = f.descriptor_address() + d.option_offset; });
     },
     kRichModule},
    {"create_in_data", ErrorCode::Corrupt, "is not in its code",
     [](ModuleFile& f) {
         f.edit<Relocation>(create_relocation(f),
                            [&](Relocation& r) { r.addend = static_cast<int64_t>(f.descriptor_address()); });
     }},
    {"cast_in_data", ErrorCode::Corrupt, "is not in its code",
     [](ModuleFile& f) {
         const auto d = f.get<ModuleDescriptor>(f.descriptor());
         f.edit<Relocation>(
             f.find_relocation(f.descriptor_address() + d.interface_offset + offsetof(InterfaceEntry, cast)),
             [&](Relocation& r) { r.addend = static_cast<int64_t>(f.descriptor_address()); });
     },
     kRichModule},
    {"create_missing", ErrorCode::Corrupt, "has no relocation",
     [](ModuleFile& f) {
         const auto other = f.get<Relocation>(other_relocation(f));
         f.put(create_relocation(f), other);
     }},
};

const BadCase kDescriptorCases[] = {
    {"in_code", ErrorCode::Corrupt, "not in aligned, writable data",
     [](ModuleFile& f) {
         const auto code = f.get<ProgramHeader>(f.find_program(elf::kSegmentLoad, elf::kExecute));
         f.edit<Symbol>(f.descriptor_symbol(), [&](Symbol& s) { s.value = code.address; });
     }},
    {"misaligned", ErrorCode::Corrupt, "not in aligned, writable data",
     [](ModuleFile& f) { f.edit<Symbol>(f.descriptor_symbol(), [](Symbol& s) { s.value += 1; }); }},
    {"outside", ErrorCode::Corrupt, "not in aligned, writable data",
     [](ModuleFile& f) { f.edit<Symbol>(f.descriptor_symbol(), [](Symbol& s) { s.value = UINT64_MAX - 7; }); }},
    {"function", ErrorCode::Corrupt, "not in aligned, writable data",
     [](ModuleFile& f) {
         f.edit<Symbol>(f.descriptor_symbol(), [](Symbol& s) { s.info = 0x10 | elf::kSymbolFunction; });
     }},
    {"magic", ErrorCode::Corrupt, "does not begin with HELIXMOD",
     [](ModuleFile& f) { edit_descriptor(f, [](ModuleDescriptor& d) { d.magic[7] = 'X'; }); }},
    {"abi_version", ErrorCode::Incompatible, "built for ABI version 77, this kernel speaks 1",
     [](ModuleFile& f) { edit_descriptor(f, [](ModuleDescriptor& d) { d.abi_version = 77; }); }},
    {"abi_fingerprint", ErrorCode::Incompatible, "ABI fingerprint",
     [](ModuleFile& f) { edit_descriptor(f, [](ModuleDescriptor& d) { d.abi_fingerprint ^= 1; }); }},
    {"size_small", ErrorCode::Corrupt, "wrong size",
     [](ModuleFile& f) { edit_descriptor(f, [](ModuleDescriptor& d) { d.size = 24; }); }},
    {"size_large", ErrorCode::Corrupt, "wrong size",
     [](ModuleFile& f) { edit_descriptor(f, [](ModuleDescriptor& d) { d.size = ~0u; }); }},
    {"symbol_size", ErrorCode::Corrupt, "wrong size",
     [](ModuleFile& f) { f.edit<Symbol>(f.descriptor_symbol(), [](Symbol& s) { s.size = 64; }); }},
    {"option_count", ErrorCode::Corrupt, "inconsistent",
     [](ModuleFile& f) { edit_descriptor(f, [](ModuleDescriptor& d) { d.option_count = ~0u; }); }},
    {"option_count_by_some", ErrorCode::Corrupt, "inconsistent",
     [](ModuleFile& f) { edit_descriptor(f, [](ModuleDescriptor& d) { d.option_count += 20; }); }, kRichModule},
    {"option_offset", ErrorCode::Corrupt, "inconsistent",
     [](ModuleFile& f) { edit_descriptor(f, [](ModuleDescriptor& d) { d.option_offset = ~0u - 7; }); }},
    {"option_offset_in_info", ErrorCode::Corrupt, "inconsistent",
     [](ModuleFile& f) { edit_descriptor(f, [](ModuleDescriptor& d) { d.option_offset = 64; }); }},
    {"option_offset_misaligned", ErrorCode::Corrupt, "inconsistent",
     [](ModuleFile& f) { edit_descriptor(f, [](ModuleDescriptor& d) { d.option_offset += 1; }); }},
    {"option_size", ErrorCode::Corrupt, "inconsistent",
     [](ModuleFile& f) { edit_descriptor(f, [](ModuleDescriptor& d) { d.option_size = 8; }); }},
    {"interface_count", ErrorCode::Corrupt, "inconsistent",
     [](ModuleFile& f) { edit_descriptor(f, [](ModuleDescriptor& d) { d.interface_count = 17; }); }},
    {"interface_size", ErrorCode::Corrupt, "inconsistent",
     [](ModuleFile& f) { edit_descriptor(f, [](ModuleDescriptor& d) { d.interface_size = 0; }); }},
    {"interfaces_over_options", ErrorCode::Corrupt, "inconsistent",
     [](ModuleFile& f) { edit_descriptor(f, [](ModuleDescriptor& d) { d.interface_offset = d.option_offset; }); },
     kRichModule},
};

const BadCase kInfoCases[] = {
    {"name_size", ErrorCode::Corrupt, "the name in its info",
     [](ModuleFile& f) { set_text_size(f, [](auto& d) { return d.info.name(); }, 47); }},
    {"name_size_absurd", ErrorCode::Corrupt, "the name in its info",
     [](ModuleFile& f) { set_text_size(f, [](auto& d) { return d.info.name(); }, 0xFFFF); }},
    {"name_empty", ErrorCode::Corrupt, "the name in its info",
     [](ModuleFile& f) { set_text_size(f, [](auto& d) { return d.info.name(); }, 0); }},
    {"name_characters", ErrorCode::Corrupt, "the name in its info",
     [](ModuleFile& f) { poke<char>(f, [](auto& d) { return d.info.name().data() + 2; }, '/'); }},
    {"description_size", ErrorCode::Corrupt, "the description in its info",
     [](ModuleFile& f) { set_text_size(f, [](auto& d) { return d.info.description(); }, 159); }},
    {"description_escape", ErrorCode::Corrupt, "the description in its info",
     [](ModuleFile& f) { poke<char>(f, [](auto& d) { return d.info.description().data(); }, '\x1b'); }},
    {"author_size", ErrorCode::Corrupt, "the author in its info",
     [](ModuleFile& f) { set_text_size(f, [](auto& d) { return d.info.author(); }, 63); }},
    {"license_size", ErrorCode::Corrupt, "the license in its info",
     [](ModuleFile& f) { set_text_size(f, [](auto& d) { return d.info.license(); }, 47); }},
    {"state_format_size", ErrorCode::Corrupt, "the state format in its info",
     [](ModuleFile& f) {
         // The last member, which need not be set.
         poke<uint16_t>(
             f, [](auto& d) { return reinterpret_cast<const char*>(&d.info + 1) - sizeof(FixedText<46>); }, 47);
     }},
    {"license_not_utf8", ErrorCode::Corrupt, "the license in its info",
     [](ModuleFile& f) { poke<char>(f, [](auto& d) { return d.info.license().data(); }, '\xc0'); }},
    {"flags", ErrorCode::Corrupt, "the set of flags in its info",
     [](ModuleFile& f) {
         // The flags follow the name (48 bytes) and the version (6 bytes, padded).
         poke<uint32_t>(f, [](auto& d) { return reinterpret_cast<const char*>(&d.info) + 56; }, 1u << 30);
     }},
    {"dependency_count", ErrorCode::Corrupt, "list of dependencies",
     [](ModuleFile& f) { poke<uint32_t>(f, [](auto& d) { return &d.info.dependencies(); }, 9); }},
    {"dependency_count_absurd", ErrorCode::Corrupt, "list of dependencies",
     [](ModuleFile& f) { poke<uint32_t>(f, [](auto& d) { return &d.info.dependencies(); }, ~0u); }},
    {"dependency_empty", ErrorCode::Corrupt, "dependency 1",
     [](ModuleFile& f) { poke<uint32_t>(f, [](auto& d) { return &d.info.dependencies(); }, 1); }},
    {"dependency_size", ErrorCode::Corrupt, "list of dependencies",
     [](ModuleFile& f) {
         poke<uint32_t>(f, [](auto& d) { return &d.info.dependencies(); }, 1);
         set_text_size(f, [](auto& d) { return d.info.dependencies()[0]; }, 63);
     }},
    {"conflict_count", ErrorCode::Corrupt, "list of conflicts",
     [](ModuleFile& f) { poke<uint32_t>(f, [](auto& d) { return &d.info.conflicts(); }, 5); }},
    {"conflict_empty", ErrorCode::Corrupt, "conflict 1",
     [](ModuleFile& f) { poke<uint32_t>(f, [](auto& d) { return &d.info.conflicts(); }, 1); }},
    {"conflict_size", ErrorCode::Corrupt, "list of conflicts",
     [](ModuleFile& f) {
         poke<uint32_t>(f, [](auto& d) { return &d.info.conflicts(); }, 1);
         set_text_size(f, [](auto& d) { return d.info.conflicts()[0]; }, 63);
     }},
    {"optional_count", ErrorCode::Corrupt, "list of optional dependencies",
     [](ModuleFile& f) { poke<uint32_t>(f, [](auto& d) { return &d.info.optional(); }, 5); }},
    {"optional_empty", ErrorCode::Corrupt, "optional dependency 1",
     [](ModuleFile& f) { poke<uint32_t>(f, [](auto& d) { return &d.info.optional(); }, 1); }},
    {"provides_count", ErrorCode::Corrupt, "list of capabilities",
     [](ModuleFile& f) { poke<uint32_t>(f, [](auto& d) { return &d.info.provides(); }, 7); }},
    {"provides_size", ErrorCode::Corrupt, "list of capabilities",
     [](ModuleFile& f) {
         poke<uint32_t>(f, [](auto& d) { return &d.info.provides(); }, 1);
         set_text_size(f, [](auto& d) { return d.info.provides()[0]; }, 60000);
     }},
};

const BadCase kListCases[] = {
    {"key_size", ErrorCode::Corrupt, "option number 1 has a malformed key",
     [](ModuleFile& f) { f.put<uint16_t>(option_at(f, 0), 39); }, kRichModule},
    {"key_characters", ErrorCode::Corrupt, "option number 1 has a malformed key",
     [](ModuleFile& f) { f.put<char>(option_at(f, 0) + 3, '='); }, kRichModule},
    {"type", ErrorCode::Corrupt, "option number 1 has an unknown type",
     [](ModuleFile& f) { f.put<uint32_t>(option_at(f, 0) + offsetof(Option, type), 6); }, kRichModule},
    {"default_size", ErrorCode::Corrupt, "option number 1 has an unknown type or a default",
     [](ModuleFile& f) { f.put<uint16_t>(option_at(f, 0) + offsetof(Option, default_value), 39); }, kRichModule},
    {"default_wrong", ErrorCode::Corrupt, "option number 1 has an unknown type or a default",
     [](ModuleFile& f) { f.put<char>(option_at(f, 0) + offsetof(Option, default_value) + 2, 'x'); }, kRichModule},
    {"documentation_size", ErrorCode::Corrupt, "option number 1 has malformed documentation",
     [](ModuleFile& f) { f.put<uint16_t>(option_at(f, 0) + offsetof(Option, documentation), 111); }, kRichModule},
    {"documentation_line_break", ErrorCode::Corrupt, "option number 1 has malformed documentation",
     [](ModuleFile& f) { f.put<char>(option_at(f, 0) + offsetof(Option, documentation) + 2, '\n'); }, kRichModule},
    {"range", ErrorCode::Corrupt, "option number 1 has a minimum above",
     [](ModuleFile& f) { f.put<int64_t>(option_at(f, 0) + offsetof(Option, minimum), INT64_MAX); }, kRichModule},
    {"key_twice", ErrorCode::Corrupt, "option number 2 has the key of another",
     [](ModuleFile& f) { f.put(option_at(f, 1), f.get<Option>(option_at(f, 0))); }, kRichModule},
    {"interface_name_size", ErrorCode::Corrupt, "interface number 1 has a malformed name",
     [](ModuleFile& f) { f.put<uint16_t>(interface_at(f, 0), 47); }, kRichModule},
    {"interface_name", ErrorCode::Corrupt, "interface number 1 has a malformed name",
     [](ModuleFile& f) { f.put<char>(interface_at(f, 0) + 2, '\0'); }, kRichModule},
    {"interface_not_provided", ErrorCode::Corrupt, "interface number 1 is missing in provides()",
     [](ModuleFile& f) { f.put<char>(interface_at(f, 0) + 2, 'x'); }, kRichModule},
};

const auto kCaseName = [](const auto& info) { return std::string(info.param.name); };
INSTANTIATE_TEST_SUITE_P(File, BadElf, testing::ValuesIn(kFileCases), kCaseName);
INSTANTIATE_TEST_SUITE_P(Segments, BadElf, testing::ValuesIn(kSegmentCases), kCaseName);
INSTANTIATE_TEST_SUITE_P(Dynamic, BadElf, testing::ValuesIn(kDynamicCases), kCaseName);
INSTANTIATE_TEST_SUITE_P(Relocations, BadElf, testing::ValuesIn(kRelocationCases), kCaseName);
INSTANTIATE_TEST_SUITE_P(Descriptor, BadElf, testing::ValuesIn(kDescriptorCases), kCaseName);
INSTANTIATE_TEST_SUITE_P(Info, BadElf, testing::ValuesIn(kInfoCases), kCaseName);
INSTANTIATE_TEST_SUITE_P(Lists, BadElf, testing::ValuesIn(kListCases), kCaseName);

TEST(ElfModule, MessagesShowNothingUnprintableOfTheFileName) {
    const Result<ElfModule> result = ElfModule::parse({}, "a\x1b[2Jb");
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(std::string(result.error().sentence()), "a?[2Jb: not an ELF file; give a .hmod file");
}

TEST(ElfModule, RandomDamageNeverLeadsOutOfTheFile) {
    for (const char* name : {"template", kRichModule}) {
        const ModuleFile original(name);
        for (uint32_t seed = 1; seed <= 2000; ++seed) {
            SCOPED_TRACE(std::string(name) + ", seed " + std::to_string(seed));
            std::mt19937 random(seed);
            // An allocation of exactly the file's size, so that a sanitizer sees every step outside.
            std::vector<uint8_t> bytes(original.bytes().begin(), original.bytes().end());
            for (int i = 0; i < 4; ++i) {
                const size_t limit = random() % 2 == 0 ? 1024 : bytes.size();
                bytes[random() % limit] = static_cast<uint8_t>(random());
            }
            const Result<ElfModule> result = ElfModule::parse(Bytes(bytes), "damaged.hmod");
            if (!result.ok()) continue;
            const ElfModule& module = result.value();
            uint64_t sum = 0;
            for (const ElfSegment& segment : module.segments())
                for (uint8_t byte : module.file().subspan(segment.file_offset, segment.file_size)) sum += byte;
            for (size_t i = 0; i < module.relocation_count(); ++i) sum += module.relocation(i).offset;
            for (size_t i = 0; i < module.option_count(); ++i) sum += module.option(i).key.size();
            uint64_t offset = 0;
            sum += module.symbol_for(0x1010, offset).size();
            ASSERT_GT(sum, 0u);
        }
    }
}

}  // namespace
}  // namespace helix::kernel
