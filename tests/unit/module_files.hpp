// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Module files for tests: the ones that the build made, and bent copies of them.
#pragma once

#include "helix/abi.hpp"
#include "kernel/module/elf_format.hpp"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace helix::test {

/// The bytes of HELIX_MODULE_DIRECTORY/NAME.hmod. Throws std::runtime_error if it is not there.
inline std::vector<uint8_t> read_module(const std::string& name) {
    const std::filesystem::path path = std::filesystem::path(HELIX_MODULE_DIRECTORY) / (name + ".hmod");
    std::ifstream stream(path, std::ios::binary);
    if (!stream) throw std::runtime_error("cannot read " + path.string());
    return {std::istreambuf_iterator<char>(stream), {}};
}

/// A good module file whose records can be changed in place. Offsets are those of the file.
class ModuleFile {
public:
    explicit ModuleFile(const std::string& name) : bytes_(read_module(name)) {}

    Bytes bytes() const { return {bytes_.data(), bytes_.size()}; }
    std::vector<uint8_t>& data() { return bytes_; }

    template <typename T>
    T get(uint64_t offset) const {
        T out;
        if (offset + sizeof(T) > bytes_.size()) throw std::out_of_range("record outside the file");
        std::memcpy(static_cast<void*>(&out), bytes_.data() + offset, sizeof(T));
        return out;
    }
    template <typename T>
    void put(uint64_t offset, const T& value) {
        if (offset + sizeof(T) > bytes_.size()) throw std::out_of_range("record outside the file");
        std::memcpy(bytes_.data() + offset, static_cast<const void*>(&value), sizeof(T));
    }
    /// Changes one record with `change`.
    template <typename T, typename Change>
    void edit(uint64_t offset, Change change) {
        T record = get<T>(offset);
        change(record);
        put(offset, record);
    }

    kernel::elf::FileHeader header() const { return get<kernel::elf::FileHeader>(0); }
    uint64_t program_offset(size_t i) const { return header().program_offset + i * sizeof(kernel::elf::ProgramHeader); }
    kernel::elf::ProgramHeader program(size_t i) const { return get<kernel::elf::ProgramHeader>(program_offset(i)); }
    /// The `n`-th program header of `type` whose flags contain `flags`.
    uint64_t find_program(uint32_t type, uint32_t flags = 0, size_t n = 0) const {
        for (size_t i = 0; i < header().program_count; ++i)
            if (program(i).type == type && (program(i).flags & flags) == flags && n-- == 0) return program_offset(i);
        throw std::runtime_error("no such program header");
    }
    /// The file offset of `address`.
    uint64_t offset_of(uint64_t address) const {
        for (size_t i = 0; i < header().program_count; ++i) {
            const auto p = program(i);
            if (p.type == kernel::elf::kSegmentLoad && address >= p.address && address - p.address < p.file_size)
                return p.offset + (address - p.address);
        }
        throw std::runtime_error("address outside the file");
    }
    uint64_t find_dynamic(int64_t tag) const {
        const auto p = get<kernel::elf::ProgramHeader>(find_program(kernel::elf::kSegmentDynamic));
        for (uint64_t at = p.offset; at < p.offset + p.file_size; at += sizeof(kernel::elf::Dynamic))
            if (get<kernel::elf::Dynamic>(at).tag == tag) return at;
        throw std::runtime_error("no such dynamic entry");
    }
    uint64_t dynamic_value(int64_t tag) const { return get<kernel::elf::Dynamic>(find_dynamic(tag)).value; }
    uint64_t relocation_offset(size_t i) const {
        return offset_of(dynamic_value(kernel::elf::tag::kRelocations)) + i * sizeof(kernel::elf::Relocation);
    }
    size_t relocation_count() const {
        return dynamic_value(kernel::elf::tag::kRelocationSize) / sizeof(kernel::elf::Relocation);
    }
    /// The relocation of the word at `address`.
    uint64_t find_relocation(uint64_t address) const {
        for (size_t i = 0; i < relocation_count(); ++i)
            if (get<kernel::elf::Relocation>(relocation_offset(i)).offset == address) return relocation_offset(i);
        throw std::runtime_error("no such relocation");
    }
    /// The dynamic symbol helix_module, the second of two.
    uint64_t descriptor_symbol() const {
        return offset_of(dynamic_value(kernel::elf::tag::kSymbols)) + sizeof(kernel::elf::Symbol);
    }
    uint64_t descriptor_address() const { return get<kernel::elf::Symbol>(descriptor_symbol()).value; }
    uint64_t descriptor() const { return offset_of(descriptor_address()); }

private:
    std::vector<uint8_t> bytes_;
};

}  // namespace helix::test
