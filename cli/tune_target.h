#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "db/record/record.h"

namespace tessera::cli {

// What a job's code is generated for and whose devices measure it.
struct TuneTarget {
  std::string target;
  std::string device_class;  // empty: of any, where no device is known that runs the target
  std::string remark;        // empty, or what the job waits for, mixes or forgoes, and what to do
};

// Whether `target` names a kind and no more, as "opencl" does: it stands for all that devices of
// the kind have, for the kind's defaults only where no such device is known.
bool NamesKindAlone(const std::string& target);

// `target` and `device_class`: what was wanted; empty: to be chosen. What is chosen is
// that of the devices that are online and run the target's kernels with `threads` threads; when
// none is, that of the one that was seen last, which a worker that reconnects after a restart of
// its server is too: the job waits for it. InvalidArgument when devices of several classes are
// online: their times don't compare, so somebody has to choose. FailedPrecondition, with how to get
// a device, when there is neither a target nor a device to wait for.
absl::StatusOr<TuneTarget> ChooseTuneTarget(absl::Span<const db::Device> devices,
                                            const std::string& target,
                                            const std::string& device_class, int threads,
                                            absl::Time now);

}  // namespace tessera::cli
