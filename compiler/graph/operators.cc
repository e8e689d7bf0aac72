#include "compiler/graph/operators.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/graph/families.h"

namespace tessera::graph {
namespace {

const std::vector<Operator>& Table() {
  static const auto* const table = [] {
    auto* all = new std::vector<Operator>;
    for (auto* family : {UnaryOperators, BinaryOperators, ShapeOperators, ReductionOperators,
                         ProductOperators, WindowOperators, UnpoolOperators}) {
      for (Operator& op : family()) all->push_back(std::move(op));
    }
    return all;
  }();
  return *table;
}

const char* KindOf(const Attribute& attribute) {
  static constexpr const char* kKinds[] = {"a whole number", "a number", "a word",
                                           "a list of whole numbers"};
  return kKinds[attribute.index()];
}

}  // namespace

Operand::Operand(ir::Buffer buffer, const TensorType& type)
    : type_(type), buffer_(std::move(buffer)) {}
Operand::Operand(ir::Expr number, const TensorType& type)
    : type_(type), number_(std::move(number)) {}

ir::Expr Operand::At(std::vector<ir::Expr> indices) const {
  if (buffer_ == nullptr) return number_;
  if (type_.shape.empty()) indices = {ir::Expr(0)};
  return ir::MakeLoad(buffer_, std::move(indices));
}

const Operator* FindOperator(std::string_view name) {
  static const auto* const by_name = [] {
    auto* map = new absl::flat_hash_map<std::string_view, const Operator*>;
    for (const Operator& op : Table()) TESSERA_CHECK(map->emplace(op.name, &op).second);
    return map;
  }();
  const auto found = by_name->find(name);
  return found == by_name->end() ? nullptr : found->second;
}

std::vector<std::string_view> OperatorNames() {
  std::vector<std::string_view> names;
  for (const Operator& op : Table()) names.push_back(op.name);
  std::ranges::sort(names);
  return names;
}

absl::StatusOr<Attributes> CompleteAttributes(const Operator& op, Attributes attributes) {
  for (const Operator::Parameter& parameter : op.parameters) {
    const auto found = attributes.find(parameter.name);
    if (found == attributes.end()) {
      if (parameter.is_required) {
        return absl::InvalidArgumentError(absl::StrCat(
            AbslView(op.name), " needs ", AbslView(parameter.name), ", ", KindOf(parameter.like)));
      }
      attributes.emplace(parameter.name, parameter.like);
    } else if (found->second.index() != parameter.like.index()) {
      return absl::InvalidArgumentError(
          absl::StrCat(AbslView(op.name), ": ", AbslView(parameter.name), " is ",
                       KindOf(found->second), "; it has to be ", KindOf(parameter.like)));
    }
  }
  for (const auto& [name, value] : attributes) {
    if (std::ranges::any_of(op.parameters, [&](const auto& p) { return p.name == name; })) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        AbslView(op.name), " has no attribute ", name, "; it has ",
        op.parameters.empty()
            ? "none"
            : absl::StrJoin(op.parameters, ", ",
                            [](std::string* out, const Operator::Parameter& parameter) {
                              absl::StrAppend(out, AbslView(parameter.name));
                            })));
  }
  return attributes;
}

std::vector<te::Dim> DimsOf(const std::vector<int64_t>& shape, std::string_view prefix) {
  std::vector<te::Dim> dims;
  for (size_t d = 0; d < shape.size(); ++d) {
    dims.push_back({absl::StrCat(AbslView(prefix), d), shape[d]});
  }
  if (dims.empty()) dims.push_back({absl::StrCat(AbslView(prefix), 0), 1});
  return dims;
}

int AxisOf(int64_t axis, size_t rank) {
  const auto count = static_cast<int64_t>(rank);
  if (axis < -count || axis >= count) return -1;
  return static_cast<int>(axis < 0 ? axis + count : axis);
}

absl::StatusOr<std::vector<int64_t>> BroadcastShape(absl::Span<const TensorType> types) {
  std::vector<int64_t> shape;
  for (const TensorType& type : types) {
    if (type.shape.size() > shape.size()) {
      shape.insert(shape.begin(), type.shape.size() - shape.size(), 1);
    }
    const size_t lead = shape.size() - type.shape.size();
    for (size_t d = 0; d < type.shape.size(); ++d) {
      int64_t& extent = shape[lead + d];
      if (extent == 1) extent = type.shape[d];
      if (type.shape[d] != 1 && type.shape[d] != extent) {
        return absl::InvalidArgumentError(
            absl::StrCat("extents ", extent, " and ", type.shape[d],
                         " meet in one dimension; they have to be equal, or one of them 1"));
      }
    }
  }
  return shape;
}

ir::Expr BroadcastAt(const Operand& operand, absl::Span<const ir::Expr> indices,
                     absl::Span<const int64_t> shape) {
  const std::vector<int64_t>& own = operand.type().shape;
  const size_t lead = shape.size() - own.size();
  std::vector<ir::Expr> at;
  for (size_t d = 0; d < own.size(); ++d) {
    at.push_back(own[d] == 1 && shape[lead + d] != 1 ? ir::Expr(0) : indices[lead + d]);
  }
  return operand.At(std::move(at));
}

ir::Expr QuotientOf(const ir::Expr& a, const ir::Expr& b) {
  if (a.type().is_float() || a.type().code == ir::TypeCode::kUInt) return a / b;
  const ir::Expr zero = ir::Zero(a.type()), down = a / b;
  const ir::Expr is_cut =
      ir::And(ir::Lt(down, zero), ir::MakeBinary(ir::BinaryOp::kNe, a - down * b, zero));
  return ir::MakeSelect(is_cut, down + ir::MakeInt(a.type(), 1), down);
}
bool IsOfType(ir::Type type, double value) {
  if (type.is_float()) return true;
  const double span = std::ldexp(1.0, type.bits);
  const bool is_signed = type.code == ir::TypeCode::kInt;
  const double low = is_signed ? -span / 2 : 0;
  return value >= low && value < low + span && value == std::floor(value);
}

ir::Type SumType(ir::Type type) {
  return type.is_integer() && type.bits < 32 ? ir::Int(32) : WideType(type);
}

ir::Type WideType(ir::Type type) {
  return type.is_float() && type.bits < 32 ? ir::Float(32) : type;
}

ir::Expr As(ir::Type type, ir::Expr value) {
  return value.type() == type ? value : ir::MakeCast(type, std::move(value));
}

}  // namespace tessera::graph
