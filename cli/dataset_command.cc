#include <algorithm>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/durable_file.h"
#include "base/status.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/dataset.h"

namespace tessera::cli {

absl::Status RunDataset(const DatasetOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  TESSERA_ASSIGN_OR_RETURN(const MadeDataset made, MakeDataset(*client, options));
  TESSERA_RETURN_IF_ERROR(WriteFileDurably(options.out, absl::StrCat(options.out, ".part"),
                                           replay::Print(made.dataset), /*sync=*/false));
  const auto failed = std::ranges::count_if(
      made.dataset.rows, [](const replay::Row& row) { return row.outcome != db::Outcome::kOk; });
  std::printf("%s: %zu programs of %s on %s, %zd of them failed\n", options.out.c_str(),
              made.dataset.rows.size(), made.dataset.task.name.c_str(),
              made.dataset.device_class.c_str(), failed);
  if (made.left_out > 0) {
    std::fprintf(stderr,
                 "left out: %d measurements of programs that the space of this version has not\n",
                 made.left_out);
  }
  return absl::OkStatus();
}

}  // namespace tessera::cli
