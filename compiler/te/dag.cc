#include "compiler/te/dag.h"

#include <algorithm>

#include "base/status.h"

namespace tessera::te {

Axis MakeAxis(std::string name, int64_t extent,
              std::initializer_list<absl::Span<const Axis>> others) {
  const auto is_taken = [&](absl::Span<const Axis> axes) {
    return std::any_of(axes.begin(), axes.end(),
                       [&](const Axis& axis) { return axis.var->name == name; });
  };
  while (std::any_of(others.begin(), others.end(), is_taken)) name += '_';
  return {ir::MakeVar(name), extent};
}

ir::Expr Identity(Combiner combiner, ir::Type type, int k) {
  switch (combiner) {
    case Combiner::kNone:
      break;
    case Combiner::kSum:
      return ir::Zero(type);
    case Combiner::kProduct:
      return ir::MakeConst(type, 1);
    case Combiner::kMax:
      return ir::MinValue(type);
    case Combiner::kMin:
      return ir::MaxValue(type);
    // Any index wins over the largest one.
    case Combiner::kArgMax:
      return k == 0 ? ir::MinValue(type) : ir::MaxValue(type);
    case Combiner::kArgMin:
      return ir::MaxValue(type);
  }
  TESSERA_CHECK(combiner != Combiner::kNone);
  return {};
}

ir::Expr Combine(Combiner combiner, ir::Expr a, ir::Expr b) {
  switch (combiner) {
    case Combiner::kSum:
      return std::move(a) + std::move(b);
    case Combiner::kProduct:
      return std::move(a) * std::move(b);
    case Combiner::kMax:
      return ir::Max(std::move(a), std::move(b));
    case Combiner::kMin:
      return ir::Min(std::move(a), std::move(b));
    default:
      break;
  }
  CheckFailed("Combine: single-output combiner", __FILE__, __LINE__);
}

std::vector<ir::Expr> CombineTuple(Combiner combiner, const std::vector<ir::Expr>& a,
                                   const std::vector<ir::Expr>& b) {
  if (combiner != Combiner::kArgMax && combiner != Combiner::kArgMin) {
    TESSERA_CHECK(a.size() == 1 && b.size() == 1);
    return {Combine(combiner, a[0], b[0])};
  }
  TESSERA_CHECK(a.size() == 2 && b.size() == 2);
  const ir::Expr better = combiner == Combiner::kArgMax ? ir::Lt(a[0], b[0]) : ir::Lt(b[0], a[0]);
  const ir::Expr earlier = ir::And(ir::Eq(a[0], b[0]), ir::Lt(b[1], a[1]));
  return {ir::MakeSelect(better, b[0], a[0]), ir::MakeSelect(ir::Or(better, earlier), b[1], a[1])};
}

std::string_view ToString(Combiner combiner) {
  switch (combiner) {
    case Combiner::kNone:
      return "none";
    case Combiner::kSum:
      return "sum";
    case Combiner::kProduct:
      return "prod";
    case Combiner::kMax:
      return "max";
    case Combiner::kMin:
      return "min";
    case Combiner::kArgMax:
      return "argmax";
    case Combiner::kArgMin:
      return "argmin";
  }
  return "none";
}

int Dag::StageOf(const ir::Buffer& buffer) const {
  for (size_t i = 0; i < stages.size(); ++i) {
    for (const ir::Buffer& output : stages[i].outputs) {
      if (output == buffer) return static_cast<int>(i);
    }
  }
  return -1;
}

int Dag::StageNamed(std::string_view name) const {
  for (size_t i = 0; i < stages.size(); ++i) {
    for (const ir::Buffer& output : stages[i].outputs) {
      if (output->name == name) return static_cast<int>(i);
    }
  }
  return -1;
}

int64_t MinimumTrafficBytes(const Dag& dag) {
  int64_t bytes = 0;
  for (const Input& input : dag.inputs) bytes += input.buffer->StoredBytes();
  for (const ir::Buffer& output : dag.outputs) bytes += output->StoredBytes();
  return bytes;
}

}  // namespace tessera::te
