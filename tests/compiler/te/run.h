#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compiler/te/dag.h"
#include "compiler/te/operators.h"

namespace tessera::te {

using Tensor = std::vector<double>;  // row-major logical

// Requires that `spec` is valid.
Workload Make(const OpSpec& spec);

struct Run {
  std::vector<Tensor> inputs, outputs;
};
// The reference program of `workload` in the interpreter, on seeded inputs.
Run RunReference(const Workload& workload, uint64_t seed);

}  // namespace tessera::te
