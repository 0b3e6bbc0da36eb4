// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// FileIndex: finds a file of an archive by its name, however many files there are.
#pragma once

#include "kernel/memory/heap.hpp"
#include "kernel/module/archive.hpp"

namespace helix::kernel {

/// Open addressing over the members' positions. Built once, then read by any thread.
class FileIndex {
public:
    explicit FileIndex(const Archive& archive) : archive_(archive) {}
    FileIndex(const FileIndex&) = delete;
    FileIndex& operator=(const FileIndex&) = delete;

    /// For good. Short of memory every search looks at all members, as it does before this is called.
    void build(Heap& heap);
    /// The data of the first file of that name. Errors: NotFound.
    Result<Bytes> find(Text name) const;

private:
    const Archive& archive_;
    uint32_t* places_ = nullptr;  ///< positions of files, each at or behind the place that its name says; kFree: none
    size_t mask_ = 0;
};

}  // namespace helix::kernel
