#include "compiler/codegen/vector_math.h"

#include <limits>

namespace tessera::codegen {

using llvm::Value;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Named {
  std::string_view name;
  int arity;
};
constexpr Named kFunctions[] = {{"exp", 1},  {"log", 1},     {"sqrt", 1}, {"rsqrt", 1},
                                {"tanh", 1}, {"sigmoid", 1}, {"erf", 1},  {"floor", 1},
                                {"ceil", 1}, {"round", 1},   {"abs", 1},  {"pow", 2}};

}  // namespace

VectorMath::VectorMath(llvm::IRBuilder<>& builder, const ir::Target& target)
    : b_(builder),
      has_fma_(target.kind == ir::TargetKind::kAArch64 || target.kind == ir::TargetKind::kCuda ||
               target.Has("avx2") || target.Has("avx512")),
      has_avx512_(target.kind == ir::TargetKind::kX86 && target.Has("avx512")) {}

int VectorMath::Arity(std::string_view name) {
  for (const Named& f : kFunctions) {
    if (f.name == name) return f.arity;
  }
  return 0;
}

bool VectorMath::IsDouble(Value* x) const { return x->getType()->getScalarType()->isDoubleTy(); }

llvm::Constant* VectorMath::C(Value* like, double value) const {
  return llvm::ConstantFP::get(like->getType(), value);
}

llvm::Type* VectorMath::IntegerLike(Value* x) const {
  llvm::Type* element = IsDouble(x) ? b_.getInt64Ty() : b_.getInt32Ty();
  const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(x->getType());
  return vector == nullptr ? element
                           : llvm::FixedVectorType::get(element, vector->getNumElements());
}

Value* VectorMath::Unary(llvm::Intrinsic::ID id, Value* x) {
  return b_.CreateUnaryIntrinsic(id, x);
}

Value* VectorMath::CopySign(Value* magnitude, Value* sign) {
  return b_.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, magnitude, sign);
}

// Compared so that NaN passes through.
Value* VectorMath::AtMost(Value* x, double limit) {
  return b_.CreateSelect(b_.CreateFCmpOGT(x, C(x, limit)), C(x, limit), x);
}

Value* VectorMath::AtLeast(Value* x, double limit) {
  return b_.CreateSelect(b_.CreateFCmpOLT(x, C(x, limit)), C(x, limit), x);
}

Value* VectorMath::Horner(Value* x, llvm::ArrayRef<double> highest_first) {
  Value* sum = C(x, highest_first.front());
  for (double coefficient : highest_first.drop_front()) {
    sum = b_.CreateFAdd(b_.CreateFMul(sum, x), C(x, coefficient));
  }
  return sum;
}

// Adding 1.5 × 2^(mantissa bits) rounds to an integer in the low bits; unlike a conversion it is
// defined for NaN.
VectorMath::Rounded VectorMath::RoundOfProduct(Value* x, double factor) {
  Value* magic = C(x, IsDouble(x) ? 0x1.8p52 : 0x1.8p23);
  Value* shifted = b_.CreateFAdd(b_.CreateFMul(x, C(x, factor)), magic);
  return {b_.CreateFSub(shifted, magic), b_.CreateSub(b_.CreateBitCast(shifted, IntegerLike(x)),
                                                      b_.CreateBitCast(magic, IntegerLike(x)))};
}

VectorMath::Scale VectorMath::PowerOfTwo(Value* exponent, llvm::Type* result) {
  const bool is_double = result->getScalarType()->isDoubleTy();
  const auto normal = [&](Value* part) {
    Value* biased =
        b_.CreateAdd(part, llvm::ConstantInt::get(part->getType(), is_double ? 1023 : 127));
    return b_.CreateBitCast(b_.CreateShl(biased, is_double ? 52 : 23), result);
  };
  Value* half = b_.CreateAShr(exponent, 1);
  return {normal(half), normal(b_.CreateSub(exponent, half))};
}

VectorMath::Exponent VectorMath::SplitExponent(Value* x) {
  const bool is_double = IsDouble(x);
  llvm::Type* integer = IntegerLike(x);
  const int mantissa_bits = is_double ? 52 : 23;
  const auto i = [&](uint64_t value) { return llvm::ConstantInt::get(integer, value); };
  // Subnormals are scaled up first.
  Value* is_tiny = b_.CreateFCmpOLT(x, C(x, is_double ? 0x1p-1022 : 0x1p-126));
  Value* scaled = b_.CreateSelect(is_tiny, b_.CreateFMul(x, C(x, is_double ? 0x1p54 : 0x1p25)), x);
  Value* bits = b_.CreateBitCast(scaled, integer);
  Value* offset = b_.CreateSub(bits, i(is_double ? 0x3fe6a09e667f3bcdull : 0x3f3504f3u));
  Value* exponent = b_.CreateAShr(offset, mantissa_bits);
  Value* mantissa =
      b_.CreateBitCast(b_.CreateSub(bits, b_.CreateShl(exponent, mantissa_bits)), x->getType());
  exponent = b_.CreateSub(exponent, b_.CreateSelect(is_tiny, i(is_double ? 54 : 25), i(0)));
  return {b_.CreateSIToFP(exponent, x->getType()), mantissa};
}

Value* VectorMath::LogOfSpecialValues(Value* x, Value* log) {
  log = b_.CreateSelect(b_.CreateFCmpOEQ(x, C(x, kInfinity)), x, log);
  log = b_.CreateSelect(b_.CreateFCmpOEQ(x, C(x, 0)), C(x, -kInfinity), log);
  Value* undefined = b_.CreateFCmpULT(x, C(x, 0));
  return b_.CreateSelect(undefined, C(x, std::numeric_limits<double>::quiet_NaN()), log);
}

Value* VectorMath::Exp(Value* x) { return IsDouble(x) ? DoubleExp(x) : FloatExp(x); }

Value* VectorMath::Log(Value* x) {
  if (IsDouble(x)) return DoubleLog(x);
  return has_avx512_ ? FloatLogAvx512(x) : FloatLog(x);
}

Value* VectorMath::Tanh(Value* x) { return IsDouble(x) ? DoubleTanh(x) : FloatTanh(x); }

Value* VectorMath::Sigmoid(Value* x) {
  if (has_avx512_ && !IsDouble(x)) return FloatSigmoidAvx512(x);
  return b_.CreateFDiv(C(x, 1), b_.CreateFAdd(C(x, 1), Exp(b_.CreateFNeg(x))));
}

Value* VectorMath::Erf(Value* x) { return IsDouble(x) ? DoubleErf(x) : FloatErf(x); }

// e^(y log|x|); floats go through double, where the logarithm's error does not grow past an ulp.
Value* VectorMath::Pow(Value* x, Value* y) {
  if (!IsDouble(x)) {
    llvm::Type* narrow = x->getType();
    llvm::Type* wide = b_.getDoubleTy();
    if (const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(narrow)) {
      wide = llvm::FixedVectorType::get(wide, vector->getNumElements());
    }
    return b_.CreateFPTrunc(Pow(b_.CreateFPExt(x, wide), b_.CreateFPExt(y, wide)), narrow);
  }
  Value* magnitude = Exp(b_.CreateFMul(y, Log(Unary(llvm::Intrinsic::fabs, x))));
  Value* is_integer = b_.CreateFCmpOEQ(Unary(llvm::Intrinsic::floor, y), y);
  Value* half = b_.CreateFMul(y, C(x, 0.5));
  Value* is_even = b_.CreateFCmpOEQ(Unary(llvm::Intrinsic::floor, half), half);
  Value* is_odd = b_.CreateAnd(is_integer, b_.CreateNot(is_even));
  Value* result = b_.CreateSelect(is_odd, CopySign(magnitude, x), magnitude);
  Value* undefined = b_.CreateAnd(b_.CreateFCmpOLT(x, C(x, 0)), b_.CreateNot(is_integer));
  result = b_.CreateSelect(undefined, C(x, std::numeric_limits<double>::quiet_NaN()), result);
  Value* is_one = b_.CreateOr(b_.CreateFCmpOEQ(y, C(x, 0)), b_.CreateFCmpOEQ(x, C(x, 1)));
  return b_.CreateSelect(is_one, C(x, 1), result);
}

Value* VectorMath::Call(std::string_view name, llvm::ArrayRef<Value*> args) {
  Value* x = args[0];
  if (name == "exp") return Exp(x);
  if (name == "log") return Log(x);
  if (name == "sqrt") return Unary(llvm::Intrinsic::sqrt, x);
  if (name == "rsqrt") return b_.CreateFDiv(C(x, 1), Unary(llvm::Intrinsic::sqrt, x));
  if (name == "tanh") return Tanh(x);
  if (name == "sigmoid") return Sigmoid(x);
  if (name == "erf") return Erf(x);
  if (name == "floor") return Unary(llvm::Intrinsic::floor, x);
  if (name == "ceil") return Unary(llvm::Intrinsic::ceil, x);
  if (name == "round") return Unary(llvm::Intrinsic::roundeven, x);
  if (name == "abs") return Unary(llvm::Intrinsic::fabs, x);
  if (name == "pow") return Pow(x, args[1]);
  return nullptr;
}

}  // namespace tessera::codegen
