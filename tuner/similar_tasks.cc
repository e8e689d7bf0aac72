#include "tuner/similar_tasks.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/view.h"
#include "compiler/te/dag.h"

namespace tessera::tuner {
namespace {

// Small ones are bound by other things than large ones.
constexpr double kSizeRatio = 8;

std::string FormOf(const te::Dag& dag) {
  std::string form;
  for (const te::Stage& stage : dag.stages) {
    if (!stage.is_reduction()) continue;
    const auto summed = std::ranges::count_if(stage.reduce_axes,
                                              [](const te::Axis& axis) { return axis.extent > 1; });
    absl::StrAppend(&form, " ", AbslView(te::ToString(stage.combiner)), stage.axes.size(), "/",
                    summed);
  }
  return form.empty() ? " map" : form;
}

}  // namespace

TaskKind KindOf(const db::Task& task) {
  const absl::StatusOr<te::Workload> workload = te::ParseWorkload(task.workload);
  if (!workload.ok()) return {};
  return {absl::StrCat(task.target, " ", task.threads, " ", AbslView(db::ToString(task.cache_mode)),
                       FormOf(workload->dag)),
          static_cast<double>(te::ExecutedOperations(workload->dag))};
}

bool AreSimilar(const TaskKind& a, const TaskKind& b) {
  if (a.form.empty() || a.form != b.form || a.operations <= 0 || b.operations <= 0) return false;
  return std::max(a.operations, b.operations) <= kSizeRatio * std::min(a.operations, b.operations);
}

}  // namespace tessera::tuner
