// Copies that a thread need not wait for.

#include <algorithm>

#include "compiler/codegen/function_emitter.h"
#include "compiler/codegen/gpu/async_copies.h"
#include "llvm/IR/IntrinsicsNVPTX.h"

namespace tessera::codegen {

using llvm::Value;
namespace intrinsic = llvm::Intrinsic;

// By instructions for it, else at once: in vectors, then the tail, written as the IR's own loops.
void FunctionEmitter::EmitAsyncCopy(const ir::AsyncCopy& node) {
  if (EmitCopyInstructions(node)) return;
  const int bits = node.to->type.bits;
  const int lanes = bits < 8 ? 1 : std::max(1, state_.target.Lanes(bits));
  const int64_t vectors = node.elements / lanes;
  const ir::VarRef i = ir::MakeVar("copy");
  const auto copy = [&](const ir::Expr& offset, int width) {
    return ir::MakeStore(
        node.to, {ir::MakeRamp(node.to_index + offset, 1, width)},
        ir::MakeLoad(node.from, {ir::MakeRamp(node.from_index + offset, 1, width)}));
  };
  if (vectors > 0) Emit(ir::MakeFor(i, 0, vectors, copy(ir::Expr(i) * ir::Expr(lanes), lanes)));
  const int64_t done = vectors * lanes;
  if (done < node.elements) {
    Emit(ir::MakeFor(i, 0, node.elements - done, copy(ir::Expr(i) + ir::Expr(done), 1)));
  }
}

// False: the target has none for it.
bool FunctionEmitter::EmitCopyInstructions(const ir::AsyncCopy& node) {
  const int64_t element = node.to->type.bits / 8;
  if (!ir::CopiesAsynchronously(state_.target) || node.to->scope != ir::Scope::kShared ||
      !gpu::IsGlobal(*node.from) || element == 0) {
    return false;
  }
  const int64_t bytes = node.elements * element;
  const int64_t unit = gpu::AsyncCopyBytes(bytes, MultipleOf(node.to_index) * element,
                                           MultipleOf(node.from_index) * element);
  if (unit == 0) return false;
  const auto id = unit == 16  ? intrinsic::nvvm_cp_async_cg_shared_global_16
                  : unit == 8 ? intrinsic::nvvm_cp_async_ca_shared_global_8
                              : intrinsic::nvvm_cp_async_ca_shared_global_4;
  const LinearIndex to = Linearise(node.to_index), from = Linearise(node.from_index);
  for (int64_t done = 0; done < bytes; done += unit) {
    const auto address = [&](const ir::BufferNode& buffer, LinearIndex index, unsigned space) {
      index.constant += done / element;
      return b_.CreateAddrSpaceCast(Address(buffer, index),
                                    llvm::PointerType::get(b_.getContext(), space));
    };
    constexpr unsigned kGlobalSpace = 1, kSharedSpace = 3;
    b_.CreateIntrinsic(
        id, {}, {address(*node.to, to, kSharedSpace), address(*node.from, from, kGlobalSpace)});
  }
  return true;
}

void FunctionEmitter::EmitAsyncWait() {
  if (!ir::CopiesAsynchronously(state_.target)) return;  // copies are made at once
  b_.CreateIntrinsic(intrinsic::nvvm_cp_async_wait_all, {}, {});
}

}  // namespace tessera::codegen
