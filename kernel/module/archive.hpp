// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Reads a cpio archive (format newc, as of `cpio -H newc`) in place.
#pragma once

#include "helix/result.hpp"

namespace helix::kernel {

/// One member of an archive; name and data lie in the archive's bytes.
struct ArchiveEntry {
    Text name;  ///< without a leading "./" or "/"
    Bytes data;
    uint32_t mode = 0;  ///< type and permissions as in stat(2)

    bool is_file() const { return (mode & 0170000) == 0100000; }
};

/// A view: the bytes outlive it, and whatever it returns points into them. Iteration ends at the trailer, or before
/// the first malformed member; validate() tells the two apart. Any context.
class Archive {
public:
    Archive() = default;
    explicit Archive(Bytes bytes) : bytes_(bytes) {}

    /// Whether `bytes` is nothing, or members up to a trailer with at most padding behind it. Errors: Corrupt, with
    /// the position and what is wrong.
    static Result<void> validate(Bytes bytes);

    /// The data of the first file of that name. Errors: NotFound.
    Result<Bytes> find(Text name) const;

    class Iterator {
    public:
        const ArchiveEntry& operator*() const { return entry_; }
        const ArchiveEntry* operator->() const { return &entry_; }
        Iterator& operator++();
        bool operator==(const Iterator& other) const { return position_ == other.position_; }
        /// Of the member in the archive: see at.
        size_t position() const { return position_; }

    private:
        friend class Archive;
        Iterator(Bytes bytes, size_t next) : bytes_(bytes), next_(next) { ++*this; }

        static constexpr size_t kEnd = SIZE_MAX;
        Bytes bytes_;
        size_t position_ = kEnd;  ///< of the member that entry_ describes
        size_t next_;
        ArchiveEntry entry_;
    };
    Iterator begin() const { return Iterator(bytes_, 0); }
    Iterator end() const { return Iterator(bytes_, Iterator::kEnd); }
    /// At a position that an iterator had.
    Iterator at(size_t position) const { return Iterator(bytes_, position); }

private:
    Bytes bytes_;
};

}  // namespace helix::kernel
