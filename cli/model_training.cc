#include "cli/model_training.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/hash.h"
#include "base/status.h"
#include "cli/device_class.h"
#include "cli/tables.h"
#include "costmodel/cost_model.h"
#include "costmodel/features.h"
#include "db/record/validate.h"
#include "proto/limits.h"

namespace tessera::cli {
namespace {

// Which records of a log a model was trained on, for people.
class Origin {
 public:
  void Add(const db::Record& record) {
    first_id_ = first_id_ == 0 ? record.id : std::min(first_id_, record.id);
    last_id_ = std::max(last_id_, record.id);
    first_ = first_ == absl::Time() ? record.created : std::min(first_, record.created);
    last_ = std::max(last_, record.created);
    versions_.insert(record.tessera_version);
  }

  std::string Text(const ModelTrainOptions& options) const {
    const auto day = [](absl::Time time) {
      return absl::FormatTime("%Y-%m-%d", time, absl::UTCTimeZone());
    };
    std::string text = options.note.empty() ? "" : absl::StrCat(options.note, "; ");
    absl::StrAppend(&text, "records ", first_id_, " to ", last_id_, " of a log, ", day(first_),
                    " to ", day(last_), ", by Tessera ", absl::StrJoin(versions_, ", "));
    if (!options.without.empty()) {
      absl::StrAppend(&text, "; without the workloads of ", absl::StrJoin(options.without, ", "));
    }
    return text;
  }

 private:
  int64_t first_id_ = 0, last_id_ = 0;
  absl::Time first_, last_;
  std::set<std::string> versions_;
};

absl::Status CheckOptions(Client& client, const ModelTrainOptions& options) {
  TESSERA_RETURN_IF_ERROR(db::ValidateModelName(options.name));
  TESSERA_RETURN_IF_ERROR(costmodel::MakeCostModel(options.cost_model, options.seed).status());
  for (const std::string& name : options.device_classes) {
    TESSERA_RETURN_IF_ERROR(CheckDeviceClass(client, name));
  }
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::ModelInfo> models, client.ListModels());
  for (const db::ModelInfo& model : models) {
    if (model.name != options.name) continue;
    return absl::AlreadyExistsError(
        absl::StrCat("the server has a model named \"", options.name, "\"; choose another name"));
  }
  return absl::OkStatus();
}

// Of the tasks that are to be left out.
absl::StatusOr<std::set<std::string>> WorkloadsOf(absl::Span<const db::Task> tasks,
                                                  absl::Span<const std::string> wanted) {
  std::set<std::string> hashes;
  for (const std::string& name : wanted) {
    TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Task> found, FindTasks(tasks, name));
    for (const db::Task& task : found) hashes.insert(task.workload_hash);
  }
  return hashes;
}

// The records of `task` on one of `device_classes`, or on any where there are none.
absl::Status ReadTask(Client& client, const db::Task& task,
                      const std::vector<std::string>& device_classes, Origin& origin,
                      tuner::TaskPrograms& programs) {
  db::RecordFilter filter;
  filter.task_key = task.Key();
  filter.limit = proto::kMaxQueryLimit;
  return client.QueryRecords(filter, [&](const db::Record& record) {
    const bool is_wanted =
        device_classes.empty() || std::find(device_classes.begin(), device_classes.end(),
                                            record.device_class) != device_classes.end();
    if (is_wanted && programs.Add(record)) origin.Add(record);
  });
}

}  // namespace

absl::StatusOr<ModelTraining> TrainModel(Client& client, const ModelTrainOptions& options,
                                         const std::function<void(std::string_view)>& say) {
  TESSERA_RETURN_IF_ERROR(CheckOptions(client, options));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Task> tasks, client.ListTasks());
  TESSERA_ASSIGN_OR_RETURN(const std::set<std::string> without,
                           WorkloadsOf(tasks, options.without));

  ModelTraining training;
  training.labels = TaskLabels(tasks);
  tuner::ProgramSet set;
  Origin origin;
  for (const db::Task& task : tasks) {
    if (without.contains(task.workload_hash)) continue;
    absl::StatusOr<tuner::TaskPrograms> programs =
        tuner::TaskPrograms::Make(task, options.programs, options.seed);
    if (!programs.ok()) {
      ++training.tasks_left_out;
      continue;
    }
    TESSERA_RETURN_IF_ERROR(ReadTask(client, task, options.device_classes, origin, *programs));
    TESSERA_RETURN_IF_ERROR(set.Add(*programs));
  }
  std::set<std::string> classes, keys, families;
  for (const tuner::ProgramGroup& group : set.groups()) {
    classes.insert(group.device_class);
    families.insert(std::string(db::FamilyOf(group.device_class)));
    keys.insert(group.task_key);
  }
  if (families.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("the log has measurements of devices that no model describes together: ",
                     absl::StrJoin(classes, ", "), "; choose those of one kind by --device-class"));
  }
  TESSERA_ASSIGN_OR_RETURN(
      tuner::TrainedModel trained,
      tuner::Train(set, {options.cost_model, options.seed, options.folds}, say));

  db::ModelInfo& info = training.file.info;
  info.name = options.name;
  info.digest = Sha256Hex(trained.bytes);
  info.cost_model = options.cost_model;
  info.feature_version = costmodel::FeatureVersionOfRows(set.data().columns);
  info.device_classes.assign(classes.begin(), classes.end());
  info.tasks = static_cast<int64_t>(keys.size());
  info.records = static_cast<int64_t>(set.data().labels.size());
  info.origin = origin.Text(options);
  info.pairwise_accuracy = trained.pairwise_accuracy;
  info.top1 = trained.top1;
  info.top5 = trained.top5;
  training.file.bytes = std::move(trained.bytes);
  training.groups = set.groups();
  training.held_out = std::move(trained.held_out);
  training.programs_left_out = set.left_out();
  return training;
}

}  // namespace tessera::cli
