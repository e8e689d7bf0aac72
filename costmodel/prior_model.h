#pragma once

#include <memory>
#include <optional>
#include <string>

#include "costmodel/cost_model.h"
#include "costmodel/xgboost_model.h"

namespace tessera::costmodel {

// f = f_prior + f_local (1805.08166 §4): a model of one task that begins with one of other tasks
// and learns what that leaves over, by trees as of "xgboost". The prior's scores are taken as
// standard scores over the measured programs, because its unit is that of its own tasks. Before the
// first fit the prior decides alone.
class PriorModel final : public CostModel {
 public:
  // `prior` is fitted.
  static absl::StatusOr<std::unique_ptr<PriorModel>> Make(std::shared_ptr<const CostModel> prior,
                                                          uint64_t seed);
  // Whether the bytes are what Save of such a model returns, judged by how they begin.
  static bool IsSaved(std::string_view bytes);
  std::string_view name() const override { return "xgboost+prior"; }
  // Of one task: InvalidArgument for data of several groups or with margins.
  absl::Status Fit(const TrainingData& data) override;
  std::vector<float> Predict(absl::Span<const float> rows, int columns) const override;
  // Without the prior, of which the SHA-256 is stored: to be loaded over the same one only
  // (FailedPrecondition).
  absl::StatusOr<std::string> Save() const override;
  absl::Status Load(std::string_view bytes) override;

 private:
  // (score − mean) × factor is the margin of a prior's score.
  struct Scale {
    float mean = 0;
    float factor = 1;
  };

  PriorModel(std::shared_ptr<const CostModel> prior, std::string digest, uint64_t seed)
      : prior_(std::move(prior)), digest_(std::move(digest)), seed_(seed) {}
  std::vector<float> Margins(absl::Span<const float> rows, int columns, const Scale& scale) const;
  XgboostModel NewLocal() const;

  std::shared_ptr<const CostModel> prior_;
  std::string digest_;
  uint64_t seed_;
  Scale scale_;
  std::optional<XgboostModel> local_;  // none before the first fit
};

}  // namespace tessera::costmodel
