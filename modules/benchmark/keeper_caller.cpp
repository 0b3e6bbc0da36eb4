// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The module helix-benchmark-keeper-caller: calls a module that crashes or is replaced, and does not notice.

#include "keeper.hpp"

#include "helix/module.hpp"

class BenchmarkKeeperCaller final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"helix-benchmark-keeper-caller"}
                                      .version(1, 0, 0)
                                      .description("Calls helix-benchmark-keeper; requests: recover, work, rest")
                                      .author("Helix contributors")
                                      .license("MIT OR Apache-2.0")
                                      .dependencies({"helix.benchmark_keeper"});

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        keeper_ = TRY(context.bind<helix::benchmark::Keeper>());
        return {};
    }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }

    /// `recover`: the cycles from the crash of a call to its second, served by the next instance. `work`: eight threads
    /// begin to compute, four of them inside the keeper, in one call of about half a millisecond after the other.
    /// `rest`: they end; how many calls they made, all of which succeeded.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type == "work") return begin_to_work();
        if (request.request_type == "rest") return end_work();
        if (request.request_type != "recover") return helix::ErrorCode::NotImplemented;
        const uint64_t cycles = TRY(keeper_.call<&helix::benchmark::Keeper::recover>());
        return helix::Response::ok(helix::format<20>("{}", cycles).text());
    }

private:
    static constexpr uint64_t kSteps = 1'000'000;
    static constexpr size_t kWorkers = 8;

    helix::Result<helix::Response> begin_to_work() {
        __atomic_store_n(&working_, true, __ATOMIC_RELAXED);
        for (size_t i = 0; i < kWorkers; ++i)
            workers_[i] = TRY(context_->thread_create("worker", i % 2 == 0 ? call_main : compute_main, this));
        return helix::Response::ok_empty();
    }
    helix::Result<helix::Response> end_work() {
        __atomic_store_n(&working_, false, __ATOMIC_RELAXED);
        for (const helix::ThreadId worker : workers_) TRY(context_->thread_join(worker));
        if (failures_ != 0) return helix::Response::err("a call failed");
        return helix::Response::ok(helix::format<20>("{}", calls_).text());
    }
    bool is_working() const { return __atomic_load_n(&working_, __ATOMIC_RELAXED); }
    static void call_main(void* self) {
        auto& caller = *static_cast<BenchmarkKeeperCaller*>(self);
        while (caller.is_working()) {
            const bool ok = caller.keeper_.call<&helix::benchmark::Keeper::work>(kSteps).ok();
            __atomic_fetch_add(ok ? &caller.calls_ : &caller.failures_, 1, __ATOMIC_RELAXED);
        }
    }
    static void compute_main(void* self) {
        while (static_cast<BenchmarkKeeperCaller*>(self)->is_working()) (void)helix::benchmark::compute(kSteps);
    }

    const helix::Context* context_ = nullptr;
    helix::Handle<helix::benchmark::Keeper> keeper_;
    helix::ThreadId workers_[kWorkers] = {};
    bool working_ = false;  // atomic, as the next two
    uint64_t calls_ = 0;
    uint64_t failures_ = 0;
};
HELIX_MODULE(BenchmarkKeeperCaller)
