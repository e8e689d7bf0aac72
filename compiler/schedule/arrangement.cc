#include "compiler/schedule/arrangement.h"

#include <algorithm>
#include <utility>

namespace tessera::schedule {
namespace {

// Two units of four cycles each would do with 8, loads of operands need more
// (schedule_space/register_tile.cc).
constexpr double kEnoughAccumulators = 14;
// What a load costs beside a multiplication: of the other operand, which stays in the nearest
// cache, and of weights, which don't.
constexpr double kLoadCost = 0.25, kWeightCost = 0.5;
// Edges of their own, with tests.
constexpr double kPartialShare = 0.8;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// How much of what parts of `size` compute is there.
double UsefulShare(int64_t extent, int64_t size) {
  const auto share =
      static_cast<double>(extent) / static_cast<double>(CeilDiv(extent, size) * size);
  return share < 1 ? share * kPartialShare : 1;
}

// The weights and the axis of `state` that indexes a dimension of theirs alone: reads of other
// buffers don't depend on it, so a vector over it broadcasts them. Nothing if there is no such
// axis.
std::optional<std::pair<Arrangement::Weights, int>> FindWeights(const StageState& state,
                                                                int64_t lanes) {
  const int spatial = static_cast<int>(state.stage->axes.size());
  for (const Access& read : state.analysis->reads) {
    if (read.buffer->policy != ir::LayoutPolicy::kFree) continue;
    for (size_t d = 0; d < read.dims.size(); ++d) {
      const AxisForm& form = read.dims[d];
      if (!form.affine || form.terms.size() != 1 || form.terms[0].second != 1) continue;
      const int axis = form.terms[0].first;
      if (axis >= spatial || state.stage->axes[axis].extent < lanes) continue;
      bool alone = true;
      for (const Access& other : state.analysis->reads) {
        for (size_t e = 0; e < other.dims.size(); ++e) {
          if (other.buffer == read.buffer && e == d) continue;
          alone &= !Uses(other.dims[e], axis);
        }
      }
      if (alone) return std::pair(Arrangement::Weights{read.buffer, static_cast<int>(d)}, axis);
    }
  }
  return std::nullopt;
}

// The axis along which results are next to each other, and how many are; row-major: that of the
// last extent.
std::pair<int, int64_t> ContiguousAxis(const Schedule& schedule, const te::Stage& stage) {
  const std::vector<ir::LayoutDim> layout = schedule.LayoutOf(stage.output());
  for (size_t i = layout.size(); i-- > 0;) {
    if (layout[i].extent > 1) return {layout[i].axis, layout[i].extent};
  }
  for (int a = static_cast<int>(stage.axes.size()) - 1; layout.empty() && a >= 0; --a) {
    if (stage.axes[a].extent > 1) return {a, stage.axes[a].extent};
  }
  return {-1, 1};
}

// What alone has `axis`, as its innermost dimension: vectors of it are multiplied by what they
// broadcast. Null if there is no such operand.
ir::Buffer FindRows(const Schedule& schedule, const StageState& state, int axis) {
  const std::vector<Access>& reads = state.analysis->reads;
  const Access* rows = nullptr;
  for (const Access& read : reads) {
    if (!Uses(read, axis)) continue;
    if (rows != nullptr || !IsPlain(read.dims.back(), axis)) return nullptr;
    for (size_t d = 0; d + 1 < read.dims.size(); ++d) {
      if (Uses(read.dims[d], axis)) return nullptr;
    }
    rows = &read;
  }
  if (rows == nullptr || reads.size() < 2 || !schedule.LayoutOf(rows->buffer).empty()) {
    return nullptr;
  }
  return rows->buffer;
}

// Chooses how many vectors and places of a sum of products are accumulated at once.
class TileChooser {
 public:
  // `operand`: whose elements along the vector axis of `begun` the vectors are.
  TileChooser(const StageState& state, const ir::Target& target, ir::Buffer operand,
              Arrangement begun)
      : state_(state), target_(target), operand_(std::move(operand)), best_(std::move(begun)) {
    const ir::Type type = state.stage->output()->type;
    const bool widens = std::ranges::any_of(
        state.analysis->reads, [&](const Access& read) { return read.buffer->type != type; });
    // Values on their way to a wider type take registers, too.
    most_ = widens ? target.vector_registers / 2 - 2 : target.vector_registers * 3 / 4;
    most_ = std::max<int64_t>(1, most_);
  }

  Arrangement Run() && {
    const std::vector<te::Axis>& axes = state_.stage->axes;
    const int64_t whole = best_.lanes;
    for (int64_t lanes = whole; lanes * kMostCuts >= whole && lanes > 0; lanes /= 2) {
      // Halves are for where whole vectors would leave some of their lanes unused.
      if (lanes < whole && axes[best_.vector_axis].extent % lanes != 0) continue;
      const double speed = static_cast<double>(lanes) / static_cast<double>(whole);
      Try(lanes, speed, -1, 1);
      for (int axis = static_cast<int>(axes.size()) - 1; axis >= 0; --axis) {
        if (axis == best_.vector_axis || MovesOperand(axis)) continue;
        for (int64_t tile = 2; tile <= std::min(most_, axes[axis].extent); ++tile) {
          Try(lanes, speed, axis, tile);
        }
      }
      if (axes[best_.vector_axis].extent % lanes == 0) break;
    }
    return std::move(best_);
  }

 private:
  static constexpr int kSpareRegisters = 2;
  static constexpr int64_t kMostCuts = 4;

  bool MovesOperand(int axis) const {
    return std::ranges::any_of(state_.analysis->reads, [&](const Access& read) {
      return read.buffer == operand_ && Uses(read, axis);
    });
  }

  void Try(int64_t lanes, double speed, int tile_axis, int64_t tile) {
    const std::vector<te::Axis>& axes = state_.stage->axes;
    const int64_t extent = axes[best_.vector_axis].extent;
    // Tests of one edge are cut off from the other loops, not those of two; and not where lanes of
    // a vector are unused, but for that of vectors one by one.
    const bool has_edge = tile_axis >= 0 && axes[tile_axis].extent % tile != 0;
    const int64_t most = extent % lanes != 0 ? 1 : std::min(extent / lanes, most_ / tile);
    for (int64_t vectors = 1; vectors <= most; ++vectors) {
      if (has_edge && extent % (lanes * vectors) != 0) continue;
      // Of one operand the values of a step stay in registers, those of the other pass.
      const int64_t held = std::min(vectors, tile);
      if (vectors * tile + held + kSpareRegisters > target_.vector_registers) break;
      const double score = speed * Score(lanes * vectors, tile_axis, tile, vectors);
      if (score <= score_) continue;
      score_ = score;
      best_.lanes = lanes;
      best_.vectors = vectors;
      best_.tile_axis = tile_axis;
      best_.tile = tile;
    }
  }

  // Of the speed of multiplications alone.
  double Score(int64_t block, int tile_axis, int64_t tile, int64_t vectors) const {
    const std::vector<te::Axis>& axes = state_.stage->axes;
    const auto accumulators = static_cast<double>(tile * vectors);
    double score = accumulators / (std::max(accumulators, kEnoughAccumulators) +
                                   kLoadCost * static_cast<double>(tile) +
                                   kWeightCost * static_cast<double>(vectors));
    // Turns of the loops that threads share: the outer ones, or else those around a tile.
    int64_t outer = 1, around = 1;
    bool has_outer = false;
    for (int a = 0; a < static_cast<int>(axes.size()); ++a) {
      const bool is_vector = a == best_.vector_axis, is_tile = a == tile_axis;
      const int64_t size = is_vector ? block : is_tile ? tile : 1;
      const int64_t parts = CeilDiv(axes[a].extent, size);
      score *= UsefulShare(axes[a].extent, size);
      const bool is_around = is_tile || (is_vector && !best_.weights);
      (is_around ? around : outer) *= parts;
      has_outer |= !is_around;
    }
    const int64_t shared = has_outer ? outer : around;
    const int64_t turns = CeilDiv(shared, target_.max_threads);
    return score * static_cast<double>(shared) / static_cast<double>(turns * target_.max_threads);
  }

  const StageState& state_;
  const ir::Target& target_;
  const ir::Buffer operand_;
  int64_t most_ = 1;  // accumulators
  Arrangement best_;
  double score_ = 0;
};

}  // namespace

Arrangement Arrange(const Schedule& schedule, int index, const ir::Target& target) {
  const StageState& state = schedule.stages()[index];
  const te::Stage& stage = *state.stage;
  const int64_t lanes = target.Lanes(std::max<int>(8, stage.output()->type.bits));
  if (stage.is_reduction() && stage.outputs.size() == 1) {
    if (auto found = FindWeights(state, lanes)) {
      return TileChooser(state, target, found->first.buffer,
                         {.vector_axis = found->second, .lanes = lanes, .weights = found->first})
          .Run();
    }
  }
  const auto [axis, run] = ContiguousAxis(schedule, stage);
  Arrangement made{.vector_axis = axis, .lanes = std::min<int64_t>(lanes, run)};
  if (axis < 0 || run < lanes || !stage.is_reduction() || stage.outputs.size() != 1) return made;
  const ir::Buffer rows = FindRows(schedule, state, axis);
  return rows == nullptr ? made : TileChooser(state, target, rows, std::move(made)).Run();
}

}  // namespace tessera::schedule
