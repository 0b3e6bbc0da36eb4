// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Reading a workload file.

#include "workload_file.hpp"

#include "failure.hpp"
#include "files.hpp"

#include "modules/workload/plan_parser.hpp"

namespace helix::tool {

WorkloadFile load_workload(const std::filesystem::path& file) {
    WorkloadFile out{read_file(file), nullptr};
    const auto parser = std::make_unique<workload::PlanParser>();
    auto plan = std::make_unique<workload::Plan>();
    workload::PlanProblem problem;
    if (!parser->parse(Text(out.text), *plan, problem))
        throw Failure(ExitStatus::Failed, "{}:{}:{}: {}", file.string(), problem.line, problem.column,
                      std::string_view(problem.sentence.text()));
    out.plan = std::move(plan);
    return out;
}

}  // namespace helix::tool
