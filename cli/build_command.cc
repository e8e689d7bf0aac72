#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "cli/build_plan.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/library_manifest.h"
#include "cli/model_source.h"
#include "cli/model_upload.h"
#include "cli/operator_source.h"
#include "cli/path_status.h"
#include "cli/progress_view.h"
#include "cli/tune_target.h"
#include "compiler/ir/target.h"
#include "compiler/te/c_names.h"
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

// "record 12, 161 us", or what there is without one.
absl::StatusOr<std::string> OriginText(const db::SelectionItem& item) {
  if (item.record_id != 0) {
    return absl::StrCat("record ", item.record_id, ", ", TimeText(item.seconds));
  }
  TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(item.task.target));
  return std::string(target.kind == ir::TargetKind::kVta
                         ? "no record that fits: default schedule, or the CPU where there is none"
                         : "no record that fits: default schedule");
}

// The one that was asked for, else by what the library is of.
std::string LibraryName(const BuildOptions& options) {
  if (!options.name.empty()) return options.name;
  if (!IsModelFile(options.source.file)) return "ops";
  return te::ToCIdentifier(std::filesystem::path(options.source.file).stem().string(), "model");
}

// Has a model stored as the target needs it that `tessera tune` would choose with these options.
absl::Status PlanModel(Client& client, const BuildOptions& options, JobFile& file) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Device> devices, client.ListDevices());
  const std::string device_class =
      options.device_classes.empty() ? "" : options.device_classes.front();
  TESSERA_ASSIGN_OR_RETURN(const TuneTarget chosen,
                           ChooseTuneTarget(devices, options.target, device_class,
                                            file.options.threads, Clock::Real().Now()));
  TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(chosen.target));
  return PlanFor(file, target);
}

absl::Status CheckRunsModels(const BuildPlan& plan) {
  for (const PlannedVersion& version : plan.versions) {
    if (version.tasks.empty()) continue;
    TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(version.tasks[0].target));
    if (ir::IsCpu(target.kind)) continue;
    return absl::UnimplementedError(
        absl::StrCat("libraries of models run on CPUs only; ", version.device_class,
                     " is none; name a CPU's --device-class or --target"));
  }
  return absl::OkStatus();
}

// What a library's device doesn't run, and why: by the manifest, because the builder finds out.
absl::StatusOr<std::vector<OperatorOnCpu>> ReadOperatorsOnCpu(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  absl::StatusOr<std::vector<OperatorOnCpu>> operators = OperatorsOnCpu(text.str());
  if (!operators.ok()) return Annotate(operators.status(), path);
  return operators;
}

}  // namespace

absl::Status RunBuild(const BuildOptions& options) {
  const bool from_job = options.job != 0;
  if (from_job != (options.source.file.empty() && options.source.words.empty())) {
    return absl::InvalidArgumentError("name either --job, or a job file, a model or --op");
  }
  JobFile file;
  if (!from_job) {
    TESSERA_ASSIGN_OR_RETURN(file, ReadSource(options.source));
  }
  if (options.threads > 0) file.options.threads = options.threads;
  const std::string name = LibraryName(options);
  TESSERA_RETURN_IF_ERROR(proto::CheckIdentifier("--name", name));
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  if (file.model) TESSERA_RETURN_IF_ERROR(PlanModel(*client, options, file));
  db::Selection selection;
  selection.name = name;
  TESSERA_ASSIGN_OR_RETURN(
      const BuildPlan plan,
      from_job ? PlanFromJob(*client, options.job, options.device_classes, options.cpu)
               : PlanFromFile(*client, file, options.device_classes, options.target, options.cpu));
  PrintWarnings(plan.warnings);
  TESSERA_RETURN_IF_ERROR(PrepareFolder(options.out));
  for (const PlannedVersion& version : plan.versions) {
    for (const db::Task& task : version.tasks) {
      selection.items.push_back({task.name, task, "", 0, 0, version.device_class});
    }
  }
  if (file.model) {
    TESSERA_RETURN_IF_ERROR(CheckRunsModels(plan));
    TESSERA_ASSIGN_OR_RETURN(selection.model, UploadModel(*client, *file.stored));
  }
  TESSERA_ASSIGN_OR_RETURN(const db::Selection chosen,
                           client->CreateSelection(selection, options.allow));
  for (size_t i = 0; i < chosen.items.size(); ++i) {
    const db::SelectionItem& item = chosen.items[i];
    if (plan.versions.size() > 1 &&
        (i == 0 || item.device_class != chosen.items[i - 1].device_class)) {
      std::fprintf(stderr, "for %s, %s\n", item.device_class.c_str(), item.task.target.c_str());
    }
    TESSERA_ASSIGN_OR_RETURN(const std::string origin, OriginText(item));
    std::fprintf(stderr, "%-14s %s\n", item.op.c_str(), origin.c_str());
  }
  TESSERA_ASSIGN_OR_RETURN(const std::vector<std::string> unused, UnusedRecords(*client, chosen));
  PrintWarnings(unused);
  TESSERA_ASSIGN_OR_RETURN(const std::vector<std::string> paths,
                           client->BuildLibrary(chosen.id, name, options.out));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<OperatorOnCpu> on_cpu,
                           ReadOperatorsOnCpu(options.out + "/manifest.json"));
  for (const OperatorOnCpu& op : on_cpu) {
    std::fprintf(stderr, "%-14s runs on the CPU: %s\n", op.name.c_str(), op.why.c_str());
  }
  for (const std::string& path : paths) std::printf("%s\n", path.c_str());
  return absl::OkStatus();
}

}  // namespace tessera::cli
