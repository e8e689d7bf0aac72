#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "db/record/record.h"

namespace tessera::cli {

// What is tuned for when no --target is named.
struct TuneTarget {
  std::string target;
  std::string waits_for;  // a sentence for the user; empty when a device is there
};

// That of the first device that measures and is online. Else that of the one that was connected
// last and is not now, which a worker that reconnects after a restart of its server is too: the job
// waits for it. FailedPrecondition, with how to get a device, when there is none to wait for.
absl::StatusOr<TuneTarget> ChooseTuneTarget(absl::Span<const db::Device> devices, absl::Time now);

}  // namespace tessera::cli
