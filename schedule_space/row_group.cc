#include "schedule_space/row_group.h"

#include <algorithm>
#include <bit>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "schedule_space/layout_rules.h"
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
    schedule::Trace& steps = decisions.steps;
    const bool attached = attach_ >= 0 && choices[attach_] == 1;
    const te::Stage& last = Stage(live_.back());
    std::vector<std::string> factored(live_.size());  // name of the partial loop, if any
    for (size_t i = 0; i < live_.size(); ++i) {
      const int64_t width = widths_[i] < 0 ? 1 : knobs_[widths_[i]].options[choices[widths_[i]]][0];
      if (width == 1) continue;
      const te::Stage& stage = Stage(live_[i]);
      const std::string& axis = stage.reduce_axes.back().var->name;
      steps.push_back(SplitStep(stage.name(), axis, {width}));
      factored[i] = axis + ".1";
      steps.push_back(RfactorStep(stage.name(), factored[i]));
    }
    std::string at;
    if (rows_ > 0) at = last.axes[rows_ - 1].var->name;
    for (size_t i = 0; i < live_.size(); ++i) {
      const te::Stage& stage = Stage(live_[i]);
      const bool is_last = i + 1 == live_.size();
      const bool at_root = is_last || !attached;
      // Parts at the root share their own rows out among threads.
      std::string own = static_cast<int>(stage.axes.size()) >= rows_ && rows_ > 0
                            ? stage.axes[rows_ - 1].var->name
                            : std::string();
      std::vector<std::string> rows;
      if (at_root && parallel_ >= 0 && static_cast<int>(stage.axes.size()) >= rows_) {
        const int fused = choices[parallel_] + 1;
        for (int a = 0; a < fused; ++a) rows.push_back(stage.axes[a].var->name);
      }
      const int64_t row_lanes =
          is_last && row_vector_ >= 0 ? knobs_[row_vector_].options[choices[row_vector_]][0] : 1;
      if (row_lanes > 1) {
        VectorizeRows(steps, stage, row_lanes, !rows.empty());
        continue;
      }
      if (rows.size() > 1) {
        const std::string fused = absl::StrJoin(rows, "+");
        if (std::find(rows.begin(), rows.end(), own) != rows.end()) own = fused;
        if (is_last && std::find(rows.begin(), rows.end(), at) != rows.end()) at = fused;
        steps.push_back(FuseStep(stage.name(), rows));
        rows = {fused};
      }
      if (!rows.empty()) steps.push_back(ParallelStep(stage.name(), rows[0]));
      if (!factored[i].empty()) {
        const std::string partial = stage.name() + ".rf";
        if (at_root && !own.empty()) steps.push_back(ComputeAtStep(partial, stage.name(), own));
        VectorizePartial(steps, stage, partial, factored[i], choices[widths_[i]], widths_[i]);
        steps.push_back(UnrollStep(stage.name(), factored[i]));
      } else if (unrolls_[i] >= 0) {
        const Option& option = knobs_[unrolls_[i]].options[choices[unrolls_[i]]];
        VectorizeMap(steps, stage.name(), stage.axes.back().var->name, stage.axes.back().extent,
                     option[0], option[1]);
      }
    }
    if (!attached) return decisions;
    for (size_t i = 0; i + 1 < live_.size(); ++i) {
      const std::string& name = Stage(live_[i]).name();
      if (!factored[i].empty()) steps.push_back(ComputeAtStep(name + ".rf", last.name(), at));
      steps.push_back(ComputeAtStep(name, last.name(), at));
    }
    return decisions;
  }

 private:
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

  // rows · reduction · row vectors.
  static void VectorizeRows(schedule::Trace& steps, const te::Stage& stage, int64_t lanes,
                            bool parallel) {
    const std::string& axis = stage.axes.back().var->name;
    std::vector<std::string> order;
    for (size_t a = 0; a + 1 < stage.axes.size(); ++a) order.push_back(stage.axes[a].var->name);
    std::string vector = axis;
    if (lanes < stage.axes.back().extent) {
      steps.push_back(SplitStep(stage.name(), axis, {lanes}));
      order.push_back(axis + ".0");
      vector = axis + ".1";
    }
    const bool outer_row = !order.empty();
    for (const te::Axis& reduce : stage.reduce_axes) order.push_back(reduce.var->name);
    order.push_back(vector);
    const std::string first = order[0];
    steps.push_back(ReorderStep(stage.name(), std::move(order)));
    if (parallel && outer_row) steps.push_back(ParallelStep(stage.name(), first));
    steps.push_back(VectorizeStep(stage.name(), std::move(vector)));
  }

  // Splits `axis` into unrolled vectors.
  static std::vector<std::string> VectorizeMap(schedule::Trace& steps, const std::string& stage,
                                               const std::string& axis, int64_t extent,
                                               int64_t lanes, int64_t unroll) {
    if (lanes <= 1) return {axis};
    std::vector<int64_t> factors;
    if (unroll > 1) factors.push_back(unroll);
    if (lanes < extent || unroll > 1) factors.push_back(lanes);
    std::vector<std::string> loops{axis};
    if (!factors.empty()) {
      steps.push_back(SplitStep(stage, axis, factors));
      loops.clear();
      for (size_t i = 0; i <= factors.size(); ++i) loops.push_back(absl::StrCat(axis, ".", i));
    }
    if (unroll > 1) steps.push_back(UnrollStep(stage, loops[1]));
    steps.push_back(VectorizeStep(stage, loops.back()));
    return loops;
  }

  void VectorizePartial(schedule::Trace& steps, const te::Stage& stage, const std::string& partial,
                        const std::string& loop, int choice, int knob) const {
    const int64_t width = knobs_[knob].options[choice][0];
    const int64_t lanes = std::min(lanes_[knob], width);
    std::vector<std::string> order;
    for (const te::Axis& axis : stage.axes) order.push_back(axis.var->name);
    for (size_t r = 0; r + 1 < stage.reduce_axes.size(); ++r) {
      order.push_back(stage.reduce_axes[r].var->name);
    }
    order.push_back(stage.reduce_axes.back().var->name + ".0");
    std::string vector = loop;
    if (width > lanes) {
      steps.push_back(SplitStep(partial, loop, {lanes}));
      order.push_back(loop + ".0");
      vector = loop + ".1";
    }
    order.push_back(vector);
    steps.push_back(ReorderStep(partial, order));
    if (width > lanes) steps.push_back(UnrollStep(partial, loop + ".0"));
    steps.push_back(VectorizeStep(partial, std::move(vector)));
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
