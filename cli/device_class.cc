#include "cli/device_class.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "compiler/ir/target.h"

namespace tessera::cli {
namespace {

std::string CountText(const RecordedClass& recorded, int operators) {
  return absl::StrCat(recorded.name, " has of ", recorded.tasks, " of ", operators);
}

// Their targets, where a library can choose between the classes by what a CPU has.
absl::StatusOr<std::vector<ir::Target>> TargetsTogether(
    const std::vector<std::string>& names, const std::map<std::string, std::string>& targets) {
  std::vector<ir::Target> parsed;
  for (const std::string& name : names) {
    const auto found = targets.find(name);
    if (found == targets.end()) {
      if (names.size() == 1) return parsed;
      return absl::InvalidArgumentError(
          absl::StrCat("the target of device class ", name, " is not known"));
    }
    TESSERA_ASSIGN_OR_RETURN(parsed.emplace_back(), ir::ParseTarget(found->second));
    for (size_t i = 0; i + 1 < parsed.size(); ++i) {
      if (const auto why = ir::WhyNotTogether(parsed[i], parsed.back())) {
        return absl::InvalidArgumentError(absl::StrCat(names[i], " and ", name, " ", *why));
      }
    }
  }
  return parsed;
}

// Of classes with records (`names` and `parsed`, their targets, in the order of `recorded`) those
// that make no CPU slower than it is without them: a library uses the best version that a CPU runs,
// so that one with records of fewer operators than a lesser one has would be in that one's way.
BuildClasses WithoutPoorer(const std::vector<RecordedClass>& recorded,
                           const std::vector<ir::Target>& parsed, int operators) {
  BuildClasses kept;
  for (size_t i = 0; i < recorded.size(); ++i) {
    size_t lesser = recorded.size();  // the one of those with the most records
    for (size_t j = 0; j < recorded.size(); ++j) {
      if (recorded[j].tasks <= recorded[i].tasks || !ir::CanRun(parsed[i], parsed[j], 1)) continue;
      if (lesser == recorded.size() || recorded[j].tasks > recorded[lesser].tasks) lesser = j;
    }
    if (lesser == recorded.size()) {
      kept.names.push_back(recorded[i].name);
      continue;
    }
    kept.warnings.push_back(absl::StrCat(
        "device class ", recorded[i].name, " is left out, because its CPUs run the version of ",
        recorded[lesser].name, ", too, which has more records: ", CountText(recorded[i], operators),
        ", ", CountText(recorded[lesser], operators),
        "; tune the others on it, or name each with "
        "--device-class"));
  }
  return kept;
}

}  // namespace

absl::Status CheckDeviceClass(Client& client, const std::string& name) {
  if (name.empty()) return absl::OkStatus();
  std::set<std::string> known;
  // A device's row has its present class only: the log remembers the others.
  TESSERA_ASSIGN_OR_RETURN(const std::vector<RecordedClass> recorded, client.ListDeviceClasses({}));
  for (const RecordedClass& one : recorded) known.insert(one.name);
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Device> devices, client.ListDevices());
  for (const db::Device& device : devices) known.insert(device.device_class.name);
  known.erase("");  // of what was only built
  if (known.contains(name)) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("--device-class: \"", name, "\" is not known; known are ",
                                          known.empty() ? "none" : absl::StrJoin(known, ", ")));
}

std::string RichestTarget(const std::vector<std::string>& targets) {
  std::string richest;
  std::pair<int, size_t> most = {-1, 0};
  for (const std::string& text : targets) {
    const absl::StatusOr<ir::Target> target = ir::ParseTarget(text);
    if (!target.ok()) continue;
    const std::pair has(target->vector_bytes, target->features.size());
    if (has > most) {
      most = has;
      richest = text;
    }
  }
  return richest;
}

absl::StatusOr<BuildClasses> ChooseBuildClasses(absl::Span<const db::Device> devices,
                                                absl::Span<const RecordedClass> recorded,
                                                const std::map<std::string, std::string>& targets,
                                                int operators,
                                                const std::vector<std::string>& wanted) {
  std::vector<std::string> with_records, counts;
  std::vector<RecordedClass> having;
  for (const RecordedClass& one : recorded) {
    if (one.tasks == 0) continue;
    having.push_back(one);
    with_records.push_back(one.name);
    counts.push_back(CountText(one, operators));
  }
  if (!wanted.empty()) {
    BuildClasses chosen{wanted, {}};
    TESSERA_RETURN_IF_ERROR(TargetsTogether(wanted, targets).status());
    for (const std::string& name : wanted) {
      const bool has =
          std::find(with_records.begin(), with_records.end(), name) != with_records.end();
      if (has || with_records.empty()) continue;
      chosen.warnings.push_back(absl::StrCat("no operator has a record on device class ", name,
                                             ", so all get the default schedule; ",
                                             absl::StrJoin(counts, ", ")));
    }
    return chosen;
  }
  if (with_records.size() > 1) {
    const auto together = TargetsTogether(with_records, targets);
    const bool all_alike =
        together.ok() && std::ranges::all_of(*together, [&](const ir::Target& target) {
          return ir::IsCpu(target.kind) == ir::IsCpu(together->front().kind);
        });
    if (all_alike) return WithoutPoorer(having, *together, operators);
    return absl::InvalidArgumentError(absl::StrCat(
        "several device classes have records of these operators (", absl::StrJoin(counts, ", "),
        "), but ",
        together.ok() ? "some are of CPUs and one of a device, which make different libraries"
                      : together.status().message(),
        "; choose with --device-class"));
  }
  std::set<std::string> running;
  for (const db::Device& device : devices) {
    if (device.runs) running.insert(device.device_class.name);
  }
  if (!with_records.empty()) {
    const std::string& only = with_records.front();
    if (running.empty() || running.contains(only)) return BuildClasses{{only}, {}};
    return BuildClasses{{only},
                        {absl::StrCat("the records are of device class ", only,
                                      ", which no device has now (devices have ",
                                      absl::StrJoin(running, ", "), ")")}};
  }
  if (running.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("no operator has a record and there are devices of several classes (",
                     absl::StrJoin(running, ", "), "); choose with --device-class"));
  }
  if (running.empty()) {
    return absl::FailedPreconditionError(
        "no device has ever connected; start a worker, or name a --device-class");
  }
  return BuildClasses{{*running.begin()}, {}};
}

}  // namespace tessera::cli
