// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Requests: one module asks another by name; bytes in, bytes out.
#pragma once

#include "helix/result.hpp"

namespace helix {

namespace runtime {
/// Kernel buffers, charged to the calling module. null when memory is short. May block.
uint8_t* buffer_allocate(size_t size);
void buffer_free(uint8_t* data);
}  // namespace runtime

/// Bytes in a kernel buffer, owned. Passing one on passes the charge on; nothing is copied.
class Buffer {
public:
    Buffer() = default;
    Buffer(Buffer&& other) : data_(other.data_), size_(other.size_) { other.release(); }
    Buffer& operator=(Buffer&& other) {
        if (this != &other) {
            reset();
            data_ = other.data_;
            size_ = other.size_;
            other.release();
        }
        return *this;
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { reset(); }

    /// `size` bytes of unspecified content. Errors: OutOfMemory.
    static Result<Buffer> create(size_t size) {
        Buffer buffer;
        if (size != 0) {
            buffer.data_ = runtime::buffer_allocate(size);
            if (buffer.data_ == nullptr) return ErrorCode::OutOfMemory;
            buffer.size_ = size;
        }
        return Result<Buffer>(std::move(buffer));
    }
    /// A copy of `bytes`. Errors: OutOfMemory.
    static Result<Buffer> copy_of(Bytes bytes) {
        auto buffer = create(bytes.size());
        if (buffer.ok() && bytes.size() != 0) __builtin_memcpy(buffer.value().data_, bytes.data(), bytes.size());
        return buffer;
    }
    /// Takes over a block that buffer_allocate returned.
    static Buffer adopt(uint8_t* data, size_t size) {
        Buffer buffer;
        buffer.data_ = data;
        buffer.size_ = size;
        return buffer;
    }

    Bytes bytes() const { return {data_, size_}; }
    MutableBytes mutable_bytes() { return {data_, size_}; }
    Text text() const { return as_text(bytes()); }
    size_t size() const { return size_; }
    /// Gives the block away; the caller frees it.
    uint8_t* release() {
        uint8_t* data = data_;
        data_ = nullptr;
        size_ = 0;
        return data;
    }

private:
    void reset() {
        if (data_ != nullptr) runtime::buffer_free(data_);
        data_ = nullptr;
        size_ = 0;
    }
    uint8_t* data_ = nullptr;
    size_t size_ = 0;
};

/// The bytes of `value`, for a payload that both sides know as a T. They live as long as `value`.
template <typename T>
Bytes bytes_of(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    return {reinterpret_cast<const uint8_t*>(&value), sizeof(T)};
}
/// The T that was sent as bytes_of. Errors: InvalidArgument, where these are not as many bytes.
template <typename T>
Result<T> value_of(Bytes bytes) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (bytes.size() != sizeof(T)) return Error(ErrorCode::InvalidArgument, "a payload of another size was expected");
    T value;
    __builtin_memcpy(&value, bytes.data(), sizeof(T));
    return value;
}

/// Who asks, for what, with which payload. Texts and payload die with the call.
struct Request {
    InstanceId source = InstanceId::None;  ///< the kernel fills it in; None when it asks itself, or its shell does
    Text request_type;
    Bytes payload;

    /// For who asks: `context.request("counter", {"add", as_bytes("2")})`.
    constexpr Request(Text type, Bytes with = {}) : request_type(type), payload(with) {}
    constexpr Request(InstanceId from, Text type, Bytes with) : source(from), request_type(type), payload(with) {}
};

class Response {
public:
    static Response ok_empty() { return Response(); }
    static Response ok(Buffer payload) {
        Response response;
        response.payload_ = static_cast<Buffer&&>(payload);
        return response;
    }
    /// A response with a copy of `payload`; an error response when memory is short.
    static Response ok(Bytes payload) {
        auto buffer = Buffer::copy_of(payload);
        if (!buffer.ok()) return err(buffer.error().sentence());
        return ok(buffer.take());
    }
    static Response ok(Text payload) { return ok(as_bytes(payload)); }
    /// A response with a value that value_of reads.
    template <typename T>
    static Response ok_value(const T& value) {
        return ok(bytes_of(value));
    }
    static Response err(Text sentence) {
        Response response;
        response.is_error_ = true;
        response.sentence_.assign(sentence);
        return response;
    }

    bool is_ok() const { return !is_error_; }
    Text sentence() const { return sentence_.text().substr(0, Error::kCapacity); }
    const Buffer& payload() const { return payload_; }
    Buffer& payload() { return payload_; }

private:
    Response() = default;
    bool is_error_ = false;
    FixedText<Error::kCapacity> sentence_;
    Buffer payload_;
};

}  // namespace helix
