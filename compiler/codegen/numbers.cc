#include "compiler/codegen/numbers.h"

#include <bit>
#include <cmath>

#include "base/status.h"
#include "compiler/ir/numeric.h"

namespace tessera::codegen {

using ir::BinaryOp;
using llvm::Value;
using llvm::Intrinsic::ID;

namespace {

llvm::Type* Vectorise(llvm::Type* element, int lanes) {
  return lanes == 1 ? element : llvm::FixedVectorType::get(element, lanes);
}

bool IsUnsigned(ir::Type type) { return type.code == ir::TypeCode::kUInt; }

bool IsNarrowFloat(ir::Type type) { return type.is_float() && type.bits == 16; }

}  // namespace

llvm::Type* Numbers::ValueType(ir::Type type) const {
  llvm::LLVMContext& context = b_.getContext();
  llvm::Type* element =
      type.is_float()
          ? (type.bits == 64 ? llvm::Type::getDoubleTy(context) : llvm::Type::getFloatTy(context))
          : static_cast<llvm::Type*>(llvm::IntegerType::get(context, type.bits));
  return Vectorise(element, type.lanes);
}

llvm::Type* Numbers::StorageType(ir::Type type) const {
  if (!IsNarrowFloat(type)) return ValueType(type);
  return Vectorise(llvm::Type::getInt16Ty(b_.getContext()), type.lanes);
}

llvm::Constant* Numbers::Integer(ir::Type type, int64_t value) const {
  llvm::Type* t = ValueType(type);
  return llvm::ConstantInt::get(t, llvm::APInt(64, static_cast<uint64_t>(value)).trunc(type.bits));
}

llvm::Constant* Numbers::Float(ir::Type type, double value) const {
  return llvm::ConstantFP::get(ValueType(type), ir::RoundFloat(type.Element(), value));
}

llvm::Constant* Numbers::Zero(ir::Type type) const {
  return llvm::Constant::getNullValue(ValueType(type));
}

llvm::Type* Numbers::WithLanesOf(Value* like, llvm::Type* element) const {
  const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(like->getType());
  return vector == nullptr ? element : Vectorise(element, vector->getNumElements());
}

llvm::Constant* Numbers::Splat(Value* like, uint32_t bits) const {
  return llvm::ConstantInt::get(WithLanesOf(like, b_.getInt32Ty()), bits);
}

Value* Numbers::FromStorage(ir::Type type, Value* stored) {
  if (!IsNarrowFloat(type)) return stored;
  if (type.code == ir::TypeCode::kBFloat) {
    Value* wide = b_.CreateZExt(stored, WithLanesOf(stored, b_.getInt32Ty()));
    return b_.CreateBitCast(b_.CreateShl(wide, 16), ValueType(type));
  }
  return HalfToFloat(stored);
}

Value* Numbers::ToStorage(ir::Type type, Value* value) {
  if (!IsNarrowFloat(type)) return value;
  if (type.code == ir::TypeCode::kBFloat) {
    // The value is a bf16 already: its low half is zero.
    Value* bits = b_.CreateBitCast(value, WithLanesOf(value, b_.getInt32Ty()));
    return b_.CreateTrunc(b_.CreateLShr(bits, 16), StorageType(type));
  }
  return FloatToHalf(value);
}

Value* Numbers::Round(ir::Type type, Value* value) {
  if (!IsNarrowFloat(type)) return value;
  if (type.code == ir::TypeCode::kBFloat) return FromStorage(type, FloatToBFloatBits(value));
  return HalfToFloat(FloatToHalf(value));
}

Value* Numbers::HalfToFloat(Value* bits) {
  if (has_half_conversion_) {
    Value* half = b_.CreateBitCast(bits, WithLanesOf(bits, b_.getHalfTy()));
    return b_.CreateFPExt(half, WithLanesOf(bits, b_.getFloatTy()));
  }
  llvm::Type* float_type = WithLanesOf(bits, b_.getFloatTy());
  Value* wide = b_.CreateZExt(bits, WithLanesOf(bits, b_.getInt32Ty()));
  Value* magnitude = b_.CreateShl(b_.CreateAnd(wide, 0x7fff), 13);
  // 2^112 moves the exponent's bias; subnormals come out right because the product is exact.
  Value* scaled = b_.CreateFMul(b_.CreateBitCast(magnitude, float_type),
                                llvm::ConstantFP::get(float_type, 0x1p112));
  Value* special = b_.CreateOr(magnitude, Splat(bits, 0x7f800000));
  Value* is_special = b_.CreateICmpUGE(magnitude, Splat(bits, 0x0f800000));
  Value* finite = b_.CreateBitCast(scaled, WithLanesOf(bits, b_.getInt32Ty()));
  Value* sign = b_.CreateShl(b_.CreateAnd(wide, 0x8000), 16);
  return b_.CreateBitCast(b_.CreateOr(b_.CreateSelect(is_special, special, finite), sign),
                          float_type);
}

Value* Numbers::FloatToHalf(Value* value) {
  llvm::Type* storage = WithLanesOf(value, b_.getInt16Ty());
  if (has_half_conversion_) {
    Value* half = b_.CreateFPTrunc(value, WithLanesOf(value, b_.getHalfTy()));
    return b_.CreateBitCast(half, storage);
  }
  llvm::Type* i32 = WithLanesOf(value, b_.getInt32Ty());
  Value* bits = b_.CreateBitCast(value, i32);
  Value* magnitude = b_.CreateAnd(bits, 0x7fffffff);
  Value* is_nan = b_.CreateICmpUGT(magnitude, Splat(value, 0x7f800000));
  Value* special = b_.CreateSelect(is_nan, Splat(value, 0x7e00), Splat(value, 0x7c00));
  // Subnormal results: adding 0.5 lines the units of 2^-24 up with the mantissa's last bit.
  Value* lined_up = b_.CreateFAdd(b_.CreateBitCast(magnitude, value->getType()),
                                  llvm::ConstantFP::get(value->getType(), 0.5));
  Value* subnormal = b_.CreateSub(b_.CreateBitCast(lined_up, i32), Splat(value, 0x3f000000));
  Value* odd = b_.CreateAnd(b_.CreateLShr(magnitude, 13), 1);
  Value* rebiased = b_.CreateAdd(magnitude, Splat(value, 0xc8000fffu));  // (15 - 127) << 23 + 0xfff
  Value* normal = b_.CreateLShr(b_.CreateAdd(rebiased, odd), 13);
  Value* is_subnormal = b_.CreateICmpULT(magnitude, Splat(value, 0x38800000));
  Value* is_special = b_.CreateICmpUGE(magnitude, Splat(value, 0x47800000));
  Value* result =
      b_.CreateSelect(is_special, special, b_.CreateSelect(is_subnormal, subnormal, normal));
  Value* sign = b_.CreateAnd(b_.CreateLShr(bits, 16), 0x8000);
  return b_.CreateTrunc(b_.CreateOr(result, sign), storage);
}

Value* Numbers::FloatToBFloatBits(Value* value) {
  Value* bits = b_.CreateBitCast(value, WithLanesOf(value, b_.getInt32Ty()));
  Value* odd = b_.CreateAnd(b_.CreateLShr(bits, 16), 1);
  Value* rounded = b_.CreateLShr(b_.CreateAdd(b_.CreateAdd(bits, Splat(value, 0x7fff)), odd), 16);
  Value* is_nan = b_.CreateFCmpUNO(value, value);
  Value* quiet = b_.CreateOr(b_.CreateLShr(bits, 16), 0x40);
  return b_.CreateTrunc(b_.CreateSelect(is_nan, quiet, rounded),
                        WithLanesOf(value, b_.getInt16Ty()));
}

// f64 to float, towards zero with a sticky last bit ("to odd"): rounding that to a narrower type
// gives the correctly rounded result of the f64.
Value* Numbers::ToOddFloat(Value* wide) {
  llvm::Type* float_type = WithLanesOf(wide, b_.getFloatTy());
  llvm::Type* i32 = WithLanesOf(wide, b_.getInt32Ty());
  Value* nearest = b_.CreateFPTrunc(wide, float_type);
  Value* back = b_.CreateFPExt(nearest, wide->getType());
  Value* inexact = b_.CreateFCmpONE(back, wide);
  Value* too_far = b_.CreateFCmpOGT(b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, back),
                                    b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, wide));
  Value* bits = b_.CreateBitCast(nearest, i32);
  bits = b_.CreateSub(bits, b_.CreateZExt(too_far, i32));
  bits = b_.CreateOr(bits, b_.CreateZExt(inexact, i32));
  return b_.CreateBitCast(bits, float_type);
}

Value* Numbers::Binary(BinaryOp op, ir::Type type, Value* a, Value* b) {
  if (!type.is_float()) return IntegerBinary(op, type, a, b);
  Value* result = FloatBinary(op, a, b);
  if (result->getType() != a->getType()) return result;  // a comparison
  const bool exact = op == BinaryOp::kMin || op == BinaryOp::kMax;
  return exact ? result : Round(type, result);
}

Value* Numbers::FloatBinary(BinaryOp op, Value* a, Value* b) {
  switch (op) {
    case BinaryOp::kAdd:
      return b_.CreateFAdd(a, b);
    case BinaryOp::kSub:
      return b_.CreateFSub(a, b);
    case BinaryOp::kMul:
      return b_.CreateFMul(a, b);
    case BinaryOp::kDiv:
      return b_.CreateFDiv(a, b);
    case BinaryOp::kMin:
      return b_.CreateSelect(b_.CreateFCmpOLT(a, b), a, b);
    case BinaryOp::kMax:
      return b_.CreateSelect(b_.CreateFCmpOGT(a, b), a, b);
    case BinaryOp::kEq:
      return b_.CreateFCmpOEQ(a, b);
    case BinaryOp::kNe:
      return b_.CreateFCmpUNE(a, b);
    case BinaryOp::kLt:
      return b_.CreateFCmpOLT(a, b);
    case BinaryOp::kLe:
      return b_.CreateFCmpOLE(a, b);
    default:
      return nullptr;
  }
}

// Rounds to minus infinity from the machine's truncating division. The caller sees to it that no
// divisor is zero, also on lanes whose result is thrown away.
Value* Numbers::Divide(bool remainder, ir::Type type, Value* a, Value* b) {
  if (IsUnsigned(type)) return remainder ? b_.CreateURem(a, b) : b_.CreateUDiv(a, b);
  llvm::Constant* zero = llvm::Constant::getNullValue(a->getType());
  llvm::Constant* one = llvm::ConstantInt::get(a->getType(), 1);
  const auto* constant = llvm::dyn_cast<llvm::Constant>(b);
  const llvm::APInt* known = nullptr;
  if (constant != nullptr) {
    const auto* scalar = llvm::dyn_cast_or_null<llvm::ConstantInt>(
        a->getType()->isVectorTy() ? constant->getSplatValue() : constant);
    if (scalar != nullptr) known = &scalar->getValue();
  }
  if (known != nullptr && known->isPowerOf2() && !known->isSignMask()) {
    Value* shift = llvm::ConstantInt::get(a->getType(), known->logBase2());
    return remainder ? b_.CreateAnd(a, llvm::ConstantInt::get(a->getType(), *known - 1))
                     : b_.CreateAShr(a, shift);
  }
  // The lowest number by -1 overflows, which traps on x86: divide by 1 and negate instead.
  Value* is_minus_one = b_.CreateICmpEQ(b, llvm::Constant::getAllOnesValue(a->getType()));
  Value* divisor = b_.CreateSelect(is_minus_one, one, b);
  Value* rest = b_.CreateSRem(a, divisor);
  Value* wrong_sign = b_.CreateAnd(b_.CreateICmpNE(rest, zero),
                                   b_.CreateICmpSLT(b_.CreateXor(rest, divisor), zero));
  if (remainder) return b_.CreateSelect(wrong_sign, b_.CreateAdd(rest, divisor), rest);
  Value* quotient = b_.CreateSDiv(a, divisor);
  Value* floor = b_.CreateSub(quotient, b_.CreateZExt(wrong_sign, a->getType()));
  return b_.CreateSelect(is_minus_one, b_.CreateNeg(a), floor);
}

Value* Numbers::IntegerBinary(BinaryOp op, ir::Type type, Value* a, Value* b) {
  const bool is_unsigned = IsUnsigned(type);
  const auto intrinsic = [&](ID for_signed, ID for_unsigned) {
    return b_.CreateBinaryIntrinsic(is_unsigned ? for_unsigned : for_signed, a, b);
  };
  switch (op) {
    case BinaryOp::kAdd:
      return b_.CreateAdd(a, b);
    case BinaryOp::kSub:
      return b_.CreateSub(a, b);
    case BinaryOp::kMul:
      return b_.CreateMul(a, b);
    case BinaryOp::kDiv:
      return Divide(false, type, a, b);
    case BinaryOp::kMod:
      return Divide(true, type, a, b);
    case BinaryOp::kMin:
      return intrinsic(llvm::Intrinsic::smin, llvm::Intrinsic::umin);
    case BinaryOp::kMax:
      return intrinsic(llvm::Intrinsic::smax, llvm::Intrinsic::umax);
    case BinaryOp::kSatAdd:
      return intrinsic(llvm::Intrinsic::sadd_sat, llvm::Intrinsic::uadd_sat);
    case BinaryOp::kSatSub:
      return intrinsic(llvm::Intrinsic::ssub_sat, llvm::Intrinsic::usub_sat);
    case BinaryOp::kShiftLeft:
      return b_.CreateShl(a, b);
    case BinaryOp::kShiftRight:
      return is_unsigned ? b_.CreateLShr(a, b) : b_.CreateAShr(a, b);
    case BinaryOp::kBitAnd:
    case BinaryOp::kAnd:
      return b_.CreateAnd(a, b);
    case BinaryOp::kBitOr:
    case BinaryOp::kOr:
      return b_.CreateOr(a, b);
    case BinaryOp::kBitXor:
      return b_.CreateXor(a, b);
    case BinaryOp::kEq:
      return b_.CreateICmpEQ(a, b);
    case BinaryOp::kNe:
      return b_.CreateICmpNE(a, b);
    case BinaryOp::kLt:
      return is_unsigned ? b_.CreateICmpULT(a, b) : b_.CreateICmpSLT(a, b);
    case BinaryOp::kLe:
      return is_unsigned ? b_.CreateICmpULE(a, b) : b_.CreateICmpSLE(a, b);
  }
  return nullptr;
}

Value* Numbers::ClampInteger(ir::Type from, ir::Type to, Value* value) {
  const bool from_unsigned = IsUnsigned(from), to_unsigned = IsUnsigned(to);
  const auto constant = [&](const llvm::APInt& limit) {
    return llvm::ConstantInt::get(value->getType(), limit);
  };
  if (from_unsigned) {
    const int to_bits = to.bits - (to_unsigned ? 0 : 1);
    if (from.bits <= to_bits) return value;
    return b_.CreateBinaryIntrinsic(llvm::Intrinsic::umin, value,
                                    constant(llvm::APInt::getLowBitsSet(from.bits, to_bits)));
  }
  if (to_unsigned) {
    value = b_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, value,
                                     llvm::Constant::getNullValue(value->getType()));
    if (from.bits - 1 <= to.bits) return value;
    return b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, value,
                                    constant(llvm::APInt::getLowBitsSet(from.bits, to.bits)));
  }
  if (from.bits <= to.bits) return value;
  value =
      b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, value,
                               constant(llvm::APInt::getSignedMaxValue(to.bits).sext(from.bits)));
  return b_.CreateBinaryIntrinsic(
      llvm::Intrinsic::smax, value,
      constant(llvm::APInt::getSignedMinValue(to.bits).sext(from.bits)));
}

// fptosi_sat of such types is taken apart into scalars. Their limits are exact in floats.
Value* Numbers::FloatToNarrowInteger(ir::Type to, Value* whole) {
  const int value_bits = to.bits - (IsUnsigned(to) ? 0 : 1);
  const double highest = std::exp2(value_bits) - 1;
  const double lowest = IsUnsigned(to) ? 0 : -std::exp2(value_bits);
  const auto constant = [&](double value) {
    return llvm::ConstantFP::get(whole->getType(), value);
  };
  Value* value = b_.CreateSelect(b_.CreateFCmpORD(whole, whole), whole, constant(0));
  value = b_.CreateSelect(b_.CreateFCmpOLT(value, constant(highest)), value, constant(highest));
  value = b_.CreateSelect(b_.CreateFCmpOGT(value, constant(lowest)), value, constant(lowest));
  value = b_.CreateFPToSI(value, WithLanesOf(value, b_.getInt32Ty()));
  return b_.CreateTrunc(value,
                        WithLanesOf(value, llvm::IntegerType::get(b_.getContext(), to.bits)));
}

Value* Numbers::FloatToInteger(ir::Type to, Value* value, bool saturate) {
  llvm::Type* result = WithLanesOf(value, llvm::IntegerType::get(b_.getContext(), to.bits));
  if (saturate) {
    value = b_.CreateUnaryIntrinsic(llvm::Intrinsic::roundeven, value);
    if (to.bits <= 16) return FloatToNarrowInteger(to, value);
    return b_.CreateIntrinsic(
        IsUnsigned(to) ? llvm::Intrinsic::fptoui_sat : llvm::Intrinsic::fptosi_sat,
        {result, value->getType()}, {value});
  }
  llvm::Type* i64 = WithLanesOf(value, b_.getInt64Ty());
  Value* wide = b_.CreateIntrinsic(llvm::Intrinsic::fptosi_sat, {i64, value->getType()}, {value});
  if (IsUnsigned(to) && to.bits == 64) {
    Value* high = b_.CreateIntrinsic(llvm::Intrinsic::fptoui_sat, {i64, value->getType()}, {value});
    Value* is_high = b_.CreateFCmpOGE(value, llvm::ConstantFP::get(value->getType(), 0x1p63));
    wide = b_.CreateSelect(is_high, high, wide);
  }
  return b_.CreateTrunc(wide, result);
}

Value* Numbers::Cast(ir::Type from, ir::Type to, Value* value, bool saturate) {
  llvm::Type* result = ValueType(to);
  if (from.is_float() && to.is_float()) {
    if (to.bits == 64) return b_.CreateFPExt(value, result);
    if (from.bits == 64) {
      return IsNarrowFloat(to) ? Round(to, ToOddFloat(value)) : b_.CreateFPTrunc(value, result);
    }
    return Round(to, value);
  }
  if (from.is_float()) return FloatToInteger(to, value, saturate);
  if (to.is_float()) {
    const auto convert = [&](llvm::Type* type) {
      return IsUnsigned(from) ? b_.CreateUIToFP(value, type) : b_.CreateSIToFP(value, type);
    };
    if (!IsNarrowFloat(to)) return convert(result);
    // Up to 24 bits are exact in float; beyond, go through f64 so that only one rounding counts.
    if (from.bits <= 16) return Round(to, convert(result));
    return Round(to, ToOddFloat(convert(WithLanesOf(value, b_.getDoubleTy()))));
  }
  if (saturate) value = ClampInteger(from, to, value);
  if (to.bits <= from.bits) return b_.CreateTrunc(value, result);
  return IsUnsigned(from) ? b_.CreateZExt(value, result) : b_.CreateSExt(value, result);
}

}  // namespace tessera::codegen
