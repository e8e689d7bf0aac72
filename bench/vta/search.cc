#include "bench/vta/search.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/status.h"
#include "costmodel/features.h"
#include "tuner/config_search_space.h"
#include "tuner/executor.h"
#include "tuner/job_runner.h"
#include "tuner/prior_maker.h"
#include "tuner/prior_store.h"
#include "tuner/task_programs.h"
#include "tuner/train.h"
#include "tuner/trained_model.h"

namespace tessera::bench {
namespace {

constexpr char kDeviceClass[] = "vta/simulated", kCostModel[] = "xgboost";
constexpr int kInFlight = 1;  // a simulator is one device

// Simulates trials in the thread of its job.
class SimulatingMeasurer final : public tuner::Measurer {
 public:
  explicit SimulatingMeasurer(SimulatedLayer& layer) : layer_(layer) {}

  int Appetite(const db::Task&, std::string_view) override {
    return kInFlight - static_cast<int>(held_.size());
  }
  void Start(const tuner::TrialRequest& request, std::function<void(db::Record)> done) override {
    held_.emplace_back(request, std::move(done));
  }

  void Deliver(Search& search) {
    if (held_.empty()) return;
    const auto [request, done] = std::move(held_.front());
    held_.pop_front();
    const absl::StatusOr<int64_t> cycles = layer_.Cycles(request.loop_hash, request.trace);
    db::Record record;
    record.loop_hash = request.loop_hash;
    record.device = "simulator";
    record.device_class = kDeviceClass;
    if (cycles.ok()) {
      record.measurement.outcome = db::Outcome::kOk;
      record.measurement.sample_seconds = {static_cast<double>(*cycles) / kVtaHertz};
      if (*cycles < search.Best()) search.best_trace = request.trace;
    } else {
      record.measurement.outcome = db::Outcome::kBuildError;
      record.measurement.reason = std::string(cycles.status().message());
    }
    search.cycles.push_back(cycles.ok() ? *cycles : kFailedTrial);
    done(std::move(record));
  }

 private:
  SimulatedLayer& layer_;
  std::deque<std::pair<tuner::TrialRequest, std::function<void(db::Record)>>> held_;
};

}  // namespace

int64_t Search::Best() const {
  return cycles.empty() ? kFailedTrial : *std::ranges::min_element(cycles);
}

double Search::TrialsTo(int64_t limit) const {
  const auto found = std::ranges::find_if(cycles, [&](int64_t taken) { return taken <= limit; });
  if (found == cycles.end()) return std::numeric_limits<double>::infinity();
  return static_cast<double>(found - cycles.begin() + 1);
}

absl::StatusOr<Search> Run(const std::shared_ptr<SimulatedLayer>& layer,
                           const SearchOptions& options, db::Store* store) {
  ManualClock clock;
  db::MemoryStore empty(clock);
  if (store == nullptr) store = &empty;
  std::shared_ptr<const tuner::SearchSpace> space = layer->space();
  if (!options.pins.empty()) {
    TESSERA_ASSIGN_OR_RETURN(space, tuner::MakeSearchSpace(layer->task(), options.pins));
  }
  db::Job job;
  job.name = layer->task().name;
  job.tasks = {layer->task()};
  job.options.trials_per_task = options.trials;
  job.options.seed = options.seed;
  job.options.explorer = options.explorer;
  job.options.cost_model = kCostModel;
  job.options.device_class = kDeviceClass;
  TESSERA_ASSIGN_OR_RETURN(job.prior, tuner::PriorMaker(*store).Make(job, {space}));
  TESSERA_ASSIGN_OR_RETURN(const int64_t id, store->CreateJob(job));
  TESSERA_ASSIGN_OR_RETURN(job, store->GetJob(id));
  TESSERA_ASSIGN_OR_RETURN(const tuner::StoredPrior prior, tuner::GetPrior(*store, job));
  TESSERA_ASSIGN_OR_RETURN(const auto learner, tuner::MakeLearner(job.options.cost_model,
                                                                  job.options.seed, prior.model));
  SimulatingMeasurer measurer(*layer);
  tuner::InlineExecutor executor;
  tuner::SearchOptions search_options;
  search_options.rivals = 0;  // each program has one time
  TESSERA_ASSIGN_OR_RETURN(const auto runner, tuner::JobRunner::Create(job,
                                                                       {.spaces = {space},
                                                                        .learner = learner,
                                                                        .store = *store,
                                                                        .measurer = measurer,
                                                                        .executor = executor,
                                                                        .clock = clock,
                                                                        .prior = prior.prior},
                                                                       search_options));
  Search search;
  while (runner->Step()) {
    clock.Advance(absl::Milliseconds(1));
    measurer.Deliver(search);
  }
  if (search.Best() == kFailedTrial) return absl::InternalError(runner->Progress()->message);
  db::RecordFilter filter;
  filter.job_id = id;
  filter.limit = options.trials;
  TESSERA_ASSIGN_OR_RETURN(search.records, store->QueryRecords(filter));
  return search;
}

absl::StatusOr<std::string> TrainOn(absl::Span<const std::shared_ptr<SimulatedLayer>> layers,
                                    absl::Span<const Search* const> searches) {
  constexpr int kMaxPrograms = 1000;
  tuner::ProgramSet programs;
  for (size_t i = 0; i < layers.size(); ++i) {
    TESSERA_ASSIGN_OR_RETURN(tuner::TaskPrograms of_task,
                             tuner::TaskPrograms::Make(layers[i]->task(), kMaxPrograms, 0));
    for (const db::Record& record : searches[i]->records) of_task.Add(record);
    TESSERA_RETURN_IF_ERROR(programs.Add(of_task));
  }
  tuner::TrainOptions options;
  options.cost_model = kCostModel;
  options.folds = 0;
  TESSERA_ASSIGN_OR_RETURN(tuner::TrainedModel model,
                           tuner::Train(programs, options, [](std::string_view) {}));
  return std::move(model.bytes);
}

absl::Status Remember(absl::Span<const std::shared_ptr<SimulatedLayer>> layers,
                      absl::Span<const Search* const> searches, const std::string& model,
                      db::Store& store) {
  db::ModelInfo info;
  for (size_t i = 0; i < layers.size(); ++i) {
    const db::Task& task = layers[i]->task();
    db::Job job;
    job.name = task.name;
    job.tasks = {task};
    TESSERA_ASSIGN_OR_RETURN(const int64_t id, store.CreateJob(job));
    std::vector<db::Record> records = searches[i]->records;
    for (db::Record& record : records) {
      record.id = 0;
      record.job_id = id;
      record.attempt_key = absl::StrCat(id, "/", record.trial, "/0/0");
    }
    info.records += static_cast<int64_t>(records.size());
    TESSERA_RETURN_IF_ERROR(store.Append(records, {}).status());
    TESSERA_RETURN_IF_ERROR(store.SetJobState(id, db::JobState::kDone, ""));
  }
  info.name = "others";
  info.digest = Sha256Hex(model);
  info.cost_model = kCostModel;
  info.feature_version = costmodel::FeatureVersion(ir::TargetKind::kVta);
  info.device_classes = {kDeviceClass};
  info.tasks = static_cast<int64_t>(layers.size());
  info.origin = "the other layers";
  return tuner::StoreModel(store, info, model);
}

}  // namespace tessera::bench
