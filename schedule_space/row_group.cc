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

class RowGroup final : public Group {
 public:
  RowGroup(const schedule::Schedule& base, const ir::Target& target, int threads)
      : base_(base), threads_(threads) {
    for (size_t i = 0; i < base.stages().size(); ++i) {
      if (base.stages()[i].placement != schedule::Placement::kInlined) {
        live_.push_back(static_cast<int>(i));
      }
    }
    const te::Stage& last = Stage(live_.back());
    rows_ = static_cast<int>(last.axes.size());
    for (int index : live_) {
      const te::Stage& stage = Stage(index);
      if (stage.is_reduction()) rows_ = std::min(rows_, static_cast<int>(stage.axes.size()));
    }
    int reductions = 0;
    for (int index : live_) reductions += Stage(index).is_reduction() ? 1 : 0;
    if (reductions == 0 && rows_ > 0) --rows_;
    if (live_.size() > 1 && rows_ > 0 && ReadsByRow()) {
      attach_ = Add(FreeKnob("attach", {"rows"}, {{0}, {1}}), 0.8);
    }
    for (int index : live_) {
      const te::Stage& stage = Stage(index);
      widths_.push_back(-1);
      unrolls_.push_back(-1);
      const int64_t lanes = target.Lanes(std::max<int>(8, stage.output()->type.bits));
      if (stage.outputs.size() == 1 && stage.is_reduction()) {
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
      for (int n = 1; n <= rows_; ++n) options.push_back({n});
      parallel_ = Add(FreeKnob("parallel", {"loops"}, std::move(options)));
    }
    if (last.axes.size() == static_cast<size_t>(rows_) && live_.size() == 1 && rows_ > 0 &&
        last.axes.back().extent > 1) {
      const int64_t lanes = target.Lanes(std::max<int>(8, last.output()->type.bits));
      row_vector_ = Add(
          FreeKnob("vector.rows", {"lanes"}, {{1}, {std::min(lanes, last.axes.back().extent)}}));
    }
  }

  const std::vector<Knob>& knobs() const override { return knobs_; }

  void Canonicalize(absl::Span<int> choices) const override {
    if (parallel_ >= 0) {
      // Fusing loops of extent 1 changes nothing.
      const te::Stage& last = Stage(live_.back());
      int fused = choices[parallel_] + 1;
      while (fused < rows_ && Product(last, fused) < threads_) ++fused;
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
    const bool attached = attach_ >= 0 && choices[attach_] == 1;
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

      schedule::Nest nest{part.stage, StageLoops(choices, i, part.width, shared)};
      if (!at_root) {
        nest.at_stage = parts.back().stage;
        nest.at_loop = last_row;
      }
      decisions.nests.push_back(std::move(nest));
      if (part.width == 1) continue;
      schedule::Nest partial{part.partial, PartialLoops(stage, part.width, lanes_[widths_[i]])};
      if (!at_root) {
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
    int64_t width = 1;
  };

  const te::Stage& Stage(int index) const { return *base_.stages()[index].stage; }

  static int64_t Product(const te::Stage& stage, int axes) {
    int64_t product = 1;
    for (int a = 0; a < axes; ++a) product *= stage.axes[a].extent;
    return product;
  }

  // Whether every stage is read by later ones at the reader's own row.
  bool ReadsByRow() const {
    for (int producer : live_) {
      for (int consumer : live_) {
        for (const schedule::Access& access : base_.stages()[consumer].analysis->reads) {
          if (access.buffer != Stage(producer).output()) continue;
          for (int row = 0; row < rows_; ++row) {
            if (row >= static_cast<int>(access.dims.size()) || !IsPlain(access.dims[row], row)) {
              return false;
            }
          }
        }
      }
    }
    return true;
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
      if (parts[i].width == 1) continue;
      const te::Stage& stage = Stage(live_[i]);
      const std::string& axis = stage.reduce_axes.back().var->name;
      steps.push_back(SplitStep(stage.name(), axis, {parts[i].width}));
      steps.push_back(RfactorStep(stage.name(), axis + ".1"));
      parts[i].partial = parts[i].stage++;
      ++added;
    }
    return parts;
  }

  // Of live stage `i`, which adds up `width` partial results if more than 1.
  Loops StageLoops(absl::Span<const int> choices, size_t i, int64_t width, int shared) const {
    const te::Stage& stage = Stage(live_[i]);
    if (i + 1 == live_.size() && row_vector_ >= 0) {
      const int64_t lanes = knobs_[row_vector_].options[choices[row_vector_]][0];
      if (lanes > 1) return VectorRows(stage, lanes, shared > 0);
    }
    Loops loops = Rows(stage, shared);
    if (width > 1) {
      const int partial = static_cast<int>(stage.axes.size());
      loops.push_back(Loop({partial, 1, kRest}, ir::LoopKind::kUnrolled));
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
    if (width > lanes) loops.push_back(Loop({partial, lanes, kRest}, ir::LoopKind::kUnrolled));
    loops.push_back(Loop({partial, 1, width > lanes ? lanes : kRest}, ir::LoopKind::kVectorized));
    return loops;
  }

  const schedule::Schedule& base_;
  const int threads_;
  std::vector<int> live_;
  int rows_ = 0;
  std::vector<Knob> knobs_;
  std::vector<int64_t> lanes_;  // by knob
  int attach_ = -1, parallel_ = -1, row_vector_ = -1;
  std::vector<int> widths_, unrolls_;  // knob by live stage, or -1
};

}  // namespace

std::unique_ptr<Group> MakeRowGroup(const schedule::Schedule& base, const ir::Target& target,
                                    int threads) {
  return std::make_unique<RowGroup>(base, target, threads);
}

}  // namespace tessera::space
