// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Validation and layout of a module file (.hmod) before anything of it is loaded.
#pragma once

#include "helix/abi.hpp"
#include "helix/interfaces/allocator.hpp"
#include "helix/result.hpp"
#include "kernel/module/elf_format.hpp"

namespace helix::kernel {

/// No module needs more memory, and every address in one fits 32 bits.
inline constexpr uint64_t kMaximumModuleSize = uint64_t{64} << 20;

/// One part of the memory of a module. Addresses count from the start of its mapping. The pages that a segment
/// touches belong to it alone; segments are sorted by address. File offset and address agree modulo the page size.
struct ElfSegment {
    uint64_t file_offset;
    uint64_t file_size;
    uint64_t address;
    uint64_t memory_size;  ///< what exceeds file_size is zero
    bool write;
    bool execute;

    uint64_t first_page() const { return address / kPageSize; }
    uint64_t page_count() const { return (address + memory_size + kPageSize - 1) / kPageSize - first_page(); }
};

/// The 64-bit word at `offset` (a multiple of 8, in a writable segment) becomes the mapping's base + `addend`.
struct ElfRelocation {
    uint64_t offset;
    uint64_t addend;  ///< inside the module or at its end
};

/// A module file that was validated whole. A view: the file's bytes outlive it. No allocation, any context. It holds
/// about two kilobytes: mind the stack, and refer to it inside its Result rather than copying it out.
class ElfModule {
public:
    static constexpr size_t kMaximumSegments = 8;
    static constexpr size_t kMaximumOptions = 256;
    static constexpr size_t kMaximumInterfaces = 16;
    static constexpr size_t kMaximumRelocations = 1 << 20;

    /// Errors, each one sentence "FILE: reason; remedy": Corrupt (damaged or malformed), NotSupported (something that
    /// modules may not have), Incompatible (for another machine or kernel), OutOfRange (too big), NotFound (no
    /// descriptor: not a module).
    static Result<ElfModule> parse(Bytes file, Text file_name);

    Bytes file() const { return file_; }
    Span<const ElfSegment> segments() const { return {segments_, segment_count_}; }
    /// Bytes from the start of the mapping to the end of its last page.
    uint64_t memory_size() const { return memory_size_; }

    size_t relocation_count() const { return relocation_count_; }
    ElfRelocation relocation(size_t i) const;

    /// Where `helix_module` is in the mapping.
    uint64_t descriptor_address() const { return descriptor_address_; }
    /// A copy of the descriptor. Its functions are null, and its options() and interfaces() may not be called: they
    /// are not behind it. Use option() and interface_entry().
    const ModuleDescriptor& descriptor() const { return descriptor_; }
    const ModuleInfo& info() const { return descriptor_.info; }
    size_t option_count() const { return descriptor_.option_count; }
    Option option(size_t i) const;
    size_t interface_count() const { return descriptor_.interface_count; }
    /// The function in it is null.
    InterfaceEntry interface_entry(size_t i) const;
    /// The descriptor with its options and interfaces, as they are in the file.
    Bytes descriptor_bytes() const { return file_.subspan(descriptor_offset_, descriptor_.size); }

    /// The symbol table for backtraces and its names; both empty when the file is stripped.
    Bytes symbols() const { return symbols_; }
    Bytes symbol_names() const { return symbol_names_; }
    /// The function that contains `address`, counted from the start of the mapping, and how far behind its start that
    /// is; an empty text if none is known.
    Text symbol_for(uint64_t address, uint64_t& offset) const {
        return find_symbol(symbols_, symbol_names_, address, offset);
    }
    /// The same on tables that were copied out of a module. Linear.
    static Text find_symbol(Bytes symbols, Bytes names, uint64_t address, uint64_t& offset);
    /// Where the function begins whose symbol is "_Z" and `rest`; 0 if none is known. Linear.
    static uint64_t find_function(Bytes symbols, Bytes names, Text rest);

private:
    struct DynamicTables;

    ElfModule() = default;
    Result<void> read(Text file_name);
    Result<void> read_header(Text file_name, elf::FileHeader& header) const;
    Result<void> read_segments(Text file_name, const elf::FileHeader& header, elf::ProgramHeader& dynamic);
    Result<void> add_segment(Text file_name, const elf::ProgramHeader& program);
    Result<void> read_dynamic(Text file_name, const elf::ProgramHeader& dynamic, DynamicTables& tables) const;
    Result<void> read_exports(Text file_name, const DynamicTables& tables);
    Result<void> read_descriptor(Text file_name, const elf::Symbol& symbol);
    Result<void> check_info(Text file_name) const;
    Result<void> check_options(Text file_name) const;
    Result<void> check_interfaces(Text file_name) const;
    Result<void> read_relocations(Text file_name, const DynamicTables& tables);
    Result<void> read_symbols(Text file_name, const elf::FileHeader& header);

    /// The segment in whose file part [address, address + size) lies, or null.
    const ElfSegment* segment_of(uint64_t address, uint64_t size) const;
    /// The file bytes behind those addresses; false if they are not in the file.
    bool bytes_at(uint64_t address, uint64_t size, Bytes& out) const;

    Bytes file_;
    Bytes relocations_;
    Bytes symbols_;
    Bytes symbol_names_;
    size_t relocation_count_ = 0;
    size_t segment_count_ = 0;
    uint64_t memory_size_ = 0;
    uint64_t descriptor_address_ = 0;
    uint64_t descriptor_offset_ = 0;
    ElfSegment segments_[kMaximumSegments] = {};
    ModuleDescriptor descriptor_ = {};
};

}  // namespace helix::kernel
