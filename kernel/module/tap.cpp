// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Tap: the way of a call past it, and the copies.

#include "kernel/module/tap.hpp"

#include "helix/format.hpp"
#include "kernel/kernel.hpp"
#include "kernel/memory/make.hpp"
#include "kernel/module/service_scope.hpp"

namespace helix::kernel {

/// On the stack of a call that passes by. Layout: the code below.
struct Tap::Frame {
    uint64_t words[6];     // 0: rdi, rsi, rdx, rcx, r8, r9; afterwards rax and rdx
    uint64_t offset;       // 48: r10, where in the vtable the method is: every call through a slot has it there
    void* implementation;  // 56: who is called
    Tap* tap;
    TrialCall* call;  ///< null if it is not copied
    uint32_t ticket;
    uint32_t self;  ///< which of `words`
};

namespace {

/// Answers a call that nobody serves. The handle asks for the reason; see call_failed.
[[noreturn]] void refuse(Gate& gate) {
    end_call(gate, GateFailure::Killed);
}

/// Whether there is room for what the kernel does on this stack, which may be a module's.
bool has_room() {
    constexpr uint64_t kWanted = 3 * 1024;
    const MutableBytes stack = current_thread().stack;
    const auto here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
    return stack.empty() || here - reinterpret_cast<uint64_t>(stack.data()) >= kWanted;
}

extern "C" __attribute__((used)) void helix_tap_enter(Tap::Frame& frame) {
    Gate& gate = *current_gate();  // that of the call
    Instance& instance = instance_of(gate.instance);
    if (instance.on_trial) refuse(gate);
    frame.call = nullptr;
    frame.tap = instance.tap;
    // Where the answer goes to memory, `this` is the second argument.
    Tap::Way* way = nullptr;
    for (frame.self = 0; frame.self < 2; ++frame.self) {
        for (Tap::Way& candidate : *frame.tap)
            if (frame.words[frame.self] == reinterpret_cast<uint64_t>(&candidate.object)) way = &candidate;
        if (way != nullptr) break;
    }
    if (way == nullptr) refuse(gate);  // somebody calls with an object that is not the slot's
    frame.implementation = way->object.implementation;
    frame.words[frame.self] = reinterpret_cast<uint64_t>(frame.implementation);
    if (!has_room()) return;
    {
        const ServiceScope scope(__builtin_return_address(0));
        frame.tap->enter(frame, *way);
    }
    return_to_module();
}

extern "C" __attribute__((used)) void helix_tap_leave(Tap::Frame& frame) {
    if (frame.call != nullptr) {
        const ServiceScope scope(__builtin_return_address(0));
        frame.tap->answered(frame);
    }
    return_to_module();
}

/// Every method of a tapped object. The call to the implementation is behind the same gate as the call here: what is
/// wrong with it is its own. Nothing may be counted at its begin, which would use registers of the call.
[[gnu::naked, gnu::no_profile_instrument_function]] void tapped_method() {
    asm("pushq %rbp\n\t"
        "movq %rsp, %rbp\n\t"
        "subq $96, %rsp\n\t"
        "movq %rdi, 0(%rsp)\n\t"
        "movq %rsi, 8(%rsp)\n\t"
        "movq %rdx, 16(%rsp)\n\t"
        "movq %rcx, 24(%rsp)\n\t"
        "movq %r8, 32(%rsp)\n\t"
        "movq %r9, 40(%rsp)\n\t"
        "movq %r10, 48(%rsp)\n\t"
        "cld\n\t"
        "movq %rsp, %rdi\n\t"
        "callq helix_tap_enter\n\t"
        "movq 0(%rsp), %rdi\n\t"
        "movq 8(%rsp), %rsi\n\t"
        "movq 16(%rsp), %rdx\n\t"
        "movq 24(%rsp), %rcx\n\t"
        "movq 32(%rsp), %r8\n\t"
        "movq 40(%rsp), %r9\n\t"
        "movq 48(%rsp), %r10\n\t"
        "movq 56(%rsp), %rax\n\t"
        "movq (%rax), %rax\n\t"
        "callq *(%rax, %r10)\n\t"
        "cld\n\t"
        "movq %rax, 0(%rsp)\n\t"
        "movq %rdx, 8(%rsp)\n\t"
        "movq %rsp, %rdi\n\t"
        "callq helix_tap_leave\n\t"
        "movq 0(%rsp), %rax\n\t"
        "movq 8(%rsp), %rdx\n\t"
        "leave\n\t"
        "ret");
}
static_assert(sizeof(Tap::Frame) <= 96 && __builtin_offsetof(Tap::Frame, offset) == 48 &&
              __builtin_offsetof(Tap::Frame, implementation) == 56);

}  // namespace

[[gnu::noinline]] Tap::Way::Way() = default;

void Tap::run_locked(Change change, void* context) {
    state_.with([&](State& state) { change(state, context); });
}

Tap::Tap(Instance& instance) : kernel_(instance.kernel), instance_(instance) {
    for (Method& method : vtable_) method = tapped_method;
}

Result<Tap*> Tap::create(Instance& instance) {
    Heap& heap = instance.kernel.heap;
    void* const memory = heap.allocate(sizeof(Tap), alignof(Tap));
    if (memory == nullptr) return ErrorCode::OutOfMemory;
    Tap* const tap = new (memory) Tap(instance);
    const auto fill = [&]() -> Result<void> {
        const Span<const InterfaceEntry> interfaces = instance.mapping->descriptor().interfaces();
        for (size_t i = 0; i < interfaces.size() && i < sizeof(ways_) / sizeof(Way); ++i) {
            const InterfaceEntry& entry = interfaces[i];
            // What the kernel plugs in it calls itself.
            if (entry.pure_count == 0 || is_plugged_by_kernel(entry.name.text())) continue;
            if (entry.pure_count > MethodShape::kMaximumMethods) continue;
            Way& way = tap->ways_[tap->way_count_++];
            way.shapes = static_cast<MethodShape*>(heap.allocate(entry.pure_count * sizeof(MethodShape)));
            if (way.shapes == nullptr) return ErrorCode::OutOfMemory;
            if (call_module_function<void>(token_of(&instance), reinterpret_cast<void*>(entry.describe_pure),
                                           way.shapes, nullptr) != GateFailure::None)
                return instance.failed_error();
            way.shape_count = entry.pure_count;
            way.interface = entry.name;
            way.object = {&tap->vtable_, instance.targets[i].implementation};
            way.target = {&way.object, token_of(&instance)};
        }
        if (tap->way_count_ != 0) return {};
        return Error(ErrorCode::NotSupported, "it has no pure method of which a trial could ask both");
    };
    if (const auto filled = fill(); !filled.ok()) {
        destroy(tap);
        return filled.error();
    }
    return tap;
}

void Tap::leave(Tap* tap) {
    if (tap == nullptr) return;
    tap->left_ = true;
    if (!tap->watched) return destroy(tap);
    tap->state_.wake_all([](State& state) { state.gone = true; });
}

void Tap::destroy(Tap* tap) {
    Heap& heap = tap->kernel_.heap;
    for (Way& way : *tap) heap.free(way.shapes);
    tap->~Tap();
    heap.free(tap);
}

Tap::Way* Tap::find(const SlotTarget* target) {
    for (Way& way : *this)
        if (target != nullptr && way.object.implementation == target->implementation) return &way;
    return nullptr;
}

uint64_t Tap::epoch() const {
    return __atomic_load_n(&changes_, __ATOMIC_ACQUIRE) + instance_.record.calls_so_far();
}

void Tap::open(uint64_t epoch) {
    locked([&](State& state) {
        state.open = true;
        state.stale = false;
        state.epoch = epoch;
    });
}

void Tap::close() {
    locked([](State& state) {
        state.open = false;
        state.cancelled = false;
        state.skipped = 0;
        for (Use& use : state.uses)
            if (use != Use::Written) use = Use::Free;  // who writes sees then that nobody waits any more
    });
}

Tap::News Tap::wait(uint64_t deadline_ns, TrialCall*& call) {
    News news{};
    const WakeReason reason = state_.wait_until(
        [&](State& state) {
            for (size_t i = 0; i < kCalls && !state.cancelled; ++i) {
                if (state.uses[i] != Use::Ready) continue;
                if (calls_[i].epoch != state.epoch) {
                    state.uses[i] = Use::Free;
                    ++state.skipped;
                    continue;
                }
                call = &calls_[i];
                news = News::Call;
                return true;
            }
            news = state.cancelled ? News::Cancelled : state.gone ? News::Gone : News::Stale;
            return state.cancelled || state.gone || state.stale;
        },
        deadline_ns, Cancellable::No);
    return reason == WakeReason::TimedOut ? News::TimedOut : news;
}

void Tap::cancel() {
    state_.wake_all([](State& state) { state.cancelled = true; });
}

void Tap::done(TrialCall& call) {
    locked([&](State& state) { state.uses[&call - calls_] = Use::Free; });
}

uint64_t Tap::skipped() {
    uint64_t skipped = 0;
    locked([&](State& state) { skipped = state.skipped; });
    return skipped;
}

void Tap::enter(Frame& frame, Way& way) {
    const MethodShape* shape = nullptr;
    for (uint32_t i = 0; i < way.shape_count; ++i)
        if (way.shapes[i].offset == frame.offset) shape = &way.shapes[i];
    if (shape == nullptr) {
        __atomic_fetch_add(&changes_, 1, __ATOMIC_ACQ_REL);
        return;
    }
    if (shape->hidden != (frame.self == 1)) return;
    const uint64_t now = epoch();
    size_t free = kCalls;
    bool is_stale = false;
    locked([&](State& state) {
        if (!state.open) return;
        is_stale = state.epoch != now && !state.stale;
        for (size_t i = 0; i < kCalls && state.epoch == now; ++i)
            if (state.uses[i] == Use::Free) free = i;
        if (free == kCalls) {
            ++state.skipped;
            return;
        }
        state.uses[free] = Use::Written;
        state.tickets[free] = frame.ticket = ++state.ticket;
    });
    if (is_stale) state_.wake_all([](State& state) { state.stale = true; });
    if (free == kCalls) return;
    TrialCall& call = calls_[free];
    call.interface = way.interface.text();
    call.implementation = way.object.implementation;
    call.shape = shape;
    call.epoch = now;
    call.hidden = frame.self == 1 ? frame.words[0] : 0;
    for (size_t i = 0; i < MethodShape::kMaximumArguments; ++i)
        call.words[i] = frame.self + 1 + i < 6 ? frame.words[frame.self + 1 + i] : 0;
    const bool copied = call.copy_arguments(instance_);
    if (copied) frame.call = &call;
    locked([&](State& state) {
        state.uses[free] = copied ? Use::UnderWay : Use::Free;
        if (!copied) ++state.skipped;
    });
}

void Tap::answered(Frame& frame) {
    TrialCall& call = *frame.call;
    bool wanted = false;
    locked([&](State& state) {
        const size_t i = static_cast<size_t>(&call - calls_);
        wanted = state.tickets[i] == frame.ticket && state.uses[i] == Use::UnderWay;
        if (wanted) state.uses[i] = Use::Written;
    });
    if (!wanted) return;
    const bool read = call.read_answer(instance_, frame.words[0], frame.words[1],
                                       reinterpret_cast<const void*>(call.hidden), call.words, call.answer);
    state_.wake_all([&](State& state) {
        const bool counts = read && state.open && state.epoch == call.epoch && epoch() == call.epoch;
        state.uses[&call - calls_] = counts ? Use::Ready : Use::Free;
        if (!counts) ++state.skipped;
    });
}

}  // namespace helix::kernel
