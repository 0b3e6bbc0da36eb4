// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// JsonWriter, and the scanner that tells JSON from other text.
#include "kernel/console/json.hpp"

#include "kernel/console/utf8.hpp"
#include "kernel/panic.hpp"

namespace helix::kernel {

void JsonWriter::begin(char bracket) {
    before_value();
    HELIX_ASSERT(depth_ < kMaximumDepth);
    ++depth_;
    filled_ &= ~(uint64_t{1} << depth_);
    out_.write(Text(&bracket, 1));
}

void JsonWriter::end(char bracket) {
    HELIX_ASSERT(depth_ > 0 && !after_key_);
    --depth_;
    out_.write(Text(&bracket, 1));
}

void JsonWriter::before_value() {
    if (after_key_) {
        after_key_ = false;
        return;
    }
    if (filled_ & (uint64_t{1} << depth_)) out_.write(",");
    filled_ |= uint64_t{1} << depth_;
}

void JsonWriter::key(Text name) {
    before_value();
    quoted(name);
    out_.write(":");
    after_key_ = true;
}

void JsonWriter::value(Text text) {
    before_value();
    quoted(text);
}

void JsonWriter::value_of(uint64_t bits, FormatArgument::Kind kind) {
    before_value();
    FormatArgument argument(bits);
    argument.kind = kind;
    char digits[24];
    out_.write(Text(digits, format_arguments(Span<char>(digits), "{}", Span<const FormatArgument>(&argument, 1))));
}

void JsonWriter::field_of(Text name, uint64_t bits, FormatArgument::Kind kind) {
    key(name);
    value_of(bits, kind);
}

void JsonWriter::field_of(Text name, Text content) {
    key(name);
    value(content);
}

void JsonWriter::null() {
    before_value();
    out_.write("null");
}

void JsonWriter::raw(Text json) {
    before_value();
    // Line breaks and tabs stand only between tokens: inside a string they would not be JSON. What terminals obey
    // besides stands only inside of strings.
    size_t begin = 0;
    for (size_t i = 0; i < json.size(); ++i) {
        const size_t length = control_length(json, i);
        if (length == 0) continue;
        out_.write(json.substr(begin, i - begin));
        i += length - 1;
        if (static_cast<uint8_t>(json[i]) >= ' ') escape(json[i]);
        begin = i + 1;
    }
    out_.write(json.substr(begin));
}

void JsonWriter::escape(char code) {
    constexpr Text kDigits = "0123456789abcdef";
    const auto value = static_cast<uint8_t>(code);
    const char escape[] = {'\\', 'u', '0', '0', kDigits[value >> 4], kDigits[value & 15]};
    out_.write(Text(escape, sizeof(escape)));
}

void JsonWriter::quoted(Text text) {
    out_.write("\"");
    size_t begin = 0;  // what is not written yet and needs no escape
    size_t i = 0;
    const auto replace = [&](Text with) {
        out_.write(text.substr(begin, i - begin));
        out_.write(with);
        begin = ++i;
    };
    while (i < text.size()) {
        const char c = text[i];
        if (c == '"') {
            replace("\\\"");
        } else if (c == '\\') {
            replace("\\\\");
        } else if (c == '\n') {
            replace("\\n");
        } else if (c == '\r') {
            replace("\\r");
        } else if (c == '\t') {
            replace("\\t");
        } else if (const size_t control = control_length(text, i); control > 0) {
            replace("");
            i += control - 1;
            escape(text[i - 1]);
            begin = i;
        } else if (const size_t length = character_length(text, i); length == 0) {
            replace("\\ufffd");
        } else {
            i += length;
        }
    }
    out_.write(text.substr(begin));
    out_.write("\"");
}

namespace {

/// Recursive descent over one value; every step either advances or fails.
class Scanner {
public:
    explicit Scanner(Text text) : text_(text) {}

    bool whole() {
        skip_space();
        if (!value(0)) return false;
        skip_space();
        return at_ == text_.size();
    }

private:
    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    bool take(char c) {
        if (at_ == text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }
    void skip_space() {
        while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
    }
    bool word(Text expected) {
        if (text_.substr(at_, expected.size()) != expected) return false;
        at_ += expected.size();
        return true;
    }
    bool digits() {
        const size_t begin = at_;
        while (peek() >= '0' && peek() <= '9') ++at_;
        return at_ > begin;
    }
    bool number() {
        take('-');
        if (!take('0') && !digits()) return false;
        if (take('.') && !digits()) return false;
        if (take('e') || take('E')) {
            if (!take('+')) take('-');
            return digits();
        }
        return true;
    }
    bool string() {
        if (!take('"')) return false;
        while (at_ < text_.size()) {
            const char c = text_[at_];
            if (c == '"') return take('"');
            if (static_cast<uint8_t>(c) < 0x20) return false;
            if (c == '\\') {
                ++at_;
                const char escaped = peek();
                if (Text("\"\\/bfnrt").find(escaped) != SIZE_MAX) {
                    ++at_;
                } else if (take('u')) {
                    for (size_t i = 0; i < 4; ++i, ++at_)
                        if (Text("0123456789abcdefABCDEF").find(peek()) == SIZE_MAX) return false;
                } else {
                    return false;
                }
                continue;
            }
            const size_t length = character_length(text_, at_);
            if (length == 0) return false;
            at_ += length;
        }
        return false;
    }
    bool members(size_t depth, char close, bool named) {
        skip_space();
        if (take(close)) return true;
        do {
            skip_space();
            if (named) {
                if (!string()) return false;
                skip_space();
                if (!take(':')) return false;
                skip_space();
            }
            if (!value(depth)) return false;
            skip_space();
        } while (take(','));
        return take(close);
    }
    bool value(size_t depth) {
        if (depth == JsonWriter::kMaximumDepth) return false;
        switch (peek()) {
            case '{': ++at_; return members(depth + 1, '}', true);
            case '[': ++at_; return members(depth + 1, ']', false);
            case '"': return string();
            case 't': return word("true");
            case 'f': return word("false");
            case 'n': return word("null");
            default: return number();
        }
    }

    Text text_;
    size_t at_ = 0;
};

}  // namespace

bool is_json_value(Text text) {
    return Scanner(text).whole();
}

}  // namespace helix::kernel
