#include <cmath>
#include <deque>
#include <utility>

#include "tuner/explorer.h"

namespace tessera::tuner {
namespace {

// A bandit over explorers with credit from a sliding window, since what earns most changes in the
// course of a search (after the AUC bandit of OpenTuner, Ansel et al., PACT 2014).
constexpr size_t kWindow = 32;         // results of members
constexpr double kTemperature = 0.15;  // of credits; lower: more to the best
constexpr double kFloor = 0.1;         // each member's least share
constexpr double kEndgame = 0.75;      // of the budget; from then on
constexpr double kEndgameShare = 0.4;  // goes to descent at the least

class PortfolioExplorer final : public Explorer {
 public:
  explicit PortfolioExplorer(std::vector<std::unique_ptr<Explorer>> members)
      : members_(std::move(members)) {}

  std::string_view Name() const override { return "portfolio"; }
  bool UsesModel() const override { return true; }

  void Observe(const TaskView& view, const Observation& observation, Rng rng) override {
    for (size_t m = 0; m < members_.size(); ++m) {
      members_[m]->Observe(view, observation, rng.Fork(members_[m]->Name()));
      if (members_[m]->Name() == observation.explorer) results_.push_back({m, Reward(observation)});
    }
    if (results_.size() > kWindow) results_.pop_front();
    budget_share_ = observation.budget_share;
  }

  std::vector<Candidate> Explore(const TaskView&, int, Rng&) const override { return {}; }

  // By what they earned, less than one proposal more or less each.
  std::vector<Share> Shares(int count, Rng& rng) const override {
    const std::vector<double> parts = Parts();
    std::vector<Share> shares;
    for (const auto& member : members_) shares.push_back({*member, 0});
    const double offset = rng.Uniform();
    size_t m = 0;
    double until = parts[0] * count;
    for (int i = 0; i < count; ++i) {
      while (i + offset >= until && m + 1 < members_.size()) until += parts[++m] * count;
      ++shares[m].count;
    }
    return shares;
  }

 private:
  struct Result {
    size_t member;
    double reward;
  };

  // In [0, 1]: a new best is worth twice what equals the best.
  static double Reward(const Observation& observation) {
    if (!observation.ok) return 0;
    if (observation.cost_seconds < observation.best_before_seconds) return 1;
    return 0.5 * observation.best_before_seconds / observation.cost_seconds;
  }

  std::vector<double> Parts() const {
    const size_t n = members_.size();
    std::vector<double> sums(n, 0), weights(n, 0), parts(n, 0);
    double age = 0;
    for (const Result& result : results_) {
      const double weight = ++age;  // newer ones count more
      sums[result.member] += weight * result.reward;
      weights[result.member] += weight;
    }
    double total = 0;
    for (size_t m = 0; m < n; ++m) {
      const double credit = weights[m] > 0 ? sums[m] / weights[m] : 1;
      parts[m] = std::exp(credit / kTemperature);
      total += parts[m];
    }
    for (double& part : parts) {
      part = kFloor + (1 - kFloor * static_cast<double>(n)) * part / total;
    }
    for (size_t m = 0; m < n && budget_share_ >= kEndgame; ++m) {
      if (members_[m]->Name() != "descent" || parts[m] >= kEndgameShare) continue;
      const double of_others = (1 - kEndgameShare) / (1 - parts[m]);
      for (double& part : parts) part *= of_others;
      parts[m] = kEndgameShare;
    }
    return parts;
  }

  std::vector<std::unique_ptr<Explorer>> members_;
  std::deque<Result> results_;
  double budget_share_ = 0;
};

}  // namespace

std::unique_ptr<Explorer> MakePortfolioExplorer(std::vector<std::unique_ptr<Explorer>> members) {
  return std::make_unique<PortfolioExplorer>(std::move(members));
}

}  // namespace tessera::tuner
