#include "tuner/replay/replay.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "base/clock.h"
#include "base/status.h"
#include "base/view.h"
#include "db/record/memory_store.h"
#include "tuner/explorer.h"
#include "tuner/job_runner.h"

namespace tessera::replay {
namespace {

constexpr char kRandom[] = "random";
constexpr double kConfidence = 0.9;

double WeightOf(const TableSpace& table) {
  std::vector<double> seconds;
  for (const Row& row : table.dataset().rows) {
    if (row.outcome == db::Outcome::kOk) seconds.push_back(row.seconds);
  }
  return 1 / Median(seconds);
}

}  // namespace

std::string ToString(const Method& method) {
  return method.cost_model.empty() ? method.explorer
                                   : absl::StrCat(method.explorer, " + ", CostModelOf(method));
}

std::string CostModelOf(const Method& method) {
  return absl::StrCat(method.cost_model, method.with_prior ? "+prior" : "");
}

absl::StatusOr<std::vector<Method>> MakeMethods(absl::Span<const std::string> explorers,
                                                absl::Span<const std::string> cost_models,
                                                bool with_prior) {
  std::vector<Method> methods = {{kRandom, ""}};
  const auto add = [&](Method method) {
    if (std::ranges::find(methods, method) == methods.end()) methods.push_back(std::move(method));
  };
  for (const std::string& cost_model : cost_models) {
    TESSERA_RETURN_IF_ERROR(tuner::MakeLearner(cost_model, 0).status());
  }
  for (const std::string& name : explorers) {
    TESSERA_ASSIGN_OR_RETURN(const auto explorer, tuner::MakeExplorer(name));
    if (!explorer->UsesModel()) {
      add({name, ""});
      continue;
    }
    for (const std::string& cost_model : cost_models) {
      add({name, cost_model});
      if (with_prior && cost_model == tuner::kWithPrior) add({name, cost_model, true});
    }
  }
  if (with_prior && std::ranges::none_of(methods, &Method::with_prior)) {
    return absl::InvalidArgumentError(
        absl::StrCat("no search begins with the prior; one that learns does, with cost model ",
                     AbslView(tuner::kWithPrior)));
  }
  return methods;
}

absl::StatusOr<JobRun> ReplayJob(absl::Span<const std::shared_ptr<const TableSpace>> tables,
                                 const Method& method, std::string_view scheduler, uint64_t seed,
                                 const ReplayOptions& options) {
  db::Job job;
  job.name = "replay";
  for (const auto& table : tables) {
    job.tasks.push_back(table->dataset().task);
    job.tasks.back().weight = WeightOf(*table);
  }
  job.options.trials_per_task = options.trials;
  job.options.threads = job.tasks[0].threads;
  job.options.seed = seed;
  job.options.explorer = method.explorer;
  job.options.scheduler = std::string(scheduler);
  if (!method.cost_model.empty()) job.options.cost_model = method.cost_model;
  TESSERA_ASSIGN_OR_RETURN(
      const auto learner,
      tuner::MakeLearner(job.options.cost_model, job.options.seed,
                         method.with_prior ? options.prior : tuner::SavedModel()));
  ManualClock clock;
  db::MemoryStore store(clock);
  TableMeasurer measurer(tables, options.in_flight);
  tuner::InlineExecutor executor;
  tuner::SearchOptions search;
  search.rivals = 0;  // each program has one time
  TESSERA_ASSIGN_OR_RETURN(const int64_t id, store.CreateJob(job));
  TESSERA_ASSIGN_OR_RETURN(job, store.GetJob(id));
  TESSERA_ASSIGN_OR_RETURN(
      const auto runner,
      tuner::JobRunner::Create(
          std::move(job),
          {{tables.begin(), tables.end()}, learner, store, measurer, executor, clock}, search));
  while (runner->Step()) {
    clock.Advance(absl::Milliseconds(1));
    measurer.Deliver();
  }
  // A job of which every trial failed has failed as well, but its tasks are done.
  const auto progress = runner->Progress();
  for (const tuner::TaskProgress& task : progress->tasks) {
    if (!task.done) return absl::InternalError(progress->message);
  }
  return JobRun{seed, measurer.delivered()};
}

std::vector<double> JobSlowdown(absl::Span<const std::shared_ptr<const TableSpace>> tables,
                                const JobRun& run) {
  const double infinity = std::numeric_limits<double>::infinity();
  std::vector<double> weights, bests(tables.size(), infinity), slowdowns;
  double fastest = 0;
  for (const auto& table : tables) {
    weights.push_back(WeightOf(*table));
    fastest += weights.back() * table->best_seconds();
  }
  for (const TableRow& at : run.rows) {
    const Row& row = tables[at.table]->row(at.row);
    double& best = bests[at.table];
    if (row.outcome == db::Outcome::kOk) best = std::min(best, weights[at.table] * row.seconds);
    slowdowns.push_back(std::accumulate(bests.begin(), bests.end(), 0.0) / fastest);
  }
  return slowdowns;
}

Slowdown SlowdownAt(absl::Span<const std::shared_ptr<const TableSpace>> tables,
                    const JobSeries& series, double share, const ReplayOptions& options) {
  const double trials = share * options.trials * static_cast<double>(tables.size());
  std::vector<double> slowdowns;
  for (const JobRun& run : series.runs) {
    const std::vector<double> by_trial = JobSlowdown(tables, run);
    // A run that ended before that stays where it is.
    const size_t at = std::min(static_cast<size_t>(trials), by_trial.size());
    slowdowns.push_back(at == 0 ? std::numeric_limits<double>::infinity() : by_trial[at - 1]);
  }
  return {Median(slowdowns), MedianInterval(slowdowns, kConfidence, Rng(0))};
}

absl::StatusOr<Run> Replay(const std::shared_ptr<const TableSpace>& table, const Method& method,
                           uint64_t seed, const ReplayOptions& options) {
  const std::shared_ptr<const TableSpace> tables[] = {table};
  TESSERA_ASSIGN_OR_RETURN(const JobRun run, ReplayJob(tables, method, "fair", seed, options));
  Run rows = {seed, {}};
  for (const TableRow& at : run.rows) rows.rows.push_back(at.row);
  return rows;
}

std::vector<double> BestSeconds(const TableSpace& table, const Run& run) {
  std::vector<double> best;
  double seconds = std::numeric_limits<double>::infinity();
  for (const int index : run.rows) {
    const Row& row = table.row(index);
    if (row.outcome == db::Outcome::kOk) seconds = std::min(seconds, row.seconds);
    best.push_back(seconds);
  }
  return best;
}

absl::StatusOr<TableResult> ReplayAll(std::string name, std::shared_ptr<const TableSpace> table,
                                      absl::Span<const Method> methods, int seeds,
                                      const ReplayOptions& options,
                                      const std::function<void(const Series&)>& done) {
  TableResult result = {std::move(name), std::move(table), {}};
  for (const Method& method : methods) {
    Series series = {method, {}};
    for (int seed = 0; seed < seeds; ++seed) {
      absl::StatusOr<Run> run = Replay(result.table, method, static_cast<uint64_t>(seed), options);
      if (!run.ok()) {
        return Annotate(run.status(), absl::StrCat(result.name, ", ", ToString(method)));
      }
      series.runs.push_back(*std::move(run));
    }
    done(series);
    result.series.push_back(std::move(series));
  }
  return result;
}

Reach TrialsTo(const TableSpace& table, const Series& series, double share) {
  std::vector<double> trials;
  Reach reach;
  for (const Run& run : series.runs) {
    const std::vector<double> best = BestSeconds(table, run);
    const auto found = std::ranges::find_if(
        best, [&](double seconds) { return table.best_seconds() >= share * seconds; });
    reach.reached += found != best.end();
    trials.push_back(found == best.end() ? std::numeric_limits<double>::infinity()
                                         : static_cast<double>(found - best.begin() + 1));
  }
  reach.median = Median(trials);
  reach.interval = MedianInterval(trials, kConfidence, Rng(0));
  return reach;
}

}  // namespace tessera::replay
