#include "cli/tune_target.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/progress_view.h"

namespace tessera::cli {

absl::StatusOr<TuneTarget> ChooseTuneTarget(absl::Span<const db::Device> devices, absl::Time now) {
  const db::Device* latest = nullptr;
  std::vector<std::string> refusing;
  for (const db::Device& device : devices) {
    if (!device.runs) continue;
    if (device.state == "online") return TuneTarget{device.target, ""};
    if (device.state != "offline") {
      refusing.push_back(absl::StrCat(device.id, " is ", device.state));
    } else if (latest == nullptr || device.last_seen > latest->last_seen) {
      latest = &device;
    }
  }
  if (!refusing.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("no device is online (", absl::StrJoin(refusing, ", "),
                     "); `tessera devices --resume DEVICE` has it used again, or name a --target"));
  }
  if (latest != nullptr) {
    return TuneTarget{
        latest->target,
        absl::StrCat("no device is online; the job waits for ", latest->id, ", seen last ",
                     DurationText(absl::ToDoubleSeconds(now - latest->last_seen)),
                     " ago: its worker reconnects if it runs, else start it with `tessera "
                     "worker`")};
  }
  return absl::FailedPreconditionError(
      "no device is online; start a worker with `tessera worker`, or name a --target");
}

}  // namespace tessera::cli
