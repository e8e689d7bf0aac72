#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace tessera::cli {

// The status for an errno value of a path that the user named: InvalidArgument where the path can
// name no such file (a part of it is a file, it is too long, its links go round), else that of
// ErrnoStatus.
absl::Status PathStatus(int error, std::string_view what, const std::string& path);

// Tells before long work, not after, that the file which `option` names could not be written. OK
// for an empty path.
absl::Status CheckWritable(std::string_view option, const std::string& path);

// That what was printed got out, before remarks on it: what went wrong is known only now.
absl::Status FlushOutput();

}  // namespace tessera::cli
