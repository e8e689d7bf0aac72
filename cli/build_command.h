#pragma once

#include <functional>

#include "absl/status/status.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/job_file.h"

namespace tessera::cli {

// Asked about what was chosen before the library is built; an error ends it.
using AcceptChoice = std::function<absl::Status(const db::Selection&)>;

// Whether a library of that name can be written to that folder, which is made for the time being.
absl::Status CheckPlace(const BuildOptions& options);

// Cancelled by Ctrl-C: what is kept, and what to do. Others as they are.
absl::Status SayWhatIsKept(const absl::Status& status);

// Builds the library, whose name was checked, of a file that was read from the options' source, or
// of `options.job`. Writes no file of it where the choice is not accepted, or it is off by more
// than it may be.
absl::Status BuildFrom(Client& client, const BuildOptions& options, JobFile file,
                       const AcceptChoice& accept);

}  // namespace tessera::cli
