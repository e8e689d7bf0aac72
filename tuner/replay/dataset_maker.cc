#include "tuner/replay/dataset_maker.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/hash.h"
#include "base/status.h"
#include "compiler/ir/target.h"
#include "compiler/te/dag.h"
#include "costmodel/features.h"
#include "schedule_space/pins.h"

namespace tessera::replay {
namespace {

// Of an even number the lower one: what disturbs a measurement makes it slower. Requires one value.
double LowerMedian(std::vector<double> seconds) {
  const auto middle = seconds.begin() + static_cast<std::ptrdiff_t>((seconds.size() - 1) / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle;
}

absl::Time WholeSeconds(absl::Time time) {
  return absl::FromUnixSeconds(absl::ToUnixSeconds(time));
}

// As a data set keeps it.
double SixDigits(double seconds) {
  return std::strtod(absl::StrFormat("%.6g", seconds).c_str(), nullptr);
}

void Add(StableHasher& hasher, const space::Knob& knob) {
  hasher.Add(knob.name).Add(uint64_t{knob.is_order});
  for (const std::string& part : knob.parts) hasher.Add(part);
  for (const space::Option& option : knob.options) {
    for (const int64_t value : option) hasher.Add(static_cast<uint64_t>(value));
  }
  for (const space::Knob::Control& control : knob.controls) {
    hasher.Add(static_cast<uint64_t>(control.knob));
    for (const int64_t factor : control.factor) hasher.Add(static_cast<uint64_t>(factor));
  }
  std::vector<int64_t> keys;
  for (const auto& [key, domain] : knob.domains) keys.push_back(key);
  std::sort(keys.begin(), keys.end());
  for (const int64_t key : keys) {
    hasher.Add(static_cast<uint64_t>(key));
    for (const int option : knob.domains.at(key)) hasher.Add(static_cast<uint64_t>(option));
  }
}

absl::StatusOr<space::ConfigSpace> SpaceOf(const db::Task& task) {
  TESSERA_ASSIGN_OR_RETURN(const te::Workload workload, te::ParseWorkload(task.workload));
  TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(task.target));
  return space::BuildSpace(workload, target, task.threads);
}

}  // namespace

absl::StatusOr<std::string> SpaceDigest(const db::Task& task) {
  TESSERA_ASSIGN_OR_RETURN(const space::ConfigSpace space, SpaceOf(task));
  StableHasher hasher;
  for (const space::Sketch& sketch : space.sketches()) {
    hasher.Add(sketch.name).Add(schedule::Print(sketch.structure));
    for (const space::Knob& knob : sketch.group->knobs()) Add(hasher, knob);
  }
  return HashToHex(hasher.Finish());
}

void DatasetMaker::Add(const db::Record& record) {
  const db::Measurement& measured = record.measurement;
  const bool is_ok = measured.outcome == db::Outcome::kOk;
  if (record.stale || (!is_ok && !db::IsCandidateFailure(measured.outcome))) return;
  Program* program = nullptr;
  if (record.config.empty()) {
    const auto hash = HashFromHex(record.loop_hash);
    if (!hash.ok()) return;
    program = &defaults_[*hash];
  } else {
    const auto point = space_.Parse(record.config);
    const auto hash =
        point.ok() ? space_.LoopHash(*point) : absl::StatusOr<uint64_t>(point.status());
    if (!hash.ok() || HashToHex(*hash) != record.loop_hash) {
      ++left_out_;
      return;
    }
    program = &programs_[*hash];
    program->point = *point;
    versions_.insert(record.tessera_version);
    first_ = std::min(first_, record.created);
    last_ = std::max(last_, record.created);
  }
  if (is_ok) {
    program->seconds.push_back(record.CostSeconds());
  } else {
    program->failure = measured.outcome;
  }
}

// Goes through the space. A program that only the default schedule was measured of gets that.
absl::Status DatasetMaker::AddMissing(const Dataset& header) {
  constexpr int64_t kMaxCounted = 1000;  // programs without a row
  const std::string name = absl::StrCat("the space of ", header.task.name,
                                        header.pins.empty() ? "" : " within its pins");
  absl::flat_hash_set<uint64_t> missing;
  std::string first;
  int64_t points = 0;
  for (auto point = space_.Next({}); point; point = space_.Next(*point)) {
    ++points;
    TESSERA_ASSIGN_OR_RETURN(const uint64_t hash, space_.LoopHash(*point));
    if (programs_.contains(hash)) continue;
    if (const auto known = defaults_.find(hash); known != defaults_.end()) {
      known->second.point = *point;
      programs_.emplace(hash, known->second);
      continue;
    }
    if (missing.empty()) first = space_.Config(*point);
    missing.insert(hash);
    if (missing.size() == kMaxCounted) break;
  }
  if (!missing.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(missing.size() == kMaxCounted ? "at least " : "", missing.size(),
                     " programs of ", name, " have no row, the first: ", first,
                     "; measure them by --explorer grid, or make a data set of --kind sampled"));
  }
  TESSERA_ASSIGN_OR_RETURN(const space::ConfigSpace whole, SpaceOf(header.task));
  TESSERA_ASSIGN_OR_RETURN(const space::ConfigSpace space, space::Pin(whole, header.pins));
  const space::SpaceSize size = space.Size();
  if (size.exact && size.configs == static_cast<double>(points)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(name, " is too large to go through; pin more of it"));
}

absl::StatusOr<Dataset> DatasetMaker::Finish(Dataset header) && {
  if (header.kind == DatasetKind::kEnumerated) {
    TESSERA_RETURN_IF_ERROR(AddMissing(header));
  }
  std::vector<std::pair<tuner::Point, Row>> rows;
  bool has_time = false;
  for (auto& [hash, program] : programs_) {
    const bool is_ok = !program.seconds.empty();
    has_time = has_time || is_ok;
    rows.push_back({program.point,
                    {space_.Config(program.point), hash, is_ok ? db::Outcome::kOk : program.failure,
                     is_ok ? SixDigits(LowerMedian(std::move(program.seconds))) : 0}});
  }
  if (!has_time) {
    return absl::NotFoundError(
        absl::StrCat("no measured program of ", header.task.name,
                     left_out_ > 0 ? absl::StrCat(" is one of its space as it is now (", left_out_,
                                                  " were of another version)")
                                   : "; `tessera tune` makes some"));
  }
  std::sort(rows.begin(), rows.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [point, row] : rows) header.rows.push_back(std::move(row));
  header.version = absl::StrJoin(versions_, ", ");
  header.first = WholeSeconds(first_);
  header.last = WholeSeconds(last_);
  TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(header.task.target));
  header.feature_version = costmodel::FeatureVersion(target.kind);
  TESSERA_ASSIGN_OR_RETURN(header.space, SpaceDigest(header.task));
  return header;
}

}  // namespace tessera::replay
