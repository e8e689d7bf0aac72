#include "cli/importance.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "cli/log_query.h"
#include "cli/recorded_task.h"
#include "cli/tables.h"
#include "compiler/te/operators.h"
#include "costmodel/features.h"

namespace tessera::cli {
absl::StatusOr<ImportanceReport> MakeImportance(Client& client, const std::string& wanted,
                                                const std::string& device_class) {
  ImportanceReport report;
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Task> tasks, client.ListTasks());
  TESSERA_ASSIGN_OR_RETURN(report.task, FindOneTask(client, tasks, wanted));
  TESSERA_ASSIGN_OR_RETURN(report.device_class, ChooseClassOf(client, report.task, device_class));
  TESSERA_ASSIGN_OR_RETURN(const te::Workload workload, te::ParseWorkload(report.task.workload));
  TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(report.task.target));

  db::RecordFilter filter;
  filter.device_class = report.device_class;
  filter.newest_first = true;
  filter.limit = kMaxImportancePrograms;
  std::vector<double> costs;
  costmodel::TrainingData data;
  data.columns = costmodel::FeatureCount(target.kind);
  const auto take = [&](const db::Record& record) {
    const db::Outcome outcome = record.measurement.outcome;
    if (record.stale || (outcome != db::Outcome::kOk && !db::IsCandidateFailure(outcome))) return;
    const auto row =
        costmodel::TraceFeatures(workload.dag, target, report.task.threads, record.trace);
    if (!row.ok()) {
      ++report.left_out;
      return;
    }
    data.rows.insert(data.rows.end(), row->begin(), row->end());
    costs.push_back(record.CostSeconds());
  };
  TESSERA_RETURN_IF_ERROR(ReadLog(client, filter, {report.task.Key()}, take).status());
  const double best =
      costs.empty() ? std::numeric_limits<double>::infinity() : *std::ranges::min_element(costs);
  if (best == std::numeric_limits<double>::infinity()) {
    return absl::NotFoundError(absl::StrCat("no program of ", report.task.name, " has a time on ",
                                            report.device_class,
                                            "; `tessera log` tells what became of them"));
  }
  for (const double cost : costs) data.labels.push_back(static_cast<float>(best / cost));
  report.programs = static_cast<int>(costs.size());
  std::vector<std::string> names;
  for (const costmodel::FeatureColumn& column : costmodel::FeatureColumns(target.kind)) {
    names.push_back(column.name);
  }
  TESSERA_ASSIGN_OR_RETURN(report.explanation, costmodel::Explain(data, names, 0));
  return report;
}

std::string ToTable(const ImportanceReport& report, int count) {
  std::string text = absl::StrFormat("%s on %s, %d programs", report.task.name, report.device_class,
                                     report.programs);
  if (report.left_out > 0) {
    absl::StrAppendFormat(&text, " (%d more have traces that this version can't apply)",
                          report.left_out);
  }
  if (const auto& quality = report.explanation.held_out) {
    absl::StrAppendFormat(&text,
                          "; of %d held out, %.1f %% of the pairs in order, "
                          "top-1 score %.2f, top-5 score %.2f",
                          quality->programs, 100 * quality->pairwise, quality->top1, quality->top5);
  }
  Table table({"feature", ">gain %", ">mean |SHAP|"});
  for (const costmodel::FeatureImportance& feature : report.explanation.features) {
    if (count-- == 0) break;
    table.Add({feature.feature, absl::StrFormat("%.1f", 100 * feature.gain),
               absl::StrFormat("%.3f", feature.mean_shap)});
  }
  return absl::StrCat(text, "\n", table.Text());
}

std::string ToJson(const ImportanceReport& report, int count) {
  nlohmann::ordered_json features = nlohmann::ordered_json::array();
  for (const costmodel::FeatureImportance& feature : report.explanation.features) {
    if (count-- == 0) break;
    features.push_back({{"feature", feature.feature},
                        {"gain", feature.gain},
                        {"mean_abs_shap", feature.mean_shap}});
  }
  nlohmann::ordered_json json = {{"task", report.task.name},
                                 {"task_key", report.task.Key()},
                                 {"device_class", report.device_class},
                                 {"programs", report.programs},
                                 {"left_out", report.left_out},
                                 {"held_out", nullptr},
                                 {"features", std::move(features)}};
  if (const auto& quality = report.explanation.held_out) {
    json["held_out"] = {{"programs", quality->programs},
                        {"pairwise_accuracy", quality->pairwise},
                        {"top1_score", quality->top1},
                        {"top5_score", quality->top5}};
  }
  return json.dump(2) + "\n";
}

}  // namespace tessera::cli
