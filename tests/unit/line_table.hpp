// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// LineTable: an ELF file with a line table (DWARF 5) written by hand, right or wrong in the ways that tests ask for.
#pragma once

#include "helix/types.hpp"
#include "kernel/module/elf_format.hpp"

#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

namespace helix::test {

class LineTable {
public:
    // What is wrong with it, or unusual; before begin().
    uint16_t version = 5;
    bool is_64_bit = false;
    bool inline_names = false;
    uint8_t line_range = 14;
    uint8_t form = 0;          ///< of names; 0: the usual one
    uint32_t name_offset = 0;  ///< added to where names are
    uint64_t section_flags = 0;
    std::string section_name = ".debug_line";
    size_t table_size = SIZE_MAX;  ///< cut off there
    std::vector<uint8_t> raw;      ///< the table, if it is not empty; the names are "name" then

    /// A source with one file or two; its lines follow.
    LineTable& begin(const std::string& file, const std::string& second = "") {
        finish();
        header_.clear();
        put(header_, 1, 1);  // the shortest instruction
        put(header_, 1, 1);
        put(header_, 1, 1);
        put(header_, static_cast<uint8_t>(-5), 1);
        put(header_, line_range, 1);
        put(header_, 13, 1);
        for (const uint8_t operands : {0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1}) put(header_, operands, 1);
        // Folders, each with a path; files, each with a path, a folder and a checksum.
        const uint8_t name_form = form != 0 ? form : inline_names ? 0x08 : 0x1F;
        for (const uint8_t byte : {uint8_t{1}, uint8_t{1}, name_form, uint8_t{1}}) put(header_, byte, 1);
        put_name("/src");
        for (const uint8_t byte : {uint8_t{3}, uint8_t{1}, name_form, uint8_t{2}, uint8_t{0x0F}, uint8_t{5},
                                   uint8_t{0x1E}, static_cast<uint8_t>(second.empty() ? 2 : 3)})
            put(header_, byte, 1);
        std::vector<std::string> names = {file, file};
        if (!second.empty()) names.push_back(second);
        for (const std::string& name : names) {
            put_name(name);
            put(header_, 0, 1);
            header_.insert(header_.end(), 16, 0xAB);
        }
        is_open_ = true;
        line_ = 1;
        return *this;
    }
    LineTable& bytes(std::initializer_list<int> operations) {
        for (const int byte : operations) program_.push_back(static_cast<uint8_t>(byte));
        return *this;
    }
    LineTable& place(uint64_t address) {
        bytes({0, 9, 2});
        put(program_, address, 8);
        line_ = 1;
        return *this;
    }
    LineTable& advance(uint64_t size) {
        bytes({2});
        put_packed(size);
        return *this;
    }
    LineTable& row(int64_t line) {
        bytes({3});
        put_signed(line - line_);
        line_ = line;
        return bytes({1});
    }
    LineTable& end() { return bytes({0, 1, 1}); }

    /// The source is complete.
    LineTable& finish() {
        if (!is_open_) return *this;
        const std::vector<uint8_t> made = unit();
        units_.insert(units_.end(), made.begin(), made.end());
        program_.clear();
        is_open_ = false;
        return *this;
    }
    LineTable copy_ended() const {
        LineTable copy = *this;
        copy.advance(1).end();
        return copy;
    }

    std::vector<uint8_t> table() const {
        std::vector<uint8_t> all = units_;
        if (is_open_) {
            const std::vector<uint8_t> made = unit();
            all.insert(all.end(), made.begin(), made.end());
        }
        return all;
    }
    /// An ELF file that has the table, the names and nothing else.
    std::vector<uint8_t> file() const {
        namespace elf = kernel::elf;
        std::vector<uint8_t> lines = raw.empty() ? table() : raw;
        const std::string texts = raw.empty() ? texts_ : std::string("name\0", 5);
        if (lines.size() > table_size) lines.resize(table_size);
        std::string section_names(1, '\0');
        elf::SectionHeader sections[4] = {};
        std::vector<uint8_t> out(sizeof(elf::FileHeader));
        const auto add = [&](size_t i, const std::string& name, const void* data, size_t size) {
            sections[i].name = static_cast<uint32_t>(section_names.size());
            section_names += name + '\0';
            sections[i].offset = out.size();
            sections[i].size = size;
            out.insert(out.end(), static_cast<const uint8_t*>(data), static_cast<const uint8_t*>(data) + size);
        };
        add(1, ".debug_line_str", texts.data(), texts.size());
        add(2, section_name, lines.data(), lines.size());
        sections[2].flags = section_flags;
        const std::string all_names = section_names + std::string(".shstrtab") + '\0';
        add(3, ".shstrtab", all_names.data(), all_names.size());
        elf::FileHeader header = {};
        std::memcpy(header.identification, elf::kMagic, sizeof(elf::kMagic));
        header.section_offset = out.size();
        header.section_count = 4;
        header.section_names = 3;
        header.section_entry_size = sizeof(elf::SectionHeader);
        std::memcpy(out.data(), &header, sizeof(header));
        const auto* const begin = reinterpret_cast<const uint8_t*>(sections);
        out.insert(out.end(), begin, begin + sizeof(sections));
        return out;
    }

private:
    static void put(std::vector<uint8_t>& out, uint64_t value, size_t size) {
        for (size_t i = 0; i < size; ++i) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
    }
    void put_packed(uint64_t value) {
        for (; value >= 0x80; value >>= 7) program_.push_back(static_cast<uint8_t>(value | 0x80));
        program_.push_back(static_cast<uint8_t>(value));
    }
    void put_signed(int64_t value) {
        for (; value < -64 || value > 63; value >>= 7) program_.push_back(static_cast<uint8_t>(value | 0x80));
        program_.push_back(static_cast<uint8_t>(value & 0x7F));
    }
    void put_name(const std::string& name) {
        if (inline_names) {
            header_.insert(header_.end(), name.begin(), name.end());
            header_.push_back(0);
            return;
        }
        put(header_, texts_.size() + name_offset, 4);
        texts_ += name + '\0';
    }
    std::vector<uint8_t> unit() const {
        std::vector<uint8_t> body;
        put(body, version, 2);
        put(body, 8, 1);
        put(body, 0, 1);
        put(body, header_.size(), is_64_bit ? 8 : 4);
        body.insert(body.end(), header_.begin(), header_.end());
        body.insert(body.end(), program_.begin(), program_.end());
        std::vector<uint8_t> out;
        if (is_64_bit) put(out, 0xFFFFFFFF, 4);
        put(out, body.size(), is_64_bit ? 8 : 4);
        out.insert(out.end(), body.begin(), body.end());
        return out;
    }

    std::vector<uint8_t> units_;  ///< those that are complete
    std::vector<uint8_t> header_;
    std::vector<uint8_t> program_;
    std::string texts_;
    int64_t line_ = 1;
    bool is_open_ = false;
};

}  // namespace helix::test
