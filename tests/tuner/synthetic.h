#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/hash.h"
#include "base/status.h"
#include "tuner/learner.h"
#include "tuner/search_space.h"

namespace tessera::test {

// A space with a known landscape: knobs of 16 choices each; log time is a bowl whose centre and
// steepness the seed draws, plus products of neighbouring knobs. The last knob has pairs of values
// that give the same program, unless it is told otherwise.
class SyntheticSpace final : public tuner::SearchSpace {
 public:
  static constexpr int kChoices = 16;
  static constexpr int kNear = 3;  // of neighbours

  // What was asked for.
  struct Moves {
    int mutations = 0, crossings = 0;
    std::vector<tuner::Point> hashed;  // points of LoopHash
  };

  explicit SyntheticSpace(uint64_t seed, int knobs = 10, int choices = kChoices)
      : choices_(choices) {
    Rng rng(seed);
    for (int i = 0; i < knobs; ++i) {
      centre_.push_back(static_cast<int>(rng.Below(choices)));
      steepness_.push_back(0.2 + 1.5 * rng.Uniform());
      coupling_.push_back(0.6 * (rng.Uniform() - 0.5));
    }
  }

  double CostSeconds(const tuner::Point& point) const {
    double log_cost = 0;
    double previous = 0;
    for (size_t i = 0; i < centre_.size(); ++i) {
      const int value = i + 1 == centre_.size() ? point[i + 1] / 2 * 2 : point[i + 1];
      const double distance = static_cast<double>(value - centre_[i]) / choices_;
      log_cost += steepness_[i] * distance * distance * 4 + coupling_[i] * distance * previous;
      previous = distance;
    }
    return (1 + point[0]) * 1e-3 * std::exp(depth * log_cost);
  }
  // The baseline has no config.
  static constexpr double kBaselineSeconds = 1;
  double CostSeconds(const std::string& config) const {
    return config.empty() ? kBaselineSeconds : CostSeconds(*Parse(config));
  }

  std::optional<tuner::FixedProgram> Baseline() const override {
    if (!baseline.empty()) return tuner::FixedProgram{*Trace(baseline), *LoopHash(baseline)};
    return tuner::FixedProgram{"baseline", 0xba5e};
  }
  tuner::Point Sample(Rng& rng) const override {
    tuner::Point point = {second_sketch_share > 0 && rng.Chance(second_sketch_share) ? 1 : 0};
    for (size_t i = 0; i < centre_.size(); ++i) {
      point.push_back(static_cast<int32_t>(rng.Below(choices_)));
    }
    return point;
  }
  std::vector<double> DraftSeconds(absl::Span<const tuner::Point> points) const override {
    std::vector<double> seconds;
    for (const tuner::Point& point : points) {
      if (!drafts) break;
      // Wrong by a factor of up to 4.
      seconds.push_back(CostSeconds(point) * static_cast<double>(1 + tuner::HashPoint(point) % 4));
    }
    return seconds;
  }
  tuner::Point Mutate(const tuner::Point& point, Rng& rng) const override {
    if (moves != nullptr) ++moves->mutations;
    tuner::Point moved = point;
    int32_t& value = moved[1 + rng.Below(centre_.size())];
    value += rng.Chance(0.5) ? 1 : -1;
    value = std::clamp(value, 0, choices_ - 1);
    return moved;
  }
  tuner::Point Jump(const tuner::Point& point, Rng& rng) const override {
    tuner::Point moved = point;
    moved[1 + rng.Below(centre_.size())] = static_cast<int32_t>(rng.Below(choices_));
    return moved;
  }
  tuner::Point Crossover(const tuner::Point& a, const tuner::Point& b, Rng& rng) const override {
    if (moves != nullptr) ++moves->crossings;
    tuner::Point child = a;
    for (size_t i = 1; i < child.size(); ++i) {
      if (rng.Chance(0.5)) child[i] = b[i];
    }
    return child;
  }
  std::vector<tuner::Point> Neighbours(const tuner::Point& point) const override {
    std::vector<tuner::Point> neighbours;
    for (size_t i = 1; i < point.size(); ++i) {
      for (int32_t value = point[i] - kNear; value <= point[i] + kNear; ++value) {
        if (value < 0 || value >= choices_ || value == point[i]) continue;
        neighbours.push_back(point);
        neighbours.back()[i] = value;
      }
    }
    return neighbours;
  }
  // Of the first sketch.
  std::optional<tuner::Point> Next(const tuner::Point& point) const override {
    if (point.empty()) return tuner::Point(centre_.size() + 1, 0);
    tuner::Point next = point;
    for (size_t i = next.size(); --i > 0;) {
      if (++next[i] < choices_) return next;
      next[i] = 0;
    }
    return std::nullopt;
  }

  absl::StatusOr<uint64_t> LoopHash(const tuner::Point& point) const override {
    tuner::Point canonical = point;
    if (pairs) canonical.back() /= 2;
    if (moves != nullptr) moves->hashed.push_back(point);
    return tuner::HashPoint(canonical);
  }
  absl::StatusOr<std::string> Trace(const tuner::Point& point) const override {
    return absl::StrCat("trace of ", Config(point), padding);
  }
  std::string Config(const tuner::Point& point) const override {
    return absl::StrCat("[", absl::StrJoin(point, ","), "]");
  }
  absl::StatusOr<tuner::Point> Parse(std::string_view config) const override {
    tuner::Point point;
    std::string inner(config);
    if (inner.size() < 2) return absl::InvalidArgumentError("not a config");
    inner = inner.substr(1, inner.size() - 2);
    for (absl::string_view part : absl::StrSplit(inner, ',')) {
      int32_t value = 0;
      if (!absl::SimpleAtoi(part, &value)) return absl::InvalidArgumentError("not a number");
      point.push_back(value);
    }
    if (point.size() != centre_.size() + 1) return absl::InvalidArgumentError("another space");
    return point;
  }

  int FeatureCount() const override {
    return std::max(static_cast<int>(2 * centre_.size() + 1), min_columns);
  }
  absl::StatusOr<std::vector<float>> Features(
      absl::Span<const tuner::Point> points) const override {
    std::vector<float> rows;
    rows.reserve(points.size() * FeatureCount());
    for (const tuner::Point& point : points) {
      rows.push_back(1);
      for (size_t i = 1; i < point.size(); ++i) {
        const float x = static_cast<float>(point[i]) / static_cast<float>(choices_);
        rows.push_back(x);
        rows.push_back(x * x);
      }
      rows.resize(rows.size() + FeatureCount() - 2 * centre_.size() - 1);
    }
    return rows;
  }

  absl::Span<const double> SketchWork() const override { return work; }

  double depth = 1;                // of the landscape; 0: every program is as fast as every other
  std::vector<double> work;        // of each sketch
  tuner::Point baseline;           // empty: a program that is none of the space's
  double second_sketch_share = 0;  // of samples; its programs take twice as long
  std::string padding;             // makes traces as long as real ones
  int min_columns = 0;             // of features; those beyond its own are 0
  bool pairs = true;               // values of the last knob that give one program
  bool drafts = false;             // DraftSeconds has an estimate
  Moves* moves = nullptr;          // where they are counted, by one thread

 private:
  int choices_;
  std::vector<int> centre_;
  std::vector<double> steepness_;
  std::vector<double> coupling_;
};

// Ridge regression of log throughput: small, exact and the same on every run.
class RidgeLearner final : public tuner::Learner {
 public:
  class Linear final : public tuner::Ranker {
   public:
    explicit Linear(std::vector<double> weights) : weights_(std::move(weights)) {}
    std::vector<float> Score(absl::Span<const float> rows, int /*columns*/) const override {
      std::vector<float> scores;
      for (size_t i = 0; i + weights_.size() <= rows.size(); i += weights_.size()) {
        double sum = 0;
        for (size_t j = 0; j < weights_.size(); ++j) sum += weights_[j] * rows[i + j];
        scores.push_back(static_cast<float>(sum));
      }
      return scores;
    }

   private:
    std::vector<double> weights_;
  };

  absl::StatusOr<std::string> Fit(const tuner::TrainingSet& set) const override {
    ++fits;
    samples_seen = static_cast<int>(set.targets.size());
    known_seen = static_cast<int>(set.known);
    smallest_target = *std::min_element(set.targets.begin(), set.targets.end());
    if (fail) return absl::InternalError("the learner was told to fail");
    const int n = set.columns;
    std::vector<double> a(n * n, 0), b(n, 0);
    for (size_t r = 0; r < set.targets.size(); ++r) {
      const float* row = &set.rows[r * n];
      const double y = std::log(std::max(set.targets[r], 0.02f));
      for (int i = 0; i < n; ++i) {
        b[i] += y * row[i];
        for (int j = 0; j < n; ++j) a[i * n + j] += double{row[i]} * row[j];
      }
    }
    for (int i = 0; i < n; ++i) a[i * n + i] += 1e-2;
    // Gauss elimination; the ridge keeps pivots away from zero.
    for (int p = 0; p < n; ++p) {
      for (int i = p + 1; i < n; ++i) {
        const double f = a[i * n + p] / a[p * n + p];
        for (int j = p; j < n; ++j) a[i * n + j] -= f * a[p * n + j];
        b[i] -= f * b[p];
      }
    }
    for (int p = n - 1; p >= 0; --p) {
      for (int j = p + 1; j < n; ++j) b[p] -= a[p * n + j] * b[j];
      b[p] /= a[p * n + p];
    }
    std::string bytes(sizeof(double) * n, '\0');
    std::memcpy(bytes.data(), b.data(), bytes.size());
    return bytes;
  }

  absl::StatusOr<std::shared_ptr<const tuner::Ranker>> Load(std::string_view bytes) const override {
    ++loads;
    std::vector<double> weights(bytes.size() / sizeof(double));
    std::memcpy(weights.data(), bytes.data(), weights.size() * sizeof(double));
    return std::make_shared<Linear>(std::move(weights));
  }

  std::shared_ptr<const tuner::Ranker> Prior() const override { return prior; }

  std::shared_ptr<const tuner::Ranker> prior;
  bool fail = false;
  mutable int fits = 0;
  mutable int loads = 0;
  mutable int samples_seen = 0;
  mutable int known_seen = 0;  // of them
  mutable float smallest_target = 0;
};

}  // namespace tessera::test
