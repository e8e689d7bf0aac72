#include <cstdio>

#include "base/status.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/importance.h"

namespace tessera::cli {

absl::Status RunImportance(const ImportanceOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  TESSERA_ASSIGN_OR_RETURN(const ImportanceReport report,
                           MakeImportance(*client, options.task, options.device_class));
  std::fputs(
      (options.json ? ToJson(report, options.count) : ToTable(report, options.count)).c_str(),
      stdout);
  return absl::OkStatus();
}

}  // namespace tessera::cli
