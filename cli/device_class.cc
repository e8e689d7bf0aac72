#include "cli/device_class.h"

#include <algorithm>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"

namespace tessera::cli {
namespace {

std::string CountText(const RecordedClass& recorded, int operators) {
  return absl::StrCat(recorded.name, " has of ", recorded.tasks, " of ", operators);
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
  if (known.contains(name)) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("--device-class: \"", name, "\" is not known; known are ",
                                          known.empty() ? "none" : absl::StrJoin(known, ", ")));
}

absl::StatusOr<BuildClass> ChooseBuildClass(absl::Span<const db::Device> devices,
                                            absl::Span<const RecordedClass> recorded, int operators,
                                            const std::string& wanted) {
  std::vector<std::string> with_records, counts;
  for (const RecordedClass& one : recorded) {
    if (one.tasks == 0) continue;
    with_records.push_back(one.name);
    counts.push_back(CountText(one, operators));
  }
  if (!wanted.empty()) {
    const bool has =
        std::find(with_records.begin(), with_records.end(), wanted) != with_records.end();
    if (has || with_records.empty()) return BuildClass{wanted, ""};
    return BuildClass{
        wanted, absl::StrCat("no operator has a record on device class ", wanted,
                             ", so all get the default schedule; ", absl::StrJoin(counts, ", "))};
  }
  if (with_records.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("several device classes have records of these operators (",
                     absl::StrJoin(counts, ", "), "); choose one with --device-class"));
  }
  std::set<std::string> running;
  for (const db::Device& device : devices) {
    if (device.runs) running.insert(device.device_class.name);
  }
  if (!with_records.empty()) {
    const std::string& only = with_records.front();
    if (running.empty() || running.contains(only)) return BuildClass{only, ""};
    return BuildClass{only, absl::StrCat("the records are of device class ", only,
                                         ", which no device has now (devices have ",
                                         absl::StrJoin(running, ", "), ")")};
  }
  if (running.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("no operator has a record and there are devices of several classes (",
                     absl::StrJoin(running, ", "), "); choose one with --device-class"));
  }
  if (running.empty()) {
    return absl::FailedPreconditionError(
        "no device has ever connected; start a worker, or name a --device-class");
  }
  return BuildClass{*running.begin(), ""};
}

}  // namespace tessera::cli
