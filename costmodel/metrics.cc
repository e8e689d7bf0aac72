#include "costmodel/metrics.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

#include "base/status.h"

namespace tessera::costmodel {
namespace {

// Nothing without a pair of different throughput.
std::optional<double> AccuracyOfPairs(absl::Span<const float> scores,
                                      absl::Span<const float> throughput) {
  double right = 0;
  int64_t pairs = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (throughput[i] == throughput[j]) continue;
      ++pairs;
      right += RightOrder(scores[i], scores[j], throughput[i], throughput[j]);
    }
  }
  if (pairs == 0) return std::nullopt;
  return right / static_cast<double>(pairs);
}

}  // namespace

double RightOrder(float score_a, float score_b, float throughput_a, float throughput_b) {
  if (score_a == score_b) return 0.5;
  return (score_a < score_b) == (throughput_a < throughput_b) ? 1 : 0;
}

double PairwiseAccuracy(absl::Span<const float> scores, absl::Span<const float> throughput) {
  return PairwiseAccuracy(scores, throughput, {});
}

double PairwiseAccuracy(absl::Span<const float> scores, absl::Span<const float> throughput,
                        absl::Span<const int> groups) {
  TESSERA_CHECK(scores.size() == throughput.size());
  const int all = static_cast<int>(scores.size());
  if (groups.empty()) groups = absl::MakeConstSpan(&all, 1);
  double sum = 0;
  int counted = 0;
  size_t begin = 0;
  for (const int size : groups) {
    if (const auto accuracy =
            AccuracyOfPairs(scores.subspan(begin, size), throughput.subspan(begin, size))) {
      sum += *accuracy;
      ++counted;
    }
    begin += size;
  }
  return counted == 0 ? 0.5 : sum / counted;
}

double TopScore(absl::Span<const float> scores, absl::Span<const float> throughput, int k) {
  TESSERA_CHECK(scores.size() == throughput.size() && k > 0);
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  // The highest scores first, and of equal ones the slowest.
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return scores[a] != scores[b] ? scores[a] > scores[b] : throughput[a] < throughput[b];
  });
  const float best = scores.empty() ? 0 : *std::max_element(throughput.begin(), throughput.end());
  if (best <= 0) return 1;

  float sure = 0;  // the best among those that are in the top k in every order
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    while (end < order.size() && scores[order[end]] == scores[order[begin]]) ++end;
    const size_t places = static_cast<size_t>(k) - begin, equals = end - begin;
    if (equals >= places) {
      // Lots for the last places. The i-th slowest (from 0) is the fastest drawn when it is drawn
      // and none of the faster ones is: with the probability `none_faster` × places ÷ (i + 1).
      double mean = 0, none_faster = 1;
      for (size_t i = equals; i-- > 0 && i + 1 >= places;) {
        const double share = static_cast<double>(places) / static_cast<double>(i + 1);
        mean += none_faster * share * std::max(sure, throughput[order[begin + i]]);
        none_faster *= 1 - share;
      }
      return mean / best;
    }
    for (size_t i = begin; i < end; ++i) sure = std::max(sure, throughput[order[i]]);
    begin = end;
  }
  return 1;  // there are no more than k
}

}  // namespace tessera::costmodel
