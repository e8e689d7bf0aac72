#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/statistics.h"
#include "tuner/cost_model_learner.h"
#include "tuner/replay/table_measurer.h"
#include "tuner/replay/table_space.h"

namespace tessera::replay {

// What searches. The cost model of an explorer that uses none is empty.
struct Method {
  std::string explorer, cost_model;
  bool with_prior = false;  // ReplayOptions::prior
  bool operator==(const Method&) const = default;
};
std::string CostModelOf(const Method& method);  // "xgboost", "xgboost+prior", ""
std::string ToString(const Method& method);     // "annealing + xgboost", "random"

// Each explorer with each cost model, those that use none once, and random, whether it is named or
// not: without it, no figure says what a search is worth. With a prior, searches by a model that
// can begin with one come a second time with it. InvalidArgument for unknown names, and for a prior
// that nobody begins with.
absl::StatusOr<std::vector<Method>> MakeMethods(absl::Span<const std::string> explorers,
                                                absl::Span<const std::string> cost_models,
                                                bool with_prior = false);

struct ReplayOptions {
  int trials = 256;
  int in_flight = 8;             // trials without a result when the next ones are proposed
  tuner::SavedModel prior = {};  // of other tasks, for methods with one
};

// One search of a data set: the rows in the order of their results. Fewer than the trials where the
// search found no more.
struct Run {
  uint64_t seed = 0;
  std::vector<int> rows;
  bool operator==(const Run&) const = default;
};

// A search of several data sets at once, as the tasks of one job.
struct JobRun {
  uint64_t seed = 0;
  std::vector<TableRow> rows;  // in the order of their results
  bool operator==(const JobRun&) const = default;
};

// A job over the tables, run to its end by the runner of live jobs, with results that need no time.
// options.trials are those of each. The tables' median programs weigh the same: weights by the
// fastest ones would tell schedulers how far they have to go. A function of its arguments.
// Thread-safe. InvalidArgument for an unknown scheduler (tuner/task_scheduler.h).
absl::StatusOr<JobRun> ReplayJob(absl::Span<const std::shared_ptr<const TableSpace>> tables,
                                 const Method& method, std::string_view scheduler, uint64_t seed,
                                 const ReplayOptions& options);

// After each trial Σ weight × best time so far ÷ Σ weight × the tables' fastest; infinity until
// each has a success.
std::vector<double> JobSlowdown(absl::Span<const std::shared_ptr<const TableSpace>> tables,
                                const JobRun& run);

// The runs of one method with one scheduler on all tables.
struct JobSeries {
  Method method;
  std::string scheduler;
  std::vector<JobRun> runs;
};

// How slow what the runs had found was after `share` of all their trials.
struct Slowdown {
  double median = 0;
  Interval interval;  // of the median, 90 %
};
Slowdown SlowdownAt(absl::Span<const std::shared_ptr<const TableSpace>> tables,
                    const JobSeries& series, double share, const ReplayOptions& options);

// The same job of one table. Every scheduler gives it the same trials.
absl::StatusOr<Run> Replay(const std::shared_ptr<const TableSpace>& table, const Method& method,
                           uint64_t seed, const ReplayOptions& options);

// The best time after each trial of a run; infinity before the first success.
std::vector<double> BestSeconds(const TableSpace& table, const Run& run);

// The runs of one method on one table, by seed.
struct Series {
  Method method;
  std::vector<Run> runs;
};

struct TableResult {
  std::string name;  // of the data set
  std::shared_ptr<const TableSpace> table;
  std::vector<Series> series;
};

// All methods with seeds 0 to seeds − 1. Calls `done` after each series.
absl::StatusOr<TableResult> ReplayAll(std::string name, std::shared_ptr<const TableSpace> table,
                                      absl::Span<const Method> methods, int seeds,
                                      const ReplayOptions& options,
                                      const std::function<void(const Series&)>& done);

// How many trials the runs took until their best was `share` of the table's best: best ÷ time. A
// run that did not get there counts as infinity.
struct Reach {
  int reached = 0;  // runs that got there
  double median = 0;
  Interval interval;  // of the median, 90 %
};
Reach TrialsTo(const TableSpace& table, const Series& series, double share);

// What is reported of each series.
inline constexpr double kShares[] = {0.95, 0.97, 0.99};

}  // namespace tessera::replay
