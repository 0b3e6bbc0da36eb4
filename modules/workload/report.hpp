// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What a run of a plan measured, as JSON: a summary for people and scripts, and details to compute with.
#pragma once

#include "runner.hpp"

namespace helix::workload {

/// `Sink` has append(Text). `total` is scratch, some twenty kilobytes. Members are listed in docs/workloads.md.
template <typename System, typename Sink>
class Report {
public:
    Report(const Runner<System>& runner, Histogram& total, Sink& sink) : runner_(runner), total_(total), sink_(sink) {}

    void summary() {
        merge();
        const Plan& plan = runner_.plan();
        Sum all;
        for (uint32_t i = 0; i < plan.thread_count; ++i) all.add(runner_.tally(i));
        put("{{\"ended\":\"{}\",\"elapsed_ns\":{},\"threads\":{},\"switches\":{},\"steps_per_ms\":{},",
            runner_.by_itself()  ? Text("loops")
            : runner_.at_limit() ? Text("limit")
                                 : Text("duration"),
            runner_.elapsed_ns(), plan.thread_count, runner_.switches(), runner_.steps_in_ms());
        counts(all, total_);
        put(",\"tasks\":[");
        uint32_t thread = 0;
        for (uint32_t t = 0; t < plan.task_count; ++t) {
            const Task& task = plan.tasks[t];
            Sum sum;
            for (uint32_t i = 0; i < task.instances; ++i) sum.add(runner_.tally(thread++));
            put("{}{{\"name\":\"{}\",\"threads\":{},\"least_work_ns\":{},\"most_work_ns\":{},", comma(t), task.name,
                task.instances, sum.least_work_ns, sum.most_work_ns);
            counts(sum, runner_.latencies(t));
            put("}}");
        }
        put("]}}");
    }

    /// The latencies of all as pairs of a bucket's end and its count, and the work of each thread of each task.
    void details() {
        merge();
        const Plan& plan = runner_.plan();
        put("{{\"latencies_ns\":[");
        uint32_t count = 0;
        for (size_t i = 0; i < Histogram::kBuckets; ++i)
            if (total_.in_bucket(i) != 0)
                put("{}[{},{}]", comma(count++), Histogram::highest_in(i), total_.in_bucket(i));
        put("],\"largest_latency_ns\":{},\"work_ns\":[", total_.largest());
        uint32_t thread = 0;
        for (uint32_t t = 0; t < plan.task_count; ++t) {
            put("{}[", comma(t));
            for (uint32_t i = 0; i < plan.tasks[t].instances; ++i)
                put("{}{}", comma(i), runner_.tally(thread++).work_ns);
            put("]");
        }
        put("]}}");
    }

private:
    struct Sum {
        uint64_t loops = 0, actions = 0, work_ns = 0, missed = 0, migrations = 0, refused = 0;
        uint64_t least_work_ns = UINT64_MAX, most_work_ns = 0;

        void add(const Tally& tally) {
            loops += tally.loops;
            actions += tally.actions;
            work_ns += tally.work_ns;
            missed += tally.missed;
            migrations += tally.migrations;
            refused += tally.refused;
            if (tally.work_ns < least_work_ns) least_work_ns = tally.work_ns;
            if (tally.work_ns > most_work_ns) most_work_ns = tally.work_ns;
        }
    };

    void merge() {
        total_.clear();
        for (uint32_t t = 0; t < runner_.plan().task_count; ++t) total_.merge(runner_.latencies(t));
    }
    void counts(const Sum& sum, const Histogram& latencies) {
        put("\"loops\":{},\"steps\":{},\"work_ns\":{},\"wakeups\":{},\"latency_ns\":{{\"median\":{},\"p99\":{},\"max\":"
            "{}}},"
            "\"missed\":{},\"refused\":{},\"migrations\":{}",
            sum.loops, sum.actions, sum.work_ns, latencies.count(), latencies.quantile(5000), latencies.quantile(9900),
            latencies.largest(), sum.missed, sum.refused, sum.migrations);
    }
    static Text comma(uint32_t index) { return index == 0 ? Text() : Text(","); }
    template <typename... Arguments>
    void put(FormatString<std::type_identity_t<Arguments>...> format, const Arguments&... arguments) {
        char text[400];
        sink_.append(Text(text, format_to(Span<char>(text), format, arguments...)));
    }

    const Runner<System>& runner_;
    Histogram& total_;
    Sink& sink_;
};

}  // namespace helix::workload
