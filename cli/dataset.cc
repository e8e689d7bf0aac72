#include "cli/dataset.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "cli/log_query.h"
#include "cli/recorded_task.h"
#include "cli/text.h"
#include "proto/limits.h"
#include "tuner/config_search_space.h"
#include "tuner/replay/dataset_maker.h"

namespace tessera::cli {
namespace {

// The command that makes the data set again.
std::string CommandOf(const DatasetOptions& options) {
  std::string command = absl::StrCat("tessera dataset --task ", options.task);
  if (options.job != 0) absl::StrAppend(&command, " --job ", options.job);
  return absl::StrCat(command, " --kind ", options.kind);
}

}  // namespace

absl::StatusOr<MadeDataset> MakeDataset(Client& client, const DatasetOptions& options) {
  replay::Dataset header;
  TESSERA_ASSIGN_OR_RETURN(header.kind, replay::ParseDatasetKind(options.kind));
  TESSERA_ASSIGN_OR_RETURN(header.task, FindOneTask(client, options.task));
  TESSERA_ASSIGN_OR_RETURN(header.device_class,
                           ChooseClassOf(client, header.task, options.device_class));
  header.commit = OneLine(options.commit);
  header.command = OneLine(CommandOf(options));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Device> devices, client.ListDevices());
  for (const db::Device& device : devices) {
    if (device.device_class.name == header.device_class) {
      header.cpu = OneLine(device.device_class.description);
    }
  }
  TESSERA_ASSIGN_OR_RETURN(const auto space, tuner::MakeSearchSpace(header.task));
  replay::DatasetMaker maker(*space);
  db::RecordFilter filter;
  filter.device_class = header.device_class;
  filter.job_id = options.job;
  filter.limit = proto::kMaxQueryLimit;
  TESSERA_RETURN_IF_ERROR(ReadLog(client, filter, {header.task.Key()}, [&](const db::Record& r) {
                            maker.Add(r);
                          }).status());
  const int left_out = maker.left_out();
  TESSERA_ASSIGN_OR_RETURN(replay::Dataset dataset, std::move(maker).Finish(std::move(header)));
  return MadeDataset{std::move(dataset), left_out};
}

}  // namespace tessera::cli
