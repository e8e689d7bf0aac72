#pragma once

// Libraries for devices, and how tests call them.

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_replace.h"
#include "compiler/library/library.h"
#include "compiler/runtime/device.h"
#include "compiler/schedule/default_trace.h"
#include "compiler/te/operators.h"
#include "compiler/te/reference.h"
#include "tests/compiler/library/loaded.h"
#include "tests/support/reference_check.h"
#include "tests/support/thread_traces.h"

namespace tessera::library {

inline Implementation DefaultFor(const te::Workload& workload, const ir::Target& target) {
  Implementation made;
  made.trace = schedule::DefaultTrace(workload.dag, target).value();
  made.is_default = true;
  return made;
}

// Default schedules for two CPUs and the device.
inline LibrarySpec SpecFor(const std::vector<te::OpSpec>& ops, const std::string& target) {
  LibrarySpec spec;
  spec.name = "gpu";
  spec.versions = {{ir::ParseTarget("x86/avx2").value(), "a cpu"},
                   {ir::ParseTarget("x86/sse4.2").value(), "a cpu"}};
  spec.device = {ir::ParseTarget(target).value(), "a device"};
  for (const te::OpSpec& op : ops) {
    const auto workload = te::MakeWorkload(op);
    INFO(workload.status());
    REQUIRE(workload.ok());
    LibraryOp& made = spec.ops.emplace_back(LibraryOp{op.name, *workload, {}, {}});
    for (const LibraryVersion& version : spec.versions) {
      made.versions.push_back(DefaultFor(*workload, version.target));
    }
    made.on_device = DefaultFor(*workload, spec.device->target);
  }
  return spec;
}

// Products with weights and without, constants that are several, transformed, or laid out, half
// precision, kernels with a workspace between them.
inline LibrarySpec TestSpec(const std::string& target) {
  const std::map<std::string, std::string> conv = {
      {"ic", "5"}, {"oc", "6"}, {"size", "7"}, {"k", "3"}, {"bias", "true"}};
  LibrarySpec spec =
      SpecFor({{"product", "matmul", {{"m", "6"}, {"n", "20"}, {"k", "9"}}},
               {"inputs", "matmul", {{"m", "6"}, {"n", "20"}, {"k", "9"}, {"b", "input"}}},
               {"half", "matmul", {{"m", "6"}, {"n", "20"}, {"k", "9"}, {"dtype", "f16"}}},
               {"conv", "conv2d", conv},
               {"winograd", "conv2d", conv},
               {"soft", "softmax", {{"m", "5"}, {"n", "300"}}}},
              target);
  spec.ops[4].on_device->trace =
      schedule::ParseTrace("trace 1\nlayout W 1 0 2 3\nwinograd conv 2\n").value();
  return spec;
}

// A product of tiles that take more of a block's memory than devices have.
inline LibrarySpec GreedySpec(const std::string& target) {
  LibrarySpec spec =
      SpecFor({{"big",
                "matmul",
                {{"m", "4"}, {"n", "4"}, {"k", "65536"}, {"b", "input"}, {"relu", "true"}}}},
              target);
  spec.ops[0].on_device->trace =
      schedule::ParseTrace(
          absl::StrReplaceAll(kSharedProduct, {{"split matmul k 4", "split matmul k 65536"}}))
          .value();
  return spec;
}

inline LibraryFiles Build(const LibrarySpec& spec) {
  auto files = BuildLibrary(spec);
  INFO(files.status());
  REQUIRE(files.ok());
  return *std::move(files);
}

template <size_t... I>
int CallWith(void* function, [[maybe_unused]] absl::Span<void* const> arguments,
             std::index_sequence<I...>) {
  return reinterpret_cast<int (*)(
      decltype(static_cast<void*>(nullptr), (void)I, static_cast<void*>(nullptr))...)>(function)(
      arguments[I]...);
}

// Calls a C function with as many pointers.
template <size_t N = 1>
int Call(void* function, absl::Span<void* const> arguments) {
  if (arguments.size() == N) return CallWith(function, arguments, std::make_index_sequence<N>());
  if constexpr (N < 12) return Call<N + 1>(function, arguments);
  return -1000;
}

// The inputs of an operator, row-major, and what it should make of them.
struct Data {
  explicit Data(const te::Workload& workload)
      : workload(workload), expected(te::ComputeExpected(workload, 3).value()) {
    for (size_t i = 0; i < workload.dag.inputs.size(); ++i) {
      Aligned& memory = *(inputs.emplace_back(std::make_unique<Aligned>(bytes(i))));
      std::memcpy(memory.data, expected.inputs[i].data(), bytes(i));
      (workload.dag.inputs[i].is_constant ? constants : activations).push_back(i);
    }
  }
  size_t bytes(size_t input) const { return expected.inputs[input].size(); }
  size_t output_bytes() const {
    return static_cast<size_t>(workload.dag.outputs[0]->StoredBytes());
  }
  void Check(const std::vector<std::byte>& output) const {
    const std::vector<double> values = ir::FromStored(*workload.dag.outputs[0], output);
    const te::Tolerance tolerance = te::OutputTolerance(workload.dag, 0);
    size_t wrong = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const double want = expected.outputs[0][i];
      // Winograd's algorithm rounds more.
      wrong += !(std::abs(values[i] - want) <=
                 1e-5 + 8 * (tolerance.absolute + tolerance.relative * std::abs(want)));
    }
    CHECK(wrong == 0);
  }

  te::Workload workload;
  te::Expected expected;
  std::vector<std::unique_ptr<Aligned>> inputs;
  std::vector<size_t> activations, constants;
};

// Every operator with memory of the host.
inline void CheckHostCalls(const Library& library, const LibrarySpec& spec) {
  for (const LibraryOp& op : spec.ops) {
    CAPTURE(op.name);
    const Data data(op.workload);
    std::vector<void*> arguments, constants;
    for (const size_t i : data.activations) arguments.push_back(data.inputs[i]->data);
    for (const size_t i : data.constants) constants.push_back(data.inputs[i]->data);
    const Aligned weights(1 << 17), output(data.output_bytes());
    if (!constants.empty()) {
      const size_t packed = library.Find<size_t (*)()>(op.name + "_packed_bytes")();
      REQUIRE(packed < 1 << 17);
      reinterpret_cast<char*>(weights.data)[packed] = 7;
      constants.push_back(weights.data);
      REQUIRE(Call(library.Find<void*>(op.name + "_pack_weights"), constants) == 0);
      CHECK(reinterpret_cast<char*>(weights.data)[packed] == 7);
      arguments.push_back(weights.data);
    }
    arguments.push_back(output.data);
    void* const function = library.Find<void*>(op.name);
    for (int run = 0; run < 2; ++run) REQUIRE(Call(function, arguments) == 0);
    const auto* bytes = reinterpret_cast<const std::byte*>(output.data);
    data.Check({bytes, bytes + data.output_bytes()});
    arguments[0] = reinterpret_cast<char*>(arguments[0]) + 4;
    CHECK(Call(function, arguments) == TESSERA_OPS_MISALIGNED);
    arguments[0] = nullptr;
    CHECK(Call(function, arguments) == TESSERA_OPS_NULL_POINTER);
  }
}

// Sets a variable as long as it lives.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() { unsetenv(name_); }

 private:
  const char* name_;
};

}  // namespace tessera::library
