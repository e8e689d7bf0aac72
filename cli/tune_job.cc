#include "cli/tune_job.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fstream>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/durable_file.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/status.h"
#include "base/view.h"
#include "cli/device_class.h"
#include "cli/model_layouts.h"
#include "cli/model_source.h"
#include "cli/path_status.h"
#include "cli/progress_view.h"
#include "cli/tune_target.h"
#include "compiler/ir/target.h"
#include "proto/limits.h"

namespace tessera::cli {
namespace {

constexpr double kRivalWait = 0.2;  // of a job's time, for what is measured before it

absl::Status WriteReport(const Report& report, const std::string& path) {
  std::ofstream out(path);
  out << ToJson(report);
  out.close();
  return out ? absl::OkStatus() : ErrnoStatus(errno, "--report: cannot write", path);
}

// How to name a server in a command.
std::string ServerOption(const std::string& server) {
  return server == kDefaultServer ? "" : absl::StrCat(" --server ", server);
}

// Watches until the job has ended. Cancelled when interrupted, with how to go on.
absl::Status Watch(Client& client, const std::string& server, int64_t job) {
  ProgressView view(stderr, isatty(STDERR_FILENO) != 0, Clock::Real());
  std::atomic<bool> interrupted = false;
  const InterruptHandler handler([&] {
    interrupted = true;
    client.Interrupt();
  });
  const absl::Status status =
      client.WatchJob(job, [&](const proto::JobProgress& progress) { view.Show(progress); });
  view.Finish();
  if (interrupted) {
    const std::string at = ServerOption(server);
    return absl::CancelledError(absl::StrCat(
        "stopped watching job ", job, ", which goes on at its server: `tessera watch ", job, at,
        "` shows it again, `tessera jobs ", job, " --cancel", at, "` ends it"));
  }
  // A server that stops cancels its calls.
  return absl::IsCancelled(status) ? WentAway(server, StdView(status.message())) : status;
}

struct Ended {
  db::Job job;
  Report report;
};

absl::StatusOr<Ended> WatchToEnd(Client& client, const std::string& server, int64_t id) {
  TESSERA_RETURN_IF_ERROR(Watch(client, server, id));
  TESSERA_ASSIGN_OR_RETURN(db::Job job, client.GetJob(id));
  TESSERA_ASSIGN_OR_RETURN(Report report, MakeReport(client, job));
  return Ended{std::move(job), std::move(report)};
}

// Spreads the trials of all tasks together.
absl::Status SpreadBudget(int64_t budget, db::Job& job) {
  const auto tasks = static_cast<int64_t>(job.tasks.size());
  if (budget < tasks) {
    return absl::InvalidArgumentError(absl::StrCat("--budget ", budget, ": there are ", tasks,
                                                   " kernels, each of which takes a trial at "
                                                   "least; give ",
                                                   tasks, " or more"));
  }
  job.options.trials_per_task =
      static_cast<int>(std::min<int64_t>(budget / tasks, proto::kMaxTrialsPerTask));
  return absl::OkStatus();
}

constexpr int kMaxAttempts = 1000;
constexpr int kMaxListedJobs = 1000;

bool CameToNothing(const db::Job& job) {
  return job.state == db::JobState::kFailed || job.state == db::JobState::kCancelled;
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

std::string NameOfRivals(const JobFile& file) { return absl::StrCat(file.name, " layouts"); }

absl::Status AwaitRivals(Client& client, const std::string& server, int64_t job) {
  const absl::Status watched = Watch(client, server, job);
  return watched.ok() ? watched : WithNextStep(watched, StepOf(server, job));
}

// Jobs of MeasureRivals that somebody no longer waits for.
absl::Status AwaitEarlierRivals(Client& client, const JobFile& file, const std::string& server,
                                const std::string& device_class) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Job> jobs, client.ListJobs(kMaxListedJobs));
  for (const db::Job& job : jobs) {
    if (db::HasEnded(job.state) || job.name != NameOfRivals(file)) continue;
    if (job.options.device_class != device_class) continue;
    TESSERA_RETURN_IF_ERROR(AwaitRivals(client, server, job.id));
  }
  return absl::OkStatus();
}

// Which of their layouts are faster of a model's kernels, as far as the budget is for that:
// measured by a job of its own, whose end is waited for. What is left of the budget.
absl::StatusOr<int64_t> MeasureRivals(Client& client, const JobFile& file,
                                      const std::string& server, const KernelPlace& place,
                                      int64_t budget, db::Job& of_model) {
  TESSERA_ASSIGN_OR_RETURN(const RivalTrials rivals, SpendOnRivals(client, file, place, budget));
  if (rivals.operators.empty()) return budget;
  JobFile kernels;
  kernels.cache = file.cache;
  kernels.operators = rivals.operators;
  db::Job job;
  job.name = NameOfRivals(file);
  job.options.trials_per_task = rivals.trials;
  job.options.threads = of_model.options.threads;
  job.options.seed = of_model.options.seed;
  job.options.device_class = of_model.options.device_class;
  job.options.allow = of_model.options.allow;
  job.options.max_seconds = kRivalWait * of_model.options.max_seconds;
  of_model.options.max_seconds -= job.options.max_seconds;
  TESSERA_ASSIGN_OR_RETURN(job.tasks,
                           MakeTasks(kernels, ir::ToString(place.target), job.options.threads));
  const std::string key = KeyOf(job);
  TESSERA_ASSIGN_OR_RETURN(job, FindOrCreate(client, std::move(job), key, file));
  if (!db::HasEnded(job.state)) {
    PrintFitting(stderr, absl::StrCat("layouts: job ", job.id, " measures ", job.tasks.size(),
                                      " kernels of ", rivals.rivals,
                                      rivals.rivals == 1 ? " choice, " : " choices, ",
                                      rivals.trials, " trials each"));
    TESSERA_RETURN_IF_ERROR(AwaitRivals(client, server, job.id));
  }
  return rivals.budget_left;
}

// The job of an equal request, which has the same key unless it came to nothing.
absl::StatusOr<std::optional<db::Job>> FindEarlier(Client& client, const std::string& key,
                                                   const std::vector<db::Task>& tasks) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Job> jobs, client.ListJobs(kMaxListedJobs));
  for (const db::Job& job : jobs) {
    if (!job.options.idempotency_key.starts_with(key + "-") || CameToNothing(job)) continue;
    TESSERA_ASSIGN_OR_RETURN(db::Job found, client.GetJob(job.id));
    if (found.tasks == tasks) return found;
  }
  return std::nullopt;
}

// Plans a model's kernels in the layouts that are faster, as far as is known or a part of the
// budget tells. What is left of the budget.
absl::StatusOr<int64_t> PlanLayouts(Client& client, JobFile& file, const TuneOptions& options,
                                    const KernelPlace& place, PlannedJob& planned) {
  db::Job& job = planned.job;
  const bool waits = options.budget > 0 && !options.detach;
  if (waits) {
    TESSERA_RETURN_IF_ERROR(AwaitEarlierRivals(client, file, options.server, place.device_class));
  }
  const auto plan = [&]() -> absl::Status {
    TESSERA_ASSIGN_OR_RETURN(const ModelLayouts layouts,
                             PlanByLog(client, file, place, graph::Unmeasured::kTuned));
    planned.layouts = LayoutsText(layouts);
    TESSERA_ASSIGN_OR_RETURN(job.tasks,
                             MakeTasks(file, ir::ToString(place.target), job.options.threads));
    return absl::OkStatus();
  };
  TESSERA_RETURN_IF_ERROR(plan());
  if (!waits) return options.budget;
  db::Job asked = job;
  TESSERA_RETURN_IF_ERROR(SpreadBudget(options.budget, asked));
  planned.key = KeyOf(asked);
  TESSERA_ASSIGN_OR_RETURN(planned.earlier, FindEarlier(client, planned.key, job.tasks));
  if (planned.earlier) return options.budget;
  TESSERA_ASSIGN_OR_RETURN(const int64_t budget,
                           MeasureRivals(client, file, options.server, place, options.budget, job));
  if (budget == options.budget) return budget;
  TESSERA_RETURN_IF_ERROR(plan());
  asked.tasks = job.tasks;
  planned.key = KeyOf(asked);
  TESSERA_ASSIGN_OR_RETURN(planned.earlier, FindEarlier(client, planned.key, job.tasks));
  return budget;
}

}  // namespace

absl::StatusOr<db::Job> FindOrCreate(Client& client, db::Job job, const std::string& key,
                                     const JobFile& file) {
  for (int attempt = 1; attempt <= kMaxAttempts; ++attempt) {
    job.options.idempotency_key = absl::StrCat(key, "-", attempt);
    const absl::StatusOr<int64_t> id = client.CreateJob(job);
    if (absl::IsAlreadyExists(id.status())) continue;  // the same kernels by other names
    if (!id.ok()) return WithPlace(id.status(), file);
    TESSERA_ASSIGN_OR_RETURN(db::Job found, client.GetJob(*id));
    if (!CameToNothing(found)) return found;
  }
  return absl::FailedPreconditionError(absl::StrCat("the last ", kMaxAttempts,
                                                    " jobs of this request failed, or are of "
                                                    "other names; see `tessera jobs`, or ask for "
                                                    "another --budget"));
}

std::string StepOf(const std::string& server, int64_t job) {
  return absl::StrCat("; start it again on the same --data: job ", job,
                      " then goes on by itself, and `tessera watch ", job, ServerOption(server),
                      "` shows it");
}

absl::StatusOr<PlannedJob> PlanJob(Client& client, JobFile& file, const TuneOptions& options) {
  PlannedJob planned;
  db::Job& job = planned.job;
  job.name = file.name;
  job.options = file.options;
  if (options.trials > 0) job.options.trials_per_task = options.trials;
  if (options.threads > 0) job.options.threads = options.threads;
  if (options.seed >= 0) job.options.seed = static_cast<uint64_t>(options.seed);
  if (options.max_seconds > 0) job.options.max_seconds = options.max_seconds;
  if (!options.explorer.empty()) job.options.explorer = options.explorer;
  if (!options.cost_model.empty()) job.options.cost_model = options.cost_model;
  if (!options.prior.empty()) job.options.prior = options.prior;
  if (!options.scheduler.empty()) job.options.scheduler = options.scheduler;
  job.options.idempotency_key = options.key;
  job.options.allow = options.allow;
  if (!options.target.empty()) {
    TESSERA_RETURN_IF_ERROR(ir::ParseTarget(options.target).status());
  }
  TESSERA_RETURN_IF_ERROR(CheckDeviceClass(client, options.device_class));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Device> devices, client.ListDevices());
  TESSERA_ASSIGN_OR_RETURN(const TuneTarget chosen,
                           ChooseTuneTarget(devices, options.target, options.device_class,
                                            job.options.threads, Clock::Real().Now()));
  job.options.device_class = chosen.device_class;
  planned.remark = chosen.remark;
  TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(chosen.target));
  int64_t budget = options.budget;
  if (file.model.empty()) {
    TESSERA_ASSIGN_OR_RETURN(job.tasks, MakeTasks(file, chosen.target, job.options.threads));
  } else {
    const KernelPlace place{target, job.options.device_class, job.options.threads, options.allow};
    TESSERA_ASSIGN_OR_RETURN(budget, PlanLayouts(client, file, options, place, planned));
  }
  if (budget > 0) TESSERA_RETURN_IF_ERROR(SpreadBudget(budget, job));
  if (planned.key.empty()) planned.key = KeyOf(job);
  return planned;
}

absl::StatusOr<Report> WatchAndReport(Client& client, const std::string& server, int64_t id,
                                      const std::string& report_path, std::FILE* table) {
  absl::StatusOr<Ended> ended = WatchToEnd(client, server, id);
  if (!ended.ok()) return WithNextStep(ended.status(), StepOf(server, id));
  std::fputs(ToTable(ended->report).c_str(), table);
  if (!report_path.empty()) TESSERA_RETURN_IF_ERROR(WriteReport(ended->report, report_path));
  const db::Job& job = ended->job;
  if (job.state == db::JobState::kFailed) {
    return absl::InternalError(absl::StrCat("job ", id, " failed: ", job.message));
  }
  if (job.state == db::JobState::kCancelled) {
    return absl::CancelledError(absl::StrCat("job ", id, " was cancelled"));
  }
  return std::move(ended->report);
}

}  // namespace tessera::cli
