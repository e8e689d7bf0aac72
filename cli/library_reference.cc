#include "cli/library_reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "cli/library_call.h"
#include "cli/library_child.h"
#include "cli/model_process.h"
#include "compiler/ir/evaluate.h"
#include "compiler/te/reference.h"

namespace tessera::cli {
namespace {

RunResult Wrong(std::string detail) { return {RunResult::Kind::kWrong, std::move(detail)}; }

// Compares values with what is expected, and keeps the first that is wrong.
class Comparison {
 public:
  // `tolerance`: largest absolute difference that is none. Whether to go on.
  bool Add(const std::string& name, int64_t element, double value, double expected,
           double tolerance) {
    ++count_;
    const double error = std::abs(value - expected);
    if (!(error <= tolerance)) {
      if (!fault_.empty()) return false;
      fault_ = absl::StrCat(name, "[", element, "] is ", value, " where ", expected,
                            " is expected, give or take ", tolerance);
      return false;
    }
    if (error > 0) largest_ = std::max(largest_, error / tolerance);
    return true;
  }
  RunResult Result() const {
    if (!fault_.empty()) return Wrong(fault_);
    return {RunResult::Kind::kRight,
            absl::StrCat(count_, " values, off by at most ", std::lround(largest_ * 100),
                         " % of the tolerance")};
  }

 private:
  int64_t count_ = 0;
  double largest_ = 0;
  std::string fault_;
};

// By output the largest difference, and the largest number that is expected.
class OutputErrors {
 public:
  explicit OutputErrors(size_t outputs) : differences_(outputs), largest_(outputs) {}

  void Expect(size_t output, double magnitude) {
    largest_[output] = std::max(largest_[output], std::abs(magnitude));
  }
  void Add(size_t output, double value, double expected) {
    const double difference = std::abs(value - expected);
    Expect(output, expected);
    differences_[output] = std::isnan(difference) ? std::numeric_limits<double>::infinity()
                                                  : std::max(differences_[output], difference);
  }
  std::vector<double> Relative() const {
    std::vector<double> errors;
    for (size_t o = 0; o < differences_.size(); ++o) {
      errors.push_back(differences_[o] == 0 ? 0 : differences_[o] / largest_[o]);
    }
    return errors;
  }

 private:
  std::vector<double> differences_, largest_;
};

using Inputs = std::vector<absl::Span<const std::byte>>;

absl::StatusOr<RunResult> RunReference(ModelProcess& process, const ReferenceRun& run,
                                       absl::Time deadline) {
  std::vector<std::vector<std::byte>> inputs;
  for (const ir::BufferNode& buffer : run.inputs) {
    inputs.push_back(te::TestInput(buffer, static_cast<int>(inputs.size()), *run.seed));
  }
  TESSERA_RETURN_IF_ERROR(process.Run(Inputs(inputs.begin(), inputs.end()), deadline));
  Comparison comparison;
  OutputErrors errors(run.outputs.size());
  for (size_t o = 0; o < run.outputs.size(); ++o) {
    const ReferenceRun::Output& output = run.outputs[o];
    errors.Expect(o, output.largest);
    for (size_t i = 0; i < output.elements.size(); ++i) {
      const double value =
          ir::ReadElement(output.buffer.type, process.output(o), output.elements[i]);
      errors.Add(o, value, output.values[i]);
      comparison.Add(output.buffer.name, output.elements[i], value, output.values[i],
                     output.tolerance);
    }
  }
  RunResult result = comparison.Result();
  result.errors = errors.Relative();
  return result;
}

absl::StatusOr<RunResult> RunSamples(ModelProcess& process, const ReferenceRun& run,
                                     absl::Time deadline) {
  OutputErrors errors(run.outputs.size());
  for (const SampleRun& sample : run.samples) {
    Inputs inputs;
    for (const graph::TensorRef& input : sample.inputs) inputs.emplace_back(input->bytes);
    TESSERA_RETURN_IF_ERROR(process.Run(inputs, deadline));
    for (size_t o = 0; o < run.outputs.size(); ++o) {
      const ir::BufferNode& buffer = run.outputs[o].buffer;
      if (o >= sample.outputs.size() ||
          sample.outputs[o]->type.ElementCount() != buffer.ElementCount()) {
        return Wrong(absl::StrCat(buffer.name, " is not what the samples have outputs of"));
      }
      for (int64_t i = 0; i < buffer.ElementCount(); ++i) {
        errors.Add(o, ir::ReadElement(buffer.type, process.output(o), i), sample.outputs[o]->At(i));
      }
    }
  }
  return RunResult{RunResult::Kind::kRight, absl::StrCat(run.samples.size(), " samples"),
                   errors.Relative()};
}

absl::StatusOr<RunResult> RunModel(std::string_view shared_object, const ReferenceRun& run,
                                   absl::Time deadline) {
  TESSERA_ASSIGN_OR_RETURN(ModelProcess process, ModelProcess::Start(shared_object, run, deadline));
  absl::StatusOr<RunResult> result = run.samples.empty() ? RunReference(process, run, deadline)
                                                         : RunSamples(process, run, deadline);
  if (result.ok()) absl::StrAppend(&result->detail, " (", process.isa(), ")");
  return result;
}

// Packs constants and inputs, calls the operator and unpacks its outputs.
absl::Status RunOperator(const LoadedLibrary& library, const OperatorRun& op,
                         Comparison& comparison) {
  using Tensor = OperatorRun::Tensor;
  std::vector<CallMemory> kept;
  std::vector<void*> constants, arguments;
  const auto is_activation = [](const Tensor& tensor) { return !tensor.is_constant; };
  // "_X" where there are several.
  const auto suffix = [&](const std::vector<Tensor>& tensors, const Tensor& tensor) {
    return std::ranges::count_if(tensors, is_activation) == 1 ? "" : "_" + tensor.name;
  };
  for (size_t i = 0; i < op.inputs.size(); ++i) {
    const Tensor& tensor = op.inputs[i];
    kept.emplace_back(te::TestInput(tensor.buffer, static_cast<int>(i), op.seed));
    void* const row_major = kept.back().data();
    if (tensor.is_constant) {
      constants.push_back(row_major);
      continue;
    }
    arguments.push_back(kept.emplace_back(static_cast<size_t>(tensor.stored_bytes)).data());
    TESSERA_RETURN_IF_ERROR(
        library.Call(absl::StrCat(op.name, "_pack_input", suffix(op.inputs, tensor)),
                     {row_major, arguments.back()}));
  }
  if (!constants.empty()) {
    TESSERA_ASSIGN_OR_RETURN(const size_t bytes, library.Size(op.name + "_packed_bytes"));
    arguments.push_back(kept.emplace_back(bytes).data());
    constants.push_back(arguments.back());
    TESSERA_RETURN_IF_ERROR(library.Call(op.name + "_pack_weights", constants));
  }
  const size_t first_output = arguments.size();
  for (const Tensor& tensor : op.outputs) {
    arguments.push_back(kept.emplace_back(static_cast<size_t>(tensor.stored_bytes)).data());
  }
  TESSERA_RETURN_IF_ERROR(library.Call(op.name, arguments));
  for (size_t o = 0; o < op.outputs.size(); ++o) {
    const Tensor& tensor = op.outputs[o];
    const ir::Type type = tensor.buffer.type;
    const CallMemory row_major(
        static_cast<size_t>((tensor.buffer.ElementCount() * type.bits + 7) / 8));
    TESSERA_RETURN_IF_ERROR(
        library.Call(absl::StrCat(op.name, "_unpack_output", suffix(op.outputs, tensor)),
                     {arguments[first_output + o], row_major.data()}));
    for (const te::Sample& sample : op.expected) {
      if (sample.output != static_cast<int>(o)) continue;
      const te::Tolerance& tolerance = op.tolerances[o];
      const double value = ir::ReadElement(type, row_major.bytes(), sample.index);
      if (!comparison.Add(absl::StrCat(op.name, ".", tensor.name), sample.index, value,
                          sample.value,
                          tolerance.absolute + tolerance.relative * std::abs(sample.value))) {
        return absl::OkStatus();
      }
    }
  }
  return absl::OkStatus();
}

// In the child.
absl::StatusOr<RunResult> LoadAndRun(const std::string& path, const ReferenceRun& run) {
  TESSERA_ASSIGN_OR_RETURN(const LoadedLibrary library, LoadedLibrary::Load(path, run.library));
  RunResult result{RunResult::Kind::kRight, "loaded"};
  Comparison comparison;
  for (const OperatorRun& op : run.operators) {
    TESSERA_RETURN_IF_ERROR(RunOperator(library, op, comparison));
    result = comparison.Result();
    if (result.kind == RunResult::Kind::kWrong) break;
  }
  absl::StrAppend(&result.detail, " (", library.isa(), ")");
  return result;
}

// The kind in one byte, then the detail.
std::string TextOf(const RunResult& result) {
  return absl::StrCat(static_cast<int>(result.kind), result.detail.substr(0, 2000));
}

absl::StatusOr<RunResult> RunOperators(std::string_view shared_object, const ReferenceRun& run,
                                       absl::Time deadline) {
  TESSERA_ASSIGN_OR_RETURN(
      LibraryChild child,
      LibraryChild::Start(shared_object, [&](const std::string& path, int channel) {
        absl::StatusOr<RunResult> result = LoadAndRun(path, run);
        const bool is_unfit = absl::IsFailedPrecondition(result.status());
        if (!result.ok()) {
          result = {is_unfit ? RunResult::Kind::kSkipped : RunResult::Kind::kWrong,
                    std::string(result.status().message())};
        }
        SendMessage(channel, TextOf(*result));
      }));
  TESSERA_ASSIGN_OR_RETURN(const std::string text, child.Receive(deadline));
  if (text[0] < '0' || text[0] > '2') return Wrong("it answered for itself");
  return RunResult{static_cast<RunResult::Kind>(text[0] - '0'), text.substr(1)};
}

}  // namespace

absl::StatusOr<RunResult> RunLibrary(std::string_view shared_object, const ReferenceRun& run,
                                     absl::Duration limit) {
  const absl::Time deadline = absl::Now() + limit;
  const bool calls_model = run.seed || !run.samples.empty();
  absl::StatusOr<RunResult> result = calls_model ? RunModel(shared_object, run, deadline)
                                                 : RunOperators(shared_object, run, deadline);
  const std::string message(result.status().message());
  switch (result.status().code()) {
    case absl::StatusCode::kAborted:
      return Wrong(message);
    case absl::StatusCode::kDeadlineExceeded:
      return Wrong(absl::StrCat("it did not end within ", absl::FormatDuration(limit)));
    case absl::StatusCode::kFailedPrecondition:
      return RunResult{RunResult::Kind::kSkipped, message};
    default:
      return result;
  }
}

}  // namespace tessera::cli
