#include "compiler/codegen/vector_math.h"
#include "llvm/IR/IntrinsicsX86.h"

namespace tessera::codegen {

using llvm::Value;

namespace {

constexpr int kCurrentRounding = 4;
constexpr int kFromThreeQuarters = 3;  // mantissas in [3/4, 3/2) …
constexpr int kNanOfNegative = 2 << 2;

llvm::Intrinsic::ID OfWidth(int lanes, llvm::Intrinsic::ID of4, llvm::Intrinsic::ID of8,
                            llvm::Intrinsic::ID of16) {
  return lanes == 4 ? of4 : lanes == 8 ? of8 : of16;
}

}  // namespace

// Requires 4, 8 or 16 floats.
Value* VectorMath::EmitWhole(Avx512 instruction, Value* x, Value* y) {
  using namespace llvm::Intrinsic;  // NOLINT
  const int lanes =
      static_cast<int>(llvm::cast<llvm::FixedVectorType>(x->getType())->getNumElements());
  llvm::SmallVector<Value*, 6> args{x};
  ID id = not_intrinsic;
  bool rounds = true;
  switch (instruction) {
    case Avx512::kScale:
      id = OfWidth(lanes, x86_avx512_mask_scalef_ps_128, x86_avx512_mask_scalef_ps_256,
                   x86_avx512_mask_scalef_ps_512);
      args.push_back(y);
      break;
    case Avx512::kExponent:
      id = OfWidth(lanes, x86_avx512_mask_getexp_ps_128, x86_avx512_mask_getexp_ps_256,
                   x86_avx512_mask_getexp_ps_512);
      break;
    case Avx512::kMantissa:
      id = OfWidth(lanes, x86_avx512_mask_getmant_ps_128, x86_avx512_mask_getmant_ps_256,
                   x86_avx512_mask_getmant_ps_512);
      args.push_back(b_.getInt32(kFromThreeQuarters | kNanOfNegative));
      break;
    case Avx512::kReciprocal:
      id =
          OfWidth(lanes, x86_avx512_rcp14_ps_128, x86_avx512_rcp14_ps_256, x86_avx512_rcp14_ps_512);
      rounds = false;
      break;
  }
  args.push_back(x);  // of lanes that the mask leaves out: none
  args.push_back(lanes == 16 ? b_.getInt16(0xffff) : b_.getInt8(0xff));
  if (rounds && lanes == 16) args.push_back(b_.getInt32(kCurrentRounding));
  return b_.CreateIntrinsic(id, {}, args);
}

// Any number of lanes: in pieces of at most 16, the last one filled up.
Value* VectorMath::Emit(Avx512 instruction, Value* x, Value* y) {
  auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(x->getType());
  if (vector == nullptr) {
    const auto widen = [&](Value* v) { return v == nullptr ? v : b_.CreateVectorSplat(4, v); };
    return b_.CreateExtractElement(EmitWhole(instruction, widen(x), widen(y)), uint64_t{0});
  }
  const int lanes = static_cast<int>(vector->getNumElements());
  if (lanes == 4 || lanes == 8 || lanes == 16) return EmitWhole(instruction, x, y);
  const int width = lanes <= 4 ? 4 : lanes <= 8 ? 8 : 16;
  Value* result = llvm::PoisonValue::get(vector);
  for (int first = 0; first < lanes; first += width) {
    llvm::SmallVector<int, 16> piece;
    for (int i = 0; i < width; ++i) piece.push_back(first + i < lanes ? first + i : -1);
    const auto take = [&](Value* v) { return v == nullptr ? v : b_.CreateShuffleVector(v, piece); };
    Value* part = EmitWhole(instruction, take(x), take(y));
    llvm::SmallVector<int, 64> spread, blend;
    for (int i = 0; i < lanes; ++i) {
      const bool inside = i >= first && i < first + width;
      spread.push_back(inside ? i - first : -1);
      blend.push_back(inside ? lanes + i : i);
    }
    result = b_.CreateShuffleVector(result, b_.CreateShuffleVector(part, spread), blend);
  }
  return result;
}

}  // namespace tessera::codegen
