#pragma once

#include <cstdint>
#include <vector>

#include "compiler/te/operators.h"
#include "tests/compiler/te/run.h"

namespace tessera::te {

// What an operator computes, as loops that share nothing with the operator library, and the
// arithmetic operations on real (not padding) values that it takes.
struct PlainResult {
  std::vector<Tensor> outputs;
  int64_t operations = 0;
};
PlainResult PlainLoops(const OpSpec& spec, const std::vector<Tensor>& inputs);

}  // namespace tessera::te
