// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The module contract, and HELIX_MODULE, which turns a class into a loadable module. Include this one.
#pragma once

#include "helix/abi.hpp"
#include "helix/context.hpp"
#include "helix/event.hpp"
#include "helix/request.hpp"
#include "helix/state.hpp"

namespace helix {

/// Why restore_state is called.
enum class Reason : uint32_t { Reload = 0, Rollback = 1, Crash = 2 };

/// What every module is. The kernel never overlaps these calls on one instance. Each runs in a kernel thread with
/// preemption on and may block. A call that faults or overruns its budget fails the instance. A module with a
/// serialised interface is called through that meanwhile, on all CPUs: what its save_state reads may change at any
/// moment. Its restore_state comes before the first such call.
class Module {
public:
    /// Reads configuration, binds handles, allocates. Acquires nothing exclusive: another instance may be serving.
    /// `context` stays valid until the instance is destroyed. Dependencies are running.
    virtual Result<void> init(const Context& context) = 0;
    /// Claims and publishes. On an error the module undoes what init and start did.
    virtual Result<void> start() = 0;
    /// Gives back what start claimed. Called iff start succeeded. The only call that follows is that of the
    /// destructor, unless the instance has failed; threads of the module that still run are ended first.
    virtual Result<void> stop() = 0;

    /// An event to which the module subscribed.
    virtual EventResponse handle_event(const Event&) { return EventResponse::ignored(); }
    /// Another module or the shell asks. Errors: NotImplemented for an unknown type.
    virtual Result<Response> handle_request(const Request&) { return ErrorCode::NotImplemented; }
    /// Quick; false makes the supervisor act, and a reload fail.
    virtual bool is_healthy() const { return true; }
    /// Writes what the next instance needs. Nothing written means no state.
    virtual Result<void> save_state(StateWriter&) { return {}; }
    /// Takes over what an instance of this or an older schema version wrote. After init, before
    /// the first call; a scheduler's once more whenever it is to rule again.
    virtual Result<void> restore_state(StateReader&, Reason) { return {}; }

protected:
    ~Module() = default;
};

/// Base of a module that implements interfaces: `class MyScheduler final : public Implements<Scheduler>`.
template <typename... Interfaces>
class Implements : public Module, public Interfaces... {
public:
    static constexpr size_t kInterfaceCount = sizeof...(Interfaces);

    template <typename M>
    static constexpr void describe(InterfaceEntry* out) {
        ((*out++ = InterfaceEntry{
              FixedText<46>(InterfaceTraits<Interfaces>::kId.name), InterfaceTraits<Interfaces>::kId.major,
              InterfaceTraits<Interfaces>::kId.minor, detail::count_pure(InterfaceTraits<Interfaces>::kMethods),
              [](Module* module) -> void* { return static_cast<Interfaces*>(static_cast<M*>(module)); },
              [](MethodShape* shapes) { detail::describe_pure(shapes, InterfaceTraits<Interfaces>::kMethods); }}),
         ...);
    }
    static constexpr bool all_provided(const ModuleInfo& info) {
        return (info.provides().contains(InterfaceTraits<Interfaces>::kId.name) && ...);
    }

protected:
    ~Implements() = default;
};

namespace runtime {
/// Set before the constructor of the module runs; used by operator new and friends of the module runtime.
void attach(const Services* services, InstanceToken* instance);
}  // namespace runtime

namespace detail {

template <typename M>
consteval size_t option_count() {
    if constexpr (requires { M::kOptions; })
        return sizeof(M::kOptions) / sizeof(Option);
    else
        return 0;
}
template <typename M>
consteval size_t interface_count() {
    if constexpr (requires { M::kInterfaceCount; })
        return M::kInterfaceCount;
    else
        return 0;
}

template <typename M>
struct ModuleImage {
    static constexpr size_t kOptions = option_count<M>();
    static constexpr size_t kInterfaces = interface_count<M>();

    ModuleDescriptor head;
    Option options[kOptions + 1];
    InterfaceEntry interfaces[kInterfaces + 1];
};

template <typename M>
alignas(M) inline unsigned char module_storage[sizeof(M)];

template <typename M>
consteval ModuleImage<M> make_module_image() {
    using Image = ModuleImage<M>;
    static_assert(M::kInfo.name().size() > 0, "a module needs a name");
    Image image{};
    for (size_t i = 0; i < sizeof(kModuleMagic); ++i) image.head.magic[i] = kModuleMagic[i];
    image.head.abi_version = kAbiVersion;
    image.head.abi_fingerprint = kAbiFingerprint;
    image.head.size = sizeof(Image);
    image.head.option_count = Image::kOptions;
    image.head.option_offset = __builtin_offsetof(Image, options);
    image.head.option_size = sizeof(Option);
    image.head.interface_count = Image::kInterfaces;
    image.head.interface_offset = __builtin_offsetof(Image, interfaces);
    image.head.interface_size = sizeof(InterfaceEntry);
    image.head.info = M::kInfo;
    if constexpr (Image::kOptions > 0)
        for (size_t i = 0; i < Image::kOptions; ++i) image.options[i] = M::kOptions[i];
    if constexpr (Image::kInterfaces > 0) {
        static_assert(M::all_provided(M::kInfo), "provides() must name every interface that the module implements");
        M::template describe<M>(image.interfaces);
    }
    image.head.create = [](const Services* services, InstanceToken* instance) -> Module* {
        runtime::attach(services, instance);
        return new (static_cast<void*>(module_storage<M>)) M();
    };
    image.head.destroy = [](Module* module) { static_cast<M*>(module)->~M(); };
    return image;
}

}  // namespace detail

}  // namespace helix

/// At the end of a module's one file. The class has `static constexpr helix::ModuleInfo kInfo` and, when it has
/// options, `static constexpr helix::Option kOptions[]`.
#define HELIX_MODULE(Class)                                                                                     \
    extern "C" __attribute__((visibility("default"), used)) constinit const ::helix::detail::ModuleImage<Class> \
        helix_module = ::helix::detail::make_module_image<Class>();
