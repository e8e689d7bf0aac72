#include "tuner/config_search_space.h"

#include <limits>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/third_party.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/default_trace.h"
#include "compiler/schedule/executed_operations.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/te/dag.h"
#include "costmodel/draft.h"
#include "costmodel/features.h"
#include "schedule_space/pins.h"
#include "tuner/listed_space.h"

namespace tessera::tuner {

static_assert(std::is_same_v<Point, space::Config>);

ConfigSearchSpace::ConfigSearchSpace(std::shared_ptr<const space::ConfigSpace> space,
                                     FeatureSource features, std::optional<FixedProgram> baseline,
                                     std::vector<double> sketch_work,
                                     std::vector<FixedProgram> external)
    : space_(std::move(space)),
      features_(std::move(features)),
      baseline_(std::move(baseline)),
      sketch_work_(std::move(sketch_work)),
      external_(std::move(external)) {}

std::vector<double> ConfigSearchSpace::DraftSeconds(absl::Span<const Point> points) const {
  if (!features_.draft_seconds) return {};
  const absl::StatusOr<std::vector<float>> rows = features_.rows(points);
  if (!rows.ok()) return {};
  std::vector<double> seconds;
  for (size_t i = 0; i < points.size(); ++i) {
    seconds.push_back(features_.draft_seconds(
        absl::MakeConstSpan(*rows).subspan(i * features_.count, features_.count)));
  }
  return seconds;
}

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

// Where an accelerator can't run a workload, a library for it still has the operator.
absl::Status WithWayOut(const absl::Status& refused, const ir::Target& target) {
  if (target.kind != ir::TargetKind::kVta || !absl::IsInvalidArgument(refused)) return refused;
  return absl::InvalidArgumentError(
      absl::StrCat(refused.message(),
                   "; leave it out of the job: in what `tessera build` makes for the accelerator "
                   "the CPU runs it"));
}

absl::StatusOr<FixedProgram> ProgramOf(const te::Dag& dag, const schedule::Trace& trace,
                                       std::string_view provider = {}) {
  TESSERA_ASSIGN_OR_RETURN(const schedule::Schedule schedule, schedule::ApplyTrace(dag, trace));
  TESSERA_ASSIGN_OR_RETURN(const schedule::LoopStructure loops, schedule::InferBounds(schedule));
  return FixedProgram{schedule::Print(trace), schedule::LoopHash(schedule, loops),
                      std::string(provider)};
}

absl::StatusOr<FixedProgram> DefaultProgram(const te::Dag& dag, const ir::Target& target) {
  TESSERA_ASSIGN_OR_RETURN(const schedule::Trace trace, schedule::DefaultTrace(dag, target));
  return ProgramOf(dag, trace);
}

// A program for each library that is allowed and has something to compute.
absl::StatusOr<std::vector<FixedProgram>> ExternalPrograms(const te::Dag& dag,
                                                           const ir::Target& target,
                                                           std::string_view allowed) {
  std::vector<FixedProgram> programs;
  for (const ThirdParty& library : ThirdParties()) {
    if (!IsAllowed(allowed, library.name)) continue;
    const auto trace = schedule::ExternalTrace(dag, target, library.name);
    if (!trace.ok()) continue;
    TESSERA_ASSIGN_OR_RETURN(programs.emplace_back(), ProgramOf(dag, *trace, library.name));
  }
  return programs;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const SearchSpace>> MakeSearchSpace(const db::Task& task,
                                                                   std::string_view pins,
                                                                   std::string_view allowed) {
  const auto build = [&]() -> absl::StatusOr<std::shared_ptr<const SearchSpace>> {
    TESSERA_ASSIGN_OR_RETURN(const te::Workload workload, te::ParseWorkload(task.workload));
    TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(task.target));
    const auto built = space::BuildSpace(workload, target, task.threads);
    if (!built.ok()) return WithWayOut(built.status(), target);
    TESSERA_ASSIGN_OR_RETURN(const auto listed, space::ListedConfigs(pins));
    TESSERA_ASSIGN_OR_RETURN(space::ConfigSpace pinned, space::Pin(*built, listed ? "" : pins));
    auto space = std::make_shared<const space::ConfigSpace>(std::move(pinned));
    FeatureSource features = {
        costmodel::FeatureCount(target.kind),
        [space, threads = task.threads](absl::Span<const space::Config> configs) {
          return costmodel::ConfigFeatures(*space, threads, configs);
        },
        costmodel::DraftSeconds};
    ir::Target shared = target;
    shared.max_threads = task.threads;
    TESSERA_ASSIGN_OR_RETURN(FixedProgram baseline, DefaultProgram(workload.dag, shared));
    TESSERA_ASSIGN_OR_RETURN(std::vector<FixedProgram> external,
                             ExternalPrograms(workload.dag, shared, allowed));
    std::vector<double> sketch_work;
    for (const space::Sketch& sketch : space->sketches()) {
      TESSERA_ASSIGN_OR_RETURN(const int64_t operations,
                               schedule::ExecutedOperations(workload.dag, sketch.structure));
      sketch_work.push_back(sketch.weight > 0 ? static_cast<double>(operations)
                                              : std::numeric_limits<double>::infinity());
    }
    auto search_space = std::make_shared<const ConfigSearchSpace>(
        std::move(space), std::move(features), std::move(baseline), std::move(sketch_work),
        std::move(external));
    if (listed) return ListedSpace::Make(std::move(search_space), *listed);
    return search_space;
  };
  absl::StatusOr<std::shared_ptr<const SearchSpace>> space = build();
  if (!space.ok()) return Annotate(space.status(), absl::StrCat("task ", task.name));
  return space;
}

}  // namespace tessera::tuner
