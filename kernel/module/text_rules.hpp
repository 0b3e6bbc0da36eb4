// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What names and texts that come from outside may contain.
#pragma once

#include "helix/types.hpp"

namespace helix::kernel {

/// Names of modules, capabilities, interfaces and options: ASCII letters, digits, '.', '_' and '-', starting with a
/// letter or digit.
constexpr bool is_valid_name(Text name) {
    const auto is_word = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    if (name.empty() || !is_word(name[0])) return false;
    for (char c : name)
        if (!is_word(c) && c != '.' && c != '_' && c != '-') return false;
    return true;
}

/// One line of well-formed UTF-8 (RFC 3629) without control characters, so that it can be printed as it is.
constexpr bool is_printable(Text text) {
    for (size_t i = 0; i < text.size();) {
        const auto lead = static_cast<uint8_t>(text[i]);
        if (lead < 0x80) {
            if (lead < 0x20 || lead == 0x7F) return false;
            ++i;
            continue;
        }
        const size_t following = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
        if (lead < 0xC2 || lead > 0xF4 || text.size() - i <= following) return false;
        uint32_t code = lead & (0x3Fu >> following);
        for (size_t k = 1; k <= following; ++k) {
            const auto byte = static_cast<uint8_t>(text[i + k]);
            if ((byte & 0xC0) != 0x80) return false;
            code = code << 6 | (byte & 0x3F);
        }
        constexpr uint32_t kSmallest[] = {0, 0xA0, 0x800, 0x10000};  // from 0x80 to 0x9F are control characters
        if (code < kSmallest[following] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
        i += following + 1;
    }
    return true;
}

/// At most `N` characters of `text` for a message about it: its end if it is longer, and '?' for what cannot be
/// printed.
template <size_t N>
constexpr FixedText<N> quoted(Text text) {
    FixedText<N> out;
    const bool cut = text.size() > N;
    if (cut) {
        out.append(Text("..."));
        text = text.substr(text.size() - (N - 3));
    }
    for (char c : text) out.append(c >= 0x20 && c < 0x7F ? c : '?');
    return out;
}

}  // namespace helix::kernel
