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
  return status;
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
  budget = std::min<int64_t>(budget, tasks * proto::kMaxTrialsPerTask);
  job.options.trials_per_task = static_cast<int>(budget / tasks);
  job.options.extra_trials = static_cast<int>(budget % tasks);
  return absl::OkStatus();
}

bool CameToNothing(const db::Job& job) {
  return job.state == db::JobState::kFailed || job.state == db::JobState::kCancelled;
}

// The same of equal requests, whoever makes them and whatever is known by then: of a model its
// tasks are those of the estimate's layouts, by its own names.
std::string KeyOf(const db::JobOptions& options, int64_t budget,
                  const std::vector<db::Task>& tasks) {
  std::string text = absl::StrCat(options.device_class, "\n", options.trials_per_task, "\n", budget,
                                  "\n", options.threads, "\n", options.seed, "\n", options.explorer,
                                  "\n", options.cost_model, "\n", options.prior, "\n",
                                  options.scheduler, "\n", options.max_seconds, "\n", options.pins,
                                  "\n", options.allow, "\n", options.idempotency_key, "\n");
  for (const db::Task& task : tasks) {
    absl::StrAppend(&text, task.name, " ", task.workload_hash, " ", task.target, " ", task.threads,
                    " ", std::string(db::ToString(task.cache_mode)), " ", task.weight, "\n");
  }
  return absl::StrCat("request-", Sha256Hex(text).substr(0, 32));
}

// The job of an equal request, unless it came to nothing; where there is none `next` is the key of
// the one to make.
absl::StatusOr<std::optional<db::Job>> FindEarlier(Client& client, const std::string& key,
                                                   std::string& next) {
  for (int attempt = 1;; ++attempt) {
    next = absl::StrCat(key, "-", attempt);
    TESSERA_ASSIGN_OR_RETURN(std::optional<db::Job> found, client.FindJob(next));
    if (!found || !CameToNothing(*found)) return found;
  }
}

// A job that measures which of their layouts are faster of a model's kernels, as far as the budget
// is for that; nullopt where it is for none.
absl::StatusOr<std::optional<db::Job>> StartRivals(Client& client, const JobFile& file,
                                                   const KernelPlace& place, int64_t budget,
                                                   const std::string& key,
                                                   const db::Job& of_model) {
  TESSERA_ASSIGN_OR_RETURN(const RivalTrials rivals, SpendOnRivals(client, file, place, budget));
  if (rivals.operators.empty()) return std::nullopt;
  JobFile kernels;
  kernels.cache = file.cache;
  kernels.operators = rivals.operators;
  db::Job job;
  job.name = absl::StrCat(file.name, " layouts");
  job.options.trials_per_task = rivals.trials;
  job.options.threads = of_model.options.threads;
  job.options.seed = of_model.options.seed;
  job.options.device_class = of_model.options.device_class;
  job.options.allow = of_model.options.allow;
  job.options.max_seconds = kRivalWait * of_model.options.max_seconds;
  job.options.idempotency_key = key;
  TESSERA_ASSIGN_OR_RETURN(job.tasks,
                           MakeTasks(kernels, ir::ToString(place.target), job.options.threads));
  TESSERA_ASSIGN_OR_RETURN(job, FindOrCreate(client, job, file));
  PrintFitting(stderr,
               absl::StrCat("layouts: job ", job.id, " measures ", job.tasks.size(), " kernels of ",
                            rivals.rivals, rivals.rivals == 1 ? " choice, " : " choices, ",
                            rivals.trials, " trials each"));
  return job;
}

// What a job of StartRivals leaves of a budget, and of the time of the model's job.
int64_t LeftBy(const db::Job& rivals, int64_t budget, db::Job& of_model) {
  of_model.options.max_seconds -= rivals.options.max_seconds;
  return budget - rivals.Trials();
}

// Plans a model's kernels in the layouts that are faster, as far as is known or a part of the
// budget tells: by a job of this key, which an equal request may have made; without a key by a new
// one. What is left of the budget.
absl::StatusOr<int64_t> PlanLayouts(Client& client, JobFile& file, const TuneOptions& options,
                                    const KernelPlace& place, const std::string& rivals_key,
                                    PlannedJob& planned) {
  db::Job& job = planned.job;
  const auto plan = [&]() -> absl::Status {
    TESSERA_ASSIGN_OR_RETURN(const ModelLayouts layouts,
                             PlanByLog(client, file, place, graph::Unmeasured::kTuned));
    planned.layouts = LayoutsText(layouts);
    TESSERA_ASSIGN_OR_RETURN(job.tasks,
                             MakeTasks(file, ir::ToString(place.target), job.options.threads));
    return absl::OkStatus();
  };
  const bool waits = options.budget > 0 && !options.detach;
  std::optional<db::Job> rivals;
  if (waits && !rivals_key.empty()) {
    TESSERA_ASSIGN_OR_RETURN(rivals, client.FindJob(rivals_key));
  }
  if (!rivals) {
    TESSERA_RETURN_IF_ERROR(plan());
    if (!waits) return options.budget;
    TESSERA_ASSIGN_OR_RETURN(rivals,
                             StartRivals(client, file, place, options.budget, rivals_key, job));
    if (!rivals) return options.budget;
  }
  // It ends by its own limit of time, done or not.
  if (!db::HasEnded(rivals->state)) {
    const absl::Status watched = Watch(client, options.server, rivals->id);
    if (!watched.ok()) return WithNextStep(watched, StepOf(options.server, rivals->id));
  }
  TESSERA_RETURN_IF_ERROR(plan());
  return LeftBy(*rivals, options.budget, job);
}

// Has `job`, of a model, be the one that its key is taken by where that is of the same kernels, in
// whatever layouts: what the log says of them changes. What is different then, the server refuses.
absl::StatusOr<bool> TakeUp(Client& client, int64_t budget, const std::string& rivals_key,
                            db::Job& job) {
  TESSERA_ASSIGN_OR_RETURN(const std::optional<db::Job> stored,
                           client.FindJob(job.options.idempotency_key));
  if (!stored) return false;
  TESSERA_ASSIGN_OR_RETURN(const bool is_same, AreSameButForLayouts(stored->tasks, job.tasks));
  if (!is_same) return true;
  job.tasks = stored->tasks;
  TESSERA_ASSIGN_OR_RETURN(const std::optional<db::Job> rivals, client.FindJob(rivals_key));
  if (rivals) budget = LeftBy(*rivals, budget, job);
  if (budget > 0) TESSERA_RETURN_IF_ERROR(SpreadBudget(budget, job));
  return true;
}

}  // namespace

absl::StatusOr<db::Job> FindOrCreate(Client& client, const db::Job& job, const JobFile& file) {
  const absl::StatusOr<int64_t> id = client.CreateJob(job);
  if (absl::IsAlreadyExists(id.status())) {
    // What it knew of layouts was different.
    TESSERA_ASSIGN_OR_RETURN(std::optional<db::Job> found,
                             client.FindJob(job.options.idempotency_key));
    if (found) return *std::move(found);
  }
  if (!id.ok()) return WithPlace(id.status(), file);
  return client.GetJob(*id);
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
  const bool is_model = !file.model.empty();
  if (is_model && options.as_request) {
    TESSERA_RETURN_IF_ERROR(CheckRunsModels(chosen.target, chosen.device_class));
  }
  if (is_model) TESSERA_RETURN_IF_ERROR(PlanFor(file, target).status());
  TESSERA_ASSIGN_OR_RETURN(job.tasks, MakeTasks(file, chosen.target, job.options.threads));
  const std::string key = KeyOf(job.options, options.budget, job.tasks);
  const bool is_repeatable = options.as_request || !options.key.empty();
  const std::string rivals_key = is_repeatable ? absl::StrCat(key, "-layouts") : "";
  if (options.as_request) {
    TESSERA_ASSIGN_OR_RETURN(planned.earlier,
                             FindEarlier(client, key, job.options.idempotency_key));
    if (planned.earlier) return planned;
  }
  if (options.budget > 0) TESSERA_RETURN_IF_ERROR(SpreadBudget(options.budget, job));
  if (!is_model) return planned;
  if (!options.key.empty()) {
    TESSERA_ASSIGN_OR_RETURN(const bool is_there, TakeUp(client, options.budget, rivals_key, job));
    planned.is_there = is_there;
    if (is_there) return planned;
  }
  const KernelPlace place{target, job.options.device_class, job.options.threads, options.allow};
  TESSERA_ASSIGN_OR_RETURN(const int64_t budget,
                           PlanLayouts(client, file, options, place, rivals_key, planned));
  if (budget > 0) TESSERA_RETURN_IF_ERROR(SpreadBudget(budget, job));
  return planned;
}

absl::StatusOr<Report> WatchAndReport(Client& client, const std::string& server, int64_t id,
                                      const std::string& report_path, const MeasureInPlace& measure,
                                      std::FILE* table) {
  absl::StatusOr<Ended> ended = WatchToEnd(client, server, id);
  if (!ended.ok()) return WithNextStep(ended.status(), StepOf(server, id));
  std::fputs(ToTable(ended->report).c_str(), table);
  std::fflush(table);
  const db::Job& job = ended->job;
  absl::Status measured;
  if (measure && job.state == db::JobState::kDone) {
    absl::StatusOr<InPlace> in_place = measure(job, ended->report);
    measured = in_place.status();
    if (in_place.ok()) ended->report.in_place = *std::move(in_place);
  }
  if (!report_path.empty()) TESSERA_RETURN_IF_ERROR(WriteReport(ended->report, report_path));
  if (job.state == db::JobState::kFailed) {
    return absl::InternalError(absl::StrCat("job ", id, " failed: ", job.message));
  }
  if (job.state == db::JobState::kCancelled) {
    return absl::CancelledError(absl::StrCat("job ", id, " was cancelled"));
  }
  if (absl::IsCancelled(measured)) {
    return absl::CancelledError(absl::StrCat("interrupted; job ", id,
                                             " is done, and what it measured is kept for `tessera "
                                             "build` or the same request"));
  }
  TESSERA_RETURN_IF_ERROR(measured);
  return std::move(ended->report);
}

}  // namespace tessera::cli
