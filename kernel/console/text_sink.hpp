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
        char buffer[320];
        write(Text(buffer, format_to(Span<char>(buffer), format, arguments...)));
    }

protected:
    ~TextSink() = default;
};

}  // namespace helix::kernel
