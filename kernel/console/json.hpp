// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// JsonWriter: one JSON value (RFC 8259) on one line, written as it goes into a TextSink.
#pragma once

#include "kernel/console/text_sink.hpp"

namespace helix::kernel {

/// Commas and colons come by themselves. The caller balances begin and end and writes a key before each value in
/// an object. Needs no memory of its own. One thread at a time; any context in which the sink may be written.
class JsonWriter {
public:
    static constexpr size_t kMaximumDepth = 32;

    explicit JsonWriter(TextSink& out) : out_(out) {}

    void begin_object() { begin('{'); }
    void end_object() { end('}'); }
    void begin_array() { begin('['); }
    void end_array() { end(']'); }
    void key(Text name);

    /// A string. Control characters are escaped, well-formed UTF-8 is passed through, other bytes become U+FFFD.
    void value(Text text);
    template <typename T>
        requires std::is_integral_v<T>
    void value(T number) {
        value_of(bits(number), kind<T>());
    }
    void null();
    /// `json` as it is, but for white space and control characters; is_json_value(json) must hold.
    void raw(Text json);

    template <typename T>
    void field(Text name, const T& content) {
        if constexpr (std::is_integral_v<T>)
            field_of(name, bits(content), kind<T>());
        else
            field_of(name, Text(content));
    }

private:
    // What callers hand over in registers, for there are hundreds of them.
    template <typename T>
    static constexpr FormatArgument::Kind kind() {
        return FormatArgument(T{}).kind;
    }
    template <typename T>
    static constexpr uint64_t bits(T number) {
        return static_cast<uint64_t>(number);
    }
    void value_of(uint64_t bits, FormatArgument::Kind kind);
    void field_of(Text name, uint64_t bits, FormatArgument::Kind kind);
    void field_of(Text name, Text content);
    void begin(char bracket);
    void end(char bracket);
    void before_value();
    void quoted(Text text);
    void escape(char code);

    TextSink& out_;
    uint64_t filled_ = 0;  ///< bit n: the container at depth n has an element already
    size_t depth_ = 0;
    bool after_key_ = false;
};

/// True if `text` is exactly one JSON value, with white space around it at most. Nesting up to 32.
bool is_json_value(Text text);

}  // namespace helix::kernel
