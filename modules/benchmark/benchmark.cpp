// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The module helix-benchmark: times calls through a handle beside plain virtual calls.

#include "benchmark.hpp"
#include "helix/module.hpp"

namespace {

using helix::benchmark::Benchmark;

constexpr size_t kBatches = 1000;
constexpr uint64_t kCallsInBatch = 1000;

/// The peer: the same work behind a plain virtual call, in this module.
class Local final : public Benchmark {
public:
    uint64_t bounded(uint64_t value) override { return value + 1; }
    uint64_t blocking(uint64_t value) override { return value + 1; }
};

/// Cycle counter; what stands before has finished, what stands behind has not begun.
uint64_t cycles_fenced() {
    uint32_t low = 0, high = 0;
    asm volatile("lfence\n\trdtscp\n\tlfence" : "=a"(low), "=d"(high)::"rcx", "memory");
    return uint64_t{high} << 32 | low;
}

/// Cycles of one batch in which `step` is fed its own result. `failed` is set if the last result is not the count.
template <typename Step>
__attribute__((noinline)) uint64_t time_batch(Step step, bool& failed) {
    uint64_t value = 0;
    const uint64_t begin = cycles_fenced();
    for (uint64_t i = 0; i < kCallsInBatch; ++i) value = step(value);
    const uint64_t end = cycles_fenced();
    failed |= value != kCallsInBatch;
    return end - begin;
}

struct Samples {
    uint64_t cycles[kBatches];

    void sort() {  // heap sort: no memory, no recursion
        const auto sift = [&](size_t root, size_t end) {
            for (size_t child = 2 * root + 1; child < end; root = child, child = 2 * root + 1) {
                if (child + 1 < end && cycles[child] < cycles[child + 1]) ++child;
                if (cycles[root] >= cycles[child]) return;
                std::swap(cycles[root], cycles[child]);
            }
        };
        for (size_t root = kBatches / 2; root-- > 0;) sift(root, kBatches);
        for (size_t end = kBatches; end-- > 1;) {
            std::swap(cycles[0], cycles[end]);
            sift(0, end);
        }
    }
    uint64_t median() const { return cycles[kBatches / 2]; }
    uint64_t p99() const { return cycles[kBatches * 99 / 100]; }
};

}  // namespace

class BenchmarkModule final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"helix-benchmark"}
                                      .version(1, 0, 0)
                                      .description("Times calls between modules, and look-ups; requests: calls, lookup")
                                      .author("Helix contributors")
                                      .license("MIT OR Apache-2.0")
                                      .dependencies({"helix.benchmark"});

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        target_ = TRY(context.bind<Benchmark>());
        return {};
    }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }

    /// `calls`: two metrics as JSON, one a line, in cycles for one call without the loop around it. `lookup METRIC`:
    /// one of that name, of asking who the primary implementor is; nanoseconds.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type == "lookup") return time_lookups(helix::as_text(request.payload));
        if (request.request_type != "calls") return helix::ErrorCode::NotImplemented;
        bool failed = false;
        // The kinds take turns batch by batch, so that whatever else happens on the machine hits all of them alike.
        for (size_t i = 0; i < kBatches; ++i) {
            empty_.cycles[i] = time_batch(
                [](uint64_t value) __attribute__((always_inline)) {
                    asm volatile("" : "+r"(value));
                    return value + 1;
                },
                failed);
            virtual_.cycles[i] = time_batch(
                [this](uint64_t value) __attribute__((always_inline)) {
                    Benchmark* peer = &local_;
                    asm volatile("" : "+r"(peer));  // the compiler no longer knows whose function this is
                    return peer->bounded(value);
                },
                failed);
            bounded_.cycles[i] = time_batch(
                [this](uint64_t value) __attribute__((always_inline)) {
                    return target_.call<&Benchmark::bounded>(value).value_or(UINT64_MAX - 1);
                },
                failed);
            blocking_.cycles[i] = time_batch(
                [this](uint64_t value) __attribute__((always_inline)) {
                    return target_.call<&Benchmark::blocking>(value).value_or(UINT64_MAX - 1);
                },
                failed);
        }
        if (failed) return helix::Response::err("a call failed");
        empty_.sort();
        virtual_.sort();
        helix::FixedText<600> out;
        append_metric(out, "call.bounded", bounded_);
        append_metric(out, "call.blocking", blocking_);
        return helix::Response::ok(out.text());
    }

private:
    helix::Result<helix::Response> time_lookups(helix::Text metric) {
        constexpr uint64_t kLookups = 100;  // fewer than calls: each is a service, and an emulator is slow
        for (uint64_t& batch_ns : bounded_.cycles) {
            const uint64_t begin_ns = context_->now_ns();
            for (uint64_t i = 0; i < kLookups; ++i) (void)TRY(context_->get_primary("helix.benchmark"));
            batch_ns = (context_->now_ns() - begin_ns) * 100 / kLookups;
        }
        bounded_.sort();
        helix::FixedText<600> out(helix::format<120>("{{\"metric\":\"{}\",\"unit\":\"ns\",\"median\":", metric).text());
        append_number(out, bounded_.median());
        out.append(",\"p99\":");
        append_number(out, bounded_.p99());
        out.append(helix::format<80>(",\"runs\":{},\"peers\":{{}}}}\n", kBatches).text());
        return helix::Response::ok(out.text());
    }

    /// Cycles of one call in a batch of `cycles`, in hundredths.
    uint64_t hundredths(uint64_t cycles) const {
        const uint64_t loop = empty_.median();
        return cycles <= loop ? 0 : (cycles - loop) * 100 / kCallsInBatch;
    }
    void append_number(helix::FixedText<600>& out, uint64_t value) {
        out.append(helix::format<32>("{}.{}{}", value / 100, value / 10 % 10, value % 10).text());
    }
    void append_metric(helix::FixedText<600>& out, helix::Text name, Samples& samples) {
        samples.sort();
        out.append(helix::format<80>("{{\"metric\":\"{}\",\"unit\":\"cycles\",\"median\":", name).text());
        append_number(out, hundredths(samples.median()));
        out.append(",\"p99\":");
        append_number(out, hundredths(samples.p99()));
        out.append(helix::format<80>(",\"runs\":{},\"peers\":{{\"virtual\":", kBatches).text());
        append_number(out, hundredths(virtual_.median()));
        out.append("}}\n");
    }

    const helix::Context* context_ = nullptr;
    helix::Handle<Benchmark> target_;
    Local local_;
    Samples empty_, virtual_, bounded_, blocking_;
};
HELIX_MODULE(BenchmarkModule)
