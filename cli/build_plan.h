#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/client.h"
#include "cli/job_file.h"

namespace tessera::cli {

// What a library is built of, and from the records of which device class.
struct BuildPlan {
  std::string device_class;
  std::vector<db::Task> tasks;
  std::string warning;  // of one line, empty when there is nothing to tell
};

// The tasks of a job. `device_class` is the wanted one; empty: none was named. Errors: those of
// CheckDeviceClass and ChooseBuildClass.
absl::StatusOr<BuildPlan> PlanFromJob(Client& client, int64_t job, const std::string& device_class);

// The operators of a file as the class's target has them; a `target` that is named (not empty) goes
// before it. Classes whose target can't take the operators are left out, unless one of them is the
// wanted one or there is no other: then InvalidArgument says what is wrong with it.
absl::StatusOr<BuildPlan> PlanFromFile(Client& client, const JobFile& file,
                                       const std::string& device_class, const std::string& target);

}  // namespace tessera::cli
