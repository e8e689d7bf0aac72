#include <algorithm>
#include <iterator>
#include <string>

#include "absl/types/span.h"
#include "compiler/schedule/schedule.h"

namespace tessera::schedule {
namespace {

const std::string& AxisName(const te::Stage& stage, int axis) {
  const int spatial = static_cast<int>(stage.axes.size());
  return (axis < spatial ? stage.axes[axis] : stage.reduce_axes[axis - spatial]).var->name;
}

// Appends what split calls the loop over `digit`: "oc", or "oc.1" for the second coarsest of
// several digits.
void AppendName(const te::Stage& stage, absl::Span<const Digit> digits, const Digit& digit,
                std::string& name) {
  int count = 0, coarser = 0;
  for (const Digit& other : digits) {
    count += other.axis == digit.axis ? 1 : 0;
    coarser += other.axis == digit.axis && other.stride > digit.stride ? 1 : 0;
  }
  name += AxisName(stage, digit.axis);
  if (count > 1) name += '.' + std::to_string(coarser);
}

using AllDigits = absl::InlinedVector<Digit, 32>;

AllDigits DigitsOf(const std::vector<LoopState>& loops) {
  AllDigits digits;
  for (const LoopState& loop : loops) {
    digits.insert(digits.end(), loop.digits.begin(), loop.digits.end());
  }
  return digits;
}

}  // namespace

void Schedule::SetNest(Nest nest) {
  StageState& state = stages_[nest.stage];
  const te::Stage& stage = *state.stage;
  const AllDigits digits = DigitsOf(nest.loops);
  for (LoopState& loop : nest.loops) {
    loop.is_reduction = loop.digits[0].axis >= static_cast<int>(stage.axes.size());
    loop.name.clear();
    for (const Digit& digit : loop.digits) {
      if (!loop.name.empty()) loop.name += '+';
      AppendName(stage, digits, digit, loop.name);
    }
  }
  state.loops = std::move(nest.loops);
  if (nest.at_stage < 0) return;
  state.placement = Placement::kAt;
  state.at_stage = nest.at_stage;
  state.at_loop = stages_[nest.at_stage].loops[nest.at_loop].name;
}

Trace StepsOf(const Schedule& schedule, int index) {
  const StageState& state = schedule.stages()[index];
  const te::Stage& stage = *state.stage;
  const std::string& name = stage.name();
  Trace steps;
  if (state.placement == Placement::kAt) {
    const std::string& consumer = schedule.stages()[state.at_stage].stage->name();
    steps.push_back({Primitive::kComputeAt, name, {consumer, state.at_loop}, {}, {}});
  }

  const AllDigits all = DigitsOf(state.loops);
  const auto name_of = [&](const Digit& digit) {
    std::string text;
    AppendName(stage, all, digit, text);
    return text;
  };
  std::vector<std::string> natural, order;  // loops after the splits, and in which order they run
  for (int axis = 0; axis < state.axis_count(); ++axis) {
    std::vector<Digit> digits;  // coarsest first
    std::copy_if(all.begin(), all.end(), std::back_inserter(digits),
                 [&](const Digit& digit) { return digit.axis == axis; });
    std::sort(digits.begin(), digits.end(),
              [](const Digit& a, const Digit& b) { return a.stride > b.stride; });
    std::vector<int64_t> factors;
    for (size_t i = 0; i < digits.size(); ++i) {
      natural.push_back(name_of(digits[i]));
      if (i > 0) factors.push_back(digits[i].extent);
    }
    if (factors.empty()) continue;
    steps.push_back({Primitive::kSplit, name, {AxisName(stage, axis)}, std::move(factors), {}});
  }
  std::vector<Step> fusions;
  for (const LoopState& loop : state.loops) {
    std::vector<std::string> parts;
    for (const Digit& digit : loop.digits) parts.push_back(name_of(digit));
    order.insert(order.end(), parts.begin(), parts.end());
    if (parts.size() > 1) fusions.push_back({Primitive::kFuse, name, std::move(parts), {}, {}});
  }
  if (order != natural) steps.push_back({Primitive::kReorder, name, std::move(order), {}, {}});
  steps.insert(steps.end(), fusions.begin(), fusions.end());

  const auto annotate = [&](ir::LoopKind kind, Primitive primitive) {
    for (const LoopState& loop : state.loops) {
      if (loop.kind == kind) steps.push_back({primitive, name, {loop.name}, {}, {}});
    }
  };
  annotate(ir::LoopKind::kParallel, Primitive::kParallel);
  annotate(ir::LoopKind::kUnrolled, Primitive::kUnroll);
  annotate(ir::LoopKind::kVectorized, Primitive::kVectorize);
  return steps;
}

}  // namespace tessera::schedule
