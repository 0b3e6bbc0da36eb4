// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The functions that compilers call by themselves. Compiled with -fno-builtin, lest they call themselves.

#include <stddef.h>
#include <stdint.h>

namespace {

/// Eight or four bytes at any address.
struct [[gnu::packed, gnu::may_alias]] Word {
    uint64_t value;
};
struct [[gnu::packed, gnu::may_alias]] HalfWord {
    uint32_t value;
};

inline uint64_t load(const unsigned char* from) {
    return reinterpret_cast<const Word*>(from)->value;
}
inline void store(unsigned char* to, uint64_t value) {
    reinterpret_cast<Word*>(to)->value = value;
}
inline uint32_t load_half(const unsigned char* from) {
    return reinterpret_cast<const HalfWord*>(from)->value;
}
inline void store_half(unsigned char* to, uint32_t value) {
    reinterpret_cast<HalfWord*>(to)->value = value;
}

/// Up to 16 bytes, all read before any is written, so that the two may overlap.
inline void move_small(unsigned char* to, const unsigned char* from, size_t size) {
    if (size >= 8) {
        const uint64_t first = load(from), last = load(from + size - 8);
        store(to, first);
        store(to + size - 8, last);
    } else if (size >= 4) {
        const uint32_t first = load_half(from), last = load_half(from + size - 4);
        store_half(to, first);
        store_half(to + size - 4, last);
    } else if (size > 0) {
        const unsigned char first = from[0], middle = from[size / 2], last = from[size - 1];
        to[0] = first;
        to[size / 2] = middle;
        to[size - 1] = last;
    }
}

/// More than 16 bytes upwards: whole words, and the last one again, unaligned. `to` below `from`, or apart.
inline void move_up(unsigned char* to, const unsigned char* from, size_t size) {
    const uint64_t last = load(from + size - 8);
    unsigned char* const last_to = to + size - 8;
    size_t words = (size - 1) / 8;
    asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words)::"memory");
    store(last_to, last);
}

}  // namespace

extern "C" {

void* memcpy(void* __restrict to, const void* __restrict from, size_t size) {
    auto* const out = static_cast<unsigned char*>(to);
    const auto* const in = static_cast<const unsigned char*>(from);
    if (size <= 16)
        move_small(out, in, size);
    else
        move_up(out, in, size);
    return to;
}

void* memmove(void* to, const void* from, size_t size) {
    auto* const out = static_cast<unsigned char*>(to);
    const auto* const in = static_cast<const unsigned char*>(from);
    if (size <= 16) {
        move_small(out, in, size);
    } else if (reinterpret_cast<uintptr_t>(out) - reinterpret_cast<uintptr_t>(in) >= size) {
        move_up(out, in, size);
    } else {
        const uint64_t first = load(in);
        for (size_t left = size; left > 8; left -= 8) store(out + left - 8, load(in + left - 8));
        store(out, first);
    }
    return to;
}

void* memset(void* to, int value, size_t size) {
    auto* out = static_cast<unsigned char*>(to);
    const uint64_t pattern = static_cast<unsigned char>(value) * 0x0101'0101'0101'0101ull;
    if (size >= 8) {
        store(out + size - 8, pattern);
        size_t words = (size - 1) / 8;
        asm volatile("rep stosq" : "+D"(out), "+c"(words) : "a"(pattern) : "memory");
    } else if (size >= 4) {
        store_half(out, static_cast<uint32_t>(pattern));
        store_half(out + size - 4, static_cast<uint32_t>(pattern));
    } else if (size > 0) {
        out[0] = out[size / 2] = out[size - 1] = static_cast<unsigned char>(value);
    }
    return to;
}

int memcmp(const void* a, const void* b, size_t size) {
    const auto* left = static_cast<const unsigned char*>(a);
    const auto* right = static_cast<const unsigned char*>(b);
    for (; size >= 8; size -= 8, left += 8, right += 8) {
        const uint64_t x = load(left), y = load(right);
        if (x != y) return __builtin_bswap64(x) < __builtin_bswap64(y) ? -1 : 1;
    }
    for (; size > 0; --size, ++left, ++right)
        if (*left != *right) return *left < *right ? -1 : 1;
    return 0;
}

int bcmp(const void* a, const void* b, size_t size) {
    return memcmp(a, b, size);
}

size_t strlen(const char* text) {
    const char* end = text;
    while (*end != '\0') ++end;
    return static_cast<size_t>(end - text);
}

// Each of these is a broken invariant of the kernel: an exception tells where.
[[noreturn]] void __cxa_pure_virtual() {
    __builtin_trap();
}
[[noreturn]] void abort() {
    __builtin_trap();
}
}
