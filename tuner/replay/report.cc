#include "tuner/replay/report.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/view.h"
#include "tuner/replay/plot.h"

namespace tessera::replay {
namespace {

std::string Cells(const TableResult& result, const Method& method) {
  return absl::StrCat(Cell(result.name), ",", method.explorer, ",", CostModelOf(method));
}

double Quantile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

PlotLine LineOf(const TableSpace& table, const Series& series) {
  PlotLine line = {ToString(series.method)};
  std::vector<std::vector<double>> curves;
  size_t trials = 0;
  for (const Run& run : series.runs) {
    curves.push_back(BestSeconds(table, run));
    trials = std::max(trials, curves.back().size());
  }
  for (size_t trial = 0; trial < trials; ++trial) {
    std::vector<double> shares;
    for (const std::vector<double>& curve : curves) {
      if (curve.empty()) continue;
      // A run that found no more stays where it is. Nothing yet is a share of 0.
      shares.push_back(table.best_seconds() / curve[std::min(trial, curve.size() - 1)]);
    }
    std::sort(shares.begin(), shares.end());
    line.low.push_back(Quantile(shares, 0.25));
    line.middle.push_back(Quantile(shares, 0.5));
    line.high.push_back(Quantile(shares, 0.75));
  }
  return line;
}

}  // namespace

std::string Cell(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string TrialsText(double trials, int budget) {
  return std::isfinite(trials) ? absl::StrCat(trials) : absl::StrCat(">", budget);
}

std::string CurvesCsv(absl::Span<const TableResult> results) {
  std::string text = "data,explorer,cost_model,seed,trial,best_seconds,share_of_best\n";
  for (const TableResult& result : results) {
    for (const Series& series : result.series) {
      for (const Run& run : series.runs) {
        const std::vector<double> best = BestSeconds(*result.table, run);
        for (size_t i = 0; i < best.size(); ++i) {
          const bool is_new = i == 0 || best[i] != best[i - 1];
          if (!std::isfinite(best[i]) || (!is_new && i + 1 != best.size())) continue;
          absl::StrAppendFormat(&text, "%s,%d,%d,%.6g,%.5f\n", Cells(result, series.method),
                                run.seed, i + 1, best[i], result.table->best_seconds() / best[i]);
        }
      }
    }
  }
  return text;
}

std::string SummaryCsv(absl::Span<const TableResult> results, int trials) {
  std::string text =
      "data,explorer,cost_model,rows,runs,share,reached,trials_median,trials_low,trials_high\n";
  for (const TableResult& result : results) {
    for (const Series& series : result.series) {
      for (const double share : kShares) {
        const Reach reach = TrialsTo(*result.table, series, share);
        absl::StrAppend(&text, Cells(result, series.method), ",",
                        result.table->dataset().rows.size(), ",", series.runs.size(), ",", share,
                        ",", reach.reached, ",", TrialsText(reach.median, trials), ",",
                        TrialsText(reach.interval.low, trials), ",",
                        TrialsText(reach.interval.high, trials), "\n");
      }
    }
  }
  return text;
}

std::string SchedulersCsv(absl::Span<const std::shared_ptr<const TableSpace>> tables,
                          absl::Span<const JobSeries> results) {
  std::string text = "scheduler,explorer,cost_model,seed,trial,slowdown\n";
  for (const JobSeries& series : results) {
    for (const JobRun& run : series.runs) {
      const std::vector<double> slowdowns = JobSlowdown(tables, run);
      for (size_t i = 0; i < slowdowns.size(); ++i) {
        const bool is_new = i == 0 || slowdowns[i] != slowdowns[i - 1];
        if (!std::isfinite(slowdowns[i]) || (!is_new && i + 1 != slowdowns.size())) continue;
        absl::StrAppendFormat(&text, "%s,%s,%s,%d,%d,%.5f\n", series.scheduler,
                              series.method.explorer, CostModelOf(series.method), run.seed, i + 1,
                              slowdowns[i]);
      }
    }
  }
  return text;
}

std::string CurvesSvg(const TableResult& result, int trials) {
  const Dataset& dataset = result.table->dataset();
  Plot plot;
  plot.title = absl::StrCat(result.name, ": best program so far");
  plot.subtitle =
      absl::StrCat(dataset.rows.size(), " ", std::string(ToString(dataset.kind)), " programs of ",
                   dataset.task.name, " on ", dataset.device_class, "; median and middle half of ",
                   result.series.empty() ? 0 : result.series[0].runs.size(), " runs");
  plot.trials = trials;
  for (const Series& series : result.series) plot.lines.push_back(LineOf(*result.table, series));
  return ToSvg(plot);
}

}  // namespace tessera::replay
