// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Small types with a layout of their own that may cross the module boundary.
//
// Standard types do not cross it: libc++ and libstdc++ lay them out differently. These convert from
// and to anything that looks like std::string_view or std::span, at no cost and without including them.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <compare>
#include <concepts>
#include <type_traits>

namespace helix {

namespace detail {
template <typename S>
concept StringLike = std::is_class_v<S> && requires(const S& s) {
    { s.data() } -> std::convertible_to<const char*>;
    { s.size() } -> std::convertible_to<size_t>;
};
}  // namespace detail

/// A run of `size` UTF-8 characters that belongs to somebody else; not zero-terminated.
/// A Text that is passed to a call dies with the call: whoever keeps it copies it.
class Text {
public:
    constexpr Text() = default;
    constexpr Text(const char* data, size_t size) : data_(data), size_(size) {}
    template <size_t N>
    constexpr Text(const char (&literal)[N]) : data_(literal), size_(N - 1) {}
    /// No literal: how much of it is text, from_c_string or the constructor with a size says.
    template <size_t N>
    Text(char (&array)[N]) = delete;
    template <detail::StringLike S>
        requires(!std::is_same_v<S, Text>)
    constexpr Text(const S& s) : data_(s.data()), size_(s.size()) {}

    /// A zero-terminated string of unknown length, at most `limit` characters.
    static constexpr Text from_c_string(const char* s, size_t limit = SIZE_MAX) {
        size_t size = 0;
        while (size < limit && s[size] != '\0') ++size;
        return {s, size};
    }

    template <detail::StringLike S>
        requires(!std::is_same_v<S, Text> && std::is_constructible_v<S, const char*, size_t>)
    constexpr operator S() const {
        return S(data_, size_);
    }

    constexpr const char* data() const { return data_; }
    constexpr size_t size() const { return size_; }
    constexpr bool empty() const { return size_ == 0; }
    constexpr const char* begin() const { return data_; }
    constexpr const char* end() const { return data_ + size_; }
    constexpr char operator[](size_t i) const { return data_[i]; }

    /// The part from `offset` (clamped to the size), at most `count` characters.
    constexpr Text substr(size_t offset, size_t count = SIZE_MAX) const {
        if (offset > size_) offset = size_;
        if (count > size_ - offset) count = size_ - offset;
        return {data_ + offset, count};
    }
    constexpr bool starts_with(Text prefix) const { return substr(0, prefix.size_) == prefix; }
    constexpr bool ends_with(Text suffix) const {
        return suffix.size_ <= size_ && substr(size_ - suffix.size_) == suffix;
    }
    /// Position of the first `c` at or after `from`, or SIZE_MAX.
    constexpr size_t find(char c, size_t from = 0) const {
        for (size_t i = from; i < size_; ++i)
            if (data_[i] == c) return i;
        return SIZE_MAX;
    }
    friend constexpr bool operator==(Text a, Text b) {
        if (a.size_ != b.size_) return false;
        for (size_t i = 0; i < a.size_; ++i)
            if (a.data_[i] != b.data_[i]) return false;
        return true;
    }
    /// By bytes, as std::string_view orders.
    friend constexpr std::strong_ordering operator<=>(Text a, Text b) {
        for (size_t i = 0; i < a.size_ && i < b.size_; ++i)
            if (a.data_[i] != b.data_[i]) return static_cast<uint8_t>(a.data_[i]) <=> static_cast<uint8_t>(b.data_[i]);
        return a.size_ <=> b.size_;
    }

private:
    const char* data_ = "";
    size_t size_ = 0;
};

/// A run of `size` elements that belongs to somebody else. `Span<const T>` is read, `Span<T>` written.
template <typename T>
class Span {
public:
    constexpr Span() = default;
    constexpr Span(T* data, size_t size) : data_(data), size_(size) {}
    template <size_t N>
    constexpr Span(T (&array)[N]) : data_(array), size_(N) {}
    template <typename R>
        requires(!std::is_same_v<std::remove_cvref_t<R>, Span> &&
                 requires(R& r) {
                     { r.data() } -> std::convertible_to<T*>;
                     { r.size() } -> std::convertible_to<size_t>;
                 })
    constexpr Span(R&& range) : data_(range.data()), size_(range.size()) {}

    constexpr T* data() const { return data_; }
    constexpr size_t size() const { return size_; }
    constexpr bool empty() const { return size_ == 0; }
    constexpr T* begin() const { return data_; }
    constexpr T* end() const { return data_ + size_; }
    constexpr T& operator[](size_t i) const { return data_[i]; }
    /// The part from `offset` (clamped), at most `count` elements.
    constexpr Span subspan(size_t offset, size_t count = SIZE_MAX) const {
        if (offset > size_) offset = size_;
        if (count > size_ - offset) count = size_ - offset;
        return {data_ + offset, count};
    }

private:
    T* data_ = nullptr;
    size_t size_ = 0;
};

/// Bytes going in to a call, and bytes that a call fills.
using Bytes = Span<const uint8_t>;
using MutableBytes = Span<uint8_t>;

inline Bytes as_bytes(Text text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline Text as_text(Bytes bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Up to `N` characters, stored inline. At compile time a longer text does not compile; at run time
/// it is cut, and `append` says so.
template <size_t N>
class FixedText {
    static_assert(N <= UINT16_MAX);

public:
    constexpr FixedText() = default;
    constexpr FixedText(Text text) { assign(text); }
    template <size_t M>
    constexpr FixedText(const char (&literal)[M]) {
        static_assert(M - 1 <= N, "the text is too long for this field");
        assign(Text(literal));
    }
    template <size_t M>
    FixedText(char (&array)[M]) = delete;  // as for Text

    constexpr void assign(Text text) {
        size_ = 0;
        append(text);
    }
    /// Adds `text`; false if it did not fit whole.
    [[gnu::noinline]] constexpr bool append(Text text) {
        for (size_t i = 0; i < text.size(); ++i) {
            if (size_ == N) return false;
            data_[size_++] = text[i];
        }
        return true;
    }
    constexpr bool append(char c) { return append(Text(&c, 1)); }
    constexpr void clear() { size_ = 0; }
    static constexpr size_t capacity() { return N; }
    constexpr const char* data() const { return data_; }
    constexpr size_t size() const { return size_; }
    constexpr bool empty() const { return size_ == 0; }
    constexpr Text text() const { return {data_, size_}; }
    friend constexpr bool operator==(const FixedText& a, Text b) { return a.text() == b; }

private:
    uint16_t size_ = 0;
    char data_[N] = {};
};

/// A semantic version (semver.org, without pre-release and build parts).
struct Version {
    uint16_t major = 0;
    uint16_t minor = 0;
    uint16_t patch = 0;

    friend constexpr bool operator==(Version, Version) = default;
    friend constexpr auto operator<=>(Version, Version) = default;
};

/// Numbers that the kernel gives out; 0 is never one of them.
enum class InstanceId : uint32_t { None = 0 };
enum class ThreadId : uint32_t { None = 0 };
using CpuId = uint32_t;

}  // namespace helix
