// Models as libraries of this process's making, and as graphs: what bench/models compares with
// other runtimes.
//   bench_model build MODEL.onnx --out FOLDER      libmodel.so, model.h, manifest.json
//   bench_model evaluate MODEL.onnx --in FOLDER --out FOLDER
//                                   the graph's outputs by the interpreter: slow, and the oracle
//   bench_model profile MODEL.onnx --out FILE      each kernel's time within the model
// Options: --dim NAME=N, --shape INPUT=1,3,224,224, --value INPUT=N, --threads N, --records FILE
// (of tessera log --format jsonl), --rounds N. Tensors are files of row-major elements: 0.raw,
// 1.raw, … in the order of inputs or outputs. Prints what the model became as JSON.

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"
#include "bench/models/library.h"
#include "cli/model_source.h"
#include "compiler/graph/evaluate.h"
#include "compiler/graph/fuse.h"

namespace tessera::bench {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  std::string command;
  ModelOptions model;
  std::string in, out;
  int rounds = 20;
};

absl::StatusOr<Arguments> Parse(const std::vector<std::string>& words) {
  Arguments made;
  if (words.size() < 2) {
    return absl::InvalidArgumentError("expected build, evaluate or profile and a model's file");
  }
  made.command = words[0];
  made.model.source.file = words[1];
  for (size_t i = 2; i < words.size(); i += 2) {
    if (i + 1 == words.size()) {
      return absl::InvalidArgumentError(absl::StrCat(words[i], " has no value"));
    }
    const std::string& value = words[i + 1];
    const auto number = [&](int& to) { return absl::SimpleAtoi(AbslView(value), &to) && to >= 1; };
    bool valid = true;
    if (words[i] == "--dim") {
      made.model.source.dimensions.push_back(value);
    } else if (words[i] == "--shape") {
      made.model.source.shapes.push_back(value);
    } else if (words[i] == "--value") {
      made.model.source.values.push_back(value);
    } else if (words[i] == "--in") {
      made.in = value;
    } else if (words[i] == "--out") {
      made.out = value;
    } else if (words[i] == "--records") {
      made.model.records = value;
    } else if (words[i] == "--threads") {
      valid = number(made.model.threads);
    } else if (words[i] == "--rounds") {
      valid = number(made.rounds);
    } else {
      return absl::InvalidArgumentError(absl::StrCat("no option ", words[i]));
    }
    if (!valid) {
      return absl::InvalidArgumentError(
          absl::StrCat(words[i], " ", value, ": expected a whole number from 1 on"));
    }
  }
  if (made.out.empty()) return absl::InvalidArgumentError("--out is missing");
  return made;
}

absl::Status Write(const std::filesystem::path& path, const char* bytes, size_t count) {
  std::ofstream out(path, std::ios::binary);
  out.write(bytes, static_cast<std::streamsize>(count));
  out.close();
  if (!out) return absl::UnavailableError(absl::StrCat("cannot write ", path.string()));
  return absl::OkStatus();
}
absl::Status Write(const std::filesystem::path& path, const std::string& bytes) {
  return Write(path, bytes.data(), bytes.size());
}

Json TensorsOf(const graph::Graph& graph, const std::vector<int>& nodes) {
  Json tensors = Json::array();
  for (const int node : nodes) {
    const graph::TensorType& type = graph.nodes[node].type;
    tensors.push_back({{"name", graph.nodes[node].name},
                       {"type", ir::ToString(type.element)},
                       {"shape", type.shape},
                       {"bytes", type.StoredBytes()}});
  }
  return tensors;
}

Json Describe(const graph::Plan& plan) {
  int64_t constants = 0;
  double operations = 0;
  for (const graph::Node& node : plan.graph.nodes) {
    if (node.is_constant()) constants += node.type.Bytes();
  }
  for (const graph::Task& task : plan.tasks) {
    operations += static_cast<double>(te::ExecutedOperations(task.workload.dag)) * task.steps;
  }
  return {{"nodes", plan.graph.nodes.size()},
          {"kernels", plan.steps.size()},
          {"kinds", plan.tasks.size()},
          {"operations", operations},
          {"constant_bytes", constants},
          {"arena_bytes", plan.arena_bytes},
          {"least_arena_bytes", plan.least_arena_bytes},
          {"inputs", TensorsOf(plan.graph, plan.graph.Inputs())},
          {"outputs", TensorsOf(plan.graph, plan.graph.outputs)}};
}

absl::Status Build(const Arguments& arguments, const graph::Plan& plan, Json& result) {
  TESSERA_ASSIGN_OR_RETURN(library::LibrarySpec spec, SpecOf(plan, arguments.model));
  spec.model = library::ModelOf(plan, "net");
  int defaults = 0;
  for (const library::LibraryOp& op : spec.ops) defaults += op.versions[0].is_default ? 1 : 0;
  result["kinds_without_record"] = defaults;
  TESSERA_ASSIGN_OR_RETURN(const library::LibraryFiles files, library::BuildLibrary(spec));
  const std::filesystem::path folder = arguments.out;
  std::filesystem::create_directories(folder);
  TESSERA_RETURN_IF_ERROR(Write(folder / "libmodel.so", files.shared_object()));
  TESSERA_RETURN_IF_ERROR(Write(folder / "model.h", files.header()));
  return Write(folder / "manifest.json", files.manifest());
}

absl::Status Evaluate(const Arguments& arguments, const graph::Plan& plan) {
  const graph::Graph& graph = plan.graph;
  std::vector<graph::TensorRef> inputs;
  for (const int node : graph.Inputs()) {
    const std::filesystem::path path =
        std::filesystem::path(arguments.in) / absl::StrCat(inputs.size(), ".raw");
    auto tensor = std::make_shared<graph::Tensor>();
    tensor->type = graph.nodes[node].type;
    tensor->bytes.resize(static_cast<size_t>(tensor->type.Bytes()));
    std::ifstream in(path, std::ios::binary);
    in.read(reinterpret_cast<char*>(tensor->bytes.data()),
            static_cast<std::streamsize>(tensor->bytes.size()));
    if (!in || in.peek() != std::ifstream::traits_type::eof()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path.string(), ": expected ", tensor->bytes.size(), " bytes of ",
                       graph.nodes[node].name, ", which is ", graph::ToString(tensor->type)));
    }
    inputs.push_back(std::move(tensor));
  }
  TESSERA_ASSIGN_OR_RETURN(const std::vector<graph::TensorRef> outputs,
                           graph::Evaluate(graph, inputs));
  const std::filesystem::path folder = arguments.out;
  std::filesystem::create_directories(folder);
  for (size_t i = 0; i < outputs.size(); ++i) {
    TESSERA_RETURN_IF_ERROR(Write(folder / absl::StrCat(i, ".raw"),
                                  reinterpret_cast<const char*>(outputs[i]->bytes.data()),
                                  outputs[i]->bytes.size()));
  }
  return absl::OkStatus();
}

absl::Status Profile(const Arguments& arguments, const graph::Plan& plan) {
  TESSERA_ASSIGN_OR_RETURN(const library::LibrarySpec spec, SpecOf(plan, arguments.model));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<StepTime> times,
                           TimeSteps(plan, spec, arguments.model.threads, arguments.rounds));
  std::map<int, Json> members;  // names of what a kernel computes, by its last node
  for (const graph::Group& group : graph::Fuse(plan.graph)) {
    for (const int node : group) members[group.back()].push_back(plan.graph.nodes[node].name);
  }
  Json steps = Json::array();
  for (const StepTime& time : times) {
    const graph::Step& step = plan.steps[static_cast<size_t>(time.step)];
    const graph::Task& task = plan.tasks[static_cast<size_t>(step.task)];
    const library::LibraryOp& op = spec.ops[static_cast<size_t>(step.task)];
    Json operands = Json::array();
    for (const int operand : step.operands) {
      operands.push_back(graph::ToString(plan.graph.nodes[operand].type));
    }
    steps.push_back({{"step", time.step},
                     {"kernel", op.name},
                     {"nodes", members[step.result]},
                     {"type", graph::ToString(plan.graph.nodes[step.result].type)},
                     {"operands", operands},
                     {"operations", te::ExecutedOperations(task.workload.dag)},
                     {"is_default", op.versions[0].is_default},
                     {"seconds", time.seconds}});
  }
  return Write(arguments.out, steps.dump(1) + "\n");
}

absl::Status Run(const std::vector<std::string>& words) {
  TESSERA_ASSIGN_OR_RETURN(const Arguments arguments, Parse(words));
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  };
  const Clock::time_point begin = Clock::now();
  TESSERA_ASSIGN_OR_RETURN(const graph::Graph graph, cli::ReadGraph(arguments.model.source));
  TESSERA_ASSIGN_OR_RETURN(const graph::Plan plan, graph::MakePlan(graph));
  Json result = Describe(plan);
  result["import_seconds"] = since(begin);
  const Clock::time_point planned = Clock::now();
  absl::Status status;
  if (arguments.command == "build") {
    status = Build(arguments, plan, result);
  } else if (arguments.command == "evaluate") {
    status = Evaluate(arguments, plan);
  } else if (arguments.command == "profile") {
    status = Profile(arguments, plan);
  } else {
    status = absl::InvalidArgumentError(
        absl::StrCat("no command ", arguments.command, "; there are build, evaluate and profile"));
  }
  TESSERA_RETURN_IF_ERROR(status);
  result["seconds"] = since(planned);
  std::cout << result.dump(1) << std::endl;
  return absl::OkStatus();
}

}  // namespace
}  // namespace tessera::bench

int main(int argc, char** argv) {
  const absl::Status status = tessera::bench::Run({argv + 1, argv + argc});
  if (status.ok()) return 0;
  std::cerr << "bench_model: " << status.message() << '\n';
  return 1;
}
