#include "compiler/codegen/vector_math.h"

#include <cmath>
#include <limits>

namespace tessera::codegen {

using llvm::Value;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLog2E = 1.4426950408889634;

struct Named {
  std::string_view name;
  int arity;
};
constexpr Named kFunctions[] = {{"exp", 1},  {"log", 1},     {"sqrt", 1}, {"rsqrt", 1},
                                {"tanh", 1}, {"sigmoid", 1}, {"erf", 1},  {"floor", 1},
                                {"ceil", 1}, {"round", 1},   {"abs", 1},  {"pow", 2}};

}  // namespace

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

Value* VectorMath::Horner(Value* x, llvm::ArrayRef<double> highest_first) {
  Value* sum = C(x, highest_first.front());
  for (double coefficient : highest_first.drop_front()) {
    sum = b_.CreateFAdd(b_.CreateFMul(sum, x), C(x, coefficient));
  }
  return sum;
}

// 2^exponent for exponents of normal numbers.
Value* VectorMath::PowerOfTwo(Value* exponent, llvm::Type* result) {
  const bool is_double = result->getScalarType()->isDoubleTy();
  llvm::Type* type = exponent->getType();
  Value* biased = b_.CreateAdd(exponent, llvm::ConstantInt::get(type, is_double ? 1023 : 127));
  return b_.CreateBitCast(b_.CreateShl(biased, is_double ? 52 : 23), result);
}

// x = n ln2 + r with |r| <= ln2 / 2; `low` and `high` multiply to 2^n, so that results near
// overflow and subnormal ones come out; `tail` = e^r - 1.
struct VectorMath::Reduced {
  Value* low;
  Value* high;
  Value* tail;
};

VectorMath::Reduced VectorMath::ReduceExp(Value* x) {
  const bool is_double = IsDouble(x);
  // Compared so that NaN passes through.
  Value* high_limit = C(x, is_double ? 710.0 : 89.0);
  Value* low_limit = C(x, is_double ? -746.0 : -104.0);
  x = b_.CreateSelect(b_.CreateFCmpOGT(x, high_limit), high_limit, x);
  x = b_.CreateSelect(b_.CreateFCmpOLT(x, low_limit), low_limit, x);
  // Adding 1.5 × 2^(mantissa bits) rounds to an integer in the low bits; unlike a conversion it is
  // defined for NaN.
  Value* magic = C(x, is_double ? 0x1.8p52 : 0x1.8p23);
  Value* shifted = b_.CreateFAdd(b_.CreateFMul(x, C(x, kLog2E)), magic);
  Value* n = b_.CreateFSub(shifted, magic);
  Value* count = b_.CreateSub(b_.CreateBitCast(shifted, IntegerLike(x)),
                              b_.CreateBitCast(magic, IntegerLike(x)));
  Value* r;
  if (is_double) {
    r = b_.CreateFSub(x, b_.CreateFMul(n, C(x, 0x1.62e42fee00000p-1)));
    r = b_.CreateFSub(r, b_.CreateFMul(n, C(x, 0x1.a39ef35793c76p-33)));
  } else {
    r = b_.CreateFSub(x, b_.CreateFMul(n, C(x, 0x1.62e4p-1)));
    r = b_.CreateFSub(r, b_.CreateFMul(n, C(x, 0x1.7f7d1cp-20)));
  }
  // Taylor terms r^k / k! down from the degree whose remainder is below half an ulp.
  llvm::SmallVector<double, 16> inverse_factorials;
  for (int k = is_double ? 13 : 7; k >= 1; --k)
    inverse_factorials.push_back(1 / std::tgamma(k + 1));
  Value* tail = b_.CreateFMul(Horner(r, inverse_factorials), r);
  Value* half = b_.CreateAShr(count, 1);
  return {PowerOfTwo(half, x->getType()), PowerOfTwo(b_.CreateSub(count, half), x->getType()),
          tail};
}

Value* VectorMath::Exp(Value* x) {
  const Reduced reduced = ReduceExp(x);
  Value* mantissa = b_.CreateFAdd(reduced.tail, C(x, 1));
  return b_.CreateFMul(b_.CreateFMul(mantissa, reduced.low), reduced.high);
}

// Requires |x| small enough that 2^n is finite; keeps the relative precision near 0.
Value* VectorMath::ExpMinusOne(Value* x) {
  const Reduced reduced = ReduceExp(x);
  Value* scale = b_.CreateFMul(reduced.low, reduced.high);
  return b_.CreateFAdd(b_.CreateFMul(scale, reduced.tail), b_.CreateFSub(scale, C(x, 1)));
}

Value* VectorMath::Log(Value* x) {
  const bool is_double = IsDouble(x);
  llvm::Type* integer = IntegerLike(x);
  const int mantissa_bits = is_double ? 52 : 23;
  const auto i = [&](uint64_t value) { return llvm::ConstantInt::get(integer, value); };
  // Subnormals are scaled up first.
  Value* is_tiny = b_.CreateFCmpOLT(x, C(x, is_double ? 0x1p-1022 : 0x1p-126));
  Value* scaled = b_.CreateSelect(is_tiny, b_.CreateFMul(x, C(x, is_double ? 0x1p54 : 0x1p25)), x);
  Value* bits = b_.CreateBitCast(scaled, integer);
  // x = 2^e m with m in [sqrt(1/2), sqrt(2)).
  Value* offset = b_.CreateSub(bits, i(is_double ? 0x3fe6a09e667f3bcdull : 0x3f3504f3u));
  Value* exponent = b_.CreateAShr(offset, mantissa_bits);
  Value* m =
      b_.CreateBitCast(b_.CreateSub(bits, b_.CreateShl(exponent, mantissa_bits)), x->getType());
  exponent = b_.CreateSub(exponent, b_.CreateSelect(is_tiny, i(is_double ? 54 : 25), i(0)));
  // log m = 2 atanh s, s = (m - 1) / (m + 1), |s| < 0.172.
  Value* f = b_.CreateFSub(m, C(x, 1));
  Value* s = b_.CreateFDiv(f, b_.CreateFAdd(m, C(x, 1)));
  Value* z = b_.CreateFMul(s, s);
  llvm::SmallVector<double, 12> odd_inverses;
  for (int k = is_double ? 10 : 4; k >= 1; --k) odd_inverses.push_back(2.0 / (2 * k + 1));
  Value* series = b_.CreateFMul(b_.CreateFMul(Horner(z, odd_inverses), z), s);
  Value* e = b_.CreateSIToFP(exponent, x->getType());
  Value* log_m = b_.CreateFAdd(b_.CreateFMul(s, C(x, 2)), series);
  Value* low = b_.CreateFAdd(
      b_.CreateFMul(e, C(x, is_double ? 0x1.a39ef35793c76p-33 : 0x1.7f7d1cp-20)), log_m);
  Value* result =
      b_.CreateFAdd(b_.CreateFMul(e, C(x, is_double ? 0x1.62e42fee00000p-1 : 0x1.62e4p-1)), low);
  result = b_.CreateSelect(b_.CreateFCmpOEQ(x, C(x, kInfinity)), x, result);
  result = b_.CreateSelect(b_.CreateFCmpOEQ(x, C(x, 0)), C(x, -kInfinity), result);
  Value* undefined = b_.CreateFCmpULT(x, C(x, 0));
  return b_.CreateSelect(undefined, C(x, std::numeric_limits<double>::quiet_NaN()), result);
}

// em / (em + 2) with em = e^(2|x|) - 1.
Value* VectorMath::Tanh(Value* x) {
  Value* limit = C(x, IsDouble(x) ? 22.0 : 10.0);
  Value* magnitude = Unary(llvm::Intrinsic::fabs, x);
  magnitude = b_.CreateSelect(b_.CreateFCmpOGT(magnitude, limit), limit, magnitude);
  Value* em = ExpMinusOne(b_.CreateFAdd(magnitude, magnitude));
  return CopySign(b_.CreateFDiv(em, b_.CreateFAdd(em, C(x, 2))), x);
}

Value* VectorMath::Sigmoid(Value* x) {
  return b_.CreateFDiv(C(x, 1), b_.CreateFAdd(C(x, 1), Exp(b_.CreateFNeg(x))));
}

// Rational approximations of W. J. Cody, Math. Comp. 23 (1969): |x| <= 15/32 directly, beyond as
// 1 - erfc. His third interval (|x| > 4) is not needed for erf: erfc is below 1.6e-8 there.
Value* VectorMath::Erf(Value* x) {
  constexpr double kNumerator[] = {1.85777706184603153e-1, 3.16112374387056560e0,
                                   1.13864154151050156e2, 3.77485237685302021e2,
                                   3.20937758913846947e3};
  constexpr double kDenominator[] = {1.0, 2.36012909523441209e1, 2.44024637934444173e2,
                                     1.28261652607737228e3, 2.84423683343917062e3};
  constexpr double kTailNumerator[] = {
      2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0,
      6.61191906371416295e1,  2.98635138197400131e2,  8.81952221241769090e2,
      1.71204761263407058e3,  2.05107837782607147e3,  1.23033935479799725e3};
  constexpr double kTailDenominator[] = {1.0,
                                         1.57449261107098347e1,
                                         1.17693950891312499e2,
                                         5.37181101862009858e2,
                                         1.62138957456669019e3,
                                         3.29079923573345963e3,
                                         4.36261909014324716e3,
                                         3.43936767414372164e3,
                                         1.23033935480374942e3};
  Value* magnitude = Unary(llvm::Intrinsic::fabs, x);
  magnitude = b_.CreateSelect(b_.CreateFCmpOGT(magnitude, C(x, 6)), C(x, 6), magnitude);
  Value* square = b_.CreateFMul(magnitude, magnitude);
  Value* small =
      b_.CreateFDiv(b_.CreateFMul(x, Horner(square, kNumerator)), Horner(square, kDenominator));
  Value* ratio =
      b_.CreateFDiv(Horner(magnitude, kTailNumerator), Horner(magnitude, kTailDenominator));
  Value* tail = b_.CreateFSub(C(x, 1), b_.CreateFMul(Exp(b_.CreateFNeg(square)), ratio));
  Value* is_small = b_.CreateFCmpOLE(magnitude, C(x, 0.46875));
  return b_.CreateSelect(is_small, small, CopySign(tail, x));
}

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
