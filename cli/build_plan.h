#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/client.h"
#include "cli/job_file.h"

namespace tessera::cli {

// Every CPU of this machine's kind, and a device class that no device has, for default schedules.
#if defined(__aarch64__)
inline constexpr char kAnyCpuTarget[] = "aarch64/neon", kAnyCpuClass[] = "aarch64/any";
#else
inline constexpr char kAnyCpuTarget[] = "x86/sse4.2", kAnyCpuClass[] = "x86/any";
#endif

// A version of a library: from the records of which device class.
struct PlannedVersion {
  std::string device_class;
  std::vector<db::Task> tasks;
};
// One that is for a device has versions for CPUs beside it, for where the device is missing or
// can't run an operator: those that were named, else of classes with records of the operators, else
// default schedules. `cpu`, a target or empty, has only classes count whose code it can run, and is
// what default schedules are for where there is none; without it that is any CPU of this machine's
// kind. These have the threads that `cpu` names, if more than one, else those of file or job.
struct BuildPlan {
  std::vector<PlannedVersion> versions;
  std::vector<std::string> warnings;  // of one line each
};

// The tasks of a job, which have one target. `device_classes` are the wanted ones; empty: none was
// named. Errors: those of CheckDeviceClass and ChooseBuildClasses.
absl::StatusOr<BuildPlan> PlanFromJob(Client& client, int64_t job,
                                      const std::vector<std::string>& device_classes,
                                      const std::string& cpu = "");

// The operators of a file as each class's target has them; a `target` that is named (not empty)
// goes before it, unless it is a kind alone. An accelerator's tasks have one thread, whatever the
// file says. Classes whose target can't take the operators (an
// accelerator's none of them) are left out, unless one of them is wanted or there is no other: then
// InvalidArgument says what is wrong with it.
// FailedPrecondition where there are devices, but none of the target's kind.
absl::StatusOr<BuildPlan> PlanFromFile(Client& client, const JobFile& file,
                                       const std::vector<std::string>& device_classes,
                                       const std::string& target, const std::string& cpu = "");

// A line for each version that runs default schedules where its class has records: none of them
// stores tensors as the version that decided does (docs/library.md, "Layouts"). Errors: the
// client's.
absl::StatusOr<std::vector<std::string>> UnusedRecords(Client& client, const db::Selection& chosen);

}  // namespace tessera::cli
