#pragma once

#include <string_view>

#include "compiler/codegen/llvm_headers.h"
#include "compiler/ir/target.h"

namespace tessera::codegen {

// Mathematical functions of floats or doubles (scalar or vector) as straight-line LLVM IR: no
// branch, no table, no library. Relative error at most 1e-6 for float and 1e-13 for double where
// the result is a normal number; infinities, NaN and signed zeros come out as in C. erf is exactly
// ±1 where it differs from that by less than the bound.
class VectorMath {
 public:
  VectorMath(llvm::IRBuilder<>& builder, const ir::Target& target);

  // The named function of `args`, or null when the name is none of: exp, log, sqrt, rsqrt, tanh,
  // sigmoid, erf, floor, ceil, round, abs, pow.
  llvm::Value* Call(std::string_view name, llvm::ArrayRef<llvm::Value*> args);

  // Number of arguments of a function that Call knows, else 0.
  static int Arity(std::string_view name);

 private:
  // Halves of a power of two, so that results near overflow and subnormal ones come out.
  struct Scale {
    llvm::Value* low;
    llvm::Value* high;
  };

  llvm::Value* Exp(llvm::Value* x);
  llvm::Value* Log(llvm::Value* x);
  llvm::Value* Tanh(llvm::Value* x);
  llvm::Value* Sigmoid(llvm::Value* x);
  llvm::Value* Erf(llvm::Value* x);
  llvm::Value* Pow(llvm::Value* x, llvm::Value* y);

  // vector_math_float.cc
  llvm::Value* FloatExp(llvm::Value* x);
  llvm::Value* FloatExpInRange(llvm::Value* x);
  llvm::Value* FloatLog(llvm::Value* x);
  llvm::Value* FloatLogAvx512(llvm::Value* x);
  llvm::Value* FloatTanh(llvm::Value* x);
  llvm::Value* FloatSigmoidAvx512(llvm::Value* x);
  llvm::Value* FloatErf(llvm::Value* x);
  llvm::Value* Reciprocal(llvm::Value* x);

  // vector_math_double.cc
  struct Reduced;
  Reduced ReduceExp(llvm::Value* x);
  llvm::Value* DoubleExp(llvm::Value* x);
  llvm::Value* DoubleLog(llvm::Value* x);
  llvm::Value* DoubleTanh(llvm::Value* x);
  llvm::Value* DoubleErf(llvm::Value* x);

  // Instructions of AVX-512 that IR has no operation for (vector_math_avx512.cc).
  enum class Avx512 { kScale, kExponent, kMantissa, kReciprocal };
  llvm::Value* Emit(Avx512 instruction, llvm::Value* x, llvm::Value* y = nullptr);
  llvm::Value* EmitWhole(Avx512 instruction, llvm::Value* x, llvm::Value* y);

  bool IsDouble(llvm::Value* x) const;
  llvm::Constant* C(llvm::Value* like, double value) const;
  llvm::Type* IntegerLike(llvm::Value* x) const;
  // The nearest integer as a float and as an integer, for |x| below a quarter of 2^mantissa bits.
  struct Rounded {
    llvm::Value* value;
    llvm::Value* integer;
  };
  Rounded RoundOfProduct(llvm::Value* x, double factor);
  Scale PowerOfTwo(llvm::Value* exponent, llvm::Type* result);
  // x = 2^exponent × mantissa, mantissa in [sqrt(1/2), sqrt(2)).
  struct Exponent {
    llvm::Value* exponent;  // as a float
    llvm::Value* mantissa;
  };
  Exponent SplitExponent(llvm::Value* x);
  llvm::Value* LogOfSpecialValues(llvm::Value* x, llvm::Value* log);
  llvm::Value* Horner(llvm::Value* x, llvm::ArrayRef<double> highest_first);
  llvm::Value* Unary(llvm::Intrinsic::ID id, llvm::Value* x);
  llvm::Value* CopySign(llvm::Value* magnitude, llvm::Value* sign);
  // NaN stays.
  llvm::Value* AtMost(llvm::Value* x, double limit);
  llvm::Value* AtLeast(llvm::Value* x, double limit);

  llvm::IRBuilder<>& b_;
  const bool has_fma_, has_avx512_;
};

}  // namespace tessera::codegen
