// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// TextSink: somewhere that text goes: the console, a buffer, a test.
#pragma once

#include "helix/format.hpp"

namespace helix::kernel {

class TextSink {
public:
    virtual void write(Text text) = 0;

    /// Formatted text of at most 320 characters; longer texts go through write.
    template <typename... Arguments>
    void print(FormatString<std::type_identity_t<Arguments>...> format, const Arguments&... arguments) {
        if constexpr (sizeof...(Arguments) == 0) {
            print_arguments(format.text(), {});
        } else {
            const FormatArgument list[] = {FormatArgument(arguments)...};
            print_arguments(format.text(), list);
        }
    }

protected:
    ~TextSink() = default;

private:
    [[gnu::noinline]] void print_arguments(Text format, Span<const FormatArgument> arguments) {
        char buffer[320];
        write(Text(buffer, format_arguments(Span<char>(buffer), format, arguments)));
    }
};

}  // namespace helix::kernel
