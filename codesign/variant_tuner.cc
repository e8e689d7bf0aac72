#include "codesign/variant_tuner.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/status.h"
#include "compiler/vta/simulator.h"
#include "costmodel/cost_model.h"
#include "costmodel/features.h"
#include "db/record/memory_store.h"
#include "tuner/executor.h"
#include "tuner/job_runner.h"

namespace tessera::codesign {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr char kDevice[] = "simulator";
constexpr int kInFlight = 8;           // trials without a result when the next ones are proposed
constexpr size_t kNearest = 3;         // variants whose programs are tried first
constexpr size_t kMaxRows = 8192;      // of a model
constexpr size_t kMinRowsOfGroup = 2;  // one program compares with none

// Of all that decides a program's cycles.
uint64_t KeyOf(const Variant& variant, const Layer& layer, std::string_view loop_hash) {
  const vta::Timing t = TimingOf(variant);
  StableHasher hasher;
  hasher.Add(static_cast<uint64_t>(vta::kSimulatorVersion)).Add(vta::Print(variant.config));
  for (const int64_t value :
       {t.bus_bytes, t.row_latency, t.fetch_burst, t.queue_entries, t.token_entries, t.gemm_depth,
        t.alu_depth, t.turn_cycles, t.gemm_interval, t.alu_interval, t.alu_immediate_interval}) {
    hasher.Add(static_cast<uint64_t>(value));
  }
  const uint64_t of_layer = hasher.Add(te::StructuralHash(layer.workload.dag)).Finish();
  return StableHasher().Add(of_layer).Add(loop_hash).Finish();
}

// The simulator as the devices of one job, in the thread of who calls Deliver.
class SimulatorMeasurer final : public tuner::Measurer {
 public:
  SimulatorMeasurer(const Network& network, const Variant& variant,
                    const std::vector<LayerSpace>& spaces, MeasurementLog& log)
      : network_(network), variant_(variant), spaces_(spaces), log_(log) {}

  int Appetite(const db::Task&, std::string_view) override {
    return kInFlight - static_cast<int>(held_.size());
  }
  void Start(const tuner::TrialRequest& request, std::function<void(db::Record)> done) override {
    held_.push_back({request, std::move(done)});
  }

  // The result of the trial that was started first, into `tuned`. Errors are those of the log.
  absl::Status Deliver(TunedVariant& tuned) {
    if (held_.empty()) return absl::OkStatus();
    auto [request, done] = std::move(held_.front());
    held_.pop_front();
    TESSERA_ASSIGN_OR_RETURN(const Measured measured, Measure(request));
    TESSERA_ASSIGN_OR_RETURN(const uint64_t loop_hash, HashFromHex(request.loop_hash));
    const bool ok = measured.failure.empty();
    TunedLayer& layer = tuned.layers[request.task_index];
    layer.tried.push_back({loop_hash, request.config, ok ? measured.activity.cycles : kInfinity});
    if (ok && measured.activity.cycles < layer.best.cycles) {
      layer.best = measured.activity;
      layer.best_config = request.config;
    }
    db::Record record;
    record.loop_hash = request.loop_hash;
    record.device = kDevice;
    record.measurement.outcome = ok ? db::Outcome::kOk : db::Outcome::kBuildError;
    record.measurement.reason = measured.failure;
    if (ok) record.measurement.sample_seconds = {SecondsOf(measured.activity.cycles)};
    done(std::move(record));
    return absl::OkStatus();
  }

  double SecondsOf(double cycles) const {
    return cycles / (1e6 * static_cast<double>(variant_.megahertz));
  }

 private:
  absl::StatusOr<Measured> Measure(const tuner::TrialRequest& request) {
    const Layer& layer = network_.layers[request.task_index];
    const uint64_t key = KeyOf(variant_, layer, request.loop_hash);
    if (auto known = log_.Find(key)) return *std::move(known);
    const space::ConfigSpace& configs = *spaces_[request.task_index].configs;
    TESSERA_ASSIGN_OR_RETURN(const space::Config config, configs.FromJson(request.config));
    const absl::StatusOr<Activity> activity = SimulateConfig(configs, config, TimingOf(variant_));
    Measured measured;
    if (activity.ok()) {
      measured.activity = *activity;
    } else if (absl::IsInvalidArgument(activity.status())) {
      measured.failure = std::string(activity.status().message());
    } else {
      return Annotate(activity.status(),
                      absl::StrCat(layer.workload.name, " on ", ToString(variant_), ", config ",
                                   request.config));
    }
    TESSERA_RETURN_IF_ERROR(log_.Add(key, measured));
    return measured;
  }

  const Network& network_;
  const Variant& variant_;
  const std::vector<LayerSpace>& spaces_;
  MeasurementLog& log_;
  std::deque<std::pair<tuner::TrialRequest, std::function<void(db::Record)>>> held_;
};

db::Job MakeJob(const Network& network, const Variant& variant, int trials, uint64_t seed) {
  db::Job job;
  job.name = "codesign";
  const std::string target = ir::ToString(TargetOf(variant));
  for (const Layer& layer : network.layers) {
    db::Task& task = job.tasks.emplace_back();
    task.name = layer.workload.name;
    task.workload = te::Print(layer.workload);
    task.workload_hash = HashToHex(te::StructuralHash(layer.workload.dag));
    task.target = target;
    task.weight = layer.count;
  }
  job.options.trials_per_task = trials;
  job.options.seed = seed;
  job.options.cost_model = std::string(tuner::kWithPrior);
  return job;
}

absl::StatusOr<tuner::Prior> MakePrior(const TunedVariant& known, const Transfer& transfer,
                                       const std::vector<LayerSpace>& spaces) {
  const double hertz = 1e6 * static_cast<double>(known.variant.megahertz);
  tuner::Prior prior;
  for (size_t i = 0; i < spaces.size(); ++i) {
    tuner::TaskPrior& task = prior.tasks.emplace_back();
    for (const Tried& tried : known.layers[i].tried) {
      task.known.push_back({tried.loop_hash, tried.config, tried.cycles / hertz, kDevice});
    }
    if (i >= transfer.first_configs.size()) continue;
    for (const std::string& config : transfer.first_configs[i]) {
      const auto near = spaces[i].search->Adapt(config);
      if (near.ok()) task.first_configs.push_back(spaces[i].search->Config(*near));
    }
  }
  return prior;
}

absl::Status AddRows(const std::vector<LayerSpace>& spaces, TunedVariant& tuned) {
  for (size_t i = 0; i < spaces.size(); ++i) {
    TunedLayer& layer = tuned.layers[i];
    const auto columns = static_cast<size_t>(spaces[i].search->FeatureCount());
    std::vector<tuner::Point> points;
    for (size_t row = layer.rows.size() / columns; row < layer.tried.size(); ++row) {
      TESSERA_ASSIGN_OR_RETURN(points.emplace_back(),
                               spaces[i].search->Parse(layer.tried[row].config));
    }
    TESSERA_ASSIGN_OR_RETURN(const std::vector<float> rows, spaces[i].search->Features(points));
    layer.rows.insert(layer.rows.end(), rows.begin(), rows.end());
  }
  return absl::OkStatus();
}

}  // namespace

bool TunedVariant::HasPrograms() const {
  return std::ranges::none_of(layers,
                              [](const TunedLayer& layer) { return layer.best_config.empty(); });
}

Activity TunedVariant::Total(const Network& network) const {
  Activity total;
  for (size_t i = 0; i < layers.size(); ++i) total.Add(layers[i].best, network.layers[i].count);
  return total;
}

double TunedVariant::Seconds(const Network& network) const {
  return Total(network).cycles / (1e6 * static_cast<double>(variant.megahertz));
}

double TunedVariant::SecondsAfter(const Network& network, size_t trials) const {
  double cycles = 0;
  for (size_t i = 0; i < layers.size(); ++i) {
    double least = kInfinity;
    for (size_t t = 0; t < std::min(trials, layers[i].tried.size()); ++t) {
      least = std::min(least, layers[i].tried[t].cycles);
    }
    cycles += network.layers[i].count * least;
  }
  return cycles / (1e6 * static_cast<double>(variant.megahertz));
}

Transfer MakeTransfer(const Network& network, absl::Span<const TunedVariant> tuned,
                      const Variant& variant, const tuner::SavedModel& model) {
  std::vector<std::pair<double, size_t>> near;
  for (size_t i = 0; i < tuned.size(); ++i) {
    if (tuned[i].variant != variant) near.push_back({Distance(variant, tuned[i].variant), i});
  }
  std::ranges::sort(near);
  near.resize(std::min(near.size(), kNearest));
  Transfer transfer = {model, std::vector<std::vector<std::string>>(network.layers.size())};
  for (size_t layer = 0; layer < network.layers.size(); ++layer) {
    for (const auto& [distance, i] : near) {
      const std::string& config = tuned[i].layers[layer].best_config;
      if (!config.empty()) transfer.first_configs[layer].push_back(config);
    }
  }
  return transfer;
}

absl::StatusOr<tuner::SavedModel> FitModel(absl::Span<const TunedVariant> tuned, uint64_t seed) {
  costmodel::TrainingData data;
  for (size_t v = tuned.size(); v-- > 0 && data.labels.size() < kMaxRows;) {
    for (const TunedLayer& layer : tuned[v].layers) {
      if (layer.tried.size() < kMinRowsOfGroup || layer.best_config.empty()) continue;
      data.columns = static_cast<int>(layer.rows.size() / layer.tried.size());
      data.rows.insert(data.rows.end(), layer.rows.begin(), layer.rows.end());
      for (const Tried& tried : layer.tried) {
        data.labels.push_back(static_cast<float>(layer.best.cycles / tried.cycles));
      }
      data.groups.push_back(static_cast<int>(layer.tried.size()));
    }
  }
  if (data.labels.empty()) return tuner::SavedModel();
  const std::string kind(tuner::kWithPrior);
  TESSERA_ASSIGN_OR_RETURN(const auto model, costmodel::MakeCostModel(kind, seed));
  TESSERA_RETURN_IF_ERROR(model->Fit(data));
  TESSERA_ASSIGN_OR_RETURN(std::string bytes, model->Save());
  return tuner::SavedModel{kind, std::move(bytes)};
}

absl::StatusOr<TunedVariant> TuneVariant(const Network& network, TunedVariant known,
                                         const Transfer& transfer, int trials, uint64_t seed,
                                         MeasurementLog& log, const std::atomic<bool>& stop) {
  if (known.layers.empty()) {
    known.layers.resize(network.layers.size());
    for (TunedLayer& layer : known.layers) layer.best.cycles = kInfinity;
  }
  const ir::Target target = TargetOf(known.variant);
  std::vector<LayerSpace> spaces;
  std::vector<std::shared_ptr<const tuner::SearchSpace>> searched;
  for (const Layer& layer : network.layers) {
    TESSERA_ASSIGN_OR_RETURN(spaces.emplace_back(), MakeLayerSpace(layer, target));
    searched.push_back(spaces.back().search);
  }
  db::Job job = MakeJob(network, known.variant, trials, seed);
  TESSERA_ASSIGN_OR_RETURN(
      const auto learner,
      tuner::MakeLearner(job.options.cost_model, job.options.seed, transfer.model));
  TESSERA_ASSIGN_OR_RETURN(tuner::Prior prior, MakePrior(known, transfer, spaces));
  ManualClock clock;
  db::MemoryStore store(clock);
  SimulatorMeasurer measurer(network, known.variant, spaces, log);
  tuner::InlineExecutor executor;
  tuner::SearchOptions search;
  search.rivals = 0;  // each program has one time
  TESSERA_ASSIGN_OR_RETURN(const int64_t id, store.CreateJob(job));
  TESSERA_ASSIGN_OR_RETURN(job, store.GetJob(id));
  TESSERA_ASSIGN_OR_RETURN(
      const auto runner,
      tuner::JobRunner::Create(std::move(job),
                               {.spaces = searched,
                                .learner = learner,
                                .store = store,
                                .measurer = measurer,
                                .executor = executor,
                                .clock = clock,
                                .prior = std::make_shared<const tuner::Prior>(std::move(prior))},
                               search));
  while (runner->Step()) {
    if (stop) return absl::CancelledError("interrupted");
    clock.Advance(absl::Milliseconds(1));
    TESSERA_RETURN_IF_ERROR(measurer.Deliver(known));
  }
  // A job of which every trial failed has failed as well, but its tasks are done.
  const auto progress = runner->Progress();
  for (const tuner::TaskProgress& task : progress->tasks) {
    if (!task.done) return absl::InternalError(progress->message);
  }
  TESSERA_RETURN_IF_ERROR(AddRows(spaces, known));
  return known;
}

}  // namespace tessera::codesign
