#include <cstdio>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/status.h"
#include "cli/build_command.h"
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

// What was asked for takes: a model that was measured as a whole a run of it, others the sum of
// their kernels, weighted.
struct Times {
  double seconds = 0, default_seconds = 0;  // 0: not known
  std::string what;
};

Times TimesOf(const Report& report, const db::Selection& chosen) {
  if (chosen.in_place) {
    return {chosen.in_place->seconds, chosen.in_place->default_seconds, "a run takes"};
  }
  const WeightedTimes all = TimesOf(report);
  return {all.tuned_seconds, all.default_seconds, "the kernels together take"};
}

// NotMet where what was asked for takes more than it may.
absl::Status CheckDemands(const RequestOptions& options, const Report& report,
                          const db::Selection& chosen) {
  const Times times = TimesOf(report, chosen);
  if (options.min_speedup == 0 && options.max_latency.empty()) return absl::OkStatus();
  if (times.seconds == 0) {
    return NotMet(absl::StrCat("job ", report.job_id,
                               " ended before each operator had a measured program, so what was "
                               "demanded can't be judged; give a longer --max-wait"));
  }
  if (options.min_speedup > 0) {
    const double speedup = times.default_seconds / times.seconds;
    if (times.default_seconds == 0 || speedup < options.min_speedup) {
      return NotMet(absl::StrFormat(
          "--min-speedup %g is not met: %.3f over the default schedules (%s %s); give a larger "
          "--budget or demand less",
          options.min_speedup, speedup, times.what, TimeText(times.seconds)));
    }
  }
  if (options.max_latency.empty()) return absl::OkStatus();
  TESSERA_ASSIGN_OR_RETURN(const double limit,
                           PositiveSeconds("--max-latency", options.max_latency));
  if (times.seconds <= limit) return absl::OkStatus();
  return NotMet(absl::StrCat("--max-latency ", options.max_latency, " is not met: ", times.what,
                             " ", TimeText(times.seconds),
                             "; give a larger --budget or demand less"));
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
  TESSERA_ASSIGN_OR_RETURN(JobFile file, ReadSourceInterruptibly(options.source));
  if (options.max_error > 0 && file.model.empty()) {
    return absl::InvalidArgumentError(
        "--max-error is for models; `tessera verify` runs a library of operators");
  }
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  TESSERA_ASSIGN_OR_RETURN(PlannedJob planned, PlanJob(*client, file, tune));
  PrintFitting(stderr, planned.remark);
  TESSERA_ASSIGN_OR_RETURN(const db::Job job, FindOrCreate(*client, std::move(planned.job), file));
  PrintFitting(stderr, JobText(job));
  TESSERA_ASSIGN_OR_RETURN(const Report report,
                           WatchAndReport(*client, options.server, job.id, options.report, stderr));
  BuildOptions build;
  build.server = options.server;
  build.source = options.source;
  build.target = options.target;
  build.device_classes = {report.device_class};
  build.threads = options.threads;
  build.name = options.name;
  build.allow = options.allow;
  build.out = options.out;
  build.alone = options.alone;
  build.static_library = options.static_library;
  build.max_error = options.max_error;
  const InterruptHandler handler([&] { client->Interrupt(); });
  return BuildFrom(*client, build, std::move(file), [&](const db::Selection& chosen) {
    return CheckDemands(options, report, chosen);
  });
}

}  // namespace tessera::cli
