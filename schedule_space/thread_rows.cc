#include "schedule_space/thread_rows.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "compiler/schedule/lowering_limits.h"
#include "schedule_space/nest_loops.h"
#include "schedule_space/row_group.h"
#include "schedule_space/steps.h"
#include "schedule_space/tile_sizes.h"

namespace tessera::space {
namespace {

constexpr int64_t kMaxUnrolledShares = 8;
constexpr int64_t kLastPartials = 16;  // that every thread adds up

class ThreadRows final : public Group {
 public:
  ThreadRows(const schedule::Schedule& base, std::vector<int> stages, int rows,
             const ir::Target& target)
      : base_(base), stages_(std::move(stages)), rows_(rows) {
    int64_t longest = 1;
    for (const int index : stages_) longest = std::max(longest, RowExtent(index));
    std::vector<Option> threads;
    for (int64_t n = kLastPartials; n <= target.block_threads; n *= 2) {
      if (threads.empty() || n < 2 * longest) threads.push_back({n});
    }
    threads_ = Add(FreeKnob("threads", {"row"}, std::move(threads)));
    const int64_t extent = RowExtent(stages_.back());
    std::vector<Option> lanes = {{1}};
    for (const int64_t n : {2, 4}) {
      if (extent % n == 0) lanes.push_back({n});
    }
    lanes_ = Add(FreeKnob("vector", {"lanes"}, std::move(lanes)));
    unroll_ = Add(FreeKnob("unroll", {"is"}, {{0}, {1}}));
  }

  const std::vector<Knob>& knobs() const override { return knobs_; }

  void Canonicalize(absl::Span<int> choices) const override {
    const bool unrolls = std::ranges::any_of(
        stages_, [&](int index) { return Shares(choices, index) <= kMaxUnrolledShares; });
    if (!unrolls) choices[unroll_] = 0;
  }

  Decisions Decide(absl::Span<const int> choices) const override {
    Decisions decisions;
    std::vector<Part> parts = Factor(choices, decisions.steps);
    const int last = parts.back().stage;
    schedule::Nest store{last, {BlockLoop()}};
    AddRow(choices, stages_.back(), store.loops);
    decisions.nests.push_back(std::move(store));
    for (size_t i = stages_.size() - 1; i-- > 0;) {
      const te::Stage& stage = Stage(stages_[i]);
      const auto attach = [&](int index, Loops loops) {
        schedule::Nest nest{index, std::move(loops), last, 0};
        decisions.nests.push_back(std::move(nest));
      };
      if (!stage.is_reduction()) {
        Loops loops = Rows();
        AddRow(choices, stages_[i], loops);
        attach(parts[i].stage, std::move(loops));
        continue;
      }
      const int axes = static_cast<int>(stage.axes.size());
      // The few partial results, added up by each thread.
      Loops total = Rows();
      total.push_back(Loop({axes, 1, kRest}, ir::LoopKind::kUnrolled));
      attach(parts[i].stage, std::move(total));
      if (parts[i].few < 0) continue;
      // Axes: rows, the few; then what they are summed from.
      Loops few{ThreadLoop(axes)};
      few.push_back(Loop({axes + 1, 1, kRest}));
      attach(parts[i].few, std::move(few));
      if (parts[i].many < 0) continue;
      // Axes: rows, the few, their shares; then the rest of the row.
      Loops many{ThreadLoop(axes + 1)};
      std::swap(many[0].digits[axes], many[0].digits[axes + 1]);  // the few are neighbours
      for (size_t r = 0; r < stage.reduce_axes.size(); ++r) {
        many.push_back(Loop({axes + 2 + static_cast<int>(r), 1, kRest}));
      }
      attach(parts[i].many, std::move(many));
    }
    return decisions;
  }

 private:
  // A stage after rfactor: indices of what adds up the few, of the few, and of the many.
  struct Part {
    int stage = -1, few = -1, many = -1;
  };

  const te::Stage& Stage(int index) const { return *base_.stages()[index].stage; }
  int64_t Threads(absl::Span<const int> choices) const {
    return knobs_[threads_].options[choices[threads_]][0];
  }
  // Vectors of a row.
  int64_t Lanes(absl::Span<const int> choices, int index) const {
    return index == stages_.back() ? knobs_[lanes_].options[choices[lanes_]][0] : 1;
  }
  // Loops that a thread has over a row that it has elements of; of one iteration: none.
  int64_t Shares(absl::Span<const int> choices, int index) const {
    const bool has_row = static_cast<int>(Stage(index).axes.size()) > rows_;
    const int64_t shares =
        has_row ? CeilDiv(RowExtent(index), Lanes(choices, index) * Threads(choices)) : 1;
    return shares == 1 ? std::numeric_limits<int64_t>::max() : shares;
  }
  int Add(Knob knob) {
    knobs_.push_back(std::move(knob));
    return static_cast<int>(knobs_.size()) - 1;
  }

  // Elements of a row, or that are summed up along one.
  int64_t RowExtent(int index) const {
    const te::Stage& stage = Stage(index);
    if (stage.is_reduction()) return stage.reduce_axes.back().extent;
    return static_cast<int>(stage.axes.size()) > rows_ ? stage.axes.back().extent : 1;
  }

  std::vector<Part> Factor(absl::Span<const int> choices, schedule::Trace& steps) const {
    std::vector<Part> parts(stages_.size());
    int added = 0;  // stages, each before the one that it is factored from
    for (size_t i = 0; i < stages_.size(); ++i) {
      parts[i].stage = stages_[i] + added;
      const te::Stage& stage = Stage(stages_[i]);
      const int64_t extent = RowExtent(stages_[i]);
      if (!stage.is_reduction() || extent <= kLastPartials) continue;
      const std::string& axis = stage.reduce_axes.back().var->name;
      steps.push_back(SplitStep(stage.name(), axis, {kLastPartials}));
      steps.push_back(RfactorStep(stage.name(), axis + ".1"));
      parts[i].few = parts[i].stage++;
      ++added;
      const int64_t shares = Threads(choices) / kLastPartials;
      if (shares < 2 || extent < 2 * kLastPartials) continue;
      const std::string few = stage.outputs[0]->name + ".rf";
      steps.push_back(SplitStep(few, axis + ".0", {shares}));
      steps.push_back(RfactorStep(few, axis + ".0.1"));
      parts[i].many = parts[i].few++;
      ++parts[i].stage;
      ++added;
    }
    return parts;
  }

  // A block a row.
  schedule::LoopState BlockLoop() const {
    schedule::LoopState loop;
    loop.kind = ir::LoopKind::kThread;
    loop.thread_axis = ir::ThreadAxis::kBlockX;
    for (int axis = 0; axis < rows_; ++axis) loop.digits.push_back({axis, 1, kRest});
    return loop;
  }

  // Of an attached stage, whose region has one row.
  Loops Rows() const {
    Loops loops;
    for (int axis = 0; axis < rows_; ++axis) loops.push_back(Loop({axis, 1, kRest}));
    return loops;
  }

  // All axes up to `last`, shared out.
  static schedule::LoopState ThreadLoop(int last) {
    schedule::LoopState loop;
    loop.kind = ir::LoopKind::kThread;
    loop.thread_axis = ir::ThreadAxis::kThreadX;
    for (int axis = 0; axis <= last; ++axis) loop.digits.push_back({axis, 1, kRest});
    return loop;
  }

  // Elements of a row, neighbours for neighbouring threads.
  void AddRow(absl::Span<const int> choices, int index, Loops& loops) const {
    if (static_cast<int>(Stage(index).axes.size()) <= rows_) return;
    const int64_t lanes = Lanes(choices, index);
    const int64_t threads = Threads(choices), extent = RowExtent(index);
    const bool is_cut = extent > lanes * threads;
    if (is_cut) {
      const bool unrolls = choices[unroll_] == 1 && Shares(choices, index) <= kMaxUnrolledShares;
      loops.push_back(Loop({rows_, lanes * threads, kRest},
                           unrolls ? ir::LoopKind::kUnrolled : ir::LoopKind::kSerial));
    }
    schedule::LoopState thread = Loop({rows_, lanes, is_cut ? threads : kRest});
    thread.kind = ir::LoopKind::kThread;
    thread.thread_axis = ir::ThreadAxis::kThreadX;
    loops.push_back(std::move(thread));
    AddLoop(loops, {rows_, 1, lanes}, ir::LoopKind::kVectorized);
  }

  const schedule::Schedule& base_;
  const std::vector<int> stages_;
  const int rows_;
  std::vector<Knob> knobs_;
  int threads_ = -1, lanes_ = -1, unroll_ = -1;
};

// What a block has in shared memory of rows that stages make for others, and partial results.
int64_t SharedBytes(const schedule::Schedule& base, const std::vector<int>& stages, int rows,
                    int64_t block_threads) {
  int64_t bytes = 0;
  for (size_t i = 0; i + 1 < stages.size(); ++i) {
    const te::Stage& stage = *base.stages()[stages[i]].stage;
    for (const ir::Buffer& output : stage.outputs) {
      const int64_t element = std::max<int64_t>(output->type.bits / 8, 1);
      int64_t elements = 1;
      for (size_t a = rows; a < stage.axes.size(); ++a) elements *= stage.axes[a].extent;
      if (stage.is_reduction()) elements = block_threads + kLastPartials;
      bytes += CeilDiv(elements * element, schedule::kSharedAlignment) * schedule::kSharedAlignment;
    }
  }
  return bytes;
}

}  // namespace

std::unique_ptr<Group> MakeThreadRowGroup(const schedule::Schedule& base,
                                          const std::vector<int>& stages,
                                          const ir::Target& target) {
  const int rows = RowAxes(base, stages);
  const te::Stage& last = *base.stages()[stages.back()].stage;
  // A reduction that is all there is is a shared sum (thread_sum.h).
  const bool is_sum = stages.size() == 2 && static_cast<int>(last.axes.size()) == rows;
  if (stages.size() < 2 || is_sum || rows == 0 || target.block_threads < kLastPartials ||
      last.is_reduction() || static_cast<int>(last.axes.size()) > rows + 1 ||
      !FeedLast(base, stages) || !ReadsByRow(base, stages, stages, rows)) {
    return nullptr;
  }
  const bool has_long_reduction = std::ranges::any_of(stages, [&](int index) {
    const te::Stage& stage = *base.stages()[index].stage;
    return stage.is_reduction() && stage.reduce_axes.back().extent > kLastPartials;
  });
  const bool has_rows_alone = std::ranges::all_of(stages, [&](int index) {
    const te::Stage& stage = *base.stages()[index].stage;
    const auto axes = static_cast<int>(stage.axes.size());
    return stage.is_reduction() ? axes == rows : axes <= rows + 1;
  });
  if (!has_long_reduction || !has_rows_alone ||
      SharedBytes(base, stages, rows, target.block_threads) > target.shared_bytes) {
    return nullptr;
  }
  return std::make_unique<ThreadRows>(base, stages, rows, target);
}

}  // namespace tessera::space
