// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Parsing of configuration values: integers, booleans, sizes ("64K") and durations ("10ms").
#pragma once

#include "helix/types.hpp"

namespace helix {

/// A non-negative decimal number that fits 64 bits; false otherwise.
constexpr bool parse_unsigned(Text text, uint64_t& out) {
    if (text.empty()) return false;
    uint64_t value = 0;
    for (char c : text) {
        if (c < '0' || c > '9') return false;
        if (__builtin_mul_overflow(value, 10u, &value)) return false;
        if (__builtin_add_overflow(value, static_cast<uint64_t>(c - '0'), &value)) return false;
    }
    out = value;
    return true;
}

constexpr bool parse_integer(Text text, int64_t& out) {
    const bool negative = text.starts_with("-");
    uint64_t magnitude = 0;
    if (!parse_unsigned(negative ? text.substr(1) : text, magnitude)) return false;
    if (magnitude > static_cast<uint64_t>(INT64_MAX) + (negative ? 1 : 0)) return false;
    out = static_cast<int64_t>(negative ? 0 - magnitude : magnitude);
    return true;
}

constexpr bool parse_boolean(Text text, bool& out) {
    if (text != "true" && text != "false") return false;
    out = text == "true";
    return true;
}

namespace detail {
struct Unit {
    Text suffix;
    uint64_t factor;
};
/// A number with one of `units`; a bare number only if `bare` is nonzero, times `bare`.
constexpr bool parse_with_unit(Text text, Span<const Unit> units, uint64_t bare, uint64_t& out) {
    size_t digits = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
    uint64_t number = 0;
    if (!parse_unsigned(text.substr(0, digits), number)) return false;
    const Text suffix = text.substr(digits);
    uint64_t factor = suffix.empty() ? bare : 0;
    for (const Unit& unit : units)
        if (suffix == unit.suffix) factor = unit.factor;
    if (factor == 0 || __builtin_mul_overflow(number, factor, &number)) return false;
    out = number;
    return true;
}
}  // namespace detail

/// Bytes: a number, optionally with K, M or G (powers of 1,024).
constexpr bool parse_size(Text text, uint64_t& out) {
    constexpr detail::Unit kUnits[] = {{"K", 1024}, {"M", 1024 * 1024}, {"G", 1024 * 1024 * 1024}};
    return detail::parse_with_unit(text, kUnits, 1, out);
}

/// Nanoseconds: a number with ns, us, ms or s.
constexpr bool parse_duration(Text text, uint64_t& out) {
    constexpr detail::Unit kUnits[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000 * 1000}, {"s", 1000 * 1000 * 1000}};
    return detail::parse_with_unit(text, kUnits, 0, out);
}

}  // namespace helix
