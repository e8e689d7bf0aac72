#include "compiler/graph/calibrate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tessera::graph {
namespace {

constexpr size_t kBins = 2048;
constexpr size_t kLevels = 128;  // of magnitudes that i8 has

// Of magnitudes above 0, in bins that become wider as larger ones come.
class Histogram {
 public:
  void Add(const std::vector<double>& magnitudes, double largest) {
    if (largest == 0) return;
    if (width_ == 0) width_ = largest / kBins;
    while (largest > width_ * kBins) Widen();
    for (const double magnitude : magnitudes) {
      if (magnitude == 0) continue;
      const auto bin = static_cast<size_t>(magnitude / width_);
      counts_[std::min(bin, kBins - 1)] += 1;
    }
    largest_ = std::max(largest_, largest);
  }

  double largest() const { return largest_; }

  double Percentile(double percent) const {
    double all = 0, seen = 0;
    for (const double count : counts_) all += count;
    for (size_t i = 0; i < kBins; ++i) {
      seen += counts_[i];
      if (seen >= all * percent / 100)
        return std::min(width_ * static_cast<double>(i + 1), largest_);
    }
    return largest_;
  }

  // The limit of least relative entropy between what is cut off there and what 8 bits keep of it.
  double Entropy() const {
    double best = std::numeric_limits<double>::infinity(), limit = largest_;
    size_t used = kBins;
    while (used > kLevels && counts_[used - 1] == 0) --used;
    for (size_t end = kLevels; end <= used; ++end) {
      const double divergence = Divergence(end);
      if (divergence >= best) continue;
      best = divergence;
      limit = width_ * static_cast<double>(end);
    }
    return std::min(limit, largest_);
  }

 private:
  void Widen() {
    for (size_t i = 0; i < kBins; ++i) {
      counts_[i] = 2 * i < kBins ? counts_[2 * i] + counts_[2 * i + 1] : 0;
    }
    width_ *= 2;
  }

  double Divergence(size_t end) const {
    std::array<double, kBins> cut = counts_, kept{};
    double all = 0, inside = 0;
    for (size_t i = 0; i < kBins; ++i) {
      all += counts_[i];
      if (i < end) inside += counts_[i];
    }
    if (inside == 0) return std::numeric_limits<double>::infinity();
    cut[end - 1] += all - inside;
    for (size_t level = 0; level < kLevels; ++level) {
      const size_t first = level * end / kLevels, behind = (level + 1) * end / kLevels;
      double sum = 0, filled = 0;
      for (size_t i = first; i < behind; ++i) {
        sum += counts_[i];
        filled += counts_[i] > 0 ? 1 : 0;
      }
      for (size_t i = first; i < behind; ++i) kept[i] = counts_[i] > 0 ? sum / filled : 0;
    }
    double divergence = 0;
    for (size_t i = 0; i < end; ++i) {
      // What was cut off may lie where nothing is kept: as if a billionth were.
      const double p = cut[i] / all, q = std::max(kept[i] / inside, 1e-9);
      if (p > 0) divergence += p * std::log(p / q);
    }
    return divergence;
  }

  std::array<double, kBins> counts_{};
  double width_ = 0, largest_ = 0;
};

absl::Status Observe(const Node& node, const Tensor& value, Histogram& histogram) {
  std::vector<double> magnitudes(static_cast<size_t>(value.type.ElementCount()));
  double largest = 0;
  for (size_t i = 0; i < magnitudes.size(); ++i) {
    const double number = value.At(static_cast<int64_t>(i));
    if (!std::isfinite(number)) {
      return absl::InvalidArgumentError(
          absl::StrCat(node.name, " is ", number, " at element ", i,
                       " of a sample; only what is finite can be quantised"));
    }
    magnitudes[i] = std::abs(number);
    largest = std::max(largest, magnitudes[i]);
  }
  histogram.Add(magnitudes, largest);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<double>> Calibrate(const Graph& graph, absl::Span<const Sample> samples,
                                              const CalibrationOptions& options,
                                              const Executor& executor) {
  if (samples.empty()) {
    return absl::InvalidArgumentError("there are no samples to calibrate with; give one at least");
  }
  if (!(options.percentile > 0 && options.percentile <= 100)) {
    return absl::InvalidArgumentError(
        absl::StrCat("percentile is ", options.percentile, "; it has to be above 0, at most 100"));
  }
  Graph watched = graph;
  watched.outputs.clear();
  std::vector<int> nodes(graph.nodes.size());
  std::iota(nodes.begin(), nodes.end(), 0);
  for (const int index : options.nodes.value_or(nodes)) {
    const Node& node = graph.nodes[index];
    if (node.is_constant() || node.type.element != ir::Float(32)) continue;
    watched.outputs.push_back(index);
  }
  std::vector<Histogram> histograms(watched.outputs.size());
  TESSERA_ASSIGN_OR_RETURN(const Runner run, executor(watched));
  for (const Sample& sample : samples) {
    TESSERA_ASSIGN_OR_RETURN(const std::vector<TensorRef> values, run(sample));
    for (size_t o = 0; o < histograms.size(); ++o) {
      TESSERA_RETURN_IF_ERROR(Observe(graph.nodes[watched.outputs[o]], *values[o], histograms[o]));
    }
  }
  std::vector<double> largest(graph.nodes.size(), 0);
  for (size_t o = 0; o < histograms.size(); ++o) {
    const Histogram& histogram = histograms[o];
    double& limit = largest[watched.outputs[o]];
    if (histogram.largest() == 0) continue;
    switch (options.method) {
      case RangeMethod::kLargest:
        limit = histogram.largest();
        break;
      case RangeMethod::kPercentile:
        limit = histogram.Percentile(options.percentile);
        break;
      case RangeMethod::kEntropy:
        limit = histogram.Entropy();
        break;
    }
  }
  return largest;
}

}  // namespace tessera::graph
