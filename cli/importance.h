#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "cli/client.h"
#include "costmodel/importance.h"
#include "db/record/record.h"

namespace tessera::cli {

// Which features of its programs tell the speed of a task's programs.
struct ImportanceReport {
  db::Task task;
  std::string device_class;
  int programs = 0;  // that the model was fitted to
  int left_out = 0;  // whose trace this build can't apply
  costmodel::Explanation explanation;
};

// Fitted to the newest kMaxImportancePrograms measurements of the task that `wanted` names.
// InvalidArgument where that, or an empty `device_class`, leaves a choice; NotFound for another
// task, or without measurements.
constexpr int kMaxImportancePrograms = 2048;
absl::StatusOr<ImportanceReport> MakeImportance(Client& client, const std::string& wanted,
                                                const std::string& device_class);

// The first `count` features. As a table under a line of what they are of.
std::string ToTable(const ImportanceReport& report, int count);
std::string ToJson(const ImportanceReport& report, int count);

}  // namespace tessera::cli
