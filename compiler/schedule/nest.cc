#include <algorithm>
#include <string>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "compiler/schedule/schedule.h"

namespace tessera::schedule {
namespace {

const std::string& AxisName(const te::Stage& stage, int axis) {
  const int spatial = static_cast<int>(stage.axes.size());
  return (axis < spatial ? stage.axes[axis] : stage.reduce_axes[axis - spatial]).var->name;
}

// What split calls the loops over the digits of a nest: "oc", or "oc.1" for the second coarsest of
// several digits. Made for every config of a search: no allocations, each pair looked at once.
class DigitNames {
 public:
  DigitNames(const te::Stage& stage, const std::vector<LoopState>& loops) : stage_(stage) {
    for (const LoopState& loop : loops) {
      for (const Digit& digit : loop.digits) Add(digit);
    }
  }

  // Of the digits by number, outermost first.
  void AppendTo(std::string& name, size_t number) const {
    const Entry& entry = entries_[number];
    name += AxisName(stage_, entry.axis);
    if (entry.others == 0) return;
    name += '.';
    if (entry.coarser >= 10) name += static_cast<char>('0' + entry.coarser / 10);
    name += static_cast<char>('0' + entry.coarser % 10);
  }

 private:
  struct Entry {
    int64_t stride;
    int axis;
    int others = 0, coarser = 0;  // digits of the axis
  };

  void Add(const Digit& digit) {
    Entry made{digit.stride, digit.axis};
    for (Entry& known : entries_) {
      if (known.axis != made.axis) continue;
      ++known.others;
      ++made.others;
      ++(known.stride > made.stride ? made : known).coarser;
    }
    entries_.push_back(made);
  }

  const te::Stage& stage_;
  absl::InlinedVector<Entry, 32> entries_;
};

}  // namespace

void Schedule::SetNest(Nest nest) {
  StageState& state = stages_[nest.stage];
  const te::Stage& stage = *state.stage;
  const DigitNames names(stage, nest.loops);
  size_t number = 0;
  for (LoopState& loop : nest.loops) {
    loop.is_reduction = loop.digits[0].axis >= static_cast<int>(stage.axes.size());
    loop.name.clear();
    for (size_t i = 0; i < loop.digits.size(); ++i) {
      if (i > 0) loop.name += '+';
      names.AppendTo(loop.name, number++);
    }
  }
  state.loops = std::move(nest.loops);
  state.streams = nest.streams;
  state.prefetch = nest.prefetch;
  state.is_doubled = nest.is_doubled;
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

  struct Named {
    Digit digit;
    std::string name;
  };
  std::vector<Named> order;  // outermost first
  std::vector<Step> fusions;
  const DigitNames names(stage, state.loops);
  for (const LoopState& loop : state.loops) {
    std::vector<std::string> parts;
    for (const Digit& digit : loop.digits) {
      parts.emplace_back();
      names.AppendTo(parts.back(), order.size());
      order.push_back({digit, parts.back()});
    }
    if (parts.size() > 1) fusions.push_back({Primitive::kFuse, name, std::move(parts), {}, {}});
  }
  std::vector<Named> natural = order;  // what the splits leave
  std::sort(natural.begin(), natural.end(), [](const Named& a, const Named& b) {
    return std::pair(a.digit.axis, -a.digit.stride) < std::pair(b.digit.axis, -b.digit.stride);
  });
  for (size_t begin = 0, end; begin < natural.size(); begin = end) {
    const int axis = natural[begin].digit.axis;
    std::vector<int64_t> factors;
    for (end = begin + 1; end < natural.size() && natural[end].digit.axis == axis; ++end) {
      factors.push_back(natural[end].digit.extent);
    }
    if (factors.empty()) continue;
    steps.push_back({Primitive::kSplit, name, {AxisName(stage, axis)}, std::move(factors), {}});
  }
  const auto names_of = [](const std::vector<Named>& loops) {
    std::vector<std::string> texts;
    for (const Named& loop : loops) texts.push_back(loop.name);
    return texts;
  };
  std::vector<std::string> ordered = names_of(order);
  if (ordered != names_of(natural)) {
    steps.push_back({Primitive::kReorder, name, std::move(ordered), {}, {}});
  }
  steps.insert(steps.end(), fusions.begin(), fusions.end());

  const auto annotate = [&](ir::LoopKind kind, Primitive primitive) {
    for (const LoopState& loop : state.loops) {
      if (loop.kind == kind) steps.push_back({primitive, name, {loop.name}, {}, {}});
    }
  };
  annotate(ir::LoopKind::kParallel, Primitive::kParallel);
  annotate(ir::LoopKind::kUnrolled, Primitive::kUnroll);
  annotate(ir::LoopKind::kVectorized, Primitive::kVectorize);
  for (const LoopState& loop : state.loops) {
    if (loop.kind != ir::LoopKind::kThread) continue;
    steps.push_back(
        {Primitive::kBind, name, {loop.name, std::string(ir::ToString(loop.thread_axis))}, {}, {}});
  }
  if (state.streams) steps.push_back({Primitive::kStream, name, {}, {}, {}});
  if (state.prefetch > 0) {
    steps.push_back({Primitive::kPrefetch, name, {}, {state.prefetch}, {}});
  }
  if (state.is_doubled) steps.push_back({Primitive::kDoubleBuffer, name, {}, {}, {}});
  return steps;
}

}  // namespace tessera::schedule
