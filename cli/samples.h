#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/graph/calibrate.h"

// Samples of a model's inputs, from files.

namespace tessera::cli {

inline constexpr int kMostSamples = 1024;

// A sample with what a model computes of it.
struct SampleRun {
  graph::Sample inputs;
  std::vector<graph::TensorRef> outputs;
};

// The tensor that a file holds: of a name that ends with .npy NumPy's format (versions 1 to 3, in C
// order, numbers of 1 to 8 bytes, in a shape that is `type`'s but for dimensions of one element),
// whose numbers become the type's; of another name the row-major elements of the type, as memory
// has them. InvalidArgument else.
absl::StatusOr<graph::TensorRef> ParseSample(std::string_view name, std::string_view bytes,
                                             const graph::TensorType& type);

// Those of a folder, by name: of a graph with one input its files are samples; else its folders
// are, each with a file for each input, NAME.npy or NAME.raw. Names that begin with "." are passed
// over. InvalidArgument where there are none, or more than kMostSamples; errors name the file.
absl::StatusOr<std::vector<graph::Sample>> ReadSamples(const std::string& folder,
                                                       const graph::Graph& graph);

}  // namespace tessera::cli
