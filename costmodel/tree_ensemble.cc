#include "costmodel/tree_ensemble.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/numbers.h"
#include "base/status.h"

namespace tessera::costmodel {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 12;

// One tree as XGBoost stores it: arrays by node, -1 for "no child".
struct Nodes {
  std::vector<int> left, right, feature;
  std::vector<float> threshold;  // of a leaf: its value
};

int DepthOf(const Nodes& tree, int node, int limit) {
  if (tree.left[node] < 0) return 0;
  if (limit == 0) return 1;
  return 1 + std::max(DepthOf(tree, tree.left[node], limit - 1),
                      DepthOf(tree, tree.right[node], limit - 1));
}

absl::StatusOr<Nodes> ReadTree(const Json& json) {
  Nodes tree;
  json.at("left_children").get_to(tree.left);
  json.at("right_children").get_to(tree.right);
  json.at("split_indices").get_to(tree.feature);
  json.at("split_conditions").get_to(tree.threshold);
  const size_t size = tree.left.size();
  if (size == 0 || tree.right.size() != size || tree.feature.size() != size ||
      tree.threshold.size() != size) {
    return absl::DataLossError("booster: a tree's arrays differ in length");
  }
  for (size_t i = 0; i < size; ++i) {
    const bool leaf = tree.left[i] < 0;
    // Children come after their parent: no cycles.
    if (!leaf && (tree.left[i] <= static_cast<int>(i) || tree.right[i] <= static_cast<int>(i) ||
                  tree.left[i] >= static_cast<int>(size) ||
                  tree.right[i] >= static_cast<int>(size) || tree.feature[i] < 0)) {
      return absl::DataLossError("booster: a tree's nodes are damaged");
    }
  }
  for (const Json& type : json.value("split_type", Json::array())) {
    if (type.get<int>() != 0) return absl::UnimplementedError("booster: categorical splits");
  }
  return tree;
}

}  // namespace

absl::StatusOr<TreeEnsemble> TreeEnsemble::FromBoosterJson(std::string_view text) {
  try {
    const Json json = Json::parse(text);
    const Json& learner = json.at("learner");
    TreeEnsemble ensemble;
    if (!absl::SimpleAtof(learner.at("learner_model_param").at("base_score").get<std::string>(),
                          &ensemble.base_)) {
      return absl::DataLossError("booster: base_score is not a number");
    }
    std::vector<Nodes> trees;
    for (const Json& tree : learner.at("gradient_booster").at("model").at("trees")) {
      TESSERA_ASSIGN_OR_RETURN(Nodes nodes, ReadTree(tree));
      ensemble.depth_ = std::max(ensemble.depth_, DepthOf(nodes, 0, kMaxDepth));
      trees.push_back(std::move(nodes));
    }
    if (ensemble.depth_ > kMaxDepth) {
      return absl::UnimplementedError(absl::StrCat("booster: trees deeper than ", kMaxDepth));
    }
    ensemble.tree_count_ = static_cast<int>(trees.size());
    const size_t inner = ensemble.inner();
    ensemble.splits_.assign(trees.size() * inner, {std::numeric_limits<float>::infinity(), 0});
    ensemble.leaves_.assign(trees.size() * (inner + 1), 0);
    for (size_t t = 0; t < trees.size(); ++t) {
      // (node, place in the heap); a leaf above the bottom fills its leftmost descendant.
      std::vector<std::pair<int, size_t>> open{{0, 0}};
      while (!open.empty()) {
        const int node = open.back().first;
        size_t place = open.back().second;
        open.pop_back();
        if (trees[t].left[node] < 0) {
          while (place < inner) place = 2 * place + 1;
          ensemble.leaves_[t * (inner + 1) + place - inner] = trees[t].threshold[node];
          continue;
        }
        ensemble.splits_[t * inner + place] = {trees[t].threshold[node], trees[t].feature[node]};
        ensemble.columns_used_ = std::max(ensemble.columns_used_, trees[t].feature[node] + 1);
        open.emplace_back(trees[t].left[node], 2 * place + 1);
        open.emplace_back(trees[t].right[node], 2 * place + 2);
      }
    }
    return ensemble;
  } catch (const Json::exception& error) {
    return absl::DataLossError(absl::StrCat("booster: ", error.what()));
  }
}

namespace {

static_assert(std::endian::native == std::endian::little, "model bytes are little-endian");

// What stands before the splits and leaves.
struct Head {
  int32_t trees, depth, columns_used;
  float base;
};

}  // namespace

std::string TreeEnsemble::ToBytes() const {
  const Head head = {tree_count_, depth_, columns_used_, base_};
  std::string bytes(reinterpret_cast<const char*>(&head), sizeof(head));
  bytes.append(reinterpret_cast<const char*>(splits_.data()), splits_.size() * sizeof(Split));
  bytes.append(reinterpret_cast<const char*>(leaves_.data()), leaves_.size() * sizeof(float));
  return bytes;
}

absl::StatusOr<TreeEnsemble> TreeEnsemble::FromBytes(std::string_view bytes) {
  const absl::Status damaged = absl::DataLossError("trees: damaged");
  Head head;
  if (bytes.size() < sizeof(head)) return damaged;
  std::memcpy(&head, bytes.data(), sizeof(head));
  bytes.remove_prefix(sizeof(head));
  if (head.trees < 0 || head.depth < 0 || head.depth > kMaxDepth || head.columns_used < 0) {
    return damaged;
  }

  TreeEnsemble ensemble;
  ensemble.tree_count_ = head.trees;
  ensemble.depth_ = head.depth;
  ensemble.columns_used_ = head.columns_used;
  ensemble.base_ = head.base;
  const size_t split_bytes = head.trees * ensemble.inner() * sizeof(Split);
  const size_t leaf_bytes = head.trees * (ensemble.inner() + 1) * sizeof(float);
  if (bytes.size() != split_bytes + leaf_bytes) return damaged;
  ensemble.splits_.resize(split_bytes / sizeof(Split));
  ensemble.leaves_.resize(leaf_bytes / sizeof(float));
  std::copy_n(bytes.data(), split_bytes, reinterpret_cast<char*>(ensemble.splits_.data()));
  std::copy_n(bytes.data() + split_bytes, leaf_bytes,
              reinterpret_cast<char*>(ensemble.leaves_.data()));
  for (const Split& split : ensemble.splits_) {
    if (split.feature < 0 || split.feature >= head.columns_used) return damaged;
    if (std::isnan(split.threshold)) return damaged;
  }
  // One that is not finite can make every score NaN, which orders nothing.
  if (!std::isfinite(head.base)) return damaged;
  for (const float leaf : ensemble.leaves_) {
    if (!std::isfinite(leaf)) return damaged;
  }
  return ensemble;
}

std::vector<float> TreeEnsemble::Predict(absl::Span<const float> rows, int columns) const {
  TESSERA_CHECK(columns >= columns_used_);
  // Rows that walk a tree side by side: the steps of one don't wait for those of another.
  constexpr size_t kBlock = 16;
  const size_t count = columns > 0 ? rows.size() / columns : 0;
  std::vector<float> scores(count, base_);
  std::vector<float> block(columns_used_ * kBlock);  // [features × rows]
  const size_t inner = this->inner();
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const size_t size = std::min(kBlock, count - begin);
    for (size_t r = 0; r < size; ++r) {
      const float* row = rows.data() + (begin + r) * columns;
      for (int f = 0; f < columns_used_; ++f) block[f * kBlock + r] = row[f];
    }
    const Split* splits = splits_.data();
    const float* leaves = leaves_.data();
    for (int t = 0; t < tree_count_; ++t, splits += inner, leaves += inner + 1) {
      uint32_t place[kBlock] = {};
      for (int d = 0; d < depth_; ++d) {
        for (size_t r = 0; r < kBlock; ++r) {
          const Split& split = splits[place[r]];
          const bool left = block[split.feature * kBlock + r] < split.threshold;
          place[r] = 2 * place[r] + (left ? 1 : 2);
        }
      }
      for (size_t r = 0; r < size; ++r) scores[begin + r] += leaves[place[r] - inner];
    }
  }
  return scores;
}

}  // namespace tessera::costmodel
