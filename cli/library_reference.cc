#include "cli/library_reference.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/durable_file.h"
#include "base/unique_fd.h"
#include "base/view.h"
#include "cli/library_call.h"
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

// The functions of a library.
class Functions {
 public:
  explicit Functions(void* handle) : handle_(handle) {}

  // Calls what takes pointers and returns a result of the library. Empty, or what went wrong.
  std::string Call(const std::string& name, absl::Span<void* const> arguments) const {
    void* const function = dlsym(handle_, name.c_str());
    if (function == nullptr) return absl::StrCat("it has no function ", name);
    const int result = CallFunction(function, arguments);
    return result == 0 ? "" : absl::StrCat(name, " returned ", result);
  }
  // Of a function without parameters; nothing where there is none.
  std::optional<size_t> Size(const std::string& name) const {
    void* const function = dlsym(handle_, name.c_str());
    if (function == nullptr) return std::nullopt;
    return reinterpret_cast<size_t (*)()>(function)();
  }

 private:
  void* handle_;
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

// A model with memory for its tensors.
class ModelCall {
 public:
  // Empty, or what went wrong.
  std::string Prepare(const Functions& library, const ReferenceRun& run) {
    const std::optional<size_t> bytes = library.Size(run.model + "_workspace_bytes");
    if (!bytes) return absl::StrCat("it has no function ", run.model, "_workspace_bytes");
    void* model = nullptr;
    std::string fault =
        library.Call((run.creator.empty() ? run.model : run.creator) + "_create", {&model});
    if (!fault.empty()) return fault;
    arguments_ = {model};
    for (const ir::BufferNode& buffer : run.inputs) {
      const auto size = static_cast<size_t>(buffer.StoredBytes());
      arguments_.push_back(inputs_.emplace_back(size).data());
    }
    for (const ReferenceRun::Output& output : run.outputs) {
      const auto size = static_cast<size_t>(output.buffer.StoredBytes());
      arguments_.push_back(outputs_.emplace_back(size).data());
    }
    arguments_.push_back(workspace_.emplace(*bytes).data());
    return "";
  }
  size_t tensors() const { return inputs_.size() + outputs_.size(); }
  absl::Span<const std::byte> output(size_t number) const { return outputs_[number].bytes(); }

  // Empty, or what went wrong.
  std::string Run(const Functions& library, const ReferenceRun& run,
                  absl::Span<const std::vector<std::byte>> inputs) {
    if (inputs.size() != inputs_.size()) {
      return absl::StrCat("it has ", inputs_.size(), " inputs, a sample ", inputs.size());
    }
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i].size() != inputs_[i].bytes().size()) {
        return absl::StrCat(run.inputs[i].name, " has ", inputs_[i].bytes().size(),
                            " bytes, of a sample ", inputs[i].size());
      }
      std::ranges::copy(inputs[i], inputs_[i].data());
    }
    return library.Call(run.model + "_run", arguments_);
  }

 private:
  std::vector<CallMemory> inputs_, outputs_;
  std::optional<CallMemory> workspace_;
  std::vector<void*> arguments_;
};

RunResult RunReference(const Functions& library, const ReferenceRun& run, ModelCall& call) {
  std::vector<std::vector<std::byte>> inputs;
  for (const ir::BufferNode& buffer : run.inputs) {
    inputs.push_back(te::TestInput(buffer, static_cast<int>(inputs.size()), *run.seed));
  }
  const std::string fault = call.Run(library, run, inputs);
  if (!fault.empty()) return Wrong(fault);
  Comparison comparison;
  OutputErrors errors(run.outputs.size());
  for (size_t o = 0; o < run.outputs.size(); ++o) {
    const ReferenceRun::Output& output = run.outputs[o];
    errors.Expect(o, output.largest);
    for (size_t i = 0; i < output.elements.size(); ++i) {
      const double value = ir::ReadElement(output.buffer.type, call.output(o), output.elements[i]);
      errors.Add(o, value, output.values[i]);
      comparison.Add(output.buffer.name, output.elements[i], value, output.values[i],
                     output.tolerance);
    }
  }
  RunResult result = comparison.Result();
  result.errors = errors.Relative();
  return result;
}

RunResult RunSamples(const Functions& library, const ReferenceRun& run, ModelCall& call) {
  OutputErrors errors(run.outputs.size());
  for (const SampleRun& sample : run.samples) {
    std::vector<std::vector<std::byte>> inputs;
    for (const graph::TensorRef& input : sample.inputs) inputs.push_back(input->bytes);
    const std::string fault = call.Run(library, run, inputs);
    if (!fault.empty()) return Wrong(fault);
    for (size_t o = 0; o < run.outputs.size(); ++o) {
      const ir::BufferNode& buffer = run.outputs[o].buffer;
      if (o >= sample.outputs.size() ||
          sample.outputs[o]->type.ElementCount() != buffer.ElementCount()) {
        return Wrong(absl::StrCat(buffer.name, " is not what the samples have outputs of"));
      }
      for (int64_t i = 0; i < buffer.ElementCount(); ++i) {
        errors.Add(o, ir::ReadElement(buffer.type, call.output(o), i), sample.outputs[o]->At(i));
      }
    }
  }
  return {RunResult::Kind::kRight, absl::StrCat(run.samples.size(), " samples"), errors.Relative()};
}

RunResult RunModel(const Functions& library, const ReferenceRun& run) {
  ModelCall call;
  const std::string fault = call.Prepare(library, run);
  if (!fault.empty()) return Wrong(fault);
  if (call.tensors() + 2 > kMaxArguments) {
    return {RunResult::Kind::kSkipped,
            absl::StrCat("it has ", call.tensors(), " inputs and outputs, more than ",
                         kMaxArguments - 2)};
  }
  return run.samples.empty() ? RunReference(library, run, call) : RunSamples(library, run, call);
}

// Packs constants and inputs, calls the operator and unpacks its outputs. Empty, or what went
// wrong.
std::string RunOperator(const Functions& library, const OperatorRun& op, Comparison& comparison) {
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
    std::string fault =
        library.Call(absl::StrCat(op.name, "_pack_input", suffix(op.inputs, tensor)),
                     {row_major, arguments.back()});
    if (!fault.empty()) return fault;
  }
  if (!constants.empty()) {
    const std::optional<size_t> bytes = library.Size(op.name + "_packed_bytes");
    if (!bytes) return absl::StrCat("it has no function ", op.name, "_packed_bytes");
    arguments.push_back(kept.emplace_back(*bytes).data());
    constants.push_back(arguments.back());
    std::string fault = library.Call(op.name + "_pack_weights", constants);
    if (!fault.empty()) return fault;
  }
  const size_t first_output = arguments.size();
  for (const Tensor& tensor : op.outputs) {
    arguments.push_back(kept.emplace_back(static_cast<size_t>(tensor.stored_bytes)).data());
  }
  std::string fault = library.Call(op.name, arguments);
  if (!fault.empty()) return fault;
  for (size_t o = 0; o < op.outputs.size(); ++o) {
    const Tensor& tensor = op.outputs[o];
    const ir::Type type = tensor.buffer.type;
    const CallMemory row_major(
        static_cast<size_t>((tensor.buffer.ElementCount() * type.bits + 7) / 8));
    fault = library.Call(absl::StrCat(op.name, "_unpack_output", suffix(op.outputs, tensor)),
                         {arguments[first_output + o], row_major.data()});
    if (!fault.empty()) return fault;
    for (const te::Sample& sample : op.expected) {
      if (sample.output != static_cast<int>(o)) continue;
      const te::Tolerance& tolerance = op.tolerances[o];
      const double value = ir::ReadElement(type, row_major.bytes(), sample.index);
      if (!comparison.Add(absl::StrCat(op.name, ".", tensor.name), sample.index, value,
                          sample.value,
                          tolerance.absolute + tolerance.relative * std::abs(sample.value))) {
        return "";
      }
    }
  }
  return "";
}

RunResult RunOperators(const Functions& library, absl::Span<const OperatorRun> operators) {
  Comparison comparison;
  for (const OperatorRun& op : operators) {
    const std::string fault = RunOperator(library, op, comparison);
    if (!fault.empty()) return Wrong(fault);
    if (RunResult result = comparison.Result(); result.kind == RunResult::Kind::kWrong) {
      return result;
    }
  }
  return comparison.Result();
}

RunResult LoadAndRun(const std::string& path, const ReferenceRun& run) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return Wrong(absl::StrCat("it can't be loaded: ", dlerror()));
  const std::string name = absl::StrCat("tessera_", run.library, "_isa");
  void* const isa = dlsym(handle, name.c_str());
  if (isa == nullptr) return Wrong(absl::StrCat("it has no function ", name));
  const char* used = reinterpret_cast<const char* (*)()>(isa)();
  if (used == nullptr) {
    return {RunResult::Kind::kSkipped,
            "this CPU, or TESSERA_ISA, allows none of its instruction sets"};
  }
  RunResult result{RunResult::Kind::kRight, "loaded"};
  const Functions library(handle);
  if (run.seed || !run.samples.empty()) result = RunModel(library, run);
  if (!run.operators.empty()) result = RunOperators(library, run.operators);
  absl::StrAppend(&result.detail, " (", used, ")");
  return result;
}

void Limit(__rlimit_resource resource, rlim_t value) {
  const rlimit limit = {value, value};
  setrlimit(resource, &limit);
}

// What the child says: the kind in one byte, the errors, then the detail.
std::string TextOf(const RunResult& result) {
  std::string text(1, static_cast<char>('0' + static_cast<int>(result.kind)));
  for (const double error : result.errors) absl::StrAppendFormat(&text, "%.17g ", error);
  return absl::StrCat(text, "\n", result.detail.substr(0, 2000));
}

std::optional<RunResult> ParseResult(std::string_view text) {
  const size_t end = text.find('\n');
  if (end == std::string_view::npos || text[0] < '0' || text[0] > '2') return std::nullopt;
  RunResult result{static_cast<RunResult::Kind>(text[0] - '0'), std::string(text.substr(end + 1))};
  for (const absl::string_view word :
       absl::StrSplit(AbslView(text.substr(1, end - 1)), ' ', absl::SkipEmpty())) {
    if (!absl::SimpleAtod(word, &result.errors.emplace_back())) return std::nullopt;
  }
  return result;
}

[[noreturn]] void RunInChild(int output, const std::string& path, const ReferenceRun& run,
                             absl::Duration limit) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  for (const int number : {SIGINT, SIGTERM, SIGSEGV, SIGILL, SIGFPE, SIGABRT, SIGBUS}) {
    signal(number, SIG_DFL);
  }
  dup2(STDERR_FILENO, STDOUT_FILENO);  // the report's alone
  Limit(RLIMIT_CORE, 0);
  Limit(RLIMIT_FSIZE, 0);
  Limit(RLIMIT_CPU, static_cast<rlim_t>(absl::ToInt64Seconds(limit)) * 64 + 1);
  const std::string text = TextOf(LoadAndRun(path, run));
  const bool is_sent = write(output, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  _exit(is_sent ? 0 : 1);
}

// Until the other end is closed or time is up. Whether it was closed.
bool ReadUntil(int descriptor, absl::Time deadline, std::string& text) {
  for (;;) {
    const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
    if (left <= 0) return false;
    pollfd entry = {descriptor, POLLIN, 0};
    if (poll(&entry, 1, static_cast<int>(std::min<int64_t>(left, 1000))) <= 0) continue;
    char part[4096];
    const ssize_t count = read(descriptor, part, sizeof(part));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return true;
    text.append(part, static_cast<size_t>(count));
  }
}

}  // namespace

absl::StatusOr<RunResult> RunLibrary(std::string_view shared_object, const ReferenceRun& run,
                                     absl::Duration limit) {
  // These bytes, whatever becomes of the file.
  const UniqueFd file(memfd_create("tessera-verify", MFD_CLOEXEC));
  if (!file.valid()) return ErrnoStatus(errno, "cannot make", "a file in memory");
  for (size_t done = 0; done < shared_object.size();) {
    const ssize_t count =
        write(file.get(), shared_object.data() + done, shared_object.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return ErrnoStatus(errno, "cannot write", "a file in memory");
    done += static_cast<size_t>(count);
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "cannot make", "a pipe");
  const UniqueFd from(ends[0]);
  UniqueFd to(ends[1]);
  const std::string path = absl::StrCat("/proc/self/fd/", file.get());
  const pid_t child = fork();
  if (child < 0) return ErrnoStatus(errno, "cannot start", "a process");
  if (child == 0) RunInChild(to.get(), path, run, limit);
  to.Reset();
  std::string text;
  const bool has_ended = ReadUntil(from.get(), absl::Now() + limit, text);
  if (!has_ended) kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!has_ended) return Wrong(absl::StrCat("it did not end within ", absl::FormatDuration(limit)));
  if (WIFSIGNALED(status)) {
    return Wrong(absl::StrCat("it ended by signal ", WTERMSIG(status), " (",
                              strsignal(WTERMSIG(status)), ")"));
  }
  if (std::optional<RunResult> result = ParseResult(text)) return *std::move(result);
  return Wrong(absl::StrCat("it ended the process with ", WEXITSTATUS(status)));
}

}  // namespace tessera::cli
