// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// NameIndex: entering, taking out, and tables that grow.

#include "kernel/module/name_index.hpp"

#include "kernel/kernel.hpp"

namespace helix::kernel {

const char HashIndex::gone_ = 0;

Result<void> HashIndex::reserve(Kernel& kernel) {
    Table* const before = table_;
    // At least a quarter of the places stays empty: whoever looks for what is not there stops soon.
    if (before != nullptr && (taken_ + 1) * 4 <= (before->mask + 1) * 3) return {};
    uint64_t size = 32;
    while (size < (things_ + 1) * 2) size *= 2;
    auto* const table = static_cast<Table*>(kernel.heap.allocate(sizeof(Table) + size * sizeof(Place)));
    if (table == nullptr) return ErrorCode::OutOfMemory;
    table->mask = size - 1;
    __builtin_memset(static_cast<void*>(table + 1), 0, size * sizeof(Place));
    for (uint64_t at = 0; before != nullptr && at <= before->mask; ++at) {
        const Place& place = before->place(at);
        if (place.thing != nullptr && place.thing != gone()) (void)put(*table, place.hash, place.thing);
    }
    table_ = table;
    taken_ = things_;
    if (before == nullptr) return {};
    kernel.threads.cpus().wait_grace_period();
    kernel.heap.free(before);
    return {};
}

/// True if the place was empty.
bool HashIndex::put(Table& table, uint64_t hash, void* thing) {
    uint64_t at = hash;
    const auto is_taken = [&] {
        void* const there = table.place(at).thing;
        return there != nullptr && there != gone();
    };
    while (is_taken()) ++at;
    Place& place = table.place(at);
    const bool was_empty = place.thing == nullptr;
    __atomic_store_n(&place.hash, hash, __ATOMIC_RELAXED);
    place.thing = thing;
    return was_empty;
}

void HashIndex::insert(uint64_t hash, void* thing) {
    if (put(*table_, hash, thing)) ++taken_;
    ++things_;
}

void HashIndex::remove(uint64_t hash, const void* thing) {
    Table& table = *table_;
    uint64_t at = hash;
    while (table.place(at).thing != thing) ++at;
    table.place(at).thing = gone();
    --things_;
}

}  // namespace helix::kernel
