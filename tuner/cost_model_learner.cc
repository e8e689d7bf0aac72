#include "tuner/cost_model_learner.h"

#include <malloc.h>

#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/view.h"
#include "costmodel/cost_model.h"
#include "costmodel/prior_model.h"
#include "tuner/gate.h"

namespace tessera::tuner {
namespace {

using costmodel::CostModel;

class CostModelRanker final : public Ranker {
 public:
  CostModelRanker(std::shared_ptr<const CostModel> model, bool builds_on_prior)
      : model_(std::move(model)), builds_on_prior_(builds_on_prior) {}
  std::vector<float> Score(absl::Span<const float> rows, int columns) const override {
    return model_->Predict(rows, columns);
  }
  costmodel::Scores ScoreWithDeviation(absl::Span<const float> rows, int columns) const override {
    return model_->PredictWithDeviation(rows, columns);
  }
  bool BuildsOnPrior() const override { return builds_on_prior_; }

 private:
  const std::shared_ptr<const CostModel> model_;
  const bool builds_on_prior_;
};

class CostModelLearner final : public Learner {
 public:
  // `prior` may be null.
  CostModelLearner(std::string_view name, uint64_t seed, std::shared_ptr<const CostModel> prior)
      : name_(name), seed_(seed), prior_(std::move(prior)) {}

  absl::StatusOr<std::string> Fit(const TrainingSet& set) const override {
    const costmodel::TrainingData data = {set.columns, set.rows, set.targets, {}, {}};
    bool with_prior = false;
    if (prior_ != nullptr) {
      // The gate judges by what the job measured itself.
      const size_t results = data.labels.size();
      TESSERA_ASSIGN_OR_RETURN(
          with_prior,
          PriorHolds(prior_, costmodel::RowsOf(data, std::min(set.known, results), results),
                     seed_));
    }
    TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<CostModel> model, NewModel(with_prior));
    TESSERA_RETURN_IF_ERROR(model->Fit(data));
    return model->Save();
  }

  absl::StatusOr<std::shared_ptr<const Ranker>> Load(std::string_view bytes) const override {
    const bool with_prior = prior_ != nullptr && costmodel::PriorModel::IsSaved(bytes);
    TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<CostModel> model, NewModel(with_prior));
    TESSERA_RETURN_IF_ERROR(model->Load(bytes));
    // Fitting and reading leave tens of megabytes of holes in the heap, and come once in many
    // trials.
    malloc_trim(0);
    return std::make_shared<const CostModelRanker>(std::move(model), with_prior);
  }

  std::shared_ptr<const Ranker> Prior() const override {
    return prior_ == nullptr ? nullptr : std::make_shared<const CostModelRanker>(prior_, true);
  }

 private:
  absl::StatusOr<std::unique_ptr<CostModel>> NewModel(bool with_prior) const {
    if (with_prior) return costmodel::PriorModel::Make(prior_, seed_);
    return costmodel::MakeCostModel(name_, seed_);
  }

  const std::string name_;
  const uint64_t seed_;
  const std::shared_ptr<const CostModel> prior_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Learner>> MakeLearner(std::string_view cost_model,
                                                           uint64_t seed, const SavedModel& prior) {
  // Asked once here, so that a wrong name is refused when the job is made and not at its first fit.
  if (auto model = costmodel::MakeCostModel(cost_model, seed); !model.ok()) return model.status();
  if (prior.bytes.empty()) {
    return std::make_shared<const CostModelLearner>(cost_model, seed, nullptr);
  }
  if (cost_model != kWithPrior) {
    return absl::InvalidArgumentError(absl::StrCat("cost model '", AbslView(cost_model),
                                                   "' can't begin with another model; '",
                                                   AbslView(kWithPrior), "' can"));
  }
  TESSERA_ASSIGN_OR_RETURN(std::shared_ptr<CostModel> loaded,
                           costmodel::MakeCostModel(prior.cost_model, seed));
  TESSERA_RETURN_IF_ERROR(loaded->Load(prior.bytes));
  return std::make_shared<const CostModelLearner>(cost_model, seed, std::move(loaded));
}

}  // namespace tessera::tuner
