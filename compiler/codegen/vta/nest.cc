#include "compiler/codegen/vta/nest.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/codegen/vta/affine.h"
#include "compiler/schedule/product_tiles.h"

namespace tessera::codegen::vta {

using schedule::AffineValue;
using schedule::AxisValues;
using schedule::BoundLoop;
using schedule::BoundStage;

Nest::Nest(const schedule::Schedule& schedule, const schedule::LoopStructure& loops, int root)
    : schedule_(schedule),
      loops_(loops),
      root_(root),
      extents_(static_cast<size_t>(loops.loop_count), 1),
      is_virtual_(static_cast<size_t>(loops.loop_count), false) {
  for (size_t i = 0; i < loops.stages.size(); ++i) {
    const BoundStage& stage = loops.stages[i];
    for (const BoundLoop& loop : stage.loops) {
      extents_[loop.id] = loop.extent;
      is_virtual_[loop.id] = loop.thread_axis == ir::ThreadAxis::kVirtual;
    }
    int top = static_cast<int>(i);
    while (loops.stages[top].at >= 0) top = loops.stages[top].at;
    if (top != root || static_cast<int>(i) == root) continue;
    (schedule::FillsAccumulators(definition(static_cast<int>(i))) ? sums_ : copies_)
        .push_back(static_cast<int>(i));
  }
}

absl::Status Nest::Check() const {
  if (definition(root_).is_reduction() || definition(root_).outputs.size() != 1) {
    return absl::InvalidArgumentError(
        "is no elementwise stage, which is what the accelerator stores");
  }
  if (sums_.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", sums_.size(),
                     " reductions inside, or stages that widen i8; the accelerator is for one"));
  }
  std::vector<int> all = copies_;
  all.insert(all.end(), {root_, sum()});
  for (const int stage : all) {
    const std::string& name = definition(stage).name();
    std::vector<int64_t> spans(bound(stage).axes.size(), 1);
    for (const BoundLoop& loop : bound(stage).loops) {
      const bool is_virtual = is_virtual_[loop.id];
      if (is_virtual ? stage != root_ : loop.thread_axis != ir::ThreadAxis::kNone) {
        return absl::InvalidArgumentError(
            absl::StrCat(name, " has a loop bound to ", AbslView(ir::ToString(loop.thread_axis)),
                         "; only loops of ", definition(root_).name(), " may be virtual threads"));
      }
      if (!is_virtual && loop.kind != ir::LoopKind::kSerial) {
        return absl::InvalidArgumentError(absl::StrCat(
            name, " has a loop that is ", AbslView(ir::ToString(loop.kind)), "; leave it serial"));
      }
      if (loop.digits.size() != 1) {
        return absl::InvalidArgumentError(absl::StrCat(name, " has fused loops; leave them apart"));
      }
      const schedule::Digit& digit = loop.digits[0];
      spans[digit.axis] += digit.stride * (digit.extent - 1);
    }
    for (size_t a = 0; a < spans.size(); ++a) {
      if (stage != root_ && spans[a] > bound(stage).axes[a].extent) {
        return absl::InvalidArgumentError(
            absl::StrCat(name, " has loops over ", spans[a], " positions of an axis, of which ",
                         bound(stage).axes[a].extent, " are computed; choose factors that divide"));
      }
    }
    const bool is_copy = stage != root_ && stage != sum();
    // What is done to results is done once.
    if (is_copy && bound(stage).at == root_) {
      for (int l = bound(sum()).at_depth + 1; l <= bound(stage).at_depth; ++l) {
        if (bound(root_).loops[l].extent == 1) continue;
        return absl::InvalidArgumentError(
            absl::StrCat(name, " is computed in a loop inside of that of ",
                         definition(sum()).name(), "; compute it where that is, or further out"));
      }
    }
    if (is_copy && LeafDepth(stage) > 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " is a copy that something else is computed in"));
    }
  }
  return absl::OkStatus();
}

std::vector<int> Nest::ChildrenAt(int stage, size_t loop) const {
  std::vector<int> children;
  for (size_t i = 0; i < loops_.stages.size(); ++i) {
    if (loops_.stages[i].at == stage && loops_.stages[i].at_depth == static_cast<int>(loop)) {
      children.push_back(static_cast<int>(i));
    }
  }
  return children;
}

size_t Nest::LeafDepth(int stage) const {
  size_t depth = 0;
  for (const BoundStage& inner : loops_.stages) {
    if (inner.at == stage) depth = std::max(depth, static_cast<size_t>(inner.at_depth) + 1);
  }
  return depth;
}

int Nest::TurnsAround(int stage) const {
  for (int inner = stage; bound(inner).at >= 0; inner = bound(inner).at) {
    const BoundStage& around = bound(bound(inner).at);
    for (int depth = bound(inner).at_depth; depth >= 0; --depth) {
      const BoundLoop& loop = around.loops[depth];
      if (loop.extent > 1 && !is_virtual_[loop.id]) return loop.id;
    }
  }
  return -1;
}

bool Nest::Reads(int stage, const ir::BufferNode* buffer) const {
  return std::ranges::any_of(state(stage).analysis->reads, [&](const schedule::Access& access) {
    return access.buffer.get() == buffer;
  });
}

const schedule::Access& Nest::AccessOf(int stage, const ir::BufferNode* buffer) const {
  for (const schedule::Access& access : state(stage).analysis->reads) {
    if (access.buffer.get() == buffer) return access;
  }
  TESSERA_CHECK(false);
}

AxisValues Nest::OwnPositions(int stage) const {
  AxisValues positions = schedule::ValuesOfAxes(bound(stage));
  positions.resize(definition(stage).axes.size());
  for (size_t a = 0; a < positions.size(); ++a) {
    positions[a] = Add(positions[a], bound(stage).axes[a].base, -1);
  }
  return positions;
}

AxisValues Nest::PositionsIn(int stage, const ir::BufferNode* buffer,
                             const AxisValues& base) const {
  const AxisValues axes = schedule::ValuesOfAxes(bound(stage));
  AxisValues positions;
  const schedule::Access& access = AccessOf(stage, buffer);
  for (size_t d = 0; d < access.dims.size(); ++d) {
    AffineValue position;
    position.constant = access.dims[d].constant;
    for (const auto& [axis, coefficient] : access.dims[d].terms) {
      position = Add(std::move(position), axes[axis], coefficient);
    }
    positions.push_back(Add(std::move(position), base[d], -1));
  }
  return positions;
}

int Nest::ParameterOf(const ir::BufferNode* buffer) const {
  int number = 0;
  for (const te::Input& input : schedule_.inputs()) {
    if (input.buffer.get() == buffer) return number;
    ++number;
  }
  for (const ir::Buffer& output : schedule_.outputs()) {
    if (output.get() == buffer) return number;
    ++number;
  }
  return -1;
}

void Turns::Fix(int loop, int64_t turn) {
  const auto found = std::ranges::find(fixed_, loop, &std::pair<int, int64_t>::first);
  if (found != fixed_.end()) {
    found->second = turn;
  } else {
    fixed_.emplace_back(loop, turn);
  }
}

tessera::vta::Value Turns::ToValue(const AffineValue& value) const {
  tessera::vta::Value made{value.constant, {}};
  for (const schedule::LoopTerm& term : value.terms) {
    const auto fixed = std::ranges::find(fixed_, term.loop, &std::pair<int, int64_t>::first);
    if (fixed != fixed_.end()) {
      made.constant += term.coefficient * (fixed->second / term.divisor % term.extent);
      continue;
    }
    const auto open = std::ranges::find(open_, term.loop);
    TESSERA_CHECK(open != open_.end());
    made.terms.push_back(
        {static_cast<int>(open - open_.begin()), term.divisor, term.extent, term.coefficient});
  }
  return made;
}

}  // namespace tessera::codegen::vta
