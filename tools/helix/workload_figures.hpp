// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What came of the runs of a workload under one policy: figures, and how they are printed.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace helix::tool {

/// Of all runs together, unless a line says otherwise. Members are explained in docs/workloads.md.
struct WorkloadFigures {
    std::string name;  ///< of the policy, or a peer's
    unsigned runs = 0;
    double elapsed_s = 0;
    double throughput = 0;  ///< CPUs' worth of work; the median of the runs
    double fairness = 1;    ///< of the worst task; the median of the runs
    uint64_t loops = 0;
    uint64_t wakeups = 0;
    uint64_t median_ns = 0;
    uint64_t p99_ns = 0;
    uint64_t max_ns = 0;
    uint64_t switches = 0;
    uint64_t migrations = 0;
    uint64_t missed = 0;
    uint64_t refused = 0;
    /// Latencies: the end of a bucket and how many there are in it, shortest first.
    std::vector<std::pair<uint64_t, uint64_t>> latencies = {};
    nlohmann::ordered_json tasks = nlohmann::ordered_json::array();

    double per_second(uint64_t count) const { return elapsed_s > 0 ? static_cast<double>(count) / elapsed_s : 0; }
};

/// What a run printed: the value of `run`, and that of `details`.
struct WorkloadRun {
    nlohmann::ordered_json summary;
    nlohmann::ordered_json details;
};

/// The two lines of a run among `output`. Throws Failure, naming `who`, when they are not there.
WorkloadRun workload_run_in(std::string_view output, std::string_view who);

/// There is at least one run.
WorkloadFigures workload_figures(std::string name, const std::vector<WorkloadRun>& runs);

/// Jain's index (Jain, Chiu and Hawe, DEC-TR-301, 1984) of what each got: 1 if all got the same, 1/n if one got all.
double fairness_index(const std::vector<double>& shares);

/// For people, with a line of headings; for spreadsheets, likewise; for programs, an object a line.
std::string workload_table(const std::vector<WorkloadFigures>& all);
std::string workload_csv(const std::vector<WorkloadFigures>& all);
std::string workload_json(const std::vector<WorkloadFigures>& all);

}  // namespace helix::tool
