// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Look-ups without a lock while others come and go: who is found is still there, and who stays is always found.
#include "crowd.hpp"
#include "node_graph.hpp"

#include "kernel/module/interface_registry.hpp"
#include "kernel/module/name_index.hpp"

namespace helix::test {
namespace {

/// What is in the index. When it is out, and nobody can see it any more, another name stands in it.
struct Thing {
    FixedText<46> text;
    bool is_in = false;

    Text name() const { return text.text(); }
};

struct IndexCrowd {
    static constexpr uint32_t kThings = 60;  ///< the table grows twice
    static constexpr uint32_t kNames = 40;   ///< so that some are there twice
    kernel::Mutex owner{kernel::LockRank::SleepingLeaf};
    kernel::NameIndex<Thing> index;
    Thing stays;
    Thing things[kThings];
    uint64_t found = 0;  // atomic
};

FixedText<46> name_of(uint64_t number) {
    return format<46>("thing-{}", number % IndexCrowd::kNames);
}

void come_or_go(IndexCrowd& shared, Thing& thing, uint64_t number) {
    kernel::Kernel& kernel = kernel::this_kernel();
    kernel::MutexGuard guard(shared.owner);
    if (thing.is_in) {
        shared.index.remove(thing);
        kernel.threads.cpus().wait_grace_period();
        thing.text = FixedText<46>("nobody");
    } else {
        thing.text = name_of(number);
        MODEL_CHECK(shared.index.reserve(kernel).ok());
        shared.index.insert(thing);
    }
    thing.is_in = !thing.is_in;
}

void look(IndexCrowd& shared, KernelRandom& random) {
    const FixedText<46> name = name_of(random.below(IndexCrowd::kNames));
    const PreemptionGuard no_preemption;
    shared.index.look(name.text(), [&](const Thing& thing) {
        for (uint64_t i = random.below(4); i > 0; --i) arch::preemption_point();  // others run, elsewhere
        MODEL_CHECK(thing.name() == name.text());
        __atomic_fetch_add(&shared.found, 1, __ATOMIC_RELAXED);
        return false;
    });
    MODEL_CHECK(shared.index.find("stays") == &shared.stays);
}

void run_index_crowd(const ModelRun& run) {
    static IndexCrowd shared;
    shared.stays.text = FixedText<46>("stays");
    {
        kernel::MutexGuard guard(shared.owner);
        MODEL_CHECK(shared.index.reserve(run.kernel).ok());
        shared.index.insert(shared.stays);
    }
    Crowd crowd(run, 6, &shared, [](Crowd::Member& self) {
        auto& all = *static_cast<IndexCrowd*>(self.shared);
        const uint64_t number = self.random.below(IndexCrowd::kThings);
        if (self.number % 2 == 0)
            come_or_go(all, all.things[number], number);
        else
            look(all, self.random);
        linger(self.random);
    });
    crowd.join();
    MODEL_CHECK(shared.found > run.steps / 10);
}
TEST(IndexCrowd, WhoIsFoundIsThereUnderReplay) {
    run_model(run_index_crowd, Machines::Replay);
}
TEST(IndexCrowd, WhoIsFoundIsThereOnPthreads) {
    run_model(run_index_crowd, Machines::RealTime);
}

/// Two of one name stay while others, each of a new name, come and go, so that the table is replaced again and again,
/// and what was freed of it is used for something else.
struct TwinCrowd {
    static constexpr uint32_t kOthers = 8;
    static constexpr size_t kTableSize = 8 + 32 * 16;  ///< of the smallest table: who gets its block gets an old one
    kernel::Mutex owner{kernel::LockRank::SleepingLeaf};
    kernel::NameIndex<Thing> index;
    Thing twins[2];
    Thing others[kOthers];
    uint64_t last_number = 0;
    uint64_t looks = 0;  // atomic
};

/// Fills what the heap hands out for a table with nothing: a reader who is still there would find nobody.
void use_old_tables() {
    kernel::Heap& heap = kernel::this_kernel().heap;
    void* blocks[3] = {};
    for (void*& block : blocks) {
        block = heap.allocate(TwinCrowd::kTableSize);
        if (block != nullptr) __builtin_memset(block, 0, TwinCrowd::kTableSize);
    }
    for (void* const block : blocks)
        if (block != nullptr) heap.free(block);
}

void replace_other(TwinCrowd& shared, Thing& other) {
    kernel::Kernel& kernel = kernel::this_kernel();
    kernel::MutexGuard guard(shared.owner);
    if (other.is_in) shared.index.remove(other);
    kernel.threads.cpus().wait_grace_period();
    other.text = format<46>("other-{}", ++shared.last_number);
    MODEL_CHECK(shared.index.reserve(kernel).ok());
    use_old_tables();
    shared.index.insert(other);
    other.is_in = true;
}

void look_for_twins(TwinCrowd& shared, KernelRandom& random) {
    uint32_t twins = 0;
    const PreemptionGuard no_preemption;
    shared.index.look("twin", [&](const Thing& thing) {
        for (uint64_t i = random.below(40); i > 0; --i) arch::preemption_point();  // others run, elsewhere
        twins += thing.name() == "twin";
        return false;
    });
    MODEL_CHECK(twins == 2);
    __atomic_fetch_add(&shared.looks, 1, __ATOMIC_RELAXED);
}

void run_twin_crowd(const ModelRun& run) {
    static TwinCrowd shared;
    for (Thing& twin : shared.twins) {
        twin.text = FixedText<46>("twin");
        kernel::MutexGuard guard(shared.owner);
        MODEL_CHECK(shared.index.reserve(run.kernel).ok());
        shared.index.insert(twin);
    }
    Crowd crowd(run, 4, &shared, [](Crowd::Member& self) {
        auto& all = *static_cast<TwinCrowd*>(self.shared);
        if (self.number % 2 == 0)
            replace_other(all, all.others[self.random.below(TwinCrowd::kOthers)]);
        else
            look_for_twins(all, self.random);
    });
    crowd.join();
    MODEL_CHECK(shared.looks > run.steps / 10 && shared.last_number > run.steps / 10);
}
TEST(TwinCrowd, ATableIsFreedWhenNobodyLooksAnyMoreUnderReplay) {
    run_model(run_twin_crowd, Machines::Replay);
}
TEST(TwinCrowd, ATableIsFreedWhenNobodyLooksAnyMoreOnPthreads) {
    run_model(run_twin_crowd, Machines::RealTime);
}

/// Interfaces that nobody implements come and go, and what is freed of them is used for something else; whoever looks
/// without the lock may go on with what it found until it has preemption on again.
struct InterfaceCrowd {
    static constexpr uint32_t kNames = 4;
    kernel::Mutex owner{kernel::LockRank::SleepingLeaf};
    kernel::InterfaceRegistry registry;
    uint64_t pruned = 0;  ///< guarded by the owner
    uint64_t found = 0;   // atomic
};

InterfaceEntry interface_of(uint64_t number) {
    return {format<46>("test.passing-{}", number % InterfaceCrowd::kNames), 1, 0, 0, nullptr, nullptr};
}

/// Fills what the heap hands out for a record and for its slot: a reader who is still there would find nothing.
void use_old_records() {
    kernel::Heap& heap = kernel::this_kernel().heap;
    constexpr size_t kSizes[] = {sizeof(kernel::InterfaceRecord), sizeof(kernel::Slot)};
    for (const size_t size : kSizes) {
        void* blocks[InterfaceCrowd::kNames] = {};
        for (void*& block : blocks) {
            block = heap.allocate(size);
            if (block != nullptr) __builtin_memset(block, 0, size);
        }
        for (void* const block : blocks)
            if (block != nullptr) heap.free(block);
    }
}

void come_and_go(InterfaceCrowd& shared, KernelRandom& random) {
    kernel::Kernel& kernel = kernel::this_kernel();
    kernel::MutexGuard guard(shared.owner);
    if (random.one_in(4)) {
        shared.registry.prune(kernel);
        use_old_records();
        ++shared.pruned;
    } else {
        MODEL_CHECK(shared.registry.obtain(kernel, interface_of(random.next())).ok());
    }
}

void look_for_interface(InterfaceCrowd& shared, KernelRandom& random) {
    const InterfaceEntry entry = interface_of(random.next());
    const PreemptionGuard no_preemption;
    const kernel::InterfaceRecord* const found = shared.registry.find(entry.name.text());
    if (found == nullptr) return;
    for (uint64_t i = random.below(40); i > 0; --i) arch::preemption_point();  // others run, elsewhere
    MODEL_CHECK(found->name == entry.name.text() && found->major == entry.major);
    MODEL_CHECK(&found->primary->interface == found);
    __atomic_fetch_add(&shared.found, 1, __ATOMIC_RELAXED);
}

void run_interface_crowd(const ModelRun& run) {
    static InterfaceCrowd shared;
    Crowd crowd(run, 4, &shared, [](Crowd::Member& self) {
        auto& all = *static_cast<InterfaceCrowd*>(self.shared);
        if (self.number % 2 == 0)
            come_and_go(all, self.random);
        else
            look_for_interface(all, self.random);
        linger(self.random);
    });
    crowd.join();
    shared.registry.prune(run.kernel);
    MODEL_CHECK(shared.registry.begin() == shared.registry.end());
    MODEL_CHECK(shared.pruned > run.steps / 20);
    MODEL_CHECK(!run.replay || shared.found > run.steps / 100);  // on pthreads those who look may all come too early
}
TEST(InterfaceCrowd, ARecordIsFreedWhenNobodyLooksAnyMoreUnderReplay) {
    run_model(run_interface_crowd, Machines::Replay);
}
TEST(InterfaceCrowd, ARecordIsFreedWhenNobodyLooksAnyMoreOnPthreads) {
    run_model(run_interface_crowd, Machines::RealTime);
}

/// Modules that implement an interface come and go, and with the last of them the interface; the primary one is asked
/// for all the time.
void run_primary_crowd(const ModelRun& run) {
    static uint64_t found;
    uint32_t loaded = 0;  // some graphs let nobody in
    for (uint32_t node = 0; node < NodeGraph::kNodes; ++node)
        loaded += run.kernel.modules.load(NodeGraph::file_of(node, NodeGraph::First).text()).ok();
    MODEL_CHECK(run.kernel.modules.get_primary("test.node").ok() == (loaded != 0));
    Crowd crowd(run, 6, nullptr, [](Crowd::Member& self) {
        kernel::ModuleSystem& modules = kernel::this_kernel().modules;
        const auto node = static_cast<uint32_t>(self.random.below(NodeGraph::kNodes));
        if (self.number % 3 != 0) {
            const auto primary = modules.get_primary("test.node");
            MODEL_CHECK(primary.ok() ? primary.value().text().starts_with("node-")
                                     : primary.error().code() == ErrorCode::NotFound);
            __atomic_fetch_add(&found, primary.ok(), __ATOMIC_RELAXED);
            MODEL_CHECK(modules.get_primary("helix.allocator").ok());
        } else if (self.random.one_in(2)) {
            (void)modules.load(NodeGraph::file_of(node, NodeGraph::First).text()).ok();
        } else {
            (void)modules.unload(NodeGraph::name_of(node).text(), kernel::Dependents::Unload).ok();
        }
        linger(self.random);
    });
    crowd.join();
    MODEL_CHECK(found != 0 || loaded == 0);
}
TEST(PrimaryCrowd, NamesWhoIsThereUnderReplay) {
    run_model(run_primary_crowd, Machines::Replay, "helix-scheduler-round-robin", draw_node_graph);
}
TEST(PrimaryCrowd, NamesWhoIsThereOnPthreads) {
    run_model(run_primary_crowd, Machines::RealTime, "helix-scheduler-round-robin", draw_node_graph);
}

}  // namespace
}  // namespace helix::test
