#include "costmodel/metrics.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "base/status.h"

namespace tessera::costmodel {
namespace {

// How many pairs of `count` things there are.
int64_t Pairs(int64_t count) { return count * (count - 1) / 2; }

// Over the runs of things that `equal` says of neighbours in `order`.
template <typename Equal>
int64_t PairsOfEquals(absl::Span<const size_t> order, Equal equal) {
  int64_t pairs = 0;
  for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    ++end;
    while (end < order.size() && equal(order[begin], order[end])) ++end;
    pairs += Pairs(static_cast<int64_t>(end - begin));
  }
  return pairs;
}

// Pairs of which the earlier has the higher score. Sorts `order` by score.
int64_t Inversions(absl::Span<size_t> order, absl::Span<const float> scores) {
  const size_t half = order.size() / 2;
  if (half == 0) return 0;
  const absl::Span<size_t> first = order.first(half), second = order.subspan(half);
  int64_t inversions = Inversions(first, scores) + Inversions(second, scores);
  size_t passed = 0;  // of the second half
  for (const size_t i : first) {
    while (passed < second.size() && scores[second[passed]] < scores[i]) ++passed;
    inversions += static_cast<int64_t>(passed);
  }
  std::inplace_merge(order.begin(), order.begin() + static_cast<ptrdiff_t>(half), order.end(),
                     [&](size_t a, size_t b) { return scores[a] < scores[b]; });
  return inversions;
}

// Nothing without a pair of different throughput. As Kendall's τ is computed in n log n (Knight
// 1966): in the order of throughput, and of scores where that is equal, a pair that is ordered
// wrongly is an inversion.
std::optional<double> AccuracyOfPairs(absl::Span<const float> scores,
                                      absl::Span<const float> throughput) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(throughput[a], scores[a]) < std::pair(throughput[b], scores[b]);
  });
  const auto same_throughput = [&](size_t a, size_t b) { return throughput[a] == throughput[b]; };
  const auto same_score = [&](size_t a, size_t b) { return scores[a] == scores[b]; };
  const auto same = [&](size_t a, size_t b) { return same_throughput(a, b) && same_score(a, b); };
  const int64_t pairs =
      Pairs(static_cast<int64_t>(order.size())) - PairsOfEquals(order, same_throughput);
  if (pairs == 0) return std::nullopt;
  const int64_t same_in_both = PairsOfEquals(order, same);
  const int64_t wrong = Inversions(absl::MakeSpan(order), scores);
  const int64_t undecided = PairsOfEquals(order, same_score) - same_in_both;
  return 1 - (static_cast<double>(wrong) + static_cast<double>(undecided) / 2) /
                 static_cast<double>(pairs);
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
