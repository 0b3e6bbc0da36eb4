// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The line table: a header with the names of files, and a program whose run is a list of addresses with their lines.
//
// Nothing of it was looked at when the module was loaded: every size may be anything. Whatever leads outside of what
// was given ends the search, and no loop goes round without using up a byte.

#include "kernel/module/source_line.hpp"

#include "helix/format.hpp"
#include "kernel/module/elf_format.hpp"
#include "kernel/module/text_rules.hpp"

namespace helix::kernel {

namespace {

constexpr uint64_t kCompressed = 1 << 11;  // a section's flag
constexpr uint16_t kVersion = 5;
constexpr size_t kLongestName = 46;

namespace form {  // 7.5.6: how a value is written
constexpr uint64_t kText = 0x08;
constexpr uint64_t kUnsigned = 0x0F;
constexpr uint64_t kData16 = 0x1E;
constexpr uint64_t kLineText = 0x1F;
}  // namespace form
constexpr uint64_t kPath = 1;  // 7.22: what it says

namespace operation {  // 7.22
constexpr uint8_t kExtended = 0;
constexpr uint8_t kCopy = 1;
constexpr uint8_t kAdvance = 2;
constexpr uint8_t kAdvanceLine = 3;
constexpr uint8_t kSetFile = 4;
constexpr uint8_t kConstantAdvance = 8;
constexpr uint8_t kFixedAdvance = 9;
constexpr uint8_t kEndSequence = 1;  // these two are extended ones
constexpr uint8_t kSetAddress = 2;
}  // namespace operation

/// Reads forwards. What is not there is 0, and there is nothing behind it.
class Cursor {
public:
    Cursor() = default;
    explicit Cursor(Bytes bytes) : at_(bytes.data()), left_(bytes.size()) {}

    bool at_end() const { return left_ == 0; }
    size_t size() const { return left_; }
    const uint8_t* at() const { return at_; }
    /// The next `size` bytes; none if there are not so many.
    [[gnu::noinline]] Cursor take(uint64_t size) {
        Cursor taken;
        if (size <= left_) {
            taken.at_ = at_;
            taken.left_ = size;
            at_ += size;
            left_ -= size;
        } else {
            left_ = 0;
        }
        return taken;
    }
    /// That many bytes behind `offset`.
    Cursor part(uint64_t offset, uint64_t size) const {
        Cursor rest = *this;
        (void)rest.take(offset);
        return rest.take(size);
    }
    [[gnu::noinline]] uint64_t number(size_t size) {
        uint64_t value = 0;
        const Cursor taken = take(size);
        for (size_t i = taken.left_; i-- > 0;) value = value << 8 | taken.at_[i];
        return value;
    }
    uint8_t one() { return static_cast<uint8_t>(number(1)); }
    /// The same, where there are many: quick, not small.
    uint8_t byte() {
        if (left_ == 0) return 0;
        --left_;
        return *at_++;
    }
    /// LEB128 (7.6), of which the lowest 64 bits are kept.
    enum class Sign : uint8_t { None, Last };
    [[gnu::noinline]] uint64_t packed(Sign sign = Sign::None) {
        uint64_t value = 0;
        uint8_t part = 0x80;
        unsigned shift = 0;
        for (; (part & 0x80) != 0 && !at_end(); shift += 7) {
            part = byte();
            if (shift < 64) value |= uint64_t{part & 0x7Fu} << shift;
        }
        if (sign == Sign::Last && (part & 0x40) != 0 && shift < 64) value |= ~uint64_t{0} << shift;
        return value;
    }
    /// A zero-terminated text.
    [[gnu::noinline]] Text text() {
        const Text all(reinterpret_cast<const char*>(at_), left_);
        const size_t size = all.find('\0');
        return take(size + (size != SIZE_MAX)).at_end() ? Text() : all.substr(0, size);
    }

private:
    const uint8_t* at_ = nullptr;
    size_t left_ = 0;
};

/// The section of `file` called `name`.
[[gnu::noinline]] Cursor section(Bytes file, Text name) {
    const Cursor whole(file);
    const auto read = [&](auto& record, uint64_t offset) {
        const Cursor bytes = whole.part(offset, sizeof(record));
        if (bytes.at_end()) return false;
        __builtin_memcpy(&record, bytes.at(), sizeof(record));
        return true;
    };
    elf::FileHeader header;
    elf::SectionHeader names, found;
    if (!read(header, 0) || !read(names, header.section_offset + header.section_names * sizeof(names))) return {};
    for (size_t i = 0; i < header.section_count; ++i) {
        if (!read(found, header.section_offset + i * sizeof(found))) break;
        if (whole.part(names.offset, names.size).part(found.name, name.size() + 1).text() != name) continue;
        return (found.flags & kCompressed) != 0 ? Cursor() : whole.part(found.offset, found.size);
    }
    return {};
}

/// The lines of one compiled source.
class Unit {
public:
    /// Reads the header, at whose beginning `unit` is.
    [[gnu::noinline]] Unit(Cursor unit, const Cursor& texts) : texts_(texts) {
        const bool is_known = unit.number(2) == kVersion;
        (void)unit.number(2);  // the sizes of addresses
        Cursor header = unit.take(unit.number(4));
        step_ = header.one();
        (void)header.number(2);  // one operation in each instruction; what begins a statement
        line_base_ = static_cast<int8_t>(header.one());
        line_range_ = header.one();
        first_special_ = header.one();
        counts_ = header.take(first_special_ - 1u).at();
        (void)entry(header, UINT64_MAX);  // of the folders
        names_ = header;
        // Without names nothing can be said; and there are none where the header was too short for all this.
        if (is_known && line_range_ != 0 && !names_.at_end()) program_ = unit;
    }

    /// Runs the program up to where it says something about `wanted`.
    [[gnu::noinline]] bool find(uint64_t wanted) {
        Row row;
        while (!program_.at_end()) {
            const uint8_t code = program_.byte();
            bool is_row = code == operation::kCopy;
            bool is_end = false;
            if (code >= first_special_ || code == operation::kConstantAdvance) {
                is_row = code >= first_special_;
                const unsigned both = (is_row ? code : 255u) - first_special_;
                row.address += uint64_t{both / line_range_} * step_;
                if (is_row) row.line += static_cast<uint64_t>(int64_t{line_base_} + both % line_range_);
            } else if (code == operation::kExtended) {
                Cursor extended = program_.take(program_.packed());
                const uint8_t kind = extended.byte();
                is_row = is_end = kind == operation::kEndSequence;
                if (kind == operation::kSetAddress) row.address = row.place = extended.number(8);
            } else if (code == operation::kAdvance) {
                row.address += program_.packed() * step_;
            } else if (code == operation::kAdvanceLine) {
                row.line += program_.packed(Cursor::Sign::Last);
            } else if (code == operation::kSetFile) {
                row.file = program_.packed();
            } else if (code == operation::kFixedAdvance) {
                row.address += program_.number(2);
            } else if (!is_row) {
                for (size_t i = counts_[code - 1u]; i > 0; --i) (void)program_.packed();
            }
            if (!is_row) continue;
            // A row ends where the next one begins. What the linker left out was placed at 0.
            if (row.place != 0 && found_.address != 0 && found_.address <= wanted && wanted < row.address) return true;
            found_ = row;
            if (is_end) found_ = row = {};
        }
        return false;
    }
    /// Of what was found.
    FixedText<62> describe() const {
        Cursor names = names_;
        Text name = entry(names, found_.file);
        size_t base = name.size();
        while (base > 0 && name[base - 1] != '/') --base;
        name = name.substr(base);
        if (name.size() > kLongestName) name = name.substr(name.size() - kLongestName);
        if (name.empty() || found_.line == 0 || !is_printable(name)) return {};
        return format<62>("{}:{}", name, static_cast<uint32_t>(found_.line));
    }

private:
    /// What the program says of the code from `address` on.
    struct Row {
        uint64_t address = 0;
        uint64_t file = 1;
        uint64_t line = 1;
        uint64_t place = 0;  ///< where its sequence, a run of rising addresses, begins
    };

    /// A list of entries in a header is read; the path of entry `wanted` is returned, if there is one.
    [[gnu::noinline]] Text entry(Cursor& list, uint64_t wanted) const {
        const uint8_t fields = list.byte();
        const Cursor layout = list;
        for (size_t i = 0; i < 2u * fields; ++i) (void)list.packed();
        const uint64_t count = list.packed();
        Text path;
        for (uint64_t i = 0; i < count && fields != 0 && !list.at_end(); ++i) {
            Cursor field = layout;
            for (size_t k = 0; k < fields; ++k) {
                const bool is_path = field.packed() == kPath && i == wanted;
                const uint64_t how = field.packed();
                if (how == form::kText) {
                    const Text text = list.text();
                    if (is_path) path = text;
                } else if (how == form::kLineText) {
                    const uint64_t offset = list.number(4);
                    if (is_path) path = texts_.part(offset, texts_.size() - offset).text();
                } else if (how == form::kUnsigned) {
                    (void)list.packed();
                } else {  // how long any other is cannot be known
                    (void)list.take(how == form::kData16 ? 16 : UINT64_MAX);
                }
            }
        }
        return path;
    }

    const Cursor& texts_;
    const uint8_t* counts_ = nullptr;  // of the operands of each standard operation
    Cursor names_;                     // of the files
    Cursor program_;
    Row found_;
    uint8_t step_ = 0;
    int8_t line_base_ = 0;
    uint8_t line_range_ = 0;
    uint8_t first_special_ = 0;
};

}  // namespace

FixedText<62> source_line(Bytes file, uint64_t address) {
    const Cursor texts = section(file, ".debug_line_str");
    Cursor table = section(file, ".debug_line");
    while (!table.at_end()) {
        Unit unit(table.take(table.number(4)), texts);  // the size of a 64-bit table is more than there is
        if (unit.find(address)) return unit.describe();
    }
    return {};
}

}  // namespace helix::kernel
