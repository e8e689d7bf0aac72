#pragma once

#include "compiler/codegen/llvm_headers.h"
#include "compiler/ir/expr.h"
#include "compiler/ir/type.h"

namespace tessera::codegen {

// Element arithmetic as LLVM IR, scalar or vector by the operands. How values are held: integers
// as iN, u1 as i1, f32 and f64 as themselves, f16 and bf16 as float that is rounded after every
// operation (products, sums and quotients of such values round right through float). Emits nothing
// that becomes a library call.
class Numbers {
 public:
  // `has_half_conversion`: the target converts f16 in hardware (F16C, AArch64, CUDA).
  Numbers(llvm::IRBuilder<>& builder, bool has_half_conversion)
      : b_(builder), has_half_conversion_(has_half_conversion) {}

  llvm::Type* ValueType(ir::Type type) const;
  // iN for f16 and bf16 and integers of at least 8 bits; sub-byte types have none of their own.
  llvm::Type* StorageType(ir::Type type) const;
  llvm::Constant* Integer(ir::Type type, int64_t value) const;
  llvm::Constant* Float(ir::Type type, double value) const;
  llvm::Constant* Zero(ir::Type type) const;

  llvm::Value* FromStorage(ir::Type type, llvm::Value* stored);
  llvm::Value* ToStorage(ir::Type type, llvm::Value* value);

  llvm::Value* Binary(ir::BinaryOp op, ir::Type type, llvm::Value* a, llvm::Value* b);
  llvm::Value* Cast(ir::Type from, ir::Type to, llvm::Value* value, bool saturate);
  // The nearest value of the type: identity but for f16 and bf16.
  llvm::Value* Round(ir::Type type, llvm::Value* value);

 private:
  llvm::Value* IntegerBinary(ir::BinaryOp op, ir::Type type, llvm::Value* a, llvm::Value* b);
  llvm::Value* FloatBinary(ir::BinaryOp op, llvm::Value* a, llvm::Value* b);
  llvm::Value* Divide(bool remainder, ir::Type type, llvm::Value* a, llvm::Value* b);
  llvm::Value* ClampInteger(ir::Type from, ir::Type to, llvm::Value* value);
  llvm::Value* FloatToInteger(ir::Type to, llvm::Value* value, bool saturate);
  llvm::Value* FloatToNarrowInteger(ir::Type to, llvm::Value* whole);
  llvm::Value* ToOddFloat(llvm::Value* wide);
  llvm::Value* HalfToFloat(llvm::Value* bits);
  llvm::Value* FloatToHalf(llvm::Value* value);
  llvm::Value* FloatToBFloatBits(llvm::Value* value);
  llvm::Type* WithLanesOf(llvm::Value* like, llvm::Type* element) const;
  llvm::Constant* Splat(llvm::Value* like, uint32_t bits) const;  // i32

  llvm::IRBuilder<>& b_;
  bool has_half_conversion_;
};

}  // namespace tessera::codegen
