// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A crowd: threads that all do random things at once, on all CPUs, and a count of those who are done.
#pragma once

#include "model_kernel.hpp"

namespace helix::test {

class Crowd {
public:
    struct Member {
        void (*act)(Member& self) = nullptr;
        void* shared = nullptr;
        KernelRandom random{0};
        uint64_t steps = 0;
        uint32_t number = 0;
    };
    static constexpr uint32_t kMost = 12;

    /// `steps` are shared out among `count` members.
    Crowd(const ModelRun& run, uint32_t count, void* shared, void (*act)(Member&)) : threads_(run.kernel.threads) {
        for (uint32_t i = 0; i < count; ++i) {
            members_[i] = {act, shared, KernelRandom(run.seed * 1000 + i), run.steps / count, i};
            auto created = threads_.create("member", main, &members_[i], {.priority = 4 + i});
            MODEL_CHECK(created.ok());
            ids_[count_++] = created.value();
        }
    }
    ThreadId id(uint32_t number) const { return ids_[number]; }
    /// Waits until all are done.
    void join() {
        for (uint32_t i = 0; i < count_; ++i) MODEL_CHECK(threads_.join(ids_[i]).ok());
    }

private:
    static void main(void* argument) {
        auto& self = *static_cast<Member*>(argument);
        for (uint64_t i = 0; i < self.steps; ++i, took_step()) self.act(self);
    }

    kernel::Threads& threads_;
    Member members_[kMost];
    ThreadId ids_[kMost] = {};
    uint32_t count_ = 0;
};

/// Something else may happen here: an interrupt under replay, another thread, time.
inline void linger(KernelRandom& random) {
    kernel::Threads& threads = kernel::this_kernel().threads;
    switch (random.below(8)) {
        case 0: threads.yield(); break;
        case 1: (void)threads.sleep(random.below(2'000'000)); break;
        default: arch::preemption_point(); break;
    }
}

}  // namespace helix::test
