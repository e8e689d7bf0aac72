#include "tuner/config_search_space.h"

#include <type_traits>
#include <utility>

#include "base/status.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/default_trace.h"
#include "compiler/schedule/executed_operations.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/te/dag.h"
#include "costmodel/features.h"

namespace tessera::tuner {

static_assert(std::is_same_v<Point, space::Config>);

ConfigSearchSpace::ConfigSearchSpace(std::shared_ptr<const space::ConfigSpace> space,
                                     FeatureSource features, std::optional<FixedProgram> baseline,
                                     std::vector<double> sketch_work)
    : space_(std::move(space)),
      features_(std::move(features)),
      baseline_(std::move(baseline)),
      sketch_work_(std::move(sketch_work)) {}

absl::StatusOr<uint64_t> ConfigSearchSpace::LoopHash(const Point& point) const {
  TESSERA_ASSIGN_OR_RETURN(const schedule::Schedule schedule, space_->ToSchedule(point));
  TESSERA_ASSIGN_OR_RETURN(const schedule::LoopStructure loops, schedule::InferBounds(schedule));
  return schedule::LoopHash(schedule, loops);
}

absl::StatusOr<std::string> ConfigSearchSpace::Trace(const Point& point) const {
  TESSERA_ASSIGN_OR_RETURN(const schedule::Trace trace, space_->ToTrace(point));
  return schedule::Print(trace);
}

namespace {

absl::StatusOr<FixedProgram> DefaultProgram(const te::Dag& dag, ir::Target target, int threads) {
  target.max_threads = threads;
  TESSERA_ASSIGN_OR_RETURN(const schedule::Trace trace, schedule::DefaultTrace(dag, target));
  TESSERA_ASSIGN_OR_RETURN(const schedule::Schedule schedule, schedule::ApplyTrace(dag, trace));
  TESSERA_ASSIGN_OR_RETURN(const schedule::LoopStructure loops, schedule::InferBounds(schedule));
  return FixedProgram{schedule::Print(trace), schedule::LoopHash(schedule, loops)};
}

}  // namespace

absl::StatusOr<std::shared_ptr<const SearchSpace>> MakeSearchSpace(const db::Task& task) {
  const auto build = [&]() -> absl::StatusOr<std::shared_ptr<const SearchSpace>> {
    TESSERA_ASSIGN_OR_RETURN(const te::Workload workload, te::ParseWorkload(task.workload));
    TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(task.target));
    TESSERA_ASSIGN_OR_RETURN(space::ConfigSpace built,
                             space::BuildSpace(workload, target, task.threads));
    auto space = std::make_shared<const space::ConfigSpace>(std::move(built));
    FeatureSource features = {
        costmodel::FeatureCount(),
        [space, threads = task.threads](absl::Span<const space::Config> configs) {
          return costmodel::ConfigFeatures(*space, threads, configs);
        }};
    TESSERA_ASSIGN_OR_RETURN(FixedProgram baseline,
                             DefaultProgram(workload.dag, target, task.threads));
    std::vector<double> sketch_work;
    for (const space::Sketch& sketch : space->sketches()) {
      TESSERA_ASSIGN_OR_RETURN(const int64_t operations,
                               schedule::ExecutedOperations(workload.dag, sketch.structure));
      sketch_work.push_back(static_cast<double>(operations));
    }
    return std::make_shared<const ConfigSearchSpace>(std::move(space), std::move(features),
                                                     std::move(baseline), std::move(sketch_work));
  };
  absl::StatusOr<std::shared_ptr<const SearchSpace>> space = build();
  if (!space.ok()) return Annotate(space.status(), absl::StrCat("task ", task.name));
  return space;
}

}  // namespace tessera::tuner
