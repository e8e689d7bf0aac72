#pragma once

#include <cstdio>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/job_file.h"
#include "cli/report.h"

// Jobs of a client: made of a file, watched to their end.

namespace tessera::cli {

struct PlannedJob {
  db::Job job;  // without an id: the server doesn't know it yet
  std::string remark;
  std::string layouts;             // how a model's values are stored, and by what; else empty
  std::string key;                 // of equal requests the same, whatever of the budget was used up
  std::optional<db::Job> earlier;  // of an equal request for a model
};
// What a file asks for, with what the options say instead, for the device class and target that
// these name or that is there, which the operators of a model then are of. Of a model with a budget
// a part of that is used up then, unless `detach` says that nobody waits: kernels whose layouts
// decide most have been measured in others, by a job that was found or created and waited for
// (model_layouts.h). InvalidArgument where the budget is too small for the tasks; errors of
// ChooseTuneTarget, and of a job that is waited for.
absl::StatusOr<PlannedJob> PlanJob(Client& client, JobFile& file, const TuneOptions& options);

// The job of an earlier request with this key, unless it came to nothing, else a new one. `file` is
// what it is made of.
absl::StatusOr<db::Job> FindOrCreate(Client& client, db::Job job, const std::string& key,
                                     const JobFile& file);

// Shows a job's progress on standard error until it has ended, then its table, and writes the
// report where a path is named. Cancelled when interrupted, with how to go on, or when the job was
// cancelled; Internal when it failed.
absl::StatusOr<Report> WatchAndReport(Client& client, const std::string& server, int64_t id,
                                      const std::string& report_path, std::FILE* table = stdout);

// What becomes of a job whose server went away, and what to do.
std::string StepOf(const std::string& server, int64_t job);

}  // namespace tessera::cli
