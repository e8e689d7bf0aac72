#include "server/tasks.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "compiler/ir/target.h"
#include "compiler/te/dag.h"

namespace tessera::server {

absl::Status CheckTask(const db::Task& task) {
  const auto check = [&]() -> absl::Status {
    TESSERA_ASSIGN_OR_RETURN(const te::Workload workload, te::ParseWorkload(task.workload));
    TESSERA_RETURN_IF_ERROR(te::Verify(workload.dag));
    const std::string hash = HashToHex(te::StructuralHash(workload.dag));
    if (hash != task.workload_hash) {
      return absl::InvalidArgumentError(absl::StrCat("workload_hash: ", task.workload_hash,
                                                     " was sent, the workload has ", hash));
    }
    TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(task.target));
    if (task.threads > target.max_threads) {
      return absl::InvalidArgumentError(absl::StrCat(
          "threads: ", task.threads, " are more than the target's ", target.max_threads));
    }
    return absl::OkStatus();
  };
  return Annotate(check(), absl::StrCat("task ", task.name));
}

}  // namespace tessera::server
