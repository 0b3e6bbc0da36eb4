// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The parts of the ELF64 format (System V ABI, chapters 4 and 5; x86-64 psABI) that modules use.
#pragma once

#include <stdint.h>

namespace helix::kernel::elf {

struct FileHeader {
    uint8_t identification[16];
    uint16_t type;
    uint16_t machine;
    uint32_t version;
    uint64_t entry;
    uint64_t program_offset;
    uint64_t section_offset;
    uint32_t flags;
    uint16_t header_size;
    uint16_t program_entry_size;
    uint16_t program_count;
    uint16_t section_entry_size;
    uint16_t section_count;
    uint16_t section_names;
};
static_assert(sizeof(FileHeader) == 64);

struct ProgramHeader {
    uint32_t type;
    uint32_t flags;
    uint64_t offset;
    uint64_t address;
    uint64_t physical_address;
    uint64_t file_size;
    uint64_t memory_size;
    uint64_t alignment;
};
static_assert(sizeof(ProgramHeader) == 56);

struct SectionHeader {
    uint32_t name;
    uint32_t type;
    uint64_t flags;
    uint64_t address;
    uint64_t offset;
    uint64_t size;
    uint32_t link;
    uint32_t info;
    uint64_t alignment;
    uint64_t entry_size;
};
static_assert(sizeof(SectionHeader) == 64);

struct Symbol {
    uint32_t name;
    uint8_t info;
    uint8_t other;
    uint16_t section;
    uint64_t value;
    uint64_t size;
};
static_assert(sizeof(Symbol) == 24);

struct Dynamic {
    int64_t tag;
    uint64_t value;
};
static_assert(sizeof(Dynamic) == 16);

struct Relocation {
    uint64_t offset;
    uint64_t info;  ///< symbol in the upper half, type in the lower
    int64_t addend;
};
static_assert(sizeof(Relocation) == 24);

inline constexpr uint8_t kMagic[4] = {0x7F, 'E', 'L', 'F'};
inline constexpr uint8_t kClass64 = 2;
inline constexpr uint8_t kLittleEndian = 1;
inline constexpr uint16_t kTypeShared = 3;
inline constexpr uint16_t kMachineX86_64 = 62;

inline constexpr uint32_t kSegmentLoad = 1;
inline constexpr uint32_t kSegmentDynamic = 2;
inline constexpr uint32_t kSegmentInterpreter = 3;
inline constexpr uint32_t kSegmentThreadLocal = 7;
inline constexpr uint32_t kSegmentGnuStack = 0x6474E551;
inline constexpr uint32_t kExecute = 1;
inline constexpr uint32_t kWrite = 2;

inline constexpr uint32_t kSectionSymbols = 2;
inline constexpr uint32_t kSectionStrings = 3;

inline constexpr uint8_t kSymbolLocal = 0;  ///< binding, in the upper half of `info`; the rest are types
inline constexpr uint8_t kSymbolObject = 1;
inline constexpr uint8_t kSymbolFunction = 2;
inline constexpr uint8_t kSymbolThreadLocal = 6;
inline constexpr uint16_t kSectionUndefined = 0;

inline constexpr uint32_t kRelocationRelative = 8;

namespace tag {
inline constexpr int64_t kNull = 0;
inline constexpr int64_t kNeeded = 1;
inline constexpr int64_t kProcedureRelocationSize = 2;
inline constexpr int64_t kHash = 4;
inline constexpr int64_t kStrings = 5;
inline constexpr int64_t kSymbols = 6;
inline constexpr int64_t kRelocations = 7;
inline constexpr int64_t kRelocationSize = 8;
inline constexpr int64_t kRelocationEntry = 9;
inline constexpr int64_t kStringSize = 10;
inline constexpr int64_t kSymbolEntry = 11;
inline constexpr int64_t kInit = 12;
inline constexpr int64_t kFini = 13;
inline constexpr int64_t kRel = 17;
inline constexpr int64_t kTextRelocations = 22;
inline constexpr int64_t kProcedureRelocations = 23;
inline constexpr int64_t kInitArray = 25;
inline constexpr int64_t kFiniArray = 26;
inline constexpr int64_t kPreinitArray = 32;
inline constexpr int64_t kRelr = 36;
}  // namespace tag

}  // namespace helix::kernel::elf
