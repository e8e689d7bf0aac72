#include "server/model_measurer.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/statistics.h"
#include "base/status.h"
#include "compiler/ir/target.h"
#include "server/answer.h"

namespace tessera::server {
namespace {

constexpr int kTurns = 5;
constexpr double kTurnSeconds = 0.1;
constexpr double kMaxSeconds = 120;  // of a bucket
constexpr int64_t kMaxManifestBytes = 64 << 20;

int ThreadsOf(const db::Selection& selection) {
  int threads = 1;
  for (const db::SelectionItem& item : selection.items) {
    threads = std::max(threads, item.task.threads);
  }
  return threads;
}

}  // namespace

absl::StatusOr<std::vector<Timed>> ModelMeasurer::Measure(absl::Span<const db::Selection> ways) {
  TESSERA_RETURN_IF_ERROR(CheckIsPossible(ways[0]));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Built> built, Build(ways));
  if (built.size() < 2) {
    return absl::FailedPreconditionError(
        absl::StrCat("of ", ways.size(),
                     " ways to build the model one can be built; the last "
                     "failure: ",
                     failure_));
  }
  TESSERA_ASSIGN_OR_RETURN(std::vector<ModelFacts> buckets, FactsOf(built[0].files));
  doing_(absl::StrCat("measuring it in ", built.size(), " ways"));
  std::vector<Timed> times(ways.size());
  for (const Built& one : built) times[one.way].seconds = 0;
  for (ModelFacts& bucket : buckets) {
    for (const Built& one : built) {
      bucket.plan.libraries.push_back(one.files[0]);  // the shared object (library.h)
    }
    bucket.plan.device = device_;
    bucket.plan.threads = ThreadsOf(ways[0]);
    bucket.plan.turns = kTurns;
    bucket.plan.min_turn_seconds = kTurnSeconds;
    bucket.plan.max_seconds = kMaxSeconds;
    TESSERA_ASSIGN_OR_RETURN(const proto::ModelResult result, Run(bucket.plan, ways[0].items[0]));
    device_ = result.device;
    AddTimes(result, bucket, built, times);
  }
  const bool all_failed =
      std::ranges::all_of(times, [](const Timed& timed) { return std::isinf(timed.seconds); });
  if (!all_failed) return times;
  return absl::FailedPreconditionError(
      absl::StrCat("the model can't be measured on ", device_, ": ", failure_));
}

// Before anything is built.
absl::Status ModelMeasurer::CheckIsPossible(const db::Selection& way) {
  db::Task task = way.items[0].task;
  task.threads = ThreadsOf(way);
  const std::string missing = room_.dispatcher.Missing(task, way.items[0].device_class);
  return missing.empty() ? absl::OkStatus() : absl::FailedPreconditionError(missing);
}

absl::StatusOr<std::vector<ModelMeasurer::Built>> ModelMeasurer::Build(
    absl::Span<const db::Selection> ways) {
  std::vector<Built> built;
  for (size_t way = 0; way < ways.size(); ++way) {
    doing_(absl::StrCat("building the model, way ", way + 1, " of ", ways.size()));
    absl::StatusOr<std::vector<db::LibraryFile>> files =
        BuiltLibrary(room_, {.name = ways[way].name, .selection = ways[way]}, is_cancelled_);
    // A program of an older release may not be to be had any more; others are.
    if (absl::IsFailedPrecondition(files.status()) && way > 0) {
      failure_ = std::string(files.status().message());
      doing_(absl::StrCat("way ", way + 1, " can't be built: ", failure_));
      continue;
    }
    TESSERA_RETURN_IF_ERROR(files.status());
    built.push_back({way, *std::move(files)});
  }
  return built;
}

absl::StatusOr<std::vector<ModelFacts>> ModelMeasurer::FactsOf(
    const std::vector<db::LibraryFile>& files) {
  for (const db::LibraryFile& file : files) {
    if (file.name != "manifest.json") continue;
    if (file.size > kMaxManifestBytes) {
      return absl::FailedPreconditionError(absl::StrCat("the library's manifest.json has ",
                                                        file.size, " bytes, the limit is ",
                                                        kMaxManifestBytes, "; build with --alone"));
    }
    TESSERA_ASSIGN_OR_RETURN(const std::string manifest, room_.artifacts.Get(file.digest));
    return ReadModelFacts(manifest);
  }
  return absl::FailedPreconditionError("the library has no manifest.json");
}

absl::StatusOr<proto::ModelResult> ModelMeasurer::Run(const proto::ModelPlan& plan,
                                                      const db::SelectionItem& item) {
  using Result = absl::StatusOr<proto::ModelResult>;
  TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(item.task.target));
  const auto answer = std::make_shared<Answer<Result>>();
  TESSERA_ASSIGN_OR_RETURN(
      const uint64_t number,
      room_.dispatcher.MeasureModels(plan, target, item.device_class,
                                     [answer](Result done) { answer->Set(std::move(done)); }));
  std::optional<Result> result = answer->Await(is_cancelled_);
  if (result) return *std::move(result);
  room_.dispatcher.CancelModels(number);
  return absl::CancelledError("whoever asked for the choice has gone");
}

void ModelMeasurer::AddTimes(const proto::ModelResult& result, const ModelFacts& bucket,
                             const std::vector<Built>& built, std::vector<Timed>& times) {
  for (size_t i = 0; i < built.size(); ++i) {
    const db::Measurement& measurement = result.timings[i].measurement;
    const std::vector<double>& steps = result.timings[i].step_seconds;
    Timed& timed = times[built[i].way];
    const bool is_ok =
        measurement.outcome == db::Outcome::kOk && steps.size() == bucket.step_ops.size();
    if (!is_ok) {
      failure_ = measurement.reason;
      doing_(absl::StrCat("way ", built[i].way + 1, " is left out: ", failure_));
      timed = {.is_wrong = measurement.outcome == db::Outcome::kWrongAnswer};
      continue;
    }
    if (std::isinf(timed.seconds)) continue;              // another bucket failed
    timed.seconds += Median(measurement.sample_seconds);  // what is kOk has some
    for (size_t step = 0; step < steps.size(); ++step) {
      timed.op_seconds[bucket.step_ops[step]] += steps[step];
    }
  }
}

}  // namespace tessera::server
