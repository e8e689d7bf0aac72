#include "cli/model_source.h"

#include <cerrno>
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

// "batch" and "1,3,224" of "batch=1,3,224".
absl::StatusOr<std::pair<std::string, std::vector<int64_t>>> NamedNumbers(const char* option,
                                                                          const std::string& text) {
  const size_t sign = text.rfind('=');
  std::vector<int64_t> numbers;
  if (sign != std::string::npos && sign > 0) {
    for (const absl::string_view part : absl::StrSplit(text.substr(sign + 1), ',')) {
      int64_t number = 0;
      if (!absl::SimpleAtoi(part, &number) || number < 1) {
        numbers.clear();
        break;
      }
      numbers.push_back(number);
    }
  }
  if (numbers.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(option, " ", text, ": expected a name, \"=\" and numbers from 1 on"));
  }
  return std::pair(text.substr(0, sign), std::move(numbers));
}

absl::StatusOr<frontend::ImportOptions> OptionsOf(const OperatorSource& source) {
  frontend::ImportOptions options;
  options.folder = std::filesystem::absolute(source.file).parent_path();
  for (const std::string& text : source.dimensions) {
    TESSERA_ASSIGN_OR_RETURN(auto named, NamedNumbers("--dim", text));
    if (named.second.size() != 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("--dim ", text, ": a dimension has one extent"));
    }
    options.dimensions[named.first] = named.second[0];
  }
  for (const std::string& text : source.shapes) {
    TESSERA_ASSIGN_OR_RETURN(auto named, NamedNumbers("--shape", text));
    options.shapes[named.first] = std::move(named.second);
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

absl::StatusOr<graph::Graph> Narrow(const graph::Graph& graph, const QuantizationSource& source) {
  TESSERA_ASSIGN_OR_RETURN(QuantizedModel made, QuantizeModel(graph, source));
  return std::move(made.quantized.graph);
}

// A name that a function may have, like the kernel's.
std::string OpName(const std::string& name) {
  return te::CheckOpName(name).ok() ? name : name + "_op";
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

absl::StatusOr<graph::Plan> ReadModel(const OperatorSource& source) {
  if (source.backward && !source.int8.samples.empty()) {
    return absl::InvalidArgumentError("--backward and --int8: rounding has no gradient; name one");
  }
  TESSERA_ASSIGN_OR_RETURN(graph::Graph forward, ReadForward(source));
  absl::StatusOr<graph::Graph> graph = std::move(forward);
  if (source.backward) graph = Backward(*graph);
  if (!source.int8.samples.empty()) graph = Narrow(*graph, source.int8);
  TESSERA_RETURN_IF_ERROR(Annotate(graph.status(), source.file));
  absl::StatusOr<graph::Plan> plan = graph::MakePlan(*graph);
  TESSERA_RETURN_IF_ERROR(Annotate(plan.status(), source.file));
  return plan;
}

absl::StatusOr<JobFile> ModelJob(const OperatorSource& source) {
  TESSERA_ASSIGN_OR_RETURN(graph::Plan plan, ReadModel(source));
  JobFile file;
  file.name = plan.graph.name;
  for (graph::Task& task : plan.tasks) {
    JobOperator op;
    op.spec.name = OpName(task.workload.name);
    op.workload = std::move(task.workload);
    op.workload.name = op.spec.name;
    op.weight = task.steps;
    file.operators.push_back(std::move(op));
  }
  if (file.operators.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(source.file, ": computes nothing: all of it is known or only renamed"));
  }
  return file;
}

}  // namespace tessera::cli
