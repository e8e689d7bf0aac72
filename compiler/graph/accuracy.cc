#include "compiler/graph/accuracy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tessera::graph {
namespace {

class ErrorSum {
 public:
  // `scale` of what stands for the value: 0 where it is that itself.
  void Add(const Tensor& value, const Tensor& quantized, double scale) {
    const int64_t row = value.type.shape.empty() ? 1 : value.type.shape.back();
    int64_t at = 0, at_quantized = 0;
    for (int64_t i = 0; i < value.type.ElementCount(); ++i) {
      const double error = value.At(i) - quantized.At(i) * (scale == 0 ? 1 : scale);
      signal_ += value.At(i) * value.At(i);
      noise_ += error * error;
      largest_error_ = std::max(largest_error_, std::abs(error));
      largest_ = std::max(largest_, std::abs(value.At(i)));
      if (i % row == 0) at = at_quantized = i;
      if (value.At(i) > value.At(at)) at = i;
      if (quantized.At(i) > quantized.At(at_quantized)) at_quantized = i;
      if (i % row != row - 1) continue;
      rows_ += 1;
      same_rows_ += at == at_quantized ? 1 : 0;
    }
  }

  ValueError Result(std::string name) const {
    const double snr =
        noise_ == 0 ? std::numeric_limits<double>::infinity() : 10 * std::log10(signal_ / noise_);
    return {std::move(name), snr, largest_error_, largest_, same_rows_ / std::max(rows_, 1.0)};
  }

 private:
  double signal_ = 0, noise_ = 0, largest_error_ = 0, largest_ = 0, rows_ = 0, same_rows_ = 0;
};

}  // namespace

absl::StatusOr<Accuracy> MeasureAccuracy(const Graph& graph, const Quantized& quantized,
                                         absl::Span<const Sample> samples,
                                         const Executor& executor) {
  if (samples.empty()) {
    return absl::InvalidArgumentError("there are no samples to compare on; give one at least");
  }
  absl::flat_hash_map<std::string, int> by_name;
  for (size_t i = 0; i < quantized.graph.nodes.size(); ++i) {
    by_name.emplace(quantized.graph.nodes[i].name, static_cast<int>(i));
  }
  // Outputs, and behind them the products.
  Graph all = graph, narrow = quantized.graph;
  std::vector<double> scales(graph.outputs.size(), 0);
  for (const QuantizedValue& product : quantized.products) {
    const auto found = by_name.find(product.name);
    if (found == by_name.end()) continue;  // that nothing needs
    all.outputs.push_back(product.node);
    narrow.outputs.push_back(found->second);
    scales.push_back(product.scale);
  }
  std::vector<ErrorSum> errors(all.outputs.size());
  TESSERA_ASSIGN_OR_RETURN(const Runner run, executor(all));
  TESSERA_ASSIGN_OR_RETURN(const Runner run_narrow, executor(narrow));
  for (const Sample& sample : samples) {
    TESSERA_ASSIGN_OR_RETURN(const std::vector<TensorRef> values, run(sample));
    TESSERA_ASSIGN_OR_RETURN(const std::vector<TensorRef> stand_ins, run_narrow(sample));
    for (size_t o = 0; o < errors.size(); ++o) {
      errors[o].Add(*values[o], *stand_ins[o], scales[o]);
    }
  }
  Accuracy accuracy{.samples = static_cast<int>(samples.size())};
  for (size_t o = 0; o < errors.size(); ++o) {
    auto& list = o < graph.outputs.size() ? accuracy.outputs : accuracy.products;
    list.push_back(errors[o].Result(graph.nodes[all.outputs[o]].name));
  }
  return accuracy;
}

}  // namespace tessera::graph
