// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Handle<Interface>: how a module calls another one, whoever fills the slot at the moment.
#pragma once

#include "helix/abi.hpp"
#include "helix/result.hpp"

namespace helix {

namespace detail {
template <typename R>
struct CallResult {
    using Type = Result<R>;
};
template <typename T>
struct CallResult<Result<T>> {
    using Type = Result<T>;
};
}  // namespace detail

/// Leads to whatever fills a slot; stays valid across every reload and swap. Movable; released with its owner,
/// where preemption is on: elsewhere it counts as held until the module is gone.
template <typename Interface>
class Handle {
public:
    Handle() = default;
    Handle(SlotHead* slot, const Services* services, InstanceToken* self)
        : slot_(slot), services_(services), self_(self) {}
    Handle(Handle&& other) : slot_(other.slot_), services_(other.services_), self_(other.self_) {
        other.slot_ = nullptr;
    }
    Handle& operator=(Handle&& other) {
        if (this != &other) {
            release();
            slot_ = other.slot_;
            services_ = other.services_;
            self_ = other.self_;
            other.slot_ = nullptr;
        }
        return *this;
    }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle() { release(); }

    bool bound() const { return slot_ != nullptr; }
    /// How many implementations have filled the slot so far.
    uint32_t generation() const { return __atomic_load_n(&slot_->generation, __ATOMIC_ACQUIRE); }

    /// Calls `Method` of the implementation that fills the slot: `handle.call<&BlockDevice::read>(lba, buffer)`.
    /// Gives the method's own result, or ModuleFailed (it faulted or overran), ModuleAbsent, or, for blocking
    /// methods, Cancelled from waiting at a closed slot. A blocking method that is Idempotent is called again if
    /// another instance takes over from the one that failed. Bounded methods may be called in any thread context,
    /// blocking ones only with preemption on.
    template <auto Method, typename... Arguments>
    HELIX_CALLERS_LINE inline __attribute__((always_inline)) auto call(Arguments&&... arguments) const ->
        typename detail::CallResult<GateReturn<Method>>::Type {
        static_assert(std::is_base_of_v<typename MethodOf<Method>::Owner, Interface>);
        if constexpr (has(MethodOf<Method>::kTraits, MethodTraits::Bounded))
            return call_bounded<Method>(arguments...);
        else
            return call_blocking<Method>(arguments...);
    }

private:
    using Failure = GateFailure;
    template <auto Method>
    using Crossing = detail::Signature<decltype(Method)>;

    template <auto Method, typename... Arguments>
    HELIX_CALLERS_LINE inline __attribute__((always_inline)) auto call_bounded(Arguments&... arguments) const ->
        typename detail::CallResult<GateReturn<Method>>::Type {
        GateResult<GateReturn<Method>> result;
        const Failure failure =
            Crossing<Method>::call_bounded(slot_, detail::vtable_offset(Method), result.storage(), arguments...);
        if (__builtin_expect(failure != Failure::None, 0)) {
            Error error(failure == Failure::Absent ? ErrorCode::ModuleAbsent : ErrorCode::ModuleFailed);
            if (failure != Failure::Absent) (void)again<Method>(failure, nullptr, error);
            return error;
        }
        return take(result);
    }

    template <auto Method, typename... Arguments>
    HELIX_CALLERS_LINE inline __attribute__((always_inline)) auto call_blocking(Arguments&... arguments) const ->
        typename detail::CallResult<GateReturn<Method>>::Type {
        using R = GateReturn<Method>;
        SlotHead* const slot = slot_;
        for (;;) {
            enter(slot);
            [[maybe_unused]] const uint32_t before = kRepeatable<Method> ? generation() : 0;
            const SlotTarget* target = __atomic_load_n(&slot->target, __ATOMIC_ACQUIRE);
            if (__builtin_expect(is_closed(slot), 0)) {
                leave(slot);
                auto opened = services_->slot_wait(self_, slot);
                if (!opened.ok()) return opened.error();
                continue;
            }
            if (__builtin_expect(target == nullptr, 0)) {
                leave(slot);
                return Error(ErrorCode::ModuleAbsent);
            }
            GateResult<R> result;
            const Failure failure =
                Crossing<Method>::call_blocking(target, detail::vtable_offset(Method), result.storage(), arguments...);
            if (__builtin_expect(failure != Failure::None, 0)) {
                leave(slot);
                Error error(ErrorCode::ModuleFailed);
                if (again<Method>(failure, kRepeatable<Method> ? &before : nullptr, error)) continue;
                return error;
            }
            leave(slot);
            if constexpr (kReturnsResult<R>) {
                if (__builtin_expect(!result.value.ok() && result.value.error().code() == ErrorCode::Restart, 0))
                    continue;
            }
            return take(result);
        }
    }

    template <typename R>
    static constexpr bool kReturnsResult = std::is_same_v<typename detail::CallResult<R>::Type, R>;

    template <typename R>
    static inline __attribute__((always_inline)) auto take(GateResult<R>& result) ->
        typename detail::CallResult<R>::Type {
        if constexpr (std::is_void_v<R>) {
            return {};
        } else {
            typename detail::CallResult<R>::Type taken(std::move(result.value));
            result.value.~R();
            return taken;
        }
    }

    // One instruction on this CPU's own counter needs no lock prefix and cannot be torn by preemption. Whoever closes
    // the slot waits for a grace period before it looks at the counters, which orders them after `closed`.
    static void enter(SlotHead* slot) { asm volatile("incq %%gs:(%0)" ::"r"(slot->counters) : "memory", "cc"); }
    HELIX_CALLERS_LINE void leave(SlotHead* slot) const {
        asm volatile("incq %%gs:8(%0)" ::"r"(slot->counters) : "memory", "cc");
        if (__builtin_expect(is_closed(slot), 0)) services_->slot_left(self_, slot);
    }
    static bool is_closed(const SlotHead* slot) { return __atomic_load_n(&slot->closed, __ATOMIC_ACQUIRE) != 0; }

    template <auto Method>
    static constexpr bool kRepeatable = has(MethodOf<Method>::kTraits, MethodTraits::Idempotent);

    /// Why the call failed, in `error`, and whether it is to be made again.
    template <auto Method>
    __attribute__((noinline, cold)) bool again(Failure failure, const uint32_t* generation, Error& error) const {
        return services_->call_failed(self_, slot_, MethodOf<Method>::kName, failure, generation, &error);
    }

    void release() {
        if (slot_ != nullptr) services_->unbind(self_, slot_);
        slot_ = nullptr;
    }

    SlotHead* slot_ = nullptr;
    const Services* services_ = nullptr;
    InstanceToken* self_ = nullptr;
};

}  // namespace helix
