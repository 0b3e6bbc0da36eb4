// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ModuleWait, Rest: waits that modules ask for.

#include "kernel/module/module_wait.hpp"

#include "kernel/kernel.hpp"
#include "kernel/module/service_scope.hpp"

namespace helix::kernel {

Rest::Rest() : thread_(current_thread()), rests_(current_gate()->previous()->kind() == GateKind::Thread) {
    if (rests_)
        this_kernel().threads.begin_rest(thread_);
    else if (thread_.kernel_call != nullptr)
        again_ = this_kernel().threads.unpark(*thread_.kernel_call) == Parked::Again;
}

Rest::~Rest() {
    if (rests_)
        this_kernel().threads.end_rest(thread_);
    else if (again_)
        park_again();
}

void Rest::park_again() {
    Threads& threads = this_kernel().threads;
    if (!threads.park(*thread_.kernel_call, deadline_after(Threads::kLongestParkNs)).ok())
        threads.unpark(*thread_.kernel_call);
}

ModuleWait::ModuleWait(Instance& instance, Restartable restartable)
    : instance_(instance), thread_(current_thread()), timed_(thread_.kernel_call == &instance) {
    // The service's own gate is the innermost; the one around it says how the module was entered.
    if (current_gate()->previous()->kind() != GateKind::Module) return;
    called_ = true;
    outer_ = thread_.waits_in;
    outer_restartable_ = thread_.restartable;
    thread_.restartable = !timed_ && restartable == Restartable::Yes;
    thread_.waits_in = &instance;
}

ModuleWait::~ModuleWait() {
    if (!called_) return;
    thread_.waits_in = outer_;
    thread_.restartable = outer_restartable_;
}

uint64_t ModuleWait::shorten(uint64_t timeout_ns) {
    if (!timed_ || thread_.kernel_call_deadline_ns == kForever) return timeout_ns;
    const uint64_t now = arch::now_ns();
    if (thread_.kernel_call_deadline_ns == KernelCall::kFromFirstWait)
        thread_.kernel_call_deadline_ns = now + Instance::kLifecycleWaitNs;
    const uint64_t left = thread_.kernel_call_deadline_ns > now ? thread_.kernel_call_deadline_ns - now : 0;
    shortened_ = left < timeout_ns;
    return shortened_ ? left : timeout_ns;
}

Result<void> ModuleWait::outcome(const Result<void>& result) {
    if (result.ok()) return {};
    if (result.error().code() == ErrorCode::TimedOut && shortened_) {
        broke_rule(instance_, "it waited for more than 5 seconds in a call that the kernel made");
    }
    const uint32_t hold = instance_.hold_number();
    if (result.error().code() == ErrorCode::Cancelled && called_ && !timed_ && hold != 0) {
        thread_.told_of_hold = hold;
        return Error(ErrorCode::Restart, "the module is being replaced: undo, and return this");
    }
    return result;
}

}  // namespace helix::kernel
