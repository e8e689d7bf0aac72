#include "tuner/task_programs.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

#include "base/hash.h"
#include "base/status.h"
#include "costmodel/features.h"

namespace tessera::tuner {
TaskPrograms::TaskPrograms(const db::Task& task, te::Workload workload, ir::Target target,
                           int max_programs, uint64_t seed)
    : task_(task),
      workload_(std::move(workload)),
      target_(std::move(target)),
      max_programs_(static_cast<size_t>(max_programs)),
      seed_(seed) {}

absl::StatusOr<TaskPrograms> TaskPrograms::Make(const db::Task& task, int max_programs,
                                                uint64_t seed) {
  TESSERA_CHECK(max_programs > 0);
  const std::string what = absl::StrCat("task ", task.name);
  absl::StatusOr<te::Workload> workload = te::ParseWorkload(task.workload);
  if (!workload.ok()) return Annotate(workload.status(), what);
  absl::StatusOr<ir::Target> target = ir::ParseTarget(task.target);
  if (!target.ok()) return Annotate(target.status(), what);
  return TaskPrograms(task, *std::move(workload), *std::move(target), max_programs, seed);
}

bool TaskPrograms::Add(const db::Record& record) {
  const db::Outcome outcome = record.measurement.outcome;
  // Features are of loops: they say nothing of a library's call.
  if (!db::CallsOnly(record.trace, "")) return false;
  if (record.stale || (outcome != db::Outcome::kOk && !db::IsCandidateFailure(outcome))) {
    return false;
  }
  // Imported records may have no hash of their loops.
  const std::string& identity = record.loop_hash.empty() ? record.trace : record.loop_hash;
  const uint64_t hash = StableHasher().Add(seed_).Add(identity).Finish();
  std::map<uint64_t, Program>& programs = classes_[record.device_class];
  if (programs.size() == max_programs_ && programs.rbegin()->first < hash) return true;
  const auto [it, is_new] = programs.try_emplace(hash, Program{record.trace, record.CostSeconds()});
  if (!is_new) {
    Program& program = it->second;
    program.cost_seconds = std::min(program.cost_seconds, record.CostSeconds());
    // Schedules of one program may have different features.
    program.trace = std::min(program.trace, record.trace);
  }
  if (programs.size() > max_programs_) programs.erase(std::prev(programs.end()));
  return true;
}

absl::Status ProgramSet::Add(const TaskPrograms& task) {
  if (task.classes_.empty()) return absl::OkStatus();
  const int columns = costmodel::FeatureCount(task.target_.kind);
  if (data_.columns != 0 && data_.columns != columns) {
    return absl::InvalidArgumentError(absl::StrCat(
        "task ", task.task_.name, " is for ", task.task_.target,
        ", others are for CPUs or GPUs alone: no model describes both; choose those of "
        "one kind by --device-class"));
  }
  data_.columns = columns;
  for (const auto& [device_class, programs] : task.classes_) {
    std::vector<float> rows;
    std::vector<double> costs;
    for (const auto& [hash, program] : programs) {
      const absl::StatusOr<std::vector<float>> row = costmodel::TraceFeatures(
          task.workload_.dag, task.target_, task.task_.threads, program.trace);
      if (!row.ok()) {
        ++left_out_;
        continue;
      }
      rows.insert(rows.end(), row->begin(), row->end());
      costs.push_back(program.cost_seconds);
    }
    const double best = costs.empty() ? std::numeric_limits<double>::infinity()
                                      : *std::min_element(costs.begin(), costs.end());
    if (static_cast<int>(costs.size()) < kMinPrograms || !std::isfinite(best)) continue;
    data_.rows.insert(data_.rows.end(), rows.begin(), rows.end());
    for (const double cost : costs) data_.labels.push_back(static_cast<float>(best / cost));
    data_.groups.push_back(static_cast<int>(costs.size()));
    groups_.push_back({task.task_.name, task.task_.Key(), task.task_.workload_hash, device_class,
                       static_cast<int>(costs.size())});
  }
  return absl::OkStatus();
}

}  // namespace tessera::tuner
