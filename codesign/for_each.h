#pragma once

#include <cstddef>
#include <functional>

#include "absl/status/status.h"

namespace tessera::codesign {

// Calls `work` with 0 to count − 1, by at most so many threads, the calling one among them. The
// error of the smallest index that failed; what comes behind an error may be left out.
absl::Status ForEach(size_t count, int threads, const std::function<absl::Status(size_t)>& work);

}  // namespace tessera::codesign
