#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "base/hash.h"
#include "tuner/walk.h"

namespace tessera::tuner {
namespace {

// After Woodpecker-DL (arXiv:2008.04567): an agent edits one knob at a time and is rewarded by
// how much faster the program becomes. Its policy is learned anew for each proposal, from the
// measured programs that differ in one knob, then from what the model predicts of its own edits.
constexpr size_t kWalkers = 64;
constexpr size_t kElites = 16;        // that walkers start from
constexpr size_t kFreshWalkers = 16;  // start from random samples
constexpr int kEpisodes = 16;         // after each of which the policy learns
constexpr int kSteps = 2;             // edits of an episode
constexpr int kDraws = 4;             // edits that the policy chooses from
constexpr double kTemperature = 0.3;  // of that choice; rewards have variance 1
constexpr double kMaxReward = 2;      // and of a failure
constexpr double kImagined = 0.25;    // weight of what is predicted; 1 of what was measured

// One knob up or down the list of its options; knob 0 is the sketch.
struct Edit {
  int32_t sketch = 0, knob = 0;
  bool up = false;
  bool operator==(const Edit&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const Edit& edit) {
    return H::combine(std::move(h), edit.sketch, edit.knob, edit.up);
  }
};

// The first difference: knobs after it follow where they have to. Requires one.
Edit EditBetween(const Point& from, const Point& to) {
  const auto different = std::ranges::mismatch(from, to).in1;
  const auto knob = static_cast<int32_t>(different - from.begin());
  return {knob == 0 ? 0 : from[0], knob, to[knob] > from[knob]};
}

struct Experience {
  Edit edit;
  double at = 0;      // where the knob stood before
  double reward = 0;  // log of time before ÷ after, or what stands for it
};

// What edits are worth: for each, a linear function of where its knob stands, by ridge regression.
class Policy {
 public:
  void Learn(absl::Span<const Experience> experiences, double weight) {
    double squares = 0;
    for (const Experience& e : experiences) squares += e.reward * e.reward;
    if (squares == 0) return;
    const double scale = std::sqrt(static_cast<double>(experiences.size()) / squares);
    for (const Experience& e : experiences) {
      Sums& sums = sums_[e.edit];
      sums.n += weight;
      sums.x += weight * e.at;
      sums.xx += weight * e.at * e.at;
      sums.y += weight * scale * e.reward;
      sums.xy += weight * scale * e.reward * e.at;
    }
  }

  double Worth(const Edit& edit, double at) const {
    const auto found = sums_.find(edit);
    if (found == sums_.end()) return 0;
    const Sums& s = found->second;
    const double a = s.n + 1, b = s.x, d = s.xx + 1;
    return ((d * s.y - b * s.xy) + (a * s.xy - b * s.y) * at) / (a * d - b * b);
  }

 private:
  struct Sums {
    double n = 0, x = 0, xx = 0, y = 0, xy = 0;
  };
  absl::flat_hash_map<Edit, Sums> sums_;
};

// Where knobs stand between the options that were measured, from −1 to 1.
class Scale {
 public:
  explicit Scale(absl::Span<const Example* const> examples) {
    for (const Example* example : examples) {
      Point& largest = largest_[example->point[0]];
      largest.resize(example->point.size(), 1);
      for (size_t i = 0; i < largest.size(); ++i) {
        largest[i] = std::max(largest[i], example->point[i]);
      }
    }
  }

  double At(const Point& point, int32_t knob) const {
    const auto found = largest_.find(point[0]);
    if (knob == 0 || found == largest_.end()) return 0;
    return std::min(1.0, 2.0 * point[knob] / found->second[knob] - 1);
  }

 private:
  absl::flat_hash_map<int32_t, Point> largest_;  // option of each knob, by sketch
};

double Reward(double before_seconds, double after_seconds) {
  const bool failed_before = std::isinf(before_seconds), failed_after = std::isinf(after_seconds);
  if (failed_before && failed_after) return 0;
  return std::clamp(std::log(before_seconds / after_seconds), -kMaxReward, kMaxReward);
}

// Of programs that differ in one knob: from each to the next of that knob's options, and back.
std::vector<Experience> Measured(absl::Span<const Example* const> examples, const Scale& scale) {
  struct Place {
    uint64_t others;  // a hash of the knob and all other choices
    int32_t option;
    int32_t knob;
    const Example* example;
  };
  std::vector<Place> places;
  for (const Example* example : examples) {
    const Point& point = example->point;
    std::vector<uint64_t> hashes;
    uint64_t sum = 0;
    for (size_t i = 0; i < point.size(); ++i) {
      hashes.push_back(StableHasher()
                           .Add(static_cast<uint64_t>(i))
                           .Add(static_cast<uint64_t>(point[i]))
                           .Finish());
      sum += hashes.back();
    }
    for (size_t i = 1; i < point.size(); ++i) {
      const uint64_t others =
          StableHasher().Add(sum - hashes[i]).Add(static_cast<uint64_t>(i)).Finish();
      places.push_back({others, point[i], static_cast<int32_t>(i), example});
    }
  }
  std::ranges::sort(places, [](const Place& a, const Place& b) {
    return std::tie(a.others, a.option, a.example->number) <
           std::tie(b.others, b.option, b.example->number);
  });
  std::vector<Experience> experiences;
  for (size_t i = 1; i < places.size(); ++i) {
    const Place &low = places[i - 1], &high = places[i];
    if (low.others != high.others || low.option == high.option) continue;
    const Point &below = low.example->point, &above = high.example->point;
    const double reward = Reward(low.example->cost_seconds, high.example->cost_seconds);
    experiences.push_back({EditBetween(below, above), scale.At(below, low.knob), reward});
    experiences.push_back({EditBetween(above, below), scale.At(above, low.knob), -reward});
  }
  return experiences;
}

class RlExplorer final : public Explorer {
 public:
  std::string_view Name() const override { return "rl"; }
  bool UsesModel() const override { return true; }
  void Observe(const TaskView&, const Observation&, Rng) override {}

  std::vector<Candidate> Explore(const TaskView& view, int count, Rng& rng) const override {
    const std::vector<const Example*> examples = view.examples.All();
    const Scale scale(examples);
    Policy policy;
    policy.Learn(Measured(examples, scale), 1);

    std::vector<Point> points = view.examples.Fastest(kElites);
    for (size_t i = 0; !points.empty() && points.size() < kWalkers - kFreshWalkers; ++i) {
      points.push_back(points[i]);
    }
    while (points.size() < kWalkers) points.push_back(view.space.Sample(rng));
    std::vector<float> scores = ScorePoints(view, points);
    Visited visited(view);
    visited.Add(points, scores);
    for (int episode = 0; episode < kEpisodes && !scores.empty(); ++episode) {
      std::vector<Point> best = points;
      std::vector<float> best_scores = scores;
      std::vector<Experience> imagined;
      for (int step = 0; step < kSteps; ++step) {
        std::vector<Point> edited;
        for (const Point& point : points) {
          edited.push_back(Choose(view.space, policy, scale, point, rng));
        }
        const std::vector<float> edited_scores = ScorePoints(view, edited);
        if (edited_scores.empty()) break;
        visited.Add(edited, edited_scores);
        for (size_t i = 0; i < points.size(); ++i) {
          if (edited[i] == points[i]) continue;
          const Edit edit = EditBetween(points[i], edited[i]);
          const double gain = static_cast<double>(edited_scores[i]) - scores[i];
          imagined.push_back({edit, scale.At(points[i], edit.knob), gain});
          if (edited_scores[i] <= best_scores[i]) continue;
          best[i] = edited[i];
          best_scores[i] = edited_scores[i];
        }
        points = std::move(edited);
        scores = edited_scores;
      }
      policy.Learn(imagined, kImagined);
      // The next episode goes on where this one was best.
      points = std::move(best);
      scores = std::move(best_scores);
    }
    return std::move(visited).Best(count);
  }

 private:
  // One of a few edits, by the softmax of what they are worth.
  static Point Choose(const SearchSpace& space, const Policy& policy, const Scale& scale,
                      const Point& point, Rng& rng) {
    std::vector<Point> edited;
    std::vector<double> weights;
    double total = 0;
    for (int draw = 0; draw < kDraws; ++draw) {
      edited.push_back(space.Mutate(point, rng));
      double worth = 0;
      if (edited.back() != point) {
        const Edit edit = EditBetween(point, edited.back());
        worth = policy.Worth(edit, scale.At(point, edit.knob));
      }
      weights.push_back(std::exp(worth / kTemperature));
      total += weights.back();
    }
    double at = rng.Uniform() * total;
    for (int draw = 0; draw < kDraws; ++draw) {
      at -= weights[draw];
      if (at < 0) return std::move(edited[draw]);
    }
    return std::move(edited.back());
  }
};

}  // namespace

std::unique_ptr<Explorer> MakeRlExplorer() { return std::make_unique<RlExplorer>(); }

}  // namespace tessera::tuner
