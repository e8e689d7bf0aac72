#include "cli/model_upload.h"

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "compiler/graph/text.h"
#include "compiler/ir/target.h"
#include "compiler/te/c_names.h"

namespace tessera::cli {

absl::StatusOr<db::SelectionModel> UploadModel(Client& client,
                                               absl::Span<const graph::Bucket> buckets) {
  const std::string text = graph::PrintBuckets(buckets);
  db::SelectionModel model{.graph = Sha256Hex(text), .constants = {}};
  std::map<std::string, const graph::Tensor*> tensors;
  for (const graph::Bucket& bucket : buckets) {
    for (const graph::Node& node : bucket.graph.nodes) {
      if (!node.is_constant()) continue;
      const std::string digest = graph::DigestOf(*node.constant);
      // Of small ones the text names those whose numbers it can't tell.
      if (node.type.ElementCount() <= graph::kMostElementsInText &&
          text.find(digest) == std::string::npos) {
        continue;
      }
      if (tensors.emplace(digest, node.constant.get()).second) model.constants.push_back(digest);
    }
  }
  std::vector<std::string> digests = model.constants;
  digests.push_back(model.graph);
  TESSERA_ASSIGN_OR_RETURN(const std::vector<std::string> missing, client.FindMissing(digests));
  int64_t bytes = 0;
  for (const std::string& digest : missing) {
    bytes +=
        digest == model.graph ? static_cast<int64_t>(text.size()) : tensors[digest]->type.Bytes();
  }
  if (!missing.empty()) {
    std::fprintf(stderr, "uploading %zu of %zu tensors and graphs, %.1f MiB\n", missing.size(),
                 digests.size(), static_cast<double>(bytes) / (1 << 20));
  }
  for (const std::string& digest : missing) {
    if (digest == model.graph) {
      TESSERA_RETURN_IF_ERROR(client.Upload(digest, text));
      continue;
    }
    const std::vector<std::byte>& tensor = tensors[digest]->bytes;
    TESSERA_RETURN_IF_ERROR(client.Upload(
        digest, std::string(reinterpret_cast<const char*>(tensor.data()), tensor.size())));
  }
  return model;
}

absl::Status NameModel(Client& client, const JobFile& file, db::Job& job) {
  if (file.model.empty()) return absl::OkStatus();
  TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(job.tasks[0].target));
  if (!ir::IsCpu(target.kind)) return absl::OkStatus();
  db::Selection selection;
  selection.name = te::ToCIdentifier(job.name, "model");
  for (const db::Task& task : job.tasks) {
    selection.items.push_back(
        {.op = task.name, .task = task, .device_class = job.options.device_class});
  }
  absl::StatusOr<db::SelectionModel> model = UploadModel(client, file.stored);
  if (absl::IsFailedPrecondition(model.status())) {
    std::fprintf(stderr, "warning: runs of the model are not measured as it is tuned: %s\n",
                 std::string(model.status().message()).c_str());
    return absl::OkStatus();
  }
  TESSERA_RETURN_IF_ERROR(model.status());
  selection.model = *std::move(model);
  TESSERA_ASSIGN_OR_RETURN(selection, client.CreateSelection(selection, job.options.allow));
  job.selection = selection.id;
  return absl::OkStatus();
}

}  // namespace tessera::cli
