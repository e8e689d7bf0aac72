#pragma once

#include <vector>

#include "absl/status/status.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/schedule.h"
#include "compiler/te/dag.h"
#include "compiler/vta/code.h"

namespace tessera::codegen::vta {

// A root nest of a loop structure, with what is computed inside of it. Stages count as in
// LoopStructure::stages; buffers are those of definitions. References outlive it.
class Nest {
 public:
  Nest(const schedule::Schedule& schedule, const schedule::LoopStructure& loops, int root);

  // InvalidArgument where loops are vectors, in parallel, fused, or count beyond what is computed,
  // or something but loads and one sum is computed inside. The others require that it is fine.
  absl::Status Check() const;

  const schedule::Schedule& schedule() const { return schedule_; }
  int root() const { return root_; }
  int sum() const { return sums_[0]; }
  const std::vector<int>& copies() const { return copies_; }
  const schedule::BoundStage& bound(int stage) const { return loops_.stages[stage]; }
  const schedule::StageState& state(int stage) const {
    return schedule_.stages()[bound(stage).stage];
  }
  const te::Stage& definition(int stage) const { return *state(stage).stage; }
  const ir::BufferNode* output(int stage) const { return definition(stage).output().get(); }

  // Computed in the body of that loop of `stage`, in order.
  std::vector<int> ChildrenAt(int stage, size_t loop) const;
  // How many loops of `stage` are around something else.
  size_t LeafDepth(int stage) const;
  int64_t ExtentOf(int loop) const { return extents_[loop]; }
  bool IsVirtual(int loop) const { return is_virtual_[loop]; }
  // The innermost loop with turns around the work of `stage`; -1 if there is none.
  int TurnsAround(int stage) const;

  bool Reads(int stage, const ir::BufferNode* buffer) const;
  // How `stage` reads `buffer`, which it reads at one place.
  const schedule::Access& AccessOf(int stage, const ir::BufferNode* buffer) const;
  // What a copy copies.
  const schedule::Access& SourceOf(int copy) const { return state(copy).analysis->reads[0]; }
  // Positions within a stage's own region: of its spatial axes.
  schedule::AxisValues OwnPositions(int stage) const;
  // Where `stage` reads in memory that begins at `base`.
  schedule::AxisValues PositionsIn(int stage, const ir::BufferNode* buffer,
                                   const schedule::AxisValues& base) const;

  // The number of an input or output of the workload; -1: it is neither.
  int ParameterOf(const ir::BufferNode* buffer) const;

 private:
  const schedule::Schedule& schedule_;
  const schedule::LoopStructure& loops_;
  int root_;
  std::vector<int> sums_, copies_;  // in order
  std::vector<int64_t> extents_;    // by loop
  std::vector<bool> is_virtual_;
};

// The loops that are open where something is emitted.
class Turns {
 public:
  void Open(int loop) { open_.push_back(loop); }
  void Close() { open_.pop_back(); }
  int depth() const { return static_cast<int>(open_.size()); }
  // A loop that is none of the program's: its turn is known.
  void Fix(int loop, int64_t turn);

  // Requires that all of its loops are open or fixed.
  tessera::vta::Value ToValue(const schedule::AffineValue& value) const;

 private:
  std::vector<int> open_;
  std::vector<std::pair<int, int64_t>> fixed_;
};

}  // namespace tessera::codegen::vta
