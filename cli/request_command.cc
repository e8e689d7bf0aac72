#include <cstdio>
#include <string>
#include <utility>

#include "base/interrupt.h"
#include "base/status.h"
#include "cli/build_command.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/library_executor.h"
#include "cli/model_upload.h"
#include "cli/operator_source.h"
#include "cli/path_status.h"
#include "cli/progress_view.h"
#include "cli/tables.h"
#include "cli/text.h"
#include "cli/time_demands.h"
#include "cli/tune_job.h"

namespace tessera::cli {

absl::Status RunRequest(const RequestOptions& options) {
  BlockInterrupts();
  TuneOptions tune;
  tune.server = options.server;
  tune.target = options.target;
  tune.device_class = options.device_class;
  tune.as_request = true;
  tune.budget = options.budget;
  tune.threads = options.threads;
  tune.report = options.report;
  tune.allow = options.allow;
  TESSERA_ASSIGN_OR_RETURN(tune.max_seconds, PositiveSeconds("--max-wait", options.max_wait));
  if (!options.max_latency.empty()) {
    TESSERA_RETURN_IF_ERROR(PositiveSeconds("--max-latency", options.max_latency).status());
  }
  TESSERA_RETURN_IF_ERROR(CheckWritable("--report", options.report));
  BuildOptions build;
  build.server = options.server;
  build.source = options.source;
  build.target = options.target;
  build.threads = options.threads;
  build.name = options.name;
  build.allow = options.allow;
  build.out = options.out;
  build.alone = options.alone;
  build.static_library = options.static_library;
  build.max_error = options.max_error;
  TESSERA_RETURN_IF_ERROR(CheckPlace(build));
  TESSERA_ASSIGN_OR_RETURN(
      JobFile file, ReadSourceInterruptibly(options.source, LibraryExecutor(options.server)));
  if (options.max_error > 0 && file.model.empty()) {
    return absl::InvalidArgumentError(
        "--max-error is for models; `tessera verify` runs a library of operators");
  }
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  TESSERA_ASSIGN_OR_RETURN(PlannedJob planned, PlanJob(*client, file, tune));
  PrintFitting(stderr, planned.remark);
  db::Job job;
  if (planned.earlier) {
    job = *std::move(planned.earlier);
  } else {
    if (!options.alone) {
      TESSERA_RETURN_IF_ERROR(NameModel(*client, file, LibraryName(build), planned.job));
    }
    TESSERA_ASSIGN_OR_RETURN(job, FindOrCreate(*client, planned.job, file));
  }
  PrintFitting(stderr, JobText(job));
  ChosenLibrary chosen;
  const MeasureInPlace choose = [&](const db::Job&, const Report& made) -> absl::StatusOr<InPlace> {
    build.device_classes = {made.device_class};
    TESSERA_ASSIGN_OR_RETURN(chosen, ChooseLibrary(*client, build, file));
    return chosen.selection.in_place;
  };
  const absl::StatusOr<Report> report =
      WatchAndReport(*client, options.server, job.id, options.report, choose, stderr);
  if (!report.ok()) return report.status();
  TESSERA_RETURN_IF_ERROR(CheckTimes(options, *report, chosen.selection, file.model.size()));
  return SayWhatIsKept(BuildChosen(*client, build, file, chosen));
}

}  // namespace tessera::cli
