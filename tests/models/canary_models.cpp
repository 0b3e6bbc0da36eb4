// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A scheduler rules one CPU first: what is refused meanwhile, what ends it, who rules afterwards; and a crowd in which
// canaries, good and bad, meet swaps, trials, reloads and CPUs that go and come. No thread is lost over it.
#include "crowd.hpp"

#include "benchmarks/hosted_kernel.hpp"

namespace helix::test {
namespace {

constexpr Text kScheduler = "helix.scheduler";
constexpr Text kRoundRobin = "helix-scheduler-round-robin", kFair = "helix-scheduler-fair";
constexpr Text kPriority = "helix-scheduler-priority", kBreaker = "scheduler-rule-breaker";
constexpr uint64_t kLong = 3'600'000'000'000;  ///< that no run sees the end of
constexpr uint64_t kPause = 100'000;           ///< between two looks
constexpr uint64_t kProbation = 1'100'000'000;

std::vector<std::pair<std::string, std::string>> policies(uint64_t) {
    std::vector<std::pair<std::string, std::string>> files;
    for (const Text name : {kFair, kPriority, kBreaker})
        files.emplace_back(std::string(name) + ".hmod", benchmark::module_content(std::string(name)));
    return files;
}

/// Threads that compute, sleep and give way until they are told to stop.
class Workers {
public:
    explicit Workers(kernel::Threads& threads, uint64_t seed) : threads_(threads) {
        for (uint32_t i = 0; i < kCount; ++i) {
            works_[i].random = KernelRandom(seed * 100 + i);
            const auto created = threads.create("worker", main, &works_[i], {.priority = 10 + i % 3});
            MODEL_CHECK(created.ok());
            ids_[i] = created.value();
        }
    }
    /// Waits until each has gone on from where it is.
    void expect_progress() {
        uint64_t before[kCount];
        for (uint32_t i = 0; i < kCount; ++i) before[i] = steps(i);
        const uint64_t limit_ns = arch::now_ns() + 120'000'000'000;
        for (uint32_t i = 0; i < kCount; ++i) {
            for (; steps(i) == before[i]; (void)threads_.sleep(kPause).ok()) MODEL_CHECK(arch::now_ns() < limit_ns);
        }
    }
    void stop() {
        for (Work& work : works_) __atomic_store_n(&work.stop, true, __ATOMIC_RELAXED);
        for (const ThreadId id : ids_) MODEL_CHECK(threads_.join(id).ok());
    }

private:
    static constexpr uint32_t kCount = 10;
    struct Work {
        KernelRandom random{0};
        uint64_t steps = 0;
        bool stop = false;
    };
    static void main(void* argument) {
        auto& work = *static_cast<Work*>(argument);
        while (!__atomic_load_n(&work.stop, __ATOMIC_RELAXED)) {
            linger(work.random);
            __atomic_fetch_add(&work.steps, 1, __ATOMIC_RELAXED);
        }
    }
    uint64_t steps(uint32_t number) { return __atomic_load_n(&works_[number].steps, __ATOMIC_RELAXED); }

    kernel::Threads& threads_;
    Work works_[kCount];
    ThreadId ids_[kCount] = {};
};

/// A thread that makes a swap with a canary, and has one.
class Canary {
public:
    Canary(kernel::Kernel& kernel, Text name, CpuId cpu) : kernel_(kernel), name_(name), terms_{cpu, kLong} {
        const auto created = kernel.threads.create("canary", main, this, {.kind = kernel::ThreadClass::Kernel});
        MODEL_CHECK(created.ok());
        id_ = created.value();
        for (bool rules = false; !rules; (void)kernel.threads.sleep(kPause).ok()) {
            const PreemptionGuard no_preemption;
            kernel::Cpu& there = kernel.threads.cpu(cpu);
            there.lock.acquire();
            rules = kernel.threads.policy().has_canary(there);
            there.lock.release();
        }
    }
    const Result<void>& result() {
        MODEL_CHECK(kernel_.threads.join(id_, 60'000'000'000).ok());
        return result_;
    }

private:
    static void main(void* argument) {
        auto& self = *static_cast<Canary*>(argument);
        const auto swapped = self.kernel_.modules.swap_after_canary(kScheduler, self.name_, self.terms_);
        self.result_ = swapped.ok() ? Result<void>() : Result<void>(swapped.error());
    }

    kernel::Kernel& kernel_;
    Text name_;
    kernel::CanaryTerms terms_;
    ThreadId id_ = ThreadId::None;
    Result<void> result_;
};

bool is_loaded(kernel::Kernel& kernel, Text name) {
    bool loaded = false;
    kernel.modules.for_each([&](kernel::ModuleRecord& record) { loaded |= record.name() == name; });
    return loaded;
}
bool rules(kernel::Kernel& kernel, Text name) {
    const auto primary = kernel.modules.get_primary(kScheduler);
    return primary.ok() && primary.value() == name;
}
bool says(const Error& error, ErrorCode code, Text part) {
    const Text sentence = error.sentence();
    for (size_t i = 0; error.code() == code && i + part.size() <= sentence.size(); ++i)
        if (sentence.substr(i, part.size()) == part) return true;
    kernel::this_kernel().log.error("model", "not expected: {}", sentence);
    return false;
}

void run_offline(const ModelRun& run) {
    if (run.cpus == 1) return;
    static kernel::ShadowReport report;
    kernel::Kernel& kernel = run.kernel;
    kernel::ModuleSystem& modules = kernel.modules;
    const CpuId cpu = run.cpus - 1;
    Workers workers(kernel.threads, run.seed);
    MODEL_CHECK(modules.load(kPriority).ok());
    Canary canary(kernel, kFair, cpu);
    workers.expect_progress();
    // What concerns one of the two is refused.
    const auto refused = [](const auto& result) {
        return !result.ok() && says(result.error(), ErrorCode::Busy, "as a canary until");
    };
    MODEL_CHECK(refused(modules.swap(kScheduler, kPriority)));
    MODEL_CHECK(refused(modules.swap(kScheduler, kFair)));
    MODEL_CHECK(refused(modules.swap_after_canary(kScheduler, kPriority, {0, kLong})));
    MODEL_CHECK(refused(modules.shadow(kScheduler, kPriority, kLong, report)));
    MODEL_CHECK(refused(modules.reload(kFair)));
    MODEL_CHECK(refused(modules.reload(kRoundRobin)));
    MODEL_CHECK(refused(modules.unload(kFair)));
    MODEL_CHECK(!modules.unload(kRoundRobin).ok());
    MODEL_CHECK(rules(kernel, kRoundRobin) && is_loaded(kernel, kFair));
    // Anything else is as always.
    MODEL_CHECK(modules.reload(kPriority).ok() && modules.unload(kPriority).ok());
    workers.expect_progress();

    MODEL_CHECK(kernel.threads.cpus().take_offline(cpu).ok());
    const Result<void>& result = canary.result();
    MODEL_CHECK(!result.ok() && says(result.error(), ErrorCode::InvalidState, "went offline"));
    MODEL_CHECK(rules(kernel, kRoundRobin) && !is_loaded(kernel, kFair));
    workers.expect_progress();
    MODEL_CHECK(kernel.threads.cpus().bring_online(cpu).ok());
    workers.expect_progress();
    workers.stop();
}

void run_take_over(const ModelRun& run) {
    kernel::Kernel& kernel = run.kernel;
    kernel::ModuleSystem& modules = kernel.modules;
    Workers workers(kernel.threads, run.seed);
    MODEL_CHECK(modules.swap(kScheduler, kBreaker).ok());
    MODEL_CHECK(kernel.threads.sleep(kProbation).ok());
    modules.settle();
    Canary canary(kernel, kFair, run.cpus - 1);
    workers.expect_progress();
    constexpr Text kWay = "tick";
    (void)modules.request(nullptr, kBreaker, "break", Bytes(reinterpret_cast<const uint8_t*>(kWay.data()), kWay.size()))
        .ok();
    MODEL_CHECK(canary.result().ok());
    MODEL_CHECK(rules(kernel, kFair));
    workers.expect_progress();
    kernel::HistoryRecord record, last;
    for (uint64_t id = 0; modules.history().next(id, record); id = record.id)
        if (record.to.text().starts_with(kFair)) last = record;
    MODEL_CHECK(last.result == kernel::TransactionResult::Committed && last.phase == kernel::Phase::Serving &&
                last.evict_ns != 0);
    workers.stop();
}

// ---- The crowd.

struct Allowed {
    template <typename T>
    static void expect(const Result<T>& result) {
        constexpr ErrorCode kCodes[] = {
            ErrorCode::AlreadyExists, ErrorCode::Busy,      ErrorCode::InvalidState, ErrorCode::NotFound,
            ErrorCode::ModuleFailed,  ErrorCode::Cancelled, ErrorCode::TimedOut,     ErrorCode::PermissionDenied};
        if (result.ok()) return;
        for (const ErrorCode code : kCodes)
            if (code == result.error().code()) return;
        MODEL_CHECK(says(result.error(), ErrorCode::Busy, "?"));
    }
};

/// Canaries that were committed, and that were not; atomic.
uint32_t committed, given_up;

void change_policies(Crowd::Member& self) {
    static kernel::ShadowReport reports[Crowd::kMost];
    constexpr Text kGood[] = {kRoundRobin, kFair, kPriority};
    constexpr Text kWays[] = {"never", "foreign", "forgets", "counts", "tick", "elsewhere", "blocked"};
    kernel::Kernel& kernel = kernel::this_kernel();
    kernel::ModuleSystem& modules = kernel.modules;
    KernelRandom& random = self.random;
    const Text name = kGood[random.below(3)];
    const kernel::CanaryTerms terms{static_cast<CpuId>(random.below(kernel.threads.cpu_count())),
                                    1 + random.below(20'000'000)};
    switch (random.below(10)) {
        case 0: Allowed::expect(modules.swap(kScheduler, name)); break;
        case 1: Allowed::expect(modules.shadow(kScheduler, name, terms.duration_ns, reports[self.number])); break;
        case 2: Allowed::expect(modules.reload(name)); break;
        case 3: Allowed::expect(modules.unload(name)); break;
        case 4: Allowed::expect(modules.load(name)); break;
        case 5:
        case 6: {
            const Text way = kWays[random.below(sizeof(kWays) / sizeof(kWays[0]))];
            Allowed::expect(modules.load(kBreaker));
            Allowed::expect(modules.request(nullptr, kBreaker, "arm",
                                            Bytes(reinterpret_cast<const uint8_t*>(way.data()), way.size())));
            Allowed::expect(modules.swap_after_canary(kScheduler, kBreaker, {terms.cpu, 20'000'000}));
            Allowed::expect(modules.unload(kBreaker));
            break;
        }
        default: {
            const auto swapped = modules.swap_after_canary(kScheduler, name, terms);
            Allowed::expect(swapped);
            __atomic_fetch_add(swapped.ok() ? &committed : &given_up, 1, __ATOMIC_RELAXED);
            break;
        }
    }
    // Every other time it waits for the end of the probation, which refuses canaries.
    if (random.one_in(2)) (void)kernel.threads.sleep(kProbation).ok();
}

void change_cpus(Crowd::Member& self) {
    kernel::Cpus& cpus = kernel::this_kernel().threads.cpus();
    if (cpus.count() > 1) {
        const auto cpu = static_cast<CpuId>(1 + self.random.below(cpus.count() - 1));
        (void)(cpus.is_online(cpu) ? cpus.take_offline(cpu) : cpus.bring_online(cpu)).ok();
    }
    (void)kernel::this_kernel().threads.sleep(self.random.below(400'000'000)).ok();
}

void run_canary_crowd(const ModelRun& run) {
    kernel::Kernel& kernel = run.kernel;
    Workers workers(kernel.threads, run.seed);
    // Each other step waits for a second, which in replay is over at once.
    const ModelRun part{kernel, run.seed, run.steps / (run.replay ? 20 : 100), run.replay, run.cpus};
    Crowd crowd(part, 4, nullptr, [](Crowd::Member& self) {
        if (self.number == 0)
            change_cpus(self);
        else
            change_policies(self);
    });
    crowd.join();
    kernel.modules.settle();
    workers.expect_progress();
    // Nobody is left as a canary, and whoever rules can be replaced.
    MODEL_CHECK(kernel.threads.sleep(kProbation).ok());
    kernel.modules.settle();
    const Text other = rules(kernel, kRoundRobin) ? kFair : kRoundRobin;
    MODEL_CHECK(kernel.modules.swap_after_canary(kScheduler, other, {0, 1'000'000}).ok());
    MODEL_CHECK(rules(kernel, other));
    workers.expect_progress();
    workers.stop();
    MODEL_CHECK(!run.replay || run.steps < 2000 || (committed != 0 && given_up != 0));
}

TEST(Canary, GoesBackWhenItsCpuGoesOfflineAndRefusesOthersUntilThen) {
    run_model(run_offline, Machines::Replay, std::string(kRoundRobin), policies);
}
TEST(Canary, TakesOverWhenTheRulingPolicyFails) {
    run_model(run_take_over, Machines::Replay, std::string(kRoundRobin), policies);
}
TEST(Canary, LosesNoThreadInACrowdUnderReplay) {
    run_model(run_canary_crowd, Machines::Replay, std::string(kRoundRobin), policies);
}
TEST(Canary, LosesNoThreadInACrowdOnPthreads) {
    run_model(run_canary_crowd, Machines::RealTime, std::string(kRoundRobin), policies);
}

}  // namespace
}  // namespace helix::test
