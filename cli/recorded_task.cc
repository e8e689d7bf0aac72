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

absl::StatusOr<db::Task> FindOneTask(Client& client, const std::string& wanted) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Task> tasks, client.ListTasks());
  TESSERA_ASSIGN_OR_RETURN(std::vector<db::Task> found, FindTasks(tasks, wanted));
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
  TESSERA_ASSIGN_OR_RETURN(std::vector<RecordedClass> classes,
                           client.ListDeviceClasses({task.Key()}));
  std::erase_if(classes, [](const RecordedClass& recorded) { return recorded.tasks == 0; });
  if (classes.empty()) {
    return absl::NotFoundError(
        absl::StrCat("no program of ", task.name, " was measured yet; `tessera tune` does that"));
  }
  if (classes.size() == 1) return classes[0].name;
  return absl::InvalidArgumentError(absl::StrCat(
      task.name, " was measured on several device classes, whose times don't compare: ",
      absl::StrJoin(classes, ", ",
                    [](std::string* text, const RecordedClass& recorded) {
                      absl::StrAppend(text, recorded.name);
                    }),
      "; choose one by --device-class"));
}

}  // namespace tessera::cli
