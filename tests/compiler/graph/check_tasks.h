#pragma once

#include <algorithm>

#include "compiler/graph/plan.h"
#include "compiler/ir/evaluate.h"
#include "compiler/schedule/default_trace.h"
#include "schedule_space/config_space.h"
#include "tests/compiler/graph/run.h"
#include "tests/support/lower_schedule.h"

namespace tessera::graph {

inline bool HasProduct(const te::Workload& workload) {
  return std::ranges::any_of(workload.dag.stages, [](const te::Stage& stage) {
    return stage.name().find("conv") == 0 || stage.name().find("matmul") == 0;
  });
}

// Every task has a space to search, and a default schedule; values too where they are small.
inline void CheckTasks(const Plan& plan, int least_products, bool checks_values) {
  const ir::Target target = *ir::ParseTarget("x86/avx512");
  int products = 0;
  for (const Task& task : plan.tasks) {
    INFO(te::Print(task.workload));
    products += HasProduct(task.workload) ? 1 : 0;
    const auto space = space::BuildSpace(task.workload, target, 2);
    INFO(space.status().ToString());
    CHECK(space.ok());
    const auto trace = schedule::DefaultTrace(task.workload.dag, target);
    INFO(trace.status().ToString());
    REQUIRE(trace.ok());
    const auto lowered = passes::LowerTrace(task.workload, *trace);
    INFO(lowered.status().ToString());
    REQUIRE(lowered.ok());
    if (!checks_values) continue;
    const auto expected = te::ComputeExpected(task.workload, 3);
    REQUIRE(expected.ok());
    const absl::Status same = te::CheckAgainst(task.workload, *expected, *lowered, ir::Evaluate);
    INFO(same.ToString());
    CHECK(same.ok());
  }
  CHECK(products >= least_products);
}

}  // namespace tessera::graph
