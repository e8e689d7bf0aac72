#include "costmodel/ensemble_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/rng.h"
#include "base/status.h"
#include "costmodel/model_format.h"

namespace tessera::costmodel {
namespace {

constexpr size_t kMaxMembers = 64;

TrainingData Resample(const TrainingData& data, Rng& rng) {
  TrainingData drawn;
  drawn.columns = data.columns;
  drawn.groups = GroupsOf(data);
  size_t begin = 0;
  for (const int size : drawn.groups) {
    for (int i = 0; i < size; ++i) {
      const size_t row = begin + rng.Below(size);
      const auto values = absl::MakeConstSpan(data.rows).subspan(row * data.columns, data.columns);
      drawn.rows.insert(drawn.rows.end(), values.begin(), values.end());
      drawn.labels.push_back(data.labels[row]);
      if (!data.margins.empty()) drawn.margins.push_back(data.margins[row]);
    }
    begin += size;
  }
  return drawn;
}

}  // namespace

absl::Status EnsembleModel::Fit(const TrainingData& data) {
  TESSERA_RETURN_IF_ERROR(CheckTrainingData(data));
  std::vector<TreeEnsemble> members;
  BoostingOptions boosting = options_.boosting;
  Rng rng(boosting.seed);
  for (int member = 0; member < options_.members; ++member) {
    boosting.seed = rng.Next();
    TESSERA_ASSIGN_OR_RETURN(Boosted boosted, Boost(Resample(data, rng), boosting));
    members.push_back(std::move(boosted.trees));
  }
  columns_ = data.columns;
  members_ = std::move(members);
  return absl::OkStatus();
}

std::vector<float> EnsembleModel::Predict(absl::Span<const float> rows, int columns) const {
  return PredictWithDeviation(rows, columns).mean;
}

Scores EnsembleModel::PredictWithDeviation(absl::Span<const float> rows, int columns) const {
  const size_t count = rows.size() / columns;
  Scores scores = {std::vector<float>(count, 0.0f), std::vector<float>(count, 0.0f)};
  if (members_.empty() || count == 0) return scores;
  TESSERA_CHECK(columns == columns_);
  const auto size = static_cast<float>(members_.size());
  // Means and squared differences from them, row by row (Welford 1962), the latter of what a member
  // says beyond its mean over the rows: what it says of all alike puts none before another.
  std::vector<float> centred_mean(count, 0.0f), squares(count, 0.0f);
  float seen = 0;
  for (const TreeEnsemble& member : members_) {
    const std::vector<float> predicted = member.Predict(rows, columns);
    const auto offset = static_cast<float>(
        std::accumulate(predicted.begin(), predicted.end(), 0.0) / static_cast<double>(count));
    seen += 1;
    for (size_t i = 0; i < count; ++i) {
      scores.mean[i] += (predicted[i] - scores.mean[i]) / seen;
      const float centred = predicted[i] - offset;
      const float difference = centred - centred_mean[i];
      centred_mean[i] += difference / seen;
      squares[i] += difference * (centred - centred_mean[i]);
    }
  }
  for (size_t i = 0; i < count; ++i) {
    scores.deviation[i] = std::sqrt(squares[i] / std::max(size - 1, 1.0f));
  }
  return scores;
}

// The head, then each member: its size as 8 bytes, its trees.
absl::StatusOr<std::string> EnsembleModel::Save() const {
  if (members_.empty()) return absl::FailedPreconditionError("ensemble: it is not fitted");
  std::string bytes = ModelHead(name(), columns_);
  for (const TreeEnsemble& member : members_) {
    const std::string trees = member.ToBytes();
    const uint64_t size = trees.size();
    bytes.append(reinterpret_cast<const char*>(&size), sizeof(size));
    bytes += trees;
  }
  return bytes;
}

absl::Status EnsembleModel::Load(std::string_view bytes) {
  const absl::Status damaged = absl::DataLossError("cost model: damaged");
  TESSERA_ASSIGN_OR_RETURN(ModelBody body, ReadModelHead(name(), bytes));
  std::vector<TreeEnsemble> members;
  while (!body.bytes.empty()) {
    uint64_t size = 0;
    if (body.bytes.size() < sizeof(size) || members.size() == kMaxMembers) return damaged;
    std::memcpy(&size, body.bytes.data(), sizeof(size));
    body.bytes.remove_prefix(sizeof(size));
    if (size > body.bytes.size()) return damaged;
    TESSERA_ASSIGN_OR_RETURN(TreeEnsemble trees,
                             TreeEnsemble::FromBytes(body.bytes.substr(0, size)));
    if (body.columns < trees.columns_used()) return damaged;
    members.push_back(std::move(trees));
    body.bytes.remove_prefix(size);
  }
  if (members.empty()) return damaged;
  columns_ = body.columns;
  members_ = std::move(members);
  return absl::OkStatus();
}

EnsembleOptions DefaultEnsembleOptions(uint64_t seed) {
  return {.boosting = {.objective = Objective::kRegression,
                       .seed = seed,
                       .rounds = 50,
                       .max_rounds = 100,
                       .learning_rate = 0.15}};
}

std::unique_ptr<CostModel> MakeEnsembleModel(uint64_t seed) {
  return std::make_unique<EnsembleModel>(DefaultEnsembleOptions(seed));
}

}  // namespace tessera::costmodel
