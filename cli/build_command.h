#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/build_plan.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/job_file.h"

namespace tessera::cli {

// What a library is to be built from.
struct ChosenLibrary {
  BuildPlan plan;
  db::Selection selection;
};

// What a library is called: as was asked for, else by its model's file.
std::string LibraryName(const BuildOptions& options);

// Whether a library of that name can be written to that folder, which is made for the time being.
absl::Status CheckPlace(const BuildOptions& options);

// Cancelled by Ctrl-C: what is kept, and what to do. Others as they are.
absl::Status SayWhatIsKept(const absl::Status& status);

// Chooses what the library, whose name was checked, is built from: of a file that was read from the
// options' source, or of `options.job`. A model is measured as a whole where that is possible,
// which takes a minute, unless it was before or `alone` says so. Says on standard error what is
// done and chosen. Errors of PlanFromFile and PlanFromJob, and the client's; Cancelled by Ctrl-C.
absl::StatusOr<ChosenLibrary> ChooseLibrary(Client& client, const BuildOptions& options,
                                            JobFile& file);

// Builds what was chosen. Writes no file of it where it is off by more than it may be. Cancelled by
// Ctrl-C.
absl::Status BuildChosen(Client& client, const BuildOptions& options, const JobFile& file,
                         const ChosenLibrary& chosen);

}  // namespace tessera::cli
