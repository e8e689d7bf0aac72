#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/graph/graph.h"
#include "compiler/graph/text.h"

// One model for several extents of the dimensions that it leaves open: a graph for each.

namespace tessera::graph {

inline constexpr size_t kMaxBuckets = 16;

struct Bucket {
  // By C identifiers; none where it is the only one.
  std::vector<std::pair<std::string, int64_t>> extents;
  Graph graph;
};

// As text: each graph behind a line such as "@bucket batch=1 sequence=64", a single one without
// extents alone. `named` gets the tensors that it tells by their digests.
std::string PrintBuckets(absl::Span<const Bucket> buckets, Blobs* named = nullptr);

// The same read back; constants of equal bytes and type are one tensor in all of them. As of
// ParseGraph; InvalidArgument for more than kMaxBuckets, too, and for names that C has not.
absl::StatusOr<std::vector<Bucket>> ParseBuckets(std::string_view text, const BlobSource& blobs);

// Has graphs that are given to it one after the other share equal constants.
class SharedConstants {
 public:
  void Share(Graph& graph);

 private:
  absl::flat_hash_map<std::string, TensorRef> tensors_;  // by type and digest
};

}  // namespace tessera::graph
