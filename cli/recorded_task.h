#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "cli/client.h"
#include "db/record/record.h"

// For commands that are about one task's measurements on one device class.

namespace tessera::cli {

// The task that `wanted` names (FindTasks). InvalidArgument with their labels where several do;
// NotFound where none does.
absl::StatusOr<db::Task> FindOneTask(Client& client, const std::string& wanted);

// `wanted`, or where that is empty the only device class that measured the task. InvalidArgument
// where several did; NotFound where none did, or for another class.
absl::StatusOr<std::string> ChooseClassOf(Client& client, const db::Task& task,
                                          const std::string& wanted);

}  // namespace tessera::cli
