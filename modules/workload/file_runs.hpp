// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Runs of workload files inside a module: the services that Runner needs, and the requests around it.
#pragma once

#include "plan_parser.hpp"
#include "report.hpp"

#include "helix/module.hpp"

namespace helix::workload {

/// What Runner needs, by the services of the SDK.
class ModuleSystem {
public:
    using Thread = ThreadId;
    using Semaphore = SemaphoreId;

    void use(const Context& context) { context_ = &context; }

    bool create(Thread& thread, Text name, ThreadEntry entry, void* argument, uint32_t priority) {
        return take(context_->thread_create(name, entry, argument, priority), thread);
    }
    bool join(Thread thread) { return context_->thread_join(thread).ok(); }
    bool open(Semaphore& semaphore, uint32_t units) { return take(context_->semaphore_create(units), semaphore); }
    bool close(Semaphore& semaphore) { return context_->semaphore_destroy(semaphore).ok(); }
    bool signal(Semaphore& semaphore) { return context_->semaphore_signal(semaphore).ok(); }
    Wait wait(Semaphore& semaphore, uint64_t timeout_ns) {
        const auto waited = context_->semaphore_wait(semaphore, timeout_ns);
        return waited.ok() ? Wait::Taken : waited.error().code() == ErrorCode::TimedOut ? Wait::TimedOut : Wait::Failed;
    }
    bool bind(uint64_t cpus) { return context_->thread_set_affinity(context_->thread_current(), cpus).ok(); }
    bool ask(const SchedulingAttributes& wanted) {
        if (wanted.weight == 0 && wanted.runtime_ns == 0) return true;
        const ThreadId self = context_->thread_current();
        if (context_->thread_set_attributes(self, wanted).ok()) return true;
        // What is no promise any policy may grant.
        SchedulingAttributes rest;
        rest.weight = wanted.weight;
        (void)context_->thread_set_attributes(self, rest).ok();
        return false;
    }
    uint64_t now_ns() { return context_->now_ns(); }
    uint64_t switches() { return context_->execution_statistics().switches; }
    uint32_t cpu() { return current_cpu(); }
    void yield() { context_->thread_yield(); }
    /// Under replay threads change and time passes only where somebody enters the kernel.
    void look() { (void)context_->now_ns(); }
    void* allocate(size_t size) {
        uint8_t* const memory = runtime::buffer_allocate(size);
        if (memory != nullptr) __builtin_memset(memory, 0, size);
        return memory;
    }
    void free(void* memory) {
        if (memory != nullptr) runtime::buffer_free(static_cast<uint8_t*>(memory));
    }

private:
    template <typename T>
    static bool take(Result<T> result, T& out) {
        if (result.ok()) out = result.value();
        return result.ok();
    }
    const Context* context_ = nullptr;
};

/// A text that grows in a kernel buffer.
class ReportBuffer {
public:
    void append(Text text) {
        if (text.size() > buffer_.size() - used_ && !grow(text.size())) return;
        __builtin_memcpy(buffer_.mutable_bytes().data() + used_, text.data(), text.size());
        used_ += text.size();
    }
    Result<Response> response() const {
        if (out_of_memory_) return ErrorCode::OutOfMemory;
        return Response::ok(buffer_.text().substr(0, used_));
    }

private:
    bool grow(size_t more) {
        auto larger = Buffer::create(2 * buffer_.size() + more + 4096);
        out_of_memory_ |= !larger.ok();
        if (out_of_memory_) return false;
        if (used_ != 0) __builtin_memcpy(larger.value().mutable_bytes().data(), buffer_.bytes().data(), used_);
        buffer_ = larger.take();
        return true;
    }
    Buffer buffer_;
    size_t used_ = 0;
    bool out_of_memory_ = false;
};

/// One at a time, by the requests of a module (which never overlap).
class FileRuns {
public:
    /// A file without a duration is given up after `limit_ns`.
    void use(const Context& context, uint64_t limit_ns) {
        system_.use(context);
        limit_ns_ = limit_ns;
    }

    /// `run FILE`, the file's content: runs it and answers with the summary.
    Result<Response> run(Text file) {
        if (!runner_.release()) return unreleased();
        PlanProblem problem;
        if (!parser_.parse(file, plan_, problem))
            return Response::err(
                format("line {}, column {}: {}", problem.line, problem.column, problem.sentence).text());
        if (steps_in_ms_ == 0) steps_in_ms_ = runner_.calibrate();
        if (steps_in_ms_ == 0)
            return Response::err(
                "the speed of this CPU cannot be measured here; say it: calibrate STEPS-IN-A-MILLISECOND");
        has_result_ = false;
        if (!runner_.run(plan_, steps_in_ms_, limit_ns_)) {
            const auto sentence =
                format("{} and their semaphores were not to be had in time, or the run was interrupted",
                       counted(plan_.thread_count, "thread"));
            return runner_.release() ? Response::err(sentence.text()) : unreleased();
        }
        has_result_ = true;
        return report(&Reporter::summary);
    }
    /// More about the last run.
    Result<Response> details() {
        if (!has_result_) return Response::err("nothing was run; run FILE first");
        return report(&Reporter::details);
    }
    /// `calibrate`: how many steps of computation are a millisecond, measured anew; `calibrate N`: so many, from now
    /// on.
    Result<Response> calibrate(Text number) {
        uint64_t steps = 0;
        if (number.empty())
            steps = runner_.calibrate();
        else if (!parse_unsigned(number, steps) || steps == 0 || steps > kMostSteps)
            return Response::err(
                format("calibrate N: \"{}\" is not a number from 1 to {}", number.substr(0, 40), kMostSteps).text());
        steps_in_ms_ = steps;
        return Response::ok(format<48>("{{\"steps_per_ms\":{}}}", steps_in_ms_).text());
    }
    /// Threads of a run that was interrupted end; its memory is freed. Error: a thread could not be joined.
    Result<void> end() {
        has_result_ = false;
        if (!runner_.release()) return Error(ErrorCode::Busy, kUnreleased);
        return {};
    }

private:
    using Reporter = Report<ModuleSystem, ReportBuffer>;
    static constexpr uint64_t kMostSteps = 100'000'000;
    static constexpr Text kUnreleased = "threads of the run before still end; try again";

    static Result<Response> unreleased() { return Response::err(kUnreleased); }
    Result<Response> report(void (Reporter::*write)()) {
        Buffer scratch = TRY(Buffer::create(sizeof(Histogram)));
        ReportBuffer out;
        Reporter reporter(runner_, *reinterpret_cast<Histogram*>(scratch.mutable_bytes().data()), out);
        (reporter.*write)();
        return out.response();
    }

    ModuleSystem system_;
    Runner<ModuleSystem> runner_{system_};
    PlanParser parser_;
    Plan plan_{};
    uint64_t steps_in_ms_ = 0;
    uint64_t limit_ns_ = 0;
    bool has_result_ = false;
};

}  // namespace helix::workload
