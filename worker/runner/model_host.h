#pragma once

#include <cstdint>

#include "worker/runner/kernel_host.h"
#include "worker/sandbox/sandbox.h"

// The child's side of timing a model: loads its library as any program would, and runs it when it
// is told to. The parent believes nothing it says that can be checked.

namespace tessera::runner {

constexpr int kMaxModelName = 64;  // of a C identifier
constexpr int kMaxBucketName = 255;

// The child's argument. Its descriptor is the image, in which tensors and times lie.
struct ModelHostArgument {
  char name[kMaxModelName + 1];     // of the library's functions
  char bucket[kMaxBucketName + 1];  // of those that run it
  int32_t threads;
  int32_t pinned;  // whether `cores` holds one core a thread
  int32_t cores[kMaxThreads];
  int32_t tensor_count;          // inputs, then outputs
  int64_t tensors[kMaxBuffers];  // places in the image, of multiples of 64
  int64_t step_seconds;          // place of a double a step
  int64_t image_bytes;
};

struct ModelCommand {
  uint64_t sequence;
  int64_t runs;
  int32_t is_timed;  // whether the steps' seconds are added up
};

// One a command, in order; one with sequence 0 after the model was created.
struct ModelReply {
  uint64_t sequence;
  double seconds;   // of all runs
  char error[240];  // empty: done
};

int ModelHostMain(const sandbox::ChildContext& context);

}  // namespace tessera::runner
