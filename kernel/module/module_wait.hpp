// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ModuleWait and Rest: what a thread is to reloads, limits and others while it waits because a module asked for it.
#pragma once

#include "kernel/module/instance.hpp"

namespace helix::kernel {

/// While it lives the calling thread waits where a module asked for it, or gives way. One of the module's own rests. In
/// a call that the kernel made it may wait for these, so that they are not parked meanwhile. In a service.
class Rest {
public:
    Rest();
    ~Rest();
    Rest(const Rest&) = delete;
    Rest& operator=(const Rest&) = delete;

private:
    /// Where they do not come to a wait they are not parked any more, which the transaction sees.
    void park_again();

    Thread& thread_;
    const bool rests_;
    bool again_ = false;
};

/// A wait that a module asks for. A call from outside is not held up by it when the instance is to be replaced, nor is
/// the kernel's own call beyond its deadline. In a service that may block.
class ModuleWait {
public:
    enum class Restartable : uint8_t { Yes, No };

    explicit ModuleWait(Instance& instance, Restartable restartable = Restartable::Yes);
    ~ModuleWait();
    ModuleWait(const ModuleWait&) = delete;
    ModuleWait& operator=(const ModuleWait&) = delete;

    /// How long to wait where the module asked for `timeout_ns`.
    uint64_t shorten(uint64_t timeout_ns);
    /// What the module is told of a wait that gave `result`.
    Result<void> outcome(const Result<void>& result);

private:
    const Rest rest_;
    Instance& instance_;
    Thread& thread_;
    const bool timed_;
    bool called_ = false;
    bool shortened_ = false;
    Owner* outer_ = nullptr;
    bool outer_restartable_ = false;
};

}  // namespace helix::kernel
