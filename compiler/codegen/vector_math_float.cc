#include "compiler/codegen/vector_math.h"

// Coefficients: fit_vector_math.py. Error bounds there are before rounding to float, which adds
// about 1.5e-7 to each.

namespace tessera::codegen {

using llvm::Value;

namespace {

constexpr double kLog2E = 1.4426950408889634;
constexpr double kLn2 = 0.69314718055994531;
// ln 2 in two parts; multiples of the first are exact.
constexpr double kLn2High = 0x1.62e4p-1;
constexpr double kLn2Low = 0x1.7f7d1cp-20;

}  // namespace

// Requires x in [-104, 89] or NaN. x = n ln2 + r with |r| <= ln2 / 2; e^r by a polynomial.
Value* VectorMath::FloatExpInRange(Value* x) {
  constexpr double kExp[] = {8.290314669e-3, 4.189792932e-2, 1.666763620e-1,
                             4.999914953e-1, 9.999997072e-1, 1.0};
  Rounded n;
  if (has_avx512_) {
    n.value = Unary(llvm::Intrinsic::roundeven, b_.CreateFMul(x, C(x, kLog2E)));
  } else {
    n = RoundOfProduct(x, kLog2E);
  }
  Value* r;
  if (has_fma_) {
    r = b_.CreateFSub(x, b_.CreateFMul(n.value, C(x, kLn2)));
  } else {
    r = b_.CreateFSub(x, b_.CreateFMul(n.value, C(x, kLn2High)));
    r = b_.CreateFSub(r, b_.CreateFMul(n.value, C(x, kLn2Low)));
  }
  Value* mantissa = Horner(r, kExp);
  if (has_avx512_) return Emit(Avx512::kScale, mantissa, n.value);
  const Scale scale = PowerOfTwo(n.integer, x->getType());
  return b_.CreateFMul(b_.CreateFMul(mantissa, scale.low), scale.high);
}

Value* VectorMath::FloatExp(Value* x) { return FloatExpInRange(AtLeast(AtMost(x, 89), -104)); }

// log(1 + f) = f p(f).
Value* VectorMath::FloatLog(Value* x) {
  constexpr double kLog[] = {-1.008236489e-1, 1.618049795e-1, -1.724322732e-1, 1.990688353e-1,
                             -2.497122835e-1, 3.333471490e-1, -5.000032344e-1, 1.0};
  const auto [exponent, mantissa] = SplitExponent(x);
  Value* f = b_.CreateFSub(mantissa, C(x, 1));
  Value* low =
      b_.CreateFAdd(b_.CreateFMul(exponent, C(x, kLn2Low)), b_.CreateFMul(Horner(f, kLog), f));
  return LogOfSpecialValues(x, b_.CreateFAdd(b_.CreateFMul(exponent, C(x, kLn2High)), low));
}

// The instructions take care of subnormals, and of 0, infinity and negative numbers.
Value* VectorMath::FloatLogAvx512(Value* x) {
  constexpr double kLog[] = {-6.720352635e-2, 1.415360328e-1, -1.733712882e-1, 2.009534372e-1,
                             -2.497927010e-1, 3.333070691e-1, -5.000016716e-1, 1.0};
  Value* mantissa = Emit(Avx512::kMantissa, x);  // in [3/4, 3/2): its exponent is -1 or 0
  Value* exponent = b_.CreateFSub(Emit(Avx512::kExponent, x), Emit(Avx512::kExponent, mantissa));
  Value* f = b_.CreateFSub(mantissa, C(x, 1));
  return b_.CreateFAdd(b_.CreateFMul(exponent, C(x, kLn2)), b_.CreateFMul(Horner(f, kLog), f));
}

// 1 / x with one step of Newton's method, within an ulp. Requires 2^-100 < x < 2^100 or NaN.
Value* VectorMath::Reciprocal(Value* x) {
  if (!has_avx512_) return b_.CreateFDiv(C(x, 1), x);
  Value* guess = Emit(Avx512::kReciprocal, x);
  Value* error = b_.CreateFSub(C(x, 1), b_.CreateFMul(x, guess));
  return b_.CreateFAdd(b_.CreateFMul(guess, error), guess);
}

// Rational in x² up to 8, where tanh is 1 - 2.3e-7.
Value* VectorMath::FloatTanh(Value* x) {
  constexpr double kTop[] = {2.882117737 / 0x1p18, 1.192148444e1 / 0x1p12, 8.248223460 / 0x1p6,
                             9.999997751e-1};
  constexpr double kBottom[] = {3.894759838 / 0x1p24, 6.106995534e1 / 0x1p18,
                                9.686844377e1 / 0x1p12, 2.958144438e1 / 0x1p6, 1.0};
  Value* clipped = AtLeast(AtMost(x, 8), -8);
  Value* square = b_.CreateFMul(clipped, clipped);
  Value* top = b_.CreateFMul(Horner(square, kTop), clipped);
  Value* bottom = Horner(square, kBottom);
  return has_avx512_ ? b_.CreateFMul(top, Reciprocal(bottom)) : b_.CreateFDiv(top, bottom);
}

// With a = e^-|x|, which can't overflow: 1 / (1 + a) where x >= 0, else a / (1 + a).
Value* VectorMath::FloatSigmoidAvx512(Value* x) {
  Value* a = FloatExpInRange(AtLeast(b_.CreateFNeg(Unary(llvm::Intrinsic::fabs, x)), -104));
  Value* top = b_.CreateSelect(b_.CreateFCmpOLT(x, C(x, 0)), a, C(x, 1));
  return b_.CreateFMul(top, Reciprocal(b_.CreateFAdd(a, C(x, 1))));
}

// x p(t), t = 2 (x / limit)² - 1, up to a limit where the polynomial gives exactly 1, with and
// without fused multiplication, and erf is 1 - 4.7e-7.
Value* VectorMath::FloatErf(Value* x) {
  constexpr double kLimit = 3.5625;
  constexpr double kErf[] = {2.112304326e-3, -5.186409689e-3, 4.713132046e-3, -7.517436519e-3,
                             1.940938272e-2, -3.306691721e-2, 4.723277688e-2, -6.644625962e-2,
                             8.931697905e-2, -1.142003685e-1, 1.449292451e-1, -1.974210441e-1,
                             3.968263566e-1};
  Value* clipped = AtLeast(AtMost(x, kLimit), -kLimit);
  Value* square = b_.CreateFMul(clipped, clipped);
  Value* t = b_.CreateFAdd(b_.CreateFMul(square, C(x, 2 / (kLimit * kLimit))), C(x, -1));
  // Rounded before a caller adds to it: a fused 1 + erf would miss the exact 0.
  const llvm::IRBuilderBase::FastMathFlagGuard guard(b_);
  Value* ratio = Horner(t, kErf);
  b_.clearFastMathFlags();
  return b_.CreateFMul(ratio, clipped);
}

}  // namespace tessera::codegen
