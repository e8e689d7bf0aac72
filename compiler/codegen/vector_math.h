#pragma once

#include <string_view>

#include "compiler/codegen/llvm_headers.h"

namespace tessera::codegen {

// Mathematical functions of floats or doubles (scalar or vector) as straight-line LLVM IR: no
// branch, no table, no library. Relative error at most 1e-6 for float and 1e-13 for double where
// the result is a normal number; infinities, NaN and signed zeros come out as in C.
class VectorMath {
 public:
  explicit VectorMath(llvm::IRBuilder<>& builder) : b_(builder) {}

  // The named function of `args`, or null when the name is none of: exp, log, sqrt, rsqrt, tanh,
  // sigmoid, erf, floor, ceil, round, abs, pow.
  llvm::Value* Call(std::string_view name, llvm::ArrayRef<llvm::Value*> args);

  // Number of arguments of a function that Call knows, else 0.
  static int Arity(std::string_view name);

 private:
  struct Reduced;
  Reduced ReduceExp(llvm::Value* x);
  llvm::Value* Exp(llvm::Value* x);
  llvm::Value* ExpMinusOne(llvm::Value* x);
  llvm::Value* Log(llvm::Value* x);
  llvm::Value* Tanh(llvm::Value* x);
  llvm::Value* Sigmoid(llvm::Value* x);
  llvm::Value* Erf(llvm::Value* x);
  llvm::Value* Pow(llvm::Value* x, llvm::Value* y);

  bool IsDouble(llvm::Value* x) const;
  llvm::Constant* C(llvm::Value* like, double value) const;
  llvm::Type* IntegerLike(llvm::Value* x) const;
  llvm::Value* PowerOfTwo(llvm::Value* exponent, llvm::Type* result);
  llvm::Value* Horner(llvm::Value* x, llvm::ArrayRef<double> highest_first);
  llvm::Value* Unary(llvm::Intrinsic::ID id, llvm::Value* x);
  llvm::Value* CopySign(llvm::Value* magnitude, llvm::Value* sign);

  llvm::IRBuilder<>& b_;
};

}  // namespace tessera::codegen
