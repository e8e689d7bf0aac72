#include <algorithm>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/durable_file.h"
#include "base/status.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/dataset.h"
#include "proto/limits.h"

namespace tessera::cli {

absl::Status RunDataset(const DatasetOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  TESSERA_ASSIGN_OR_RETURN(const MadeDataset made, MakeDataset(*client, options));
  TESSERA_ASSIGN_OR_RETURN(const std::string text, replay::PrintReadable(made.dataset));
  TESSERA_RETURN_IF_ERROR(
      WriteFileDurably(options.out, absl::StrCat(options.out, ".part"), text, /*sync=*/false));
  const auto failed = std::ranges::count_if(
      made.dataset.rows, [](const replay::Row& row) { return row.outcome != db::Outcome::kOk; });
  std::printf("%s: %zu programs of %s on %s, %zd of them failed\n", options.out.c_str(),
              made.dataset.rows.size(), made.dataset.task.name.c_str(),
              made.dataset.device_class.c_str(), failed);
  if (made.left_out > 0) {
    std::fprintf(stderr,
                 "left out: %d measurements of programs that the space of this version has not, or "
                 "the job's pins rule out\n",
                 made.left_out);
  }
  if (made.has_more) {
    std::fprintf(stderr,
                 "the log has more than %ld measurements of %s, and only the first of them are in "
                 "the file; --job takes those of one job\n",
                 static_cast<long>(proto::kMaxQueryLimit), made.dataset.task.name.c_str());
  }
  return absl::OkStatus();
}

}  // namespace tessera::cli
