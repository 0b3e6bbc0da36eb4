// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// call.bounded and call.blocking: a call through a handle, timed by a module beside a plain virtual call.
#include "hosted_kernel.hpp"
#include "metric.hpp"

#include <stdio.h>
#include <string.h>

namespace {

char report[1024];
size_t report_size = 0;

helix::Result<void> measure(helix::kernel::Kernel& kernel) {
    TRY(kernel.modules.load("helix-benchmark-target"));
    TRY(kernel.modules.load("helix-benchmark"));
    const helix::Response response = TRY(kernel.modules.request(nullptr, "helix-benchmark", "calls", {}));
    if (!response.is_ok()) return helix::Error(helix::ErrorCode::ModuleFailed, response.sentence());
    const helix::Bytes bytes = response.payload().bytes();
    if (bytes.size() > sizeof(report)) return helix::ErrorCode::OutOfRange;
    memcpy(report, bytes.data(), bytes.size());
    report_size = bytes.size();
    return {};
}

}  // namespace

int main(int argument_count, char** arguments) {
    if (helix::benchmark::only_lists(argument_count, arguments, {"call.bounded", "call.blocking"})) return 0;
    if (!helix::benchmark::run_in_kernel({"helix-benchmark-target", "helix-benchmark"}, measure)) return 1;
    return fwrite(report, 1, report_size, stdout) == report_size ? 0 : 1;
}
