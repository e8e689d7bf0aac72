#include <malloc.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <ctime>
#include <deque>
#include <fstream>
#include <iostream>
#include <map>
#include <utility>

#include "compiler/te/operators.h"
#include "tests/tuner/rig.h"
#include "tuner/config_search_space.h"
#include "tuner/cost_model_learner.h"
#include "tuner/job_runner.h"

namespace tessera::test {
namespace {

// Keeps jobs and blobs and only counts records and events: what grows is the tuner's.
class CountingStore final : public MortalStore {
 public:
  using MortalStore::MortalStore;
  std::map<std::string, size_t, std::less<>> blobs;  // bytes by digest

  absl::StatusOr<std::vector<int64_t>> Append(absl::Span<const db::Record> records,
                                              absl::Span<const db::Event>) override {
    std::vector<int64_t> ids;
    for (size_t i = 0; i < records.size(); ++i) ids.push_back(++records_);
    return ids;
  }
  // The one that is asked for, without rivals: nothing is compared at the end.
  absl::StatusOr<std::vector<db::Record>> QueryRecords(const db::RecordFilter& filter) override {
    db::Record record;
    record.id = filter.after_id + 1;
    record.task_key = filter.task_key;
    return std::vector<db::Record>{record};
  }
  absl::StatusOr<std::string> PutBlob(std::string_view bytes) override {
    absl::StatusOr<std::string> digest = MortalStore::PutBlob(bytes);
    if (digest.ok()) blobs[*digest] = bytes.size();
    return digest;
  }
  absl::Status DropBlob(std::string_view digest) override {
    blobs.erase(blobs.find(digest));
    return MortalStore::DropBlob(digest);
  }

 private:
  int64_t records_ = 0;
};

// A machine whose times are a smooth function of a few features.
class ToyMeasurer final : public tuner::Measurer {
 public:
  explicit ToyMeasurer(std::shared_ptr<const tuner::SearchSpace> space)
      : space_(std::move(space)) {}
  int Appetite(const db::Task&, std::string_view) override {
    return 4 - static_cast<int>(held_.size());
  }
  void Start(const tuner::TrialRequest& request, std::function<void(db::Record)> done) override {
    held_.emplace_back(request.config, std::move(done));
  }
  void Deliver() {
    while (!held_.empty()) {
      auto [config, done] = std::move(held_.front());
      held_.pop_front();
      db::Record record;
      record.measurement.outcome = db::Outcome::kOk;
      record.measurement.sample_seconds = {config.empty() ? 1 : CostSeconds(config)};
      done(std::move(record));
    }
  }

 private:
  double CostSeconds(const std::string& config) const {
    const std::vector<tuner::Point> point = {*space_->Parse(config)};
    const std::vector<float> row = *space_->Features(point);
    double log_cost = 0;
    for (size_t c = 0; c < row.size(); c += 7) log_cost += 0.003 * (row[c] - 5) * (row[c] - 5);
    return 1e-3 * std::exp(log_cost);
  }

  std::shared_ptr<const tuner::SearchSpace> space_;
  std::deque<std::pair<std::string, std::function<void(db::Record)>>> held_;
};

double ResidentMebibytes() {
  malloc_trim(0);
  std::ifstream statm("/proc/self/statm");
  double all = 0, resident = 0;
  statm >> all >> resident;
  return resident * 4096 / (1 << 20);
}

double CpuSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

TEST_CASE("a job of 20,000 trials needs little more memory than one of 1,000", "[.nightly]") {
  const te::Workload workload = *te::MakeWorkload(
      {"conv",
       "conv2d",
       {{"ic", "64"}, {"oc", "64"}, {"size", "28"}, {"k", "3"}, {"pad", "1"}, {"layout", "any"}}});
  db::Job job;
  job.tasks.resize(1);
  job.tasks[0].name = "conv";
  job.tasks[0].workload = te::Print(workload);
  job.tasks[0].workload_hash = HashToHex(te::StructuralHash(workload.dag));
  job.tasks[0].target = ir::ToString(*ir::X86Target("avx512"));
  job.options.explorer = "annealing";
  job.options.trials_per_task = 20'100;
  ManualClock clock;
  db::MemoryStore memory(clock);
  CountingStore store(memory);
  job.id = *store.CreateJob(job);
  const auto space = *tuner::MakeSearchSpace(job.tasks[0]);
  ToyMeasurer measurer(space);
  tuner::InlineExecutor executor;
  auto runner = *tuner::JobRunner::Create(
      job, {{space}, *tuner::MakeLearner("xgboost", 1), store, measurer, executor, clock});
  std::map<int, double> resident;
  int next = 1000;
  while (runner->Step()) {
    measurer.Deliver();
    const int finished = runner->Progress()->tasks[0].finished;
    if (finished < next) continue;
    resident[next] = ResidentMebibytes();
    size_t blob_bytes = 0;
    for (const auto& [digest, bytes] : store.blobs) blob_bytes += bytes;
    std::cout << next << " trials: " << resident[next] << " MiB, " << store.blobs.size()
              << " blobs of " << blob_bytes / 1024 << " KiB, " << CpuSeconds() << " s of CPU, best "
              << runner->Progress()->tasks[0].best_seconds * 1e3 << " ms" << std::endl;
    next = next == 1000 ? 5000 : next + 5000;
  }
  CHECK(runner->Progress()->state == db::JobState::kDone);
  CHECK(resident.rbegin()->second < resident[1000] + 4);
  CHECK(store.blobs.empty());
}

}  // namespace
}  // namespace tessera::test
