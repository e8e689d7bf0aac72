#include <cstdio>

#include <nlohmann/json.hpp>

#include "absl/time/clock.h"
#include "base/status.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/tables.h"
#include "proto/checks.h"
#include "proto/limits.h"

namespace tessera::cli {

absl::Status RunDevices(const DevicesOptions& options) {
  proto::Checks check;
  check.Text("--reason", options.reason, proto::kMaxTextBytes);
  TESSERA_RETURN_IF_ERROR(check.status());
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  const bool drains = !options.drain.empty();
  if (drains) TESSERA_RETURN_IF_ERROR(client->DrainDevice(options.drain, options.reason));
  if (!options.resume.empty()) TESSERA_RETURN_IF_ERROR(client->ResumeDevice(options.resume));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Device> devices, client->ListDevices());
  if (const std::string& changed = drains ? options.drain : options.resume; !changed.empty()) {
    for (const db::Device& device : devices) {
      if (device.id != changed) continue;
      std::fprintf(options.json ? stderr : stdout, "%s\n",
                   (drains ? DrainText(device) : ResumeText(device)).c_str());
    }
    return absl::OkStatus();
  }
  nlohmann::json list = nlohmann::json::array();
  for (const db::Device& device : devices) {
    if (options.json) {
      list.push_back({{"id", device.id},
                      {"worker", device.worker},
                      {"device_class", device.device_class.name},
                      {"description", device.device_class.description},
                      {"target", device.target},
                      {"runs", device.runs},
                      {"builds", device.builds},
                      {"cores", device.cores},
                      {"version", device.tessera_version},
                      {"state", device.state},
                      {"state_reason", device.state_reason},
                      {"peak_gflops_per_core", device.peak_gflops_per_core}});
      continue;
    }
    const std::string roles =
        absl::StrCat(device.runs ? "run" : "", device.runs && device.builds ? "+" : "",
                     device.builds ? "build" : "");
    std::printf("%-20s %-11s %-9s %2d cores  peak %6.1f GFLOPS/core  %s  %s\n", device.id.c_str(),
                device.state.c_str(), roles.c_str(), device.cores, device.peak_gflops_per_core,
                device.target.c_str(), device.device_class.name.c_str());
    if (!device.state_reason.empty()) std::printf("    %s\n", device.state_reason.c_str());
  }
  if (options.json) std::printf("%s\n", list.dump(2).c_str());
  return absl::OkStatus();
}

}  // namespace tessera::cli
