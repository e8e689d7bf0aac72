#include <cstdio>

#include "base/interrupt.h"
#include "base/status.h"
#include "cli/build_command.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/library_executor.h"
#include "cli/model_source.h"
#include "cli/model_upload.h"
#include "cli/operator_source.h"
#include "cli/path_status.h"
#include "cli/progress_view.h"
#include "cli/tables.h"
#include "cli/tune_job.h"
#include "proto/checks.h"
#include "proto/limits.h"

namespace tessera::cli {
namespace {

// The library that `tessera build` would make of what was tuned.
BuildOptions LikeJob(const TuneOptions& options, const db::Job& job) {
  BuildOptions build;
  build.server = options.server;
  build.source = options.source;
  build.target = options.target;
  build.threads = job.options.threads;
  build.allow = job.options.allow;
  build.device_classes = {job.options.device_class};
  return build;
}

}  // namespace

absl::Status RunTune(const TuneOptions& options) {
  BlockInterrupts();
  TESSERA_ASSIGN_OR_RETURN(
      JobFile file, ReadSourceInterruptibly(options.source, LibraryExecutor(options.server)));
  proto::Checks check;
  check.Name("--key", options.key, proto::kMaxNameBytes);
  TESSERA_RETURN_IF_ERROR(check.status());
  TESSERA_RETURN_IF_ERROR(CheckWritable("--report", options.report));
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  TESSERA_ASSIGN_OR_RETURN(PlannedJob planned, PlanJob(*client, file, options));
  db::Job& job = planned.job;
  if (!planned.is_there) {
    TESSERA_RETURN_IF_ERROR(NameModel(*client, file, LibraryName(LikeJob(options, job)), job));
  }
  const absl::StatusOr<int64_t> id = client->CreateJob(job);
  if (!id.ok()) return WithPlace(id.status(), file);
  PrintFitting(stderr, planned.remark);
  PrintFitting(stderr, planned.layouts);
  if (!file.model.empty()) {
    const absl::Status runs = CheckRunsModels(job.tasks[0].target, job.options.device_class);
    if (!runs.ok()) {
      std::fprintf(stderr, "warning: this measures a model's kernels, but %s\n",
                   std::string(runs.message()).c_str());
    }
  }
  if (options.detach) {
    std::printf("%ld\n", static_cast<long>(*id));
    return absl::OkStatus();
  }
  job.id = *id;
  PrintFitting(stderr, JobText(job));
  const MeasureInPlace measure = [&](const db::Job& done,
                                     const Report&) -> absl::StatusOr<InPlace> {
    if (done.selection == 0) return std::nullopt;  // NameModel says of which jobs
    const absl::StatusOr<ChosenLibrary> chosen =
        ChooseLibrary(*client, LikeJob(options, done), file);
    if (chosen.ok()) return chosen->selection.in_place;
    if (absl::IsCancelled(chosen.status())) return chosen.status();
    const absl::Status why = WithNextStep(chosen.status(), "; start it again");
    std::fprintf(stderr,
                 "warning: the job is done, but its model is not measured as a whole: %s; `tessera "
                 "build` tries again\n",
                 std::string(why.message()).c_str());
    return std::nullopt;
  };
  return WatchAndReport(*client, options.server, *id, options.report, measure, stdout).status();
}

absl::Status RunWatch(const JobOptions& options) {
  BlockInterrupts();
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  const absl::StatusOr<db::Job> job = client->GetJob(options.job);
  if (!job.ok()) return WithNextStep(job.status(), StepOf(options.server, options.job));
  PrintFitting(stderr, JobText(*job));
  return WatchAndReport(*client, options.server, options.job, "", nullptr, stdout).status();
}

}  // namespace tessera::cli
