#include "cli/tune_target.h"

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "cli/progress_view.h"
#include "compiler/ir/target.h"

namespace tessera::cli {
namespace {

// What a device of target `own` would be tuned for.
std::string TargetOn(const std::string& own, const std::string& wanted) {
  return wanted.empty() || NamesKindAlone(wanted) ? own : wanted;
}

// Those that may measure the job, whatever their state.
absl::StatusOr<std::vector<const db::Device*>> Runners(absl::Span<const db::Device> devices,
                                                       const std::string& target,
                                                       const std::string& device_class,
                                                       int threads) {
  std::optional<ir::Target> wanted;
  if (!target.empty()) {
    TESSERA_ASSIGN_OR_RETURN(wanted, ir::ParseTarget(target));
  }
  std::vector<const db::Device*> runners;
  for (const db::Device& device : devices) {
    if (!device.runs) continue;
    if (!device_class.empty() && device.device_class.name != device_class) continue;
    if (wanted.has_value()) {
      const absl::StatusOr<ir::Target> own = ir::ParseTarget(device.target);
      if (!own.ok() || own->kind != wanted->kind) continue;
      const ir::Target& task = NamesKindAlone(target) ? *own : *wanted;
      if (!ir::CanRun(*own, task, threads)) continue;
    }
    runners.push_back(&device);
  }
  return runners;
}

// Of a GPU, whose target is seldom meant to be less than what it has: what `target` leaves out.
// Empty where it doesn't.
std::string Forgone(const db::Device& device, const std::string& target) {
  const absl::StatusOr<ir::Target> own = ir::ParseTarget(device.target);
  const absl::StatusOr<ir::Target> chosen = ir::ParseTarget(target);
  if (!own.ok() || !chosen.ok() || !ir::IsGpu(own->kind) || *own == *chosen) return "";
  const std::string kind(ir::KindName(own->kind));
  return absl::StrCat("tuned for ", ir::ToString(*chosen), ", where ", device.id, " has ",
                      device.target, "; --target ", kind, " alone takes what it has");
}

// "" or "of class x86/zen5/avx512/8c ".
std::string OfClass(const std::string& device_class) {
  return device_class.empty() ? "" : absl::StrCat("of class ", device_class, " ");
}

}  // namespace

bool NamesKindAlone(const std::string& target) {
  const absl::StatusOr<ir::Target> parsed = ir::ParseTarget(target);
  return parsed.ok() && ir::KindName(parsed->kind) == target;
}

absl::StatusOr<TuneTarget> ChooseTuneTarget(absl::Span<const db::Device> devices,
                                            const std::string& target,
                                            const std::string& device_class, int threads,
                                            absl::Time now) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<const db::Device*> runners,
                           Runners(devices, target, device_class, threads));
  const db::Device* latest = nullptr;
  std::vector<const db::Device*> online;
  std::set<std::string> classes, kinds;  // of those
  std::vector<std::string> refusing;
  for (const db::Device* device : runners) {
    if (device->state == "online") {
      online.push_back(device);
      classes.insert(device->device_class.name);
      const absl::StatusOr<ir::Target> own = ir::ParseTarget(device->target);
      if (own.ok()) kinds.emplace(ir::KindName(own->kind));
      continue;
    }
    if (latest == nullptr || device->last_seen > latest->last_seen) latest = device;
    if (device->state != "offline") {
      refusing.push_back(absl::StrCat(device->id, " is ", device->state));
    }
  }
  const auto chosen = [&](const db::Device& device, std::string remark) {
    return TuneTarget{TargetOn(device.target, target), device.device_class.name, std::move(remark)};
  };
  if (classes.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("the connected devices are of several classes (", absl::StrJoin(classes, ", "),
                     "), whose times don't compare; choose with --device-class",
                     kinds.size() > 1 ? ", or a kind with --target: " : "",
                     kinds.size() > 1 ? absl::StrJoin(kinds, ", ") : ""));
  }
  if (!online.empty()) {
    return chosen(*online[0], Forgone(*online[0], TargetOn(online[0]->target, target)));
  }
  const std::string runs = target.empty() ? "" : absl::StrCat("that runs ", target, " ");
  const std::string none = absl::StrCat("no device ", OfClass(device_class), runs, "is online");
  if (!refusing.empty()) {
    const std::string who = absl::StrCat(none, " (", absl::StrJoin(refusing, ", "),
                                         "); `tessera devices --resume DEVICE` has it used again");
    if (!target.empty()) return chosen(*latest, who);
    return absl::FailedPreconditionError(absl::StrCat(who, ", or name a --target"));
  }
  if (latest != nullptr) {
    return chosen(*latest,
                  absl::StrCat(none, "; the job waits for ", latest->id, ", seen last ",
                               DurationText(absl::ToDoubleSeconds(now - latest->last_seen)),
                               " ago: its worker reconnects if it runs, else start it with "
                               "`tessera worker`"));
  }
  if (target.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(none, "; start a worker with `tessera worker`, or name a --target"));
  }
  const std::string unknown =
      absl::StrCat("no device ", OfClass(device_class), runs, "is known; the job waits for one");
  return TuneTarget{target, device_class,
                    device_class.empty()
                        ? absl::StrCat(unknown, " of any class: --device-class keeps it to one")
                        : unknown};
}

}  // namespace tessera::cli
