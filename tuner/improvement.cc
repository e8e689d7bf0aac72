#include "tuner/improvement.h"

#include <algorithm>
#include <cmath>

namespace tessera::tuner {
namespace {

// The tail: a sixth of the successes.
constexpr int64_t kTailShare = 6, kMinTail = 2, kMaxTail = 64;
// Counts as one excess. Large, as a task that falls steeply is worth more than what is lost on
// others to find out: of 174 recorded tasks the best fell like n^-0.03 from the 16th result to the
// 32nd in the middle, but like n^-0.2 in every tenth.
constexpr double kPriorSlope = 0.2;

}  // namespace

void Improvement::Add(double cost_seconds) {
  ++results_;
  ++stale_;
  if (!std::isfinite(cost_seconds)) return;
  ++successes_;
  const double log_cost = std::log(cost_seconds);
  if (fastest_.empty() || log_cost < fastest_.front()) stale_ = 0;
  fastest_.insert(std::upper_bound(fastest_.begin(), fastest_.end(), log_cost), log_cost);
  if (fastest_.size() > kMaxTail + 1) fastest_.pop_back();
}

double Improvement::Slope() const {
  const int64_t tail = std::clamp(successes_ / kTailShare, kMinTail, kMaxTail);
  if (successes_ <= tail) return kPriorSlope;
  double excess = kPriorSlope;
  for (int64_t i = 0; i < tail; ++i) excess += fastest_[tail] - fastest_[i];
  return excess / static_cast<double>(tail + 1);
}

double ExpectedSaving(double slope, int64_t results, int64_t pending, int64_t trials) {
  const auto best_after = [&](int64_t more) {
    return std::exp(-slope * std::log1p(static_cast<double>(more) / static_cast<double>(results)));
  };
  return best_after(pending) - best_after(pending + trials);
}

}  // namespace tessera::tuner
