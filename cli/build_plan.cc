#include "cli/build_plan.h"

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "cli/device_class.h"

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

std::vector<db::Device> Without(std::vector<db::Device> devices,
                                const std::set<std::string>& classes) {
  std::erase_if(devices, [&](const db::Device& device) {
    return classes.contains(device.device_class.name);
  });
  return devices;
}

}  // namespace

absl::StatusOr<BuildPlan> PlanFromJob(Client& client, int64_t job,
                                      const std::string& device_class) {
  TESSERA_ASSIGN_OR_RETURN(db::Job stored, client.GetJob(job));
  TESSERA_RETURN_IF_ERROR(CheckDeviceClass(client, device_class));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Device> devices, client.ListDevices());
  TESSERA_ASSIGN_OR_RETURN(const std::vector<RecordedClass> recorded,
                           client.ListDeviceClasses(KeysOf(stored.tasks)));
  TESSERA_ASSIGN_OR_RETURN(
      BuildClass chosen,
      ChooseBuildClass(devices, recorded, static_cast<int>(stored.tasks.size()), device_class));
  return BuildPlan{std::move(chosen.device_class), std::move(stored.tasks),
                   std::move(chosen.warning)};
}

absl::StatusOr<BuildPlan> PlanFromFile(Client& client, const JobFile& file,
                                       const std::string& device_class, const std::string& target) {
  if (target.empty()) TESSERA_RETURN_IF_ERROR(CheckDeviceClass(client, device_class));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Device> devices, client.ListDevices());
  TESSERA_ASSIGN_OR_RETURN(const std::vector<RecordedClass> known, client.ListDeviceClasses({}));
  std::set<std::string> classes;
  for (const RecordedClass& one : known) classes.insert(one.name);
  for (const db::Device& device : devices) classes.insert(device.device_class.name);
  if (!device_class.empty()) classes.insert(device_class);

  std::map<std::string, std::vector<db::Task>> tasks_by_class;
  std::vector<RecordedClass> recorded;
  std::set<std::string> unfit;
  absl::Status problem;  // of the first unfit class
  for (const std::string& name : classes) {
    std::string class_target = target;
    if (target.empty()) {
      TESSERA_ASSIGN_OR_RETURN(class_target, TargetOf(client, devices, name));
    }
    if (class_target.empty()) continue;
    absl::StatusOr<std::vector<db::Task>> tasks =
        MakeTasks(file, class_target, file.options.threads);
    if (!tasks.ok()) {
      if (!target.empty()) return tasks.status();
      const absl::Status why = Annotate(tasks.status(), absl::StrCat("device class ", name));
      if (name == device_class) return why;
      unfit.insert(name);
      problem.Update(why);
      continue;
    }
    TESSERA_ASSIGN_OR_RETURN(const std::vector<RecordedClass> of_tasks,
                             client.ListDeviceClasses(KeysOf(*tasks)));
    for (const RecordedClass& one : of_tasks) {
      if (one.name == name) recorded.push_back(one);
    }
    tasks_by_class.emplace(name, *std::move(tasks));
  }
  if (tasks_by_class.empty() && !problem.ok()) return problem;
  TESSERA_ASSIGN_OR_RETURN(BuildClass chosen,
                           ChooseBuildClass(Without(devices, unfit), recorded,
                                            static_cast<int>(file.operators.size()), device_class));
  const auto tasks = tasks_by_class.find(chosen.device_class);
  if (tasks == tasks_by_class.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the target of device class ", chosen.device_class,
                     " is not known: no device has it and no run on it succeeded; name a "
                     "--target"));
  }
  return BuildPlan{std::move(chosen.device_class), std::move(tasks->second),
                   std::move(chosen.warning)};
}

}  // namespace tessera::cli
