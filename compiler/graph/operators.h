#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/graph/graph.h"
#include "compiler/te/dag_builder.h"

// The operators of graphs. What each computes is its definition, in tensor expressions: evaluation,
// constant folding, tasks and code all come from it. docs/graph.md has the table.

namespace tessera::graph {

// How an operator's result depends on its operands, which is what fusion goes by.
//   elementwise  each element on those at its own place, or where an operand is broadcast
//   injective    each element is one of an operand's
//   reduction    each element on many
//   anchor       a product or convolution, whose schedule the task is about; one a task
enum class Pattern : uint8_t { kElementwise, kInjective, kReduction, kAnchor };

// A node to be: what its type and definition follow from.
struct Call {
  const Attributes& attributes;  // complete
  absl::Span<const TensorType> operands;

  int64_t Int(std::string_view name) const { return std::get<int64_t>(At(name)); }
  double Float(std::string_view name) const { return std::get<double>(At(name)); }
  const std::string& Word(std::string_view name) const { return std::get<std::string>(At(name)); }
  const std::vector<int64_t>& Ints(std::string_view name) const {
    return std::get<std::vector<int64_t>>(At(name));
  }

 private:
  const Attribute& At(std::string_view name) const { return attributes.find(name)->second; }
};

// What a definition reads: a buffer, or a number that is known. Without dimensions a buffer has
// one of extent 1.
class Operand {
 public:
  Operand(ir::Buffer buffer, const TensorType& type);  // NOLINT: implicit
  Operand(ir::Expr number, const TensorType& type);

  const TensorType& type() const { return type_; }
  const ir::Buffer& buffer() const { return buffer_; }  // null: a number
  // The element there, one index a dimension.
  ir::Expr At(std::vector<ir::Expr> indices) const;

 private:
  TensorType type_;
  ir::Buffer buffer_;
  ir::Expr number_;
};

// That a kernel reads and writes, whatever was fused: what a library's calls have room for.
inline constexpr int kMaxKernelTensors = 64;

struct Operator {
  std::string_view name;
  int least_operands, most_operands;
  Pattern pattern;
  // An attribute is required where its default is of no value: of kinds by example.
  struct Parameter {
    std::string_view name;
    Attribute like;  // its kind, and its default unless it is required
    bool is_required = false;
  };
  std::vector<Parameter> parameters;
  absl::StatusOr<TensorType> (*infer)(const Call& call);
  // Adds the stages that compute the result, whose last one is named `name`, to the builder.
  ir::Buffer (*define)(te::DagBuilder& builder, const Call& call,
                       absl::Span<const Operand> operands, const TensorType& result,
                       const std::string& name);
  // Operands whose storage is free where they are constants: weights.
  std::vector<int> weights = {};
};

// Null: there is none of that name.
const Operator* FindOperator(std::string_view name);
std::vector<std::string_view> OperatorNames();

// `attributes` with the defaults of the operator; InvalidArgument for one that it has not, lacks or
// has of another kind.
absl::StatusOr<Attributes> CompleteAttributes(const Operator& op, Attributes attributes);

// Integers of 8 bits, signed or not.
bool IsByte(ir::Type type);

}  // namespace tessera::graph
