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
  constexpr double kTop[] = {1.099440665e-05, 2.910518663e-03, 1.288784916e-01, 9.999997751e-01};
  constexpr double kBottom[] = {2.321457766e-07, 2.329633916e-04, 2.364952240e-02, 4.622100684e-01,
                                1.0};
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

// x p(x² - limit² / 2) up to a limit where this is exactly 1, with and without fused multiplication
// (for which the last coefficient but one is an ulp off), and erf is 1 - 4.7e-7.
Value* VectorMath::FloatErf(Value* x) {
  constexpr double kLimit = 3.5625;
  constexpr double kErf[] = {4.954496101e-13, -7.719506935e-12, 4.451558742e-11, -4.505593735e-10,
                             7.381994588e-09, -7.980598399e-08, 7.233774651e-07, -6.457609918e-06,
                             5.508267700e-05, -4.469184115e-04, 3.599121857e-03, -3.111097962e-02,
                             3.968263681e-01};
  Value* clipped = AtLeast(AtMost(x, kLimit), -kLimit);
  Value* t = b_.CreateFAdd(b_.CreateFMul(clipped, clipped), C(x, -kLimit * kLimit / 2));
  // Rounded before a caller adds to it: a fused 1 + erf would miss the exact 0.
  const llvm::IRBuilderBase::FastMathFlagGuard guard(b_);
  Value* ratio = Horner(t, kErf);
  b_.clearFastMathFlags();
  return b_.CreateFMul(ratio, clipped);
}

}  // namespace tessera::codegen
