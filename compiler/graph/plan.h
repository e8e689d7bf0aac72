#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/graph/fuse.h"
#include "compiler/graph/graph.h"
#include "compiler/graph/views.h"
#include "compiler/te/dag.h"

// A graph as what runs it: kernels one after the other on places in memory.

namespace tessera::graph {

// A kernel to tune and to build. Steps whose definitions are the same but for names share one.
struct Task {
  te::Workload workload;  // its name is the only one of the plan
  int steps = 0;          // that run it
};

struct Step {
  int task = 0;
  std::vector<int> operands;  // nodes, as the workload's inputs
  int result = 0;             // node
};

// Where a node's value lies while the plan runs. Nodes that lie within kernels are kNowhere.
struct Place {
  enum class Kind : uint8_t { kNowhere, kInput, kConstant, kOutput, kArena };
  Kind kind = Kind::kNowhere;
  int64_t at = 0;  // number of the input or output, node of the constant, offset in the arena

  friend bool operator==(const Place&, const Place&) = default;
};

struct Plan {
  Graph graph;  // with copies where outputs need memory of their own
  std::vector<Task> tasks;
  std::vector<Step> steps;
  std::vector<Place> places;  // by node
  int64_t arena_bytes = 0;
  int64_t least_arena_bytes = 0;  // what no plan goes below
};

// What a kernel is called after the node that is its result: as workloads may be, and short enough
// for something behind it. Several nodes may have the same.
std::string TaskName(std::string_view node);

// Fuses the graph's operators, names and counts the kernels, and shares one arena among the values
// in between. Views are other names of the same bytes, and
// parts are computed where they belong (views.h). Values are stored as their types
// say.
absl::StatusOr<Plan> MakePlan(const Graph& graph);

}  // namespace tessera::graph
