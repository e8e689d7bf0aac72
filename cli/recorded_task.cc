#include "cli/recorded_task.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "cli/device_class.h"
#include "cli/tables.h"

namespace tessera::cli {
namespace {

// The device classes that have measured it.
absl::StatusOr<std::vector<std::string>> ClassesOf(Client& client, const db::Task& task) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<RecordedClass> recorded,
                           client.ListDeviceClasses({task.Key()}));
  std::vector<std::string> names;
  for (const RecordedClass& one : recorded) {
    if (one.tasks > 0) names.push_back(one.name);
  }
  return names;
}

}  // namespace

absl::StatusOr<db::Task> FindOneTask(Client& client, absl::Span<const db::Task> tasks,
                                     const std::string& wanted) {
  TESSERA_ASSIGN_OR_RETURN(std::vector<db::Task> found, FindTasks(tasks, wanted));
  if (found.size() > 1) {
    std::vector<db::Task> measured;
    for (const db::Task& task : found) {
      TESSERA_ASSIGN_OR_RETURN(const std::vector<std::string> classes, ClassesOf(client, task));
      if (!classes.empty()) measured.push_back(task);
    }
    if (!measured.empty()) found = std::move(measured);
  }
  if (found.size() == 1) return std::move(found[0]);
  const std::map<std::string, std::string> labels = TaskLabels(tasks);
  return absl::InvalidArgumentError(
      absl::StrCat("\"", wanted, "\" may be any of ", found.size(), " tasks: ",
                   absl::StrJoin(found, ", ",
                                 [&](std::string* text, const db::Task& task) {
                                   absl::StrAppend(text, "\"", labels.at(task.Key()), "\" (",
                                                   SettingText(task), ")");
                                 }),
                   "; name one"));
}

absl::StatusOr<std::string> ChooseClassOf(Client& client, const db::Task& task,
                                          const std::string& wanted) {
  TESSERA_RETURN_IF_ERROR(CheckDeviceClass(client, wanted));
  if (!wanted.empty()) return wanted;
  TESSERA_ASSIGN_OR_RETURN(std::vector<std::string> classes, ClassesOf(client, task));
  if (classes.empty()) {
    return absl::NotFoundError(
        absl::StrCat("no program of ", task.name, " was measured yet; `tessera tune` does that"));
  }
  if (classes.size() == 1) return std::move(classes[0]);
  return absl::InvalidArgumentError(absl::StrCat(
      task.name, " was measured on several device classes, whose times don't compare: ",
      absl::StrJoin(classes, ", "), "; choose one by --device-class"));
}

}  // namespace tessera::cli
