#include "cli/library_manifest.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace tessera::cli {
namespace {

using Json = nlohmann::json;

absl::Status NoManifest(const std::string& what) {
  return absl::DataLossError(absl::StrCat("is no manifest: ", what, "; repeat the build"));
}

// The member, or null where there is none.
const Json& Member(const Json& object, const char* name) {
  static const Json kNull;
  const auto found = object.find(name);
  return found == object.end() ? kNull : *found;
}

}  // namespace

absl::StatusOr<std::vector<OperatorOnCpu>> OperatorsOnCpu(std::string_view manifest) {
  const Json json = Json::parse(manifest, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !Member(json, "ops").is_array()) {
    return NoManifest("ops is no list");
  }
  const Json& ops = Member(json, "ops");
  std::vector<OperatorOnCpu> operators;
  for (size_t i = 0; i < ops.size(); ++i) {
    const std::string place = absl::StrCat("ops[", i, "]");
    if (!ops[i].is_object() || !Member(ops[i], "name").is_string()) {
      return NoManifest(place + " has no name");
    }
    const Json& device = Member(ops[i], "device");
    if (device.is_null()) continue;
    if (!device.is_object()) return NoManifest(place + ".device is no object");
    const Json& why = Member(device, "runs_on_cpu");
    if (why.is_null()) continue;
    if (!why.is_string()) return NoManifest(place + ".device.runs_on_cpu is no text");
    operators.push_back({ops[i]["name"].get<std::string>(), why.get<std::string>()});
  }
  return operators;
}

}  // namespace tessera::cli
