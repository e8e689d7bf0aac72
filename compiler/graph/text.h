#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "compiler/graph/graph.h"

// Graphs as text, one node a line:
//   graph tiny
//   input X: f32[1,16,8,8]
//   const W: f32[16,16,3,3] = sha256:0f3c…
//   const Low: f32[] = [0.5]
//   conv = conv(X, W) before=[1,1] behind=[1,1]: f32[1,16,8,8] layout(0 1/16 2 3 1%16)
//   relu = relu(conv): f32[1,16,8,8]
//   output relu

namespace tessera::graph {

// Constants of more elements are told by their digest.
inline constexpr int64_t kMostElementsInText = 16;
inline constexpr size_t kMaxTextBytes = size_t{64} << 20;

// Tensors by the digests of their bytes (base/hash.h, Sha256Hex).
using Blobs = std::map<std::string, TensorRef>;

// Canonical: ParseGraph reads it back to the same graph. Attributes that have their default are
// left out. `named` gets the tensors that the text tells by their digests.
std::string Print(const Graph& graph, Blobs* named = nullptr);

// The bytes of a digest, as Tensor has them.
using BlobSource = std::function<absl::StatusOr<std::string>(const std::string& digest)>;

// Text is hostile: kMaxTextBytes, kMaxNodes. The graph is verified. Errors name the line.
absl::StatusOr<Graph> ParseGraph(std::string_view text, const BlobSource& blobs);

// The digest that Print writes.
std::string DigestOf(const Tensor& tensor);

}  // namespace tessera::graph
