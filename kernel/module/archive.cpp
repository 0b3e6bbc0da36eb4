// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// cpio newc: a header of 110 characters, the name with its zero, the data; each part padded to four bytes.

#include "kernel/module/archive.hpp"

#include "helix/format.hpp"

namespace helix::kernel {

namespace {

constexpr size_t kHeaderSize = 110;
constexpr Text kTrailer = "TRAILER!!!";

/// Reads the member at `position` and moves `position` behind it. Returns what is wrong, or nothing.
Text read_member(Bytes bytes, size_t& position, ArchiveEntry& entry) {
    if (position > bytes.size() || bytes.size() - position < kHeaderSize) return "it is cut off in a header";
    const Text header = as_text(bytes.subspan(position, kHeaderSize));
    if (!header.starts_with("070701")) return "there is no cpio header of the format newc";
    const auto field = [&](size_t index, uint32_t& out) {
        out = 0;
        for (char c : header.substr(6 + 8 * index, 8)) {
            uint32_t digit = 0;
            if (c >= '0' && c <= '9')
                digit = static_cast<uint32_t>(c - '0');
            else if (c >= 'A' && c <= 'F')
                digit = static_cast<uint32_t>(c - 'A' + 10);
            else if (c >= 'a' && c <= 'f')
                digit = static_cast<uint32_t>(c - 'a' + 10);
            else
                return false;
            out = out << 4 | digit;
        }
        return true;
    };
    uint32_t name_size = 0;
    uint32_t data_size = 0;
    if (!field(1, entry.mode) || !field(6, data_size) || !field(11, name_size))
        return "a header field is not a hexadecimal number";

    // All in 64 bits, where sums of 32-bit sizes do not wrap; parts are padded to multiples of four.
    const uint64_t name_begin = uint64_t{position} + kHeaderSize;
    const uint64_t data_begin = (name_begin + name_size + 3) & ~uint64_t{3};
    if (name_size == 0 || name_begin + name_size > bytes.size()) return "a name is empty or cut off";
    if (bytes[name_begin + name_size - 1] != 0) return "a name does not end with a zero";
    if (data_begin + data_size > bytes.size() && !(data_size == 0 && name_begin + name_size == bytes.size()))
        return "the data of a member is cut off";

    Text name = as_text(bytes.subspan(name_begin, name_size - 1));
    if (name.find('\0') != SIZE_MAX) return "a name has a zero in it";
    if (name.starts_with("./")) name = name.substr(2);
    while (name.starts_with("/")) name = name.substr(1);
    entry.name = name;
    entry.data = bytes.subspan(data_begin, data_size);
    position = (data_begin + data_size + 3) & ~uint64_t{3};
    return {};
}

}  // namespace

Archive::Iterator& Archive::Iterator::operator++() {
    size_t position = next_;
    if (position < bytes_.size() && read_member(bytes_, position, entry_).empty() && entry_.name != kTrailer) {
        position_ = next_;
        next_ = position;
    } else {
        position_ = kEnd;
        next_ = kEnd;
        entry_ = {};
    }
    return *this;
}

Result<Bytes> Archive::find(Text name) const {
    for (const ArchiveEntry& entry : *this)
        if (entry.is_file() && entry.name == name) return entry.data;
    return Error(ErrorCode::NotFound, format("the archive has no file {}", name).text());
}

Result<void> Archive::validate(Bytes bytes) {
    size_t position = 0;
    while (position < bytes.size()) {
        const size_t start = position;
        ArchiveEntry entry;
        const Text problem = read_member(bytes, position, entry);
        if (!problem.empty())
            return Error(ErrorCode::Corrupt, format("the archive is damaged at byte {}: {}", start, problem).text());
        if (entry.name != kTrailer) continue;
        for (; position < bytes.size(); ++position)
            if (bytes[position] != 0)
                return Error(
                    ErrorCode::Corrupt,
                    format("the archive is damaged at byte {}: something follows its trailer", position).text());
        return {};
    }
    if (bytes.empty()) return {};
    return Error(ErrorCode::Corrupt, "the archive is cut off: it has no trailer");
}

}  // namespace helix::kernel
