#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/durable_file.h"
#include "base/status.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/operator_source.h"
#include "cli/progress_view.h"
#include "proto/convert.h"

namespace tessera::cli {
namespace {

// The device class that was named, or the only one that there is.
absl::StatusOr<std::string> ChooseDeviceClass(Client& client, const std::string& wanted) {
  if (!wanted.empty()) return wanted;
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Device> devices, client.ListDevices());
  std::string only;
  for (const db::Device& device : devices) {
    if (!device.runs || device.device_class.name == only) continue;
    if (!only.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("devices of several classes have measured (",
                                                     only, ", ", device.device_class.name,
                                                     "); choose one with --device-class"));
    }
    only = device.device_class.name;
  }
  if (only.empty()) {
    return absl::FailedPreconditionError(
        "no device has ever connected; start a worker, or name a --device-class");
  }
  return only;
}

absl::StatusOr<std::string> ChooseTarget(Client& client, const std::string& wanted,
                                         const std::string& device_class) {
  if (!wanted.empty()) return wanted;
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Device> devices, client.ListDevices());
  for (const db::Device& device : devices) {
    if (device.device_class.name == device_class) return device.target;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("device class ", device_class, " is not known; name a --target"));
}

// Makes the folder of the library; tells before anything is chosen that it can't be used.
absl::Status PrepareFolder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return ErrnoStatus(error.value(), "--out: cannot make folder", path);
  if (access(path.c_str(), W_OK | X_OK) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, "--out: cannot write to folder", path);
}

}  // namespace

absl::Status RunBuild(const BuildOptions& options) {
  const bool from_job = options.job != 0;
  if (from_job != (options.source.file.empty() && options.source.words.empty())) {
    return absl::InvalidArgumentError("name either --job, or a job file or --op");
  }
  JobFile file;
  if (!from_job) {
    TESSERA_ASSIGN_OR_RETURN(file, ReadSource(options.source));
  }
  TESSERA_RETURN_IF_ERROR(proto::CheckIdentifier("--name", options.name));
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  db::Selection selection;
  selection.name = options.name;
  TESSERA_ASSIGN_OR_RETURN(selection.device_class,
                           ChooseDeviceClass(*client, options.device_class));
  std::vector<db::Task> tasks;
  if (from_job) {
    TESSERA_ASSIGN_OR_RETURN(const db::Job job, client->GetJob(options.job));
    tasks = job.tasks;
  } else {
    TESSERA_ASSIGN_OR_RETURN(const std::string target,
                             ChooseTarget(*client, options.target, selection.device_class));
    TESSERA_ASSIGN_OR_RETURN(tasks, MakeTasks(file, target, options.threads));
  }
  TESSERA_RETURN_IF_ERROR(PrepareFolder(options.out));
  for (const db::Task& task : tasks) selection.items.push_back({task.name, task, "", 0, 0});
  TESSERA_ASSIGN_OR_RETURN(const db::Selection chosen, client->CreateSelection(selection));
  for (const db::SelectionItem& item : chosen.items) {
    std::fprintf(stderr, "%-14s %s\n", item.op.c_str(),
                 item.record_id != 0
                     ? absl::StrCat("record ", item.record_id, ", ", TimeText(item.seconds)).c_str()
                     : "no record: default schedule");
  }
  TESSERA_ASSIGN_OR_RETURN(const std::vector<std::string> paths,
                           client->BuildLibrary(chosen.id, options.name, options.out));
  for (const std::string& path : paths) std::printf("%s\n", path.c_str());
  return absl::OkStatus();
}

}  // namespace tessera::cli
