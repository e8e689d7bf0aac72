#include <bit>
#include <numeric>
#include <optional>

#include "absl/strings/str_cat.h"
#include "compiler/codegen/function_emitter.h"
#include "compiler/ir/print.h"
#include "compiler/ir/tf32.h"
#include "compiler/ir/visitor.h"

namespace tessera::codegen {

using llvm::Value;

namespace {

// Whether `e` is an index that is computed from loop variables and constants alone.
bool IsPosition(const ir::Expr& e) {
  bool is_position = e.type().Element() == ir::Index();
  ir::ForEach<ir::Load>(e, [&](const ir::Load&) { is_position = false; });
  return is_position;
}

}  // namespace

Value* FunctionEmitter::Fail(const ir::Type& type, absl::Status error) {
  state_.Fail(std::move(error));
  return llvm::PoisonValue::get(numbers_.ValueType(type));
}

Value* FunctionEmitter::Emit(const ir::Expr& e) {
  const ir::Type type = e.type();
  switch (e->kind) {
    case ir::ExprKind::kIntImm:
      return numbers_.Integer(type, e.As<ir::IntImm>()->value);
    case ir::ExprKind::kFloatImm:
      return numbers_.Float(type, e.As<ir::FloatImm>()->value);
    case ir::ExprKind::kVar: {
      const auto found = vars_.find(e.As<ir::Var>());
      if (found == vars_.end()) {
        return Fail(type, absl::InvalidArgumentError(
                              absl::StrCat("code generation: variable ", e.As<ir::Var>()->name,
                                           " is not bound by an enclosing loop")));
      }
      return found->second.value;
    }
    case ir::ExprKind::kBinary:
      return EmitBinary(*e.As<ir::Binary>());
    case ir::ExprKind::kNot:
      return b_.CreateNot(Emit(e.As<ir::Not>()->a));
    case ir::ExprKind::kSelect:
      return EmitSelect(*e.As<ir::Select>());
    case ir::ExprKind::kCast: {
      const auto* node = e.As<ir::Cast>();
      return numbers_.Cast(node->value.type(), type, Emit(node->value), node->saturate);
    }
    case ir::ExprKind::kLoad:
      return EmitLoad(*e.As<ir::Load>());
    case ir::ExprKind::kRamp:
      return EmitRamp(*e.As<ir::Ramp>());
    case ir::ExprKind::kBroadcast:
      return EmitBroadcast(e.As<ir::Broadcast>()->value, type.lanes);
    case ir::ExprKind::kCall:
      return EmitCall(*e.As<ir::Call>());
  }
  return nullptr;
}

Value* FunctionEmitter::EmitBinary(const ir::Binary& node) {
  const ir::Type type = node.a.type();
  if (node.op == ir::BinaryOp::kAdd) {
    if (Value* sum = EmitDot(node.a, node.b)) return sum;
    if (Value* sum = EmitDot(node.b, node.a)) return sum;
  }
  Value* a = Emit(node.a);
  Value* b = Emit(node.b);
  const bool divides = node.op == ir::BinaryOp::kDiv || node.op == ir::BinaryOp::kMod;
  if (divides && type.is_integer() && !llvm::isa<llvm::Constant>(b)) {
    // The divisor may be zero on lanes that don't count.
    llvm::Constant* one = llvm::ConstantInt::get(b->getType(), 1);
    if (mask_.scalar != nullptr) b = b_.CreateSelect(mask_.scalar, b, one);
    if (mask_.vector != nullptr) b = b_.CreateSelect(LaneMask(), b, one);
  }
  if (divides && state_.module.getDataLayout().getPointerSizeInBits() == 32 && IsPosition(node.a) &&
      IsPosition(node.b)) {
    // Positions in memory are no longer than addresses, and such divisions are cheap.
    const ir::Type narrow = ir::Int(32).WithLanes(type.lanes);
    llvm::Type* i32 = numbers_.ValueType(narrow);
    Value* result =
        numbers_.Binary(node.op, narrow, b_.CreateTrunc(a, i32), b_.CreateTrunc(b, i32));
    return b_.CreateSExt(result, a->getType());
  }
  return numbers_.Binary(node.op, type, a, b);
}

// Both sides are computed, each without touching memory where it doesn't count.
Value* FunctionEmitter::EmitSelect(const ir::Select& node) {
  Value* condition = Emit(node.condition);
  if (const auto* known = llvm::dyn_cast<llvm::ConstantInt>(condition)) {
    return Emit(known->isOne() ? node.if_true : node.if_false);
  }
  const bool is_vector = condition->getType()->isVectorTy();
  const auto side = [&](const ir::Expr& e, bool when) {
    if (!MayFault(e)) return Emit(e);
    const Mask outer = mask_;
    Value* counts = when ? condition : b_.CreateNot(condition);
    if (is_vector) mask_ = {mask_.scalar, LaneMask()};
    Value*& part = is_vector ? mask_.vector : mask_.scalar;
    part = part == nullptr ? counts : b_.CreateAnd(part, counts);
    Value* result = Emit(e);
    mask_ = outer;
    return result;
  };
  Value* if_true = side(node.if_true, true);
  Value* if_false = side(node.if_false, false);
  if (!is_vector && if_true->getType()->isVectorTy() && state_.target.Has("avx512")) {
    // One condition for all lanes would become a branch; a mask is cheap here.
    condition = b_.CreateVectorSplat(
        static_cast<unsigned>(
            llvm::cast<llvm::FixedVectorType>(if_true->getType())->getNumElements()),
        condition);
  }
  return b_.CreateSelect(condition, if_true, if_false);
}

Value* FunctionEmitter::EmitBroadcast(const ir::Expr& value, int lanes) {
  const Mask outer = mask_;
  if (mask_.vector != nullptr && MayFault(value)) {
    Value* any = b_.CreateOrReduce(mask_.vector);
    mask_.scalar = mask_.scalar == nullptr ? any : b_.CreateAnd(mask_.scalar, any);
  }
  mask_.vector = nullptr;
  Value* scalar = Emit(value);
  mask_ = outer;
  return b_.CreateVectorSplat(static_cast<unsigned>(lanes), scalar);
}

Value* FunctionEmitter::EmitRamp(const ir::Ramp& node) {
  Value* base = EmitBroadcast(node.base, node.type.lanes);
  std::vector<llvm::Constant*> steps;
  const ir::Type element = node.type.Element();
  for (int i = 0; i < node.type.lanes; ++i) {
    steps.push_back(numbers_.Integer(element, i * node.stride));
  }
  return b_.CreateAdd(base, llvm::ConstantVector::get(steps));
}

// Halves are combined until one lane is left: kMax and kMin are what they are elsewhere.
Value* FunctionEmitter::EmitReduce(ir::BinaryOp op, ir::Type type, Value* value) {
  const ir::Type element = type.Element();
  const auto part = [&](int first, int lanes) {
    llvm::SmallVector<int, 64> picks(static_cast<size_t>(lanes));
    std::iota(picks.begin(), picks.end(), first);
    return b_.CreateShuffleVector(value, picks);
  };
  const int low = static_cast<int>(std::bit_ceil(static_cast<unsigned>(type.lanes)) / 2);
  const int high = type.lanes - low;
  if (type.lanes == 1) return b_.CreateExtractElement(value, uint64_t{0});
  if (high == low) {
    const ir::Type half = element.WithLanes(low);
    return EmitReduce(op, half, numbers_.Binary(op, half, part(0, low), part(low, low)));
  }
  Value* of_low = EmitReduce(op, element.WithLanes(low), part(0, low));
  return numbers_.Binary(op, element, of_low,
                         EmitReduce(op, element.WithLanes(high), part(low, high)));
}

// The members of all groups at one place in them are a vector; such vectors are combined.
Value* FunctionEmitter::EmitGroups(ir::BinaryOp op, const ir::Call& node) {
  const int lanes = node.type.lanes, group = node.args[0].type().lanes / lanes;
  const Mask outer = EnterGroups(group);
  Value* values = Emit(node.args[0]);
  mask_ = outer;
  Value* result = nullptr;
  for (int member = 0; member < group; ++member) {
    llvm::SmallVector<int, 64> picks;
    for (int i = 0; i < lanes; ++i) picks.push_back(i * group + member);
    Value* part = b_.CreateShuffleVector(values, picks);
    result = result == nullptr ? part : numbers_.Binary(op, node.type, result, part);
  }
  return result;
}

Value* FunctionEmitter::EmitRepeat(Value* value, int from, int to) {
  if (from == 1) return b_.CreateVectorSplat(static_cast<unsigned>(to), value);
  // One number of all the bits is spread faster than its parts are.
  const auto bits =
      static_cast<unsigned>(value->getType()->getPrimitiveSizeInBits().getFixedValue());
  if (bits >= 8 && bits <= 64 && std::has_single_bit(bits)) {
    Value* bundle = b_.CreateBitCast(value, b_.getIntNTy(bits));
    llvm::Type* element = value->getType()->getScalarType();
    return b_.CreateBitCast(b_.CreateVectorSplat(static_cast<unsigned>(to / from), bundle),
                            llvm::FixedVectorType::get(element, static_cast<unsigned>(to)));
  }
  llvm::SmallVector<int, 64> picks;
  for (int i = 0; i < to; ++i) picks.push_back(i % from);
  return b_.CreateShuffleVector(value, picks);
}

// Even and odd ones first, so that each step mixes two vectors.
Value* FunctionEmitter::EmitInterleave(llvm::ArrayRef<Value*> values) {
  if (values.size() == 1) return values[0];
  std::vector<Value*> even, odd;
  for (size_t i = 0; i < values.size(); ++i) (i % 2 == 0 ? even : odd).push_back(values[i]);
  Value *a = EmitInterleave(even), *b = EmitInterleave(odd);
  const auto lanes =
      static_cast<int>(llvm::cast<llvm::FixedVectorType>(a->getType())->getNumElements());
  llvm::SmallVector<int, 64> picks;
  for (int i = 0; i < lanes; ++i) picks.append({i, lanes + i});
  return b_.CreateShuffleVector(a, b, picks);
}

Value* FunctionEmitter::EmitCall(const ir::Call& node) {
  const ir::Type type = node.type;
  if (ir::IsReduceOf(node)) {
    const ir::BinaryOp op = *ir::ReduceOp(node.name);
    if (type.is_vector()) return EmitGroups(op, node);
    return EmitReduce(op, node.args[0].type(), Emit(node.args[0]));
  }
  if (ir::IsRepeat(node)) {
    const Mask outer = EnterShared();
    Value* value = Emit(node.args[0]);
    mask_ = outer;
    return EmitRepeat(value, node.args[0].type().lanes, type.lanes);
  }
  std::vector<Value*> args;
  for (const ir::Expr& arg : node.args) args.push_back(Emit(arg));
  if (ir::IsInterleave(node)) return EmitInterleave(args);
  if (node.name == ir::kTf32 && args.size() == 1) return args[0];
  if (node.name == "abs" && args.size() == 1 && type.is_integer()) {
    if (type.code == ir::TypeCode::kUInt) return args[0];
    return b_.CreateIntrinsic(llvm::Intrinsic::abs, {args[0]->getType()}, {args[0], b_.getFalse()});
  }
  const int arity = VectorMath::Arity(node.name);
  if (arity == 0 || !type.is_float()) {
    return Fail(type, absl::UnimplementedError(absl::StrCat(
                          "code generation: no function \"", node.name, "\" of ",
                          ir::ToString(type), " on target ", ir::ToString(state_.target))));
  }
  if (static_cast<size_t>(arity) != args.size()) {
    return Fail(type,
                absl::InvalidArgumentError(absl::StrCat("code generation: ", node.name, " takes ",
                                                        arity, " arguments, not ", args.size())));
  }
  return numbers_.Round(type, math_.Call(node.name, args));
}

}  // namespace tessera::codegen
