#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/status.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/operator_source.h"
#include "cli/path_status.h"
#include "cli/progress_view.h"
#include "cli/tables.h"
#include "cli/text.h"
#include "cli/tune_job.h"

namespace tessera::cli {
namespace {

constexpr int kMaxAttempts = 1000;

absl::StatusOr<double> PositiveSeconds(const char* option, const std::string& text) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration <= absl::ZeroDuration() ||
      duration == absl::InfiniteDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat(option, " ", text, ": expected a time such as 20m, 90s or 5ms"));
  }
  return absl::ToDoubleSeconds(duration);
}

// The same of equal requests, whoever makes them.
std::string KeyOf(const db::Job& job) {
  std::string text = absl::StrCat(job.options.device_class, "\n", job.options.trials_per_task, "\n",
                                  job.options.threads, "\n", job.options.seed, "\n",
                                  job.options.scheduler, "\n", job.options.max_seconds, "\n");
  if (!job.options.allow.empty()) absl::StrAppend(&text, "allow ", job.options.allow, "\n");
  for (const db::Task& task : job.tasks) absl::StrAppend(&text, task.Key(), " ", task.weight, "\n");
  return absl::StrCat("request-", Sha256Hex(text).substr(0, 32));
}

// The job of an earlier equal request, unless it came to nothing, else a new one.
absl::StatusOr<db::Job> FindOrCreate(Client& client, db::Job job, const JobFile& file) {
  const std::string key = KeyOf(job);
  for (int attempt = 1; attempt <= kMaxAttempts; ++attempt) {
    job.options.idempotency_key = absl::StrCat(key, "-", attempt);
    const absl::StatusOr<int64_t> id = client.CreateJob(job);
    if (!id.ok()) return WithPlace(id.status(), file);
    TESSERA_ASSIGN_OR_RETURN(db::Job found, client.GetJob(*id));
    if (found.state != db::JobState::kFailed && found.state != db::JobState::kCancelled) {
      return found;
    }
  }
  return absl::FailedPreconditionError(absl::StrCat("the last ", kMaxAttempts,
                                                    " jobs of this request failed; see `tessera "
                                                    "jobs`, or ask for another --budget"));
}

// What the request is for takes by its kernels' measured times; NotMet where that is more than it
// may be.
absl::Status CheckDemands(const RequestOptions& options, const Report& report) {
  const WeightedTimes all = TimesOf(report);
  if (options.min_speedup == 0 && options.max_latency.empty()) return absl::OkStatus();
  if (all.tuned_seconds == 0) {
    return NotMet(absl::StrCat("job ", report.job_id,
                               " ended before each operator had a measured program, so what was "
                               "demanded can't be judged; give a longer --max-wait"));
  }
  if (options.min_speedup > 0) {
    const double speedup = all.default_seconds / all.tuned_seconds;
    if (all.default_seconds == 0 || speedup < options.min_speedup) {
      return NotMet(absl::StrFormat(
          "--min-speedup %g is not met: %.3f over the default schedules (%s); give a larger "
          "--budget or demand less",
          options.min_speedup, speedup, TimeText(all.tuned_seconds)));
    }
  }
  if (options.max_latency.empty()) return absl::OkStatus();
  TESSERA_ASSIGN_OR_RETURN(const double limit,
                           PositiveSeconds("--max-latency", options.max_latency));
  if (all.tuned_seconds <= limit) return absl::OkStatus();
  return NotMet(absl::StrCat("--max-latency ", options.max_latency,
                             " is not met: the kernels take ", TimeText(all.tuned_seconds),
                             " together; give a larger --budget or demand less"));
}

}  // namespace

absl::Status RunRequest(const RequestOptions& options) {
  BlockInterrupts();
  TuneOptions tune;
  tune.server = options.server;
  tune.target = options.target;
  tune.device_class = options.device_class;
  tune.budget = options.budget;
  tune.threads = options.threads;
  tune.report = options.report;
  tune.allow = options.allow;
  TESSERA_ASSIGN_OR_RETURN(tune.max_seconds, PositiveSeconds("--max-wait", options.max_wait));
  if (!options.max_latency.empty()) {
    TESSERA_RETURN_IF_ERROR(PositiveSeconds("--max-latency", options.max_latency).status());
  }
  TESSERA_RETURN_IF_ERROR(CheckWritable("--report", options.report));
  TESSERA_ASSIGN_OR_RETURN(JobFile file, ReadSource(options.source));
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  TESSERA_ASSIGN_OR_RETURN(PlannedJob planned, PlanJob(*client, file, tune));
  PrintFitting(stderr, planned.remark);
  TESSERA_ASSIGN_OR_RETURN(const db::Job job, FindOrCreate(*client, std::move(planned.job), file));
  PrintFitting(stderr, JobText(job));
  TESSERA_ASSIGN_OR_RETURN(const Report report,
                           WatchAndReport(*client, options.server, job.id, options.report, stderr));
  TESSERA_RETURN_IF_ERROR(CheckDemands(options, report));
  BuildOptions build;
  build.server = options.server;
  build.source = options.source;
  build.target = options.target;
  build.device_classes = {report.device_class};
  build.threads = options.threads;
  build.name = options.name;
  build.allow = options.allow;
  build.out = options.out;
  return RunBuild(build);
}

}  // namespace tessera::cli
