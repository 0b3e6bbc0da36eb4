// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Whatever fails in the middle of an operation on modules, the operation is done or undone, nothing is left behind, the
// reason is one clear line, and the next attempt succeeds: the n-th allocation, mapping or service call, for all n.

#include "operations.hpp"

#include "benchmarks/hosted_kernel.hpp"
#include "kernel/memory/failure_injection.hpp"

#include <gtest/gtest.h>

#include <stdio.h>

namespace helix::test {
namespace {

using kernel::Attempt;
using kernel::FailureInjection;
using kernel::Kernel;

constexpr size_t kMaximumOperations = 24;
constexpr uint64_t kEndless = 2000;  ///< attempts of one kind that no operation needs

// What the kernel's thread leaves for the test.
Attempt g_kind;
FailureInjection::Duration g_duration;
uint64_t g_failures[kMaximumOperations];   ///< that were made in each operation
uint64_t g_tolerated[kMaximumOperations];  ///< of those, how many the operation did not need to succeed
FixedText<4000> g_complaint;
Look g_done[kMaximumOperations];
Look g_undone, g_now, g_now_any;

Result<void> complain(const Operation& operation, uint64_t n, Text what, Text detail, Text more = {}, Text most = {}) {
    g_complaint.append(format<150>("{}, failure {}{}: {}:", Text::from_c_string(operation.name), n,
                                   g_duration == FailureInjection::Duration::Once ? Text() : Text(" and all after it"),
                                   what)
                           .text());
    for (const Text text : {detail, more, most}) {
        g_complaint.append("\n");
        g_complaint.append(text);
    }
    return ErrorCode::InvalidState;
}

/// It says of whom it speaks, and more than that.
bool is_one_clear_line(Text sentence, Text subject) {
    bool named = false;
    for (size_t i = 0; i < sentence.size(); ++i) {
        if (static_cast<unsigned char>(sentence[i]) < ' ') return false;
        named |= sentence.substr(i).starts_with(subject);
    }
    return named && sentence.size() > subject.size() + 8;
}

/// One operation with its `n`-th attempt failing; false when there were fewer than `n`.
Result<bool> run_once(Kernel& kernel, size_t at, uint64_t n, const Held& before) {
    const Operation& operation = all_operations()[at];
    const Text done = g_done[at].text();
    if (const auto prepared = operation.prepare(kernel); !prepared.ok()) {
        TRY(complain(operation, n, "the last failure stands in the way", prepared.error().sentence()));
    }
    kernel.modules.settle();
    look_at_modules(kernel, Instances::Same, g_undone);
    FailureInjection::arm(g_kind, n, g_duration);
    const auto result = operation.run(kernel);
    const bool failed = FailureInjection::disarm();
    kernel.modules.settle();
    look_at_modules(kernel, Instances::Same, g_now);
    look_at_modules(kernel, Instances::Any, g_now_any);
    if (failed) ++g_failures[at];
    if (result.ok()) {
        if (failed) ++g_tolerated[at];
        if (g_now_any.text() != done) TRY(complain(operation, n, "succeeded, but is not done", g_now_any.text(), done));
    } else if (!failed) {
        TRY(complain(operation, n, "failed by itself", result.error().sentence()));
    } else {
        if (!is_one_clear_line(result.error().sentence(), Text::from_c_string(operation.subject)))
            TRY(complain(operation, n, "no clear line", result.error().sentence()));
        // A stop that fails does not keep a module.
        const bool gone = result.error().code() == ErrorCode::ModuleFailed && g_now_any.text() == done;
        if (!gone && g_now.text() != g_undone.text())
            TRY(complain(operation, n, "is neither done nor undone", result.error().sentence(), g_now.text(),
                         g_undone.text()));
        if (!gone) {
            const auto again = operation.run(kernel);
            kernel.modules.settle();
            if (!again.ok()) TRY(complain(operation, n, "the next attempt failed", again.error().sentence()));
            look_at_modules(kernel, Instances::Any, g_now_any);
            if (g_now_any.text() != done)
                TRY(complain(operation, n, "the next attempt is not done", g_now_any.text(), done));
        }
    }
    if (operation.renew != nullptr) {
        if (const auto renewed = operation.renew(kernel); !renewed.ok())
            TRY(complain(operation, n, "cannot be done once more", renewed.error().sentence()));
    }
    if (const auto cleaned = clean_up(kernel); !cleaned.ok())
        TRY(complain(operation, n, "nothing can be cleaned up", cleaned.error().sentence()));
    if (const Held after = look_for_held(kernel); after != before)
        TRY(complain(operation, n, "left something behind", describe(after).text(), describe(before).text(),
                     result.ok() ? Text("it succeeded") : result.error().sentence()));
    return failed;
}

Result<void> fail_in_all(Kernel& kernel) {
    TRY(prepare_kernel(kernel));
    // Tables that only grow have grown, and caches are full.
    for (int round = 0; round < 2; ++round) {
        for (size_t i = 0; i < all_operations().size(); ++i) {
            TRY(all_operations()[i].prepare(kernel));
            TRY(all_operations()[i].run(kernel));
            kernel.modules.settle();
            look_at_modules(kernel, Instances::Any, g_done[i]);
            TRY(clean_up(kernel));
        }
    }
    const Held before = look_for_held(kernel);
    for (size_t i = 0; i < all_operations().size(); ++i) {
        for (const auto duration : {FailureInjection::Duration::Once, FailureInjection::Duration::FromThenOn}) {
            g_duration = duration;
            for (uint64_t n = 1;; ++n) {
                if (n == kEndless) TRY(complain(all_operations()[i], n, "never got through", {}));
                const bool failed = TRY(run_once(kernel, i, n, before));
                if (!failed) break;
            }
        }
    }
    return {};
}

void fail_each(Attempt kind, std::initializer_list<const char*> must_have) {
    g_kind = kind;
    const std::vector<std::string> loadable(std::begin(kLoadable), std::end(kLoadable));
    benchmark::KernelOptions options;
    options.seed = 1;
    options.profile = "kernel.restart=never\nkernel.health_period=0s\n";  // nothing happens by itself
    const bool ok = benchmark::run_in_kernel(loadable, fail_in_all, options);
    const Text complaint = g_complaint.text();
    EXPECT_TRUE(ok) << std::string(complaint.data(), complaint.size());
    for (size_t i = 0; i < all_operations().size(); ++i)
        printf("%-32s %4u failures, %u of them tolerated\n", all_operations()[i].name,
               static_cast<unsigned>(g_failures[i]), static_cast<unsigned>(g_tolerated[i]));
    for (const std::string name : must_have)
        for (size_t i = 0; i < all_operations().size(); ++i)
            if (all_operations()[i].name == name) EXPECT_GE(g_failures[i], 4u) << name;
}

// A suite each, for a process runs one kernel.

TEST(FailingAllocation, LeavesEverythingDoneOrUndone) {
    fail_each(Attempt::Allocation,
              {"load", "reload that adds an interface", "reload that takes one away", "reload of two to another major",
               "swap to a file", "swap that passes state", "swap of the scheduler", "reload of the scheduler"});
}
TEST(FailingMapping, LeavesEverythingDoneOrUndone) {
    fail_each(Attempt::Mapping,
              {"load", "reload that adds an interface", "reload that takes one away", "reload of two to another major",
               "swap to a file", "swap that passes state", "swap of the scheduler", "reload of the scheduler"});
}
TEST(FailingService, LeavesEverythingDoneOrUndone) {
    fail_each(Attempt::Service,
              {"load", "reload that adds an interface", "reload that takes one away", "reload of two to another major",
               "swap to a file", "swap that passes state", "unload"});
}

}  // namespace
}  // namespace helix::test
