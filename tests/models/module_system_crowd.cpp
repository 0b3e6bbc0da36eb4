// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Many threads load, unload, reload, ask and crash modules at once. Whatever meets whatever: each operation ends as it
// may, and when all modules are gone nothing of them is left.
#include "crowd.hpp"
#include "node_graph.hpp"

namespace helix::test {
namespace {

using kernel::ModuleState;

struct Allowed {
    ErrorCode codes[6];
    bool contains(ErrorCode code) const {
        for (ErrorCode allowed : codes)
            if (allowed == code) return true;
        return false;
    }
};

template <typename T>
void expect_one_of(const Result<T>& result, const Allowed& allowed) {
    if (result.ok() || allowed.contains(result.error().code())) return;
    kernel::this_kernel().log.error("model", "not expected: {}", result.error().sentence());
    MODEL_CHECK(allowed.contains(result.error().code()));
}

void meddle(Crowd::Member& self) {
    constexpr Allowed kFromLoad{{ErrorCode::AlreadyExists, ErrorCode::NotFound, ErrorCode::Incompatible,
                                 ErrorCode::InvalidState, ErrorCode::ModuleFailed, ErrorCode::TimedOut}};
    constexpr Allowed kFromUnload{
        {ErrorCode::NotFound, ErrorCode::Busy, ErrorCode::InvalidState, ErrorCode::ModuleFailed, ErrorCode::TimedOut}};
    constexpr Allowed kFromRequest{
        {ErrorCode::NotFound, ErrorCode::InvalidState, ErrorCode::ModuleFailed, ErrorCode::Busy, ErrorCode::TimedOut}};
    kernel::ModuleSystem& modules = kernel::this_kernel().modules;
    KernelRandom& random = self.random;
    const auto node = static_cast<uint32_t>(random.below(NodeGraph::kNodes));
    const auto file = static_cast<NodeGraph::File>(random.below(NodeGraph::kFiles));
    const auto name = NodeGraph::name_of(node);
    const auto other = NodeGraph::name_of(static_cast<uint32_t>(random.below(NodeGraph::kNodes)));
    switch (random.below(16)) {
        case 0:
        case 1:
        case 2: expect_one_of(modules.load(NodeGraph::file_of(node, file).text()), kFromLoad); break;
        case 3:
            expect_one_of(
                modules.unload(name.text(), random.one_in(2) ? kernel::Dependents::Refuse : kernel::Dependents::Unload),
                kFromUnload);
            break;
        case 4:
        case 5: expect_one_of(modules.reload(name.text(), NodeGraph::file_of(node, file).text()), kFromLoad); break;
        case 6: expect_one_of(modules.request(nullptr, name.text(), "crash", {}), kFromRequest); break;
        case 11: {
            const auto swapped = random.one_in(2) ? name : NodeGraph::file_of(node, file);
            expect_one_of(modules.swap("test.node", swapped.text()), kFromLoad);
            break;
        }
        case 7: (void)modules.ask_health(name.text()); break;
        case 8:
        case 9:
        case 10: {
            const Bytes payload(reinterpret_cast<const uint8_t*>(other.data()), other.size());
            expect_one_of(modules.request(nullptr, name.text(), "relay", payload), kFromRequest);
            break;
        }
        default: expect_one_of(modules.request(nullptr, name.text(), "add", {}), kFromRequest); break;
    }
    linger(random);
}

/// Unloads every node; one that others need waits for these.
void unload_all(kernel::ModuleSystem& modules) {
    modules.settle();
    for (uint32_t round = 0; round < NodeGraph::kNodes; ++round)
        for (uint32_t node = 0; node < NodeGraph::kNodes; ++node)
            (void)modules.unload(NodeGraph::name_of(node).text()).ok();
    modules.for_each([](kernel::ModuleRecord& record) { MODEL_CHECK(!record.name().starts_with("node-")); });
}

void run_module_system_crowd(const ModelRun& run) {
    constexpr uint32_t kMembers = 6;
    kernel::Kernel& kernel = run.kernel;
    uint64_t used = 0;
    // The first round makes what stays for good.
    for (const uint64_t steps : {uint64_t{60}, run.steps}) {
        const ModelRun part{kernel, run.seed, steps, run.replay, run.cpus};
        Crowd crowd(part, kMembers, nullptr, meddle);
        crowd.join();
        unload_all(kernel.modules);
        const uint64_t now_used = kernel.heap.statistics().heap_bytes_used;
        if (used == 0) used = now_used;
        if (used != now_used) kernel.log.error("model", "{} bytes are used, not {}", now_used, used);
        MODEL_CHECK(used == now_used);
    }
}

TEST(ModuleSystemCrowd, LeavesNothingUnderReplay) {
    run_model(run_module_system_crowd, Machines::Replay, "helix-scheduler-round-robin", draw_node_graph);
}
TEST(ModuleSystemCrowd, LeavesNothingWhereModulesAreRestarted) {
    run_model(run_module_system_crowd, Machines::Replay, "helix-scheduler-round-robin", draw_node_graph,
              Restarts::AsByDefault);
}
TEST(ModuleSystemCrowd, LeavesNothingOnPthreads) {
    run_model(run_module_system_crowd, Machines::RealTime, "helix-scheduler-round-robin", draw_node_graph);
}

}  // namespace
}  // namespace helix::test
