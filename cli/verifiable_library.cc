#include "cli/verifiable_library.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/graph/buckets.h"
#include "compiler/graph/graph.h"
#include "compiler/schedule/schedule.h"
#include "compiler/schedule/trace.h"
#include "compiler/te/dag.h"

namespace tessera::cli {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kOperatorSeed = 20;
constexpr int kOperatorElements = 16;                // of an output
constexpr int64_t kOperatorOperations = 20'000'000;  // of the interpreter: two seconds

#if defined(__x86_64__)
constexpr char kHostKind[] = "x86";
#elif defined(__aarch64__)
constexpr char kHostKind[] = "aarch64";
#else
constexpr char kHostKind[] = "arm";
#endif

absl::Status NoManifest(const std::string& what) {
  return absl::DataLossError(absl::StrCat("is no manifest that can be verified: ", what));
}

// A value of the manifest, with the way to it.
class Value {
 public:
  Value(const Json& json, std::string place) : json_(json), place_(std::move(place)) {}

  bool Has(const char* name) const { return json_.is_object() && json_.contains(name); }
  absl::StatusOr<Value> At(const char* name) const {
    const std::string place = place_.empty() ? name : absl::StrCat(place_, ".", name);
    if (!Has(name)) return NoManifest(place + " is missing");
    return Value(json_[name], place);
  }
  absl::StatusOr<std::vector<Value>> List() const {
    if (!json_.is_array()) return NoManifest(place_ + " is no list");
    std::vector<Value> values;
    for (size_t i = 0; i < json_.size(); ++i) {
      values.emplace_back(json_[i], absl::StrCat(place_, "[", i, "]"));
    }
    return values;
  }
  absl::StatusOr<std::string> Text() const {
    if (!json_.is_string()) return NoManifest(place_ + " is no text");
    return json_.get<std::string>();
  }
  absl::StatusOr<int64_t> Number() const {
    if (!json_.is_number_integer()) return NoManifest(place_ + " is no whole number");
    return json_.get<int64_t>();
  }
  absl::StatusOr<double> Real() const {
    if (!json_.is_number()) return NoManifest(place_ + " is no number");
    return json_.get<double>();
  }
  absl::StatusOr<std::string> TextAt(const char* name) const {
    TESSERA_ASSIGN_OR_RETURN(const Value value, At(name));
    return value.Text();
  }
  absl::StatusOr<std::vector<int64_t>> NumbersAt(const char* name) const {
    TESSERA_ASSIGN_OR_RETURN(const Value value, At(name));
    TESSERA_ASSIGN_OR_RETURN(const std::vector<Value> list, value.List());
    std::vector<int64_t> numbers;
    for (const Value& one : list) {
      TESSERA_ASSIGN_OR_RETURN(numbers.emplace_back(), one.Number());
    }
    return numbers;
  }
  const std::string& place() const { return place_; }

 private:
  const Json& json_;
  std::string place_;
};

absl::StatusOr<ir::BufferNode> ReadTensor(const Value& value) {
  graph::TensorType type;
  TESSERA_ASSIGN_OR_RETURN(const std::string element, value.TextAt("type"));
  const absl::StatusOr<ir::Type> parsed = ir::ParseType(element);
  if (!parsed.ok()) {
    return NoManifest(absl::StrCat(value.place(), ": ", parsed.status().message()));
  }
  type.element = *parsed;
  TESSERA_ASSIGN_OR_RETURN(type.shape, value.NumbersAt("shape"));
  if (const absl::Status status = graph::CheckType(type); !status.ok()) {
    return NoManifest(absl::StrCat(value.place(), ": ", status.message()));
  }
  ir::BufferNode buffer;
  buffer.type = type.element;
  buffer.shape.assign(type.shape.begin(), type.shape.end());
  TESSERA_ASSIGN_OR_RETURN(buffer.name, value.TextAt("name"));
  return buffer;
}

absl::Status ReadValues(const Value& reference, ReferenceRun::Output& output) {
  TESSERA_ASSIGN_OR_RETURN(output.elements, reference.NumbersAt("elements"));
  for (const int64_t element : output.elements) {
    if (element >= 0 && element < output.buffer.ElementCount()) continue;
    return NoManifest(absl::StrCat(reference.place(), ".elements: there is no element ", element));
  }
  TESSERA_ASSIGN_OR_RETURN(const Value values, reference.At("values"));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Value> list, values.List());
  for (const Value& value : list) {
    TESSERA_ASSIGN_OR_RETURN(output.values.emplace_back(), value.Real());
  }
  if (output.values.size() != output.elements.size() || output.values.empty()) {
    return NoManifest(absl::StrCat(reference.place(), " has ", output.values.size(), " values for ",
                                   output.elements.size(), " elements"));
  }
  TESSERA_ASSIGN_OR_RETURN(const Value tolerance, reference.At("tolerance"));
  TESSERA_ASSIGN_OR_RETURN(output.tolerance, tolerance.Real());
  if (!reference.Has("largest")) return absl::OkStatus();  // of an earlier release
  TESSERA_ASSIGN_OR_RETURN(const Value largest, reference.At("largest"));
  TESSERA_ASSIGN_OR_RETURN(output.largest, largest.Real());
  return absl::OkStatus();
}

// Of a model, or of one of its buckets.
absl::Status ReadRun(const Value& model, const Value& reference, ReferenceRun& run) {
  TESSERA_ASSIGN_OR_RETURN(run.model, model.TextAt("name"));
  TESSERA_ASSIGN_OR_RETURN(const Value inputs, model.At("inputs"));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Value> input_list, inputs.List());
  for (const Value& input : input_list) {
    TESSERA_ASSIGN_OR_RETURN(run.inputs.emplace_back(), ReadTensor(input));
  }
  TESSERA_ASSIGN_OR_RETURN(const Value outputs, model.At("outputs"));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Value> tensors, outputs.List());
  for (const Value& tensor : tensors) {
    TESSERA_ASSIGN_OR_RETURN(run.outputs.emplace_back().buffer, ReadTensor(tensor));
  }
  if (reference.Has("missing")) {
    TESSERA_ASSIGN_OR_RETURN(run.why_no_values, reference.TextAt("missing"));
    return absl::OkStatus();
  }
  TESSERA_ASSIGN_OR_RETURN(const Value seed, reference.At("seed"));
  TESSERA_ASSIGN_OR_RETURN(const int64_t number, seed.Number());
  run.seed = static_cast<uint64_t>(number);
  TESSERA_ASSIGN_OR_RETURN(const Value references, reference.At("outputs"));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Value> expected, references.List());
  if (tensors.size() != expected.size() || tensors.empty()) {
    return NoManifest(absl::StrCat(references.place(), " are ", expected.size(), ", ",
                                   outputs.place(), " ", tensors.size()));
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    TESSERA_RETURN_IF_ERROR(ReadValues(expected[i], run.outputs[i]));
  }
  return absl::OkStatus();
}

absl::Status ReadModel(const Value& manifest, VerifiableLibrary& library) {
  TESSERA_ASSIGN_OR_RETURN(const Value model, manifest.At("model"));
  if (!model.Has("buckets")) {
    TESSERA_ASSIGN_OR_RETURN(const Value reference, manifest.At("reference"));
    return ReadRun(model, reference, library.runs[0]);
  }
  TESSERA_ASSIGN_OR_RETURN(library.runs[0].creator, model.TextAt("name"));
  TESSERA_ASSIGN_OR_RETURN(const Value buckets, model.At("buckets"));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Value> list, buckets.List());
  if (list.empty() || list.size() > graph::kMaxBuckets) {
    return NoManifest(
        absl::StrCat(buckets.place(), " are ", list.size(), ", not 1 to ", graph::kMaxBuckets));
  }
  library.runs.resize(list.size(), library.runs[0]);
  for (size_t b = 0; b < list.size(); ++b) {
    TESSERA_ASSIGN_OR_RETURN(const Value reference, list[b].At("reference"));
    TESSERA_RETURN_IF_ERROR(ReadRun(list[b], reference, library.runs[b]));
  }
  return absl::OkStatus();
}

// The operator's tensors, which its workload has in the same order.
absl::Status ReadTensors(const Value& op, const te::Dag& dag, OperatorRun& run) {
  TESSERA_ASSIGN_OR_RETURN(const Value tensors, op.At("tensors"));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Value> list, tensors.List());
  if (list.size() != dag.inputs.size() + dag.outputs.size()) {
    return NoManifest(absl::StrCat(tensors.place(), " are ", list.size(), ", the workload has ",
                                   dag.inputs.size() + dag.outputs.size()));
  }
  for (size_t i = 0; i < list.size(); ++i) {
    const bool is_input = i < dag.inputs.size();
    OperatorRun::Tensor tensor;
    tensor.buffer = is_input ? *dag.inputs[i].buffer : *dag.outputs[i - dag.inputs.size()];
    tensor.is_constant = is_input && dag.inputs[i].is_constant;
    TESSERA_ASSIGN_OR_RETURN(tensor.name, list[i].TextAt("name"));
    if (!tensor.is_constant) {
      TESSERA_ASSIGN_OR_RETURN(const Value bytes, list[i].At("stored_bytes"));
      TESSERA_ASSIGN_OR_RETURN(tensor.stored_bytes, bytes.Number());
      if (tensor.stored_bytes < 0 || tensor.stored_bytes > graph::kMaxTensorBytes) {
        return NoManifest(absl::StrCat(bytes.place(), ": ", tensor.stored_bytes,
                                       " is over the limit of ", graph::kMaxTensorBytes));
      }
    }
    (is_input ? run.inputs : run.outputs).push_back(std::move(tensor));
  }
  return absl::OkStatus();
}

// The largest tolerance of the operator's versions: algorithms err differently.
absl::Status ReadTolerances(const Value& op, const te::Dag& dag, OperatorRun& run) {
  run.tolerances.resize(dag.outputs.size(), {0, 0});
  TESSERA_ASSIGN_OR_RETURN(const Value versions, op.At("versions"));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Value> list, versions.List());
  for (const Value& version : list) {
    TESSERA_ASSIGN_OR_RETURN(const std::string text, version.TextAt("trace"));
    const absl::StatusOr<schedule::Trace> trace = schedule::ParseTrace(text);
    if (!trace.ok())
      return NoManifest(absl::StrCat(version.place(), ": ", trace.status().message()));
    const absl::StatusOr<schedule::Schedule> schedule = schedule::ApplyTrace(dag, *trace);
    if (!schedule.ok()) {
      return NoManifest(absl::StrCat(version.place(), ": ", schedule.status().message()));
    }
    for (size_t o = 0; o < run.tolerances.size(); ++o) {
      const te::Tolerance tolerance =
          te::OutputTolerance(dag, static_cast<int>(o), schedule->error_factors());
      run.tolerances[o].absolute = std::max(run.tolerances[o].absolute, tolerance.absolute);
      run.tolerances[o].relative = std::max(run.tolerances[o].relative, tolerance.relative);
    }
  }
  return absl::OkStatus();
}

absl::Status ReadOperators(const Value& manifest, VerifiableLibrary& library) {
  TESSERA_ASSIGN_OR_RETURN(const Value ops, manifest.At("ops"));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Value> list, ops.List());
  for (const Value& op : list) {
    OperatorRun run{.seed = kOperatorSeed};
    TESSERA_ASSIGN_OR_RETURN(run.name, op.TextAt("name"));
    TESSERA_ASSIGN_OR_RETURN(const std::string text, op.TextAt("workload"));
    const absl::StatusOr<te::Workload> workload = te::ParseWorkload(text);
    if (!workload.ok()) {
      return NoManifest(absl::StrCat(op.place(), ": ", workload.status().message()));
    }
    TESSERA_RETURN_IF_ERROR(ReadTensors(op, workload->dag, run));
    TESSERA_RETURN_IF_ERROR(ReadTolerances(op, workload->dag, run));
    absl::StatusOr<std::vector<te::Sample>> expected =
        te::SampleReference(*workload, run.seed, kOperatorElements, kOperatorOperations);
    if (absl::IsResourceExhausted(expected.status())) {
      library.too_large.push_back(std::move(run.name));
      continue;
    }
    TESSERA_ASSIGN_OR_RETURN(run.expected, std::move(expected));
    library.runs[0].operators.push_back(std::move(run));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<VerifiableLibrary> ReadVerifiableLibrary(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return NoManifest("it is no JSON object");
  const Value manifest(json, "");
  VerifiableLibrary library;
  TESSERA_ASSIGN_OR_RETURN(const Value files, manifest.At("files"));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Value> list, files.List());
  for (const Value& file : list) {
    ListedFile& listed = library.files.emplace_back();
    TESSERA_ASSIGN_OR_RETURN(listed.name, file.TextAt("name"));
    TESSERA_ASSIGN_OR_RETURN(listed.sha256, file.TextAt("sha256"));
    if (listed.name.empty() || listed.name[0] == '.' || absl::StrContains(listed.name, '/')) {
      return NoManifest(
          absl::StrCat(file.place(), ".name \"", listed.name, "\" is no name of a file beside it"));
    }
  }
  std::string_view name;
  if (!library.files.empty()) name = library.files[0].name;
  if (!name.starts_with("lib") || !name.ends_with(".so") || name.size() < 7) {
    return NoManifest(absl::StrCat("files[0] is \"", AbslView(name), "\", no libNAME.so"));
  }
  library.runs.resize(1);
  library.runs[0].library = name.substr(3, name.size() - 6);
  TESSERA_ASSIGN_OR_RETURN(const Value versions, manifest.At("versions"));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Value> targets, versions.List());
  if (targets.empty()) return NoManifest("versions is empty");
  TESSERA_ASSIGN_OR_RETURN(const std::string target, targets[0].TextAt("target"));
  library.cpu_kind = target.substr(0, target.find_first_of("/ "));
  if (manifest.Has("model")) {
    TESSERA_RETURN_IF_ERROR(ReadModel(manifest, library));
  } else if (!manifest.Has("device")) {
    TESSERA_RETURN_IF_ERROR(ReadOperators(manifest, library));
  }
  return library;
}

absl::StatusOr<RunResult> RunHere(const VerifiableLibrary& library, const ReferenceRun& run,
                                  std::string_view shared_object, absl::Duration limit) {
  const auto skipped = [](std::string why) {
    return RunResult{RunResult::Kind::kSkipped, std::move(why)};
  };
  if (library.cpu_kind != kHostKind) {
    return skipped(absl::StrCat("the library is for ", library.cpu_kind, ", this machine is ",
                                kHostKind, "; verify it there"));
  }
  TESSERA_ASSIGN_OR_RETURN(const RunResult result, RunLibrary(shared_object, run, limit));
  if (result.kind == RunResult::Kind::kRight && !run.why_no_values.empty() && run.samples.empty()) {
    return skipped(absl::StrCat("there is no reference: ", run.why_no_values));
  }
  return result;
}

}  // namespace tessera::cli
