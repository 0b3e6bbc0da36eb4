// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// MethodShape: how a pure method's arguments and answer travel, so that the kernel can put the same question again.
//
// Derived from an interface's list of methods; the shadow trials of the kernel live on it. Module code does not use it.
#pragma once

#include "helix/gate.hpp"
#include "helix/interface.hpp"
#include "helix/result.hpp"

namespace helix {

enum class ArgumentKind : uint8_t {
    None = 0,
    Value = 1,   ///< in `size` machine words
    Input = 2,   ///< a span of elements of `size` bytes that the method reads
    Output = 3,  ///< the same, which it fills
};
struct ArgumentShape {
    ArgumentKind kind = ArgumentKind::None;
    uint8_t size = 0;
};

/// Layout is ABI.
struct MethodShape {
    static constexpr size_t kMaximumMethods = 64;  ///< of an interface
    static constexpr size_t kMaximumArguments = 5;
    static constexpr size_t kMaximumValue = 128;

    uint64_t offset = 0;  ///< in the vtable, in bytes
    Text name;            ///< in the module
    MethodTraits traits{};
    ArgumentShape arguments[kMaximumArguments];
    bool hidden = false;     ///< the answer goes to memory of the caller, `answer_size` bytes
    bool is_result = false;  ///< it is a Result, whose value or Error begins at `value_at`
    bool is_span = false;    ///< its value is a run of bytes that belongs to somebody else
    uint8_t value_at = 0;
    uint16_t value_size = 0;  ///< 0: there is no value
    uint16_t answer_size = 0;
};

namespace detail {

template <typename T>
struct SpanOf {
    static constexpr size_t kElement = 0;  ///< it is none
    static constexpr bool kIsFilled = false;
};
template <typename T>
struct SpanOf<Span<T>> {
    static constexpr size_t kElement = sizeof(T);
    static constexpr bool kIsFilled = !std::is_const_v<T>;
};
template <>
struct SpanOf<Text> : SpanOf<Bytes> {};

template <typename R>
struct ValueOf {
    using Type = R;
};
template <typename T>
struct ValueOf<Result<T>> {
    using Type = T;
};

/// Whether the kernel can ask with a copy of an argument of that type.
template <typename T>
constexpr bool is_copied() {
    if constexpr (std::is_reference_v<T> || std::is_pointer_v<T>)
        return false;
    else
        return kInRegisters<T> && SpanOf<T>::kElement <= UINT8_MAX;
}
/// Whether the kernel can tell two such values apart by their bytes.
template <typename T>
constexpr bool is_comparable() {
    if constexpr (std::is_void_v<T> || std::is_same_v<T, Text> || std::is_same_v<T, Bytes>)
        return true;
    else
        return std::has_unique_object_representations_v<T> && std::is_trivially_copyable_v<T> &&
               !std::is_pointer_v<T> && SpanOf<T>::kElement == 0 && sizeof(T) <= MethodShape::kMaximumValue;
}

template <typename Method>
struct ShapeOf;
template <typename C, typename R, typename... A>
struct ShapeOf<R (C::*)(A...)> {
    using Value = typename ValueOf<R>::Type;
    static constexpr bool kAnswers = !std::is_void_v<R> || (SpanOf<A>::kIsFilled || ...);
    static constexpr bool kCanAskAgain = kAnswers && (is_copied<A>() && ...) && is_comparable<Value>();

    static constexpr MethodShape make() {
        MethodShape shape;
        size_t count = 0;
        (void)count;
        ((shape.arguments[count++] = {SpanOf<A>::kElement == 0 ? ArgumentKind::Value
                                      : SpanOf<A>::kIsFilled   ? ArgumentKind::Output
                                                               : ArgumentKind::Input,
                                      static_cast<uint8_t>(SpanOf<A>::kElement == 0 ? kWords<A>
                                                                                    : SpanOf<A>::kElement)}),
         ...);
        shape.is_result = !std::is_same_v<R, Value>;
        if constexpr (!std::is_void_v<R>) {
            shape.hidden = !kInRegisters<R>;
            shape.answer_size = sizeof(R);
        }
        if (shape.is_result) shape.value_at = alignof(Error);
        if constexpr (!std::is_void_v<Value>) {
            shape.is_span = SpanOf<Value>::kElement != 0;
            shape.value_size = sizeof(Value);
            if (shape.is_result && alignof(Value) > alignof(Error)) shape.value_at = alignof(Value);
        }
        return shape;
    }
};
template <typename C, typename R, typename... A>
struct ShapeOf<R (C::*)(A...) const> : ShapeOf<R (C::*)(A...)> {};

/// Whether a trial can put the method's questions to two implementations: those of serialised ones come from the
/// kernel, which asks nobody else.
template <auto Method>
constexpr bool can_ask_again(MethodTraits traits) {
    return has(traits, MethodTraits::Pure) && !has(traits, MethodTraits::Serialised) &&
           ShapeOf<decltype(Method)>::kCanAskAgain;
}
template <auto Method>
inline void describe_if_pure(MethodShape*& out, Text name, MethodTraits traits) {
    if constexpr (ShapeOf<decltype(Method)>::kCanAskAgain) {
        if (!can_ask_again<Method>(traits)) return;
        *out = ShapeOf<decltype(Method)>::make();
        out->offset = vtable_offset(Method);
        out->name = name;
        out->traits = traits;
        ++out;
    }
}

template <auto... Methods>
consteval uint32_t count_pure(const MethodList<Methods...>& list) {
    static_assert(sizeof...(Methods) <= MethodShape::kMaximumMethods, "an interface has too many methods");
    size_t i = 0;
    return (static_cast<uint32_t>(can_ask_again<Methods>(list.traits[i++])) + ... + 0);
}
template <auto... Methods>
inline void describe_pure(MethodShape* out, const MethodList<Methods...>& list) {
    size_t i = 0;
    ((describe_if_pure<Methods>(out, list.names[i], list.traits[i]), ++i), ...);
}

}  // namespace detail
}  // namespace helix
