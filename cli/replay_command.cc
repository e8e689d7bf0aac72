#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>

#include "absl/strings/str_format.h"
#include "base/durable_file.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/path_status.h"
#include "cli/tables.h"
#include "costmodel/features.h"
#include "tuner/model_file.h"
#include "tuner/replay/ranking.h"
#include "tuner/replay/report.h"
#include "tuner/task_scheduler.h"
#include "tuner/trained_model.h"

namespace tessera::cli {
namespace {

using replay::NamedTable;

absl::StatusOr<std::vector<NamedTable>> OpenTables(const std::vector<std::string>& paths) {
  std::vector<NamedTable> tables;
  for (const std::string& path : paths) {
    const std::string name = std::filesystem::path(path).stem().string();
    for (const NamedTable& other : tables) {
      if (other.name != name) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "two data sets are called ", name, ", as one file of results would be; rename one"));
    }
    TESSERA_ASSIGN_OR_RETURN(auto table, replay::OpenTable(path));
    tables.push_back({name, std::move(table)});
  }
  return tables;
}

absl::Status MakeFolder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  return error ? PathStatus(error.value(), "cannot create", folder) : absl::OkStatus();
}

absl::Status WriteResult(const std::filesystem::path& folder, const std::string& name,
                         const std::string& text) {
  const std::string path = (folder / name).string();
  return WriteFileDurably(path, path + ".part", text, /*sync=*/false);
}

std::string ReachText(const replay::Reach& reach, int trials) {
  return absl::StrFormat("%s (%s to %s)", replay::TrialsText(reach.median, trials),
                         replay::TrialsText(reach.interval.low, trials),
                         replay::TrialsText(reach.interval.high, trials));
}

// The jobs over all tables, one for each scheduler and method.
absl::Status ReplayJobs(const std::vector<NamedTable>& named,
                        const std::vector<replay::Method>& methods, const ReplayOptions& options,
                        const replay::ReplayOptions& job) {
  constexpr double kMoments[] = {0.25, 0.5, 1};
  std::vector<std::shared_ptr<const replay::TableSpace>> tables;
  for (const NamedTable& table : named) tables.push_back(table.table);
  std::vector<std::string> titles = {"scheduler", "search"};
  for (const double share : kMoments) {
    titles.push_back(absl::StrFormat(">slowdown at %.0f %%", 100 * share));
  }
  Table shown(titles);
  std::vector<replay::JobSeries> results;
  for (const replay::Method& method : methods) {
    for (const std::string& scheduler : options.schedulers) {
      replay::JobSeries series = {method, scheduler, {}};
      for (int seed = 0; seed < options.seeds; ++seed) {
        TESSERA_ASSIGN_OR_RETURN(
            replay::JobRun run,
            replay::ReplayJob(tables, method, scheduler, static_cast<uint64_t>(seed), job));
        series.runs.push_back(std::move(run));
      }
      std::fprintf(stderr, "all by %s, %s: %zu runs\n", scheduler.c_str(),
                   replay::ToString(method).c_str(), series.runs.size());
      std::vector<std::string> cells = {scheduler, replay::ToString(method)};
      for (const double share : kMoments) {
        const replay::Slowdown at = replay::SlowdownAt(tables, series, share, job);
        cells.push_back(
            absl::StrFormat("%.3f (%.3f to %.3f)", at.median, at.interval.low, at.interval.high));
      }
      shown.Add(std::move(cells));
      results.push_back(std::move(series));
    }
  }
  TESSERA_RETURN_IF_ERROR(
      WriteResult(options.out, "schedulers.csv", replay::SchedulersCsv(tables, results)));
  std::printf(
      "\n%ssum over %zu data sets of best found ÷ of fastest, median of %d runs (and its 90 %% "
      "interval), at shares of %lld trials\n",
      shown.Text().c_str(), tables.size(), options.seeds,
      static_cast<long long>(options.trials) * static_cast<long long>(tables.size()));
  return absl::OkStatus();
}

absl::Status CheckSchedulers(const ReplayOptions& options) {
  for (const std::string& scheduler : options.schedulers) {
    TESSERA_RETURN_IF_ERROR(tuner::MakeTaskScheduler(scheduler).status());
  }
  if (options.schedulers.empty() || options.data.size() > 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "--scheduler compares jobs of several tasks; give --data more than once");
}

}  // namespace

absl::Status RunReplay(const ReplayOptions& options) {
  const bool with_prior = !options.prior.empty();
  TESSERA_ASSIGN_OR_RETURN(const std::vector<replay::Method> methods,
                           replay::MakeMethods(options.explorers, options.cost_models, with_prior));
  TESSERA_RETURN_IF_ERROR(CheckSchedulers(options));
  replay::ReplayOptions replay_options = {options.trials, options.in_flight};
  int version = 0;
  if (with_prior) {
    TESSERA_ASSIGN_OR_RETURN(tuner::ModelFile file, tuner::ReadModelFile(options.prior));
    const absl::Status usable = tuner::ReadModel(file.info, file.bytes).status();
    if (!usable.ok()) return Annotate(usable, options.prior);
    version = file.info.feature_version;
    replay_options.prior = {file.info.cost_model, std::move(file.bytes)};
  }
  TESSERA_ASSIGN_OR_RETURN(const std::vector<NamedTable> tables, OpenTables(options.data));
  for (const NamedTable& named : tables) {
    if (!with_prior || costmodel::FeatureVersionOfRows(named.table->FeatureCount()) == version) {
      continue;
    }
    return absl::InvalidArgumentError(
        absl::StrCat(options.prior, " is of feature version ", version, ", which programs of ",
                     named.name, " don't have: it is of another kind of device than they"));
  }
  TESSERA_RETURN_IF_ERROR(MakeFolder(options.out));

  std::vector<std::string> titles = {"data", "search"};
  for (const double share : replay::kShares) {
    titles.push_back(absl::StrFormat(">trials to %.0f %%", 100 * share));
  }
  Table shown(titles);
  std::vector<replay::TableResult> results;
  for (const NamedTable& table : tables) {
    const auto done = [&](const replay::Series& series) {
      std::fprintf(stderr, "%s, %s: %zu runs\n", table.name.c_str(),
                   replay::ToString(series.method).c_str(), series.runs.size());
      std::vector<std::string> cells = {table.name, replay::ToString(series.method)};
      for (const double share : replay::kShares) {
        cells.push_back(ReachText(replay::TrialsTo(*table.table, series, share), options.trials));
      }
      shown.Add(std::move(cells));
    };
    TESSERA_ASSIGN_OR_RETURN(
        replay::TableResult result,
        replay::ReplayAll(table.name, table.table, methods, options.seeds, replay_options, done));
    TESSERA_RETURN_IF_ERROR(
        WriteResult(options.out, table.name + ".svg", replay::CurvesSvg(result, options.trials)));
    results.push_back(std::move(result));
    // After each data set, so that a run that is ended keeps what it has.
    TESSERA_RETURN_IF_ERROR(WriteResult(options.out, "curves.csv", replay::CurvesCsv(results)));
    TESSERA_RETURN_IF_ERROR(
        WriteResult(options.out, "summary.csv", replay::SummaryCsv(results, options.trials)));
  }
  std::fputs(shown.Text().c_str(), stdout);
  std::printf(
      "median of %d runs (and its 90 %% interval) of the trials until the best was so near "
      "the fastest of the data set; %s/ has curves\n",
      options.seeds, options.out.c_str());
  return options.schedulers.empty() ? absl::OkStatus()
                                    : ReplayJobs(tables, methods, options, replay_options);
}

absl::Status RunRanking(const RankingOptions& options) {
  replay::RankingOptions how = {
      .target_rows = options.target_rows, .draws = options.draws, .max_rows = options.max_rows};
  TESSERA_ASSIGN_OR_RETURN(how.hold_out, replay::ParseHoldOut(options.hold_out));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<NamedTable> tables, OpenTables(options.data));
  TESSERA_ASSIGN_OR_RETURN(how.others, OpenTables(options.others));
  TESSERA_RETURN_IF_ERROR(MakeFolder(options.out));
  const auto done = [](absl::Span<const replay::Ranking> of_table) {
    const replay::Ranking& first = of_table[0];
    std::fprintf(stderr, "%s, %s: %.3f of the pairs\n", first.data.c_str(),
                 first.cost_model.c_str(), first.pairs);
  };
  std::vector<replay::Ranking> rankings;
  for (const std::string& cost_model : options.cost_models) {
    how.cost_model = cost_model;
    TESSERA_ASSIGN_OR_RETURN(const std::vector<replay::Ranking> more,
                             replay::RankTables(tables, how, done));
    rankings.insert(rankings.end(), more.begin(), more.end());
    TESSERA_RETURN_IF_ERROR(
        WriteResult(options.out, "ranking.csv", replay::RankingCsv(rankings, how.hold_out)));
  }
  Table shown(
      {"cost model", "learned from", ">own rows", ">pairs", ">top-1", ">top-5", ">least pairs"});
  for (const replay::RankingMeans& means : replay::MeansOf(rankings)) {
    shown.Add({means.cost_model, means.method, absl::StrCat(means.target_rows),
               absl::StrFormat("%.3f", means.pairs), absl::StrFormat("%.3f", means.top1),
               absl::StrFormat("%.3f", means.top5), absl::StrFormat("%.3f", means.least_pairs)});
  }
  std::fputs(shown.Text().c_str(), stdout);
  std::printf("means over %zu data sets, each judged by what differs in its %s; %s/ has each\n",
              tables.size(), options.hold_out.c_str(), options.out.c_str());
  return absl::OkStatus();
}

}  // namespace tessera::cli
