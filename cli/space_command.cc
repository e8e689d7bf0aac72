#include <algorithm>
#include <cstdio>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/library_executor.h"
#include "cli/model_source.h"
#include "cli/operator_source.h"
#include "compiler/schedule/loop_structure.h"
#include "schedule_space/pins.h"

namespace tessera::cli {

std::string SpaceTitle(const std::string& op, const ir::Target& target, int threads,
                       bool is_default) {
  return absl::StrCat(op, " on ", ir::ToString(target), ", ", threads,
                      threads == 1 ? " thread" : " threads",
                      is_default ? " (the default target; --target names another)" : "");
}

absl::Status RunSpace(const SpaceOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(JobFile file,
                           ReadSource(options.source, LibraryExecutor(options.server)));
  const bool is_default = options.target.empty();
  TESSERA_ASSIGN_OR_RETURN(ir::Target target,
                           ir::ParseTarget(is_default ? kDefaultSpaceTarget : options.target));
  target.max_threads = std::max(target.max_threads, options.threads);
  TESSERA_RETURN_IF_ERROR(PlanFor(file, target).status());
  for (const JobOperator& op : file.operators) {
    const te::OpSpec& spec = op.spec;
    TESSERA_ASSIGN_OR_RETURN(const space::ConfigSpace whole,
                             space::BuildSpace(op.workload, target, options.threads));
    const absl::StatusOr<space::ConfigSpace> pinned = space::Pin(whole, file.options.pins);
    if (!pinned.ok()) return WithPlace(Annotate(pinned.status(), spec.name), file);
    const space::ConfigSpace& space = *pinned;
    std::printf("%s%s\n%s", SpaceTitle(spec.name, target, options.threads, is_default).c_str(),
                space.is_pinned() ? ", pinned" : "", space::DescribeSpace(space).c_str());
    Rng rng(options.seed);
    absl::flat_hash_set<space::Config> configs;
    absl::flat_hash_set<uint64_t> loops;
    int valid = 0;
    for (int i = 0; i < options.samples; ++i) {
      space::Config config = space.Sample(rng);
      const auto schedule = space.ToSchedule(config);
      if (!schedule.ok()) continue;
      const auto structure = schedule::InferBounds(*schedule);
      if (!structure.ok()) continue;
      ++valid;
      loops.insert(schedule::LoopHash(*schedule, *structure));
      configs.insert(std::move(config));
    }
    std::printf(
        "%d samples (seed %lu): %.2f %% valid, %zu distinct configs, %zu distinct loop "
        "structures (%.2f %% of samples, %.2f %% of configs)\n",
        options.samples, static_cast<unsigned long>(options.seed), 100.0 * valid / options.samples,
        configs.size(), loops.size(), 100.0 * static_cast<double>(loops.size()) / options.samples,
        100.0 * static_cast<double>(loops.size()) /
            static_cast<double>(std::max<size_t>(configs.size(), 1)));
  }
  return absl::OkStatus();
}

}  // namespace tessera::cli
