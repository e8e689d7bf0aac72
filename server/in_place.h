#pragma once

#include <functional>
#include <string_view>

#include "absl/status/statusor.h"
#include "db/record/record.h"
#include "server/libraries.h"

namespace tessera::server {

// Chooses among a model's measured programs by what they take in the model, where weights come from
// memory and inputs from the kernel before (docs/decisions/0034). The model's library is built with
// the selection's records, with up to two rivals of each, and with default schedules; all are timed
// kernel by kernel on one device, and each operator gets the program that is fastest there. The
// result is timed once more, beside the selection's own choice and the defaults, and falls back to
// the fastest of the three. It is appended and returned, with what was measured; what the same
// programs were chosen from before is found again, unless a way failed that may not fail the next
// time. `doing` is told what is being done, and what fails. `allowed`: what rivals may call
// (base/third_party.h).
//
// InvalidArgument: the selection is of no model, or of several versions. FailedPrecondition: no
// builder or device is connected, the selection's own library can't be built, or none be run.
// Aborted: a worker was lost. Cancelled when `is_cancelled` says so. Blocks for as long as all that
// takes; thread-safe.
absl::StatusOr<db::Selection> ChooseInPlace(LibraryRoom room, const db::Selection& selection,
                                            std::string_view allowed,
                                            const std::function<void(std::string_view)>& doing,
                                            const std::function<bool()>& is_cancelled);

}  // namespace tessera::server
