#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "compiler/codegen/codegen.h"
#include "compiler/graph/graph.h"
#include "compiler/graph/plan.h"
#include "compiler/library/library.h"
#include "compiler/schedule/default_trace.h"

namespace tessera::library {

// The host with two threads.
inline std::string HostText() {
  ir::Target target = codegen::HostTarget();
  target.max_threads = 2;
  return ir::ToString(target);
}

// The model "net", with default schedules for each target.
inline LibrarySpec SpecOf(const graph::Plan& plan,
                          const std::vector<std::string>& targets = {HostText()}) {
  LibrarySpec spec;
  spec.name = "net";
  for (const std::string& text : targets) {
    spec.versions.push_back({ir::ParseTarget(text).value(), ""});
  }
  for (const graph::Task& task : plan.tasks) {
    LibraryOp op{.name = task.workload.name, .workload = task.workload};
    for (const LibraryVersion& version : spec.versions) {
      Implementation made;
      made.trace = schedule::DefaultTrace(task.workload.dag, version.target).value();
      made.is_default = true;
      op.versions.push_back(std::move(made));
    }
    spec.ops.push_back(std::move(op));
  }
  spec.model = ModelOf(plan, "net");
  return spec;
}

// Layers of `width` × `width` weights behind each other, each with a softmax.
inline graph::Plan LayersPlan(int layers, int64_t width) {
  const auto checked = [](const absl::StatusOr<int>& node) {
    INFO(node.status());
    REQUIRE(node.ok());
    return *node;
  };
  const ir::Type f32 = ir::ParseType("f32").value();
  graph::GraphBuilder builder("net");
  int value = checked(builder.Input("x", {f32, {1, width}, {}}));
  for (int layer = 0; layer < layers; ++layer) {
    std::vector<double> weights(static_cast<size_t>(width * width));
    for (size_t i = 0; i < weights.size(); ++i) {
      weights[i] = static_cast<double>((i * 7 + static_cast<size_t>(layer)) % 13) / 16 - 0.375;
    }
    const int w = checked(builder.Constant("w", graph::MakeTensor(f32, {width, width}, weights)));
    value = checked(builder.Add("matmul", {value, w}, {{"transpose_b", int64_t{1}}}));
    value = checked(builder.Add("softmax", {value}));
  }
  const absl::StatusOr<graph::Plan> plan = graph::MakePlan(std::move(builder).Finish({value}));
  INFO(plan.status());
  REQUIRE(plan.ok());
  return *plan;
}

}  // namespace tessera::library
