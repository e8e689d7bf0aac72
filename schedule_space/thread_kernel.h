#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/schedule.h"
#include "schedule_space/group.h"

// Kernels of a GPU as parts of a group (thread_group.h). Internal to this folder.

namespace tessera::space {

// Axes of a sum of products that the threads of a wave share out as the instruction wants that
// multiplies matrices (compiler/codegen/gpu/matrix_products.h): row and column by place among the
// store's, term among the reduction's.
struct WaveAxes {
  size_t row, column, term;
  int64_t terms;  // of an instruction
};
constexpr int64_t kWaveRows = 8, kWaveColumns = 4;  // threads of a wave along an axis

// Nothing where the stage is no such sum, or fills too little of the instruction.
std::optional<WaveAxes> FindWaveAxes(const schedule::StageState& sum);

// Stages that are one kernel.
struct ThreadKernelSpec {
  int store = -1;  // the stage at the root: its axes are shared out
  int reduce =
      -1;  // summed up where `store` reads it; -1: there is none, or `store` reduces itself
  std::vector<int> copies;     // of operands of `reduce`: by a block for its threads, or inlined
  bool is_shared_sum = false;  // the threads of a block share the reduction's terms (thread_sum.h)
  std::optional<WaveAxes> waves;  // by which tiles are shared out; nothing: freely
  bool has_parts = false;  // the last axis counts parts of a reduction: blocks have one part each
};

// Where stages of the base are in a schedule once rfactor has put others in front of some.
class Places {
 public:
  void Add(int stage, int count) { added_.emplace_back(stage, count); }
  int Of(int stage) const {
    int place = stage;
    for (const auto& [before, count] : added_) place += before <= stage ? count : 0;
    return place;
  }

 private:
  std::vector<std::pair<int, int>> added_;
};

// One kernel's knobs, which it adds to those of its group, and what they decide. Immutable.
class ThreadKernel {
 public:
  virtual ~ThreadKernel() = default;
  // As Group's.
  virtual void Canonicalize(absl::Span<int> choices) const = 0;
  // Says which stages its steps add.
  virtual void AddStages(absl::Span<const int>, Places&) const {}
  // The nests of its stages, which are where `places` says, after its steps.
  virtual void Decide(absl::Span<const int> choices, const Places& places,
                      Decisions& decisions) const = 0;
};

// A tile for each block, thread and virtual thread, as thread_group.h says.
std::unique_ptr<ThreadKernel> MakeThreadTile(const schedule::Schedule& base, ThreadKernelSpec spec,
                                             const ir::Target& target, const std::string& prefix,
                                             std::vector<Knob>& knobs);

constexpr int kMaxTiledAxes = 4;
constexpr int64_t kUsualBlockThreads = 64;

int64_t PowerAtLeast(int64_t n);
int64_t Product(const Option& option);
// All options of one of `choices` for each part, within `limit` when multiplied.
std::vector<Option> Combine(const std::vector<std::vector<int64_t>>& choices, int64_t limit);
// The innermost of a kernel's axes that have an extent; tiles of all would be too many to choose
// from.
std::vector<bool> TiledAxes(const te::Stage& store, bool has_parts);
// Blocks of a few waves are likelier than smaller ones.
double BlockWeight(int64_t threads);

inline schedule::LoopState BoundLoop(ir::ThreadAxis axis) {
  schedule::LoopState loop;
  loop.kind = ir::LoopKind::kThread;
  loop.thread_axis = axis;
  return loop;
}

// What kernels share of reading their knobs.
class KnobReader {
 public:
  explicit KnobReader(std::vector<Knob>& knobs) : knobs_(knobs) {}

 protected:
  int Add(Knob knob) {
    knobs_.push_back(std::move(knob));
    return static_cast<int>(knobs_.size()) - 1;
  }
  const Option& Chosen(absl::Span<const int> choices, int knob) const {
    return knobs_[knob].options[choices[knob]];
  }
  void Set(absl::Span<int> choices, int knob, const Option& option) const {
    if (knob < 0) return;
    choices[knob] = FindOption(knobs_[knob], option);
    TESSERA_CHECK(choices[knob] >= 0);
  }

  std::vector<Knob>& knobs_;  // of the group
};

}  // namespace tessera::space
