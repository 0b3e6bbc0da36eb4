// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// State that survives a reload, as CBOR (RFC 8949): written by one instance, validated whole, read by the next.
//
// A saved state is the array [schema version, { "key": value, … }, CRC-32 of everything before it]. Values are
// unsigned and negative integers, booleans, texts, byte strings and arrays of unsigned integers.
#pragma once

#include "helix/result.hpp"

namespace helix {

namespace detail {
/// CRC-32 of each value of four bits.
struct Crc32Nibbles {
    uint32_t of[16];

    constexpr Crc32Nibbles() {
        for (uint32_t value = 0; value < 16; ++value) {
            uint32_t crc = value;
            for (int bit = 0; bit < 4; ++bit) crc = (crc >> 1) ^ (0xEDB88320u & (0 - (crc & 1)));
            of[value] = crc;
        }
    }
};
inline constexpr Crc32Nibbles kCrc32Nibbles;
}  // namespace detail

/// CRC-32 as in IEEE 802.3 (reflected, polynomial 0xEDB88320).
constexpr uint32_t crc32(Bytes bytes) {
    uint32_t crc = ~0u;
    for (uint8_t byte : bytes) {
        crc ^= byte;
        crc = (crc >> 4) ^ detail::kCrc32Nibbles.of[crc & 15];
        crc = (crc >> 4) ^ detail::kCrc32Nibbles.of[crc & 15];
    }
    return ~crc;
}

namespace detail {
enum class CborMajor : uint8_t {
    Unsigned = 0,
    Negative = 1,
    ByteString = 2,
    TextString = 3,
    Array = 4,
    Map = 5,
    Simple = 7
};

/// Reads the head of the item at `position`: its major type and argument. False if it is cut off or indefinite.
inline bool read_cbor_head(Bytes bytes, size_t& position, CborMajor& major, uint64_t& argument) {
    if (position >= bytes.size()) return false;
    const uint8_t initial = bytes[position++];
    major = static_cast<CborMajor>(initial >> 5);
    const uint8_t info = initial & 31;
    if (info < 24) {
        argument = info;
        return true;
    }
    if (info > 27) return false;
    const size_t length = size_t{1} << (info - 24);
    if (bytes.size() - position < length) return false;
    const uint8_t* in = bytes.data() + position;
    if (bytes.size() - position >= 8) {  // one load: a loop would end at another place each time
        uint64_t value = 0;
        __builtin_memcpy(&value, in, 8);
        argument = __builtin_bswap64(value) >> (64 - 8 * length);
    } else {
        argument = 0;
        for (size_t i = 0; i < length; ++i) argument = argument << 8 | in[i];
    }
    position += length;
    return true;
}

/// An unsigned integer at `position`, in the nine bytes that StateWriter gives to every element of an array: without a
/// branch for each length. False, with nothing changed, where it has another length.
inline bool read_wide_unsigned(Bytes bytes, size_t& position, uint64_t& value) {
    if (bytes.size() - position < 9 || bytes[position] != 0x1B) return false;
    __builtin_memcpy(&value, bytes.data() + position + 1, 8);
    value = __builtin_bswap64(value);
    position += 9;
    return true;
}

/// Moves `position` behind one item of a kind that StateWriter writes. False if it is none.
inline bool skip_cbor_item(Bytes bytes, size_t& position) {
    CborMajor major{};
    uint64_t argument = 0;
    if (!read_cbor_head(bytes, position, major, argument)) return false;
    switch (major) {
        case CborMajor::Unsigned:
        case CborMajor::Negative: return true;
        case CborMajor::ByteString:
        case CborMajor::TextString:
            if (argument > bytes.size() - position) return false;
            position += argument;
            return true;
        case CborMajor::Array:
            for (uint64_t i = 0; i < argument; ++i) {
                uint64_t element = 0;
                if (read_wide_unsigned(bytes, position, element)) continue;
                if (!read_cbor_head(bytes, position, major, element) || major != CborMajor::Unsigned) return false;
            }
            return true;
        case CborMajor::Simple: return argument == 20 || argument == 21;
        case CborMajor::Map: return false;
    }
    return false;
}
}  // namespace detail

/// Writes into a buffer of fixed size; never allocates. Keys are at most 64 characters, each used once.
/// Errors of put: OutOfRange when the buffer is full; everything after that fails too.
class StateWriter {
public:
    /// `schema` is the version of the state's layout, from ModuleInfo::state_schema.
    StateWriter(MutableBytes buffer, uint32_t schema) : buffer_(buffer) {
        byte(0x83);
        head(detail::CborMajor::Unsigned, schema);
        map_at_ = size_;
        for (int i = 0; i < 3; ++i) byte(0);  // the map's head, known at finish
    }
    StateWriter(const StateWriter&) = delete;
    StateWriter& operator=(const StateWriter&) = delete;

    template <typename T>
        requires(std::is_unsigned_v<T> && !std::is_same_v<T, bool>)
    Result<void> put(Text key, T value) {
        begin(key);
        head(detail::CborMajor::Unsigned, value);
        return status();
    }
    template <typename T>
        requires(std::is_signed_v<T> && std::is_integral_v<T>)
    Result<void> put(Text key, T value) {
        begin(key);
        if (value < 0)
            head(detail::CborMajor::Negative, ~static_cast<uint64_t>(value));
        else
            head(detail::CborMajor::Unsigned, static_cast<uint64_t>(value));
        return status();
    }
    Result<void> put(Text key, bool value) {
        begin(key);
        head(detail::CborMajor::Simple, value ? 21 : 20);
        return status();
    }
    Result<void> put(Text key, Text value) {
        begin(key);
        head(detail::CborMajor::TextString, value.size());
        append(as_bytes(value));
        return status();
    }
    template <size_t N>
    Result<void> put(Text key, const char (&value)[N]) {
        return put(key, Text(value));
    }
    Result<void> put(Text key, Bytes value) {
        begin(key);
        head(detail::CborMajor::ByteString, value.size());
        append(value);
        return status();
    }
    Result<void> put(Text key, Span<const uint64_t> values) {
        begin(key);
        head(detail::CborMajor::Array, values.size());
        wide_elements(values);
        return status();
    }

    /// True while nothing was put.
    bool empty() const { return entries_ == 0; }
    /// Closes the state and returns it; nothing may be put afterwards. The kernel calls this.
    /// Errors: OutOfRange when the buffer was too small.
    Result<Bytes> finish() {
        const Bytes body = TRY(finish_unsealed());
        return seal(buffer_, body.size());
    }
    /// The same without the checksum, for which there is room behind it: where nothing comes between writing and
    /// reading.
    Result<Bytes> finish_unsealed() {
        full_ |= buffer_.size() - size_ < kSealSize;
        const Bytes body = close_body();
        if (full_) return status().error();
        return body;
    }
    static constexpr size_t kSealSize = 5;
    /// Adds the checksum to the first `size` bytes of `buffer`, which finish_unsealed gave: kSealSize more.
    static Bytes seal(MutableBytes buffer, size_t size) {
        const uint32_t crc = crc32(Bytes(buffer.data(), size));
        buffer[size] = 0x1A;
        for (size_t i = 0; i < 4; ++i) buffer[size + 1 + i] = static_cast<uint8_t>(crc >> (24 - 8 * i));
        return Bytes(buffer.data(), size + kSealSize);
    }

private:
    void byte(uint8_t value) {
        if (size_ < buffer_.size())
            buffer_[size_++] = value;
        else
            full_ = true;
    }
    void append(Bytes bytes) {
        const size_t size = bytes.size();
        if (size > buffer_.size() - size_) {
            full_ = true;
            return;
        }
        // Through locals: stores of bytes might change any member, as far as the compiler knows.
        uint8_t* out = buffer_.data() + size_;
        const uint8_t* in = bytes.data();
        size_ += size;
        size_t left = size;
        for (; left >= 8; left -= 8, out += 8, in += 8) __builtin_memcpy(out, in, 8);
        for (; left > 0; --left) *out++ = *in++;
    }
    /// The lowest `count` (1, 2, 4 or 8) bytes of `value`, the most significant one first.
    void append_big_endian(uint64_t value, size_t count) {
        const uint64_t swapped = __builtin_bswap64(value) >> (64 - 8 * count);
        uint8_t bytes[8];
        __builtin_memcpy(bytes, &swapped, 8);
        if (buffer_.size() - size_ >= 8) {  // what follows is written later
            __builtin_memcpy(buffer_.data() + size_, bytes, 8);
            size_ += count;
        } else {
            append(Bytes(bytes, count));
        }
    }
    void head(detail::CborMajor major, uint64_t argument) {
        const auto type = static_cast<uint8_t>(static_cast<uint8_t>(major) << 5);
        if (argument < 24) {
            byte(static_cast<uint8_t>(type | argument));
            return;
        }
        const int log = argument > UINT32_MAX ? 3 : argument > UINT16_MAX ? 2 : argument > UINT8_MAX ? 1 : 0;
        byte(static_cast<uint8_t>(type | (24 + log)));
        append_big_endian(argument, size_t{1} << log);
    }
    /// Every element in nine bytes, whatever its value: longer than need be, but without a branch for each.
    void wide_elements(Span<const uint64_t> values) {
        if (values.size() > (buffer_.size() - size_) / 9) {
            full_ = true;
            return;
        }
        uint8_t* out = buffer_.data() + size_;
        size_ += 9 * values.size();
        for (uint64_t value : values) {
            const uint64_t swapped = __builtin_bswap64(value);
            *out = 0x1B;
            __builtin_memcpy(out + 1, &swapped, 8);
            out += 9;
        }
    }
    Bytes close_body() {
        if (!full_) {
            buffer_[map_at_] = 0xB9;  // a map of up to 65,535 entries
            buffer_[map_at_ + 1] = static_cast<uint8_t>(entries_ >> 8);
            buffer_[map_at_ + 2] = static_cast<uint8_t>(entries_);
        }
        return Bytes(buffer_.data(), size_);
    }
    void begin(Text key) {
        if (key.size() > 64 || entries_ == UINT16_MAX) full_ = true;
        ++entries_;
        head(detail::CborMajor::TextString, key.size());
        append(as_bytes(key));
    }
    Result<void> status() const {
        if (full_) return Error(ErrorCode::OutOfRange, "the saved state does not fit its buffer");
        return {};
    }

    MutableBytes buffer_;
    size_t size_ = 0;
    size_t map_at_ = 0;
    uint32_t entries_ = 0;
    bool full_ = false;
};

/// Reads a state that was validated whole. The state outlives the reader; texts and bytes point into it.
/// Errors of the getters: NotFound (no such key), InvalidArgument (another type).
class StateReader {
public:
    /// Errors: Corrupt, with what is wrong, unless `state` is exactly what a StateWriter finished.
    static Result<StateReader> open(Bytes state) {
        using detail::CborMajor;
        if (state.size() < 10) return Error(ErrorCode::Corrupt, "the state is cut off");
        size_t position = state.size() - 5;
        CborMajor major{};
        uint64_t argument = 0;
        const Bytes body = state.subspan(0, position);
        if (!detail::read_cbor_head(state, position, major, argument) || major != CborMajor::Unsigned ||
            position != state.size() || argument != crc32(body))
            return Error(ErrorCode::Corrupt, "the state's checksum does not match");
        return open_unsealed(body);
    }
    /// The same of what StateWriter::finish_unsealed gave.
    static Result<StateReader> open_unsealed(Bytes body) {
        using detail::CborMajor;
        size_t position = 0;
        CborMajor major{};
        if (body.empty() || body[position++] != 0x83) return malformed();
        uint64_t schema = 0;
        if (!detail::read_cbor_head(body, position, major, schema) || major != CborMajor::Unsigned ||
            schema > UINT32_MAX)
            return malformed();
        uint64_t entries = 0;
        if (!detail::read_cbor_head(body, position, major, entries) || major != CborMajor::Map) return malformed();
        const size_t start = position;
        for (uint64_t i = 0; i < entries; ++i) {
            Text key;
            if (!read_key(body, position, key) || !detail::skip_cbor_item(body, position)) return malformed();
        }
        if (position != body.size()) return malformed();
        return StateReader(body.subspan(start), static_cast<uint32_t>(schema));
    }

    /// The schema version with which the state was written.
    uint32_t schema() const { return schema_; }
    bool contains(Text key) const {
        size_t position = 0;
        return find(key, position);
    }
    Result<uint64_t> get_unsigned(Text key) const { return argument_of(key, detail::CborMajor::Unsigned); }
    Result<int64_t> get_signed(Text key) const {
        size_t position = 0;
        detail::CborMajor major{};
        uint64_t argument = 0;
        if (!find(key, position)) return missing(key);
        detail::read_cbor_head(map_, position, major, argument);
        if ((major != detail::CborMajor::Unsigned && major != detail::CborMajor::Negative) || argument > INT64_MAX)
            return mistyped(key);
        return static_cast<int64_t>(major == detail::CborMajor::Negative ? ~argument : argument);
    }
    Result<bool> get_boolean(Text key) const {
        const uint64_t simple = TRY(argument_of(key, detail::CborMajor::Simple));
        return simple == 21;
    }
    Result<Text> get_text(Text key) const {
        const Bytes bytes = TRY(string_of(key, detail::CborMajor::TextString));
        return as_text(bytes);
    }
    Result<Bytes> get_bytes(Text key) const { return string_of(key, detail::CborMajor::ByteString); }
    /// Fills `out` with the array's elements and returns how many; OutOfRange if there are more.
    Result<size_t> get_array(Text key, Span<uint64_t> out) const {
        size_t position = 0;
        detail::CborMajor major{};
        uint64_t count = 0;
        if (!find(key, position)) return missing(key);
        detail::read_cbor_head(map_, position, major, count);
        if (major != detail::CborMajor::Array) return mistyped(key);
        if (count > out.size()) return ErrorCode::OutOfRange;
        for (uint64_t i = 0; i < count; ++i)
            if (!detail::read_wide_unsigned(map_, position, out[i]))
                detail::read_cbor_head(map_, position, major, out[i]);
        return static_cast<size_t>(count);
    }

private:
    StateReader(Bytes map, uint32_t schema) : map_(map), schema_(schema) {}

    static Error malformed() { return Error(ErrorCode::Corrupt, "the state is not well-formed"); }
    static Error about(ErrorCode code, Text key, Text what) {
        FixedText<Error::kCapacity> sentence("the state's key ");
        sentence.append(key.substr(0, 64));
        sentence.append(what);
        return Error(code, sentence.text());
    }
    static Error missing(Text key) { return about(ErrorCode::NotFound, key, " is missing"); }
    static Error mistyped(Text key) { return about(ErrorCode::InvalidArgument, key, " has another type"); }

    static bool read_key(Bytes bytes, size_t& position, Text& key) {
        detail::CborMajor major{};
        uint64_t size = 0;
        if (!detail::read_cbor_head(bytes, position, major, size) || major != detail::CborMajor::TextString ||
            size > bytes.size() - position)
            return false;
        key = as_text(bytes.subspan(position, size));
        position += size;
        return true;
    }
    bool find(Text wanted, size_t& position) const {
        position = 0;
        while (position < map_.size()) {
            Text key;
            read_key(map_, position, key);
            if (key == wanted) return true;
            detail::skip_cbor_item(map_, position);
        }
        return false;
    }
    Result<uint64_t> argument_of(Text key, detail::CborMajor expected) const {
        size_t position = 0;
        detail::CborMajor major{};
        uint64_t argument = 0;
        if (!find(key, position)) return missing(key);
        detail::read_cbor_head(map_, position, major, argument);
        if (major != expected) return mistyped(key);
        return argument;
    }
    Result<Bytes> string_of(Text key, detail::CborMajor expected) const {
        size_t position = 0;
        detail::CborMajor major{};
        uint64_t size = 0;
        if (!find(key, position)) return missing(key);
        detail::read_cbor_head(map_, position, major, size);
        if (major != expected) return mistyped(key);
        return map_.subspan(position, size);
    }

    Bytes map_;
    uint32_t schema_;
};

}  // namespace helix
