// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// module.load_start: loading, initialising and starting a small module, beside dlopen and dlclose of the same file.
#include "dlopen_peer.hpp"
#include "metric.hpp"

namespace {

using namespace helix;

constexpr char kModule[] = "template";

benchmark::DlopenPeer peer;
uint64_t load_ns[benchmark::DlopenPeer::kRuns];

Result<void> measure(kernel::Kernel& kernel) {
    return peer.take_turns(kernel, [&](size_t i) -> Result<void> {
        const uint64_t begin = arch::now_ns();
        TRY(kernel.modules.load(kModule));
        load_ns[i] = arch::now_ns() - begin;
        return kernel.modules.unload(kModule);
    });
}

}  // namespace

int main(int argument_count, char** arguments) {
    if (benchmark::only_lists(argument_count, arguments, {"module.load_start"})) return 0;
    peer.start(benchmark::stripped_module(kModule).string());
    const bool succeeded = benchmark::run_in_kernel({kModule}, measure);
    if (!peer.finish() || !succeeded) return 1;
    benchmark::print_metric("module.load_start", "ns", {std::begin(load_ns), std::end(load_ns)}, peer.peers());
    return 0;
}
