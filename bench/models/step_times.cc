#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/rng.h"
#include "base/status.h"
#include "bench/models/library.h"
#include "compiler/runtime/ops.h"

namespace tessera::bench {
namespace {

// Memory that kernels take; zero at first.
class Block {
 public:
  explicit Block(int64_t bytes) {
    const size_t rounded = (static_cast<size_t>(bytes) + 63) / 64 * 64 + 64;
    data_.reset(static_cast<char*>(std::aligned_alloc(64, rounded)));
    TESSERA_CHECK(data_ != nullptr);
    std::memset(data_.get(), 0, rounded);
  }
  char* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(char* data) const { std::free(data); }
  };
  std::unique_ptr<char, Free> data_;
};

// Loaded from memory, until the process ends: its threads live as long.
class Library {
 public:
  static absl::StatusOr<Library> Load(const std::string& bytes) {
    const int file = memfd_create("model", MFD_CLOEXEC);
    if (file < 0 || write(file, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
      return absl::ResourceExhaustedError("no memory for the library's file");
    }
    Library made;
    made.handle_ = dlopen(absl::StrCat("/proc/self/fd/", file).c_str(), RTLD_NOW | RTLD_LOCAL);
    close(file);
    if (made.handle_ == nullptr) return absl::InternalError(dlerror());
    return made;
  }
  template <typename Function>
  absl::StatusOr<Function> Find(const std::string& name) const {
    void* const symbol = dlsym(handle_, name.c_str());
    if (symbol == nullptr) return absl::NotFoundError(absl::StrCat("the library has no ", name));
    return reinterpret_cast<Function>(symbol);
  }

 private:
  void* handle_ = nullptr;
};

// Calls of functions that take so many pointers.
using Arguments = std::vector<void*>;
template <size_t... I>
int CallWith(void* function, const Arguments& arguments, std::index_sequence<I...>) {
  using Pointers = int (*)(decltype(static_cast<void*>(arguments[I]))...);
  return reinterpret_cast<Pointers>(function)(arguments[I]...);
}
template <size_t... N>
int CallAny(void* function, const Arguments& arguments, std::index_sequence<N...>) {
  using Caller = int (*)(void*, const Arguments&);
  static constexpr std::array<Caller, sizeof...(N)> kCallers = {
      [](void* f, const Arguments& a) { return CallWith(f, a, std::make_index_sequence<N>()); }...};
  return kCallers.at(arguments.size())(function, arguments);
}
int Call(void* function, const Arguments& arguments) {
  return CallAny(function, arguments, std::make_index_sequence<TESSERA_OP_MAX_BUFFERS + 2>());
}

struct StepCall {
  void* function;
  Arguments arguments;
};

// Small numbers of every type: floats in [0, 1), integers in [0, 4), so that places in tables are
// there.
void FillInput(const graph::TensorType& type, char* data, Rng& rng) {
  std::vector<double> values(static_cast<size_t>(type.ElementCount()));
  for (double& value : values) {
    value = type.element.is_float() ? rng.Uniform() : static_cast<double>(rng.Below(4));
  }
  const graph::TensorRef tensor = graph::MakeTensor(type.element, type.shape, values);
  std::memcpy(data, tensor->bytes.data(), tensor->bytes.size());
}

}  // namespace

absl::StatusOr<std::vector<StepTime>> TimeSteps(const graph::Plan& plan,
                                                const library::LibrarySpec& spec, int threads,
                                                int rounds) {
  TESSERA_ASSIGN_OR_RETURN(const library::LibraryFiles files, library::BuildLibrary(spec));
  TESSERA_ASSIGN_OR_RETURN(const Library library, Library::Load(files.shared_object));
  TESSERA_ASSIGN_OR_RETURN(const auto set_threads,
                           library.Find<int (*)(int)>("tessera_model_set_threads"));
  if (const int error = set_threads(threads); error != TESSERA_OPS_OK) {
    return absl::InvalidArgumentError(absl::StrCat(threads, " threads: error ", error));
  }
  Rng rng(1);
  const Block arena(plan.arena_bytes);
  std::deque<Block> blocks;  // of inputs, outputs, packed weights
  // Views of a tensor have its place.
  const graph::Graph& graph = plan.graph;
  std::vector<char*> inputs, outputs;
  for (const int node : graph.Inputs()) {
    inputs.push_back(blocks.emplace_back(graph.nodes[node].type.StoredBytes()).data());
    FillInput(graph.nodes[node].type, inputs.back(), rng);
  }
  for (const int node : graph.outputs) {
    outputs.push_back(blocks.emplace_back(graph.nodes[node].type.StoredBytes()).data());
  }
  const auto memory_of = [&](int node) {
    const graph::Place& place = plan.places[node];
    if (place.kind == graph::Place::Kind::kArena) return arena.data() + place.at;
    return (place.kind == graph::Place::Kind::kInput ? inputs : outputs).at(place.at);
  };
  std::vector<StepCall> calls;
  std::map<std::pair<int, Arguments>, char*>
      packed;  // by kind and constants, as libraries share them
  for (const graph::Step& step : plan.steps) {
    const library::LibraryOp& op = spec.ops[static_cast<size_t>(step.task)];
    StepCall call;
    TESSERA_ASSIGN_OR_RETURN(call.function, library.Find<void*>(op.name));
    Arguments constants;
    for (size_t i = 0; i < step.operands.size(); ++i) {
      if (op.workload.dag.inputs[i].is_constant) {
        const auto& of = graph.nodes[plan.places[step.operands[i]].at].constant;
        constants.push_back(const_cast<std::byte*>(of->bytes.data()));
      } else {
        call.arguments.push_back(memory_of(step.operands[i]));
      }
    }
    if (!constants.empty()) {
      char*& block = packed[{step.task, constants}];
      if (block == nullptr) {
        TESSERA_ASSIGN_OR_RETURN(const auto bytes,
                                 library.Find<size_t (*)()>(op.name + "_packed_bytes"));
        TESSERA_ASSIGN_OR_RETURN(void* const pack, library.Find<void*>(op.name + "_pack_weights"));
        block = blocks.emplace_back(static_cast<int64_t>(bytes())).data();
        constants.push_back(block);
        if (const int error = Call(pack, constants); error != TESSERA_OPS_OK) {
          return absl::InternalError(absl::StrCat(op.name, "_pack_weights: error ", error));
        }
      }
      call.arguments.push_back(block);
    }
    call.arguments.push_back(memory_of(step.result));
    calls.push_back(std::move(call));
  }
  std::vector<StepTime> times(calls.size());
  for (int round = -1; round < rounds; ++round) {
    for (size_t s = 0; s < calls.size(); ++s) {
      const auto begin = std::chrono::steady_clock::now();
      const int error = Call(calls[s].function, calls[s].arguments);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
      if (error != TESSERA_OPS_OK) {
        return absl::InternalError(absl::StrCat(
            spec.ops[static_cast<size_t>(plan.steps[s].task)].name, ": error ", error));
      }
      times[s].step = static_cast<int>(s);
      if (round >= 0) times[s].seconds.push_back(took.count());
    }
  }
  return times;
}

}  // namespace tessera::bench
