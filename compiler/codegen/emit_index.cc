#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "compiler/codegen/function_emitter.h"
#include "compiler/ir/numeric.h"

namespace tessera::codegen {

using ir::BinaryOp;
using llvm::Value;

// Rank-many logical indices become the position in the stored array; a single one is that already.
ir::Expr FunctionEmitter::FlatIndex(const ir::BufferNode& buffer,
                                    const std::vector<ir::Expr>& indices) {
  if (indices.empty()) return ir::Expr(0);
  if (indices.size() == 1) return indices[0];
  if (indices.size() != buffer.shape.size()) {
    state_.Fail(absl::InvalidArgumentError(
        absl::StrCat("code generation: buffer ", buffer.name, " of rank ", buffer.shape.size(),
                     " is accessed with ", indices.size(), " indices")));
    return ir::Expr(0);
  }
  int lanes = 1;
  for (const ir::Expr& index : indices) lanes = std::max<int>(lanes, index.type().lanes);
  const auto widen = [&](const ir::Expr& e) {
    return e.type().lanes == lanes ? e : ir::MakeBroadcast(e, lanes);
  };
  const auto constant = [&](int64_t value) {
    return ir::MakeInt(ir::Index().WithLanes(lanes), value);
  };
  ir::Expr flat = constant(0);
  if (buffer.layout.empty()) {
    for (size_t i = 0; i < indices.size(); ++i) {
      flat = flat * constant(buffer.shape[i]) + widen(indices[i]);
    }
    return flat;
  }
  for (const ir::LayoutDim& dim : buffer.layout) {
    ir::Expr digit = widen(indices[static_cast<size_t>(dim.axis)]);
    if (dim.divisor != 1) digit = digit / constant(dim.divisor);
    const int64_t extent = buffer.shape[static_cast<size_t>(dim.axis)];
    if ((extent + dim.divisor - 1) / dim.divisor > dim.extent) digit = digit % constant(dim.extent);
    flat = flat * constant(dim.extent) + digit;
  }
  return flat;
}

std::optional<int64_t> FunctionEmitter::ConstantOf(const ir::Expr& e) {
  if (const int64_t* value = ir::AsConstInt(e)) return *value;
  if (const auto* var = e.As<ir::Var>()) {
    const auto found = vars_.find(var);
    if (found == vars_.end()) return std::nullopt;
    const auto* constant = llvm::dyn_cast<llvm::ConstantInt>(found->second.value);
    if (constant != nullptr) return constant->getSExtValue();
  }
  return std::nullopt;
}

// Loops that must have been entered before `e` can be computed; INT_MAX for what must stay where it
// is: memory may change, and a division that is not reached may be by zero.
int FunctionEmitter::DepthOf(const ir::Expr& e) {
  constexpr int kHere = std::numeric_limits<int>::max();
  if (MayFault(e)) return kHere;
  switch (e->kind) {
    case ir::ExprKind::kVar: {
      const auto found = vars_.find(e.As<ir::Var>());
      return found == vars_.end() ? 0 : found->second.depth;
    }
    case ir::ExprKind::kBinary: {
      const auto* node = e.As<ir::Binary>();
      return std::max(DepthOf(node->a), DepthOf(node->b));
    }
    case ir::ExprKind::kNot:
      return DepthOf(e.As<ir::Not>()->a);
    case ir::ExprKind::kSelect: {
      const auto* node = e.As<ir::Select>();
      return std::max({DepthOf(node->condition), DepthOf(node->if_true), DepthOf(node->if_false)});
    }
    case ir::ExprKind::kCast:
      return DepthOf(e.As<ir::Cast>()->value);
    case ir::ExprKind::kIntImm:
    case ir::ExprKind::kFloatImm:
      return 0;
    default:
      return kHere;
  }
}

// A power of two that divides `e`, up to a cache line.
int64_t FunctionEmitter::MultipleOf(const ir::Expr& e) {
  return ir::MultipleOf(e, [&](const ir::Expr& part) { return ConstantOf(part); });
}

LinearIndex FunctionEmitter::Linearise(const ir::Expr& e) {
  LinearIndex sum;
  AddScaled(e, 1, sum);
  // Insertion, which keeps the order of equal depths; there are a handful of terms.
  for (auto term = sum.terms.begin(); term != sum.terms.end(); ++term) {
    const auto place =
        std::upper_bound(sum.terms.begin(), term, *term,
                         [](const auto& a, const auto& b) { return a.depth < b.depth; });
    std::rotate(place, term, term + 1);
  }
  return sum;
}

void FunctionEmitter::AddScaled(const ir::Expr& e, int64_t scale, LinearIndex& sum) {
  if (const std::optional<int64_t> constant = ConstantOf(e)) {
    sum.constant += scale * *constant;
    return;
  }
  const auto* binary = e.As<ir::Binary>();
  if (binary != nullptr && e.type() == ir::Index()) {
    if (binary->op == BinaryOp::kAdd || binary->op == BinaryOp::kSub) {
      AddScaled(binary->a, scale, sum);
      AddScaled(binary->b, binary->op == BinaryOp::kAdd ? scale : -scale, sum);
      return;
    }
    if (binary->op == BinaryOp::kMul) {
      if (const std::optional<int64_t> b = ConstantOf(binary->b)) {
        return AddScaled(binary->a, scale * *b, sum);
      }
      if (const std::optional<int64_t> a = ConstantOf(binary->a)) {
        return AddScaled(binary->b, scale * *a, sum);
      }
    }
  }
  // A variable or something that is not linear: one value, made once where it first can be.
  const int depth = DepthOf(e);
  Value* value;
  if (depth >= static_cast<int>(scopes_.size())) {
    value = Emit(e);
  } else {
    LoopScope& scope = scopes_[static_cast<size_t>(depth)];
    Value*& known = scope.atoms[e.get()];
    if (known == nullptr) {
      scope.kept.push_back(e);
      llvm::IRBuilder<>::InsertPointGuard guard(b_);
      b_.SetInsertPoint(scope.entry_end);
      const Mask outer = std::exchange(mask_, Mask());
      known = Emit(e);
      mask_ = outer;
    }
    value = known;
  }
  if (!value->getType()->isIntegerTy(64)) {
    llvm::IRBuilder<>::InsertPointGuard guard(b_);
    if (depth < static_cast<int>(scopes_.size())) {
      b_.SetInsertPoint(scopes_[static_cast<size_t>(depth)].entry_end);
    }
    value = e.type().code == ir::TypeCode::kUInt ? b_.CreateZExt(value, b_.getInt64Ty())
                                                 : b_.CreateSExt(value, b_.getInt64Ty());
  }
  for (LinearIndex::Term& term : sum.terms) {
    if (term.value == value) {
      term.coefficient += scale;
      return;
    }
  }
  sum.terms.push_back({value, scale, depth, MultipleOf(e)});
}

// base + Σ terms × unit (without the constant), each partial sum placed at its loop's entry and
// reused by every access that shares it. `base` is a pointer or null for a plain number.
Value* FunctionEmitter::Partial(Value* base, const LinearIndex& index, int64_t unit,
                                bool is_pointer) {
  AddressKey key{base, {}};
  Value* sum = base;
  for (const LinearIndex::Term& term : index.terms) {
    if (term.coefficient == 0) continue;
    key.second.emplace_back(term.value, term.coefficient * unit);
    const bool hoisted = term.depth < static_cast<int>(scopes_.size());
    LoopScope* scope = hoisted ? &scopes_[static_cast<size_t>(term.depth)] : nullptr;
    if (scope != nullptr) {
      if (const auto found = scope->addresses.find(key); found != scope->addresses.end()) {
        sum = found->second;
        continue;
      }
    }
    llvm::IRBuilder<>::InsertPointGuard guard(b_);
    if (scope != nullptr) b_.SetInsertPoint(scope->entry_end);
    Value* scaled =
        b_.CreateMul(term.value, b_.getInt64(static_cast<uint64_t>(term.coefficient * unit)));
    if (is_pointer) {
      sum = b_.CreateGEP(b_.getInt8Ty(), sum, scaled);
    } else {
      sum = sum == nullptr ? scaled : b_.CreateAdd(sum, scaled);
    }
    if (scope != nullptr) scope->addresses.emplace(key, sum);
  }
  return sum;
}

Value* FunctionEmitter::IndexValue(const LinearIndex& index) {
  llvm::Constant* constant = b_.getInt64(static_cast<uint64_t>(index.constant));
  Value* sum = Partial(nullptr, index, 1, false);
  return sum == nullptr ? constant : b_.CreateAdd(sum, constant);
}

llvm::Align FunctionEmitter::AlignmentOf(const LinearIndex& index, int64_t element_bytes) {
  int64_t multiple = ir::MultipleOf(index.constant * element_bytes);
  for (const LinearIndex::Term& term : index.terms) {
    multiple = std::min(multiple, ir::MultipleOf(ir::MultipleOf(term.coefficient * element_bytes) *
                                                 term.multiple_of));
  }
  return llvm::Align(static_cast<uint64_t>(std::max(multiple, element_bytes & -element_bytes)));
}

// base, base + stride, … if `e` is that with one scalar base.
std::optional<FunctionEmitter::RampForm> FunctionEmitter::AsRamp(const ir::Expr& e) {
  if (const auto* ramp = e.As<ir::Ramp>()) return RampForm{ramp->base, ramp->stride};
  if (const auto* broadcast = e.As<ir::Broadcast>()) return RampForm{broadcast->value, 0};
  const auto* binary = e.As<ir::Binary>();
  if (binary == nullptr || e.type().Element() != ir::Index()) return std::nullopt;
  if (binary->op != BinaryOp::kAdd && binary->op != BinaryOp::kSub &&
      binary->op != BinaryOp::kMul) {
    return std::nullopt;
  }
  const std::optional<RampForm> a = AsRamp(binary->a), b = AsRamp(binary->b);
  if (!a || !b) return std::nullopt;
  if (binary->op == BinaryOp::kMul) {
    const int64_t* factor = b->stride == 0 ? ir::AsConstInt(b->base) : nullptr;
    if (factor != nullptr) return RampForm{a->base * b->base, a->stride * *factor};
    factor = a->stride == 0 ? ir::AsConstInt(a->base) : nullptr;
    if (factor != nullptr) return RampForm{a->base * b->base, b->stride * *factor};
    return std::nullopt;
  }
  const bool adds = binary->op == BinaryOp::kAdd;
  return RampForm{ir::MakeBinary(binary->op, a->base, b->base),
                  adds ? a->stride + b->stride : a->stride - b->stride};
}

// One scalar base plus what is known of each lane now, if `e` is that.
std::optional<FunctionEmitter::LaneForm> FunctionEmitter::AsLanes(const ir::Expr& e) {
  const auto lanes = static_cast<size_t>(e.type().lanes);
  if (e.type().Element() != ir::Index()) return std::nullopt;
  if (const std::optional<RampForm> ramp = AsRamp(e)) {
    LaneForm form{ramp->base, {}};
    int64_t start = 0;
    if (const std::optional<int64_t> constant = ConstantOf(ramp->base)) {
      form.base = ir::Expr(0);
      start = *constant;
    }
    for (size_t i = 0; i < lanes; ++i) {
      form.offsets.push_back(start + static_cast<int64_t>(i) * ramp->stride);
    }
    return form;
  }
  const auto* node = e.As<ir::Binary>();
  if (node == nullptr) return std::nullopt;
  std::optional<LaneForm> a = AsLanes(node->a);
  const std::optional<LaneForm> b = a ? AsLanes(node->b) : std::nullopt;
  if (!b) return std::nullopt;
  const auto known = [&](const LaneForm& form) { return ConstantOf(form.base) == 0; };
  if (node->op == BinaryOp::kAdd || node->op == BinaryOp::kSub) {
    const int64_t sign = node->op == BinaryOp::kAdd ? 1 : -1;
    for (size_t i = 0; i < lanes; ++i) a->offsets[i] += sign * b->offsets[i];
    if (!known(*b)) {
      a->base = known(*a) && sign > 0 ? b->base : ir::MakeBinary(node->op, a->base, b->base);
    }
    return a;
  }
  if (!known(*a) || !known(*b)) return std::nullopt;
  for (size_t i = 0; i < lanes; ++i) {
    int64_t& value = a->offsets[i];
    const int64_t by = b->offsets[i];
    if (node->op == BinaryOp::kMul) {
      value = ir::WrappingMul(value, by);
    } else if (node->op == BinaryOp::kDiv && by > 0) {
      value = ir::FloorDiv(value, by);
    } else if (node->op == BinaryOp::kMod && by > 0) {
      value = ir::FloorMod(value, by);
    } else {
      return std::nullopt;
    }
  }
  return a;
}

// Whether computing `e` where its value doesn't count could touch memory it must not, or divide
// by zero.
bool FunctionEmitter::MayFault(const ir::Expr& e) {
  if (!e) return false;
  switch (e->kind) {
    case ir::ExprKind::kLoad:
      return true;
    case ir::ExprKind::kBinary: {
      const auto* node = e.As<ir::Binary>();
      const bool divides = node->op == BinaryOp::kDiv || node->op == BinaryOp::kMod;
      if (divides && e.type().is_integer()) {
        const int64_t* divisor = ir::AsConstInt(node->b);
        if (divisor == nullptr || *divisor == 0) return true;
      }
      return MayFault(node->a) || MayFault(node->b);
    }
    case ir::ExprKind::kNot:
      return MayFault(e.As<ir::Not>()->a);
    case ir::ExprKind::kSelect: {
      const auto* node = e.As<ir::Select>();
      return MayFault(node->condition) || MayFault(node->if_true) || MayFault(node->if_false);
    }
    case ir::ExprKind::kCast:
      return MayFault(e.As<ir::Cast>()->value);
    case ir::ExprKind::kRamp:
      return MayFault(e.As<ir::Ramp>()->base);
    case ir::ExprKind::kBroadcast:
      return MayFault(e.As<ir::Broadcast>()->value);
    case ir::ExprKind::kCall: {
      for (const ir::Expr& arg : e.As<ir::Call>()->args) {
        if (MayFault(arg)) return true;
      }
      return false;
    }
    default:
      return false;
  }
}

}  // namespace tessera::codegen
