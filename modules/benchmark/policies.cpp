// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The module helix-benchmark-policies: what a scheduling policy takes for a pick and a tick among many threads.
//
// The threads and the CPU are its own, so that nothing else happens; the policy must not rule. Calls go through a
// handle, as the kernel's do through the same gate.

#include "helix/interfaces/scheduler.hpp"
#include "helix/module.hpp"

namespace {

constexpr uint32_t kSamples = 200;
constexpr uint64_t kTickNs = 1'000'000;

/// The time stamp counter; what stands before has finished, what stands behind has not begun.
uint64_t cycles() {
    uint32_t low = 0, high = 0;
    asm volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high)::"memory");
    return uint64_t{high} << 32 | low;
}

}  // namespace

class BenchmarkPolicies final : public helix::Module {
public:
    static constexpr auto kInfo =
        helix::ModuleInfo{"helix-benchmark-policies"}
            .version(1, 0, 0)
            .description("Times picks and ticks of a scheduler; request: measure MODULE COUNT")
            .author("Helix contributors")
            .license("MIT OR Apache-2.0")
            .dependencies({"helix-execution >=1.0"});

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }

    /// `measure "MODULE COUNT"`, with COUNT threads of mixed priorities runnable: two lines, `pick:` and `tick:`, each
    /// with the cycles of every sample.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type != "measure") return helix::ErrorCode::NotImplemented;
        const helix::Text payload = helix::as_text(request.payload);
        const size_t space = payload.find(' ');
        uint64_t count = 0;
        if (space == SIZE_MAX || !helix::parse_unsigned(payload.substr(space + 1), count) || count < 2 ||
            count > 100'000)
            return helix::Response::err("expected: MODULE COUNT, from 2 to 100000");
        policy_ = TRY(context_->bind<helix::Scheduler>(payload.substr(0, space)));
        helix::Buffer table = TRY(helix::Buffer::create(count * sizeof(helix::SchedulerThread)));
        auto* const threads = reinterpret_cast<helix::SchedulerThread*>(table.mutable_bytes().data());
        auto measured = measure(threads, static_cast<uint32_t>(count));
        policy_ = {};
        if (!measured.ok()) return helix::Error(measured.error());
        answer_.assign("pick:");
        for (const uint64_t sample : picks_) answer_.append(helix::format<24>(" {}", sample).text());
        answer_.append("\ntick:");
        for (const uint64_t sample : ticks_) answer_.append(helix::format<24>(" {}", sample).text());
        answer_.append("\n");
        return helix::Response::ok(answer_.text());
    }

private:
    using Scheduler = helix::Scheduler;

    helix::Result<void> measure(helix::SchedulerThread* threads, uint32_t count) {
        __builtin_memset(&cpu_, 0, sizeof(cpu_));
        cpu_.now_ns = 1'000 * kTickNs;
        TRY(policy_.call<&Scheduler::plug_in>());
        TRY(policy_.call<&Scheduler::cpu_changed>(cpu_, true));
        for (uint32_t i = 0; i < count; ++i) {
            helix::SchedulerThread& thread = threads[i];
            __builtin_memset(&thread, 0, sizeof(thread));
            thread.id = helix::ThreadId(i + 1);
            thread.priority = helix::kDefaultPriority - 2 + i * 7 % 5;
            thread.affinity = 1;
            // Who grants reservations is measured with them; they are small enough for all.
            helix::SchedulingAttributes wanted;
            wanted.period_ns = 9'000 * kTickNs + i * 50'000;
            wanted.runtime_ns = 50'000;
            if (TRY(policy_.call<&Scheduler::set_attributes>(cpu_, thread, wanted, false))) thread.attributes = wanted;
            TRY(policy_.call<&Scheduler::enqueue>(cpu_, thread, helix::EnqueueReason::Created));
        }
        // Each picked thread runs until it is preempted, or for five ticks, and goes back.
        for (uint32_t picks = 0, ticks = 0; picks < kSamples || ticks < kSamples;) {
            const uint64_t begin = cycles();
            cpu_.current = TRY(policy_.call<&Scheduler::pick_next>(cpu_));
            const uint64_t picked = cycles();
            if (cpu_.current == nullptr) return helix::Error(helix::ErrorCode::InvalidState, "it picked nobody");
            if (picks < kSamples) picks_[picks++] = picked - begin;
            helix::SchedulerThread& thread = *cpu_.current;
            bool preempted = false;
            for (int i = 0; i < 5 && !preempted; ++i) {
                cpu_.now_ns += kTickNs;
                thread.runtime_ns += kTickNs;
                const uint64_t before = cycles();
                preempted = TRY(policy_.call<&Scheduler::tick>(cpu_, cpu_.now_ns)) == helix::TickDecision::Preempt;
                const uint64_t after = cycles();
                if (ticks < kSamples) ticks_[ticks++] = after - before;
            }
            TRY(policy_.call<&Scheduler::enqueue>(cpu_, thread, helix::EnqueueReason::Preempted));
            cpu_.current = nullptr;
        }
        // It ends with empty queues, as it began.
        for (uint32_t i = 0; i < count; ++i) {
            cpu_.current = TRY(policy_.call<&Scheduler::pick_next>(cpu_));
            if (cpu_.current == nullptr) return helix::Error(helix::ErrorCode::InvalidState, "it lost a thread");
            TRY(policy_.call<&Scheduler::block>(cpu_, *cpu_.current, helix::BlockReason::Ended));
            cpu_.current = nullptr;
        }
        return {};
    }

    const helix::Context* context_ = nullptr;
    helix::Handle<Scheduler> policy_;
    helix::SchedulerCpu cpu_{};
    uint64_t picks_[kSamples] = {};
    uint64_t ticks_[kSamples] = {};
    helix::FixedText<16 + 48 * kSamples> answer_;
};
HELIX_MODULE(BenchmarkPolicies)
