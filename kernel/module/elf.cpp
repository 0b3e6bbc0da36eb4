// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Every byte of a module file is untrusted: sizes are compared before they are added, records are copied before they
// are read, and texts are checked before they are shown.

#include "kernel/module/elf.hpp"

#include "helix/format.hpp"
#include "kernel/module/elf_records.hpp"
#include "kernel/module/text_rules.hpp"

namespace helix::kernel {

namespace {

constexpr Text kCopyAgain = "copy or build it again";
constexpr Text kDescriptorName = "helix_module";

/// bytes[offset, offset + size); false if that is not whole in `bytes`.
bool slice(Bytes bytes, uint64_t offset, uint64_t size, Bytes& out) {
    if (offset > bytes.size() || bytes.size() - offset < size) return false;
    out = bytes.subspan(offset, size);
    return true;
}

/// The zero-terminated text at `offset`, without its zero; empty if it does not end in `strings`.
[[gnu::noinline]] Text string_at(Bytes strings, uint64_t offset) {
    if (offset >= strings.size()) return {};
    const Text rest = as_text(strings.subspan(offset));
    const size_t end = rest.find('\0');
    return end == SIZE_MAX ? Text() : rest.substr(0, end);
}

}  // namespace

[[gnu::noinline, gnu::cold]] Error refuse(ErrorCode code, Text file_name, Text reason, Text remedy) {
    return Error(code, format("{}: {}; {}", quoted<48>(file_name).text(), reason, remedy).text());
}

/// What the dynamic section says; sizes in bytes, addresses in the mapping.
struct ElfModule::DynamicTables {
    uint64_t relocations = 0;
    uint64_t relocation_size = 0;
    uint64_t relocation_entry = sizeof(elf::Relocation);
    uint64_t procedure_relocation_size = 0;
    uint64_t symbols = 0;
    uint64_t symbol_entry = sizeof(elf::Symbol);
    uint64_t strings = 0;
    uint64_t string_size = 0;
    uint64_t hash = 0;
};

Result<ElfModule> ElfModule::parse(Bytes file, Text file_name) {
    Result<ElfModule> result{ElfModule()};
    result.value().file_ = file;
    const Result<void> status = result.value().read(file_name);
    if (!status.ok()) return status.error();
    return result;
}

Result<void> ElfModule::read(Text file_name) {
    elf::FileHeader header;
    elf::ProgramHeader dynamic = {};
    DynamicTables tables;
    TRY(read_header(file_name, header));
    TRY(read_segments(file_name, header, dynamic));
    TRY(read_dynamic(file_name, dynamic, tables));
    TRY(read_exports(file_name, tables));
    TRY(check_info(file_name));
    TRY(check_options(file_name));
    TRY(check_interfaces(file_name));
    TRY(read_relocations(file_name, tables));
    return read_symbols(file_name, header);
}

Result<void> ElfModule::read_header(Text file_name, elf::FileHeader& header) const {
    if (file_.size() < sizeof(elf::kMagic) || __builtin_memcmp(file_.data(), elf::kMagic, sizeof(elf::kMagic)) != 0)
        return refuse(ErrorCode::Corrupt, file_name, "not an ELF file", "give a .hmod file");
    if (!read_record(file_, 0, header))
        return refuse(ErrorCode::Corrupt, file_name, "truncated in the ELF header", kCopyAgain);
    if (header.identification[4] != elf::kClass64 || header.identification[5] != elf::kLittleEndian)
        return refuse(ErrorCode::Incompatible, file_name, "not a 64-bit little-endian ELF file", "build it for x86_64");
    if (header.machine != elf::kMachineX86_64)
        return refuse(
            ErrorCode::Incompatible, file_name,
            format("built for ELF machine {}, not for x86_64 ({})", header.machine, elf::kMachineX86_64).text(),
            "build it for x86_64");
    if (header.type != elf::kTypeShared)
        return refuse(ErrorCode::NotSupported, file_name,
                      format("an ELF file of type {}, not a shared object ({})", header.type, elf::kTypeShared).text(),
                      "link it with -shared, as helix_add_module does");
    if (header.program_entry_size != sizeof(elf::ProgramHeader))
        return refuse(ErrorCode::Corrupt, file_name, "program headers of an unknown size", kCopyAgain);
    return {};
}

Result<void> ElfModule::read_segments(Text file_name, const elf::FileHeader& header, elf::ProgramHeader& dynamic) {
    Bytes programs;
    if (!slice(file_, header.program_offset, uint64_t{header.program_count} * sizeof(elf::ProgramHeader), programs))
        return refuse(ErrorCode::Corrupt, file_name, "truncated in the program headers", kCopyAgain);
    for (size_t i = 0; i < header.program_count; ++i) {
        elf::ProgramHeader program;
        read_record(programs, i * sizeof(program), program);
        switch (program.type) {
            case elf::kSegmentLoad: TRY(add_segment(file_name, program)); break;
            case elf::kSegmentDynamic:
                if (dynamic.type == elf::kSegmentDynamic)
                    return refuse(ErrorCode::Corrupt, file_name, "two dynamic sections", kCopyAgain);
                dynamic = program;
                break;
            case elf::kSegmentThreadLocal:
                return refuse(ErrorCode::NotSupported, file_name, "it has thread-local variables",
                              "keep such data in the module's class");
            case elf::kSegmentInterpreter:
                return refuse(ErrorCode::NotSupported, file_name, "it is a program, not a module", kRebuild);
            case elf::kSegmentGnuStack:
                if ((program.flags & elf::kExecute) != 0)
                    return refuse(ErrorCode::NotSupported, file_name, "it wants an executable stack",
                                  "link it with -z noexecstack");
                break;
            default: break;
        }
    }
    if (segment_count_ == 0) return refuse(ErrorCode::Corrupt, file_name, "nothing in it is to be loaded", kRebuild);
    if (dynamic.type != elf::kSegmentDynamic)
        return refuse(ErrorCode::Corrupt, file_name, "it has no dynamic section", kRebuild);
    const ElfSegment& last = segments_[segment_count_ - 1];
    memory_size_ = (last.first_page() + last.page_count()) * kPageSize;
    return {};
}

Result<void> ElfModule::add_segment(Text file_name, const elf::ProgramHeader& program) {
    if (program.memory_size == 0) return {};
    if (segment_count_ == kMaximumSegments)
        return refuse(ErrorCode::OutOfRange, file_name, format("more than {} segments", kMaximumSegments).text(),
                      kRebuild);
    // These bounds keep every sum below from wrapping.
    if (program.address > kMaximumModuleSize || program.memory_size > kMaximumModuleSize - program.address)
        return refuse(ErrorCode::OutOfRange, file_name,
                      format("it needs more than {} MiB of memory", kMaximumModuleSize >> 20).text(),
                      "make its static data smaller");
    if (program.file_size > program.memory_size)
        return refuse(ErrorCode::Corrupt, file_name, "a segment is larger in the file than in memory", kCopyAgain);
    Bytes unused;
    if (!slice(file_, program.offset, program.file_size, unused))
        return refuse(ErrorCode::Corrupt, file_name,
                      format("truncated: a segment ends behind the file's {} bytes", file_.size()).text(), kCopyAgain);
    if (program.alignment < kPageSize || (program.alignment & (program.alignment - 1)) != 0 ||
        (program.offset - program.address) % kPageSize != 0)
        return refuse(ErrorCode::Corrupt, file_name, "a segment is not aligned to pages of 4096 bytes",
                      "link it with -z max-page-size=4096");
    const bool write = (program.flags & elf::kWrite) != 0;
    const bool execute = (program.flags & elf::kExecute) != 0;
    if (write && execute)
        return refuse(ErrorCode::NotSupported, file_name, "a segment is both writable and executable",
                      "link it as helix_add_module does");
    const ElfSegment segment{program.offset, program.file_size, program.address, program.memory_size, write, execute};
    if (segment_count_ > 0) {
        const ElfSegment& previous = segments_[segment_count_ - 1];
        if (segment.address < previous.address)
            return refuse(ErrorCode::Corrupt, file_name, "its segments are not sorted by address", kRebuild);
        if (segment.first_page() < previous.first_page() + previous.page_count())
            return refuse(ErrorCode::Corrupt, file_name, "its segments overlap or share a page",
                          "link it as helix_add_module does");
    }
    segments_[segment_count_++] = segment;
    return {};
}

const ElfSegment* ElfModule::segment_of(uint64_t address, uint64_t size) const {
    for (const ElfSegment& segment : segments())
        if (address >= segment.address && address - segment.address <= segment.file_size &&
            segment.file_size - (address - segment.address) >= size)
            return &segment;
    return nullptr;
}

bool ElfModule::bytes_at(uint64_t address, uint64_t size, Bytes& out) const {
    const ElfSegment* segment = segment_of(address, size);
    return segment != nullptr && slice(file_, segment->file_offset + (address - segment->address), size, out);
}

Result<void> ElfModule::read_dynamic(Text file_name, const elf::ProgramHeader& dynamic, DynamicTables& tables) const {
    Bytes section;
    if (!bytes_at(dynamic.address, dynamic.file_size, section))
        return refuse(ErrorCode::Corrupt, file_name, "its dynamic section is outside its segments", kCopyAgain);
    bool ended = false;
    for (uint64_t offset = 0; !ended; offset += sizeof(elf::Dynamic)) {
        elf::Dynamic entry;
        if (!read_record(section, offset, entry))
            return refuse(ErrorCode::Corrupt, file_name, "its dynamic section has no end", kCopyAgain);
        switch (entry.tag) {
            case elf::tag::kNull: ended = true; break;
            case elf::tag::kNeeded:
                return refuse(ErrorCode::NotSupported, file_name, "it needs a shared library",
                              "link it with -nostdlib and what it uses inside");
            case elf::tag::kInit:
            case elf::tag::kFini:
            case elf::tag::kInitArray:
            case elf::tag::kFiniArray:
            case elf::tag::kPreinitArray:
                return refuse(ErrorCode::NotSupported, file_name, "it has global constructors or destructors",
                              "make such objects constinit or members of the module's class");
            case elf::tag::kTextRelocations:
                return refuse(ErrorCode::NotSupported, file_name, "its code would have to be changed to be loaded",
                              "compile it with -fPIC");
            case elf::tag::kRel:
            case elf::tag::kRelr:
                return refuse(ErrorCode::NotSupported, file_name, "it has packed relocations",
                              "link it without -z pack-relative-relocs");
            case elf::tag::kProcedureRelocations: break;
            case elf::tag::kProcedureRelocationSize: tables.procedure_relocation_size = entry.value; break;
            case elf::tag::kHash: tables.hash = entry.value; break;
            case elf::tag::kStrings: tables.strings = entry.value; break;
            case elf::tag::kStringSize: tables.string_size = entry.value; break;
            case elf::tag::kSymbols: tables.symbols = entry.value; break;
            case elf::tag::kSymbolEntry: tables.symbol_entry = entry.value; break;
            case elf::tag::kRelocations: tables.relocations = entry.value; break;
            case elf::tag::kRelocationSize: tables.relocation_size = entry.value; break;
            case elf::tag::kRelocationEntry: tables.relocation_entry = entry.value; break;
            default: break;
        }
    }
    return {};
}

Result<void> ElfModule::read_exports(Text file_name, const DynamicTables& tables) {
    uint32_t count = 0;
    Bytes hash;
    if (tables.hash == 0 || !bytes_at(tables.hash, 2 * sizeof(uint32_t), hash) ||
        !read_record(hash, sizeof(uint32_t), count))
        return refuse(ErrorCode::NotSupported, file_name, "it has no hash table of its symbols",
                      "link it with --hash-style=sysv");
    Bytes symbols;
    Bytes strings;
    if (tables.symbol_entry != sizeof(elf::Symbol) ||
        !bytes_at(tables.symbols, uint64_t{count} * sizeof(elf::Symbol), symbols) ||
        !bytes_at(tables.strings, tables.string_size, strings))
        return refuse(ErrorCode::Corrupt, file_name, "its symbol table is outside its segments", kCopyAgain);

    bool found = false;
    elf::Symbol descriptor = {};
    Text other;
    for (uint64_t i = 1; i < count; ++i) {  // the first symbol means nothing
        elf::Symbol symbol;
        if (!read_record(symbols, i * sizeof(symbol), symbol)) break;
        const Text name = string_at(strings, symbol.name);
        if (symbol.section == elf::kSectionUndefined)
            return refuse(ErrorCode::NotSupported, file_name,
                          format("the symbol {} is undefined", quoted<46>(name).text()).text(),
                          "define it in the module, or reach it through Context");
        if ((symbol.info & 15) == elf::kSymbolThreadLocal)
            return refuse(ErrorCode::NotSupported, file_name, "it has thread-local variables",
                          "keep such data in the module's class");
        if (name != kDescriptorName) {
            if (symbol.info >> 4 != elf::kSymbolLocal && other.empty()) other = name;
            continue;
        }
        if (found) return refuse(ErrorCode::Corrupt, file_name, "it exports helix_module twice", kRebuild);
        found = true;
        descriptor = symbol;
    }
    // Behind the symbols: if one is undefined, that is the reason to tell.
    if (tables.procedure_relocation_size != 0)
        return refuse(ErrorCode::NotSupported, file_name, "it calls through a procedure linkage table",
                      "link it with -Bsymbolic and the version script of the SDK");
    if (!found)
        return refuse(ErrorCode::NotFound, file_name, "it exports no helix_module",
                      "end the module's source with HELIX_MODULE(Class)");
    if (!other.empty())
        return refuse(ErrorCode::NotSupported, file_name,
                      format("it exports {} beside helix_module", quoted<46>(other).text()).text(),
                      "link it with the version script of the SDK");
    return read_descriptor(file_name, descriptor);
}

Result<void> ElfModule::read_relocations(Text file_name, const DynamicTables& tables) {
    if (tables.relocation_size != 0 &&
        (tables.relocation_entry != sizeof(elf::Relocation) || tables.relocation_size % sizeof(elf::Relocation) != 0 ||
         !bytes_at(tables.relocations, tables.relocation_size, relocations_)))
        return refuse(ErrorCode::Corrupt, file_name, "its relocation table is malformed or outside its segments",
                      kCopyAgain);
    relocation_count_ = tables.relocation_size / sizeof(elf::Relocation);
    if (relocation_count_ > kMaximumRelocations)
        return refuse(ErrorCode::OutOfRange, file_name, format("more than {} relocations", kMaximumRelocations).text(),
                      "make its tables of pointers smaller");

    // The descriptor's functions must become addresses of code, and nothing else in it may change after these checks.
    const uint64_t create = descriptor_address_ + __builtin_offsetof(ModuleDescriptor, create);
    const uint64_t destroy = descriptor_address_ + __builtin_offsetof(ModuleDescriptor, destroy);
    const uint64_t first_cast =
        descriptor_address_ + descriptor_.interface_offset + __builtin_offsetof(InterfaceEntry, cast);
    constexpr uint64_t kToDescribe =
        __builtin_offsetof(InterfaceEntry, describe_pure) - __builtin_offsetof(InterfaceEntry, cast);
    uint64_t missing = (uint64_t{1} << (2 + 2 * interface_count())) - 1;
    const auto function_at = [&](uint64_t address) -> uint64_t {
        if (address == create) return 1;
        if (address == destroy) return 2;
        const uint64_t i = (address - first_cast) / sizeof(InterfaceEntry);
        const uint64_t place = (address - first_cast) % sizeof(InterfaceEntry);
        if (address < first_cast || i >= interface_count() || (place != 0 && place != kToDescribe)) return 0;
        return uint64_t{4} << (2 * i + (place == 0 ? 0 : 1));
    };
    static_assert(2 + 2 * kMaximumInterfaces < 64);

    for (size_t i = 0; i < relocation_count_; ++i) {
        elf::Relocation raw;
        read_record(relocations_, i * sizeof(raw), raw);
        if (raw.info != elf::kRelocationRelative)
            return refuse(ErrorCode::NotSupported, file_name,
                          format("a relocation of type {} and symbol {}; only RELATIVE ({}) without one is loaded",
                                 static_cast<uint32_t>(raw.info), raw.info >> 32, elf::kRelocationRelative)
                              .text(),
                          "compile with -fPIC, link with -Bsymbolic and --no-undefined");
        const ElfSegment* target = segment_of(raw.offset, sizeof(uint64_t));
        if (target == nullptr || !target->write || raw.offset % sizeof(uint64_t) != 0)
            return refuse(ErrorCode::Corrupt, file_name,
                          format("a relocation at {:x} is not at an aligned word of writable data", raw.offset).text(),
                          kRebuild);
        const auto addend = static_cast<uint64_t>(raw.addend);
        if (addend > memory_size_)
            return refuse(ErrorCode::Corrupt, file_name,
                          format("a relocation at {:x} leads outside the module", raw.offset).text(), kRebuild);
        if (raw.offset < descriptor_address_ || raw.offset - descriptor_address_ >= descriptor_.size) continue;
        const uint64_t function = function_at(raw.offset);
        if (function == 0)
            return refuse(ErrorCode::Corrupt, file_name, "a relocation changes its descriptor's data", kRebuild);
        const ElfSegment* code = segment_of(addend, 1);
        if (code == nullptr || !code->execute)
            return refuse(ErrorCode::Corrupt, file_name, "a function of its descriptor is not in its code", kRebuild);
        missing &= ~function;
    }
    if (missing != 0)
        return refuse(ErrorCode::Corrupt, file_name, "a function of its descriptor has no relocation", kRebuild);
    return {};
}

Result<void> ElfModule::read_symbols(Text file_name, const elf::FileHeader& header) {
    if (header.section_offset == 0 || header.section_count == 0) return {};
    Bytes sections;
    if (header.section_entry_size != sizeof(elf::SectionHeader) ||
        !slice(file_, header.section_offset, uint64_t{header.section_count} * sizeof(elf::SectionHeader), sections))
        return refuse(ErrorCode::Corrupt, file_name, "truncated in the section headers", kCopyAgain);
    for (size_t i = 0; i < header.section_count; ++i) {
        elf::SectionHeader symbols;
        read_record(sections, i * sizeof(symbols), symbols);
        if (symbols.type != elf::kSectionSymbols) continue;
        elf::SectionHeader names;
        if (symbols.entry_size != sizeof(elf::Symbol) || symbols.link >= header.section_count ||
            !read_record(sections, symbols.link * sizeof(names), names) || names.type != elf::kSectionStrings ||
            !slice(file_, symbols.offset, symbols.size, symbols_) ||
            !slice(file_, names.offset, names.size, symbol_names_))
            return refuse(ErrorCode::Corrupt, file_name, "its table of symbols is malformed or cut off", kCopyAgain);
        break;
    }
    return {};
}

ElfRelocation ElfModule::relocation(size_t i) const {
    elf::Relocation raw = {};
    read_record(relocations_, i * sizeof(raw), raw);
    return {raw.offset, static_cast<uint64_t>(raw.addend)};
}

Text ElfModule::find_symbol(Bytes symbols, Bytes names, uint64_t address, uint64_t& offset) {
    elf::Symbol symbol;
    for (uint64_t at = 0; read_record(symbols, at, symbol); at += sizeof(symbol)) {
        if ((symbol.info & 15) != elf::kSymbolFunction || address < symbol.value ||
            address - symbol.value >= symbol.size)
            continue;
        const Text name = string_at(names, symbol.name);
        if (name.empty() || !is_printable(name)) continue;
        offset = address - symbol.value;
        return name;
    }
    return {};
}

uint64_t ElfModule::find_function(Bytes symbols, Bytes names, Text rest) {
    elf::Symbol symbol;
    for (uint64_t at = 0; read_record(symbols, at, symbol); at += sizeof(symbol)) {
        if ((symbol.info & 15) != elf::kSymbolFunction) continue;
        const Text name = string_at(names, symbol.name);
        if (name.starts_with("_Z") && name.substr(2) == rest) return symbol.value;
    }
    return 0;
}

}  // namespace helix::kernel
