#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace tessera::cli {

// What scripts can tell apart (README.md): 0 done; 2 bad input: an option, a file or a name that is
// wrong or that nothing has; 3 what was got is not as good as was demanded; 130 interrupted; 1
// everything else, such as no server, a job that failed or a full disk.
int ExitCode(const absl::Status& status);

// A status of exit code 3.
absl::Status NotMet(std::string_view message);

// Of a command line that can't be read.
inline constexpr int kUsageExitCode = 2;

}  // namespace tessera::cli
