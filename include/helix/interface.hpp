// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// How an interface describes itself: a name, a version and its methods with their traits.
//
// An interface is a small class of pure virtual methods. It has no virtual destructor, overloads, floats or
// templates; arguments are values or spans of at most 16 bytes each, five machine words in all beside `this`.
// New minor versions append methods, with a body where older ones will do; anything else is a new major version.
#pragma once

#include "helix/types.hpp"

namespace helix {

enum class MethodTraits : uint32_t {
    Bounded = 1 << 0,     ///< runs with preemption off and may not block
    Blocking = 1 << 1,    ///< may sleep
    Pure = 1 << 2,        ///< changes nothing that a caller can see
    Idempotent = 1 << 3,  ///< twice is as good as once
    Serialised = 1 << 4,  ///< runs under the kernel's per-CPU lock
};
constexpr MethodTraits operator|(MethodTraits a, MethodTraits b) {
    return static_cast<MethodTraits>(static_cast<uint32_t>(a) | static_cast<uint32_t>(b));
}
constexpr bool has(MethodTraits set, MethodTraits trait) {
    return (static_cast<uint32_t>(set) & static_cast<uint32_t>(trait)) != 0;
}

/// Name ("helix.scheduler") and version of an interface.
struct InterfaceId {
    Text name;
    uint16_t major;
    uint16_t minor;
};

template <auto Method>
struct MethodEntry {
    static constexpr auto kMethod = Method;
    Text name;
    MethodTraits traits;
};

/// Specialise this beside each interface:
///   template <> struct InterfaceTraits<BlockDevice> {
///       static constexpr InterfaceId kId{"helix.block_device", 1, 0};
///       static constexpr auto kMethods = methods(MethodEntry<&BlockDevice::read>{"read", MethodTraits::Blocking}, …);
///   };
template <typename Interface>
struct InterfaceTraits;

template <auto... Methods>
struct MethodList {
    Text names[sizeof...(Methods)];
    MethodTraits traits[sizeof...(Methods)];

    static constexpr size_t kCount = sizeof...(Methods);
    template <auto Method>
    static constexpr size_t index_of() {
        size_t index = 0;
        size_t found = kCount;
        ((same<Methods, Method>() ? void(found = index) : void(), ++index), ...);
        return found;
    }

private:
    template <auto A>
    struct Constant;
    template <auto A, auto B>
    static constexpr bool same() {
        return std::is_same_v<Constant<A>, Constant<B>>;  // == on pointers to virtual methods is no constant expression
    }
};

template <auto... Methods>
consteval MethodList<Methods...> methods(MethodEntry<Methods>... entries) {
    return {{entries.name...}, {entries.traits...}};
}

/// The traits of `Method`, from the list of its interface.
template <auto Method>
struct MethodOf;

template <typename Interface, typename R, typename... A, R (Interface::*Method)(A...)>
struct MethodOf<Method> {
    using Owner = Interface;
    using Return = R;
    static constexpr size_t kIndex = InterfaceTraits<Interface>::kMethods.template index_of<Method>();
    static_assert(kIndex < InterfaceTraits<Interface>::kMethods.kCount, "the method is not in its interface's list");
    static constexpr MethodTraits kTraits = InterfaceTraits<Interface>::kMethods.traits[kIndex];
    static constexpr Text kName = InterfaceTraits<Interface>::kMethods.names[kIndex];
};
template <typename Interface, typename R, typename... A, R (Interface::*Method)(A...) const>
struct MethodOf<Method> {
    using Owner = Interface;
    using Return = R;
    static constexpr size_t kIndex = InterfaceTraits<Interface>::kMethods.template index_of<Method>();
    static_assert(kIndex < InterfaceTraits<Interface>::kMethods.kCount, "the method is not in its interface's list");
    static constexpr MethodTraits kTraits = InterfaceTraits<Interface>::kMethods.traits[kIndex];
    static constexpr Text kName = InterfaceTraits<Interface>::kMethods.names[kIndex];
};

}  // namespace helix
