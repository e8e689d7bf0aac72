#pragma once

#include "absl/status/status.h"

namespace tessera::tuner {

// True for trouble of the store that passes without anybody changing a job: a full disk, a lock or
// an error of the disk, permissions. What the store holds and what it was asked stay right, so the
// same call is worth repeating. Damage and refusals for their content are none.
inline bool MayPass(const absl::Status& status) {
  return absl::IsResourceExhausted(status) || absl::IsUnavailable(status) ||
         absl::IsPermissionDenied(status) || absl::IsAborted(status) ||
         absl::IsDeadlineExceeded(status);
}

}  // namespace tessera::tuner
