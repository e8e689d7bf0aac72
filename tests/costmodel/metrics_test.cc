#include "costmodel/metrics.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>
#include <vector>

#include "base/rng.h"

namespace tessera::costmodel {
namespace {

TEST_CASE("pairwise accuracy counts pairs in order, equal scores half, equal throughput not at all",
          "[costmodel]") {
  CHECK(PairwiseAccuracy(std::vector<float>{1, 2, 3}, std::vector<float>{10, 20, 30}) == 1);
  CHECK(PairwiseAccuracy(std::vector<float>{3, 2, 1}, std::vector<float>{10, 20, 30}) == 0);
  CHECK(PairwiseAccuracy(std::vector<float>{1, 1, 1}, std::vector<float>{10, 20, 30}) == 0.5);
  CHECK(PairwiseAccuracy(std::vector<float>{1, 3, 2}, std::vector<float>{10, 20, 30}) ==
        Approx(2.0 / 3));
  // Two failures are not compared with each other.
  CHECK(PairwiseAccuracy(std::vector<float>{1, 2, 3}, std::vector<float>{0, 0, 30}) == 1);
  CHECK(PairwiseAccuracy(std::vector<float>{1, 2}, std::vector<float>{5, 5}) == 0.5);
  CHECK(PairwiseAccuracy({}, {}) == 0.5);
}

TEST_CASE("pairs in order are those of a count one by one", "[costmodel]") {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    const auto size = rng.Below(40);
    std::vector<float> scores, throughput;
    for (uint64_t i = 0; i < size; ++i) {
      scores.push_back(static_cast<float>(rng.Below(8)));
      throughput.push_back(static_cast<float>(rng.Below(8)));
    }
    double right = 0, pairs = 0;
    for (uint64_t i = 0; i < size; ++i) {
      for (uint64_t j = 0; j < i; ++j) {
        if (throughput[i] == throughput[j]) continue;
        ++pairs;
        right += RightOrder(scores[i], scores[j], throughput[i], throughput[j]);
      }
    }
    CHECK(PairwiseAccuracy(scores, throughput) == Approx(pairs == 0 ? 0.5 : right / pairs));
  }
}

TEST_CASE("pairs are those of one task", "[costmodel]") {
  const std::vector<float> scores = {1, 2, 9, 8}, throughput = {1, 2, 1, 2};
  const std::vector<int> groups = {2, 2};
  CHECK(PairwiseAccuracy(scores, throughput, groups) == 0.5);
  // A task without a pair says nothing.
  const std::vector<int> single = {2, 1, 1};
  CHECK(PairwiseAccuracy(scores, throughput, single) == 1);
}

TEST_CASE("the top score is the best of the first k against the best of all", "[costmodel]") {
  const std::vector<float> scores = {4, 3, 2, 1}, throughput = {5, 8, 10, 1};
  CHECK(TopScore(scores, throughput, 1) == Approx(0.5));
  CHECK(TopScore(scores, throughput, 2) == Approx(0.8));
  CHECK(TopScore(scores, throughput, 3) == Approx(1));
  CHECK(TopScore(scores, throughput, 9) == Approx(1));
  CHECK(TopScore(scores, std::vector<float>{0, 0, 0, 0}, 1) == 1);
  CHECK(TopScore({}, {}, 5) == 1);
}

TEST_CASE("the top score of equal scores is the mean over their orders", "[costmodel]") {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    std::vector<float> scores, throughput;
    for (int i = 0; i < 6; ++i) {
      scores.push_back(static_cast<float>(rng.Below(3)));
      throughput.push_back(static_cast<float>(rng.Below(10) + 1));
    }
    std::vector<int> order(scores.size());
    std::iota(order.begin(), order.end(), 0);
    const float best = *std::ranges::max_element(throughput);
    for (int k = 1; k <= 6; ++k) {
      double sum = 0;
      int orders = 0;
      do {
        // One of the orders that the scores leave open: where they are equal, that of `order`.
        std::vector<int> ranked = order;
        std::stable_sort(ranked.begin(), ranked.end(),
                         [&](int a, int b) { return scores[a] > scores[b]; });
        float top = 0;
        for (int i = 0; i < k; ++i) top = std::max(top, throughput[ranked[i]]);
        sum += top / best;
        ++orders;
      } while (std::next_permutation(order.begin(), order.end()));
      CAPTURE(k);
      CHECK(TopScore(scores, throughput, k) == Approx(sum / orders));
    }
  }
}

}  // namespace
}  // namespace tessera::costmodel
