// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// NameIndex: finds things by their names in a time that does not grow with their number, also without a lock while
// others come and go.
//
// A table of places with a power of two of them; who has no room at the place of its hash takes the next one (linear
// probing: Knuth, The Art of Computer Programming 3, 6.4, algorithm L). A table is replaced as a whole when it fills.
//
// Why a reader without a lock is safe. Writers are ordered by the lock of the index's owner. What a reader follows, the
// table and then a thing, it gets by acquire loads of what was stored with release when that was complete. What it
// finds may leave the index at any time, but is not freed while the reader has preemption off: whoever takes a thing
// out, or replaces the table, does so by an atomic store, then waits for a grace period (Cpus::wait_grace_period), then
// frees. A place changes from empty to a thing, to gone, to another thing, and never back to empty, so that nobody
// misses a thing behind it; whoever reads the hash of one thing and the address of another there, since they changed in
// between, compares names.
#pragma once

#include "helix/result.hpp"
#include "kernel/thread/published.hpp"

namespace helix::kernel {

struct Kernel;

/// Whether the two are the same, in words of eight bytes.
inline bool is_same_name(Text a, Text b) {
    if (a.size() != b.size()) return false;
    const size_t size = a.size();
    const auto word_at = [](Text text, size_t at) {
        uint64_t word = 0;
        __builtin_memcpy(&word, text.data() + at, sizeof(word));
        return word;
    };
    if (size < sizeof(uint64_t)) return a == b;
    for (size_t at = 0; at + sizeof(uint64_t) <= size; at += sizeof(uint64_t))
        if (word_at(a, at) != word_at(b, at)) return false;
    const size_t last = size - sizeof(uint64_t);
    return word_at(a, last) == word_at(b, last);
}

/// Of a thing with `name`. Multiplied word by word, and the upper half folded into the lower one.
inline uint64_t hash_of_name(Text name) {
    constexpr uint64_t kFactor = 0x9e3779b97f4a7c15;  // 2^64 divided by the golden ratio
    const char* const data = name.data();
    const size_t size = name.size();
    uint64_t hash = size;
    const auto add = [&](uint64_t word) {
        hash = (hash ^ word) * kFactor;
        hash ^= hash >> 32;
    };
    uint64_t word = 0;
    size_t at = 0;
    for (; at + sizeof(word) <= size; at += sizeof(word)) {
        __builtin_memcpy(&word, data + at, sizeof(word));
        add(word);
    }
    if (at == size) return hash;
    if (size >= sizeof(word)) {
        __builtin_memcpy(&word, data + size - sizeof(word), sizeof(word));
    } else {
        for (word = 0; at < size; ++at) word = word << 8 | static_cast<uint8_t>(data[at]);
    }
    add(word);
    return hash;
}

/// The index itself, which knows its things by address and hash alone.
class HashIndex {
public:
    HashIndex() = default;
    HashIndex(const HashIndex&) = delete;
    HashIndex& operator=(const HashIndex&) = delete;

    /// Makes room for one more. The owner's lock held; may sleep. Errors: OutOfMemory.
    Result<void> reserve(Kernel& kernel);
    /// For which there is room. The owner's lock held.
    void insert(uint64_t hash, void* thing);
    /// Takes `thing`, which is in, out: readers may see it until a grace period is over. The owner's lock held.
    void remove(uint64_t hash, const void* thing);

protected:
    /// Calls `visit(thing)` for those of that hash until one returns true. The owner's lock held, or preemption off
    /// until nothing is done any more with what was visited.
    template <typename Visit>
    void look(uint64_t hash, Visit visit) const {
        const Table* const table = table_;
        uint64_t at = hash;
        while (void* const thing = next(table, hash, at))
            if (visit(thing)) return;
    }

private:
    struct Place {
        uint64_t hash;  ///< atomic
        Published<void> thing;
    };
    /// The places are behind it.
    struct Table {
        uint64_t mask;

        Place& place(uint64_t at) { return reinterpret_cast<Place*>(this + 1)[at & mask]; }
        const Place& place(uint64_t at) const { return reinterpret_cast<const Place*>(this + 1)[at & mask]; }
    };

    /// The first thing of that hash from `at` on, which is moved behind it; null if there is none any more.
    static void* next(const Table* table, uint64_t hash, uint64_t& at) {
        if (table == nullptr) return nullptr;
        for (;; ++at) {
            const Place& place = table->place(at);
            void* const thing = place.thing;
            if (thing == nullptr) return nullptr;
            if (__atomic_load_n(&place.hash, __ATOMIC_RELAXED) != hash || thing == gone()) continue;
            ++at;
            return thing;
        }
    }
    /// What stands where a thing was.
    static void* gone() { return const_cast<char*>(&gone_); }
    static bool put(Table& table, uint64_t hash, void* thing);

    static const char gone_;
    Published<Table> table_;  // null: nothing was ever in
    size_t taken_ = 0;        // places that are not empty
    size_t things_ = 0;
};

/// Of T, which has name(), or `name`, and keeps it as long as it is in the index. Several may have the same.
template <typename T>
class NameIndex : public HashIndex {
public:
    void insert(T& thing) { HashIndex::insert(hash_of_name(name_of(thing)), &thing); }
    void remove(T& thing) { HashIndex::remove(hash_of_name(name_of(thing)), &thing); }
    /// Calls `visit(T&)` for those of that name until one returns true. The owner's lock held, or preemption off until
    /// nothing is done any more with what was visited.
    template <typename Visit>
    void look(Text name, Visit visit) const {
        HashIndex::look(hash_of_name(name), [&](void* thing) {
            T& found = *static_cast<T*>(thing);
            return is_same_name(name_of(found), name) && visit(found);
        });
    }
    /// The first of that name; null if there is none. As look.
    T* find(Text name) const {
        T* found = nullptr;
        look(name, [&](T& thing) { return found = &thing, true; });
        return found;
    }

private:
    static Text name_of(const T& thing) {
        if constexpr (requires { thing.name(); })
            return thing.name();
        else
            return thing.name.text();
    }
};

}  // namespace helix::kernel
