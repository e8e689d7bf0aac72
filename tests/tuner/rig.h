#pragma once

#include <atomic>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "db/record/memory_store.h"
#include "tests/support/eventually.h"
#include "tests/support/simulated_measurer.h"
#include "tests/tuner/synthetic.h"
#include "tuner/explorer.h"
#include "tuner/job_runner.h"

namespace tessera::test {

// A store that dies after a number of events, the way a killed process does: the transaction that
// would exceed it never happens, nor does anything later.
class MortalStore : public db::Store {
 public:
  explicit MortalStore(db::Store& inner) : inner_(inner) {}
  int64_t events_left = int64_t{1} << 60;
  bool lose_blobs = false;
  bool dies_of_comparison = false;          // once it has one
  absl::Status log_refusal, state_refusal;  // of events and of job states, once set
  std::atomic<int> refused = 0;             // times that events were

  absl::StatusOr<int64_t> CreateJob(const db::Job& job) override { return inner_.CreateJob(job); }
  absl::Status SetJobState(int64_t id, db::JobState state, std::string_view message) override {
    if (events_left <= 0) return Dead();
    TESSERA_RETURN_IF_ERROR(state_refusal);
    return inner_.SetJobState(id, state, message);
  }
  absl::StatusOr<db::Job> GetJob(int64_t id) override { return inner_.GetJob(id); }
  absl::StatusOr<db::Job> FindJob(std::string_view key) override { return inner_.FindJob(key); }
  absl::StatusOr<std::vector<db::Job>> ListJobs(int limit) override {
    return inner_.ListJobs(limit);
  }
  absl::StatusOr<std::vector<int64_t>> Append(absl::Span<const db::Record> records,
                                              absl::Span<const db::Event> events) override {
    if (events_left <= 0) return Dead();
    if (!log_refusal.ok()) {
      ++refused;
      return log_refusal;
    }
    events_left -= static_cast<int64_t>(events.size());
    return inner_.Append(records, events);
  }
  absl::StatusOr<std::vector<db::Event>> ReadEvents(int64_t id, int64_t after) override {
    return inner_.ReadEvents(id, after);
  }
  absl::StatusOr<db::Event> FindProposal(int64_t id, int64_t trial) override {
    return inner_.FindProposal(id, trial);
  }
  absl::StatusOr<std::vector<db::Record>> QueryRecords(const db::RecordFilter& filter) override {
    return inner_.QueryRecords(filter);
  }
  absl::StatusOr<std::vector<db::Record>> Best(std::string_view key, std::string_view device_class,
                                               int count, std::string_view allowed) override {
    return inner_.Best(key, device_class, count, allowed);
  }
  absl::StatusOr<std::vector<std::string>> ListDeviceClasses() override {
    return inner_.ListDeviceClasses();
  }
  absl::StatusOr<std::vector<std::string>> ListRankedDeviceClasses(std::string_view key) override {
    return inner_.ListRankedDeviceClasses(key);
  }
  absl::StatusOr<std::vector<db::Task>> ListTasks() override { return inner_.ListTasks(); }
  absl::Status PutDevice(const db::Device& device) override { return inner_.PutDevice(device); }
  absl::StatusOr<std::vector<db::Device>> ListDevices() override { return inner_.ListDevices(); }
  absl::StatusOr<int64_t> CreateSelection(const db::Selection& selection) override {
    return inner_.CreateSelection(selection);
  }
  absl::StatusOr<db::Selection> GetSelection(int64_t id) override {
    return inner_.GetSelection(id);
  }
  absl::StatusOr<db::Selection> FindInPlace(std::string_view key) override {
    return inner_.FindInPlace(key);
  }
  absl::Status PutLibrary(std::string_view key, absl::Span<const db::LibraryFile> files) override {
    return inner_.PutLibrary(key, files);
  }
  absl::StatusOr<std::vector<db::LibraryFile>> FindLibrary(std::string_view key) override {
    return inner_.FindLibrary(key);
  }
  absl::Status PutModel(const db::ModelInfo& model) override { return inner_.PutModel(model); }
  absl::StatusOr<db::ModelInfo> GetModelInfo(std::string_view name) override {
    return inner_.GetModelInfo(name);
  }
  absl::StatusOr<std::vector<db::ModelInfo>> ListModels() override { return inner_.ListModels(); }
  absl::StatusOr<int64_t> AppendComparison(const db::Comparison& comparison) override {
    if (events_left <= 0) return Dead();
    if (dies_of_comparison) events_left = 0;
    return inner_.AppendComparison(comparison);
  }
  absl::StatusOr<std::vector<db::Comparison>> ListComparisons(
      std::string_view task_key, std::string_view device_class,
      std::optional<db::ComparisonPurpose> purpose, int limit) override {
    return inner_.ListComparisons(task_key, device_class, purpose, limit);
  }
  absl::StatusOr<std::string> PutBlob(std::string_view bytes) override {
    if (events_left <= 0) return Dead();
    return inner_.PutBlob(bytes);
  }
  absl::StatusOr<std::string> GetBlob(std::string_view digest) override {
    if (lose_blobs) return absl::NotFoundError("the blob is lost");
    return inner_.GetBlob(digest);
  }
  absl::Status DropBlob(std::string_view digest) override {
    if (events_left <= 0) return Dead();
    return inner_.DropBlob(digest);
  }

 private:
  static absl::Status Dead() { return absl::UnavailableError("the store is dead"); }
  db::Store& inner_;
};

// One job over synthetic spaces, driven step by step.
class Rig {
 public:
  Rig(int tasks, db::JobOptions options, SimulationOptions simulation, uint64_t space_seed = 1,
      int knobs = 10, int choices = SyntheticSpace::kChoices, std::vector<double> weights = {})
      : simulation_(simulation) {
    SetLogLevel("off");  // jobs are made to fail by the hundred
    db::Job job;
    job.name = "rig";
    job.options = options;
    for (int t = 0; t < tasks; ++t) {
      spaces.push_back(std::make_shared<SyntheticSpace>(space_seed + t, knobs, choices));
      db::Task task;
      task.name = absl::StrCat("T", t);
      task.workload_hash = HashToHex(space_seed + t);
      task.workload = absl::StrCat("synthetic ", t);
      task.target = "synthetic";
      if (!weights.empty()) task.weight = weights[t];
      job.tasks.push_back(task);
    }
    job_id = *memory.CreateJob(job);
    NewMeasurer();
  }

  // A job with the first task of this one twice, under two names, takes its place.
  void MakeTwins() {
    db::Job twins = *memory.GetJob(job_id);
    twins.id = 0;
    twins.tasks = {twins.tasks[0], twins.tasks[0]};
    twins.tasks[1].name = "T1";
    spaces = {spaces[0], spaces[0]};
    job_id = *memory.CreateJob(twins);
  }

  void NewMeasurer() {
    measurer = std::make_unique<SimulatedMeasurer>(
        simulation_, [this](const tuner::TrialRequest& request) {
          return spaces[request.task_index]->CostSeconds(request.config);
        });
  }

  absl::StatusOr<std::unique_ptr<tuner::JobRunner>> Runner() {
    std::vector<std::shared_ptr<const tuner::SearchSpace>> views(spaces.begin(), spaces.end());
    return tuner::JobRunner::Create(
        *memory.GetJob(job_id), {views, learner, store, *measurer, executor, clock, poll, prior});
  }

  // The job begins with programs that were measured of its tasks, one of which failed, with three
  // of near tasks, and with a model that has nothing to do with them.
  void LearnBefore(int programs) {
    auto known = std::make_shared<tuner::Prior>();
    Rng rng(5);
    for (const auto& space : spaces) {
      tuner::TaskPrior& task = known->tasks.emplace_back();
      for (int i = 0; i < programs; ++i) {
        const tuner::Point point = space->Sample(rng);
        task.known.push_back(
            {*space->LoopHash(point), space->Config(point),
             i == 1 ? std::numeric_limits<double>::infinity() : space->CostSeconds(point)});
      }
      for (int i = 0; i < 3; ++i) task.first_configs.push_back(space->Config(space->Sample(rng)));
    }
    prior = std::move(known);
    std::vector<double> weights;
    for (int i = 0; i < spaces[0]->FeatureCount(); ++i) weights.push_back(rng.Uniform() - 0.5);
    learner->prior = std::make_shared<RidgeLearner::Linear>(std::move(weights));
  }

  // Samples before the first model go by an estimate.
  void UseDrafts() {
    for (const auto& space : spaces) space->drafts = true;
  }

  // Steps and delivers, `deliveries` results between two steps, until the job ends or the store
  // dies.
  void Drive(tuner::JobRunner& runner, int deliveries = 1) {
    while (runner.Step() && !runner.Progress()->stalled) {
      clock.Advance(absl::Milliseconds(10));
      for (int i = 0; i < deliveries; ++i) measurer->Deliver();
    }
  }

  // The whole job without interruption.
  db::Job Run(int deliveries = 1) {
    auto runner = *Runner();
    Drive(*runner, deliveries);
    last_progress = *runner->Progress();
    return *memory.GetJob(job_id);
  }

  std::vector<db::Event> Log() { return *memory.ReadEvents(job_id, 0); }
  std::vector<db::Event> Log(db::EventKind kind) {
    std::vector<db::Event> found;
    for (db::Event& event : Log()) {
      if (event.kind == kind) found.push_back(std::move(event));
    }
    return found;
  }
  std::set<int64_t> TrialsWithResult() {
    std::set<int64_t> trials;
    for (const db::Event& event : Log(db::EventKind::kResult)) {
      if (event.outcome != db::Outcome::kInfrastructure) trials.insert(event.trial);
    }
    return trials;
  }
  std::vector<db::Record> Records() {
    db::RecordFilter all;
    all.limit = 1 << 20;
    return *memory.QueryRecords(all);
  }

  absl::Duration poll = tuner::kPoll;
  ManualClock clock{absl::FromUnixSeconds(1700000000)};
  db::MemoryStore memory{clock};
  MortalStore store{memory};
  tuner::InlineExecutor executor;
  std::shared_ptr<RidgeLearner> learner = std::make_shared<RidgeLearner>();
  std::vector<std::shared_ptr<SyntheticSpace>> spaces;
  std::unique_ptr<SimulatedMeasurer> measurer;
  std::shared_ptr<const tuner::Prior> prior;  // null: nothing is known
  tuner::JobProgress last_progress;
  int64_t job_id = 0;

 private:
  SimulationOptions simulation_;
};

// After the first plan of an explorer that plans, `trials`; so many, too, for others.
inline int BeyondFirstPlan(const std::string& explorer, int trials) {
  return (*tuner::MakeExplorer(explorer))->PlanSize() + trials;
}

inline db::JobOptions Budget(int trials, uint64_t seed = 0,
                             const std::string& explorer = "annealing",
                             const std::string& scheduler = "fair") {
  db::JobOptions options;
  options.trials_per_task = trials;
  options.seed = seed;
  options.explorer = explorer;
  options.scheduler = scheduler;
  return options;
}

}  // namespace tessera::test
