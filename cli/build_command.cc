#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/device_class.h"
#include "cli/operator_source.h"
#include "cli/path_status.h"
#include "cli/progress_view.h"
#include "proto/convert.h"

namespace tessera::cli {
namespace {

// The target of a class: of a device that has it, else of what was measured on it. Empty where
// neither tells.
absl::StatusOr<std::string> TargetOf(Client& client, absl::Span<const db::Device> devices,
                                     const std::string& device_class) {
  for (const db::Device& device : devices) {
    if (device.device_class.name == device_class) return device.target;
  }
  db::RecordFilter first;
  first.device_class = device_class;
  first.outcomes = {db::Outcome::kOk};
  first.limit = 1;
  std::string task_key, target;
  TESSERA_RETURN_IF_ERROR(
      client.QueryRecords(first, [&](const db::Record& record) { task_key = record.task_key; }));
  if (task_key.empty()) return target;
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Task> tasks, client.ListTasks());
  for (const db::Task& task : tasks) {
    if (task.Key() == task_key) target = task.target;
  }
  return target;
}

std::vector<std::string> KeysOf(absl::Span<const db::Task> tasks) {
  std::vector<std::string> keys;
  for (const db::Task& task : tasks) keys.push_back(task.Key());
  return keys;
}

struct Plan {
  std::string device_class;
  std::vector<db::Task> tasks;
};

absl::StatusOr<std::string> Choose(absl::Span<const db::Device> devices,
                                   absl::Span<const RecordedClass> recorded, size_t operators,
                                   const std::string& wanted) {
  TESSERA_ASSIGN_OR_RETURN(
      const BuildClass chosen,
      ChooseBuildClass(devices, recorded, static_cast<int>(operators), wanted));
  if (!chosen.warning.empty()) std::fprintf(stderr, "warning: %s\n", chosen.warning.c_str());
  return chosen.device_class;
}

absl::StatusOr<Plan> PlanFromJob(Client& client, const BuildOptions& options) {
  Plan plan;
  TESSERA_ASSIGN_OR_RETURN(const db::Job job, client.GetJob(options.job));
  TESSERA_RETURN_IF_ERROR(CheckDeviceClass(client, options.device_class));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Device> devices, client.ListDevices());
  TESSERA_ASSIGN_OR_RETURN(const std::vector<RecordedClass> recorded,
                           client.ListDeviceClasses(KeysOf(job.tasks)));
  TESSERA_ASSIGN_OR_RETURN(plan.device_class,
                           Choose(devices, recorded, job.tasks.size(), options.device_class));
  plan.tasks = job.tasks;
  return plan;
}

// A task belongs to a target, so each class is asked for the operators as its target has them.
absl::StatusOr<Plan> PlanFromFile(Client& client, const JobFile& file,
                                  const BuildOptions& options) {
  if (options.target.empty()) {
    TESSERA_RETURN_IF_ERROR(CheckDeviceClass(client, options.device_class));
  }
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Device> devices, client.ListDevices());
  TESSERA_ASSIGN_OR_RETURN(const std::vector<RecordedClass> known, client.ListDeviceClasses({}));
  std::set<std::string> classes;
  for (const RecordedClass& one : known) classes.insert(one.name);
  for (const db::Device& device : devices) classes.insert(device.device_class.name);
  if (!options.device_class.empty()) classes.insert(options.device_class);

  std::map<std::string, std::string> targets;  // by class
  std::map<std::string, std::vector<RecordedClass>> recorded_by_target;
  std::vector<RecordedClass> recorded;
  for (const std::string& name : classes) {
    std::string target = options.target;
    if (target.empty()) {
      TESSERA_ASSIGN_OR_RETURN(target, TargetOf(client, devices, name));
    }
    if (target.empty()) continue;
    targets[name] = target;
    if (!recorded_by_target.contains(target)) {
      TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Task> tasks,
                               MakeTasks(file, target, file.options.threads));
      TESSERA_ASSIGN_OR_RETURN(recorded_by_target[target], client.ListDeviceClasses(KeysOf(tasks)));
    }
    for (const RecordedClass& one : recorded_by_target[target]) {
      if (one.name == name) recorded.push_back(one);
    }
  }
  Plan plan;
  TESSERA_ASSIGN_OR_RETURN(plan.device_class,
                           Choose(devices, recorded, file.operators.size(), options.device_class));
  if (!targets.contains(plan.device_class)) {
    return absl::InvalidArgumentError(
        absl::StrCat("device class ", plan.device_class, " is not known; name a --target"));
  }
  TESSERA_ASSIGN_OR_RETURN(plan.tasks,
                           MakeTasks(file, targets[plan.device_class], file.options.threads));
  return plan;
}

// Makes the folder of the library; tells before anything is chosen that it can't be used.
absl::Status PrepareFolder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return PathStatus(error.value(), "--out: cannot make folder", path);
  if (access(path.c_str(), W_OK | X_OK) == 0) return absl::OkStatus();
  return PathStatus(errno, "--out: cannot write to folder", path);
}

}  // namespace

absl::Status RunBuild(const BuildOptions& options) {
  const bool from_job = options.job != 0;
  if (from_job != (options.source.file.empty() && options.source.words.empty())) {
    return absl::InvalidArgumentError("name either --job, or a job file or --op");
  }
  JobFile file;
  if (!from_job) {
    TESSERA_ASSIGN_OR_RETURN(file, ReadSource(options.source));
    if (options.threads > 0) file.options.threads = options.threads;
  }
  TESSERA_RETURN_IF_ERROR(proto::CheckIdentifier("--name", options.name));
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  db::Selection selection;
  selection.name = options.name;
  TESSERA_ASSIGN_OR_RETURN(const Plan plan, from_job ? PlanFromJob(*client, options)
                                                     : PlanFromFile(*client, file, options));
  selection.device_class = plan.device_class;
  TESSERA_RETURN_IF_ERROR(PrepareFolder(options.out));
  for (const db::Task& task : plan.tasks) selection.items.push_back({task.name, task, "", 0, 0});
  TESSERA_ASSIGN_OR_RETURN(const db::Selection chosen, client->CreateSelection(selection));
  for (const db::SelectionItem& item : chosen.items) {
    std::fprintf(stderr, "%-14s %s\n", item.op.c_str(),
                 item.record_id != 0
                     ? absl::StrCat("record ", item.record_id, ", ", TimeText(item.seconds)).c_str()
                     : "no record: default schedule");
  }
  TESSERA_ASSIGN_OR_RETURN(const std::vector<std::string> paths,
                           client->BuildLibrary(chosen.id, options.name, options.out));
  for (const std::string& path : paths) std::printf("%s\n", path.c_str());
  return absl::OkStatus();
}

}  // namespace tessera::cli
