#include "server/tasks.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/te/dag.h"

namespace tessera::server {
namespace {

// The number of stages of a task that passes.
absl::StatusOr<int64_t> CheckedStages(const db::Task& task) {
  TESSERA_ASSIGN_OR_RETURN(const te::Workload workload, te::ParseWorkload(task.workload));
  TESSERA_RETURN_IF_ERROR(te::Verify(workload.dag));
  const std::string hash = HashToHex(te::StructuralHash(workload.dag));
  if (hash != task.workload_hash) {
    return absl::InvalidArgumentError(
        absl::StrCat("workload_hash: ", task.workload_hash, " was sent, the workload has ", hash));
  }
  const size_t buffers = workload.dag.inputs.size() + workload.dag.outputs.size();
  if (buffers > schedule::kMaxKernelBuffers) {
    return absl::InvalidArgumentError(absl::StrCat("workload: ", buffers,
                                                   " inputs and outputs; a kernel takes at most ",
                                                   schedule::kMaxKernelBuffers, ", so split it"));
  }
  TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(task.target));
  if (task.threads > target.max_threads) {
    return absl::InvalidArgumentError(absl::StrCat(
        "threads: ", task.threads, " are more than the target's ", target.max_threads));
  }
  return static_cast<int64_t>(workload.dag.stages.size());
}

absl::Status CheckTotal(std::string_view owner, int64_t total, int64_t limit, const char* what) {
  if (total <= limit) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(AbslView(owner), ": ", total, " ", what,
                                                 ", the limit is ", limit, "; make several ",
                                                 AbslView(owner), "s of it"));
}

}  // namespace

absl::Status CheckTasks(std::string_view owner, absl::Span<const db::Task> tasks) {
  TESSERA_RETURN_IF_ERROR(
      CheckTotal(owner, static_cast<int64_t>(tasks.size()), kMaxJobTasks, "tasks"));
  int64_t bytes = 0;
  for (const db::Task& task : tasks) bytes += static_cast<int64_t>(task.workload.size());
  TESSERA_RETURN_IF_ERROR(
      CheckTotal(owner, bytes, kMaxJobWorkloadBytes, "bytes of workloads in its tasks"));
  int64_t stages = 0;
  for (const db::Task& task : tasks) {
    const absl::StatusOr<int64_t> more = CheckedStages(task);
    if (!more.ok()) return Annotate(more.status(), absl::StrCat("task ", task.name));
    stages += *more;
    TESSERA_RETURN_IF_ERROR(CheckTotal(owner, stages, kMaxJobStages, "stages in its tasks"));
  }
  return absl::OkStatus();
}

absl::StatusOr<db::Task> FindTask(db::Store& store, std::string_view key) {
  TESSERA_ASSIGN_OR_RETURN(std::vector<db::Task> tasks, store.ListTasks());
  for (db::Task& task : tasks) {
    if (task.Key() == key) return std::move(task);
  }
  return absl::NotFoundError(
      absl::StrCat("no job and no selection names a task of key ", AbslView(key)));
}

}  // namespace tessera::server
