#pragma once

#include <cstdint>
#include <vector>

#include "schedule_space/knob.h"

namespace tessera::space {

// How reduction loops are cut. The main axis is the longest one: it may be cut into chunks (the
// accumulators go to memory and back between them), and in two around the other axes.
// Options {chunk length, inner length, unroll of each axis}: all divide; chunk length is the whole
// extent when not `chunked`, and inner length counts elements of the loop inside the other axes,
// the unrolled ones included.
struct ReductionProblem {
  std::vector<int64_t> extents;
  bool chunked = false;
};
int MainAxis(const ReductionProblem& problem);
std::vector<Option> ReductionOptions(const ReductionProblem& problem);

constexpr int kReduceChunk = 0;
constexpr int kReduceInner = 1;
constexpr int kReduceUnroll = 2;

// Copies of the body that an option unrolls.
int64_t UnrolledCopies(const Option& option);

}  // namespace tessera::space
