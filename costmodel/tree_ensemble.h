#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tessera::costmodel {

// Boosted trees as complete trees of equal depth, padded with comparisons that always go left: a
// prediction is `depth` steps a tree without a branch. Sums in tree order in float, so scores are
// bit-equal to XGBoost's margins. Immutable; thread-safe.
class TreeEnsemble {
 public:
  // Of a booster saved as JSON (XGBoost 1.7). DataLoss if the text is not one; Unimplemented for
  // trees with categories or deeper than 12.
  static absl::StatusOr<TreeEnsemble> FromBoosterJson(std::string_view json);

  // Compact and complete: 12 bytes a node. FromBytes: DataLoss for anything that ToBytes can't have
  // returned.
  std::string ToBytes() const;
  static absl::StatusOr<TreeEnsemble> FromBytes(std::string_view bytes);

  // One margin a row. `rows` is [n × columns], without missing values.
  std::vector<float> Predict(absl::Span<const float> rows, int columns) const;

  int tree_count() const { return tree_count_; }
  // One more than the largest feature that a tree looks at.
  int columns_used() const { return columns_used_; }

 private:
  struct Split {
    float threshold;
    int32_t feature;
  };
  size_t inner() const { return (size_t{1} << depth_) - 1; }  // splits of a tree

  int tree_count_ = 0;
  int depth_ = 0;
  int columns_used_ = 0;
  float base_ = 0;
  std::vector<Split> splits_;  // [trees × (2^depth − 1)], heap order
  std::vector<float> leaves_;  // [trees × 2^depth]
};

}  // namespace tessera::costmodel
