#include <cerrno>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/library_executor.h"
#include "cli/model_source.h"
#include "cli/path_status.h"
#include "cli/quantized_model.h"
#include "cli/tables.h"
#include "compiler/graph/text.h"

namespace tessera::cli {
namespace {

struct Reported {
  graph::Plan plan;
  std::string accuracy;  // of what is quantised, for people
};

absl::StatusOr<Reported> Quantized(const GraphOptions& options, const ir::Target* target) {
  TESSERA_RETURN_IF_ERROR(CheckWritable("--report", options.report));
  TESSERA_ASSIGN_OR_RETURN(const graph::Graph graph, ReadForward(options.source));
  const graph::Executor executor = LibraryExecutor(options.server);
  const auto made = [&]() -> absl::StatusOr<Reported> {
    TESSERA_ASSIGN_OR_RETURN(const CalibratedModel model,
                             CalibrateModel(graph, options.source.int8, executor));
    TESSERA_ASSIGN_OR_RETURN(const graph::Quantized quantized, QuantizeFor(model, target));
    std::vector<graph::Sample> samples;
    for (const SampleRun& run : model.samples) samples.push_back(run.inputs);
    TESSERA_ASSIGN_OR_RETURN(const graph::Accuracy accuracy,
                             graph::MeasureAccuracy(graph, quantized, samples, executor));
    if (!options.report.empty()) {
      std::ofstream out(options.report);
      out << AccuracyJson(accuracy, quantized.floats);
      out.close();
      if (!out) return PathStatus(errno, "cannot write", options.report);
    }
    TESSERA_ASSIGN_OR_RETURN(graph::Plan plan, PlanFor(quantized.graph, target));
    return Reported{std::move(plan), AccuracyText(accuracy, quantized.floats)};
  }();
  TESSERA_RETURN_IF_ERROR(Annotate(made.status(), options.source.file));
  return made;
}

}  // namespace

absl::Status RunGraph(const GraphOptions& options) {
  if (!IsModelFile(options.source.file)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", options.source.file, "\" is no model; name an ONNX file (.onnx)"));
  }
  std::optional<ir::Target> target;
  if (!options.target.empty()) {
    TESSERA_ASSIGN_OR_RETURN(target, ir::ParseTarget(options.target));
  }
  Reported model;
  if (options.source.int8.samples.empty() || options.source.backward) {
    TESSERA_ASSIGN_OR_RETURN(model.plan, ReadModel(options.source, target ? &*target : nullptr));
  } else {
    TESSERA_ASSIGN_OR_RETURN(model, Quantized(options, target ? &*target : nullptr));
  }
  const graph::Plan& plan = model.plan;
  if (options.text) {
    std::fputs(graph::Print(plan.graph).c_str(), stdout);
    return absl::OkStatus();
  }
  Table table({"kernel", ">runs", ">MFLOP", "output"});
  double operations = 0;
  for (const graph::Task& task : plan.tasks) {
    const double mega = static_cast<double>(te::ExecutedOperations(task.workload.dag)) / 1e6;
    operations += mega * task.steps;
    const ir::BufferNode& output = *task.workload.dag.outputs[0];
    char text[32];
    std::snprintf(text, sizeof(text), "%.3f", mega);
    table.Add({task.workload.name, absl::StrCat(task.steps), text,
               graph::ToString({output.type, output.shape, output.layout})});
  }
  std::fputs(table.Text().c_str(), stdout);
  int64_t constants = 0;
  for (const graph::Node& node : plan.graph.nodes) {
    if (node.is_constant()) constants += node.type.Bytes();
  }
  std::printf(
      "%zu kernels of %zu kinds, %.1f MFLOP, %.2f MiB of constants, %.2f MiB between them "
      "(%.2f at least)\n",
      plan.steps.size(), plan.tasks.size(), operations, static_cast<double>(constants) / (1 << 20),
      static_cast<double>(plan.arena_bytes) / (1 << 20),
      static_cast<double>(plan.least_arena_bytes) / (1 << 20));
  std::fputs(model.accuracy.c_str(), stdout);
  return absl::OkStatus();
}

}  // namespace tessera::cli
