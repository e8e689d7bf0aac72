#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/samples.h"
#include "compiler/ir/buffer.h"
#include "compiler/te/reference.h"

namespace tessera::cli {

// An operator with what the interpreter makes of the seeded inputs of te::TestInput.
struct OperatorRun {
  struct Tensor {
    ir::BufferNode buffer;  // row-major
    std::string name;       // in C
    bool is_constant = false;
    int64_t stored_bytes = 0;  // not of constants
  };

  std::string name;
  uint64_t seed = 0;
  std::vector<Tensor> inputs, outputs;
  std::vector<te::Sample> expected;
  std::vector<te::Tolerance> tolerances;  // by output
};

// What a library's manifest says of a model: how it is called, and what it computes of the seeded
// inputs of te::TestInput; or instead what it should make of samples.
struct ReferenceRun {
  struct Output {
    ir::BufferNode buffer;
    std::vector<int64_t> elements;
    std::vector<double> values;
    double tolerance = 0;
    double largest = 0;  // magnitude of all its elements; 0: the manifest doesn't say
  };

  std::string library;           // that carries NAME in tessera_NAME_isa
  std::string model;             // whose run begins with it; empty: it has none
  std::string creator;           // whose create begins with it; empty: the model's does
  std::optional<uint64_t> seed;  // without: outputs have no values
  std::string why_no_values;
  std::vector<ir::BufferNode> inputs;
  std::vector<Output> outputs;
  std::vector<SampleRun> samples;      // not empty: the model is run on these alone
  std::vector<OperatorRun> operators;  // of a library without a model
};

struct RunResult {
  enum class Kind : uint8_t {
    kRight,    // all values are within the tolerance; loaded, where there is nothing to run
    kWrong,    // it computes something else, returns an error, crashes or doesn't end
    kSkipped,  // it can't run on this CPU
  };
  Kind kind = Kind::kWrong;
  std::string detail;
  // Of a model that ran: by output the largest difference from what is expected, in parts of the
  // largest number that is; with samples of all of them.
  std::vector<double> errors = {};
};

// Runs a library's model or operators in a child process (library_child.h) that has no time beyond
// `limit`. A model without a seed and samples is loaded only. Errors are those of starting a child.
absl::StatusOr<RunResult> RunLibrary(std::string_view shared_object, const ReferenceRun& run,
                                     absl::Duration limit);

}  // namespace tessera::cli
