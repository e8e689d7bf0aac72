#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/rng.h"
#include "base/status.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/schedule.h"

namespace tessera::schedule {

// Draws traces that use every primitive in odd combinations: what no sketch rule would propose but
// every back end must get right. Each returned step was accepted by Schedule::Apply.
class RandomTrace {
 public:
  RandomTrace(const te::Dag& dag, Rng rng) : start_(dag), schedule_(start_), rng_(rng) {}

  // Every trace begins with `steps`, which have to apply.
  RandomTrace&& After(const Trace& steps) && {
    first_ = steps;
    return std::move(*this);
  }

  Trace Draw() {
    do {
      schedule_ = start_;
      trace_.clear();
      for (const Step& step : first_) TESSERA_CHECK(Try(step));
      Layouts();
      Structure();
      for (int i = static_cast<int>(schedule_.stages().size()) - 1; i >= 0; --i) {
        if (schedule_.stages()[i].placement != Placement::kInlined) Loops(i);
      }
    } while (Iterations() > kMaxIterations);
    return trace_;
  }

 private:
  // Producers attached deep inside compute everything again each time; the interpreter has to stay
  // quick.
  static constexpr double kMaxIterations = 1e6;

  bool IsTensorized() const {
    return std::any_of(first_.begin(), first_.end(),
                       [](const Step& step) { return step.primitive == Primitive::kTensorize; });
  }

  double Iterations() const {
    const absl::StatusOr<LoopStructure> loops = InferBounds(schedule_);
    if (!loops.ok()) return 0;  // the test reports it
    const auto runs = [&](auto& self, int stage, int depth) -> double {
      if (stage < 0) return 1;
      const BoundStage& bound = loops->stages[stage];
      double product = self(self, bound.at, bound.at_depth);
      for (int d = 0; d <= depth; ++d) product *= static_cast<double>(bound.loops[d].extent);
      return product;
    };
    double total = 0;
    for (size_t i = 0; i < loops->stages.size(); ++i) {
      const int innermost = static_cast<int>(loops->stages[i].loops.size()) - 1;
      total += runs(runs, static_cast<int>(i), innermost);
    }
    return total;
  }

  bool Try(Step step) {
    if (!schedule_.Apply(step).ok()) return false;
    trace_.push_back(std::move(step));
    return true;
  }

  void Layouts() {
    for (const te::Input& input : schedule_.inputs()) {
      const auto& shape = input.buffer->shape;
      if (input.buffer->policy == ir::LayoutPolicy::kFixed || rng_.Chance(0.3)) continue;
      std::vector<ir::LayoutDim> dims;
      if (input.buffer->policy == ir::LayoutPolicy::kBlocked) {
        dims = Blocked(shape, input.buffer->block_axis);
      } else {
        dims = FreeLayout(shape);
      }
      Try({Primitive::kLayout, input.buffer->name, {}, {}, ir::LayoutToString(dims, shape)});
    }
    for (const ir::Buffer& output : schedule_.outputs()) {
      if (output->policy != ir::LayoutPolicy::kBlocked || rng_.Chance(0.3)) continue;
      Try({Primitive::kLayout,
           output->name,
           {},
           {},
           ir::LayoutToString(Blocked(output->shape, output->block_axis), output->shape)});
    }
  }

  int64_t Divisor(int64_t extent) {
    std::vector<int64_t> divisors;
    for (int64_t f = 1; f <= extent; ++f) {
      if (extent % f == 0) divisors.push_back(f);
    }
    return divisors[rng_.Below(divisors.size())];
  }

  std::vector<ir::LayoutDim> Blocked(const std::vector<int64_t>& shape, int axis) {
    const int64_t block = Divisor(shape[axis]);
    std::vector<ir::LayoutDim> dims;
    for (int d = 0; d < static_cast<int>(shape.size()); ++d) {
      dims.push_back(d == axis ? ir::LayoutDim{d, block, shape[d] / block}
                               : ir::LayoutDim{d, 1, shape[d]});
    }
    dims.push_back({axis, 1, block});
    return dims;
  }

  std::vector<ir::LayoutDim> FreeLayout(const std::vector<int64_t>& shape) {
    std::vector<ir::LayoutDim> dims;
    for (int d = 0; d < static_cast<int>(shape.size()); ++d) {
      // Blocks need not divide: the last one is padded.
      const int64_t block = rng_.Between(1, std::min<int64_t>(shape[d], 6));
      dims.push_back({d, block, (shape[d] + block - 1) / block});
      if (block > 1) dims.push_back({d, 1, block});
    }
    rng_.Shuffle(absl::MakeSpan(dims));
    return dims;
  }

  void Structure() {
    const int count = static_cast<int>(schedule_.stages().size());
    std::vector<std::string> names;
    for (int i = 0; i < count; ++i) names.push_back(schedule_.stages()[i].stage->name());
    for (const std::string& name : names) {
      if (rng_.Chance(0.6)) Try({Primitive::kInline, name, {}, {}, {}});
    }
    for (const std::string& name : names) {
      const int index = schedule_.StageNamed(name);
      if (schedule_.stages()[index].placement == Placement::kInlined) continue;
      if (rng_.Chance(0.35)) Try({Primitive::kCacheWrite, name, {}, {}, {}});
      for (const Access& read : std::vector<Access>(schedule_.stages()[index].analysis->reads)) {
        if (rng_.Chance(0.2)) {
          Try({Primitive::kCacheRead, read.buffer->name, {name}, {}, {}});
        }
      }
      const StageState& state = schedule_.stages()[schedule_.StageNamed(name)];
      if (state.stage->is_reduction() && rng_.Chance(0.3)) {
        const te::Axis axis = state.stage->reduce_axes[rng_.Below(state.stage->reduce_axes.size())];
        const std::string loop = axis.var->name;
        if (axis.extent > 1 && Try({Primitive::kSplit,
                                    name,
                                    {loop},
                                    {rng_.Between(1, std::min<int64_t>(axis.extent, 6))},
                                    {}})) {
          Try({Primitive::kRfactor, name, {absl::StrCat(loop, ".", rng_.Below(2))}, {}, {}});
        }
      }
    }
  }

  void Loops(int index) {
    const std::string name = schedule_.stages()[index].stage->name();
    const std::vector<int> consumers = schedule_.Consumers(index);
    if (consumers.size() == 1 && rng_.Chance(0.7)) {
      const StageState& consumer = schedule_.stages()[consumers[0]];
      const LoopState& loop = consumer.loops[rng_.Below(consumer.loops.size())];
      // Memory per lane is a stage of its own; vectors hold values only.
      if (loop.kind == ir::LoopKind::kSerial || loop.kind == ir::LoopKind::kParallel) {
        Try({Primitive::kComputeAt, name, {consumer.stage->name(), loop.name}, {}, {}});
      }
    }
    const auto state = [&]() -> const StageState& { return schedule_.stages()[index]; };
    for (const LoopState& loop : std::vector<LoopState>(state().loops)) {
      if (!rng_.Chance(0.6)) continue;
      std::vector<int64_t> factors;
      for (int n = static_cast<int>(rng_.Between(1, 2)); n > 0; --n) {
        factors.push_back(rng_.Between(1, 5));
      }
      Try({Primitive::kSplit, name, {loop.name}, factors, {}});
    }
    std::vector<std::string> order;
    for (const LoopState& loop : state().loops) order.push_back(loop.name);
    if (rng_.Chance(0.8)) {
      // What an instruction sums is the last axis: it stays last often.
      const bool keeps_group = IsTensorized() && state().stage->is_reduction() && rng_.Chance(0.5);
      rng_.Shuffle(absl::MakeSpan(order).subspan(0, order.size() - (keeps_group ? 1 : 0)));
      Try({Primitive::kReorder, name, order, {}, {}});
    }
    if (rng_.Chance(0.3) && order.size() > 1) {
      Try({Primitive::kFuse, name, {order[0], order[1]}, {}, {}});
    }
    if (rng_.Chance(0.4)) Try({Primitive::kParallel, name, {state().loops[0].name}, {}, {}});
    // At most one vector loop and few unrolled ones, so that programs stay small.
    if (rng_.Chance(0.6)) {
      const LoopState& loop = state().loops[rng_.Below(state().loops.size())];
      Try({Primitive::kVectorize, name, {loop.name}, {}, {}});
    }
    // Now and then the two innermost ones of a sum, the last of which is a group.
    const bool has_groups =
        IsTensorized() && state().loops.size() > 1 && state().loops.back().is_reduction &&
        !state().loops[state().loops.size() - 2].is_reduction && rng_.Chance(0.5);
    if (has_groups) {
      for (const size_t from_last : {1, 2}) {
        const LoopState& loop = state().loops[state().loops.size() - from_last];
        Try({Primitive::kVectorize, name, {loop.name}, {}, {}});
      }
    }
    for (int n = 0; n < 2; ++n) {
      const LoopState& loop = state().loops[rng_.Below(state().loops.size())];
      if (loop.digits.size() == 1 && loop.digits[0].extent != 0 && rng_.Chance(0.5)) {
        Try({Primitive::kUnroll, name, {loop.name}, {}, {}});
      }
    }
    if (rng_.Chance(0.3)) Try({Primitive::kStream, name, {}, {}, {}});
    if (rng_.Chance(0.3)) {
      Try({Primitive::kPrefetch, name, {}, {1 + static_cast<int64_t>(rng_.Below(5))}, {}});
    }
  }

  Schedule start_;
  Trace first_;
  Schedule schedule_;
  Rng rng_;
  Trace trace_;
};

}  // namespace tessera::schedule
