#include "cli/tune_target.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/view.h"
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

absl::StatusOr<ir::Target> ParseTuneTarget(std::string_view text) {
  TESSERA_ASSIGN_OR_RETURN(ir::Target target, ir::ParseTarget(text));
  if (target.kind == ir::TargetKind::kX86 || target.kind == ir::TargetKind::kAArch64) return target;
  return absl::InvalidArgumentError(absl::StrCat("target \"", AbslView(text),
                                                 "\" has no code generator; those that have one "
                                                 "are x86, aarch64, for example x86/avx2"));
}

}  // namespace tessera::cli
