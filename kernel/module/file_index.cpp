// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// FileIndex: names hashed by FNV-1a (Fowler, Noll and Vo 1991), linear probing.

#include "kernel/module/file_index.hpp"

namespace helix::kernel {

namespace {

constexpr uint32_t kFree = UINT32_MAX;

size_t hash_of(Text name) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
    return hash ^ hash >> 32;
}

}  // namespace

void FileIndex::build(Heap& heap) {
    size_t files = 0;
    for (const ArchiveEntry& entry : archive_) files += entry.is_file();
    size_t size = 8;
    while (size < 2 * files) size *= 2;
    places_ = static_cast<uint32_t*>(heap.allocate(size * sizeof(uint32_t)));
    if (places_ == nullptr) return;
    mask_ = size - 1;
    for (size_t i = 0; i < size; ++i) places_[i] = kFree;
    for (auto it = archive_.begin(); it != archive_.end(); ++it) {
        if (!it->is_file()) continue;
        size_t at = hash_of(it->name) & mask_;
        while (places_[at] != kFree) at = (at + 1) & mask_;  // of two with one name the first is met first
        places_[at] = static_cast<uint32_t>(it.position());
    }
}

Result<Bytes> FileIndex::find(Text name) const {
    if (places_ == nullptr) return archive_.find(name);
    for (size_t at = hash_of(name) & mask_; places_[at] != kFree; at = (at + 1) & mask_) {
        const auto it = archive_.at(places_[at]);
        if (it->name == name) return it->data;
    }
    return Error(ErrorCode::NotFound, "the archive has no such file");
}

}  // namespace helix::kernel
