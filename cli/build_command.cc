#include "cli/build_command.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/durable_file.h"
#include "base/interrupt.h"
#include "base/status.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/error_demand.h"
#include "cli/library_executor.h"
#include "cli/library_manifest.h"
#include "cli/model_layouts.h"
#include "cli/model_source.h"
#include "cli/model_upload.h"
#include "cli/operator_source.h"
#include "cli/path_status.h"
#include "cli/progress_view.h"
#include "cli/tune_target.h"
#include "compiler/ir/target.h"
#include "compiler/te/c_names.h"
#include "proto/convert.h"
#include "proto/limits.h"

namespace tessera::cli {
namespace {

constexpr size_t kShownKernels = 12;  // of a model

// The folder of a library, made where it is not there. What was made and stays empty goes again
// with this, unless it is kept.
class Folder {
 public:
  static absl::StatusOr<Folder> Make(const std::string& path) {
    Folder folder;
    std::error_code error;
    const auto is_missing = [&](const std::filesystem::path& part) {
      return std::filesystem::symlink_status(part, error).type() ==
             std::filesystem::file_type::not_found;
    };
    for (std::filesystem::path part = path; !part.empty() && is_missing(part);
         part = part.parent_path()) {
      folder.made_.push_back(part);
    }
    std::filesystem::create_directories(path, error);
    if (error) return PathStatus(error.value(), "--out: cannot make folder", path);
    if (access(path.c_str(), W_OK | X_OK) == 0) return folder;
    return PathStatus(errno, "--out: cannot write to folder", path);
  }
  Folder(Folder&& other) : made_(std::exchange(other.made_, {})) {}
  ~Folder() {
    for (const std::filesystem::path& part : made_) rmdir(part.c_str());
  }
  void Keep() { made_.clear(); }

 private:
  Folder() = default;

  std::vector<std::filesystem::path> made_;  // the innermost first
};

void PrintWarnings(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) {
    std::fprintf(stderr, "warning: %s\n", warning.c_str());
  }
}

// "record 12, 161 us", or what there is without one.
absl::StatusOr<std::string> OriginText(const db::SelectionItem& item) {
  const int64_t runs = std::llround(item.task.weight);
  const std::string in_place =
      item.in_place_seconds > 0 ? absl::StrCat(", in the model ", TimeText(item.in_place_seconds),
                                               runs > 1 ? absl::StrCat(" (", runs, " times)") : "")
                                : "";
  if (item.record_id != 0) {
    return absl::StrCat("record ", item.record_id, ", ", TimeText(item.seconds), in_place);
  }
  if (!in_place.empty()) return absl::StrCat("default schedule", in_place);
  TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(item.task.target));
  return std::string(target.kind == ir::TargetKind::kVta
                         ? "no record that fits: default schedule, or the CPU where there is none"
                         : "no record that fits: default schedule");
}

// Has a model stored as the target needs it that `tessera tune` would choose with these options;
// for which.
absl::StatusOr<ir::Target> PlanModel(Client& client, const BuildOptions& options, JobFile& file) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Device> devices, client.ListDevices());
  const std::string device_class =
      options.device_classes.empty() ? "" : options.device_classes.front();
  const absl::StatusOr<TuneTarget> found = ChooseTuneTarget(
      devices, options.target, device_class, file.options.threads, Clock::Real().Now());
  if (absl::IsInvalidArgument(found.status()) && device_class.empty() && options.target.empty()) {
    // Devices of several classes: what they share are layouts that are named.
    if (file.layouts) {
      TESSERA_RETURN_IF_ERROR(PlanFor(file, *file.layouts).status());
      return *file.layouts;
    }
    return absl::InvalidArgumentError(
        absl::StrCat(found.status().message(),
                     ", for versions of several one each, of models tuned with the "
                     "same --layouts"));
  }
  TESSERA_RETURN_IF_ERROR(found.status());
  const TuneTarget& chosen = *found;
  TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(chosen.target));
  const int threads = file.options.threads;
  TESSERA_ASSIGN_OR_RETURN(
      const ModelLayouts layouts,
      PlanByLog(client, file, {target, chosen.device_class, threads, options.allow},
                graph::Unmeasured::kAsTheyAre));
  PrintFitting(stderr, LayoutsText(layouts));
  return file.layouts ? *file.layouts : target;
}

// Of a model stored as for `stored_for`: what versions for targets of other blocks lack. Kernels of
// blocks are others than a job for these targets tunes by itself.
absl::Status WarnOfUntuned(const BuildPlan& plan, const db::Selection& selection,
                           const ir::Target& stored_for) {
  for (const PlannedVersion& version : plan.versions) {
    if (version.tasks.empty()) continue;
    TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(version.tasks[0].target));
    const auto untuned = std::ranges::count_if(selection.items, [&](const auto& item) {
      return item.device_class == version.device_class && item.record_id == 0 &&
             absl::StrContains(item.task.workload, " layout(");
    });
    if (untuned == 0 || graph::ChannelBlock(target) == graph::ChannelBlock(stored_for)) continue;
    const std::string name = ir::ToString(stored_for);
    PrintWarnings({absl::StrCat(
        "device class ", version.device_class, ": ", untuned, " of ", version.tasks.size(),
        " kernels have no record, in a model whose values are stored as for ", name,
        "; `tessera tune --layouts ", name.substr(0, name.find(' ')), "` tunes them there")});
  }
  return absl::OkStatus();
}

// The selection as it is fastest in the model, or as it is where that can't be measured now.
absl::StatusOr<db::Selection> ChosenInPlace(Client& client, db::Selection selection,
                                            const std::string& allowed) {
  absl::StatusOr<db::Selection> chosen = client.ChooseInPlace(
      selection.id, allowed,
      [](const std::string& doing) { std::fprintf(stderr, "in place: %s\n", doing.c_str()); });
  const absl::Status& status = chosen.status();
  const bool goes_without = absl::IsFailedPrecondition(status) || absl::IsAborted(status) ||
                            absl::IsResourceExhausted(status);
  if (!goes_without) return chosen;
  PrintWarnings({absl::StrCat("the model is not measured as a whole: ", chosen.status().message(),
                              "; its programs are those that are fastest alone")});
  return selection;
}

// "in place: 18.6 ms a run on w/cpu; 19.0 ms by times alone, 40.7 ms by default schedules".
std::string InPlaceText(const db::Selection& selection) {
  const db::InPlace& in_place = *selection.in_place;
  return absl::StrCat("in place: ", TimeText(in_place.seconds), " a run on ", in_place.device, "; ",
                      TimeText(in_place.alone_seconds), " with what is fastest alone, ",
                      TimeText(in_place.default_seconds), " with default schedules");
}

// What each operator is built from, under its version where there are several; of a model that was
// measured in place the kernels that it spends most of its time in.
absl::Status PrintChosen(const db::Selection& chosen, bool has_versions) {
  std::vector<db::SelectionItem> items = chosen.items;
  if (chosen.in_place) {
    std::ranges::sort(items, std::greater<>(), &db::SelectionItem::in_place_seconds);
    if (items.size() > kShownKernels + 1) items.resize(kShownKernels);
  }
  std::string shown_class;
  double rest = 0;
  for (const db::SelectionItem& item : chosen.items) rest += item.in_place_seconds;
  for (const db::SelectionItem& item : items) {
    if (has_versions && item.device_class != shown_class) {
      shown_class = item.device_class;
      std::fprintf(stderr, "for %s, %s\n", item.device_class.c_str(), item.task.target.c_str());
    }
    TESSERA_ASSIGN_OR_RETURN(const std::string origin, OriginText(item));
    std::fprintf(stderr, "%-14s %s\n", item.op.c_str(), origin.c_str());
    rest -= item.in_place_seconds;
  }
  if (items.size() < chosen.items.size()) {
    std::fprintf(stderr, "%zu other kernels, in the model %s\n", chosen.items.size() - items.size(),
                 TimeText(rest).c_str());
  }
  if (chosen.in_place) std::fprintf(stderr, "%s\n", InPlaceText(chosen).c_str());
  return absl::OkStatus();
}

// Each file appears whole or not at all. Their paths.
absl::StatusOr<std::vector<std::string>> WriteFiles(absl::Span<const BuiltFile> files,
                                                    const std::string& folder) {
  std::vector<std::string> paths;
  for (const BuiltFile& file : files) {
    const std::string& path = paths.emplace_back(absl::StrCat(folder, "/", file.name));
    TESSERA_RETURN_IF_ERROR(Annotate(WriteFileDurably(path, path + ".part", file.bytes),
                                     absl::StrCat("--out ", folder)));
  }
  return paths;
}

// What a library's device doesn't run, and why: by the manifest, because the builder finds out.
absl::StatusOr<std::vector<OperatorOnCpu>> FindOperatorsOnCpu(absl::Span<const BuiltFile> files) {
  TESSERA_ASSIGN_OR_RETURN(const BuiltFile* manifest, FindFile(files, "manifest.json"));
  absl::StatusOr<std::vector<OperatorOnCpu>> operators = OperatorsOnCpu(manifest->bytes);
  if (!operators.ok()) return Annotate(operators.status(), manifest->name);
  return operators;
}

}  // namespace

absl::Status SayWhatIsKept(const absl::Status& status) {
  if (!absl::IsCancelled(status)) return status;
  return absl::CancelledError("interrupted; what was measured is kept, and the same call goes on");
}

std::string LibraryName(const BuildOptions& options) {
  if (!options.name.empty()) return options.name;
  if (!IsModelFile(options.source.file)) return "ops";
  const std::filesystem::path file = options.source.file;
  return te::ToCIdentifier(file.stem().string(), "model").substr(0, proto::kMaxIdentifierBytes);
}

absl::Status CheckPlace(const BuildOptions& options) {
  TESSERA_RETURN_IF_ERROR(proto::CheckIdentifier("--name", LibraryName(options)));
  return Folder::Make(options.out).status();
}

absl::StatusOr<ChosenLibrary> ChooseLibrary(Client& client, const BuildOptions& options,
                                            JobFile& file) {
  const InterruptHandler handler([&] { client.Interrupt(); });
  if (options.threads > 0) file.options.threads = options.threads;
  const bool is_model = !file.model.empty();
  ir::Target stored_for;
  if (is_model) {
    TESSERA_ASSIGN_OR_RETURN(stored_for, PlanModel(client, options, file));
  }
  ChosenLibrary library;
  TESSERA_ASSIGN_OR_RETURN(
      library.plan,
      options.job != 0
          ? PlanFromJob(client, options.job, options.device_classes, options.cpu)
          : PlanFromFile(client, file, options.device_classes, options.target, options.cpu));
  const std::vector<PlannedVersion>& versions = library.plan.versions;
  PrintWarnings(library.plan.warnings);
  db::Selection wanted;
  wanted.name = LibraryName(options);
  for (const PlannedVersion& version : versions) {
    if (is_model && !version.tasks.empty()) {
      TESSERA_RETURN_IF_ERROR(CheckRunsModels(version.tasks[0].target, version.device_class));
    }
    for (const db::Task& task : version.tasks) {
      wanted.items.push_back({task.name, task, "", 0, 0, version.device_class});
    }
  }
  if (is_model) {
    TESSERA_ASSIGN_OR_RETURN(wanted.model, UploadModel(client, file.stored));
  }
  TESSERA_ASSIGN_OR_RETURN(library.selection, client.CreateSelection(wanted, options.allow));
  if (is_model) {
    TESSERA_RETURN_IF_ERROR(WarnOfUntuned(library.plan, library.selection, stored_for));
  }
  if (is_model && !options.alone) {
    if (versions.size() == 1) {
      TESSERA_ASSIGN_OR_RETURN(library.selection,
                               ChosenInPlace(client, std::move(library.selection), options.allow));
    } else {
      PrintWarnings(
          {"a model of several versions is not measured as a whole: its programs are those "
           "that are fastest alone; with --alone there is no such warning"});
    }
  }
  TESSERA_RETURN_IF_ERROR(PrintChosen(library.selection, versions.size() > 1));
  return library;
}

absl::Status BuildChosen(Client& client, const BuildOptions& options, const JobFile& file,
                         const ChosenLibrary& chosen) {
  const InterruptHandler handler([&] { client.Interrupt(); });
  TESSERA_ASSIGN_OR_RETURN(Folder folder, Folder::Make(options.out));
  if (!chosen.selection.in_place) {
    TESSERA_ASSIGN_OR_RETURN(const std::vector<std::string> unused,
                             UnusedRecords(client, chosen.selection));
    PrintWarnings(unused);
  }
  TESSERA_ASSIGN_OR_RETURN(
      const std::vector<BuiltFile> files,
      client.BuildLibrary({chosen.selection.id, LibraryName(options), options.static_library}));
  if (options.max_error > 0) {
    absl::Span<const SampleRun> samples;
    if (file.calibrated) samples = file.calibrated->samples;
    TESSERA_RETURN_IF_ERROR(CheckError(files, samples, options.max_error));
  }
  TESSERA_ASSIGN_OR_RETURN(const std::vector<std::string> paths, WriteFiles(files, options.out));
  folder.Keep();
  TESSERA_ASSIGN_OR_RETURN(const std::vector<OperatorOnCpu> on_cpu, FindOperatorsOnCpu(files));
  for (const OperatorOnCpu& op : on_cpu) {
    std::fprintf(stderr, "%-14s runs on the CPU: %s\n", op.name.c_str(), op.why.c_str());
  }
  for (const std::string& path : paths) std::printf("%s\n", path.c_str());
  return absl::OkStatus();
}

absl::Status RunBuild(const BuildOptions& options) {
  BlockInterrupts();
  const bool from_job = options.job != 0;
  if (from_job != (options.source.file.empty() && options.source.words.empty())) {
    return absl::InvalidArgumentError("name either --job, or a job file, a model or --op");
  }
  if (from_job) TESSERA_RETURN_IF_ERROR(CheckIsOfNoModel(options.source));
  JobFile file;
  if (!from_job) {
    TESSERA_ASSIGN_OR_RETURN(
        file, ReadSourceInterruptibly(options.source, LibraryExecutor(options.server)));
  }
  TESSERA_RETURN_IF_ERROR(CheckPlace(options));
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(options.server));
  const absl::StatusOr<ChosenLibrary> chosen = ChooseLibrary(*client, options, file);
  if (!chosen.ok()) return SayWhatIsKept(chosen.status());
  return SayWhatIsKept(BuildChosen(*client, options, file, *chosen));
}

}  // namespace tessera::cli
