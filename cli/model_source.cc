#include "cli/model_source.h"

#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/view.h"
#include "cli/path_status.h"
#include "cli/quantized_model.h"
#include "compiler/graph/adjoint.h"
#include "compiler/graph/layouts.h"
#include "compiler/graph/passes.h"
#include "compiler/te/c_names.h"
#include "frontend/onnx/import.h"
#include "proto/limits.h"

namespace tessera::cli {
namespace {

absl::StatusOr<std::string> ReadWhole(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) return PathStatus(error.value(), "cannot open", path);
  if (size > frontend::kMaxModelBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": has ", size, " bytes; ", frontend::kMaxModelBytes, " are the most"));
  }
  std::ifstream in(path, std::ios::binary);
  if (!in) return PathStatus(errno, "cannot open", path);
  std::string bytes(size, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(size));
  bytes.resize(static_cast<size_t>(in.gcount()));
  return bytes;
}

// "batch" and "1,3,224" of "batch=1,3,224", which `parse` reads one by one.
template <typename Number, typename Parse>
absl::StatusOr<std::pair<std::string, std::vector<Number>>> NamedNumbers(const char* option,
                                                                         const std::string& text,
                                                                         const char* what,
                                                                         Parse parse) {
  const size_t sign = text.rfind('=');
  std::vector<Number> numbers;
  if (sign != std::string::npos && sign > 0) {
    for (const absl::string_view part : absl::StrSplit(text.substr(sign + 1), ',')) {
      Number number = 0;
      if (!parse(part, &number)) {
        numbers.clear();
        break;
      }
      numbers.push_back(number);
    }
  }
  if (numbers.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(option, " ", text, ": expected a name, \"=\" and ", what));
  }
  return std::pair(text.substr(0, sign), std::move(numbers));
}

absl::StatusOr<std::pair<std::string, std::vector<int64_t>>> NamedExtents(const char* option,
                                                                          const std::string& text) {
  return NamedNumbers<int64_t>(option, text, "numbers from 1 on",
                               [](absl::string_view part, int64_t* number) {
                                 return absl::SimpleAtoi(part, number) && *number >= 1;
                               });
}

absl::StatusOr<frontend::ImportOptions> OptionsOf(const OperatorSource& source) {
  frontend::ImportOptions options;
  options.folder = std::filesystem::absolute(source.file).parent_path();
  for (const std::string& text : source.dimensions) {
    TESSERA_ASSIGN_OR_RETURN(auto named, NamedExtents("--dim", text));
    if (named.second.size() != 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("--dim ", text, ": a dimension has one extent"));
    }
    options.dimensions[named.first] = named.second[0];
  }
  for (const std::string& text : source.shapes) {
    TESSERA_ASSIGN_OR_RETURN(auto named, NamedExtents("--shape", text));
    options.shapes[named.first] = std::move(named.second);
  }
  for (const std::string& text : source.values) {
    TESSERA_ASSIGN_OR_RETURN(
        auto named, NamedNumbers<double>(
                        "--value", text, "numbers", [](absl::string_view part, double* number) {
                          return absl::SimpleAtod(part, number) && std::isfinite(*number);
                        }));
    options.numbers[named.first] = std::move(named.second);
  }
  return options;
}

// What computes the gradients of all that the model learns.
absl::StatusOr<graph::Graph> Backward(const graph::Graph& graph) {
  const std::vector<int> parameters = graph::Parameters(graph);
  if (parameters.empty()) {
    return absl::InvalidArgumentError(
        "--backward: no output depends on a weight or an input of floats");
  }
  TESSERA_ASSIGN_OR_RETURN(graph::Graph made, graph::Adjoint(graph, parameters));
  return graph::RunPasses(std::move(made), graph::StandardPasses());
}

struct SourceModel {
  graph::Graph graph;
  std::vector<SampleRun> samples;  // as of JobFile
};

absl::StatusOr<SourceModel> Narrow(const graph::Graph& graph, const QuantizationSource& source) {
  TESSERA_ASSIGN_OR_RETURN(QuantizedModel made, QuantizeModel(graph, source));
  return SourceModel{std::move(made.quantized.graph), std::move(made.samples)};
}

// A name that a function may have, like the kernel's.
std::string OpName(const std::string& name) {
  return te::CheckOpName(name).ok() ? name : name + "_op";
}

std::vector<JobOperator> OperatorsOf(const graph::Plan& plan) {
  std::vector<JobOperator> operators;
  for (const graph::Task& task : plan.tasks) {
    JobOperator op;
    op.spec.name = OpName(task.workload.name);
    op.workload = task.workload;
    op.workload.name = op.spec.name;
    op.weight = task.steps;
    operators.push_back(std::move(op));
  }
  return operators;
}

// What the source asks for: the model, its gradients, or the model in i8.
absl::StatusOr<SourceModel> ReadGraph(const OperatorSource& source) {
  if (source.backward && !source.int8.samples.empty()) {
    return absl::InvalidArgumentError("--backward and --int8: rounding has no gradient; name one");
  }
  TESSERA_ASSIGN_OR_RETURN(graph::Graph forward, ReadForward(source));
  if (!source.int8.samples.empty()) {
    absl::StatusOr<SourceModel> model = Narrow(forward, source.int8);
    TESSERA_RETURN_IF_ERROR(Annotate(model.status(), source.file));
    return model;
  }
  if (!source.backward) return SourceModel{std::move(forward), {}};
  absl::StatusOr<graph::Graph> backward = Backward(forward);
  TESSERA_RETURN_IF_ERROR(Annotate(backward.status(), source.file));
  return SourceModel{*std::move(backward), {}};
}

}  // namespace

bool IsModelFile(const std::string& path) {
  return path.ends_with(".onnx") || path.ends_with(".ONNX");
}

absl::StatusOr<graph::Graph> ReadForward(const OperatorSource& source) {
  TESSERA_ASSIGN_OR_RETURN(const frontend::ImportOptions options, OptionsOf(source));
  TESSERA_ASSIGN_OR_RETURN(const std::string bytes, ReadWhole(source.file));
  absl::StatusOr<graph::Graph> graph = frontend::ImportModel(bytes, options);
  if (graph.ok()) graph = graph::RunPasses(*std::move(graph), graph::StandardPasses());
  TESSERA_RETURN_IF_ERROR(Annotate(graph.status(), source.file));
  return graph;
}

absl::StatusOr<graph::Plan> PlanFor(const graph::Graph& graph, const ir::Target* target) {
  return target != nullptr ? graph::PlanModel(graph, *target) : graph::MakePlan(graph);
}

absl::StatusOr<graph::Plan> ReadModel(const OperatorSource& source, const ir::Target* target) {
  TESSERA_ASSIGN_OR_RETURN(const SourceModel model, ReadGraph(source));
  absl::StatusOr<graph::Plan> plan = PlanFor(model.graph, target);
  TESSERA_RETURN_IF_ERROR(Annotate(plan.status(), source.file));
  return plan;
}

absl::StatusOr<JobFile> ModelJob(const OperatorSource& source) {
  TESSERA_ASSIGN_OR_RETURN(SourceModel model, ReadGraph(source));
  const absl::StatusOr<graph::Plan> plan = graph::MakePlan(model.graph);
  TESSERA_RETURN_IF_ERROR(Annotate(plan.status(), source.file));
  JobFile file;
  file.name = model.graph.name;
  file.operators = OperatorsOf(*plan);
  if (file.operators.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(source.file, ": computes nothing: all of it is known or only renamed"));
  }
  file.options.scheduler = "gradient";  // what counts is the model's time
  file.model = file.stored = std::make_shared<const graph::Graph>(std::move(model.graph));
  file.samples = std::move(model.samples);
  return file;
}

absl::Status PlanFor(JobFile& file, const ir::Target& target) {
  if (file.model == nullptr) return absl::OkStatus();
  absl::StatusOr<graph::Graph> stored = graph::ChooseLayouts(*file.model, target);
  TESSERA_RETURN_IF_ERROR(Annotate(stored.status(), file.name));
  const absl::StatusOr<graph::Plan> plan = graph::MakePlan(*stored);
  TESSERA_RETURN_IF_ERROR(Annotate(plan.status(), file.name));
  file.operators = OperatorsOf(*plan);
  file.stored = std::make_shared<const graph::Graph>(*std::move(stored));
  return absl::OkStatus();
}

}  // namespace tessera::cli
