#include "compiler/schedule/accelerator_stages.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/ir/print.h"
#include "compiler/te/padding.h"

namespace tessera::schedule {
namespace {

// The bound that a condition sets to an axis: [axis] < `limit`, or at least `least`.
struct AxisBound {
  const ir::Var* var = nullptr;
  std::optional<int64_t> least, limit;
};
AxisBound BoundOf(const ir::Expr& condition) {
  const auto* compare = condition.As<ir::Binary>();
  if (compare == nullptr) return {};
  const bool is_strict = compare->op == ir::BinaryOp::kLt;
  if (!is_strict && compare->op != ir::BinaryOp::kLe) return {};
  if (const int64_t* least = ir::AsConstInt(compare->a)) {
    return {compare->b.As<ir::Var>(), *least + (is_strict ? 1 : 0), std::nullopt};
  }
  if (const int64_t* most = ir::AsConstInt(compare->b)) {
    return {compare->a.As<ir::Var>(), std::nullopt, *most + (is_strict ? 0 : 1)};
  }
  return {};
}

bool IsEdge(const ir::Expr& condition, const te::Stage& copy, const Access& source) {
  const AxisBound bound = BoundOf(condition);
  for (size_t d = 0; d < source.dims.size(); ++d) {
    const AxisForm& form = source.dims[d];
    if (copy.axes[form.terms[0].first].var.get() != bound.var) continue;
    return (!bound.least || *bound.least + form.constant == 0) &&
           (!bound.limit || *bound.limit + form.constant == source.buffer->shape[d]);
  }
  return false;
}

}  // namespace

absl::Status CheckCopy(const Schedule& schedule, const StageState& copy, int64_t padding) {
  const te::Stage& stage = *copy.stage;
  const auto refuse = [&](const char* why) {
    return absl::InvalidArgumentError(absl::StrCat(
        stage.name(), " is ", ir::Print(stage.bodies[0]), ", ", why,
        "; the accelerator loads parts of inputs, and has ", padding, " beyond their edges"));
  };
  const std::vector<Access>& reads = copy.analysis->reads;
  if (stage.is_reduction() || stage.outputs.size() != 1 || reads.size() != 1) {
    return refuse("which is no copy of one tensor");
  }
  const Access& source = reads[0];
  if (std::ranges::none_of(schedule.inputs(),
                           [&](const te::Input& input) { return input.buffer == source.buffer; })) {
    return refuse("which copies no input");
  }
  std::vector<int> axes;
  for (const AxisForm& form : source.dims) {
    const bool is_shifted = form.affine && form.terms.size() == 1 && form.terms[0].second == 1;
    if (!is_shifted || std::ranges::count(axes, form.terms[0].first) > 0) {
      return refuse("which takes other elements than neighbours'");
    }
    axes.push_back(form.terms[0].first);
  }
  if (axes.size() != stage.axes.size()) return refuse("which repeats elements");
  const ir::Expr& body = stage.bodies[0];
  if (body.As<ir::Load>() != nullptr) return absl::OkStatus();
  const auto* select = body.As<ir::Select>();
  if (select == nullptr || select->if_true.As<ir::Load>() == nullptr ||
      !ir::IsConst(select->if_false, static_cast<double>(padding))) {
    return refuse("which is computed");
  }
  const std::vector<ir::Expr> conditions = te::Conjuncts(select->condition);
  if (!std::ranges::all_of(conditions, [&](const ir::Expr& condition) {
        return IsEdge(condition, stage, source);
      })) {
    return refuse("which is padding elsewhere, too");
  }
  return absl::OkStatus();
}

Padding PaddingOf(const StageState& copy, int dimension) {
  const Access& source = copy.analysis->reads[0];
  const AxisForm& form = source.dims[dimension];
  const int64_t before = -form.constant;
  const int64_t behind =
      copy.stage->axes[form.terms[0].first].extent - before - source.buffer->shape[dimension];
  return {std::max<int64_t>(before, 0), std::max<int64_t>(behind, 0)};
}

std::vector<int> PaddedDimensions(const StageState& copy) {
  std::vector<int> dimensions;
  for (size_t d = 0; d < copy.analysis->reads[0].dims.size(); ++d) {
    const auto [before, behind] = PaddingOf(copy, static_cast<int>(d));
    if (before + behind > 0) dimensions.push_back(static_cast<int>(d));
  }
  return dimensions;
}

absl::StatusOr<std::vector<int>> StoredAxes(const StageState& store, const ir::Buffer& sum) {
  const auto refuse = [&] {
    return absl::InvalidArgumentError(
        absl::StrCat(store.stage->name(), " reads ", sum->name, " at other places than its own"));
  };
  const std::vector<Access>& reads = store.analysis->reads;
  if (std::ranges::count(reads, sum, &Access::buffer) != 1) return refuse();
  std::vector<int> axes;
  for (const AxisForm& form : std::ranges::find(reads, sum, &Access::buffer)->dims) {
    const int axis = PlainAxis(form);
    if (axis < 0 || std::ranges::count(axes, axis) > 0) return refuse();
    axes.push_back(axis);
  }
  if (axes.size() != store.stage->axes.size()) return refuse();
  return axes;
}

absl::StatusOr<Tile> AddedTile(const Schedule& schedule, const StageState& copy, const Access& read,
                               const Tile& stored) {
  const ir::Buffer& source = copy.analysis->reads[0].buffer;
  const bool is_constant = std::ranges::any_of(schedule.inputs(), [&](const te::Input& input) {
    return input.buffer == source && input.is_constant;
  });
  const auto refuse = [&](const auto&... why) {
    return absl::InvalidArgumentError(absl::StrCat(source->name, " ", why...));
  };
  for (const AxisForm& form : read.dims) {
    if (form.terms.empty() || PlainAxis(form) >= 0) continue;
    return refuse("is read at other places than those of the results, which accumulators have");
  }
  Tile tile;
  for (size_t i = 0; i < stored.size(); ++i) {
    const auto [axis, extent] = stored[i];
    const auto is_axis = [axis = axis](const AxisForm& form) { return IsPlain(form, axis); };
    const auto found = std::ranges::find_if(read.dims, is_axis);
    if (found == read.dims.end()) {
      const bool is_rows = i + 1 < stored.size();
      if (!is_rows || !is_constant) {
        return refuse("has not both axes of a tile of ",
                      stored.size() > 1 ? stored.front().extent : 1, " x ", stored.back().extent,
                      " accumulators, and the accelerator repeats no columns, and rows of "
                      "constants alone");
      }
      tile.push_back({kCopies, extent});
      continue;
    }
    if (std::count_if(found, read.dims.end(), is_axis) > 1) {
      return refuse("is read at a diagonal: an axis of a tile of accumulators stands in ",
                    std::count_if(found, read.dims.end(), is_axis),
                    " of its dimensions; the accelerator adds whole tiles");
    }
    tile.push_back({static_cast<int>(found - read.dims.begin()), extent});
  }
  return tile;
}

}  // namespace tessera::schedule
