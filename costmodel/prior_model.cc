#include "costmodel/prior_model.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "base/hash.h"
#include "base/status.h"

namespace tessera::costmodel {
namespace {

// Then: the prior's SHA-256, mean and factor, the local model.
constexpr std::string_view kMagic = "tessera prior 1\n";
constexpr size_t kDigestSize = 64;

}  // namespace

absl::StatusOr<std::unique_ptr<PriorModel>> PriorModel::Make(std::shared_ptr<const CostModel> prior,
                                                             uint64_t seed) {
  TESSERA_ASSIGN_OR_RETURN(const std::string bytes, prior->Save());
  return std::unique_ptr<PriorModel>(new PriorModel(std::move(prior), Sha256Hex(bytes), seed));
}

bool PriorModel::IsSaved(std::string_view bytes) { return bytes.starts_with(kMagic); }

// Without the draft: the trees correct the prior, by small steps, because what few rows of a task
// say against it is mostly noise.
XgboostModel PriorModel::NewLocal() const {
  BoostingOptions options = RankingOptions(seed_);
  options.learning_rate = 0.05;
  return {name(), options};
}

std::vector<float> PriorModel::Margins(absl::Span<const float> rows, int columns,
                                       const Scale& scale) const {
  std::vector<float> margins = prior_->Predict(rows, columns);
  for (float& margin : margins) margin = (margin - scale.mean) * scale.factor;
  return margins;
}

absl::Status PriorModel::Fit(const TrainingData& data) {
  TESSERA_RETURN_IF_ERROR(CheckTrainingData(data));
  if (GroupsOf(data).size() > 1 || !data.margins.empty()) {
    return absl::InvalidArgumentError("xgboost+prior: takes rows of one task, without margins");
  }
  const std::vector<float> scores = prior_->Predict(data.rows, data.columns);
  double sum = 0, squares = 0;
  for (const float score : scores) sum += score;
  const double mean = sum / static_cast<double>(scores.size());
  for (const float score : scores) squares += (score - mean) * (score - mean);
  const double deviation = std::sqrt(squares / static_cast<double>(scores.size()));
  // A prior that tells none of the programs apart has no say.
  const bool tells = deviation > 1e-6;
  const Scale scale = {static_cast<float>(mean), tells ? static_cast<float>(1 / deviation) : 0.0f};

  TrainingData corrected = data;
  corrected.margins = Margins(data.rows, data.columns, scale);
  XgboostModel local = NewLocal();
  TESSERA_RETURN_IF_ERROR(local.Fit(corrected));
  scale_ = scale;
  local_ = std::move(local);
  return absl::OkStatus();
}

std::vector<float> PriorModel::Predict(absl::Span<const float> rows, int columns) const {
  std::vector<float> scores = Margins(rows, columns, scale_);
  if (!local_) return scores;
  const std::vector<float> corrections = local_->Predict(rows, columns);
  for (size_t i = 0; i < scores.size(); ++i) scores[i] += corrections[i];
  return scores;
}

absl::StatusOr<std::string> PriorModel::Save() const {
  if (!local_) return absl::FailedPreconditionError("xgboost+prior: it is not fitted");
  TESSERA_ASSIGN_OR_RETURN(const std::string local, local_->Save());
  std::string bytes(kMagic);
  bytes += digest_;
  bytes.append(reinterpret_cast<const char*>(&scale_), sizeof(scale_));
  return bytes + local;
}

absl::Status PriorModel::Load(std::string_view bytes) {
  const absl::Status damaged = absl::DataLossError("cost model: damaged");
  if (!IsSaved(bytes) || bytes.size() < kMagic.size() + kDigestSize + sizeof(Scale)) {
    return damaged;
  }
  bytes.remove_prefix(kMagic.size());
  if (bytes.substr(0, kDigestSize) != digest_) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cost model: its prior is ", std::string(bytes.substr(0, kDigestSize)), ", not ", digest_));
  }
  bytes.remove_prefix(kDigestSize);
  Scale scale;
  std::memcpy(&scale, bytes.data(), sizeof(scale));
  bytes.remove_prefix(sizeof(scale));
  if (!std::isfinite(scale.mean) || !std::isfinite(scale.factor)) return damaged;
  XgboostModel local = NewLocal();
  TESSERA_RETURN_IF_ERROR(local.Load(bytes));
  scale_ = scale;
  local_ = std::move(local);
  return absl::OkStatus();
}

}  // namespace tessera::costmodel
