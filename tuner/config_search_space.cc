#include "tuner/config_search_space.h"

#include <type_traits>
#include <utility>

#include "base/status.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/te/dag.h"
#include "costmodel/features.h"

namespace tessera::tuner {

static_assert(std::is_same_v<Point, space::Config>);

ConfigSearchSpace::ConfigSearchSpace(std::shared_ptr<const space::ConfigSpace> space,
                                     FeatureSource features)
    : space_(std::move(space)), features_(std::move(features)) {}

absl::StatusOr<uint64_t> ConfigSearchSpace::LoopHash(const Point& point) const {
  TESSERA_ASSIGN_OR_RETURN(const schedule::Schedule schedule, space_->ToSchedule(point));
  TESSERA_ASSIGN_OR_RETURN(const schedule::LoopStructure loops, schedule::InferBounds(schedule));
  return schedule::LoopHash(schedule, loops);
}

absl::StatusOr<std::string> ConfigSearchSpace::Trace(const Point& point) const {
  TESSERA_ASSIGN_OR_RETURN(const schedule::Trace trace, space_->ToTrace(point));
  return schedule::Print(trace);
}

absl::StatusOr<std::shared_ptr<const SearchSpace>> MakeSearchSpace(const db::Task& task) {
  const auto build = [&]() -> absl::StatusOr<std::shared_ptr<const SearchSpace>> {
    TESSERA_ASSIGN_OR_RETURN(const te::Workload workload, te::ParseWorkload(task.workload));
    TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(task.target));
    TESSERA_ASSIGN_OR_RETURN(space::ConfigSpace built,
                             space::BuildSpace(workload, target, task.threads));
    auto space = std::make_shared<const space::ConfigSpace>(std::move(built));
    FeatureSource features = {costmodel::FeatureCount(),
                              [space](absl::Span<const space::Config> configs) {
                                return costmodel::ConfigFeatures(*space, configs);
                              }};
    return std::make_shared<const ConfigSearchSpace>(std::move(space), std::move(features));
  };
  absl::StatusOr<std::shared_ptr<const SearchSpace>> space = build();
  if (!space.ok()) return Annotate(space.status(), absl::StrCat("task ", task.name));
  return space;
}

}  // namespace tessera::tuner
