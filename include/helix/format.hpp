// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Text formatting into a fixed buffer; the format string is checked at compile time.
//
// "{}" takes the next argument, "{:x}" an integer in hexadecimal, "{{" and "}}" are braces.
#pragma once

#include "helix/types.hpp"

namespace helix {

/// One argument, reduced to what can be printed.
class FormatArgument {
public:
    enum class Kind : uint8_t { Unsigned, Signed, Boolean, Character, Text };

    template <typename T>
    constexpr FormatArgument(const T& value) {
        if constexpr (std::is_same_v<T, bool>) {
            kind = Kind::Boolean;
            number = value;
        } else if constexpr (std::is_same_v<T, char>) {
            kind = Kind::Character;
            number = static_cast<unsigned char>(value);
        } else if constexpr (std::is_enum_v<T>) {
            kind = Kind::Unsigned;
            number = static_cast<uint64_t>(value);
        } else if constexpr (std::is_integral_v<T>) {
            kind = std::is_signed_v<T> ? Kind::Signed : Kind::Unsigned;
            number = static_cast<uint64_t>(value);
        } else if constexpr (std::is_same_v<T, const char*> || std::is_same_v<T, char*>) {
            kind = Kind::Text;
            text = Text::from_c_string(value);
        } else if constexpr (std::is_pointer_v<T>) {
            kind = Kind::Unsigned;
            number = reinterpret_cast<uint64_t>(value);
        } else {
            kind = Kind::Text;
            text = helix::Text(value);
        }
    }

    Kind kind = Kind::Unsigned;
    uint64_t number = 0;
    helix::Text text;
};

/// A format string whose placeholders were counted at compile time.
template <typename... Arguments>
class FormatString {
public:
    template <size_t N>
    consteval FormatString(const char (&literal)[N]) : text_(literal) {
        size_t placeholders = 0;
        for (size_t i = 0; i + 1 < N; ++i) {
            if (literal[i] == '{' && literal[i + 1] == '{') {
                ++i;
            } else if (literal[i] == '{') {
                ++placeholders;
                if (literal[i + 1] == ':' && literal[i + 2] == 'x') i += 2;
                if (literal[i + 1] != '}') __builtin_trap();  // at compile time: unknown placeholder
                ++i;
            } else if (literal[i] == '}') {
                if (literal[i + 1] != '}') __builtin_trap();  // at compile time: stray brace
                ++i;
            }
        }
        if (placeholders != sizeof...(Arguments)) __builtin_trap();  // at compile time: wrong number of arguments
    }
    constexpr Text text() const { return text_; }

private:
    Text text_;
};

/// Writes into `out` and returns the number of characters, cut at the size of `out`. Never fails.
/// Cold: every module brings its own, and none waits for it.
[[gnu::cold, gnu::noinline]] inline size_t format_arguments(Span<char> out, Text format,
                                                            Span<const FormatArgument> arguments) {
    size_t size = 0;
    auto put = [&](char c) {
        if (size < out.size()) out[size++] = c;
    };
    auto put_number = [&](uint64_t value, unsigned base) {
        char digits[20];
        size_t count = 0;
        do {
            digits[count++] = "0123456789abcdef"[value % base];
            value /= base;
        } while (value != 0);
        while (count > 0) put(digits[--count]);
    };
    auto put_text = [&](Text text) {
        for (char c : text) put(c);
    };
    size_t next = 0;
    for (size_t i = 0; i < format.size(); ++i) {
        char c = format[i];
        if (c != '{' && c != '}') {
            put(c);
            continue;
        }
        if (i + 1 < format.size() && format[i + 1] == c) {
            put(c);
            ++i;
            continue;
        }
        const bool hexadecimal = format[i + 1] == ':';
        i += hexadecimal ? 3 : 1;
        if (next == arguments.size()) continue;
        const FormatArgument& argument = arguments[next++];
        switch (argument.kind) {
            case FormatArgument::Kind::Boolean: put_text(argument.number != 0 ? Text("true") : Text("false")); break;
            case FormatArgument::Kind::Character: put(static_cast<char>(argument.number)); break;
            case FormatArgument::Kind::Text: put_text(argument.text); break;
            case FormatArgument::Kind::Unsigned: put_number(argument.number, hexadecimal ? 16 : 10); break;
            case FormatArgument::Kind::Signed:
                if (static_cast<int64_t>(argument.number) < 0 && !hexadecimal) {
                    put('-');
                    put_number(0 - argument.number, 10);
                } else {
                    put_number(argument.number, hexadecimal ? 16 : 10);
                }
                break;
        }
    }
    return size;
}

template <typename... Arguments>
size_t format_to(Span<char> out, FormatString<std::type_identity_t<Arguments>...> format,
                 const Arguments&... arguments) {
    if constexpr (sizeof...(Arguments) == 0) {
        return format_arguments(out, format.text(), {});
    } else {
        const FormatArgument list[] = {FormatArgument(arguments)...};
        return format_arguments(out, format.text(), list);
    }
}

/// A formatted text of at most `N` characters.
template <size_t N = 186, typename... Arguments>
FixedText<N> format(FormatString<std::type_identity_t<Arguments>...> format, const Arguments&... arguments) {
    char buffer[N];
    const size_t size = format_to(Span<char>(buffer), format, arguments...);
    return FixedText<N>(Text(buffer, size));
}

/// "1 thread", "2 threads": the number with its noun, which takes an s.
[[gnu::noinline]] inline FixedText<48> counted(uint64_t number, Text noun) {
    return format<48>("{} {}{}", number, noun, number == 1 ? Text() : Text("s"));
}

}  // namespace helix
