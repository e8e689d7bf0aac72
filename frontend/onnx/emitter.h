#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "compiler/graph/graph.h"

namespace tessera::frontend {

struct Integers;

// A tensor of a model: a node of the graph, or one whose elements are known, which is no node
// until something needs it to be. Known ones may have no elements.
struct Value {
  int node = -1;
  graph::TensorRef known;
  std::string name = {};  // of what is known: what its node is called
  // Of numbers that integers stand for: those, for who computes with them instead.
  std::shared_ptr<const Integers> integers = {};

  bool is_absent() const { return node < 0 && known == nullptr; }
};

// (q - zero) · scale; scale and zero broadcast to q, and zero may be absent.
struct Integers {
  Value q, scale, zero;
};

// Makes a graph of values. What is computed of small known ones is known at once, so that
// arithmetic on shapes comes out as numbers.
//
// The first error is kept (status) and what is asked for afterwards is an absent value, of type
// f32[]: compositions need no check after each step, but shapes are read off checked inputs only.
class Emitter {
 public:
  explicit Emitter(std::string name) : builder_(std::move(name)) {}

  const absl::Status& status() const { return status_; }
  bool ok() const { return status_.ok(); }
  void Fail(absl::Status status);

  Value Input(std::string_view name, graph::TensorType type);
  // One operator's node, or its result. What has no elements is computed where the operator is one
  // on shapes or elements.
  Value Add(std::string_view op, const std::vector<Value>& operands,
            graph::Attributes attributes = {});

  const graph::TensorType& Type(const Value& value) const;
  const std::vector<int64_t>& Shape(const Value& value) const { return Type(value).shape; }
  ir::Type Element(const Value& value) const { return Type(value).element; }
  // 1 where there is no such dimension.
  int64_t Extent(const Value& value, size_t d) const;
  size_t Rank(const Value& value) const { return Shape(value).size(); }

  // A number without dimensions, of the type of `like`.
  Value Number(double number, const Value& like) const { return Number(number, Element(like)); }
  Value Number(double number, ir::Type type) const;
  Value Known(ir::Type type, std::vector<int64_t> shape, absl::Span<const double> values) const;
  // 0, 1, … count - 1 in a shape of one dimension of it; at most 2^20.
  Value Counted(int64_t count, ir::Type type, std::vector<int64_t> shape);

  // Operators that change nothing are left out.
  Value Cast(const Value& x, ir::Type type, bool saturates = false);
  Value Reshape(const Value& x, std::vector<int64_t> shape);
  Value Transpose(const Value& x, std::vector<int64_t> order);
  Value Broadcast(const Value& x, std::vector<int64_t> shape);
  // Of any number of parts.
  Value Concat(std::vector<Value> parts, int64_t axis);
  // `count` elements along one dimension from `start` on, each `step` further; may be none.
  Value Slice(const Value& x, size_t axis, int64_t start, int64_t count, int64_t step = 1);
  Value Where(const Value& condition, const Value& then, const Value& otherwise);

  // The value as a node of the graph.
  int Node(const Value& value);
  int size() const { return builder_.size(); }
  void Rename(int node, std::string_view name) { builder_.Rename(node, name); }
  graph::Graph Finish(std::vector<int> outputs) &&;

 private:
  Value Folded(std::string_view op, const std::vector<Value>& operands,
               const graph::Attributes& attributes);
  Value Empty(std::string_view op, const std::vector<Value>& operands,
              const graph::Attributes& attributes);

  graph::GraphBuilder builder_;
  absl::Status status_;
  std::map<const graph::Tensor*, std::pair<graph::TensorRef, int>> nodes_;  // of known values
  int64_t folded_elements_ = 0;
};

}  // namespace tessera::frontend
