#include "costmodel/vta_profile.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "base/status.h"
#include "compiler/ir/expr.h"
#include "compiler/schedule/accelerator_stages.h"
#include "compiler/schedule/accumulator_steps.h"
#include "compiler/vta/timing.h"
#include "costmodel/vta_cycles.h"
#include "costmodel/vta_region.h"

namespace tessera::costmodel {
namespace {

using schedule::Access;
using schedule::AxisForm;
using schedule::BoundLoop;
using schedule::BoundStage;
using schedule::Filling;
using schedule::ProductTiles;

constexpr vta::Timing kTiming;
constexpr double kUopBytes = 4;

bool IsVirtual(const BoundLoop& loop) { return loop.thread_axis == ir::ThreadAxis::kVirtual; }

// Whether the loop decides where along an axis a stage's part begins.
bool MovesBase(const schedule::AxisRange& axis, int loop) {
  return std::ranges::any_of(axis.base.terms,
                             [&](const schedule::LoopTerm& term) { return term.loop == loop; });
}
bool MovesBase(const BoundStage& stage, int loop) {
  return std::ranges::any_of(stage.axes,
                             [&](const schedule::AxisRange& a) { return MovesBase(a, loop); });
}

// A stage of a kernel, with the part of its results that is held.
struct Part {
  const BoundStage* bound = nullptr;
  const schedule::StageState* state = nullptr;
  absl::InlinedVector<int64_t, 10> units;  // elements of a tile, by axis
  Region region;
  double contexts = 1;  // virtual threads with a part of their own
  bool is_doubled = false;

  double Tiles() const {
    return static_cast<double>(TilesOf(region)) * contexts * (is_doubled ? 2 : 1);
  }
  int64_t StrideOf(int axis) const {
    const auto found = std::ranges::find(region, axis, &RegionDim::axis);
    return found == region.end() ? 0 : found->held_stride;
  }
};

// A loop over tiles, with the steps of each operand.
struct StepLoop {
  int64_t turns;
  std::array<int64_t, 3> steps;
};
using StepLoops = absl::InlinedVector<StepLoop, 8>;

void AddLoop(StepLoops& loops, const StepLoop& loop) {
  if (loop.turns == 1) return;
  bool goes_on = !loops.empty();
  for (size_t i = 0; i < loop.steps.size() && goes_on; ++i) {
    goes_on = loops.back().steps[i] == loop.steps[i] * loop.turns;
  }
  if (goes_on) {
    loops.back() = {loops.back().turns * loop.turns, loop.steps};
  } else {
    loops.push_back(loop);
  }
}

// One instruction: turns of its own two loops, each of so many micro-ops.
struct Shape {
  double turns = 1, uops = 1;
};
Shape ShapeOf(const StepLoops& loops) {
  Shape shape;
  for (size_t l = 0; l < loops.size(); ++l) {
    (l < 2 ? shape.turns : shape.uops) *= static_cast<double>(loops[l].turns);
  }
  return shape;
}

void AddSteps(const Shape& shape, double instructions, int64_t depth, int64_t interval,
              VtaSteps& steps) {
  const double turns = instructions * shape.turns, all = turns * shape.uops;
  steps.instructions += instructions;
  steps.turns += turns;
  steps.steps += all;
  steps.cycles += instructions * static_cast<double>(depth) +
                  (turns - instructions) * static_cast<double>(kTiming.turn_cycles) +
                  all * static_cast<double>(interval);
}

void AddAluSteps(const Shape& shape, double instructions, bool is_immediate, VtaSteps& steps) {
  AddSteps(shape, instructions, kTiming.alu_depth,
           is_immediate ? kTiming.alu_immediate_interval : kTiming.alu_interval, steps);
  if (is_immediate) steps.immediate_steps += instructions * shape.turns * shape.uops;
}

double RowCycles(double bytes) {
  const auto bus = static_cast<double>(kTiming.bus_bytes);
  return static_cast<double>(kTiming.row_latency) + bytes / bus;
}

// A root nest, read stage by stage.
class Kernel {
 public:
  Kernel(const schedule::Schedule& schedule, const schedule::LoopStructure& loops,
         const ir::Target& target, const BoundStage& root)
      : schedule_(schedule), loops_(loops), target_(target) {
    root_.bound = &root;
    root_.state = &schedule.stages()[root.stage];
  }

  // The stage that adds up, in the root's nest; null: there is none.
  const BoundStage* FindSum() const {
    for (const BoundStage& stage : loops_.stages) {
      const bool is_sum = schedule::FillsAccumulators(*schedule_.stages()[stage.stage].stage);
      if (is_sum && &stage != root_.bound && IsInside(stage)) return &stage;
    }
    return nullptr;
  }

  // Nothing where the nest is not of the form that instructions are made of.
  std::optional<VtaProfile> Read(const BoundStage& sum, const VtaForm& form) {
    const ProductTiles& product = form.product;
    form_ = &form;
    product_ = &product;
    if (!HoldSum(sum)) return std::nullopt;
    for (const BoundStage& stage : loops_.stages) {
      if (&stage == root_.bound || &stage == &sum || !IsInside(stage)) continue;
      if (!Load(stage)) return std::nullopt;
    }
    if (a_.bound == nullptr || (product.b != nullptr && b_.bound == nullptr)) return std::nullopt;
    profile_.loads_inputs_first = b_.bound == nullptr || a_.bound < b_.bound;
    Multiply();
    Store();
    LoadConstants();
    return WithCycles(profile_);
  }

 private:
  bool IsInside(const BoundStage& stage) const {
    const BoundStage* top = &stage;
    while (top->at >= 0) top = &loops_.stages[top->at];
    return top == root_.bound;
  }

  // Innermost first.
  template <typename Function>
  void ForEachLoopAround(const BoundStage& stage, const Function& visit) const {
    for (const BoundStage* inner = &stage; inner->at >= 0; inner = &loops_.stages[inner->at]) {
      const BoundStage& around = loops_.stages[inner->at];
      for (int depth = inner->at_depth; depth >= 0; --depth) visit(around.loops[depth]);
    }
  }
  bool IsAround(const BoundLoop& loop, const BoundStage& stage) const {
    bool found = false;
    ForEachLoopAround(stage, [&](const BoundLoop& around) { found |= around.id == loop.id; });
    return found;
  }
  double TurnsAround(const BoundStage& stage) const {
    double turns = 1;
    ForEachLoopAround(stage, [&](const BoundLoop& loop) {
      if (!IsVirtual(loop)) turns *= static_cast<double>(loop.extent);
    });
    return turns;
  }
  double ContextsOf(const BoundStage& stage) const {
    double contexts = 1;
    ForEachLoopAround(stage, [&](const BoundLoop& loop) {
      if (IsVirtual(loop) && MovesBase(stage, loop.id)) {
        contexts *= static_cast<double>(loop.extent);
      }
    });
    return contexts;
  }
  // How many loops of `stage` are around something else.
  size_t LeafDepth(const BoundStage& stage) const {
    size_t depth = 0;
    for (const BoundStage& inner : loops_.stages) {
      if (inner.at >= 0 && &loops_.stages[inner.at] == &stage) {
        depth = std::max(depth, static_cast<size_t>(inner.at_depth) + 1);
      }
    }
    return depth;
  }

  static const Access* ReadOf(const schedule::StageState& state, const ir::Buffer& buffer) {
    const auto found = std::ranges::find(state.analysis->reads, buffer, &Access::buffer);
    return found == state.analysis->reads.end() ? nullptr : &*found;
  }
  Part PartOf(const BoundStage& stage) const {
    Part part;
    part.bound = &stage;
    part.state = &schedule_.stages()[stage.stage];
    part.units.assign(stage.axes.size(), 1);
    part.contexts = ContextsOf(stage);
    part.is_doubled = part.state->is_doubled && TurnsAround(stage) > 1;
    return part;
  }

  // The sum in accumulators, in the order in which its results are stored.
  bool HoldSum(const BoundStage& sum) {
    sum_ = PartOf(sum);
    const Access* access = ReadOf(*root_.state, sum_.state->stage->output());
    if (access == nullptr) return false;
    root_.units.assign(root_.bound->axes.size(), 1);
    sum_.units[product_->block_axis] = target_.tile_block;
    if (product_->row_axis >= 0) sum_.units[product_->row_axis] = target_.tile_rows;
    absl::InlinedVector<HeldAxis, 10> axes(root_.bound->axes.size(), HeldAxis{-1, 0});
    for (size_t d = 0; d < access->dims.size(); ++d) {
      const int axis = schedule::PlainAxis(access->dims[d]);
      if (axis < 0) return false;
      axes[axis] = {static_cast<int>(d), 0};
      root_.units[axis] = sum_.units[d];
      if (static_cast<int>(d) == product_->row_axis) rows_of_root_ = axis;
    }
    if (std::ranges::count(axes, -1, &HeldAxis::axis) > 0) return false;
    sum_.region = RegionOf(schedule_, sum, root_.state->stage->output(), axes, sum_.units);
    profile_.tiles = TurnsAround(sum);
    profile_.virtual_threads = sum_.contexts;
    return true;
  }

  // A copy: of an operand, or of what the root adds.
  bool Load(const BoundStage& stage) {
    Part part = PartOf(stage);
    const ir::Buffer& output = part.state->stage->output();
    const bool is_a = output == product_->a, is_b = output == product_->b;
    bool has_rows = product_->row_axis < 0;
    if (is_a) {
      if (product_->row_axis >= 0) part.units[product_->a_row_dim] = target_.tile_rows;
      part.units[product_->a_term_dim] = target_.tile_block;
    } else if (is_b) {
      part.units[product_->b_block_dim] = target_.tile_block;
      part.units[product_->b_term_dim] = target_.tile_block;
    } else {
      const Access* access = ReadOf(*root_.state, output);
      if (access == nullptr) return false;
      for (size_t d = 0; d < access->dims.size(); ++d) {
        const int axis = schedule::PlainAxis(access->dims[d]);
        if (axis < 0) continue;
        part.units[d] = root_.units[axis];
        has_rows |= rows_of_root_ == axis;
      }
    }
    if (part.state->analysis->reads.empty()) return false;
    const Access& source = part.state->analysis->reads[0];
    absl::InlinedVector<HeldAxis, 10> axes;
    for (const AxisForm& form : source.dims) {
      if (!form.affine || form.terms.size() != 1) return false;
      axes.push_back({form.terms[0].first, form.constant});
    }
    if (axes.empty()) return false;
    part.region = RegionOf(schedule_, stage, source.buffer, axes, part.units);
    VtaTransfer& transfer = is_a                         ? profile_.inputs
                            : is_b                       ? profile_.weights
                            : output->type == ir::Int(8) ? profile_.residuals
                                                         : profile_.added;
    // A tile with a diagonal has zeros beside it, one of what has no rows all of them.
    double stored_elements = 1;
    if (is_b && product_->filling == Filling::kDiagonal) stored_elements = target_.tile_block;
    if (!is_a && !is_b && !has_rows) stored_elements = target_.tile_rows;
    AddTransfer(part, *source.buffer, TurnsAround(stage) * part.contexts, transfer,
                stored_elements);
    if (is_a) a_ = std::move(part);
    if (is_b) b_ = std::move(part);
    return true;
  }

  static void AddTransfer(const Part& part, const ir::BufferNode& tensor, double runs,
                          VtaTransfer& transfer, double stored_elements = 1) {
    const RegionMoves moves = MovesOf(part.region);
    double tile_bytes = stored_elements * tensor.type.bits / 8.0;
    for (const int64_t unit : part.units) tile_bytes *= static_cast<double>(unit);
    const double rows = runs * moves.rows;
    transfer.runs += runs;
    transfer.instructions += runs * moves.instructions;
    transfer.rows += rows;
    transfer.zeros += runs * moves.zeros;
    transfer.bytes += rows * moves.row_tiles * tile_bytes;
    transfer.cycles += rows * RowCycles(moves.row_tiles * tile_bytes) + runs * moves.zeros;
    double tensor_bytes = stored_elements * tensor.type.bits / 8.0;
    for (const int64_t extent : tensor.shape) tensor_bytes *= static_cast<double>(extent);
    transfer.tensor_bytes += tensor_bytes;
    transfer.tiles += part.Tiles();
    transfer.contexts = std::max(transfer.contexts, part.contexts);
    transfer.is_doubled |= part.is_doubled;
  }

  double AllContexts() const {
    double contexts = 1;
    ForEachLoopAround(*sum_.bound, [&](const BoundLoop& loop) {
      const bool is_used = MovesBase(*sum_.bound, loop.id) || MovesBase(*a_.bound, loop.id) ||
                           (b_.bound != nullptr && MovesBase(*b_.bound, loop.id));
      if (IsVirtual(loop) && is_used) contexts *= static_cast<double>(loop.extent);
    });
    return contexts;
  }

  int64_t UnitOf(int axis) const { return product_->UnitOf(axis, target_); }

  // What a loop over an axis of the sum adds to where it reads an operand, in tiles.
  int64_t StepOf(const Part& operand, int axis, int64_t elements) const {
    if (operand.bound == nullptr) return 0;
    const Access* access = ReadOf(*sum_.state, operand.state->stage->output());
    int64_t step = 0;
    for (size_t d = 0; d < access->dims.size(); ++d) {
      for (const auto& [moved, coefficient] : access->dims[d].terms) {
        if (moved != axis) continue;
        step += coefficient * elements / operand.units[d] * operand.StrideOf(static_cast<int>(d));
      }
    }
    return step;
  }

  void Multiply() {
    const BoundStage& sum = *sum_.bound;
    const size_t leaf = LeafDepth(sum);
    const auto spatial = static_cast<int>(sum_.state->stage->axes.size());
    StepLoops loops;
    double executions = TurnsAround(sum) * AllContexts();
    for (size_t l = 0; l < sum.loops.size(); ++l) {
      const BoundLoop& loop = sum.loops[l];
      if (l < leaf) {
        executions *= static_cast<double>(loop.extent);
        continue;
      }
      const schedule::Digit& digit = loop.digits[0];
      const int64_t unit = UnitOf(digit.axis);
      const bool is_whole = digit.stride % unit == 0;
      const int64_t elements = is_whole ? digit.stride : unit;
      const int64_t dst =
          digit.axis < spatial ? elements / sum_.units[digit.axis] * sum_.StrideOf(digit.axis) : 0;
      AddLoop(loops, {is_whole ? loop.extent : std::max<int64_t>(1, loop.extent / unit),
                      {dst, StepOf(a_, digit.axis, elements), StepOf(b_, digit.axis, elements)}});
    }
    const double resets = TurnsAround(sum) * sum_.contexts;
    AddSteps(ResultShape(), resets, kTiming.gemm_depth, kTiming.gemm_interval, profile_.resets);
    Shape product = ShapeOf(loops);
    switch (product_->filling) {
      case Filling::kProducts:
      case Filling::kDiagonal:
        AddSteps(product, executions, kTiming.gemm_depth, kTiming.gemm_interval, profile_.products);
        break;
      case Filling::kWidened:
        product = ResultShape();
        AddSteps(product, executions, kTiming.gemm_depth, kTiming.gemm_interval, profile_.products);
        break;
      case Filling::kLargest:
        AddAluSteps(product, executions, /*is_immediate=*/false, profile_.windows);
        WidenWindows(resets);
        break;
    }
    profile_.uops = product.uops;
    LoadUops(executions, resets);
  }

  // Whether operand a has padding along an axis of its copy.
  bool IsPadded(int axis) const {
    const Access& source = a_.state->analysis->reads[0];
    for (size_t d = 0; d < source.dims.size(); ++d) {
      if (source.dims[d].terms[0].first != axis) continue;
      const schedule::Padding padding = schedule::PaddingOf(*a_.state, static_cast<int>(d));
      return padding.before + padding.behind > 0;
    }
    return false;
  }
  bool HasMask() const {
    return product_->filling == Filling::kLargest &&
           std::ranges::any_of(a_.region, [&](const RegionDim& dim) { return IsPadded(dim.axis); });
  }

  // What the ALU finds the largest of: reset, times the identity, and with a mask on top of it.
  void WidenWindows(double runs) {
    const Shape shape = ShapeOfTiles(TilesOf(a_.region));
    profile_.window_tiles = static_cast<double>(TilesOf(a_.region)) * a_.contexts;
    AddSteps(shape, runs, kTiming.gemm_depth, kTiming.gemm_interval, profile_.resets);
    AddSteps(shape, runs * (HasMask() ? 2 : 1), kTiming.gemm_depth, kTiming.gemm_interval,
             profile_.products);
    if (HasMask()) return LoadMask();
    AddAluSteps(ResultShape(), runs, /*is_immediate=*/true, profile_.windows);
  }

  void LoadMask() {
    Part mask = a_;
    mask.contexts = 1;
    ForEachLoopAround(*a_.bound, [&](const BoundLoop& loop) {
      const bool moves = std::ranges::any_of(a_.region, [&](const RegionDim& dim) {
        return IsPadded(dim.axis) && MovesBase(a_.bound->axes[dim.axis], loop.id);
      });
      if (IsVirtual(loop) && moves) mask.contexts *= static_cast<double>(loop.extent);
    });
    mask.region.clear();
    for (const RegionDim& dim : a_.region) {
      if (!IsPadded(dim.axis)) continue;
      mask.region.push_back(dim);
      mask.region.back().stride = 0;
    }
    mask.region.back().stride = 1;
    VtaTransfer transfer;
    AddTransfer(mask, *a_.state->analysis->reads[0].buffer, TurnsAround(*a_.bound) * mask.contexts,
                transfer);
    profile_.inputs.instructions += transfer.instructions;
    profile_.inputs.rows += transfer.rows;
    profile_.inputs.zeros += transfer.zeros;
    profile_.inputs.bytes += transfer.bytes;
    profile_.inputs.cycles += transfer.cycles;
    profile_.inputs.tiles += transfer.tiles;
  }

  // The identity and what goes with it, once.
  void LoadConstants() {
    const bool has_identity = product_->TakesIdentity() || profile_.residuals.runs > 0;
    if (!has_identity) return;
    const double tiles = HasMask() ? 2 : 1, block = target_.tile_block;
    VtaTransfer& weights = profile_.weights;
    const double bytes = tiles * block * block;
    weights.runs = std::max(weights.runs, 1.0);
    weights.instructions += 1;
    weights.rows += 1;
    weights.bytes += bytes;
    weights.cycles += RowCycles(bytes);
    weights.tensor_bytes += bytes;
    weights.tiles += tiles;
  }

  // What is done to all results of a tile is micro-ops, as many as there is room for.
  Shape ResultShape() const { return ShapeOfTiles(TilesOf(sum_.region)); }
  Shape ShapeOfTiles(int64_t tiles) const {
    int64_t uops =
        std::min(tiles, std::max<int64_t>(1, target_.uop_bytes / static_cast<int64_t>(kUopBytes)));
    while (tiles % uops != 0) --uops;
    return {static_cast<double>(tiles / uops), static_cast<double>(uops)};
  }

  // Whether products begin at another place of an operand in each turn of a loop around them.
  bool MovesWithin(const Part& operand, const BoundLoop& loop) const {
    if (operand.bound == nullptr) return false;
    if (IsAround(loop, *operand.bound)) return false;
    const Access* access = ReadOf(*sum_.state, operand.state->stage->output());
    for (size_t axis = 0; axis < sum_.bound->axes.size(); ++axis) {
      const bool is_moved = loop.is_reduction ? loop.digits[0].axis == static_cast<int>(axis)
                                              : MovesBase(sum_.bound->axes[axis], loop.id);
      if (is_moved && schedule::Uses(*access, static_cast<int>(axis))) return true;
    }
    return false;
  }

  // Whether a doubled operand's copies go by the turns of this loop.
  bool IsTurn(const Part& operand, const BoundLoop& loop) const {
    if (operand.bound == nullptr) return false;
    const BoundLoop* innermost = nullptr;
    ForEachLoopAround(*operand.bound, [&](const BoundLoop& around) {
      if (innermost == nullptr && !IsVirtual(around) && around.extent > 1) innermost = &around;
    });
    return operand.is_doubled && innermost == &loop;
  }

  // Micro-ops stay while there is room for those of all places that instructions begin at.
  void LoadUops(double executions, double resets) {
    double places = AllContexts();
    const auto add = [&](const BoundLoop& loop) {
      if (IsVirtual(loop)) return;
      if (MovesWithin(a_, loop) || MovesWithin(b_, loop)) {
        places *= static_cast<double>(loop.extent);
      } else if (IsTurn(a_, loop) || IsTurn(b_, loop)) {
        places *= 2;
      }
    };
    ForEachLoopAround(*sum_.bound, add);
    const size_t leaf = LeafDepth(*sum_.bound);
    for (size_t l = 0; l < leaf; ++l) add(sum_.bound->loops[l]);
    const double others = sum_.contexts * (profile_.added.runs > 0 ? 2 : 1);
    const double uops_of_others = ResultShape().uops;
    // What windows are of is reset and multiplied: by the identity, and the mask of it.
    double widened = 0, widenings = 0, uops_of_widened = 0;
    if (product_->filling == Filling::kLargest) {
      const double products = HasMask() ? 2 : 1;
      widened = a_.contexts * (1 + products * (a_.is_doubled ? 2 : 1));
      widenings = resets * (1 + products);
      uops_of_widened = ShapeOfTiles(TilesOf(a_.region)).uops;
    }
    profile_.held_uops =
        places * profile_.uops + others * uops_of_others + widened * uops_of_widened;
    const bool stays = profile_.held_uops * kUopBytes <= static_cast<double>(target_.uop_bytes);
    profile_.uop_loads = stays ? places + others + widened : executions + resets + widenings;
    profile_.uop_cycles = (stays ? places : executions) * RowCycles(profile_.uops * kUopBytes) +
                          (stays ? others : resets) * RowCycles(uops_of_others * kUopBytes) +
                          (stays ? widened : widenings) * RowCycles(uops_of_widened * kUopBytes);
  }

  void Store() {
    const double runs = TurnsAround(*sum_.bound) * sum_.contexts;
    AddTransfer(sum_, *root_.state->stage->output(), runs, profile_.results);
    const double immediates = form_->immediates + (HasMask() ? 1 : 0);
    AddAluSteps(ResultShape(), runs * immediates, /*is_immediate=*/true, profile_.operations);
    AddAluSteps(ResultShape(), runs * form_->operands, /*is_immediate=*/false, profile_.operations);
    AddSteps(ResultShape(), runs * form_->residuals, kTiming.gemm_depth, kTiming.gemm_interval,
             profile_.products);
  }

  const schedule::Schedule& schedule_;
  const schedule::LoopStructure& loops_;
  const ir::Target& target_;
  const VtaForm* form_ = nullptr;
  const ProductTiles* product_ = nullptr;  // of the form
  Part root_, sum_, a_, b_;
  int rows_of_root_ = -1;  // its axis that rows of tiles are of
  VtaProfile profile_;
};

}  // namespace

const std::optional<VtaForm>& VtaProfiler::FormOf(const schedule::StageState& sum,
                                                  const schedule::StageState& root) {
  if (sum_ == sum.stage && root_ == root.stage) return form_;
  sum_ = sum.stage;
  root_ = root.stage;
  form_.reset();
  const absl::StatusOr<ProductTiles> product = schedule::FindProductTiles(sum, target_);
  const absl::StatusOr<std::vector<schedule::AccumulatorStep>> steps =
      schedule::AccumulatorSteps(root.stage->bodies[0], sum.stage->output());
  if (!product.ok() || !steps.ok()) return form_;
  form_.emplace(VtaForm{.product = *product});
  for (const schedule::AccumulatorStep& step : *steps) {
    ++(step.AddsBytes()          ? form_->residuals
       : step.operand == nullptr ? form_->immediates
                                 : form_->operands);
  }
  return form_;
}

VtaProfile VtaProfiler::Profile(const schedule::Schedule& schedule,
                                const schedule::LoopStructure& loops) {
  VtaProfile main;
  double kernels = 0, cycles = 0;
  for (const BoundStage& root : loops.stages) {
    if (root.at >= 0 || root.is_constant) continue;
    Kernel kernel(schedule, loops, target_, root);
    const BoundStage* sum = kernel.FindSum();
    if (sum == nullptr) continue;
    const std::optional<VtaForm>& form =
        FormOf(schedule.stages()[sum->stage], schedule.stages()[root.stage]);
    if (!form) continue;
    const std::optional<VtaProfile> profile = kernel.Read(*sum, *form);
    if (!profile) continue;
    kernels += 1;
    cycles += profile->cycles;
    if (profile->products.steps > main.products.steps) main = *profile;
  }
  main.kernels = kernels;
  main.cycles = cycles;
  return main;
}

}  // namespace tessera::costmodel
