#include "cli/model_source.h"

#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/view.h"
#include "cli/path_status.h"
#include "cli/quantized_model.h"
#include "compiler/graph/adjoint.h"
#include "compiler/graph/buckets.h"
#include "compiler/graph/layouts.h"
#include "compiler/graph/passes.h"
#include "compiler/te/c_names.h"
#include "frontend/onnx/import.h"
#include "proto/limits.h"

namespace tessera::cli {
namespace {

absl::StatusOr<std::string> ReadWhole(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) return PathStatus(error.value(), "cannot open", path);
  if (size > frontend::kMaxModelBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": has ", size, " bytes; ", frontend::kMaxModelBytes, " are the most"));
  }
  std::ifstream in(path, std::ios::binary);
  if (!in) return PathStatus(errno, "cannot open", path);
  std::string bytes(size, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(size));
  bytes.resize(static_cast<size_t>(in.gcount()));
  return bytes;
}

// "batch" and "1,3,224" of "batch=1,3,224", which `parse` reads one by one.
template <typename Number, typename Parse>
absl::StatusOr<std::pair<std::string, std::vector<Number>>> NamedNumbers(const char* option,
                                                                         const std::string& text,
                                                                         const char* what,
                                                                         Parse parse) {
  const size_t sign = text.rfind('=');
  std::vector<Number> numbers;
  if (sign != std::string::npos && sign > 0) {
    for (const absl::string_view part : absl::StrSplit(text.substr(sign + 1), ',')) {
      Number number = 0;
      if (!parse(part, &number)) {
        numbers.clear();
        break;
      }
      numbers.push_back(number);
    }
  }
  if (numbers.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(option, " ", text, ": expected a name, \"=\" and ", what));
  }
  return std::pair(text.substr(0, sign), std::move(numbers));
}

absl::StatusOr<std::pair<std::string, std::vector<int64_t>>> NamedExtents(const char* option,
                                                                          const std::string& text) {
  return NamedNumbers<int64_t>(option, text, "numbers from 1 on",
                               [](absl::string_view part, int64_t* number) {
                                 return absl::SimpleAtoi(part, number) && *number >= 1;
                               });
}

// Extents of the dimensions that a model leaves open, in C's names those of which there are
// several.
struct Shapes {
  std::vector<std::pair<std::string, int64_t>> extents;
  frontend::ImportOptions options;
};

absl::Status CheckExtents(const std::string& text, const std::vector<int64_t>& extents) {
  if (std::set(extents.begin(), extents.end()).size() == extents.size()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--dim ", text, ": an extent is there twice"));
}

// Each of `all` with each of the extents.
std::vector<Shapes> With(const std::vector<Shapes>& all, const std::string& name,
                         const std::string& c_name, const std::vector<int64_t>& extents) {
  std::vector<Shapes> made;
  for (const Shapes& shapes : all) {
    for (const int64_t extent : extents) {
      Shapes& one = made.emplace_back(shapes);
      one.options.dimensions[name] = extent;
      if (extents.size() > 1) one.extents.emplace_back(c_name, extent);
    }
  }
  return made;
}

// One for each combination of extents.
absl::StatusOr<std::vector<Shapes>> ShapesOf(const OperatorSource& source) {
  frontend::ImportOptions options;
  options.folder = std::filesystem::absolute(source.file).parent_path();
  for (const std::string& text : source.shapes) {
    TESSERA_ASSIGN_OR_RETURN(auto named, NamedExtents("--shape", text));
    options.shapes[named.first] = std::move(named.second);
  }
  for (const std::string& text : source.values) {
    TESSERA_ASSIGN_OR_RETURN(
        auto named, NamedNumbers<double>(
                        "--value", text, "numbers", [](absl::string_view part, double* number) {
                          return absl::SimpleAtod(part, number) && std::isfinite(*number);
                        }));
    options.numbers[named.first] = std::move(named.second);
  }
  std::vector<Shapes> all(1);
  all[0].options = std::move(options);
  std::set<std::string> names, c_names;
  for (const std::string& text : source.dimensions) {
    TESSERA_ASSIGN_OR_RETURN(const auto named, NamedExtents("--dim", text));
    TESSERA_RETURN_IF_ERROR(CheckExtents(text, named.second));
    if (!names.insert(named.first).second) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--dim ", text, ": ", named.first, " has extents already; name all of them at once"));
    }
    if (all.size() * named.second.size() > graph::kMaxBuckets) {
      return absl::InvalidArgumentError(
          absl::StrCat("--dim ", text, ": that makes ", all.size() * named.second.size(),
                       " combinations of extents; ", graph::kMaxBuckets,
                       " are the most, make several libraries"));
    }
    std::string c_name = te::ToCIdentifier(named.first, "dim");
    while (!te::IsCIdentifier(c_name) || !c_names.insert(c_name).second) c_name += '_';
    all = With(all, named.first, c_name, named.second);
  }
  return all;
}

// What computes the gradients of all that the model learns.
absl::StatusOr<graph::Graph> Backward(const graph::Graph& graph) {
  const std::vector<int> parameters = graph::Parameters(graph);
  if (parameters.empty()) {
    return absl::InvalidArgumentError(
        "--backward: no output depends on a weight or an input of floats");
  }
  TESSERA_ASSIGN_OR_RETURN(graph::Graph made, graph::Adjoint(graph, parameters));
  return graph::RunPasses(std::move(made), graph::StandardPasses());
}

// A name that a function may have, like the kernel's.
std::string OpName(const std::string& name) {
  return te::CheckOpName(name).ok() ? name : name + "_op";
}

// The tasks of plans together: equal ones are one with their weights' sum.
class TaskMerger {
 public:
  void Add(const graph::Plan& plan, const graph::Bucket& bucket) {
    for (const graph::Task& task : plan.tasks) {
      const auto [found, is_new] =
          places_.try_emplace(te::StructuralHash(task.workload.dag), operators_.size());
      if (!is_new) {
        operators_[found->second].weight += task.steps;
        continue;
      }
      JobOperator op;
      op.spec.name = OpName(task.workload.name);
      if (names_.contains(op.spec.name)) {
        for (const auto& [name, extent] : bucket.extents) {
          absl::StrAppend(&op.spec.name, "_", name, extent);
        }
      }
      while (!names_.insert(op.spec.name).second) op.spec.name += '_';
      op.workload = task.workload;
      op.workload.name = op.spec.name;
      op.weight = task.steps;
      operators_.push_back(std::move(op));
    }
  }
  std::vector<JobOperator> Finish() && { return std::move(operators_); }

 private:
  std::vector<JobOperator> operators_;
  std::map<uint64_t, size_t> places_;  // by hash of their definition
  std::set<std::string> names_;
};

// What is not supported of a model, or not known of it, or points outside of its folder, is for
// whoever gave it to change: InvalidArgument.
absl::Status Refused(const absl::Status& status, const std::string& file) {
  const absl::Status named = Annotate(status, file);
  const bool is_the_models = absl::IsUnimplemented(status) || absl::IsFailedPrecondition(status) ||
                             absl::IsPermissionDenied(status);
  return is_the_models ? absl::InvalidArgumentError(named.message()) : named;
}

// The graphs after graph::StandardPasses, of floats and forward, with their constants in common.
absl::StatusOr<std::vector<graph::Bucket>> ReadBuckets(const OperatorSource& source) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Shapes> all, ShapesOf(source));
  TESSERA_ASSIGN_OR_RETURN(const std::string bytes, ReadWhole(source.file));
  std::vector<graph::Bucket> buckets;
  graph::SharedConstants constants;
  for (const Shapes& shapes : all) {
    absl::StatusOr<graph::Graph> graph = frontend::ImportModel(bytes, shapes.options);
    if (graph.ok()) graph = graph::RunPasses(*std::move(graph), graph::StandardPasses());
    TESSERA_RETURN_IF_ERROR(Refused(graph.status(), source.file));
    if (all.size() > 1) constants.Share(*graph);
    buckets.push_back({shapes.extents, *std::move(graph)});
  }
  return buckets;
}

struct SourceModel {
  std::vector<graph::Bucket> buckets;
  std::optional<CalibratedModel> calibrated;  // as of JobFile
};

absl::StatusOr<graph::Graph> QuantizedFor(const CalibratedModel& model, const ir::Target* target,
                                          const std::string& file) {
  absl::StatusOr<graph::Quantized> made = QuantizeFor(model, target);
  TESSERA_RETURN_IF_ERROR(Annotate(made.status(), file));
  return std::move(made->graph);
}

// What the source asks for: the model, its gradients, or the model in i8.
absl::StatusOr<SourceModel> ReadGraphs(const OperatorSource& source,
                                       const graph::Executor& executor) {
  const bool is_quantized = !source.int8.samples.empty();
  if (source.backward && is_quantized) {
    return absl::InvalidArgumentError("--backward and --int8: rounding has no gradient; name one");
  }
  SourceModel model;
  TESSERA_ASSIGN_OR_RETURN(model.buckets, ReadBuckets(source));
  if (is_quantized && model.buckets.size() > 1) {
    return absl::InvalidArgumentError(
        "--int8 and several extents of --dim: samples are of one shape; name one extent each");
  }
  for (graph::Bucket& bucket : model.buckets) {
    if (source.backward) {
      absl::StatusOr<graph::Graph> backward = Backward(bucket.graph);
      TESSERA_RETURN_IF_ERROR(Annotate(backward.status(), source.file));
      bucket.graph = *std::move(backward);
    }
    if (is_quantized) {
      absl::StatusOr<CalibratedModel> made = CalibrateModel(bucket.graph, source.int8, executor);
      TESSERA_RETURN_IF_ERROR(Annotate(made.status(), source.file));
      model.calibrated = *std::move(made);
      TESSERA_ASSIGN_OR_RETURN(bucket.graph, QuantizedFor(*model.calibrated, nullptr, source.file));
    }
  }
  return model;
}

// The only bucket; several are for what makes libraries and jobs.
absl::StatusOr<graph::Graph> Single(std::vector<graph::Bucket> buckets) {
  if (buckets.size() == 1) return std::move(buckets[0].graph);
  return absl::InvalidArgumentError(
      "--dim: several extents are for `tessera tune`, `build` and `request`; name one here");
}

}  // namespace

absl::StatusOr<std::vector<JobOperator>> OperatorsOf(absl::Span<const graph::Bucket> buckets) {
  TaskMerger merger;
  for (const graph::Bucket& bucket : buckets) {
    TESSERA_ASSIGN_OR_RETURN(const graph::Plan plan, graph::MakePlan(bucket.graph));
    merger.Add(plan, bucket);
  }
  return std::move(merger).Finish();
}

bool IsModelFile(const std::string& path) {
  return path.ends_with(".onnx") || path.ends_with(".ONNX");
}

absl::StatusOr<graph::Graph> ReadForward(const OperatorSource& source) {
  TESSERA_ASSIGN_OR_RETURN(std::vector<graph::Bucket> buckets, ReadBuckets(source));
  return Single(std::move(buckets));
}

absl::StatusOr<graph::Graph> ReadGraph(const OperatorSource& source) {
  TESSERA_ASSIGN_OR_RETURN(SourceModel model, ReadGraphs(source, graph::Interpreted));
  return Single(std::move(model.buckets));
}

absl::StatusOr<JobFile> ModelJob(const OperatorSource& source, const graph::Executor& executor) {
  JobFile file;
  if (!source.layouts.empty()) {
    absl::StatusOr<ir::Target> target = ir::ParseTarget(source.layouts);
    if (!target.ok()) return Annotate(target.status(), "--layouts");
    file.layouts = *std::move(target);
  }
  TESSERA_ASSIGN_OR_RETURN(SourceModel model, ReadGraphs(source, executor));
  absl::StatusOr<std::vector<JobOperator>> operators = OperatorsOf(model.buckets);
  TESSERA_RETURN_IF_ERROR(Annotate(operators.status(), source.file));
  file.name = model.buckets[0].graph.name;
  file.operators = *std::move(operators);
  if (file.operators.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(source.file, ": computes nothing: all of it is known or only renamed"));
  }
  file.options.scheduler = "gradient";  // what counts is the model's time
  file.model = file.stored = std::move(model.buckets);
  file.calibrated = std::move(model.calibrated);
  return file;
}

absl::Status CheckRunsModels(const std::string& target, const std::string& device_class) {
  TESSERA_ASSIGN_OR_RETURN(const ir::Target parsed, ir::ParseTarget(target));
  if (ir::IsCpu(parsed.kind)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "libraries of models run on CPUs only; ", device_class.empty() ? target : device_class,
      " is none; name a CPU's --device-class or --target"));
}

absl::StatusOr<ModelLayouts> PlanFor(JobFile& file, const ir::Target& target,
                                     const graph::KnownSeconds& known,
                                     graph::Unmeasured unmeasured) {
  ModelLayouts layouts;
  if (file.model.empty()) return layouts;
  const ir::Target& stored_for = file.layouts ? *file.layouts : target;
  if (file.layouts && (stored_for.kind != target.kind || !ir::IsCpu(target.kind))) {
    return absl::InvalidArgumentError(
        absl::StrCat("--layouts ", ir::ToString(stored_for), ": the target is ",
                     ir::ToString(target), "; a library has versions for CPUs of one kind"));
  }
  if (file.calibrated && file.has_unsigned_bytes != TakesUnsignedBytes(&stored_for)) {
    TESSERA_ASSIGN_OR_RETURN(file.model[0].graph,
                             QuantizedFor(*file.calibrated, &stored_for, file.name));
    file.has_unsigned_bytes = TakesUnsignedBytes(&stored_for);
  }
  std::vector<graph::Bucket> stored;
  bool all_known = true, all_estimated_known = true;
  for (const graph::Bucket& bucket : file.model) {
    absl::StatusOr<graph::LayoutChoice> choice =
        graph::ChooseLayouts(bucket.graph, stored_for, known, unmeasured);
    TESSERA_RETURN_IF_ERROR(Annotate(choice.status(), file.name));
    layouts.values += choice->values;
    layouts.blocked += choice->blocked;
    layouts.changed += choice->changed;
    layouts.seconds += choice->seconds;
    layouts.estimated_seconds += choice->estimated_seconds;
    all_known = all_known && (choice->changed == 0 || choice->seconds > 0);
    all_estimated_known =
        all_estimated_known && (choice->changed == 0 || choice->estimated_seconds > 0);
    stored.push_back({bucket.extents, std::move(choice->graph)});
  }
  if (!all_known) layouts.seconds = 0;
  if (!all_estimated_known) layouts.estimated_seconds = 0;
  absl::StatusOr<std::vector<JobOperator>> operators = OperatorsOf(stored);
  TESSERA_RETURN_IF_ERROR(Annotate(operators.status(), file.name));
  file.operators = *std::move(operators);
  file.stored = std::move(stored);
  return layouts;
}

}  // namespace tessera::cli
