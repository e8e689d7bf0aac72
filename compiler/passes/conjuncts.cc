#include "compiler/passes/conjuncts.h"

namespace tessera::passes {
namespace {

void Collect(const ir::Expr& condition, std::vector<ir::Expr>& parts) {
  const auto* binary = condition.As<ir::Binary>();
  if (binary != nullptr && binary->op == ir::BinaryOp::kAnd) {
    Collect(binary->a, parts);
    Collect(binary->b, parts);
  } else {
    parts.push_back(condition);
  }
}

}  // namespace

std::vector<ir::Expr> Conjuncts(const ir::Expr& condition) {
  std::vector<ir::Expr> parts;
  Collect(condition, parts);
  return parts;
}

}  // namespace tessera::passes
