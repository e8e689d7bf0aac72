#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/ir/stmt.h"
#include "compiler/te/dag.h"

namespace tessera::te {

// The workload as plain loop nests, one per stage in order, straight from the definitions:
// parameters are inputs then outputs, in row-major layout; other stages are workspace. Run by
// ir::Evaluate it is the oracle.
ir::Program ReferenceProgram(const Workload& workload);

// Seeded contents of input `index` (row-major logical order) by base/test_data.h: floats through
// TestValue, integers in the type's range clipped to [-8, 7] (unsigned [0, 15]).
std::vector<std::byte> TestInput(const ir::BufferNode& buffer, int index, uint64_t seed);

struct Sample {
  int output;     // index into dag.outputs
  int64_t index;  // row-major logical
  double value;
};

// Values of single output elements, bit for bit those of ReferenceProgram: each is computed by the
// interpreter from seeded inputs, restricted to the part of each stage and input that it needs.
// `count` distinct elements an output (all, if it has fewer) at seeded places, the first and last
// element always among them. ResourceExhausted when more than `max_operations` interpreted
// operations would be needed.
absl::StatusOr<std::vector<Sample>> SampleReference(const Workload& workload, uint64_t seed,
                                                    int count,
                                                    int64_t max_operations = 200'000'000);

// By the name of a stage: how many times the error of its definition the algorithm may make that a
// schedule computes it by (Schedule::error_factors).
using ErrorFactors = std::map<std::string, double, std::less<>>;

// The largest absolute difference from the expected value that a correct schedule may show for an
// element: type-aware and growing with the length of the reductions that feed it.
// |actual - expected| <= absolute + relative * |expected|. A stage with an error factor may err
// that many times as much as its definition does; outputs that it doesn't feed may not.
struct Tolerance {
  double absolute;
  double relative;
};
Tolerance OutputTolerance(const Dag& dag, int output, const ErrorFactors& error_factors = {});

}  // namespace tessera::te
