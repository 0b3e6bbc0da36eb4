// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A slot that is closed again and again while others call through it: whoever closed it waited for those who have
// preemption off, and if it found nobody inside it is alone there until the slot is open.
#include "model_kernel.hpp"

#include "helix/handle.hpp"
#include "kernel/module/interface_registry.hpp"

namespace helix::test {

/// What is called, through a handle like that of any module.
class Visited {
public:
    virtual void visit() = 0;

protected:
    ~Visited() = default;
};

}  // namespace helix::test

template <>
struct helix::InterfaceTraits<helix::test::Visited> {
    static constexpr InterfaceId kId{"test.visited", 1, 0};
    static constexpr auto kMethods =
        methods(MethodEntry<&helix::test::Visited::visit>{"visit", MethodTraits::Blocking});
};

namespace helix::test {
namespace {

constexpr uint32_t kCallers = 3;

/// Where the calls lead to.
struct Place final : Visited {
    void visit() override {
        __atomic_fetch_add(&visits, 1, __ATOMIC_RELAXED);
        for (uint64_t i = stay; i > 0; --i) {
            MODEL_CHECK(!__atomic_load_n(&taken, __ATOMIC_RELAXED));
            arch::preemption_point();
        }
    }

    uint64_t stay = 0;    ///< how often each looks whether it is alone
    bool taken = false;   ///< atomic: by who closed the slot
    uint64_t visits = 0;  ///< atomic
};

struct Scene {
    kernel::InterfaceRegistry registry;
    kernel::Slot* slot = nullptr;
    Services services = {};
    Place place;
    SlotTarget target{&place, nullptr};
    bool over = false;  ///< atomic
    /// For each caller, of the stretches in which it has preemption off: how many began, and ended; atomic.
    uint64_t begun[kCallers] = {};
    uint64_t ended[kCallers] = {};
    /// On a line that a caller writes before each call, and who closes the slot before that: such a write takes its
    /// time, and so what the caller writes next is seen late by others, its being inside the slot above all.
    alignas(128) uint64_t noise = 0;
};
Scene scene;

void call_again_and_again(void* argument) {
    const auto number = reinterpret_cast<uint64_t>(argument);
    const Handle<Visited> handle(scene.slot, &scene.services, scene.target.instance);
    while (!__atomic_load_n(&scene.over, __ATOMIC_RELAXED)) {
        for (uint32_t i = 0; i < 8; ++i) {
            __atomic_store_n(&scene.noise, i, __ATOMIC_RELAXED);
            MODEL_CHECK(handle.call<&Visited::visit>().ok());
        }
        {
            const PreemptionGuard no_preemption;
            __atomic_fetch_add(&scene.begun[number], 1, __ATOMIC_SEQ_CST);
            for (uint32_t i = 0; i < 8; ++i) arch::preemption_point();  // others run, elsewhere
            __atomic_fetch_add(&scene.ended[number], 1, __ATOMIC_SEQ_CST);
        }
        kernel::this_kernel().threads.yield();
    }
}

void make_scene(kernel::Kernel& kernel, uint64_t stay) {
    // A call is somebody's. Here it may be anybody's, whom it costs CPU time.
    kernel.modules.for_each(
        [](kernel::ModuleRecord& record) { scene.target.instance = kernel::token_of(record.current); });
    const auto made = scene.registry.obtain(kernel, {FixedText<46>("test.visited"), 1, 0, 0, nullptr, nullptr});
    MODEL_CHECK(made.ok() && scene.target.instance != nullptr);
    scene.place.stay = stay;
    scene.slot = made.value()->primary;
    scene.slot->fill(&scene.target);
    scene.services.slot_wait = [](InstanceToken*, SlotHead* slot) {
        return static_cast<kernel::Slot*>(slot)->wait_open(kernel::kForever);
    };
    scene.services.slot_left = [](InstanceToken*, SlotHead* slot) { static_cast<kernel::Slot*>(slot)->left(); };
    scene.services.unbind = [](InstanceToken*, SlotHead*) {};
}

void close_again_and_again(void* argument) {
    const ModelRun& run = *static_cast<const ModelRun*>(argument);
    const uint64_t steps = run.steps / (run.replay ? 40 : 4);  // each takes its time
    for (uint64_t i = 0; i < steps; ++i, took_step()) {
        const uint64_t visits = __atomic_load_n(&scene.place.visits, __ATOMIC_RELAXED);
        while (visits == __atomic_load_n(&scene.place.visits, __ATOMIC_RELAXED)) run.kernel.threads.yield();
        uint64_t begun[kCallers];
        for (uint32_t k = 0; k < kCallers; ++k) begun[k] = __atomic_load_n(&scene.begun[k], __ATOMIC_SEQ_CST);
        for (uint64_t k = i % 64; k > 0; --k) __atomic_store_n(&scene.noise, k, __ATOMIC_RELAXED);
        scene.slot->close();
        for (uint32_t k = 0; k < kCallers; ++k)
            MODEL_CHECK(__atomic_load_n(&scene.ended[k], __ATOMIC_SEQ_CST) >= begun[k]);
        if (scene.slot->has_callers()) MODEL_CHECK(scene.slot->wait_empty(kernel::kForever).ok());
        __atomic_store_n(&scene.place.taken, true, __ATOMIC_RELAXED);
        for (uint64_t k = run.replay ? 20 : 100; k > 0; --k) {
            arch::preemption_point();
            arch::spin_hint();
        }
        __atomic_store_n(&scene.place.taken, false, __ATOMIC_RELAXED);
        scene.slot->open();
    }
    __atomic_store_n(&scene.over, true, __ATOMIC_RELAXED);
}

void run_closing(const ModelRun& run) {
    kernel::Threads& threads = run.kernel.threads;
    make_scene(run.kernel, run.replay ? 4 : 60);
    const auto create = [&](Text name, ThreadEntry entry, void* argument) {
        const auto created = threads.create(name, entry, argument, {});
        MODEL_CHECK(created.ok());
        return created.value();
    };
    ModelRun copy = run;
    const ThreadId closer = create("closer", close_again_and_again, &copy);
    ThreadId callers[kCallers];
    for (uint64_t i = 0; i < kCallers; ++i)
        callers[i] = create("caller", call_again_and_again, reinterpret_cast<void*>(i));
    for (const ThreadId caller : callers) MODEL_CHECK(threads.join(caller).ok());
    MODEL_CHECK(threads.join(closer).ok());
}
TEST(Slot, IsEmptyOnceItIsClosedAndNobodyIsCountedUnderReplay) {
    run_model(run_closing, Machines::Replay);
}
TEST(Slot, IsEmptyOnceItIsClosedAndNobodyIsCountedOnPthreads) {
    run_model(run_closing, Machines::RealTime);
}

}  // namespace
}  // namespace helix::test
