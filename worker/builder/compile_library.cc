#include <algorithm>
#include <exception>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/graph/buckets.h"
#include "compiler/graph/plan.h"
#include "compiler/library/library.h"
#include "compiler/schedule/default_trace.h"
#include "proto/checks.h"
#include "proto/convert.h"
#include "proto/limits.h"
#include "worker/builder/compile.h"

namespace tessera::builder {
namespace {

absl::StatusOr<te::Workload> ReadWorkload(const db::SelectionItem& item) {
  TESSERA_ASSIGN_OR_RETURN(te::Workload workload, te::ParseWorkload(item.task.workload));
  const std::string hash = HashToHex(te::StructuralHash(workload.dag));
  if (item.task.workload_hash.empty() || item.task.workload_hash == hash) return workload;
  return absl::FailedPreconditionError(absl::StrCat(
      "workload hash: the selection says ", item.task.workload_hash, ", this builder makes ", hash,
      "; install the same release on server and worker"));
}

absl::StatusOr<library::Implementation> ReadSchedule(const db::SelectionItem& item,
                                                     const te::Dag& dag, ir::Target target) {
  library::Implementation made;
  made.is_default = item.record_id == 0;
  if (item.trace.empty()) {
    target.max_threads = item.task.threads;
    TESSERA_ASSIGN_OR_RETURN(made.trace, schedule::DefaultTrace(dag, target));
  } else {
    TESSERA_ASSIGN_OR_RETURN(made.trace, schedule::ParseTrace(item.trace));
  }
  if (!made.is_default) made.record_ids = {absl::StrCat(item.record_id)};
  made.device = item.device;
  if (item.seconds > 0) made.measured_seconds = item.seconds;
  return made;
}

// Puts the items of a selection together, in any order, to operators with versions.
class SpecReader {
 public:
  absl::Status Add(const db::SelectionItem& item) {
    TESSERA_ASSIGN_OR_RETURN(const size_t version, VersionOf(item));
    TESSERA_ASSIGN_OR_RETURN(const size_t op, OpOf(item));
    if (!schedules_.contains({op, version})) {
      const ir::Target& target = versions_[version].target;
      absl::StatusOr<library::Implementation> made =
          ReadSchedule(item, spec_.ops[op].workload.dag, target);
      // What no record says that it can is left to the CPU.
      const bool is_refused = target.kind == ir::TargetKind::kVta && item.record_id == 0 &&
                              absl::IsInvalidArgument(made.status());
      if (is_refused) {
        spec_.ops[op].why_not_on_device = StdView(made.status().message());
      } else if (!made.ok()) {
        return made.status();
      }
      schedules_.emplace(std::pair(op, version),
                         is_refused ? std::nullopt : std::optional(*std::move(made)));
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(absl::StrCat("it is there twice for ", item.task.target,
                                                   " of device class \"", item.device_class, "\""));
  }

  absl::StatusOr<library::LibrarySpec> Finish(std::string name) && {
    spec_.name = std::move(name);
    for (size_t op = 0; op < spec_.ops.size(); ++op) TESSERA_RETURN_IF_ERROR(AddSchedules(op));
    for (size_t i = 0; i < versions_.size(); ++i) {
      library::LibraryVersion& version = versions_[i];
      version.target.max_threads = threads_[i];
      if (ir::IsCpu(version.target.kind)) {
        spec_.versions.push_back(std::move(version));
        continue;
      }
      if (spec_.device) {
        return absl::InvalidArgumentError(
            absl::StrCat(ir::ToString(spec_.device->target), " and ", ir::ToString(version.target),
                         " are both devices, of which a library is for one"));
      }
      spec_.device = std::move(version);
    }
    return std::move(spec_);
  }

 private:
  // An operator's schedules for all versions.
  absl::Status AddSchedules(size_t number) {
    library::LibraryOp& op = spec_.ops[number];
    for (size_t version = 0; version < versions_.size(); ++version) {
      const ir::Target& target = versions_[version].target;
      const auto found = schedules_.find({number, version});
      if (found == schedules_.end()) {
        return absl::InvalidArgumentError(
            absl::StrCat(op.name, ": it is missing for target ", ir::ToString(target),
                         ", which others have; a library has the same operators for each"));
      }
      if (ir::IsCpu(target.kind)) {
        op.versions.push_back(*std::move(found->second));
      } else {
        op.on_device = std::move(found->second);
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<size_t> VersionOf(const db::SelectionItem& item) {
    absl::StatusOr<ir::Target> target = ir::ParseTarget(item.task.target);
    if (!target.ok()) return Annotate(target.status(), "target");
    // How many threads each kernel may use is its task's; the rest has to be one machine.
    target->max_threads = 1;
    size_t i = 0;
    while (i < versions_.size() &&
           (versions_[i].target != *target || versions_[i].device_class != item.device_class)) {
      ++i;
    }
    if (i == versions_.size()) {
      versions_.push_back({*std::move(target), item.device_class});
      threads_.push_back(1);
    }
    threads_[i] = std::max(threads_[i], item.task.threads);
    return i;
  }

  absl::StatusOr<size_t> OpOf(const db::SelectionItem& item) {
    TESSERA_ASSIGN_OR_RETURN(te::Workload workload, ReadWorkload(item));
    const auto [found, is_new] = places_.emplace(item.op, spec_.ops.size());
    if (is_new) {
      spec_.ops.push_back({item.op, std::move(workload), {}, {}});
    } else if (te::StructuralHash(workload.dag) !=
               te::StructuralHash(spec_.ops[found->second].workload.dag)) {
      return absl::InvalidArgumentError(
          absl::StrCat("its workload for ", item.task.target, " is another than before"));
    }
    return found->second;
  }

  library::LibrarySpec spec_;
  std::vector<library::LibraryVersion> versions_;  // the device's, too
  std::vector<int> threads_;                       // by version
  std::map<std::string, size_t> places_;           // of operators
  // By operator and version; nothing where an accelerator refuses the operator.
  std::map<std::pair<size_t, size_t>, std::optional<library::Implementation>> schedules_;
};

absl::StatusOr<library::LibrarySpec> ReadSelection(const proto::LibraryRequest& request) {
  SpecReader reader;
  for (const db::SelectionItem& item : request.selection.items) {
    const absl::Status added = reader.Add(item);
    if (!added.ok()) return Annotate(added, item.op);
  }
  return std::move(reader).Finish(request.name);
}

absl::StatusOr<std::vector<graph::Bucket>> ReadGraphs(const db::SelectionModel& model,
                                                      std::vector<std::string> artifacts) {
  if (artifacts.size() != model.constants.size() + 1) {
    return absl::InternalError(absl::StrCat(artifacts.size(), " artifacts came, ",
                                            model.constants.size() + 1, " belong to it"));
  }
  std::map<std::string, std::string> constants;
  for (size_t i = 0; i < model.constants.size(); ++i) {
    constants[model.constants[i]] = std::move(artifacts[i + 1]);
  }
  return graph::ParseBuckets(artifacts[0],
                             [&](const std::string& digest) -> absl::StatusOr<std::string> {
                               const auto found = constants.find(digest);
                               if (found != constants.end()) return found->second;
                               return absl::InvalidArgumentError(
                                   absl::StrCat("the selection doesn't have constant ", digest));
                             });
}

// Has the library be that of the model: its kernels are the selection's operators.
absl::Status AddModel(std::vector<graph::Bucket> buckets, library::LibrarySpec& spec) {
  std::map<uint64_t, int> operators;  // by their workload
  for (size_t i = 0; i < spec.ops.size(); ++i) {
    operators.emplace(te::StructuralHash(spec.ops[i].workload.dag), static_cast<int>(i));
  }
  std::vector<graph::Plan> plans;
  plans.reserve(buckets.size());
  std::vector<library::PlannedBucket> planned;
  for (graph::Bucket& bucket : buckets) {
    TESSERA_ASSIGN_OR_RETURN(plans.emplace_back(), graph::MakePlan(std::move(bucket.graph)));
    library::PlannedBucket& made =
        planned.emplace_back(library::PlannedBucket{std::move(bucket.extents), &plans.back(), {}});
    for (const graph::Task& task : plans.back().tasks) {
      const auto found = operators.find(te::StructuralHash(task.workload.dag));
      if (found == operators.end()) {
        return absl::InvalidArgumentError(
            absl::StrCat("the selection has no operator for kernel ", task.workload.name,
                         "; select all kernels of the graph, with one release of Tessera"));
      }
      made.ops.push_back(found->second);
    }
  }
  spec.model = library::ModelOf(std::move(planned), spec.name);
  return absl::OkStatus();
}

absl::StatusOr<library::LibraryFiles> MakeFiles(const proto::LibraryRequest& request,
                                                std::vector<std::string> artifacts) {
  TESSERA_RETURN_IF_ERROR(proto::CheckIdentifier("library name", request.name));
  TESSERA_ASSIGN_OR_RETURN(library::LibrarySpec spec, ReadSelection(request));
  if (request.selection.model) {
    absl::StatusOr<std::vector<graph::Bucket>> buckets =
        ReadGraphs(*request.selection.model, std::move(artifacts));
    TESSERA_RETURN_IF_ERROR(Annotate(buckets.status(), "graph"));
    TESSERA_RETURN_IF_ERROR(Annotate(AddModel(*std::move(buckets), spec), "model"));
  }
  spec.static_library = request.static_library;
  return library::BuildLibrary(spec);
}

}  // namespace

Compiled<agent::LibraryOutput> CompileLibrary(const proto::LibraryRequest& request,
                                              std::vector<std::string> artifacts) {
  Compiled<agent::LibraryOutput> compiled;
  agent::LibraryOutput& output = compiled.output;
  absl::StatusOr<library::LibraryFiles> files;
  try {
    files = MakeFiles(request, std::move(artifacts));
  } catch (const std::exception& error) {
    files = absl::InternalError(absl::StrCat("the compiler threw: ", error.what()));
  }
  if (!files.ok()) {
    output.error = proto::CleanText(StdView(files.status().message()), proto::kMaxTextBytes);
    compiled.is_last = true;  // which step failed is not known here
    return compiled;
  }
  for (library::LibraryFile& file : files->files) {
    output.files.emplace_back(std::move(file.name), std::move(file.bytes));
  }
  return compiled;
}

}  // namespace tessera::builder
