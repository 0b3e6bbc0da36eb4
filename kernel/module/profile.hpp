// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The compiled profile as the bundle carries it: lines "key=value".
#pragma once

#include "helix/result.hpp"

namespace helix::kernel {

struct ProfileEntry {
    Text key;
    Text value;
};

/// The words of a text, split at spaces: `for (Text word : Words(text))`.
class Words {
public:
    constexpr explicit Words(Text text) : text_(text) {}

    class Iterator {
    public:
        constexpr explicit Iterator(Text rest) : rest_(rest) { advance(); }
        constexpr Text operator*() const { return word_; }
        constexpr Iterator& operator++() {
            advance();
            return *this;
        }
        constexpr bool operator==(const Iterator& other) const { return word_.empty() && other.word_.empty(); }

    private:
        constexpr void advance() {
            size_t begin = 0;
            while (begin < rest_.size() && rest_[begin] == ' ') ++begin;
            size_t end = begin;
            while (end < rest_.size() && rest_[end] != ' ') ++end;
            word_ = rest_.substr(begin, end - begin);
            rest_ = rest_.substr(end);
        }
        Text rest_;
        Text word_;
    };
    /// Only the comparison with end() means anything.
    constexpr Iterator begin() const { return Iterator(text_); }
    constexpr Iterator end() const { return Iterator(Text()); }

private:
    Text text_;
};

/// A view: the bytes outlive it, and whatever it returns points into them. Keys are names (letters, digits, '.', '_',
/// '-'), each once; values are printable UTF-8. Empty lines and lines that start with '#' mean nothing. Any context.
class Profile {
public:
    static constexpr size_t kMaximumEntries = 2048;

    /// A profile without entries.
    Profile() = default;
    /// Errors: InvalidArgument, AlreadyExists (a key twice), OutOfRange (too many); each names the line.
    static Result<Profile> parse(Bytes bytes);

    /// The value of `key`, or `otherwise`.
    Text value(Text key, Text otherwise = {}) const;
    bool has(Text key) const;
    /// Errors: NotFound, InvalidArgument (the value is not a non-negative decimal number).
    Result<uint64_t> number(Text key) const;
    /// The value as a list of words; empty when there is none.
    Words words(Text key) const { return Words(value(key)); }

    class Iterator {
    public:
        const ProfileEntry& operator*() const { return entry_; }
        const ProfileEntry* operator->() const { return &entry_; }
        Iterator& operator++();
        bool operator==(const Iterator& other) const { return entry_.key.data() == other.entry_.key.data(); }

    private:
        friend class Profile;
        Iterator() = default;
        explicit Iterator(Text rest) : rest_(rest) { ++*this; }
        Text rest_;
        ProfileEntry entry_{{nullptr, 0}, {}};
    };
    /// All entries in the order of the file.
    Iterator begin() const { return Iterator(text_); }
    Iterator end() const { return {}; }

private:
    Text text_;
};

}  // namespace helix::kernel
