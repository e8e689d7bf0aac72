#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/graph/graph.h"

// ONNX model files become graphs. What is supported says docs/onnx.md.
// Format: https://github.com/onnx/onnx/blob/main/docs/IR.md

namespace tessera::frontend {

inline constexpr int kOldestOpset = 7, kNewestOpset = 21;
// What protobuf can read.
inline constexpr size_t kMaxModelBytes = (size_t{1} << 31) - 1;
// Of all tensors of a model together, those in files of their own included.
inline constexpr int64_t kMaxWeightBytes = int64_t{1} << 35;

struct ImportOptions {
  // Where tensors lie that the model keeps in files of their own; empty: there are none. Nothing
  // outside of the folder is read, through links neither.
  std::filesystem::path folder;
  // Extents of dimensions that the model has names for ("batch", "sequence").
  std::map<std::string, int64_t, std::less<>> dimensions;
  // Whole shapes of inputs by name, over what the model says of them.
  std::map<std::string, std::vector<int64_t>, std::less<>> shapes;
  // Inputs that are no inputs of the graph, but known now.
  std::map<std::string, graph::TensorRef, std::less<>> values;
  // The same by their elements, where the model says of what type and shape they are.
  std::map<std::string, std::vector<double>, std::less<>> numbers;
};

// The graph of the model's file, whose inputs are in the model's order. Booleans are u8. Names are
// kept as far as they are names of graphs. Bytes are hostile. InvalidArgument for files that are no
// model or no valid one, Unimplemented for what isn't supported, FailedPrecondition where a value
// or an extent has to be known that isn't: it can be given by the options. Errors name the node,
// its operator and opset.
absl::StatusOr<graph::Graph> ImportModel(std::string_view bytes, const ImportOptions& options = {});

}  // namespace tessera::frontend
