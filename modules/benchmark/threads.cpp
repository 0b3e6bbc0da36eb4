// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The module helix-benchmark-threads: times switches, creation and wake-ups of its own threads.

#include "helix/module.hpp"
#include "thread_timing.hpp"

namespace {

/// What ThreadTiming needs, by the services of the SDK.
class Services {
public:
    using Thread = helix::ThreadId;
    using Semaphore = helix::SemaphoreId;

    void use(const helix::Context& context) { context_ = &context; }

    bool create(Thread& thread, void (*entry)(void*), void* argument) {
        return take(context_->thread_create("timed", entry, argument), thread);
    }
    bool join(Thread thread) { return context_->thread_join(thread).ok(); }
    bool open(Semaphore& semaphore) { return take(context_->semaphore_create(0), semaphore); }
    bool close(Semaphore& semaphore) { return context_->semaphore_destroy(semaphore).ok(); }
    bool signal(Semaphore& semaphore) { return context_->semaphore_signal(semaphore).ok(); }
    bool wait(Semaphore& semaphore) { return context_->semaphore_wait(semaphore).ok(); }
    bool sleep(uint64_t nanoseconds) { return context_->thread_sleep(nanoseconds).ok(); }

private:
    template <typename T>
    static bool take(helix::Result<T> result, T& out) {
        if (result.ok()) out = result.value();
        return result.ok();
    }
    const helix::Context* context_ = nullptr;
};

}  // namespace

class BenchmarkThreads final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"helix-benchmark-threads"}
                                      .version(1, 0, 0)
                                      .description("Times threads; requests: switch_pair, thread_create_join, wakeup")
                                      .author("Helix contributors")
                                      .license("MIT OR Apache-2.0")
                                      .dependencies({"helix-execution >=1.0"});

    helix::Result<void> init(const helix::Context& context) override {
        services_.use(context);
        return {};
    }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }

    /// The answer is the request's name, a colon, and the samples in cycles of the time stamp counter; what a sample
    /// covers is said in thread_timing.hpp.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        bool measured = false;
        if (request.request_type == "switch_pair")
            measured = timing_.switch_pair(samples_);
        else if (request.request_type == "thread_create_join")
            measured = timing_.thread_create_join(samples_);
        else if (request.request_type == "wakeup")
            measured = timing_.wakeup(samples_);
        else
            return helix::ErrorCode::NotImplemented;
        if (!measured) return helix::Response::err("a thread or a semaphore failed");
        answer_.assign(request.request_type);
        answer_.append(":");
        for (const uint64_t sample : samples_)
            if (!answer_.append(helix::format<24>(" {}", sample).text())) return helix::ErrorCode::OutOfRange;
        return helix::Response::ok(answer_.text());
    }

private:
    Services services_;
    helix::benchmark::ThreadTiming<Services> timing_{services_};
    uint64_t samples_[helix::benchmark::kThreadSamples] = {};
    helix::FixedText<32 + 24 * helix::benchmark::kThreadSamples> answer_;
};
HELIX_MODULE(BenchmarkThreads)
