#include "compiler/schedule/default_trace.h"

#include <algorithm>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "compiler/ir/matrix_call.h"
#include "compiler/schedule/accelerator.h"
#include "compiler/schedule/arrangement.h"
#include "compiler/schedule/external.h"
#include "compiler/schedule/external_convolution.h"
#include "compiler/schedule/schedule.h"
#include "compiler/te/saturating.h"

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

// Packs the weights in blocks of what is computed side by side, each of which is read from its
// beginning to its end.
absl::Status PackWeights(Schedule& schedule, Trace& trace, const Arrangement& arrangement) {
  const auto& [buffer, dimension] = *arrangement.weights;
  const std::vector<int64_t>& shape = buffer->shape;
  const int64_t extent = shape[dimension];
  const int64_t block = std::min(extent, arrangement.lanes * arrangement.vectors);
  std::vector<ir::LayoutDim> layout;
  if (block < extent) layout.push_back({dimension, block, (extent + block - 1) / block});
  for (int d = 0; d < static_cast<int>(shape.size()); ++d) {
    if (d != dimension) layout.push_back({d, 1, shape[d]});
  }
  layout.push_back({dimension, 1, block});
  return Do(schedule, trace,
            {Primitive::kLayout, buffer->name, {}, {}, ir::LayoutToString(layout, shape)});
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

// Of a stage that is done about as soon as other threads have begun to help.
constexpr int64_t kFewPoints = 4096;

int64_t PointsOf(const te::Stage& stage) {
  int64_t points = 1;
  for (const auto* axes : {&stage.axes, &stage.reduce_axes}) {
    for (const te::Axis& axis : *axes) points = te::SaturatingMultiply(points, axis.extent);
  }
  return points;
}

absl::Status ScheduleStage(Schedule& schedule, Trace& trace, int index, const ir::Target& target) {
  const std::string name = schedule.stages()[index].stage->name();
  const Arrangement arrangement = Arrange(schedule, index, target);
  if (arrangement.weights) {
    TESSERA_RETURN_IF_ERROR(PackWeights(schedule, trace, arrangement));
  }
  const int64_t lanes = arrangement.lanes;
  const te::Stage& stage = *schedule.stages()[index].stage;

  std::vector<std::string> outer, split_outer, reductions, tile;
  std::string vectors_loop, vector_loop;
  for (int a = 0; a < static_cast<int>(stage.axes.size()); ++a) {
    const std::string& loop = stage.axes[a].var->name;
    const int64_t extent = stage.axes[a].extent;
    if (a == arrangement.vector_axis) {
      vector_loop = loop;
      if (extent <= lanes) continue;
      std::vector<int64_t> factors = {lanes};
      if (arrangement.vectors > 1) factors.insert(factors.begin(), arrangement.vectors);
      TESSERA_RETURN_IF_ERROR(Do(schedule, trace, {Primitive::kSplit, name, {loop}, factors, {}}));
      vector_loop = absl::StrCat(loop, ".", factors.size());
      if (arrangement.vectors > 1) vectors_loop = absl::StrCat(loop, ".1");
      // Outermost of all, so that a block of weights stays in a cache while everything else passes.
      if (arrangement.weights) {
        outer.insert(outer.begin(), absl::StrCat(loop, ".0"));
      } else {
        split_outer.push_back(absl::StrCat(loop, ".0"));
      }
    } else if (a == arrangement.tile_axis) {
      TESSERA_RETURN_IF_ERROR(
          Do(schedule, trace, {Primitive::kSplit, name, {loop}, {arrangement.tile}, {}}));
      split_outer.push_back(absl::StrCat(loop, ".0"));
      tile.push_back(absl::StrCat(loop, ".1"));
    } else {
      outer.push_back(loop);
    }
  }
  if (!vectors_loop.empty()) tile.push_back(vectors_loop);
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
  if (target.max_threads == 1 || PointsOf(stage) < kFewPoints) return absl::OkStatus();
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

// Threads make calls at once: only builds that LoadThirdParty takes can stand that.
absl::Status ShareOut(Schedule& schedule, Trace& trace, const std::string& name,
                      const std::vector<std::string>& outer, const std::vector<std::string>& inner,
                      const std::string& provider, const ir::Target& target) {
  std::vector<std::string> order = outer;
  order.insert(order.end(), inner.begin(), inner.end());
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

// A call for each matrix, or for each of some equal parts of it.
absl::Status ScheduleProduct(Schedule& schedule, Trace& trace, int index,
                             const std::string& provider, const ir::Target& target) {
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
  inner.push_back(stage.reduce_axes[0].var->name);
  return ShareOut(schedule, trace, name, outer, inner, provider, target);
}

// A call for each image and group, or for each of equal parts of its filters.
absl::Status ScheduleConvolution(Schedule& schedule, Trace& trace, int index,
                                 const std::string& provider, const ir::Target& target) {
  const te::Stage& stage = *schedule.stages()[index].stage;
  const std::string name = stage.name();
  TESSERA_ASSIGN_OR_RETURN(const Convolution convolution, FindConvolution(stage, provider));
  TESSERA_ASSIGN_OR_RETURN(const StoredForm form, FormOf(schedule, stage, convolution));
  std::vector<std::string> outer, inner;
  int64_t images = 1;
  for (int a = 0; a < static_cast<int>(stage.axes.size()); ++a) {
    const te::Axis& axis = stage.axes[a];
    if (a < convolution.filter_axis) images *= axis.extent;
    (a < convolution.filter_axis ? outer : inner).push_back(axis.var->name);
  }
  for (const te::Axis& axis : stage.reduce_axes) inner.push_back(axis.var->name);
  const int64_t wanted = (target.max_threads + images - 1) / images;
  const int64_t parts = wanted > 1 ? PartsOf(convolution.filters / form.block, wanted, 1) : 1;
  if (parts > 1) {
    std::string& loop = inner[0];
    TESSERA_RETURN_IF_ERROR(
        Do(schedule, trace, {Primitive::kSplit, name, {loop}, {convolution.filters / parts}, {}}));
    outer.push_back(loop + ".0");
    loop += ".1";
  }
  return ShareOut(schedule, trace, name, outer, inner, provider, target);
}

// The stages that a library can compute on `target`, by index.
std::set<int> CallsOf(const Schedule& schedule, const ir::Target& target,
                      std::string_view provider) {
  std::set<int> calls;
  for (size_t i = 0; i < schedule.stages().size(); ++i) {
    const te::Stage& stage = *schedule.stages()[i].stage;
    const absl::StatusOr<MatrixProduct> product = FindMatrixProduct(stage, provider);
    if (product.ok()) {
      const bool stores_rows =
          stage.output()->layout.empty() && schedule.LayoutOf(stage.output()).empty();
      if (stores_rows && ir::CheckMultipliesOn(provider, product->a->type, target).ok()) {
        calls.insert(static_cast<int>(i));
      }
      continue;
    }
    const absl::StatusOr<Convolution> convolution = FindConvolution(stage, provider);
    if (convolution.ok() && ir::CheckMultipliesOn(provider, ir::Float(32), target).ok() &&
        BestForm(*convolution, target.Lanes(32)).ok()) {
      calls.insert(static_cast<int>(i));
    }
  }
  return calls;
}

// Stores `buffer`, which `reader` reads, in this order, or a copy of it where the workload fixes
// another.
absl::Status StoreAs(Schedule& schedule, Trace& trace, const ir::Buffer& buffer,
                     const std::string& reader, const std::vector<ir::LayoutDim>& layout) {
  if (SameLayout(schedule.LayoutOf(buffer), layout, buffer->shape)) return absl::OkStatus();
  const std::string text = ir::LayoutToString(layout, buffer->shape);
  if (Do(schedule, trace, {Primitive::kLayout, buffer->name, {}, {}, text}).ok()) {
    return absl::OkStatus();
  }
  TESSERA_RETURN_IF_ERROR(
      Do(schedule, trace, {Primitive::kCacheRead, buffer->name, {reader}, {}, {}}));
  const std::string copy = absl::StrCat(reader, ".", buffer->name);
  return Do(schedule, trace, {Primitive::kLayout, copy, {}, {}, text});
}

// What convolution `name` reads and makes, as a library has it. Returns the name of the stage that
// then is to be called.
absl::StatusOr<std::string> StoreForConvolution(Schedule& schedule, Trace& trace, std::string name,
                                                const std::string& provider,
                                                const ir::Target& target) {
  const auto stage = [&]() -> const te::Stage& {
    return *schedule.stages()[schedule.StageNamed(name)].stage;
  };
  TESSERA_ASSIGN_OR_RETURN(Convolution convolution, FindConvolution(stage(), provider));
  TESSERA_ASSIGN_OR_RETURN(const StoredForm form, BestForm(convolution, target.Lanes(32)));
  const ir::Buffer made = stage().output();
  const std::vector<ir::LayoutDim> layout = ResultLayout(stage(), form);
  const std::string text = ir::LayoutToString(layout, made->shape);
  if (!SameLayout(schedule.LayoutOf(made), layout, made->shape) &&
      !Do(schedule, trace, {Primitive::kLayout, name, {}, {}, text}).ok()) {
    TESSERA_RETURN_IF_ERROR(Do(schedule, trace, {Primitive::kCacheWrite, name, {}, {}, {}}));
    name += ".local";
    TESSERA_RETURN_IF_ERROR(Do(schedule, trace, {Primitive::kLayout, name, {}, {}, text}));
  }
  // What comes in and goes out in blocks is not stored anew, where the workload leaves that open.
  for (const ir::Buffer& result : schedule.outputs()) {
    if (result->policy != ir::LayoutPolicy::kBlocked || result->shape != made->shape) continue;
    Do(schedule, trace, {Primitive::kLayout, result->name, {}, {}, text}).IgnoreError();
  }
  TESSERA_RETURN_IF_ERROR(
      StoreAs(schedule, trace, convolution.weights, name, WeightsLayout(convolution, form)));
  TESSERA_RETURN_IF_ERROR(
      StoreAs(schedule, trace, convolution.data, name, DataLayout(convolution, form)));
  const int source = schedule.StageNamed(convolution.data->name);
  if (source < 0) return name;
  for (const te::Input& input : schedule.inputs()) {
    const ir::Buffer& read = input.buffer;
    const bool is_free = read->policy == ir::LayoutPolicy::kBlocked &&
                         read->shape.size() == convolution.data->shape.size() &&
                         schedule.stages()[source].Reads(read);
    if (!is_free) continue;
    convolution.data = read;
    const std::string blocks = ir::LayoutToString(DataLayout(convolution, form), read->shape);
    Do(schedule, trace, {Primitive::kLayout, read->name, {}, {}, blocks}).IgnoreError();
  }
  return name;
}

}  // namespace

absl::StatusOr<Trace> ExternalTrace(const te::Dag& dag, const ir::Target& target,
                                    std::string_view library) {
  const std::string provider(library);
  if (!ir::IsCpu(target.kind)) {
    return absl::InvalidArgumentError(
        absl::StrCat("external schedule: libraries are for CPUs, not ", ir::ToString(target)));
  }
  Schedule schedule(dag);
  const std::set<int> called = CallsOf(schedule, target, provider);
  if (called.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("external schedule: no stage is what ", provider,
                                                   " computes on ", ir::ToString(target)));
  }
  Trace trace;
  InlineCheapStages(schedule, trace, called);
  std::vector<std::string> names;
  for (const int index : called) names.push_back(schedule.stages()[index].stage->name());
  for (std::string& name : names) {
    const te::Stage& stage = *schedule.stages()[schedule.StageNamed(name)].stage;
    if (FindMatrixProduct(stage, provider).ok()) continue;
    absl::StatusOr<std::string> stored =
        StoreForConvolution(schedule, trace, name, provider, target);
    if (!stored.ok()) return Annotate(stored.status(), "external schedule");
    name = *std::move(stored);
  }
  for (size_t i = 0; i < schedule.stages().size(); ++i) {
    if (schedule.stages()[i].placement == Placement::kInlined) continue;
    const auto index = static_cast<int>(i);
    const te::Stage& stage = *schedule.stages()[i].stage;
    if (std::ranges::count(names, stage.name()) > 0) {
      const bool is_product = FindMatrixProduct(stage, provider).ok();
      TESSERA_RETURN_IF_ERROR(Annotate((is_product ? ScheduleProduct : ScheduleConvolution)(
                                           schedule, trace, index, provider, target),
                                       "external schedule"));
      continue;
    }
    if (schedule.LayoutOf(stage.output()).empty()) {
      TESSERA_RETURN_IF_ERROR(StoreAsResult(schedule, trace, dag, index));
    }
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
