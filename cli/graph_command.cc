#include <cerrno>
#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/status.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/device_class.h"
#include "cli/library_executor.h"
#include "cli/model_layouts.h"
#include "cli/model_source.h"
#include "cli/path_status.h"
#include "cli/quantized_model.h"
#include "cli/tables.h"
#include "cli/tune_target.h"
#include "compiler/graph/plan.h"
#include "compiler/graph/text.h"
#include "compiler/ir/target.h"

namespace tessera::cli {
namespace {

struct Reported {
  graph::Graph graph;
  std::string accuracy;  // of what is quantised, for people
};

absl::StatusOr<Reported> Quantized(const GraphOptions& options, const ir::Target* target) {
  TESSERA_RETURN_IF_ERROR(CheckWritable("--report", options.report));
  TESSERA_ASSIGN_OR_RETURN(const graph::Graph graph, ReadForward(options.source));
  const graph::Executor executor = LibraryExecutor(options.server);
  const auto made = [&]() -> absl::StatusOr<Reported> {
    TESSERA_ASSIGN_OR_RETURN(const CalibratedModel model,
                             CalibrateModel(graph, options.source.int8, executor));
    TESSERA_ASSIGN_OR_RETURN(graph::Quantized quantized, QuantizeFor(model, target));
    TESSERA_ASSIGN_OR_RETURN(const graph::Accuracy accuracy,
                             MeasureModel(model, quantized, executor));
    if (!options.report.empty()) {
      std::ofstream out(options.report);
      out << AccuracyJson(accuracy, quantized.floats);
      out.close();
      if (!out) return PathStatus(errno, "cannot write", options.report);
    }
    std::string text = AccuracyText(accuracy, quantized.floats);
    return Reported{std::move(quantized.graph), std::move(text)};
  }();
  TESSERA_RETURN_IF_ERROR(Annotate(made.status(), options.source.file));
  return made;
}

// Where a model is to run.
struct Where {
  std::optional<ir::Target> target;
  std::unique_ptr<Client> client;  // whose records say how values are stored; null: estimates
  KernelPlace place;               // of these
};

absl::StatusOr<Where> FindWhere(const GraphOptions& options) {
  Where where;
  if (options.device_class.empty()) {
    if (options.target.empty()) return where;
    TESSERA_ASSIGN_OR_RETURN(where.target, ir::ParseTarget(options.target));
    return where;
  }
  TESSERA_ASSIGN_OR_RETURN(where.client, Client::Connect(options.server));
  TESSERA_RETURN_IF_ERROR(CheckDeviceClass(*where.client, options.device_class));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Device> devices, where.client->ListDevices());
  TESSERA_ASSIGN_OR_RETURN(const TuneTarget chosen,
                           ChooseTuneTarget(devices, options.target, options.device_class,
                                            options.threads, Clock::Real().Now()));
  TESSERA_ASSIGN_OR_RETURN(where.target, ir::ParseTarget(chosen.target));
  where.place = {*where.target, chosen.device_class, options.threads, ""};
  return where;
}

struct Stored {
  graph::Plan plan;
  std::string layouts;  // and by what they were chosen, for people
};

// How a graph of that name runs there.
absl::StatusOr<Stored> StoredFor(const std::string& name, graph::Graph graph, const Where& where) {
  JobFile file;
  file.name = name;
  file.model.push_back({{}, std::move(graph)});
  file.stored = file.model;
  ModelLayouts layouts;
  if (where.client != nullptr) {
    TESSERA_ASSIGN_OR_RETURN(
        layouts, PlanByLog(*where.client, file, where.place, graph::Unmeasured::kAsTheyAre));
  } else if (where.target.has_value()) {
    TESSERA_ASSIGN_OR_RETURN(layouts, PlanFor(file, *where.target));
  }
  absl::StatusOr<graph::Plan> plan = graph::MakePlan(file.stored[0].graph);
  TESSERA_RETURN_IF_ERROR(Annotate(plan.status(), file.name));
  return Stored{*std::move(plan), LayoutsText(layouts)};
}

}  // namespace

absl::Status RunGraph(const GraphOptions& options) {
  if (!IsModelFile(options.source.file)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", options.source.file, "\" is no model; name an ONNX file (.onnx)"));
  }
  TESSERA_ASSIGN_OR_RETURN(const Where where, FindWhere(options));
  Reported model;
  if (options.source.int8.samples.empty() || options.source.backward) {
    TESSERA_ASSIGN_OR_RETURN(model.graph, ReadGraph(options.source));
  } else {
    TESSERA_ASSIGN_OR_RETURN(model, Quantized(options, where.target ? &*where.target : nullptr));
  }
  TESSERA_ASSIGN_OR_RETURN(const Stored stored,
                           StoredFor(options.source.file, std::move(model.graph), where));
  const graph::Plan& plan = stored.plan;
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
  if (!stored.layouts.empty()) std::printf("%s\n", stored.layouts.c_str());
  std::fputs(model.accuracy.c_str(), stdout);
  return absl::OkStatus();
}

}  // namespace tessera::cli
