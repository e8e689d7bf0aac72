#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "cli/client.h"
#include "db/record/record.h"

// For commands that are about one task's measurements on one device class.

namespace tessera::cli {

// The one of `tasks` that `wanted` names (FindTasks). Those that were measured come before others
// of that name, which building a library makes. InvalidArgument with their labels where several do;
// NotFound where none does.
absl::StatusOr<db::Task> FindOneTask(Client& client, absl::Span<const db::Task> tasks,
                                     const std::string& wanted);

// `wanted`, or where that is empty the only device class that measured the task. InvalidArgument
// where several did; NotFound where none did, or for another class.
absl::StatusOr<std::string> ChooseClassOf(Client& client, const db::Task& task,
                                          const std::string& wanted);

}  // namespace tessera::cli
