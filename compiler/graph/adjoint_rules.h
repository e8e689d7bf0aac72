#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "compiler/graph/graph.h"

// The rules of adjoint.h, a family of operators a source, and what they are written with.

namespace tessera::graph {

// Adds nodes to a graph. The first error is kept and what is asked for afterwards is kNone, so that
// formulas need no check after each step.
class Steps {
 public:
  static constexpr int kNone = -1;  // a gradient of 0 everywhere, or nothing after an error

  explicit Steps(std::string_view name) : builder_(name) {}

  GraphBuilder& builder() { return builder_; }
  const absl::Status& status() const { return status_; }
  void Fail(absl::Status status);
  // A scalar where there is none. Copies: nodes move as there come more.
  TensorType type(int node) const;
  std::vector<int64_t> shape(int node) const { return type(node).shape; }

  // kNone where an operand is that.
  int Add(std::string_view op, std::vector<int> operands, Attributes attributes = {});
  int Constant(TensorRef tensor);
  // A number of the type of elements of `like`, without dimensions.
  int Number(double value, int like);

  int Plus(int a, int b) { return Add("add", {a, b}); }
  int Minus(int a, int b) { return Add("sub", {a, b}); }
  int Times(int a, int b) { return Add("mul", {a, b}); }
  int Times(int a, double b) { return b == 1 ? a : Add("mul", {a, Number(b, a)}); }
  int Over(int a, int b) { return Add("div", {a, b}); }
  // `a` where the condition holds, else 0.
  int Where(int condition, int a) { return Add("where", {condition, a, Number(0, a)}); }
  int Unless(int condition, int a) { return Add("where", {condition, Number(0, a), a}); }

  // The same node where nothing changes.
  int Cast(int x, ir::Type type);
  int Reshape(int x, const std::vector<int64_t>& shape);
  int Transpose(int x, const std::vector<int64_t>& order);
  int Broadcast(int x, const std::vector<int64_t>& shape);
  int Slice(int x, const std::vector<int64_t>& starts, const std::vector<int64_t>& steps,
            const std::vector<int64_t>& shape);
  // `count` elements of one dimension.
  int SliceOf(int x, size_t dimension, int64_t start, int64_t count, int64_t step = 1);
  // Zeros around.
  int Pad(int x, const std::vector<int64_t>& before, const std::vector<int64_t>& behind);
  // Zeros between neighbours of one dimension, so that these are `step` apart.
  int Spread(int x, size_t dimension, int64_t step);
  // What broadcasting a tensor of that shape to x has for an adjoint.
  int SumTo(int x, const std::vector<int64_t>& shape);
  // Over some dimensions, which stay with extent 1.
  int Sum(int x, const std::vector<int64_t>& dimensions);
  int Mean(int x, const std::vector<int64_t>& dimensions);

 private:
  GraphBuilder builder_;
  absl::Status status_;
};

// A node and the cotangent of its result.
struct Site {
  Steps& steps;
  const Node node;  // in the graph that is made, where the builder's own move
  int result;
  int cotangent;

  int operand(size_t index) const { return node.operands[index]; }
  std::vector<int64_t> shape(size_t index) const { return steps.shape(operand(index)); }
  int64_t Int(std::string_view name) const { return std::get<int64_t>(At(name)); }
  double Float(std::string_view name) const { return std::get<double>(At(name)); }
  const std::vector<int64_t>& Ints(std::string_view name) const {
    return std::get<std::vector<int64_t>>(At(name));
  }

 private:
  const Attribute& At(std::string_view name) const { return node.attributes.find(name)->second; }
};

// What the operand's cotangent gets from a site; in a shape to which the operand broadcasts.
using AdjointRule = int (*)(const Site& at, size_t operand);

struct AdjointRow {
  std::string_view op;
  AdjointRule rule;  // null: 0 almost everywhere
};
std::vector<AdjointRow> ElementwiseAdjoints();
std::vector<AdjointRow> ShapeAdjoints();
std::vector<AdjointRow> ReductionAdjoints();
std::vector<AdjointRow> ProductAdjoints();
std::vector<AdjointRow> WindowAdjoints();
// Null: there is none for the operator.
const AdjointRow* FindAdjoint(std::string_view op);

}  // namespace tessera::graph
