#include "compiler/codegen/expand_missing.h"

#include <vector>

#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/Transforms/Utils/IntegerDivision.h"

namespace tessera::codegen {
namespace {

using llvm::Value;

// The nearest integer, ties to even: adding and taking away 2^mantissa bits leaves no place for a
// fraction. Larger numbers have none; NaN passes through.
Value* RoundEven(llvm::IRBuilder<>& b, Value* x) {
  const bool is_double = x->getType()->getScalarType()->isDoubleTy();
  Value* shift = llvm::ConstantFP::get(x->getType(), is_double ? 0x1p52 : 0x1p23);
  Value* magnitude = b.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x);
  Value* whole = b.CreateFSub(b.CreateFAdd(magnitude, shift), shift);
  Value* rounded = b.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, whole, x);
  return b.CreateSelect(b.CreateFCmpOLT(magnitude, shift), rounded, x);
}

// One less, or one more, where rounding went the other way. The sign is that of x also for zeros.
Value* Round(llvm::IRBuilder<>& b, llvm::Intrinsic::ID id, Value* x) {
  Value* nearest = RoundEven(b, x);
  if (id == llvm::Intrinsic::roundeven) return nearest;
  const bool is_floor = id == llvm::Intrinsic::floor;
  Value* wrong = is_floor ? b.CreateFCmpOGT(nearest, x) : b.CreateFCmpOLT(nearest, x);
  Value* step = llvm::ConstantFP::get(x->getType(), is_floor ? -1 : 1);
  Value* moved = b.CreateFAdd(nearest, step);
  return b.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, b.CreateSelect(wrong, moved, nearest),
                                 x);
}

bool IsRounding(const llvm::Instruction& instruction) {
  const auto* call = llvm::dyn_cast<llvm::IntrinsicInst>(&instruction);
  if (call == nullptr) return false;
  const llvm::Intrinsic::ID id = call->getIntrinsicID();
  return id == llvm::Intrinsic::floor || id == llvm::Intrinsic::ceil ||
         id == llvm::Intrinsic::roundeven;
}

// Not one that becomes multiplication and shifts of 32-bit numbers.
bool IsLongDivision(const llvm::Instruction& instruction) {
  if (!instruction.isIntDivRem()) return false;
  return instruction.getType()->getScalarSizeInBits() > 32 ||
         !llvm::isa<llvm::Constant>(instruction.getOperand(1));
}

// Each lane's division by itself.
std::vector<llvm::BinaryOperator*> Lanes(llvm::BinaryOperator* division) {
  const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(division->getType());
  if (vector == nullptr) return {division};
  std::vector<llvm::BinaryOperator*> lanes;
  llvm::IRBuilder<> b(division);
  Value* result = llvm::PoisonValue::get(division->getType());
  for (uint64_t i = 0; i < vector->getNumElements(); ++i) {
    Value* lane =
        b.CreateBinOp(division->getOpcode(), b.CreateExtractElement(division->getOperand(0), i),
                      b.CreateExtractElement(division->getOperand(1), i));
    result = b.CreateInsertElement(result, lane, i);
    if (auto* left = llvm::dyn_cast<llvm::BinaryOperator>(lane)) lanes.push_back(left);
  }
  division->replaceAllUsesWith(result);
  division->eraseFromParent();
  return lanes;
}

void Divide(llvm::BinaryOperator* division) {
  for (llvm::BinaryOperator* lane : Lanes(division)) {
    const bool is_remainder = lane->getOpcode() == llvm::Instruction::SRem ||
                              lane->getOpcode() == llvm::Instruction::URem;
    if (is_remainder) {
      llvm::expandRemainderUpTo64Bits(lane);
    } else {
      llvm::expandDivisionUpTo64Bits(lane);
    }
  }
}

void ExpandRoundings(llvm::Function& function) {
  std::vector<llvm::IntrinsicInst*> roundings;
  for (llvm::Instruction& instruction : llvm::instructions(function)) {
    if (IsRounding(instruction)) {
      roundings.push_back(llvm::cast<llvm::IntrinsicInst>(&instruction));
    }
  }
  for (llvm::IntrinsicInst* call : roundings) {
    llvm::IRBuilder<> b(call);
    call->replaceAllUsesWith(Round(b, call->getIntrinsicID(), call->getArgOperand(0)));
    call->eraseFromParent();
  }
}

void ExpandDivisions(llvm::Function& function) {
  std::vector<llvm::BinaryOperator*> divisions;
  for (llvm::Instruction& instruction : llvm::instructions(function)) {
    if (IsLongDivision(instruction)) {
      divisions.push_back(llvm::cast<llvm::BinaryOperator>(&instruction));
    }
  }
  for (llvm::BinaryOperator* division : divisions) Divide(division);
}

// A 64-bit number as a float by its halves, which f64 holds exactly. What f32 rounds must not be
// rounded twice: of numbers that f64 doesn't hold the lower bits only say whether there are any.
Value* ToFloat(llvm::IRBuilder<>& b, Value* x, llvm::Type* type) {
  llvm::Type* half = x->getType()->getWithNewBitWidth(32);
  llvm::Type* wide = type->getWithNewType(b.getDoubleTy());
  const auto number = [&](int64_t value) { return llvm::ConstantInt::get(x->getType(), value); };
  if (!type->getScalarType()->isDoubleTy()) {
    constexpr int64_t kExact = int64_t{1} << 53, kLowBits = 2047;
    Value* any = b.CreateAdd(b.CreateAnd(x, number(kLowBits)), number(kLowBits));
    Value* sticky = b.CreateAnd(b.CreateOr(any, x), number(~kLowBits));
    Value* is_large = b.CreateICmpUGT(b.CreateAdd(x, number(kExact)), number(2 * kExact));
    x = b.CreateSelect(is_large, sticky, x);
  }
  Value* high = b.CreateSIToFP(b.CreateTrunc(b.CreateAShr(x, number(32)), half), wide);
  Value* low = b.CreateUIToFP(b.CreateTrunc(x, half), wide);
  Value* all = b.CreateFAdd(b.CreateFMul(high, llvm::ConstantFP::get(wide, 0x1p32)), low);
  return type == wide ? all : b.CreateFPTrunc(all, type);
}

void ExpandConversions(llvm::Function& function) {
  std::vector<llvm::SIToFPInst*> conversions;
  for (llvm::Instruction& instruction : llvm::instructions(function)) {
    auto* conversion = llvm::dyn_cast<llvm::SIToFPInst>(&instruction);
    if (conversion != nullptr && conversion->getSrcTy()->getScalarSizeInBits() == 64) {
      conversions.push_back(conversion);
    }
  }
  for (llvm::SIToFPInst* conversion : conversions) {
    llvm::IRBuilder<> b(conversion);
    conversion->replaceAllUsesWith(ToFloat(b, conversion->getOperand(0), conversion->getType()));
    conversion->eraseFromParent();
  }
}

}  // namespace

void ExpandMissing(const ir::Target& target, llvm::Module& module) {
  if (target.kind != ir::TargetKind::kArm) return;
  for (llvm::Function& function : module) {
    ExpandRoundings(function);
    ExpandDivisions(function);
    ExpandConversions(function);
  }
}

}  // namespace tessera::codegen
