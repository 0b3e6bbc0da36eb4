// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// UTF-8: where a character ends, how many characters a text has, and which of them a terminal obeys.
#pragma once

#include "helix/types.hpp"

namespace helix::kernel {

/// True for the second and later bytes of a character.
constexpr bool is_continuation(char c) {
    return (static_cast<uint8_t>(c) & 0xc0) == 0x80;
}

/// The bytes of the well-formed character at `at` (1 to 4), or 0 when none starts there. Overlong forms, surrogates
/// and numbers beyond U+10FFFF are not well-formed (Unicode 15, table 3-7).
constexpr size_t character_length(Text text, size_t at) {
    const auto byte = [&](size_t i) -> uint32_t {
        return at + i < text.size() ? static_cast<uint8_t>(text[at + i]) : 0u;
    };
    const auto in = [](uint32_t value, uint32_t low, uint32_t high) { return value >= low && value <= high; };
    const uint32_t first = byte(0);
    if (at >= text.size()) return 0;
    if (first < 0x80) return 1;
    if (in(first, 0xc2, 0xdf)) return in(byte(1), 0x80, 0xbf) ? 2 : 0;
    if (in(first, 0xe0, 0xef)) {
        const uint32_t low = first == 0xe0 ? 0xa0 : 0x80;
        const uint32_t high = first == 0xed ? 0x9f : 0xbf;
        return in(byte(1), low, high) && in(byte(2), 0x80, 0xbf) ? 3 : 0;
    }
    if (in(first, 0xf0, 0xf4)) {
        const uint32_t low = first == 0xf0 ? 0x90 : 0x80;
        const uint32_t high = first == 0xf4 ? 0x8f : 0xbf;
        return in(byte(1), low, high) && in(byte(2), 0x80, 0xbf) && in(byte(3), 0x80, 0xbf) ? 4 : 0;
    }
    return 0;
}

/// Characters in `text`, which a terminal shows in as many columns (wide characters are not known here).
constexpr size_t character_count(Text text) {
    size_t count = 0;
    for (char c : text) count += is_continuation(c) ? 0 : 1;
    return count;
}

/// The bytes of the control character at `at` (C0, delete: 1; C1: 2), which terminals obey; 0 when there is none.
constexpr size_t control_length(Text text, size_t at) {
    const auto first = static_cast<uint8_t>(text[at]);
    if (first < ' ' || first == 0x7f) return 1;
    return first == 0xc2 && character_length(text, at) == 2 && static_cast<uint8_t>(text[at + 1]) < 0xa0 ? 2 : 0;
}

}  // namespace helix::kernel
