#include "tuner/cost_model_learner.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "compiler/te/operators.h"
#include "costmodel/cost_model.h"
#include "costmodel/draft.h"
#include "costmodel/metrics.h"
#include "costmodel/prior_model.h"
#include "db/record/memory_store.h"
#include "tests/support/simulated_measurer.h"
#include "tuner/config_search_space.h"
#include "tuner/job_runner.h"

namespace tessera::test {
namespace {

// A made-up machine can't say what other algorithms are worth: no Winograd sketches here.
db::Task ConvolutionTask() {
  const te::Workload workload = *te::MakeWorkload({"conv",
                                                   "conv2d",
                                                   {{"ic", "64"},
                                                    {"oc", "64"},
                                                    {"size", "28"},
                                                    {"k", "5"},
                                                    {"pad", "2"},
                                                    {"bias", "true"},
                                                    {"relu", "true"},
                                                    {"layout", "any"},
                                                    {"algorithm", "direct"}}});
  db::Task task;
  task.name = "conv";
  task.workload = te::Print(workload);
  task.workload_hash = HashToHex(te::StructuralHash(workload.dag));
  task.target = ir::ToString(*ir::X86Target("avx512"));
  return task;
}

// A made-up machine: log time is a random sparse function of a program's features, and partly what
// the draft says, as on real ones.
class Landscape {
 public:
  Landscape(std::shared_ptr<const tuner::SearchSpace> space, uint64_t seed)
      : space_(std::move(space)) {
    Rng rng(seed);
    std::vector<tuner::Point> points;
    for (int i = 0; i < 256; ++i) points.push_back(space_->Sample(rng));
    const std::vector<float> rows = *space_->Features(points);
    const int columns = space_->FeatureCount();
    for (size_t r = 0; r < points.size(); ++r) {
      mean_draft_ += std::log(costmodel::DraftSeconds(
                         absl::MakeConstSpan(rows).subspan(r * columns, columns))) /
                     static_cast<double>(points.size());
    }
    for (int c = 0; c < columns; ++c) {
      double mean = 0, square = 0;
      for (size_t r = 0; r < points.size(); ++r) mean += rows[r * columns + c] / points.size();
      for (size_t r = 0; r < points.size(); ++r) {
        square += std::pow(rows[r * columns + c] - mean, 2) / points.size();
      }
      const bool counts = square > 1e-6 && rng.Chance(0.05);
      scale_.push_back(counts ? 1 / std::sqrt(square) : 0);
      centre_.push_back(mean + (rng.Uniform() - 0.5) * 2 * std::sqrt(square));
    }
  }

  double CostSeconds(const std::string& config) const {
    const std::vector<tuner::Point> point = {*space_->Parse(config)};
    const std::vector<float> row = *space_->Features(point);
    double log_cost = 0.3 * (std::log(costmodel::DraftSeconds(row)) - mean_draft_);
    for (size_t c = 0; c < row.size(); ++c) {
      log_cost += 0.1 * std::pow((row[c] - centre_[c]) * scale_[c], 2);
    }
    return 1e-3 * std::exp(log_cost);
  }

 private:
  std::shared_ptr<const tuner::SearchSpace> space_;
  std::vector<double> scale_, centre_;
  double mean_draft_ = 0;
};

struct Outcome {
  double best_log = 0;
  int models = 0;
};

Outcome Search(const std::string& explorer, uint64_t seed) {
  ManualClock clock;
  db::MemoryStore store(clock);
  tuner::InlineExecutor executor;
  db::Job job;
  job.tasks = {ConvolutionTask()};
  job.options.explorer = explorer;
  job.options.seed = seed;
  job.options.trials_per_task = 64;
  job.id = *store.CreateJob(job);
  const auto space = *tuner::MakeSearchSpace(job.tasks[0]);
  const Landscape landscape(space, seed);
  SimulatedMeasurer measurer(
      {.capacity = 4, .noise = 0.02, .reorder = true, .seed = seed},
      [&](const tuner::TrialRequest& request) {
        return request.config.empty() ? 1.0 : landscape.CostSeconds(request.config);
      });
  auto runner = *tuner::JobRunner::Create(
      job, {{space}, *tuner::MakeLearner("xgboost", seed), store, measurer, executor, clock});
  while (runner->Step()) measurer.Deliver();
  Outcome outcome;
  outcome.best_log = std::log(runner->Progress()->tasks[0].best_seconds / 1e-3);
  const std::vector<db::Event> log = *store.ReadEvents(job.id, 0);
  for (const db::Event& event : log) {
    outcome.models += event.kind == db::EventKind::kModelReady;
  }
  return outcome;
}

TEST_CASE("annealing with boosted trees beats random search in a convolution's space", "[tuner]") {
  double annealing = 0;
  double random = 0;
  for (uint64_t seed = 1; seed <= 24; ++seed) {
    const Outcome learned = Search("annealing", seed);
    const Outcome drawn = Search("random", seed);
    annealing += learned.best_log;
    random += drawn.best_log;
    CHECK(learned.models >= 4);
    CHECK(drawn.models == 0);
    UNSCOPED_INFO(learned.best_log << " " << drawn.best_log);
  }
  CAPTURE(annealing, random);
  CHECK(annealing < random - 24 * 0.02);  // 2 % faster
}

TEST_CASE("a model is the same from its bytes, and refuses others", "[tuner]") {
  for (const costmodel::CostModelKind& kind : costmodel::CostModelKinds()) {
    const std::string_view name = kind.name;
    CAPTURE(name);
    const auto space = *tuner::MakeSearchSpace(ConvolutionTask());
    Rng rng(3);
    std::vector<tuner::Point> points;
    tuner::TrainingSet set;
    for (int i = 0; i < 40; ++i) {
      points.push_back(space->Sample(rng));
      set.targets.push_back(static_cast<float>(rng.Uniform()));
    }
    set.columns = space->FeatureCount();
    set.rows = *space->Features(points);
    const auto learner = *tuner::MakeLearner(name, 5);
    const auto bytes = learner->Fit(set);
    REQUIRE(bytes.ok());
    CHECK(*learner->Fit(set) == *bytes);
    const auto first = (*learner->Load(*bytes))->Score(set.rows, set.columns);
    CHECK(first.size() == 40);
    CHECK(first == (*learner->Load(*bytes))->Score(set.rows, set.columns));
    CHECK_FALSE(learner->Load("nonsense").ok());
    const costmodel::Scores scores =
        (*learner->Load(*bytes))->ScoreWithDeviation(set.rows, set.columns);
    CHECK(scores.mean == first);
    CHECK(scores.deviation.size() == (name == "ensemble" ? 40 : 0));
  }
}

// Samples of the convolution on a machine as the draft sees it, or on one that is slow where that
// is fast.
tuner::TrainingSet Samples(uint64_t seed, int count, bool inverted) {
  const auto space = *tuner::MakeSearchSpace(ConvolutionTask());
  Rng rng(seed);
  std::vector<tuner::Point> points;
  for (int i = 0; i < count; ++i) points.push_back(space->Sample(rng));
  tuner::TrainingSet set;
  set.columns = space->FeatureCount();
  set.rows = *space->Features(points);
  std::vector<double> seconds;
  for (int i = 0; i < count; ++i) {
    seconds.push_back(costmodel::DraftSeconds(
        absl::MakeConstSpan(set.rows).subspan(i * set.columns, set.columns)));
  }
  const auto [fastest, slowest] = std::minmax_element(seconds.begin(), seconds.end());
  for (const double s : seconds) {
    set.targets.push_back(static_cast<float>(inverted ? s / *slowest : *fastest / s));
  }
  return set;
}

tuner::SavedModel Trained(bool inverted) {
  const tuner::TrainingSet set = Samples(50, 300, inverted);
  const auto model = *costmodel::MakeCostModel("regression", 1);
  REQUIRE(model->Fit({set.columns, set.rows, set.targets, {}, {}}).ok());
  return {"regression", *model->Save()};
}

TEST_CASE("fits begin with a model of other tasks unless the results speak against it", "[tuner]") {
  const tuner::TrainingSet few = Samples(51, 16, false), fresh = Samples(52, 200, false);
  const auto accuracy = [&](const std::shared_ptr<const tuner::Ranker>& ranker) {
    return costmodel::PairwiseAccuracy(ranker->Score(fresh.rows, fresh.columns), fresh.targets);
  };
  const auto alone = *tuner::MakeLearner("xgboost", 3);
  CHECK(alone->Prior() == nullptr);
  const std::string bytes_alone = *alone->Fit(few);
  const double accuracy_alone = accuracy(*alone->Load(bytes_alone));

  const auto with = *tuner::MakeLearner("xgboost", 3, Trained(false));
  REQUIRE(with->Prior() != nullptr);
  CHECK(accuracy(with->Prior()) > 0.85);
  const std::string bytes = *with->Fit(few);
  CHECK((*with->Load(bytes))->BuildsOnPrior());
  CHECK(accuracy(*with->Load(bytes)) > accuracy_alone);
  CHECK(*with->Fit(few) == bytes);

  const auto wrong = *tuner::MakeLearner("xgboost", 3, Trained(true));
  CHECK(accuracy(wrong->Prior()) < 0.3);
  CHECK(*wrong->Fit(few) == bytes_alone);
  CHECK_FALSE((*wrong->Load(bytes_alone))->BuildsOnPrior());
  CHECK(accuracy(*wrong->Load(bytes_alone)) == accuracy_alone);
  CHECK_FALSE(wrong->Load(bytes).ok());  // it is over another prior
}

TEST_CASE("what was known before the job does not judge the model that the job begins with",
          "[tuner]") {
  // The model was trained on what is known, and so is right about it; of what the job measures it
  // is wrong.
  const auto learner = *tuner::MakeLearner("xgboost", 3, Trained(false));
  const auto both = [](const tuner::TrainingSet& known, const tuner::TrainingSet& own) {
    tuner::TrainingSet set = known;
    set.known = known.targets.size();
    set.rows.insert(set.rows.end(), own.rows.begin(), own.rows.end());
    set.targets.insert(set.targets.end(), own.targets.begin(), own.targets.end());
    return set;
  };
  const tuner::TrainingSet right = Samples(50, 300, false), wrong = Samples(50, 300, true);
  CHECK_FALSE(costmodel::PriorModel::IsSaved(*learner->Fit(both(right, Samples(51, 32, true)))));
  CHECK(costmodel::PriorModel::IsSaved(*learner->Fit(both(wrong, Samples(51, 32, false)))));
  // Of what is known alone nothing can be said.
  CHECK(costmodel::PriorModel::IsSaved(*learner->Fit(both(wrong, Samples(51, 2, true)))));
  CHECK(costmodel::PriorModel::IsSaved(*learner->Fit(both(wrong, {}))));
}

TEST_CASE("a learner refuses a prior that it can't begin with", "[tuner]") {
  const tuner::SavedModel prior = Trained(false);
  CHECK(tuner::MakeLearner("ensemble", 1, prior).status() ==
        absl::InvalidArgumentError(
            "cost model 'ensemble' can't begin with another model; 'xgboost' can"));
  CHECK_FALSE(tuner::MakeLearner("xgboost", 1, {"ensemble", prior.bytes}).ok());
  CHECK_FALSE(tuner::MakeLearner("xgboost", 1, {"regression", "nonsense"}).ok());
}

TEST_CASE("an unknown cost model is refused by name", "[tuner]") {
  const auto learner = tuner::MakeLearner("crystal", 1);
  CHECK(learner.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(std::string(learner.status().message()).find("crystal") != std::string::npos);
}

}  // namespace
}  // namespace tessera::test
