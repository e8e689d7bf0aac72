#pragma once

#include <cstdio>
#include <functional>
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
  // How a model's values are stored, and by what; empty for others, and where a job is there.
  std::string layouts;
  std::optional<db::Job> earlier;  // of an equal request, which is not to be made again
  bool is_there = false;           // a job of its key, so that it is not made anew
};
// What a file asks for, with what the options say instead, for the device class and target that
// these name or that is there, which the operators of a model then are of. Of a model with a budget
// a part of that is used up then, unless `detach` says that nobody waits: kernels whose layouts
// decide most have been measured in others, by a job that was found or created and waited for
// (model_layouts.h), a fifth of the time at most. Whatever that job comes to, the plan goes by what
// is known then. Nothing is measured where an equal request has a job already, of `as_request` or
// of the same `key`: of the latter the plan has the tasks and trials. InvalidArgument where the
// budget is too small for the tasks; errors of ChooseTuneTarget and of the client.
absl::StatusOr<PlannedJob> PlanJob(Client& client, JobFile& file, const TuneOptions& options);

// A new job, or the one that somebody else has made of an equal request since it was planned.
// `file` is what it is made of.
absl::StatusOr<db::Job> FindOrCreate(Client& client, const db::Job& job, const JobFile& file);

// Has the model of a job that is done measured as a whole, if it can be.
using InPlace = std::optional<db::InPlace>;
using MeasureInPlace = std::function<absl::StatusOr<InPlace>(const db::Job&, const Report&)>;

// Shows a job's progress on standard error until it has ended, then its table; measures its model,
// if told how, and writes the report where a path is named. Cancelled when interrupted, with how to
// go on, or when the job was cancelled; Internal when it failed.
absl::StatusOr<Report> WatchAndReport(Client& client, const std::string& server, int64_t id,
                                      const std::string& report_path, const MeasureInPlace& measure,
                                      std::FILE* table);

// What becomes of a job whose server went away, and what to do.
std::string StepOf(const std::string& server, int64_t job);

}  // namespace tessera::cli
