#include "cli/model_upload.h"

#include <atomic>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/status.h"
#include "compiler/graph/text.h"
#include "compiler/ir/target.h"

namespace tessera::cli {

absl::StatusOr<db::SelectionModel> UploadModel(Client& client,
                                               absl::Span<const graph::Bucket> buckets) {
  graph::Blobs tensors;
  const std::string text = graph::PrintBuckets(buckets, &tensors);
  db::SelectionModel model{.graph = Sha256Hex(text), .constants = {}};
  for (const auto& [digest, tensor] : tensors) model.constants.push_back(digest);
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

absl::Status NameModel(Client& client, const JobFile& file, const std::string& name, db::Job& job) {
  if (file.model.empty() || job.options.device_class.empty()) return absl::OkStatus();
  TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(job.tasks[0].target));
  if (!ir::IsCpu(target.kind)) return absl::OkStatus();
  db::Selection selection;
  selection.name = name;
  for (const db::Task& task : job.tasks) {
    selection.items.push_back(
        {.op = task.name, .task = task, .device_class = job.options.device_class});
  }
  std::atomic<bool> interrupted = false;
  const auto create = [&]() -> absl::StatusOr<db::Selection> {
    const InterruptHandler handler([&] {
      interrupted = true;
      client.Interrupt();
    });
    TESSERA_ASSIGN_OR_RETURN(selection.model, UploadModel(client, file.stored));
    return client.CreateSelection(selection, job.options.allow);
  };
  const absl::StatusOr<db::Selection> created = create();
  const absl::Status& status = created.status();
  if (interrupted) return absl::CancelledError("interrupted; no job was made");
  if (absl::IsUnavailable(status)) return status;
  if (created.ok()) {
    job.selection = created->id;
  } else {
    std::fprintf(stderr, "warning: runs of the model are not measured: %s\n",
                 std::string(status.message()).c_str());
  }
  return absl::OkStatus();
}

}  // namespace tessera::cli
