#include <cmath>
#include <deque>
#include <map>
#include <utility>

#include "tuner/walk.h"

namespace tessera::tuner {
namespace {

// The published baseline: simulated annealing on predicted scores by AutoTVM (arXiv:1805.08166
// §3.3) with the constants of TVM 0.16 (autotvm/tuner/sa_model_optimizer.py, model_based_tuner.py).
// Its chains live on from plan to plan. What they stand on is in no log; here they go on from the
// programs of the last plan, which are the best that they came by.
constexpr int kPlan = 64;
constexpr int kRandom = 3;  // of a plan: 5 %, random, after the planned ones
constexpr int kChains = 128;
constexpr int kSteps = 500;
constexpr int kPatience = 50;       // steps that find nothing for the plan
constexpr double kTemperature = 1;  // at first; 0 at the end

// The best unknown points that the chains came by.
class Plan {
 public:
  explicit Plan(const TaskView& view) : known_(view.known_points) {}

  // Whether any of them is one.
  bool Add(absl::Span<const Point> points, absl::Span<const float> scores) {
    bool added = false;
    for (size_t i = 0; i < scores.size(); ++i) {
      if (best_.size() == kPlan && scores[i] <= best_.begin()->first.first) continue;
      const uint64_t hash = HashPoint(points[i]);
      if (known_.contains(hash) || !best_.try_emplace({scores[i], hash}, points[i]).second)
        continue;
      added = true;
      if (best_.size() > kPlan) best_.erase(best_.begin());
    }
    return added;
  }

  // At most `count`, best first, without the last of the plan, whose places random ones take.
  std::vector<Candidate> Take(int count) && {
    std::vector<Candidate> candidates;
    for (auto at = best_.rbegin(); at != best_.rend(); ++at) {
      const auto taken = static_cast<int>(candidates.size());
      if (taken == count || taken == kPlan - kRandom) break;
      candidates.push_back({std::move(at->second), at->first.first});
    }
    return candidates;
  }

 private:
  const absl::flat_hash_set<uint64_t>& known_;
  std::map<std::pair<float, uint64_t>, Point> best_;  // by score and hash
};

class AutoTvmExplorer final : public Explorer {
 public:
  std::string_view Name() const override { return "autotvm"; }
  bool UsesModel() const override { return true; }
  int PlanSize() const override { return kPlan; }

  void Observe(const TaskView&, const Observation& observation, Rng) override {
    if (observation.explorer != Name()) return;
    planned_.push_back(observation.point);
    if (planned_.size() > kPlan - kRandom) planned_.pop_front();
  }

  std::vector<Candidate> Explore(const TaskView& view, int count, Rng& rng) const override {
    std::vector<Point> chains;
    for (int i = 0; i < kChains; ++i) {
      chains.push_back(planned_.empty() ? view.space.Sample(rng) : planned_[i % planned_.size()]);
    }
    std::vector<float> scores = ScorePoints(view, chains);
    Plan plan(view);
    plan.Add(chains, scores);
    std::vector<Point> moved(kChains);
    int found_at = 0;
    for (int step = 0; step < kSteps && step < found_at + kPatience; ++step) {
      for (int i = 0; i < kChains; ++i) moved[i] = view.space.Jump(chains[i], rng);
      const std::vector<float> moved_scores = ScorePoints(view, moved);
      if (scores.empty() || moved_scores.empty()) break;  // without features
      if (plan.Add(moved, moved_scores)) found_at = step;
      const double temperature = kTemperature * (1 - static_cast<double>(step) / (kSteps + 1));
      for (int i = 0; i < kChains; ++i) {
        const double gain = static_cast<double>(moved_scores[i]) - scores[i];
        if (rng.Uniform() >= std::exp(gain / temperature)) continue;
        std::swap(chains[i], moved[i]);
        scores[i] = moved_scores[i];
      }
    }
    return std::move(plan).Take(count);
  }

 private:
  std::deque<Point> planned_;  // of the last plan, in the order of their results
};

}  // namespace

std::unique_ptr<Explorer> MakeAutoTvmExplorer() { return std::make_unique<AutoTvmExplorer>(); }

}  // namespace tessera::tuner
