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

// The library of a graph, none of whose outputs is there twice or computed by nothing.
absl::StatusOr<ModelProcess> BuiltProcess(Client& client, graph::Graph graph) {
  const std::vector<graph::Bucket> buckets{{{}, std::move(graph)}};
  JobFile file;
  TESSERA_ASSIGN_OR_RETURN(file.operators, OperatorsOf(buckets));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Task> tasks, MakeTasks(file, kAnyCpuTarget, 1));
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
  return ModelProcess::Start(shared_object->bytes, library->runs[0], absl::Now() + kRunLimit);
}

// A graph that was built.
class BuiltGraph {
 public:
  static absl::StatusOr<std::shared_ptr<BuiltGraph>> Make(Client& client, graph::Graph graph) {
    auto made = std::make_shared<BuiltGraph>();
    std::map<int, size_t> numbers;  // of inputs, and of outputs of the library
    for (const int input : graph.Inputs()) numbers.emplace(input, numbers.size());
    std::vector<int> computed;
    for (const int output : graph.outputs) {
      const graph::Node& node = graph.nodes[output];
      Output& told = made->outputs_.emplace_back();
      told.type = {node.type.element, node.type.shape, {}};
      told.constant = node.constant;
      told.is_input = node.is_input();
      if (node.is_constant()) continue;
      const bool is_new = numbers.emplace(output, computed.size()).second;
      if (is_new) computed.push_back(output);
      told.number = numbers[output];
    }
    if (computed.empty()) return made;
    graph.outputs = std::move(computed);
    // Without what only other outputs needed.
    TESSERA_ASSIGN_OR_RETURN(
        graph, graph::Rewritten(graph, [](graph::GraphBuilder&, const graph::Node&,
                                          absl::Span<const int>, int) { return -1; }));
    TESSERA_ASSIGN_OR_RETURN(ModelProcess process, BuiltProcess(client, std::move(graph)));
    made->process_.emplace(std::move(process));
    return made;
  }

  absl::StatusOr<std::vector<graph::TensorRef>> Run(absl::Span<const graph::TensorRef> inputs) {
    std::vector<absl::Span<const std::byte>> bytes;
    for (const graph::TensorRef& input : inputs) bytes.emplace_back(input->bytes);
    if (process_) {
      TESSERA_RETURN_IF_ERROR(process_->Run(bytes, absl::Now() + kRunLimit));
    }
    std::vector<graph::TensorRef> outputs;
    for (const Output& output : outputs_) {
      if (output.constant != nullptr || output.is_input) {
        outputs.push_back(output.is_input ? inputs[output.number] : output.constant);
        continue;
      }
      const absl::Span<const std::byte> told = process_->output(output.number);
      auto tensor = std::make_shared<graph::Tensor>();
      tensor->type = output.type;
      tensor->bytes.assign(told.begin(), told.end());
      outputs.push_back(std::move(tensor));
    }
    return outputs;
  }

 private:
  struct Output {
    graph::TensorType type;
    graph::TensorRef constant;  // that it is
    bool is_input = false;
    size_t number = 0;  // of the inputs, or of the library's outputs
  };

  std::vector<Output> outputs_;
  std::optional<ModelProcess> process_;  // none where nothing is computed
};

// Of what a library does.
absl::Status Told(const absl::Status& status) {
  const bool is_wrong = absl::IsAborted(status) || absl::IsDeadlineExceeded(status);
  if (!is_wrong) return status;
  return absl::InternalError(
      absl::StrCat("the library of default schedules that runs the samples: ", status.message()));
}

}  // namespace

graph::Executor LibraryExecutor(std::function<absl::StatusOr<Client*>()> connect) {
  return [connect = std::move(connect)](graph::Graph graph) -> absl::StatusOr<graph::Runner> {
    TESSERA_ASSIGN_OR_RETURN(Client* const client, connect());
    absl::StatusOr<std::shared_ptr<BuiltGraph>> built = BuiltGraph::Make(*client, std::move(graph));
    if (!built.ok()) return Told(built.status());
    return [built = *std::move(built)](absl::Span<const graph::TensorRef> inputs)
               -> absl::StatusOr<std::vector<graph::TensorRef>> {
      auto outputs = built->Run(inputs);
      if (!outputs.ok()) return Told(outputs.status());
      return outputs;
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
