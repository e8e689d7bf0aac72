#include "cli/library_executor.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "cli/build_plan.h"
#include "cli/job_file.h"
#include "cli/model_process.h"
#include "cli/model_source.h"
#include "cli/model_upload.h"
#include "cli/verifiable_library.h"
#include "compiler/graph/passes.h"

namespace tessera::cli {
namespace {

constexpr absl::Duration kRunLimit = absl::Minutes(10);
constexpr char kName[] = "sampled";
constexpr int kThreads = 16;  // of the machine's at most; they change no number

// Of what the library of samples does wrong, which is nobody's input.
absl::Status Told(const absl::Status& status) {
  const bool is_wrong = absl::IsAborted(status) || absl::IsDeadlineExceeded(status);
  if (!is_wrong) return status;
  return absl::InternalError(
      absl::StrCat("the library of default schedules that runs the samples: ", status.message()));
}

// The library of a graph, none of whose outputs is there twice or computed by nothing.
absl::StatusOr<ModelProcess> BuiltProcess(Client& client, graph::Graph graph) {
  const std::vector<graph::Bucket> buckets{{{}, std::move(graph)}};
  JobFile file;
  TESSERA_ASSIGN_OR_RETURN(file.operators, OperatorsOf(buckets));
  const std::string target = absl::StrCat(kAnyCpuTarget, " threads=", kThreads);
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Task> tasks, MakeTasks(file, target, kThreads));
  db::Selection selection;
  selection.name = kName;
  for (const db::Task& task : tasks) {
    selection.items.push_back({task.name, task, "", 0, 0, kAnyCpuClass});
  }
  TESSERA_ASSIGN_OR_RETURN(selection.model, UploadModel(client, buckets));
  TESSERA_ASSIGN_OR_RETURN(const db::Selection chosen, client.CreateSelection(selection));
  std::fprintf(stderr, "building what runs the samples: %zu kernels\n", tasks.size());
  TESSERA_ASSIGN_OR_RETURN(const std::vector<BuiltFile> files,
                           client.BuildLibrary({chosen.id, kName, false}));
  TESSERA_ASSIGN_OR_RETURN(const BuiltFile* const manifest, FindFile(files, "manifest.json"));
  const absl::StatusOr<VerifiableLibrary> library = ReadVerifiableLibrary(manifest->bytes);
  TESSERA_RETURN_IF_ERROR(Annotate(library.status(), "manifest.json"));
  TESSERA_ASSIGN_OR_RETURN(const BuiltFile* const shared_object,
                           FindFile(files, library->files[0].name));
  absl::StatusOr<ModelProcess> process =
      ModelProcess::Start(shared_object->bytes, library->runs[0], absl::Now() + kRunLimit);
  if (!process.ok()) return Told(process.status());
  return process;
}

// Whether they differ in their outputs alone.
bool ComputeAlike(const graph::Graph& a, const graph::Graph& b) {
  return std::ranges::equal(a.nodes, b.nodes, [](const graph::Node& x, const graph::Node& y) {
    return x.op == y.op && x.attributes == y.attributes && x.operands == y.operands &&
           x.type == y.type && x.constant == y.constant;
  });
}

// The library of a graph, and where it has what the graph's nodes become.
class BuiltGraph {
 public:
  static absl::StatusOr<std::shared_ptr<BuiltGraph>> Make(Client& client, graph::Graph graph) {
    auto made = std::make_shared<BuiltGraph>();
    const std::vector<int> inputs = graph.Inputs();
    for (size_t i = 0; i < inputs.size(); ++i) made->inputs_.emplace(inputs[i], i);
    std::vector<int> computed;
    for (const int output : graph.outputs) {
      const graph::Node& node = graph.nodes[output];
      if (node.is_constant() || node.is_input()) continue;
      if (made->computed_.emplace(output, computed.size()).second) computed.push_back(output);
    }
    made->graph_ = graph;
    if (computed.empty()) return made;
    graph.outputs = std::move(computed);
    // Without what no output needs.
    TESSERA_ASSIGN_OR_RETURN(
        graph, graph::Rewritten(graph, [](graph::GraphBuilder&, const graph::Node&,
                                          absl::Span<const int>, int) { return -1; }));
    const size_t outputs = graph.outputs.size();
    TESSERA_ASSIGN_OR_RETURN(ModelProcess process, BuiltProcess(client, std::move(graph)));
    if (process.outputs() != outputs) {
      return absl::InternalError(absl::StrCat("the built library has ", process.outputs(),
                                              " outputs, its graph ", outputs));
    }
    for (const auto& [node, number] : made->computed_) {
      const graph::TensorType& type = made->graph_.nodes[node].type;
      const auto bytes = static_cast<size_t>(type.Bytes()), told = process.output(number).size();
      if (bytes == told) continue;
      return absl::InternalError(absl::StrCat("the built library's output ", number, " has ", told,
                                              " bytes, the graph's ", bytes));
    }
    made->process_.emplace(std::move(process));
    return made;
  }

  // Whether it computes all that the graph does.
  bool Covers(const graph::Graph& graph) const {
    return ComputeAlike(graph_, graph) && std::ranges::all_of(graph.outputs, [&](int output) {
             const graph::Node& node = graph.nodes[output];
             return node.is_constant() || node.is_input() || computed_.contains(output);
           });
  }

  absl::StatusOr<std::vector<graph::TensorRef>> Run(absl::Span<const graph::TensorRef> inputs,
                                                    absl::Span<const int> outputs) {
    std::vector<absl::Span<const std::byte>> bytes;
    for (const graph::TensorRef& input : inputs) bytes.emplace_back(input->bytes);
    if (process_) {
      TESSERA_RETURN_IF_ERROR(Told(process_->Run(bytes, absl::Now() + kRunLimit)));
    }
    std::vector<graph::TensorRef> values;
    for (const int output : outputs) {
      const graph::Node& node = graph_.nodes[output];
      if (node.is_constant() || node.is_input()) {
        values.push_back(node.is_input() ? inputs[inputs_.at(output)] : node.constant);
        continue;
      }
      const absl::Span<const std::byte> told = process_->output(computed_.at(output));
      auto value = std::make_shared<graph::Tensor>();
      value->type = {node.type.element, node.type.shape, {}};
      value->bytes.assign(told.begin(), told.end());
      values.push_back(std::move(value));
    }
    return values;
  }

 private:
  graph::Graph graph_;
  std::map<int, size_t> inputs_, computed_;  // numbers of nodes among the library's in- and outputs
  std::optional<ModelProcess> process_;      // none where nothing is computed
};

}  // namespace

graph::Executor LibraryExecutor(std::function<absl::StatusOr<Client*>()> connect) {
  return [connect = std::move(connect), last = std::make_shared<std::shared_ptr<BuiltGraph>>()](
             graph::Graph graph) -> absl::StatusOr<graph::Runner> {
    std::shared_ptr<BuiltGraph> built = *last;
    std::vector<int> outputs = graph.outputs;
    if (built == nullptr || !built->Covers(graph)) {
      const absl::StatusOr<Client*> client = connect();
      auto made = client.ok() ? BuiltGraph::Make(**client, std::move(graph)) : client.status();
      TESSERA_RETURN_IF_ERROR(Annotate(made.status(), "--int8"));
      *last = built = *std::move(made);
    }
    return [built, outputs = std::move(outputs)](absl::Span<const graph::TensorRef> inputs) {
      return built->Run(inputs, outputs);
    };
  };
}

graph::Executor LibraryExecutor(const std::string& server) {
  const auto client = std::make_shared<std::unique_ptr<Client>>();
  return LibraryExecutor([client, server]() -> absl::StatusOr<Client*> {
    if (*client == nullptr) {
      TESSERA_ASSIGN_OR_RETURN(*client, Client::Connect(server));
    }
    return client->get();
  });
}

}  // namespace tessera::cli
