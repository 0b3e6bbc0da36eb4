// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Result<T>: a value or an Error; the one way in which a call reports failure.
#pragma once

#include "helix/types.hpp"

#include <new>
#include <utility>

namespace helix {

/// What went wrong, for programs. The numbers are part of the ABI: new ones are appended.
enum class ErrorCode : uint32_t {
    // The caller asked wrongly, or for what is not there.
    InvalidArgument = 1,
    NotFound = 2,
    AlreadyExists = 3,
    OutOfRange = 4,
    NotSupported = 5,    ///< not built here; never reported as success
    NotImplemented = 6,  ///< this module has no such request
    PermissionDenied = 7,
    InvalidState = 8,
    // The system could not do it now.
    OutOfMemory = 20,
    Busy = 21,
    TimedOut = 22,
    Cancelled = 23,
    Corrupt = 24,
    Incompatible = 25,
    Restart = 26,  ///< the method had no effect; the slot issues the call again
    // The module on the other side of a call is to blame.
    ModuleFailed = 40,  ///< it faulted, aborted or ran over its budget inside the call
    ModuleAbsent = 41,  ///< nothing fills the slot
};

/// The name of `code` in words: "not found".
constexpr Text describe(ErrorCode code) {
    switch (code) {
        case ErrorCode::InvalidArgument: return "invalid argument";
        case ErrorCode::NotFound: return "not found";
        case ErrorCode::AlreadyExists: return "already exists";
        case ErrorCode::OutOfRange: return "out of range";
        case ErrorCode::NotSupported: return "not supported";
        case ErrorCode::NotImplemented: return "not implemented";
        case ErrorCode::PermissionDenied: return "permission denied";
        case ErrorCode::InvalidState: return "invalid state";
        case ErrorCode::OutOfMemory: return "out of memory";
        case ErrorCode::Busy: return "busy";
        case ErrorCode::TimedOut: return "timed out";
        case ErrorCode::Cancelled: return "cancelled";
        case ErrorCode::Corrupt: return "corrupt";
        case ErrorCode::Incompatible: return "incompatible";
        case ErrorCode::Restart: return "restart";
        case ErrorCode::ModuleFailed: return "module failed";
        case ErrorCode::ModuleAbsent: return "module absent";
    }
    return "unknown error";
}

/// A code for programs and a sentence for the person. The sentence is stored inline, so that an
/// Error never points into a module that may be gone.
class Error {
public:
    static constexpr size_t kCapacity = 186;

    constexpr Error(ErrorCode code) : code_(code), sentence_(describe(code)) {}
    [[gnu::noinline]] constexpr Error(ErrorCode code, Text sentence) : code_(code) { sentence_.append(sentence); }

    constexpr ErrorCode code() const { return code_; }
    /// Whatever a module that returned this did to it.
    constexpr Text sentence() const { return sentence_.text().substr(0, kCapacity); }

private:
    ErrorCode code_;
    FixedText<kCapacity> sentence_;
};

/// std::expected<T, Error> or std::expected<T, ErrorCode>. Told by its members, so that who does not use it need not
/// include it.
template <typename Expected, typename T>
concept ExpectedOf = std::is_same_v<typename Expected::value_type, T> &&
                     (std::is_same_v<typename Expected::error_type, Error> ||
                      std::is_same_v<typename Expected::error_type, ErrorCode>) &&
                     requires { typename Expected::unexpected_type; };

namespace detail {
/// The error of a result as `Expected` holds it.
template <typename Expected>
constexpr typename Expected::unexpected_type unexpected(const Error& error) {
    if constexpr (std::is_same_v<typename Expected::error_type, ErrorCode>)
        return typename Expected::unexpected_type(error.code());
    else
        return typename Expected::unexpected_type(error);
}
}  // namespace detail

/// Converts from and to std::expected<T, Error> and, without the sentence, std::expected<T, ErrorCode>.
template <typename T>
class [[nodiscard]] Result {
public:
    using Value = T;

    constexpr Result(T value) : ok_(true), value_(std::move(value)) {}
    constexpr Result(Error error) : ok_(false), error_(error) {}
    constexpr Result(ErrorCode code) : Result(Error(code)) {}
    template <ExpectedOf<T> Expected>
    constexpr Result(Expected expected)
        : Result(expected.has_value() ? Result(std::move(*expected)) : Result(expected.error())) {}

    constexpr Result(const Result&)
        requires std::is_trivially_copyable_v<T>
    = default;
    constexpr Result(Result&&)
        requires std::is_trivially_copyable_v<T>
    = default;
    constexpr Result(Result&& other)
        requires(!std::is_trivially_copyable_v<T>)
        : ok_(other.ok_) {
        if (ok_)
            new (&value_) T(std::move(other.value_));
        else
            new (&error_) Error(other.error_);
    }
    Result& operator=(const Result&) = delete;
    constexpr ~Result()
        requires std::is_trivially_destructible_v<T>
    = default;
    constexpr ~Result()
        requires(!std::is_trivially_destructible_v<T>)
    {
        if (ok_) value_.~T();
    }

    constexpr bool ok() const { return ok_; }
    /// Not for Result<bool>, where it would be taken for the value.
    constexpr explicit operator bool() const
        requires(!std::is_same_v<T, bool>)
    {
        return ok_;
    }
    /// The value is moved away: from what is no temporary by std::move.
    template <ExpectedOf<T> Expected>
    constexpr operator Expected() && {
        if (ok_) return Expected(std::move(value_));
        return Expected(detail::unexpected<Expected>(error_));
    }
    /// The value; only when ok().
    constexpr T& value() & { return value_; }
    constexpr const T& value() const& { return value_; }
    constexpr T&& take() { return std::move(value_); }
    constexpr T value_or(T otherwise) && { return ok_ ? std::move(value_) : std::move(otherwise); }
    /// The error; only when !ok().
    constexpr const Error& error() const { return error_; }

private:
    bool ok_;
    union {
        T value_;
        Error error_;
    };
};

template <>
class [[nodiscard]] Result<void> {
public:
    using Value = void;

    constexpr Result() : ok_(true), nothing_() {}
    constexpr Result(Error error) : ok_(false), error_(error) {}
    constexpr Result(ErrorCode code) : Result(Error(code)) {}
    template <ExpectedOf<void> Expected>
    constexpr Result(const Expected& expected) : Result(expected.has_value() ? Result() : Result(expected.error())) {}
    Result(const Result&) = default;
    Result& operator=(const Result&) = default;

    constexpr bool ok() const { return ok_; }
    constexpr explicit operator bool() const { return ok_; }
    template <ExpectedOf<void> Expected>
    constexpr operator Expected() const {
        if (ok_) return Expected();
        return Expected(detail::unexpected<Expected>(error_));
    }
    constexpr void take() const {}
    constexpr const Error& error() const { return error_; }

private:
    bool ok_;
    union {
        char nothing_;
        Error error_;
    };
};

}  // namespace helix

/// The value of `expression` (a Result), or return from this function with its error.
#define TRY(expression)                                                  \
    __extension__({                                                      \
        auto try_result = (expression);                                  \
        if (!try_result.ok()) return ::helix::Error(try_result.error()); \
        try_result.take();                                               \
    })
