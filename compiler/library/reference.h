#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/library/library.h"

namespace tessera::library {

// What a model computes of seeded inputs (te::TestInput of their numbers), by which whoever has the
// library can find out whether it does so there.
struct ModelReference {
  struct Output {
    std::vector<int64_t> elements;  // row-major numbers, ascending
    std::vector<double> values;     // finite
    double largest = 0;             // magnitude, of all elements
    double tolerance = 0;           // largest absolute difference that is none
  };
  uint64_t seed = 0;
  std::string made_by;
  std::vector<Output> outputs;  // as of the model
  std::string why_missing;      // where there is none
};

// Larger models have no reference, nor do buckets with which it would be more. A core takes 0.2 to
// 0.4 s for 10^9 of them.
inline constexpr int64_t kMaxReferenceOperations = int64_t{1} << 36;

// Runs the buckets of the model of `spec`, which is there, here: not as the library has it, but
// compiled of default schedules for one thread of the least CPU, on which other programs than the
// tuned ones compute the same. That is the same on all x86 machines; on others the reference is
// missing. Errors are those of compiling.
absl::StatusOr<std::vector<ModelReference>> MakeReferences(const LibrarySpec& spec);

}  // namespace tessera::library
