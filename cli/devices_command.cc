#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/status.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/path_status.h"
#include "cli/tables.h"
#include "proto/checks.h"
#include "proto/limits.h"

namespace tessera::cli {
namespace {

std::string ChangeText(absl::Span<const db::Device> devices, const std::string& id, bool drains) {
  for (const db::Device& device : devices) {
    if (device.id == id) return drains ? DrainText(device) : ResumeText(device);
  }
  return UnseenText(absl::NotFoundError(absl::StrCat("device ", id, " is not listed any more")));
}

}  // namespace

absl::Status RunDevices(const DevicesOptions& options) {
  proto::Checks check;
  check.Text("--reason", options.reason, proto::kMaxTextBytes);
  TESSERA_RETURN_IF_ERROR(check.status());
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  const bool drains = !options.drain.empty();
  if (drains) TESSERA_RETURN_IF_ERROR(client->DrainDevice(options.drain, options.reason));
  if (!options.resume.empty()) TESSERA_RETURN_IF_ERROR(client->ResumeDevice(options.resume));
  absl::StatusOr<std::vector<db::Device>> listed = client->ListDevices();
  if (const std::string& changed = drains ? options.drain : options.resume; !changed.empty()) {
    const std::string text =
        listed.ok() ? ChangeText(*listed, changed, drains) : UnseenText(listed.status());
    std::fprintf(options.json ? stderr : stdout, "%s\n", text.c_str());
    return absl::OkStatus();
  }
  TESSERA_RETURN_IF_ERROR(listed.status());
  const std::vector<db::Device> devices = *std::move(listed);
  if (!options.json) {
    const absl::Time now = Clock::Real().Now();
    const std::vector<db::Device> shown = options.all ? devices : DevicesOfToday(devices, now);
    std::fputs(DevicesTable(shown, now).c_str(), stdout);
    TESSERA_RETURN_IF_ERROR(FlushOutput());
    if (devices.empty()) {
      std::fputs("no device has ever connected; start one with `tessera worker`\n", stderr);
    } else if (const size_t gone = devices.size() - shown.size(); gone > 0) {
      std::fprintf(stderr, "%zu not seen for a day; --all shows them, too\n", gone);
    }
    return absl::OkStatus();
  }
  std::fputs(DevicesJson(devices).c_str(), stdout);
  return absl::OkStatus();
}

}  // namespace tessera::cli
