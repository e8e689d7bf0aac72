#include "tuner/cost_model_learner.h"

#include <malloc.h>

#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "costmodel/cost_model.h"
#include "costmodel/features.h"

namespace tessera::tuner {
namespace {

using costmodel::CostModel;

class CostModelRanker final : public Ranker {
 public:
  explicit CostModelRanker(std::unique_ptr<const CostModel> model) : model_(std::move(model)) {}
  std::vector<float> Score(absl::Span<const float> rows) const override {
    return model_->Predict(rows, costmodel::FeatureCount());
  }
  costmodel::Scores ScoreWithDeviation(absl::Span<const float> rows) const override {
    return model_->PredictWithDeviation(rows, costmodel::FeatureCount());
  }

 private:
  const std::unique_ptr<const CostModel> model_;
};

class CostModelLearner final : public Learner {
 public:
  CostModelLearner(std::string_view name, uint64_t seed) : name_(name), seed_(seed) {}

  absl::StatusOr<std::string> Fit(const TrainingSet& set) const override {
    TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<CostModel> model,
                             costmodel::MakeCostModel(name_, seed_));
    TESSERA_RETURN_IF_ERROR(model->Fit({set.columns, set.rows, set.targets, {}, {}}));
    return model->Save();
  }

  absl::StatusOr<std::shared_ptr<const Ranker>> Load(std::string_view bytes) const override {
    TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<CostModel> model,
                             costmodel::MakeCostModel(name_, seed_));
    TESSERA_RETURN_IF_ERROR(model->Load(bytes));
    // Fitting and reading leave tens of megabytes of holes in the heap, and come once in many
    // trials.
    malloc_trim(0);
    return std::make_shared<const CostModelRanker>(std::move(model));
  }

 private:
  const std::string name_;
  const uint64_t seed_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Learner>> MakeLearner(std::string_view cost_model,
                                                           uint64_t seed) {
  // Asked once here, so that a wrong name is refused when the job is made and not at its first fit.
  if (auto model = costmodel::MakeCostModel(cost_model, seed); !model.ok()) return model.status();
  return std::make_shared<const CostModelLearner>(cost_model, seed);
}

}  // namespace tessera::tuner
