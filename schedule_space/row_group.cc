#include "schedule_space/row_group.h"

#include <algorithm>
#include <bit>

#include "absl/strings/str_cat.h"
#include "schedule_space/layout_rules.h"
#include "schedule_space/nest_loops.h"
#include "schedule_space/steps.h"
#include "schedule_space/tile_sizes.h"

namespace tessera::space {
namespace {

constexpr int64_t kMaxWidth = 8;  // vectors of partial results
// A reduction that is shared out among threads: its parts a thread, and points a thread at least.
constexpr int64_t kPartsPerThread = 4;
constexpr int64_t kMinShare = 2048;
constexpr int64_t kMaxRowsAtATime = 8;

class RowGroup final : public Group {
 public:
  RowGroup(const RowSpec& spec, const ir::Target& target)
      : base_(*spec.base),
        threads_(spec.threads),
        live_(spec.stages),
        block_axis_(spec.block_axis),
        rows_(RowAxes(base_, live_)) {
    const te::Stage& last = Stage(live_.back());
    if (block_axis_ < 0 && live_.size() > 1 && rows_ > 0 && FeedLast(base_, live_) &&
        ReadsByRow(base_, live_, live_, rows_)) {
      attach_ = Add(FreeKnob("attach", {"rows"}, {{0}, {1}}), 0.8);
    }
    if (block_axis_ >= 0 || attach_ >= 0) {
      std::vector<Option> options{{1}};
      for (int64_t n = 2; n <= kMaxRowsAtATime; n *= 2) {
        if (last.axes[rows_ - 1].extent % n == 0) options.push_back({n});
      }
      if (options.size() > 1) group_ = Add(FreeKnob("group", {"rows"}, std::move(options)));
    }
    for (int index : live_) {
      const te::Stage& stage = Stage(index);
      widths_.push_back(-1);
      unrolls_.push_back(-1);
      const int64_t lanes = target.Lanes(std::max<int>(8, stage.output()->type.bits));
      if (stage.is_reduction()) {
        const int64_t extent = stage.reduce_axes.back().extent;
        std::vector<Option> options{{1}};
        for (int64_t n = 1; n <= kMaxWidth; n *= 2) {
          if (n * lanes <= extent) options.push_back({n * lanes});
        }
        if (options.size() == 1 && extent > 1) {
          options.push_back({static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(extent)))});
        }
        if (options.size() > 1) {
          widths_.back() =
              Add(FreeKnob(absl::StrCat("partial.", stage.name()), {"width"}, std::move(options)));
          lanes_[widths_.back()] = lanes;
        }
      } else if (static_cast<int>(stage.axes.size()) > rows_ && !stage.is_reduction()) {
        const int64_t extent = stage.axes.back().extent;
        std::vector<Option> options{{std::min(lanes, extent), 1}};
        for (int64_t n = 2; n <= kMaxWidth && (n - 1) * lanes < extent; n *= 2) {
          options.push_back({lanes, n});
        }
        if (extent > 1) {
          unrolls_.back() = Add(FreeKnob(absl::StrCat("vector.", stage.name()), {"lanes", "unroll"},
                                         std::move(options)));
        }
      }
    }
    int64_t row_count = 1;
    for (int axis = 0; axis < rows_; ++axis) row_count *= last.axes[axis].extent;
    if (threads_ > 1 && row_count > 1) {
      std::vector<Option> options;
      const int most = block_axis_ < 0 ? rows_ : block_axis_ + 1;
      for (int n = 1; n <= most; ++n) options.push_back({n});
      parallel_ = Add(FreeKnob("parallel", {"loops"}, std::move(options)));
    }
    if (threads_ > 1 && row_count == 1) AddShares();
    if (last.axes.size() == static_cast<size_t>(rows_) && live_.size() == 1 && rows_ > 0 &&
        group_ < 0 && last.axes.back().extent > 1) {
      const int64_t lanes = target.Lanes(std::max<int>(8, last.output()->type.bits));
      row_vector_ = Add(
          FreeKnob("vector.rows", {"lanes"}, {{1}, {std::min(lanes, last.axes.back().extent)}}));
    }
  }

  const std::vector<Knob>& knobs() const override { return knobs_; }

  void Canonicalize(absl::Span<int> choices) const override {
    if (group_ >= 0 && attach_ >= 0 && choices[attach_] == 0) choices[group_] = 0;
    if (parallel_ >= 0) {
      // Fusing loops of extent 1 changes nothing.
      const te::Stage& last = Stage(live_.back());
      int fused = choices[parallel_] + 1;
      const int most = static_cast<int>(knobs_[parallel_].options.size());
      while (fused < most && Product(last, fused) < threads_) ++fused;
      while (fused > 1 && Product(last, fused) == Product(last, fused - 1)) --fused;
      choices[parallel_] = fused - 1;
    }
    if (row_vector_ >= 0 && widths_.back() >= 0 && choices[widths_.back()] > 0) {
      choices[row_vector_] = 0;  // partial results are vectors already
    }
  }

  Decisions Decide(absl::Span<const int> choices) const override {
    Decisions decisions;
    const std::vector<Part> parts = Factor(choices, decisions.steps);
    const bool attached = block_axis_ >= 0 || (attach_ >= 0 && choices[attach_] == 1);
    const int64_t grouped = group_ < 0 ? 1 : knobs_[group_].options[choices[group_]][0];
    int last_row = -1;  // the loop of the last stage that the others are computed in
    for (size_t i = live_.size(); i-- > 0;) {
      const Part& part = parts[i];
      const te::Stage& stage = Stage(live_[i]);
      const bool at_root = i + 1 == live_.size() || !attached;
      // Parts at the root share their own rows out among threads.
      const bool has_rows = static_cast<int>(stage.axes.size()) >= rows_;
      const int shared = at_root && has_rows && parallel_ >= 0 ? choices[parallel_] + 1 : 0;
      const int row = has_rows ? rows_ - std::max(1, shared) : -1;
      if (i + 1 == live_.size()) last_row = row;

      schedule::Nest nest{part.stage, StageLoops(choices, i, part, shared)};
      if (i + 1 == live_.size() && grouped > 1) {
        // The stages of one row wait for one another; those of several rows overlap.
        nest.loops[row].digits.back().stride = grouped;
        nest.loops.insert(nest.loops.begin() + row + 1, Loop({rows_ - 1, 1, grouped}));
      }
      if (!at_root) {
        nest.at_stage = parts.back().stage;
        nest.at_loop = last_row;
      }
      decisions.nests.push_back(std::move(nest));
      if (part.share >= 0) {
        AddShared(stage, part, widths_[i], decisions.nests);
        continue;
      }
      if (part.width == 1) continue;
      schedule::Nest partial{part.partial, PartialLoops(stage, part.width, lanes_[widths_[i]])};
      if (!at_root && grouped == 1) {
        partial.at_stage = parts.back().stage;
        partial.at_loop = last_row;
      } else if (row >= 0) {
        partial.at_stage = part.stage;
        partial.at_loop = row;
      }
      decisions.nests.push_back(std::move(partial));
    }
    return decisions;
  }

 private:
  // A live stage after rfactor.
  struct Part {
    int stage = -1, partial = -1;  // indices
    int share = -1;                // of the stage that has one sum a part, if threads share it
    int64_t width = 1;
  };

  const te::Stage& Stage(int index) const { return *base_.stages()[index].stage; }

  static int64_t Product(const te::Stage& stage, int axes) {
    int64_t product = 1;
    for (int a = 0; a < axes; ++a) product *= stage.axes[a].extent;
    return product;
  }

  int Add(Knob knob, double last_option_weight = 0) {
    if (last_option_weight > 0) knob.weights = {1 - last_option_weight, last_option_weight};
    knobs_.push_back(std::move(knob));
    lanes_.push_back(1);
    return static_cast<int>(knobs_.size()) - 1;
  }

  // The live stages after rfactor, which `steps` do.
  std::vector<Part> Factor(absl::Span<const int> choices, schedule::Trace& steps) const {
    std::vector<Part> parts(live_.size());
    int added = 0;  // stages
    for (size_t i = 0; i < live_.size(); ++i) {
      parts[i].stage = live_[i] + added;
      if (widths_[i] < 0) continue;
      parts[i].width = knobs_[widths_[i]].options[choices[widths_[i]]][0];
      const te::Stage& stage = Stage(live_[i]);
      const std::string& axis = stage.reduce_axes.back().var->name;
      const int64_t shares = shares_ < 0 ? 1 : knobs_[shares_].options[choices[shares_]][0];
      if (shares > 1 && IsShareable(stage)) {
        const int64_t whole = shares * parts[i].width;
        const int64_t vectors = (stage.reduce_axes.back().extent + whole - 1) / whole;
        steps.push_back(SplitStep(stage.name(), axis, {vectors * parts[i].width}));
        steps.push_back(RfactorStep(stage.name(), axis + ".0"));
        parts[i].share = parts[i].stage++;
        ++added;
        if (parts[i].width == 1) continue;
        const std::string sums = stage.name() + ".rf";
        steps.push_back(SplitStep(sums, axis + ".1", {parts[i].width}));
        steps.push_back(RfactorStep(sums, axis + ".1.1"));
        parts[i].partial = parts[i].share++;
        ++parts[i].stage;
        ++added;
        continue;
      }
      if (parts[i].width == 1) continue;
      steps.push_back(SplitStep(stage.name(), axis, {parts[i].width}));
      steps.push_back(RfactorStep(stage.name(), axis + ".1"));
      parts[i].partial = parts[i].stage++;
      ++added;
    }
    return parts;
  }

  bool IsShareable(const te::Stage& stage) const {
    return stage.is_reduction() && stage.outputs.size() == 1 && !stage.axes.empty() &&
           stage.reduce_axes.back().extent >= kMinShare * threads_;
  }

  void AddShares() {
    if (std::none_of(live_.begin(), live_.end(),
                     [&](int index) { return IsShareable(Stage(index)); })) {
      return;
    }
    shares_ = Add(FreeKnob("share", {"parts"}, {{1}, {threads_}, {threads_ * kPartsPerThread}}));
  }

  // With a single row there is nothing to share out but the reduction: the stage that rfactor made
  // has a sum a part, at the root, and partial results of its own.
  void AddShared(const te::Stage& stage, const Part& part, int knob,
                 std::vector<schedule::Nest>& nests) const {
    const int axes = static_cast<int>(stage.axes.size()), parts = axes;
    Loops outer{Loop({parts, 1, kRest})};
    for (int a = 0; a < axes; ++a) outer.push_back(Loop({a, 1, kRest}));
    Loops sums = outer;
    sums[0].kind = ir::LoopKind::kParallel;
    const auto reductions = [&](int first, Loops& loops) {
      for (size_t r = 0; r < stage.reduce_axes.size(); ++r) {
        loops.push_back(Loop({first + static_cast<int>(r), 1, kRest}));
      }
    };
    if (part.width == 1) {
      reductions(parts + 1, sums);
      nests.push_back({part.share, std::move(sums)});
      return;
    }
    const int64_t lanes = lanes_[knob];
    AddTotal(sums, parts + 1, part.width, lanes, false);
    nests.push_back({part.share, std::move(sums)});
    schedule::Nest partial{part.partial, std::move(outer)};
    reductions(parts + 2, partial.loops);
    AddPartials(partial.loops, parts + 1, part.width, lanes);
    partial.at_stage = part.share;
    partial.at_loop = 0;
    nests.push_back(std::move(partial));
  }

  // Over the partial results: whole vectors are combined first, then the lanes of one. Of pairs the
  // lowering does that itself.
  static void AddTotal(Loops& loops, int axis, int64_t width, int64_t lanes, bool pairs) {
    const bool whole = width <= lanes || pairs;
    if (!whole) loops.push_back(Loop({axis, lanes, kRest}, ir::LoopKind::kUnrolled));
    loops.push_back(Loop({axis, 1, whole ? kRest : lanes}, ir::LoopKind::kVectorized));
  }

  // Vectors of partial results.
  static void AddPartials(Loops& loops, int axis, int64_t width, int64_t lanes) {
    if (width > lanes) loops.push_back(Loop({axis, lanes, kRest}, ir::LoopKind::kUnrolled));
    loops.push_back(Loop({axis, 1, width > lanes ? lanes : kRest}, ir::LoopKind::kVectorized));
  }

  // Of live stage `i`, which adds up partial results or parts if it has any.
  Loops StageLoops(absl::Span<const int> choices, size_t i, const Part& part, int shared) const {
    const te::Stage& stage = Stage(live_[i]);
    if (i + 1 == live_.size() && row_vector_ >= 0) {
      const int64_t lanes = knobs_[row_vector_].options[choices[row_vector_]][0];
      if (lanes > 1) return VectorRows(stage, lanes, shared > 0);
    }
    Loops loops = Rows(stage, shared);
    if (part.share >= 0) {
      loops.push_back(
          Loop({static_cast<int>(stage.axes.size()), 1, kRest}, ir::LoopKind::kVectorized));
    } else if (part.width > 1) {
      AddTotal(loops, static_cast<int>(stage.axes.size()), part.width, lanes_[widths_[i]],
               stage.outputs.size() > 1);
    } else if (unrolls_[i] >= 0) {
      const Option& option = knobs_[unrolls_[i]].options[choices[unrolls_[i]]];
      CutVectors(loops, stage.axes.back().extent, option[0], option[1]);
    } else {
      AddReductions(stage, loops);
    }
    return loops;
  }

  // A stage's axes, the first `shared` of them as one parallel loop.
  static Loops Rows(const te::Stage& stage, int shared) {
    Loops loops;
    for (int a = 0; a < static_cast<int>(stage.axes.size()); ++a) {
      if (a > 0 && a < shared) {
        loops[0].digits.push_back({a, 1, kRest});
      } else {
        loops.push_back(Loop({a, 1, kRest}));
      }
    }
    if (shared > 0) loops[0].kind = ir::LoopKind::kParallel;
    return loops;
  }

  static void AddReductions(const te::Stage& stage, Loops& loops) {
    const int first = static_cast<int>(stage.axes.size());
    for (int r = 0; r < static_cast<int>(stage.reduce_axes.size()); ++r) {
      loops.push_back(Loop({first + r, 1, kRest}));
    }
  }

  // rows · reduction · row vectors.
  static Loops VectorRows(const te::Stage& stage, int64_t lanes, bool parallel) {
    Loops loops = Rows(stage, 0);
    schedule::LoopState vector = loops.back();
    if (lanes < stage.axes.back().extent) {
      vector.digits[0].extent = lanes;
      loops.back().digits[0].stride = lanes;
    } else {
      loops.pop_back();
    }
    vector.kind = ir::LoopKind::kVectorized;
    if (parallel && !loops.empty()) loops[0].kind = ir::LoopKind::kParallel;
    AddReductions(stage, loops);
    loops.push_back(std::move(vector));
    return loops;
  }

  // Cuts the innermost loop, which covers an axis of `extent`, into unrolled vectors.
  static void CutVectors(Loops& loops, int64_t extent, int64_t lanes, int64_t unroll) {
    if (lanes <= 1) return;
    const int axis = loops.back().digits[0].axis;
    if (lanes >= extent && unroll == 1) {
      loops.back().kind = ir::LoopKind::kVectorized;
      return;
    }
    loops.back().digits[0].stride = unroll * lanes;
    AddLoop(loops, {axis, lanes, unroll}, ir::LoopKind::kUnrolled);
    AddLoop(loops, {axis, 1, lanes}, ir::LoopKind::kVectorized);
  }

  // Of the stage that rfactor adds, whose last axis counts partial results: rows · reduction ·
  // vectors of partial results.
  static Loops PartialLoops(const te::Stage& stage, int64_t width, int64_t lanes) {
    Loops loops = Rows(stage, 0);
    const int partial = static_cast<int>(stage.axes.size());
    for (int r = 1; r <= static_cast<int>(stage.reduce_axes.size()); ++r) {
      loops.push_back(Loop({partial + r, 1, kRest}));
    }
    AddPartials(loops, partial, width, lanes);
    return loops;
  }

  const schedule::Schedule& base_;
  const int threads_;
  const std::vector<int> live_;
  const int block_axis_;
  const int rows_;
  std::vector<Knob> knobs_;
  std::vector<int64_t> lanes_;  // by knob
  int attach_ = -1, parallel_ = -1, row_vector_ = -1, group_ = -1, shares_ = -1;
  std::vector<int> widths_, unrolls_;  // knob by live stage, or -1
};

}  // namespace

int RowAxes(const schedule::Schedule& base, const std::vector<int>& stages) {
  const auto axes = [&](int index) {
    return static_cast<int>(base.stages()[index].stage->axes.size());
  };
  int rows = axes(stages.back());
  bool reduces = false;
  for (const int index : stages) {
    if (!base.stages()[index].stage->is_reduction()) continue;
    rows = std::min(rows, axes(index));
    reduces = true;
  }
  return reduces || rows == 0 ? rows : rows - 1;
}

bool ReadsByRow(const schedule::Schedule& base, const std::vector<int>& stages,
                const std::vector<int>& producers, int axes) {
  for (const int producer : producers) {
    for (const int consumer : stages) {
      for (const schedule::Access& access : base.stages()[consumer].analysis->reads) {
        const auto& made = base.stages()[producer].stage->outputs;
        if (std::find(made.begin(), made.end(), access.buffer) == made.end()) continue;
        for (int axis = 0; axis < axes; ++axis) {
          if (axis >= static_cast<int>(access.dims.size()) || !IsPlain(access.dims[axis], axis)) {
            return false;
          }
        }
      }
    }
  }
  return true;
}

bool FeedLast(const schedule::Schedule& base, const std::vector<int>& stages) {
  return std::none_of(stages.begin(), stages.end() - 1,
                      [&](int stage) { return base.MakesOutput(*base.stages()[stage].stage); });
}

int RowBlockAxis(const schedule::Schedule& base, const std::vector<int>& stages,
                 const std::vector<int>& producers) {
  const int rows = RowAxes(base, stages);
  std::vector<int> all = producers;
  all.insert(all.end(), stages.begin(), stages.end());
  if (rows < 2 || !FeedLast(base, all) || !ReadsByRow(base, stages, stages, rows) ||
      !ReadsByRow(base, stages, producers, rows - 1)) {
    return -1;
  }
  return rows - 2;
}

std::unique_ptr<Group> MakeRowGroup(const RowSpec& spec, const ir::Target& target) {
  return std::make_unique<RowGroup>(spec, target);
}

}  // namespace tessera::space
