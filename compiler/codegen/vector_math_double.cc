#include <cmath>

#include "compiler/codegen/vector_math.h"

namespace tessera::codegen {

using llvm::Value;

namespace {

constexpr double kLog2E = 1.4426950408889634;
// ln 2 in two parts; multiples of the first are exact.
constexpr double kLn2High = 0x1.62e42fee00000p-1;
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;

}  // namespace

// x = n ln2 + r with |r| <= ln2 / 2: 2^n in two parts, and e^r - 1.
struct VectorMath::Reduced {
  Scale scale;
  Value* tail;
};

VectorMath::Reduced VectorMath::ReduceExp(Value* x) {
  const Rounded n = RoundOfProduct(x, kLog2E);
  Value* r = b_.CreateFSub(x, b_.CreateFMul(n.value, C(x, kLn2High)));
  r = b_.CreateFSub(r, b_.CreateFMul(n.value, C(x, kLn2Low)));
  // Taylor terms r^k / k! down from the degree whose remainder is below half an ulp.
  llvm::SmallVector<double, 16> inverse_factorials;
  for (int k = 13; k >= 1; --k) inverse_factorials.push_back(1 / std::tgamma(k + 1));
  return {PowerOfTwo(n.integer, x->getType()), b_.CreateFMul(Horner(r, inverse_factorials), r)};
}

Value* VectorMath::DoubleExp(Value* x) {
  const Reduced reduced = ReduceExp(AtLeast(AtMost(x, 710), -746));
  Value* mantissa = b_.CreateFAdd(reduced.tail, C(x, 1));
  return b_.CreateFMul(b_.CreateFMul(mantissa, reduced.scale.low), reduced.scale.high);
}

Value* VectorMath::DoubleLog(Value* x) {
  const auto [exponent, m] = SplitExponent(x);
  // log m = 2 atanh s, s = (m - 1) / (m + 1), |s| < 0.172.
  Value* s = b_.CreateFDiv(b_.CreateFSub(m, C(x, 1)), b_.CreateFAdd(m, C(x, 1)));
  Value* z = b_.CreateFMul(s, s);
  llvm::SmallVector<double, 12> odd_inverses;
  for (int k = 10; k >= 1; --k) odd_inverses.push_back(2.0 / (2 * k + 1));
  Value* series = b_.CreateFMul(b_.CreateFMul(Horner(z, odd_inverses), z), s);
  Value* log_m = b_.CreateFAdd(b_.CreateFMul(s, C(x, 2)), series);
  Value* low = b_.CreateFAdd(b_.CreateFMul(exponent, C(x, kLn2Low)), log_m);
  return LogOfSpecialValues(x, b_.CreateFAdd(b_.CreateFMul(exponent, C(x, kLn2High)), low));
}

// em / (em + 2) with em = e^(2|x|) - 1, which keeps the relative precision near 0.
Value* VectorMath::DoubleTanh(Value* x) {
  Value* magnitude = AtMost(Unary(llvm::Intrinsic::fabs, x), 22);
  const Reduced reduced = ReduceExp(b_.CreateFAdd(magnitude, magnitude));
  Value* scale = b_.CreateFMul(reduced.scale.low, reduced.scale.high);
  Value* em = b_.CreateFAdd(b_.CreateFMul(scale, reduced.tail), b_.CreateFSub(scale, C(x, 1)));
  return CopySign(b_.CreateFDiv(em, b_.CreateFAdd(em, C(x, 2))), x);
}

// Rational approximations of W. J. Cody, Math. Comp. 23 (1969): |x| <= 15/32 directly, beyond as
// 1 - erfc. His third interval (|x| > 4) is not needed for erf: erfc is below 1.6e-8 there.
Value* VectorMath::DoubleErf(Value* x) {
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
  Value* magnitude = AtMost(Unary(llvm::Intrinsic::fabs, x), 6);
  Value* square = b_.CreateFMul(magnitude, magnitude);
  Value* small =
      b_.CreateFDiv(b_.CreateFMul(x, Horner(square, kNumerator)), Horner(square, kDenominator));
  Value* ratio =
      b_.CreateFDiv(Horner(magnitude, kTailNumerator), Horner(magnitude, kTailDenominator));
  Value* tail = b_.CreateFSub(C(x, 1), b_.CreateFMul(DoubleExp(b_.CreateFNeg(square)), ratio));
  Value* is_small = b_.CreateFCmpOLE(magnitude, C(x, 0.46875));
  return b_.CreateSelect(is_small, small, CopySign(tail, x));
}

}  // namespace tessera::codegen
