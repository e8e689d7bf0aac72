#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "compiler/graph/graph.h"
#include "compiler/graph/plan.h"
#include "compiler/te/dag.h"

// A model in a library: operators of the library one after the other, as one call.

namespace tessera::library {

// What an operator of a model reads or writes: the caller's tensor of that number, inputs before
// outputs, or bytes from `at` on of the arena or of the model's constants.
struct ModelPlace {
  enum class Kind : uint8_t { kCaller, kArena, kConstant };
  Kind kind = Kind::kCaller;
  int64_t at = 0;
};

struct ModelTensor {
  std::string name;
  graph::TensorType type;
};

// Extents of the dimensions that a model leaves open, by C identifiers.
using Extents = std::vector<std::pair<std::string, int64_t>>;

struct LibraryModel {
  struct Step {
    int op = 0;                      // of the library
    std::vector<ModelPlace> inputs;  // of its workload, constants among them
    ModelPlace output;
  };
  // The model as it is planned for some extents.
  struct Bucket {
    Extents extents;           // the same names in all; none where it is the only bucket
    std::string graph_digest;  // SHA-256 of the graph that it was planned of (graph/text.h)
    std::vector<ModelTensor> inputs, outputs;
    std::vector<Step> steps;
    int64_t arena_bytes = 0;
  };

  std::string name;             // of the C functions
  std::vector<Bucket> buckets;  // one at least, of one number of inputs and outputs
  std::string constants;        // of all; row-major, each from a multiple of 64 bytes on
};

// Code reaches what is within 2 GiB, and packing may pad.
inline constexpr int64_t kMaxConstantBytes = int64_t{1} << 30;

// "net_sequence_64" of the model net, for what is one bucket's own; "net" of the only bucket.
std::string BucketName(const LibraryModel& model, const LibraryModel::Bucket& bucket);

struct PlannedBucket {
  Extents extents;
  const graph::Plan* plan;
  std::vector<int> ops;  // of the library, by task of the plan
};
// Buckets by the product of their extents, ascending, then by extents. Constants that are one
// tensor are kept once.
LibraryModel ModelOf(std::vector<PlannedBucket> buckets, std::string name);

// Of a plan whose task t is the library's operator t.
LibraryModel ModelOf(const graph::Plan& plan, std::string name);

// That operators are there and have the inputs that steps give them, constants where these are, and
// that all places are within what they are in, with as many bytes as the operators use, aligned to
// 64; that there is an output, and no more constants than kMaxConstantBytes; that buckets have the
// same dimensions, tensors alike but for their shapes, and other extents each. InvalidArgument with
// the step else.
absl::Status CheckModel(const LibraryModel& model, absl::Span<const te::Workload* const> ops);

}  // namespace tessera::library
