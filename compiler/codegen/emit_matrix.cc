// Sums of products that the threads of a wave compute together.

#include <array>
#include <map>

#include "compiler/codegen/function_emitter.h"
#include "compiler/codegen/gpu/matrix_products.h"
#include "compiler/ir/matrix_factor.h"
#include "llvm/IR/IntrinsicsNVPTX.h"

namespace tessera::codegen {

using gpu::MatrixOperand;
using gpu::MatrixProduct;
using gpu::MatrixTile;
using llvm::Value;
namespace intrinsic = llvm::Intrinsic;

namespace {

constexpr int64_t kHalves = 2;     // that a register holds
constexpr int64_t kLines = 8;      // of one of an operand's matrices
constexpr int64_t kRowBytes = 16;  // of it, which one thread fetches for others

}  // namespace

// How threads take their parts of an operand from memory.
class FunctionEmitter::MatrixReader {
 public:
  MatrixReader(FunctionEmitter& emitter, const MatrixOperand& operand, const ir::VarRef& lane)
      : e_(emitter), b_(emitter.b_), operand_(operand), lane_(lane) {}

  // Registers of 8 · `lines` lines from `offset` on and the terms of a step from `term` on: first
  // the lines, then the other terms.
  std::vector<Value*> Read(int64_t offset, int64_t term, int lines) {
    auto& known = read_[{offset, term}];
    if (known.empty()) known = Fetch(offset + term * operand_.term, lines);
    return known;
  }

 private:
  std::vector<Value*> Fetch(int64_t offset, int lines) {
    std::vector<Value*> parts = FetchTogether(offset, lines);
    for (int term = 0; parts.size() < static_cast<size_t>(2 * lines); ++term) {
      for (int line = 0; line < lines; ++line) {
        const int64_t at =
            offset + line * kLines * operand_.line + term * RowTerms() * operand_.term;
        parts.push_back(IsHalf() ? FetchPair(at) : FetchOne(at));
      }
    }
    if (IsHalf()) return parts;
    for (Value*& part : parts) {
      part = b_.CreateIntrinsic(intrinsic::nvvm_f2tf32_rna, {},
                                {b_.CreateBitCast(part, b_.getFloatTy())});
    }
    return parts;
  }

  ir::Expr Lane() const { return ir::Expr(lane_); }
  int64_t ElementBytes() const { return operand_.buffer->type.bits / 8; }
  bool IsHalf() const { return ElementBytes() == 2; }
  // Terms, or lines, that a row of a matrix holds.
  int64_t RowTerms() const { return kRowBytes / ElementBytes(); }

  // Each thread fetches a row for others, where rows lie together in shared memory.
  std::vector<Value*> FetchTogether(int64_t offset, int lines) {
    const bool along_terms = operand_.term == 1;
    // Only halves of registers change places.
    const bool along_lines = operand_.line == 1 && IsHalf();
    if (operand_.buffer->scope != ir::Scope::kShared || (!along_terms && !along_lines)) return {};
    // Threads 8 i + r of the wave point at row r of matrix i: the lines first, then the terms.
    const ir::Expr row = Lane() % ir::Expr(kLines), matrix = Lane() / ir::Expr(kLines);
    ir::Expr line = matrix % ir::Expr(int64_t{lines}) * ir::Expr(kLines);
    ir::Expr term = matrix / ir::Expr(int64_t{lines}) % ir::Expr(2) * ir::Expr(RowTerms());
    (along_terms ? line : term) = (along_terms ? line : term) + row;
    const LinearIndex index = e_.Linearise(operand_.start + line * ir::Expr(operand_.line) +
                                           term * ir::Expr(operand_.term) + ir::Expr(offset));
    // What threads beyond the operand's matrices point at does not count.
    if (AlignmentOfRows(offset) < static_cast<uint64_t>(kRowBytes)) return {};
    Value* address = e_.Address(*operand_.buffer, index);
    const auto id = lines == 2
                        ? (along_terms ? intrinsic::nvvm_ldmatrix_sync_aligned_m8n8_x4_b16
                                       : intrinsic::nvvm_ldmatrix_sync_aligned_m8n8_x4_trans_b16)
                        : (along_terms ? intrinsic::nvvm_ldmatrix_sync_aligned_m8n8_x2_b16
                                       : intrinsic::nvvm_ldmatrix_sync_aligned_m8n8_x2_trans_b16);
    constexpr unsigned kSharedSpace = 3;
    llvm::Type* pointer = llvm::PointerType::get(b_.getContext(), kSharedSpace);
    llvm::CallInst* rows =
        b_.CreateIntrinsic(id, {pointer}, {b_.CreateAddrSpaceCast(address, pointer)});
    rows->setConvergent();
    std::vector<Value*> parts;
    for (unsigned i = 0; i < static_cast<unsigned>(2 * lines); ++i) {
      parts.push_back(b_.CreateExtractValue(rows, i));
    }
    return parts;
  }

  // Of what every row begins at, in bytes.
  uint64_t AlignmentOfRows(int64_t offset) {
    const int64_t between = operand_.term == 1 ? operand_.line : operand_.term;
    LinearIndex index = e_.Linearise(operand_.start + ir::Expr(offset));
    index.terms.push_back({b_.getInt64(1), between, 0, 1});
    index.terms.push_back({b_.getInt64(1), RowTerms(), 0, 1});
    return AlignmentOf(index, ElementBytes()).value();
  }

  // Term q of line g.
  Value* FetchOne(int64_t offset) {
    const ir::Expr at = operand_.start + Lane() / ir::Expr(4) * ir::Expr(operand_.line) +
                        Lane() % ir::Expr(4) * ir::Expr(operand_.term) + ir::Expr(offset);
    return b_.CreateAlignedLoad(b_.getInt32Ty(), e_.Address(*operand_.buffer, e_.Linearise(at)),
                                llvm::Align(4));
  }

  // Terms 2 q and 2 q + 1 of line g.
  Value* FetchPair(int64_t offset) {
    const ir::Expr line = Lane() / ir::Expr(4), term = Lane() % ir::Expr(4) * ir::Expr(2);
    const ir::Expr at = operand_.start + line * ir::Expr(operand_.line) +
                        term * ir::Expr(operand_.term) + ir::Expr(offset);
    const LinearIndex index = e_.Linearise(at);
    if (operand_.term == 1) {
      const llvm::Align alignment = AlignmentOf(index, kHalves);
      if (alignment >= llvm::Align(4)) {
        return b_.CreateAlignedLoad(b_.getInt32Ty(), e_.Address(*operand_.buffer, index),
                                    llvm::Align(4));
      }
    }
    std::array<LinearIndex, kHalves> places = {index, index};
    places[1].constant += operand_.term;
    Value* pair = llvm::PoisonValue::get(llvm::FixedVectorType::get(b_.getInt16Ty(), kHalves));
    for (size_t i = 0; i < places.size(); ++i) {
      Value* half = b_.CreateAlignedLoad(b_.getInt16Ty(), e_.Address(*operand_.buffer, places[i]),
                                         llvm::Align(kHalves));
      pair = b_.CreateInsertElement(pair, half, static_cast<uint64_t>(i));
    }
    return b_.CreateBitCast(pair, b_.getInt32Ty());
  }

  FunctionEmitter& e_;
  llvm::IRBuilder<>& b_;
  const MatrixOperand& operand_;
  const ir::VarRef lane_;
  std::map<std::pair<int64_t, int64_t>, std::vector<Value*>> read_;
};

bool FunctionEmitter::EmitMatrixProduct(const ir::For& loop) {
  if (thread_ == nullptr || branches_ > 0) return false;
  const std::optional<MatrixProduct> found =
      gpu::FindMatrixProduct(loop, thread_, thread_count_, state_.target);
  if (!found) return false;
  // Both are known from the beginning.
  const ir::VarRef lane = ir::MakeVar("lane");
  {
    llvm::IRBuilder<>::InsertPointGuard guard(b_);
    b_.SetInsertPoint(entry_end());
    Value* thread = vars_.at(thread_.get()).value;
    BindVar(found->wave.get(), b_.CreateLShr(thread, 5));
    BindVar(lane.get(), b_.CreateAnd(thread, 31));
  }
  kept_vars_.insert(kept_vars_.end(), {found->wave, lane});

  const ir::Type type = found->a.buffer->type;
  const int64_t terms = ir::MatrixTerms(type);
  llvm::Function* multiply = intrinsic::getDeclaration(
      &state_.module, type == ir::Float(32)   ? intrinsic::nvvm_mma_m16n8k8_row_col_tf32
                      : type == ir::Float(16) ? intrinsic::nvvm_mma_m16n8k16_row_col_f32_f32
                                              : intrinsic::nvvm_mma_m16n8k16_row_col_bf16);
  MatrixReader a(*this, found->a, lane), b(*this, found->b, lane);
  const auto sum_at = [&](int64_t place) {
    LinearIndex index;
    index.constant = place;
    return Address(*found->sums, index);
  };
  for (int64_t step = 0; step < found->steps; ++step) {
    for (const MatrixTile& tile : found->tiles) {
      std::vector<Value*> arguments = a.Read(tile.a_offset, step * terms, 2);
      const std::vector<Value*> of_b = b.Read(tile.b_offset, step * terms, 1);
      arguments.insert(arguments.end(), of_b.begin(), of_b.end());
      for (size_t i = 0; i < arguments.size(); ++i) {
        arguments[i] = b_.CreateBitCast(
            arguments[i], multiply->getFunctionType()->getParamType(static_cast<unsigned>(i)));
      }
      std::vector<Value*> places;
      for (const auto& row : tile.sums) {
        for (const int64_t place : row) {
          places.push_back(sum_at(place));
          arguments.push_back(b_.CreateLoad(b_.getFloatTy(), places.back()));
        }
      }
      llvm::CallInst* sums = b_.CreateCall(multiply, arguments);
      sums->setConvergent();
      for (unsigned i = 0; i < places.size(); ++i) {
        b_.CreateStore(b_.CreateExtractValue(sums, i), places[i]);
      }
    }
  }
  return true;
}

}  // namespace tessera::codegen
