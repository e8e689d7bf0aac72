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
#include "tuner/replay/report.h"

namespace tessera::cli {
namespace {

struct NamedTable {
  std::string name;
  std::shared_ptr<const replay::TableSpace> table;
};

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

}  // namespace

absl::Status RunReplay(const ReplayOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<replay::Method> methods,
                           replay::MakeMethods(options.explorers, options.cost_models));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<NamedTable> tables, OpenTables(options.data));
  std::error_code error;
  std::filesystem::create_directories(options.out, error);
  if (error) return PathStatus(error.value(), "cannot create", options.out);

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
    TESSERA_ASSIGN_OR_RETURN(replay::TableResult result,
                             replay::ReplayAll(table.name, table.table, methods, options.seeds,
                                               {options.trials, options.in_flight}, done));
    TESSERA_RETURN_IF_ERROR(
        WriteResult(options.out, table.name + ".svg", replay::CurvesSvg(result, options.trials)));
    results.push_back(std::move(result));
  }
  TESSERA_RETURN_IF_ERROR(WriteResult(options.out, "curves.csv", replay::CurvesCsv(results)));
  TESSERA_RETURN_IF_ERROR(
      WriteResult(options.out, "summary.csv", replay::SummaryCsv(results, options.trials)));
  std::fputs(shown.Text().c_str(), stdout);
  std::printf(
      "median of %d runs (and its 90 %% interval) of the trials until the best was so near "
      "the fastest of the data set; %s/ has curves\n",
      options.seeds, options.out.c_str());
  return absl::OkStatus();
}

}  // namespace tessera::cli
