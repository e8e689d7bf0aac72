#include "compiler/schedule/default_trace.h"

#include <algorithm>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "compiler/schedule/accelerator.h"
#include "compiler/schedule/external.h"
#include "compiler/schedule/schedule.h"

namespace tessera::schedule {
namespace {

// Applies `step` and writes it down.
absl::Status Do(Schedule& schedule, Trace& trace, Step step) {
  TESSERA_RETURN_IF_ERROR(schedule.Apply(step));
  trace.push_back(std::move(step));
  return absl::OkStatus();
}

// Into all but stages `kept`, by index, whose definitions stay as they are.
void InlineCheapStages(Schedule& schedule, Trace& trace, const std::set<int>& kept = {}) {
  for (size_t i = 0; i < schedule.stages().size(); ++i) {
    const StageState& state = schedule.stages()[i];
    const std::string name = state.stage->name();
    if (state.stage->is_reduction() || schedule.IsOutput(state.stage->output())) continue;
    const std::vector<int> consumers = schedule.Consumers(static_cast<int>(i));
    if (std::ranges::any_of(consumers, [&](int consumer) { return kept.contains(consumer); })) {
      continue;
    }
    const bool recomputes = consumers.size() > 1;
    if (recomputes && state.analysis->operations.float_math > 0) continue;
    // What would make a consumer's body too large stays a stage of its own.
    Do(schedule, trace, {Primitive::kInline, name, {}, {}, {}}).IgnoreError();
  }
}

// How a stage's loops are arranged: `outer` run in order around the reductions, then the unrolled
// tile, then the vector.
struct Arrangement {
  std::string vector_axis;  // empty: no axis has any extent
  int64_t lanes = 1;
  std::string tile_axis;  // empty: none
  int64_t tile = 1;
  bool broadcasts = false;  // the vector's lanes meet the same elements of all but the weights
};

// The largest divisor of `extent` whose accumulators leave registers for what is loaded.
int64_t TileOf(int64_t extent, const ir::Target& target) {
  int64_t tile = std::clamp<int64_t>(target.vector_registers / 2 - 2, 1, extent);
  while (extent % tile != 0) --tile;
  return tile;
}

// The axis of `stage` that indexes a dimension of the weights alone: reads of other buffers don't
// depend on it, so a vector over it broadcasts them. Nothing if there is no such axis.
struct WeightAxis {
  ir::Buffer weights;
  int axis;
  int dimension;  // of the weights
};
std::optional<WeightAxis> FindWeightAxis(const StageState& state, int lanes) {
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
          for (const auto& [used, coefficient] : other.dims[e].terms) alone &= used != axis;
          for (const auto& [used, slope] : other.dims[e].slopes) alone &= used != axis;
        }
      }
      if (alone) return WeightAxis{read.buffer, axis, static_cast<int>(d)};
    }
  }
  return std::nullopt;
}

// Packs the weights with the vector's dimension innermost.
absl::Status PackWeights(Schedule& schedule, Trace& trace, const WeightAxis& choice) {
  const std::vector<int64_t>& shape = choice.weights->shape;
  std::vector<ir::LayoutDim> layout;
  for (int d = 0; d < static_cast<int>(shape.size()); ++d) {
    if (d != choice.dimension) layout.push_back({d, 1, shape[d]});
  }
  layout.push_back({choice.dimension, 1, shape[choice.dimension]});
  return Do(schedule, trace,
            {Primitive::kLayout, choice.weights->name, {}, {}, ir::LayoutToString(layout, shape)});
}

// Keeps what lies between stages as the workload's result is stored, where it has the same
// elements: vectors of one are then vectors of the other.
absl::Status StoreAsResult(Schedule& schedule, Trace& trace, const te::Dag& dag, int index) {
  const ir::Buffer& made = schedule.stages()[index].stage->output();
  if (schedule.IsOutput(made)) return absl::OkStatus();
  for (const ir::Buffer& result : dag.outputs) {
    if (result->layout.empty() || result->shape != made->shape) continue;
    const std::string layout = ir::LayoutToString(result->layout, result->shape);
    return Do(schedule, trace, {Primitive::kLayout, made->name, {}, {}, layout});
  }
  return absl::OkStatus();
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

absl::StatusOr<Arrangement> Arrange(Schedule& schedule, Trace& trace, int index, int lanes,
                                    const ir::Target& target) {
  const StageState& state = schedule.stages()[index];
  const te::Stage& stage = *state.stage;
  Arrangement arrangement{.lanes = lanes};
  int vector_axis = -1;
  if (stage.is_reduction() && stage.outputs.size() == 1) {
    if (const std::optional<WeightAxis> choice = FindWeightAxis(state, lanes)) {
      vector_axis = choice->axis;
      TESSERA_RETURN_IF_ERROR(PackWeights(schedule, trace, *choice));
    }
  }
  const bool broadcasts = vector_axis >= 0;
  arrangement.broadcasts = broadcasts;
  if (!broadcasts) {
    const auto [axis, run] = ContiguousAxis(schedule, stage);
    vector_axis = axis;
    arrangement.lanes = std::min<int64_t>(lanes, run);
  }
  for (int a = static_cast<int>(stage.axes.size()) - 1; a >= 0; --a) {
    if (stage.axes[a].extent == 1 || a == vector_axis) continue;
    if (broadcasts && arrangement.tile == 1) {
      arrangement.tile = TileOf(stage.axes[a].extent, target);
      if (arrangement.tile > 1) arrangement.tile_axis = stage.axes[a].var->name;
    }
  }
  if (vector_axis >= 0) arrangement.vector_axis = stage.axes[vector_axis].var->name;
  return arrangement;
}

absl::Status ScheduleStage(Schedule& schedule, Trace& trace, int index, const ir::Target& target) {
  const std::string name = schedule.stages()[index].stage->name();
  const int most_lanes =
      target.Lanes(std::max<int>(8, schedule.stages()[index].stage->output()->type.bits));
  TESSERA_ASSIGN_OR_RETURN(const Arrangement arrangement,
                           Arrange(schedule, trace, index, most_lanes, target));
  const int64_t lanes = arrangement.lanes;
  const te::Stage& stage = *schedule.stages()[index].stage;

  std::vector<std::string> outer, split_outer, reductions, tile;
  std::string vector_loop;
  for (const te::Axis& axis : stage.axes) {
    const std::string& loop = axis.var->name;
    if (loop == arrangement.vector_axis) {
      vector_loop = loop;
      if (axis.extent <= lanes) continue;
      TESSERA_RETURN_IF_ERROR(Do(schedule, trace, {Primitive::kSplit, name, {loop}, {lanes}, {}}));
      vector_loop = absl::StrCat(loop, ".1");
      // Outermost of all, so that a vector's weights stay in a cache while everything else passes.
      if (arrangement.broadcasts) {
        outer.insert(outer.begin(), absl::StrCat(loop, ".0"));
      } else {
        split_outer.push_back(absl::StrCat(loop, ".0"));
      }
    } else if (loop == arrangement.tile_axis) {
      TESSERA_RETURN_IF_ERROR(
          Do(schedule, trace, {Primitive::kSplit, name, {loop}, {arrangement.tile}, {}}));
      split_outer.push_back(absl::StrCat(loop, ".0"));
      tile.push_back(absl::StrCat(loop, ".1"));
    } else {
      outer.push_back(loop);
    }
  }
  for (const te::Axis& axis : stage.reduce_axes) reductions.push_back(axis.var->name);
  std::vector<std::string> order;
  for (const auto* part : {&outer, &split_outer, &reductions, &tile}) {
    order.insert(order.end(), part->begin(), part->end());
  }
  if (!vector_loop.empty()) order.push_back(vector_loop);
  if (order.size() > 1)
    TESSERA_RETURN_IF_ERROR(Do(schedule, trace, {Primitive::kReorder, name, order, {}, {}}));
  for (const std::string& loop : tile)
    TESSERA_RETURN_IF_ERROR(Do(schedule, trace, {Primitive::kUnroll, name, {loop}, {}, {}}));
  if (!vector_loop.empty()) {
    TESSERA_RETURN_IF_ERROR(
        Do(schedule, trace, {Primitive::kVectorize, name, {vector_loop}, {}, {}}));
  }
  if (target.max_threads == 1) return absl::OkStatus();
  const std::vector<std::string>& shared = outer.empty() ? split_outer : outer;
  if (shared.empty()) return absl::OkStatus();
  if (shared.size() > 1)
    TESSERA_RETURN_IF_ERROR(Do(schedule, trace, {Primitive::kFuse, name, shared, {}, {}}));
  return Do(schedule, trace, {Primitive::kParallel, name, {absl::StrJoin(shared, "+")}, {}, {}});
}

// A thread an element, blocks of neighbours along the innermost axes.
absl::Status BindStage(Schedule& schedule, Trace& trace, int index, const ir::Target& target) {
  constexpr int kBlockThreads = 64;
  const te::Stage& stage = *schedule.stages()[index].stage;
  const std::string name = stage.name();
  std::vector<std::string> blocks, threads, reductions;
  int64_t left = std::min(kBlockThreads, target.block_threads);
  for (size_t a = stage.axes.size(); a-- > 0;) {
    const std::string& loop = stage.axes[a].var->name;
    const int64_t extent = stage.axes[a].extent;
    if (extent <= left) {
      threads.insert(threads.begin(), loop);
      left /= extent;
    } else if (left == 1) {
      blocks.insert(blocks.begin(), loop);
    } else {
      TESSERA_RETURN_IF_ERROR(Do(schedule, trace, {Primitive::kSplit, name, {loop}, {left}, {}}));
      blocks.insert(blocks.begin(), absl::StrCat(loop, ".0"));
      threads.insert(threads.begin(), absl::StrCat(loop, ".1"));
      left = 1;
    }
  }
  for (const te::Axis& axis : stage.reduce_axes) reductions.push_back(axis.var->name);
  std::vector<std::string> order = blocks;
  order.insert(order.end(), threads.begin(), threads.end());
  order.insert(order.end(), reductions.begin(), reductions.end());
  if (order.size() > 1) {
    TESSERA_RETURN_IF_ERROR(Do(schedule, trace, {Primitive::kReorder, name, order, {}, {}}));
  }
  for (const auto& [loops, axis] : {std::pair(blocks, "block.x"), std::pair(threads, "thread.x")}) {
    if (loops.empty()) continue;
    if (loops.size() > 1) {
      TESSERA_RETURN_IF_ERROR(Do(schedule, trace, {Primitive::kFuse, name, loops, {}, {}}));
    }
    TESSERA_RETURN_IF_ERROR(
        Do(schedule, trace, {Primitive::kBind, name, {absl::StrJoin(loops, "+"), axis}, {}, {}}));
  }
  return absl::OkStatus();
}

// An accelerator's, tile by tile.
absl::StatusOr<Trace> TileForAccelerator(const te::Dag& dag, const ir::Target& target) {
  TESSERA_ASSIGN_OR_RETURN(AcceleratorDraft draft, DraftForAccelerator(dag, target));
  Trace trace = draft.steps;
  Schedule schedule = draft.schedule;
  for (Nest& nest : AcceleratorNests(draft, DefaultTiles(draft, target))) {
    const int stage = nest.stage;
    schedule.SetNest(std::move(nest));
    const Trace steps = StepsOf(schedule, stage);
    trace.insert(trace.end(), steps.begin(), steps.end());
  }
  return trace;
}

// The least number of equal parts of `extent` that gives `wanted` threads one each; 1: there is
// none of at least `least` elements.
int64_t PartsOf(int64_t extent, int64_t wanted, int64_t least) {
  for (int64_t parts = wanted; parts <= extent / least; ++parts) {
    if (extent % parts == 0) return parts;
  }
  return 1;
}

// A call for each matrix, or for each of some equal parts of it, which threads share.
absl::Status ScheduleCall(Schedule& schedule, Trace& trace, int index, const std::string& provider,
                          const ir::Target& target) {
  constexpr int64_t kLeastRows = 4, kLeastColumns = 16;  // below, calls take longer than their work
  const te::Stage& stage = *schedule.stages()[index].stage;
  const std::string name = stage.name();
  const te::Axis &row = *(stage.axes.end() - 2), &column = *(stage.axes.end() - 1);
  std::vector<std::string> outer, inner = {row.var->name, column.var->name};
  int64_t matrices = 1;
  for (auto axis = stage.axes.begin(); axis + 2 != stage.axes.end(); ++axis) {
    outer.push_back(axis->var->name);
    matrices *= axis->extent;
  }
  const int64_t wanted = (target.max_threads + matrices - 1) / matrices;
  int64_t parts = wanted > 1 ? PartsOf(row.extent, wanted, kLeastRows) : 1;
  const bool by_column = wanted > 1 && parts == 1;
  if (by_column) parts = PartsOf(column.extent, wanted, kLeastColumns);
  if (parts > 1) {
    const te::Axis& cut = by_column ? column : row;
    std::string& loop = inner[by_column ? 1 : 0];
    TESSERA_RETURN_IF_ERROR(
        Do(schedule, trace, {Primitive::kSplit, name, {loop}, {cut.extent / parts}, {}}));
    outer.push_back(loop + ".0");
    loop += ".1";
  }
  std::vector<std::string> order = outer;
  order.insert(order.end(), inner.begin(), inner.end());
  order.push_back(stage.reduce_axes[0].var->name);
  TESSERA_RETURN_IF_ERROR(Do(schedule, trace, {Primitive::kReorder, name, order, {}, {}}));
  if (target.max_threads > 1 && !outer.empty()) {
    if (outer.size() > 1) {
      TESSERA_RETURN_IF_ERROR(Do(schedule, trace, {Primitive::kFuse, name, outer, {}, {}}));
    }
    TESSERA_RETURN_IF_ERROR(
        Do(schedule, trace, {Primitive::kParallel, name, {absl::StrJoin(outer, "+")}, {}, {}}));
  }
  return Do(schedule, trace, {Primitive::kExternal, name, {provider}, {}, {}});
}

// The products that a library can compute, by index.
std::set<int> ProductsOf(const Schedule& schedule) {
  std::set<int> products;
  for (size_t i = 0; i < schedule.stages().size(); ++i) {
    const te::Stage& stage = *schedule.stages()[i].stage;
    const bool stores_rows =
        stage.output()->layout.empty() && schedule.LayoutOf(stage.output()).empty();
    if (stores_rows && FindMatrixProduct(stage).ok()) products.insert(static_cast<int>(i));
  }
  return products;
}

}  // namespace

absl::StatusOr<Trace> ExternalTrace(const te::Dag& dag, const ir::Target& target,
                                    std::string_view provider) {
  if (!ir::IsCpu(target.kind)) {
    return absl::InvalidArgumentError(
        absl::StrCat("external schedule: libraries are for CPUs, not ", ir::ToString(target)));
  }
  Schedule schedule(dag);
  const std::set<int> products = ProductsOf(schedule);
  if (products.empty()) {
    return absl::InvalidArgumentError(
        "external schedule: no stage is a product of matrices of f32 in rows");
  }
  Trace trace;
  InlineCheapStages(schedule, trace, products);
  for (size_t i = 0; i < schedule.stages().size(); ++i) {
    if (schedule.stages()[i].placement == Placement::kInlined) continue;
    const auto index = static_cast<int>(i);
    if (products.contains(index)) {
      TESSERA_RETURN_IF_ERROR(
          Annotate(ScheduleCall(schedule, trace, index, std::string(provider), target),
                   "external schedule"));
      continue;
    }
    TESSERA_RETURN_IF_ERROR(StoreAsResult(schedule, trace, dag, index));
    TESSERA_RETURN_IF_ERROR(
        Annotate(ScheduleStage(schedule, trace, index, target), "external schedule"));
  }
  return trace;
}

absl::StatusOr<Trace> DefaultTrace(const te::Dag& dag, const ir::Target& target) {
  if (target.kind == ir::TargetKind::kVta) {
    absl::StatusOr<Trace> trace = TileForAccelerator(dag, target);
    return trace.ok() ? trace : Annotate(trace.status(), "default schedule");
  }
  Schedule schedule(dag);
  Trace trace;
  InlineCheapStages(schedule, trace);
  for (size_t i = 0; i < schedule.stages().size(); ++i) {
    if (schedule.stages()[i].placement == Placement::kInlined) continue;
    const auto index = static_cast<int>(i);
    if (ir::IsCpu(target.kind)) {
      TESSERA_RETURN_IF_ERROR(StoreAsResult(schedule, trace, dag, index));
    }
    TESSERA_RETURN_IF_ERROR(Annotate(ir::IsGpu(target.kind)
                                         ? BindStage(schedule, trace, index, target)
                                         : ScheduleStage(schedule, trace, index, target),
                                     "default schedule"));
  }
  return trace;
}

}  // namespace tessera::schedule
