#include <algorithm>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/library/library.h"
#include "compiler/schedule/default_trace.h"
#include "proto/checks.h"
#include "proto/convert.h"
#include "proto/limits.h"
#include "worker/builder/compile.h"

namespace tessera::builder {
namespace {

absl::StatusOr<library::LibraryOp> ReadItem(const db::SelectionItem& item, ir::Target target) {
  library::LibraryOp op;
  op.name = item.op;
  TESSERA_ASSIGN_OR_RETURN(op.workload, te::ParseWorkload(item.task.workload));
  const std::string hash = HashToHex(te::StructuralHash(op.workload.dag));
  if (!item.task.workload_hash.empty() && item.task.workload_hash != hash) {
    return absl::FailedPreconditionError(absl::StrCat(
        "workload hash: the selection says ", item.task.workload_hash, ", this builder makes ",
        hash, "; install the same release on server and worker"));
  }
  op.is_default = item.trace.empty();
  if (op.is_default) {
    target.max_threads = item.task.threads;
    TESSERA_ASSIGN_OR_RETURN(op.trace, schedule::DefaultTrace(op.workload.dag, target));
  } else {
    TESSERA_ASSIGN_OR_RETURN(op.trace, schedule::ParseTrace(item.trace));
  }
  if (item.record_id != 0) op.record_ids = {absl::StrCat(item.record_id)};
  if (item.seconds > 0) op.measured_seconds = item.seconds;
  return op;
}

absl::StatusOr<library::LibrarySpec> ReadSelection(const proto::LibraryRequest& request) {
  const db::Selection& selection = request.selection;
  library::LibrarySpec spec;
  spec.name = request.name;
  int threads = 1;
  for (size_t i = 0; i < selection.items.size(); ++i) {
    const db::SelectionItem& item = selection.items[i];
    absl::StatusOr<ir::Target> target = ir::ParseTarget(item.task.target);
    if (!target.ok()) return Annotate(target.status(), absl::StrCat(item.op, ": target"));
    // How many threads each kernel may use is its task's; the rest has to be one machine.
    target->max_threads = 1;
    if (i == 0) {
      spec.target = *target;
    } else if (spec.target != *target) {
      return absl::InvalidArgumentError(absl::StrCat(
          item.op, ": target ", ir::ToString(*target), " is not that of ", selection.items[0].op,
          ", ", ir::ToString(spec.target), "; one library has one target"));
    }
    threads = std::max(threads, item.task.threads);
    absl::StatusOr<library::LibraryOp> op = ReadItem(item, *target);
    if (!op.ok()) return Annotate(op.status(), item.op);
    op->device_class = selection.device_class;
    spec.ops.push_back(*std::move(op));
  }
  spec.target.max_threads = threads;
  return spec;
}

absl::StatusOr<library::LibraryFiles> MakeFiles(const proto::LibraryRequest& request) {
  TESSERA_RETURN_IF_ERROR(proto::CheckIdentifier("library name", request.name));
  TESSERA_ASSIGN_OR_RETURN(const library::LibrarySpec spec, ReadSelection(request));
  return library::BuildLibrary(spec);
}

}  // namespace

Compiled<agent::LibraryOutput> CompileLibrary(const proto::LibraryRequest& request) {
  Compiled<agent::LibraryOutput> compiled;
  agent::LibraryOutput& output = compiled.output;
  absl::StatusOr<library::LibraryFiles> files;
  try {
    files = MakeFiles(request);
  } catch (const std::exception& error) {
    files = absl::InternalError(absl::StrCat("the compiler threw: ", error.what()));
  }
  if (!files.ok()) {
    output.error = proto::CleanText(StdView(files.status().message()), proto::kMaxTextBytes);
    compiled.is_last = true;  // which step failed is not known here
    return compiled;
  }
  output.files.emplace_back(absl::StrCat("lib", request.name, ".so"),
                            std::move(files->shared_object));
  output.files.emplace_back(absl::StrCat(request.name, ".h"), std::move(files->header));
  output.files.emplace_back("manifest.json", std::move(files->manifest));
  return compiled;
}

}  // namespace tessera::builder
