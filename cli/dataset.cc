#include "cli/dataset.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "cli/log_query.h"
#include "cli/recorded_task.h"
#include "cli/text.h"
#include "proto/limits.h"
#include "tuner/config_search_space.h"
#include "tuner/replay/dataset_maker.h"

namespace tessera::cli {
namespace {

// The command that makes the data set again.
std::string CommandOf(const DatasetOptions& options) {
  std::string command = absl::StrCat("tessera dataset --task ", options.task);
  for (const int64_t job : options.jobs) absl::StrAppend(&command, " --job ", job);
  return absl::StrCat(command, " --kind ", options.kind);
}

}  // namespace

absl::StatusOr<MadeDataset> MakeDataset(Client& client, const DatasetOptions& options) {
  replay::Dataset header;
  TESSERA_ASSIGN_OR_RETURN(header.kind, replay::ParseDatasetKind(options.kind));
  if (options.jobs.empty()) {
    TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Task> tasks, client.ListTasks());
    TESSERA_ASSIGN_OR_RETURN(header.task, FindOneTask(client, tasks, options.task));
  } else {
    TESSERA_ASSIGN_OR_RETURN(const db::Job job, client.GetJob(options.jobs[0]));
    header.pins = job.options.pins;
    absl::StatusOr<db::Task> task = FindOneTask(client, job.tasks, options.task);
    if (!task.ok()) return Annotate(task.status(), absl::StrCat("job ", options.jobs[0]));
    header.task = *std::move(task);
  }
  TESSERA_ASSIGN_OR_RETURN(header.device_class,
                           ChooseClassOf(client, header.task, options.device_class));
  header.commit = OneLine(options.commit);
  header.command = OneLine(CommandOf(options));
  header.remark = OneLine(options.remark);
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Device> devices, client.ListDevices());
  for (const db::Device& device : devices) {
    if (device.device_class.name == header.device_class) {
      header.cpu = OneLine(device.device_class.description);
    }
  }
  TESSERA_ASSIGN_OR_RETURN(const auto space, tuner::MakeSearchSpace(header.task, header.pins));
  replay::DatasetMaker maker(*space);
  db::RecordFilter filter;
  filter.device_class = header.device_class;
  filter.limit = proto::kMaxQueryLimit;
  MadeDataset made;
  for (const int64_t job : options.jobs.empty() ? std::vector<int64_t>{0} : options.jobs) {
    filter.job_id = job;
    TESSERA_ASSIGN_OR_RETURN(
        const bool has_more,
        ReadLog(client, filter, {header.task.Key()}, [&](const db::Record& r) { maker.Add(r); }));
    made.has_more = made.has_more || has_more;
  }
  made.left_out = maker.left_out();
  TESSERA_ASSIGN_OR_RETURN(made.dataset, std::move(maker).Finish(std::move(header)));
  return made;
}

}  // namespace tessera::cli
