#include "cli/quantized_model.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/clock.h"
#include "base/status.h"
#include "cli/progress_view.h"
#include "cli/samples.h"
#include "cli/tables.h"

namespace tessera::cli {
namespace {

graph::RangeMethod MethodOf(const std::string& name) {
  if (name == "largest") return graph::RangeMethod::kLargest;
  return name == "entropy" ? graph::RangeMethod::kEntropy : graph::RangeMethod::kPercentile;
}

CountLine ProgressOf(std::string what, size_t all) {
  return {stderr, isatty(STDERR_FILENO) != 0, Clock::Real(), std::move(what),
          static_cast<int64_t>(all)};
}

void AddRows(Table& table, absl::Span<const graph::ValueError> values, std::string_view kind) {
  for (const graph::ValueError& value : values) {
    table.Add({std::string(kind), value.name,
               std::isinf(value.snr_db) ? "exact" : absl::StrFormat("%.1f", value.snr_db),
               absl::StrFormat("%.3g", value.largest_error), absl::StrFormat("%.3g", value.largest),
               absl::StrFormat("%.1f", 100 * value.same_largest)});
  }
}

nlohmann::json JsonOf(absl::Span<const graph::ValueError> values) {
  nlohmann::json list = nlohmann::json::array();
  for (const graph::ValueError& value : values) {
    nlohmann::json snr = nullptr;
    if (std::isfinite(value.snr_db)) snr = value.snr_db;
    list.push_back({{"name", value.name},
                    {"snr_db", std::move(snr)},
                    {"largest_error", value.largest_error},
                    {"largest", value.largest},
                    {"same_largest", value.same_largest}});
  }
  return list;
}

}  // namespace

absl::StatusOr<CalibratedModel> CalibrateModel(const graph::Graph& graph,
                                               const QuantizationSource& source,
                                               const graph::Executor& executor) {
  CalibratedModel made{.graph = graph,
                       .options = {.first = !source.float_first, .last = !source.float_last}};
  made.options.keep.insert(source.keep.begin(), source.keep.end());
  graph::CalibrationOptions calibration{.method = MethodOf(source.ranges)};
  TESSERA_ASSIGN_OR_RETURN(graph::WatchedNodes watch, graph::NodesToWatch(graph, made.options));
  calibration.nodes = std::move(watch.ranges);
  TESSERA_ASSIGN_OR_RETURN(const std::vector<graph::Sample> samples,
                           ReadSamples(source.samples, graph));
  CountLine progress = ProgressOf("samples calibrated", samples.size());
  // The outputs come by the way, and what is compared later need not be built again.
  const auto with_outputs = [&](graph::Graph watched) -> absl::StatusOr<graph::Runner> {
    const auto watched_count = static_cast<ptrdiff_t>(watched.outputs.size());
    watched.outputs.insert(watched.outputs.end(), graph.outputs.begin(), graph.outputs.end());
    watched.outputs.insert(watched.outputs.end(), watch.products.begin(), watch.products.end());
    TESSERA_ASSIGN_OR_RETURN(graph::Runner run, executor(std::move(watched)));
    return [&, run = std::move(run), watched_count](absl::Span<const graph::TensorRef> inputs)
               -> absl::StatusOr<std::vector<graph::TensorRef>> {
      TESSERA_ASSIGN_OR_RETURN(std::vector<graph::TensorRef> values, run(inputs));
      const auto first_output = values.begin() + watched_count;
      const auto end = first_output + static_cast<ptrdiff_t>(graph.outputs.size());
      made.samples.push_back({{inputs.begin(), inputs.end()}, {first_output, end}});
      values.erase(first_output, values.end());
      progress.Add();
      return values;
    };
  };
  TESSERA_ASSIGN_OR_RETURN(made.largest,
                           graph::Calibrate(graph, samples, calibration, with_outputs));
  return made;
}

bool TakesUnsignedBytes(const ir::Target* target) {
  return target == nullptr || target->kind == ir::TargetKind::kX86;
}

absl::StatusOr<graph::Quantized> QuantizeFor(const CalibratedModel& model,
                                             const ir::Target* target) {
  graph::QuantizeOptions options = model.options;
  options.unsigned_bytes = TakesUnsignedBytes(target);
  return graph::Quantize(model.graph, model.largest, options);
}

absl::StatusOr<graph::Accuracy> MeasureModel(const CalibratedModel& model,
                                             const graph::Quantized& quantized,
                                             const graph::Executor& executor) {
  std::vector<graph::Sample> samples;
  for (const SampleRun& run : model.samples) samples.push_back(run.inputs);
  CountLine progress = ProgressOf("runs compared", 2 * samples.size());
  const auto counted = [&](graph::Graph one) -> absl::StatusOr<graph::Runner> {
    TESSERA_ASSIGN_OR_RETURN(graph::Runner run, executor(std::move(one)));
    return [&, run = std::move(run)](absl::Span<const graph::TensorRef> inputs) {
      auto values = run(inputs);
      progress.Add();
      return values;
    };
  };
  return graph::MeasureAccuracy(model.graph, quantized, samples, counted);
}

std::string AccuracyText(const graph::Accuracy& accuracy, absl::Span<const std::string> floats) {
  Table table({"value", "of", ">SNR dB", ">largest error", ">largest", ">same argmax %"});
  AddRows(table, accuracy.outputs, "output");
  AddRows(table, accuracy.products, "product");
  std::string text = table.Text();
  absl::StrAppend(&text, "on ", accuracy.samples, accuracy.samples == 1 ? " sample" : " samples");
  if (!floats.empty()) {
    absl::StrAppend(&text, "; products of floats: ", absl::StrJoin(floats, ", "));
  }
  return text + "\n";
}

std::string AccuracyJson(const graph::Accuracy& accuracy, absl::Span<const std::string> floats) {
  const nlohmann::json report{{"samples", accuracy.samples},
                              {"outputs", JsonOf(accuracy.outputs)},
                              {"products", JsonOf(accuracy.products)},
                              {"floats", std::vector<std::string>(floats.begin(), floats.end())}};
  return report.dump(2) + "\n";
}

}  // namespace tessera::cli
