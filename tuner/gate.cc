#include "tuner/gate.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/types/span.h"
#include "base/status.h"
#include "costmodel/metrics.h"
#include "costmodel/prior_model.h"

namespace tessera::tuner {
namespace {

using costmodel::CostModel;
using costmodel::TrainingData;

constexpr double kDeviations = 1.645;   // of a 90 % interval
constexpr size_t kLeast = 6;            // results that say anything
constexpr size_t kLeastToCompare = 48;  // that two fits can be judged by
constexpr size_t kMostToCompare = 128;  // the newest; more take long and say no more

// For each program the share of its pairs that the scores order rightly, equal scores half. None
// for programs that are as fast as all others.
std::vector<double> SharesInOrder(absl::Span<const float> scores,
                                  absl::Span<const float> throughput) {
  std::vector<double> shares;
  for (size_t i = 0; i < scores.size(); ++i) {
    double right = 0;
    int pairs = 0;
    for (size_t j = 0; j < scores.size(); ++j) {
      if (throughput[i] == throughput[j]) continue;
      ++pairs;
      right += costmodel::RightOrder(scores[i], scores[j], throughput[i], throughput[j]);
    }
    if (pairs > 0) shares.push_back(right / pairs);
  }
  return shares;
}

struct Estimate {
  double mean = 0, error = 0;
};

// Of a mean over pairs by what its members have of it: each pair counts for two (Hoeffding 1948).
Estimate MeanOfPairs(absl::Span<const double> shares) {
  const auto n = static_cast<double>(shares.size());
  double sum = 0, squares = 0;
  for (const double share : shares) sum += share;
  for (const double share : shares) squares += (share - sum / n) * (share - sum / n);
  return {sum / n, 2 * std::sqrt(squares / (n - 1) / n)};
}

// By how much trees alone forecast the later results better than trees on top of the prior.
absl::StatusOr<Estimate> GainAlone(const std::shared_ptr<const CostModel>& prior,
                                   const TrainingData& results, uint64_t seed) {
  TESSERA_ASSIGN_OR_RETURN(const auto with, costmodel::PriorModel::Make(prior, seed));
  TESSERA_ASSIGN_OR_RETURN(const auto alone, costmodel::MakeCostModel("xgboost", seed));
  const size_t count = results.labels.size();
  std::vector<double> gains;
  for (const size_t begin : {count / 2, count * 3 / 4}) {
    const TrainingData seen = costmodel::RowsOf(results, 0, begin);
    const TrainingData later =
        costmodel::RowsOf(results, begin, begin == count / 2 ? count * 3 / 4 : count);
    TESSERA_RETURN_IF_ERROR(with->Fit(seen));
    TESSERA_RETURN_IF_ERROR(alone->Fit(seen));
    const std::vector<double> shares_with =
        SharesInOrder(with->Predict(later.rows, later.columns), later.labels);
    const std::vector<double> shares_alone =
        SharesInOrder(alone->Predict(later.rows, later.columns), later.labels);
    for (size_t i = 0; i < shares_with.size(); ++i) {
      gains.push_back(shares_alone[i] - shares_with[i]);
    }
  }
  return gains.size() < 2 ? Estimate() : MeanOfPairs(gains);
}

}  // namespace

absl::StatusOr<bool> PriorHolds(const std::shared_ptr<const CostModel>& prior,
                                const TrainingData& results, uint64_t seed) {
  if (results.labels.size() < kLeast) return true;
  const std::vector<double> shares =
      SharesInOrder(prior->Predict(results.rows, results.columns), results.labels);
  if (shares.size() < kLeast) return true;
  const Estimate forecasts = MeanOfPairs(shares);
  if (forecasts.mean + kDeviations * forecasts.error < kChance) return false;

  const size_t count = results.labels.size();
  if (count < kLeastToCompare) return true;
  const size_t begin = count - std::min(count, kMostToCompare);
  TESSERA_ASSIGN_OR_RETURN(const Estimate gain,
                           GainAlone(prior, costmodel::RowsOf(results, begin, count), seed));
  return gain.mean <= std::max(kMargin, kDeviations * gain.error);
}

}  // namespace tessera::tuner
