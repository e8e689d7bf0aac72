#include <algorithm>
#include <cmath>

#include "absl/container/flat_hash_map.h"
#include "compiler/te/reference.h"

namespace tessera::te {
namespace {

// Half a unit in the last place at 1; 0 for integers.
double RoundingError(ir::Type type) {
  if (type.code == ir::TypeCode::kBFloat) return std::ldexp(1.0, -8);
  if (type.code != ir::TypeCode::kFloat) return 0;
  return std::ldexp(1.0, type.bits == 16 ? -11 : type.bits == 32 ? -24 : -53);
}

// Absolute errors of stages' elements, taking values to be around 1.
using Errors = absl::flat_hash_map<const ir::BufferNode*, double>;

double ErrorOf(const ir::Expr& e, const Errors& stages) {
  const double rounding = RoundingError(e.type());
  if (const auto* load = e.As<ir::Load>()) {
    const auto found = stages.find(load->buffer.get());
    return found == stages.end() ? 0 : found->second;
  }
  if (const auto* binary = e.As<ir::Binary>()) {
    if (!e.type().is_float()) return 0;
    const double a = ErrorOf(binary->a, stages), b = ErrorOf(binary->b, stages);
    if (binary->op == ir::BinaryOp::kMin || binary->op == ir::BinaryOp::kMax) {
      return std::max(a, b);
    }
    // A mean carries scaled errors.
    const auto* divisor = binary->b.As<ir::FloatImm>();
    if (binary->op == ir::BinaryOp::kDiv && divisor != nullptr && divisor->value != 0) {
      return a / std::abs(divisor->value) + rounding;
    }
    return a + b + rounding;
  }
  if (const auto* select = e.As<ir::Select>()) {
    return std::max(ErrorOf(select->if_true, stages), ErrorOf(select->if_false, stages));
  }
  if (const auto* cast = e.As<ir::Cast>()) {
    const bool narrows = rounding > RoundingError(cast->value.type());
    return ErrorOf(cast->value, stages) + (narrows ? rounding : 0);
  }
  if (const auto* call = e.As<ir::Call>()) {
    double error = 8 * rounding;  // back ends approximate
    for (const ir::Expr& arg : call->args) error += ErrorOf(arg, stages);
    return error;
  }
  return 0;
}

}  // namespace

Tolerance OutputTolerance(const Dag& dag, int output) {
  Errors errors;
  for (const Stage& stage : dag.stages) {
    double length = 1;
    for (const Axis& axis : stage.reduce_axes) length *= static_cast<double>(axis.extent);
    for (size_t k = 0; k < stage.outputs.size(); ++k) {
      double error = ErrorOf(stage.bodies[k], errors);
      if (stage.combiner == Combiner::kSum || stage.combiner == Combiner::kProduct) {
        // Errors of what is summed are independent; each addition rounds a partial sum.
        error = error * std::sqrt(length) + length * RoundingError(stage.outputs[k]->type);
      }
      errors[stage.outputs[k].get()] = error;
    }
  }
  const ir::Buffer& buffer = dag.outputs[output];
  if (!buffer->type.is_float()) return {0, 0};
  const double floor = 16 * std::ldexp(1.0, -24);
  return {std::max(errors.at(buffer.get()), floor), floor + 2 * RoundingError(buffer->type)};
}

}  // namespace tessera::te
