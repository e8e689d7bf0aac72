#include "bench/models/library.h"

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "cli/job_file.h"
#include "cli/model_source.h"
#include "compiler/codegen/codegen.h"
#include "compiler/schedule/default_trace.h"

namespace tessera::bench {
namespace {

struct Recorded {
  double seconds;
  std::string id, trace;
};

// The fastest record of each task, by key.
absl::StatusOr<std::map<std::string, Recorded>> ReadRecords(const std::string& path) {
  std::ifstream in(path);
  if (!in) return absl::NotFoundError(absl::StrCat("cannot open ", path));
  std::map<std::string, Recorded> best;
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    const auto record = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!record.is_object() || !record.contains("task_key") || !record.contains("trace")) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ":", number, ": is no record; use tessera log --format jsonl"));
    }
    const auto cost = record.find("cost_seconds");
    if (cost == record.end() || !cost->is_number()) continue;  // failed
    Recorded made{*cost, record["id"].dump(), record["trace"]};
    const auto [found, is_new] = best.try_emplace(record["task_key"], made);
    if (!is_new && made.seconds < found->second.seconds) found->second = std::move(made);
  }
  return best;
}

}  // namespace

absl::StatusOr<library::LibrarySpec> SpecOf(const graph::Plan& plan, const ModelOptions& options) {
  const ir::Target device = codegen::HostTarget();
  ir::Target target = device;
  target.max_threads = options.threads;
  // Names that functions may have, and keys of tasks as jobs of this device have them.
  TESSERA_ASSIGN_OR_RETURN(const cli::JobFile job, cli::ModelJob(options.source));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Task> tasks,
                           cli::MakeTasks(job, ir::ToString(device), options.threads));
  std::map<std::string, Recorded> best;
  if (!options.records.empty()) {
    TESSERA_ASSIGN_OR_RETURN(best, ReadRecords(options.records));
  }
  library::LibrarySpec spec;
  spec.name = "model";
  spec.versions = {{target, ""}};
  for (size_t t = 0; t < plan.tasks.size(); ++t) {
    library::Implementation made;
    const auto found = best.find(tasks[t].Key());
    absl::StatusOr<schedule::Trace> trace =
        found != best.end() ? schedule::ParseTrace(found->second.trace)
                            : schedule::DefaultTrace(plan.tasks[t].workload.dag, target);
    TESSERA_RETURN_IF_ERROR(Annotate(trace.status(), tasks[t].name));
    made.trace = *std::move(trace);
    made.is_default = found == best.end();
    if (!made.is_default) {
      made.record_ids = {found->second.id};
      made.measured_seconds = found->second.seconds;
    }
    library::LibraryOp op{.name = tasks[t].name, .workload = plan.tasks[t].workload};
    op.versions = {std::move(made)};
    spec.ops.push_back(std::move(op));
  }
  return spec;
}

}  // namespace tessera::bench
