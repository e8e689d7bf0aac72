#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/model_training.h"
#include "cli/tables.h"
#include "cli/text.h"

// The texts of cli/model_training.h.

namespace tessera::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string Percent(double share) { return share < 0 ? "-" : absl::StrFormat("%.1f", 100 * share); }

std::string Score(double score) { return score < 0 ? "-" : absl::StrFormat("%.3f", score); }

Json FigureOf(double figure) { return figure < 0 ? Json(nullptr) : Json(figure); }

std::string CreatedText(const db::ModelInfo& model) {
  return absl::FormatTime("%Y-%m-%d %H:%M UTC", model.created, absl::UTCTimeZone());
}

Json ToJsonValue(const db::ModelInfo& model) {
  return {{"name", model.name},
          {"digest", model.digest},
          {"cost_model", model.cost_model},
          {"feature_version", model.feature_version},
          {"device_classes", model.device_classes},
          {"tasks", model.tasks},
          {"programs", model.records},
          {"origin", model.origin},
          {"pairwise_accuracy", FigureOf(model.pairwise_accuracy)},
          {"top1_score", FigureOf(model.top1)},
          {"top5_score", FigureOf(model.top5)},
          {"created_us", absl::ToUnixMicros(model.created)}};
}

}  // namespace

std::string ToTable(const ModelTraining& training) {
  const db::ModelInfo& info = training.file.info;
  Table table({"held-out task", "device class", ">programs", ">pairs in order %", ">top-1 score",
               ">top-5 score"});
  for (const tuner::GroupQuality& quality : training.held_out) {
    const tuner::ProgramGroup& group = training.groups[quality.group];
    const auto label = training.labels.find(group.task_key);
    table.Add({label == training.labels.end() ? group.task_name : label->second, group.device_class,
               absl::StrCat(group.programs), Percent(quality.pairwise_accuracy),
               Score(quality.top1), Score(quality.top5)});
  }
  std::string text = absl::StrCat(table.Text(), training.held_out.empty() ? "" : "\n");
  absl::StrAppendFormat(&text, "%s: %s of %d programs of %d tasks on %s\n", info.name,
                        info.cost_model, info.records, info.tasks,
                        OneLine(absl::StrJoin(info.device_classes, ", ")));
  if (training.held_out.empty()) {
    absl::StrAppend(&text, "not judged: that takes two parts of workloads of ", tuner::kMinJudged,
                    " programs or more\n");
  } else {
    absl::StrAppendFormat(
        &text,
        "on workloads that were held out (mean of %d): %s %% of the pairs in order, top-1 score "
        "%s, top-5 score %s\n",
        training.held_out.size(), Percent(info.pairwise_accuracy), Score(info.top1),
        Score(info.top5));
  }
  if (training.programs_left_out > 0) {
    absl::StrAppend(&text, "left out: ", training.programs_left_out,
                    " programs whose traces this version can't apply\n");
  }
  if (training.tasks_left_out > 0) {
    absl::StrAppend(&text, "left out: ", training.tasks_left_out,
                    " tasks that this version can't read\n");
  }
  return text;
}

std::string ToJson(const ModelTraining& training) {
  Json held_out = Json::array();
  for (const tuner::GroupQuality& quality : training.held_out) {
    const tuner::ProgramGroup& group = training.groups[quality.group];
    held_out.push_back({{"task", group.task_name},
                        {"task_key", group.task_key},
                        {"workload_hash", group.workload_hash},
                        {"device_class", group.device_class},
                        {"programs", group.programs},
                        {"pairwise_accuracy", quality.pairwise_accuracy},
                        {"top1_score", quality.top1},
                        {"top5_score", quality.top5}});
  }
  const Json json = {{"model", ToJsonValue(training.file.info)},
                     {"programs_left_out", training.programs_left_out},
                     {"tasks_left_out", training.tasks_left_out},
                     {"held_out", std::move(held_out)}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string ModelsTable(absl::Span<const db::ModelInfo> models) {
  Table table({"model", "cost model", ">features", ">tasks", ">programs", ">pairs in order %",
               ">top-1", ">top-5", "device classes"});
  for (const db::ModelInfo& model : models) {
    table.Add({model.name, model.cost_model, absl::StrCat(model.feature_version),
               absl::StrCat(model.tasks), absl::StrCat(model.records),
               Percent(model.pairwise_accuracy), Score(model.top1), Score(model.top5),
               absl::StrJoin(model.device_classes, ", ")});
  }
  return table.Text();
}

std::string ModelText(const db::ModelInfo& model) {
  return absl::StrCat(
      "name            ", OneLine(model.name), "\ncost model      ", OneLine(model.cost_model),
      "\nfeatures        version ", model.feature_version, "\ntrained on      ", model.records,
      " programs of ", model.tasks, " tasks\ndevice classes  ",
      OneLine(absl::StrJoin(model.device_classes, ", ")), "\norigin          ",
      OneLine(model.origin), "\nheld-out tasks  ",
      model.pairwise_accuracy < 0
          ? "not judged"
          : absl::StrCat(Percent(model.pairwise_accuracy), " % of the pairs in order, top-1 score ",
                         Score(model.top1), ", top-5 score ", Score(model.top5)),
      "\ncreated         ", CreatedText(model), "\ndigest          ", model.digest, "\n");
}

std::string ModelsJson(absl::Span<const db::ModelInfo> models) {
  Json list = Json::array();
  for (const db::ModelInfo& model : models) list.push_back(ToJsonValue(model));
  return list.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string ModelJson(const db::ModelInfo& model) {
  return ToJsonValue(model).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace tessera::cli
