#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/build_plan.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/operator_source.h"
#include "cli/path_status.h"
#include "cli/progress_view.h"
#include "proto/convert.h"

namespace tessera::cli {
namespace {

// Makes the folder of the library; tells before anything is chosen that it can't be used.
absl::Status PrepareFolder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return PathStatus(error.value(), "--out: cannot make folder", path);
  if (access(path.c_str(), W_OK | X_OK) == 0) return absl::OkStatus();
  return PathStatus(errno, "--out: cannot write to folder", path);
}

void PrintWarnings(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) {
    std::fprintf(stderr, "warning: %s\n", warning.c_str());
  }
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
    if (options.threads > 0) file.options.threads = options.threads;
  }
  TESSERA_RETURN_IF_ERROR(proto::CheckIdentifier("--name", options.name));
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  db::Selection selection;
  selection.name = options.name;
  TESSERA_ASSIGN_OR_RETURN(
      const BuildPlan plan,
      from_job ? PlanFromJob(*client, options.job, options.device_classes)
               : PlanFromFile(*client, file, options.device_classes, options.target));
  PrintWarnings(plan.warnings);
  TESSERA_RETURN_IF_ERROR(PrepareFolder(options.out));
  for (const PlannedVersion& version : plan.versions) {
    for (const db::Task& task : version.tasks) {
      selection.items.push_back({task.name, task, "", 0, 0, version.device_class});
    }
  }
  TESSERA_ASSIGN_OR_RETURN(const db::Selection chosen, client->CreateSelection(selection));
  for (size_t i = 0; i < chosen.items.size(); ++i) {
    const db::SelectionItem& item = chosen.items[i];
    if (plan.versions.size() > 1 &&
        (i == 0 || item.device_class != chosen.items[i - 1].device_class)) {
      std::fprintf(stderr, "for %s, %s\n", item.device_class.c_str(), item.task.target.c_str());
    }
    std::fprintf(stderr, "%-14s %s\n", item.op.c_str(),
                 item.record_id != 0
                     ? absl::StrCat("record ", item.record_id, ", ", TimeText(item.seconds)).c_str()
                     : "no record that fits: default schedule");
  }
  TESSERA_ASSIGN_OR_RETURN(const std::vector<std::string> unused, UnusedRecords(*client, chosen));
  PrintWarnings(unused);
  TESSERA_ASSIGN_OR_RETURN(const std::vector<std::string> paths,
                           client->BuildLibrary(chosen.id, options.name, options.out));
  for (const std::string& path : paths) std::printf("%s\n", path.c_str());
  return absl::OkStatus();
}

}  // namespace tessera::cli
