// Sums of groups of products that the target has an instruction for.

#include <string_view>

#include "compiler/codegen/function_emitter.h"
#include "compiler/te/instructions.h"
#include "llvm/IR/IntrinsicsAArch64.h"
#include "llvm/IR/IntrinsicsX86.h"

namespace tessera::codegen {

using llvm::Value;
namespace intrinsic = llvm::Intrinsic;

namespace {

// How LLVM calls an instruction of te::Instructions().
struct Lowering {
  std::string_view name;
  llvm::Intrinsic::ID id;
  bool accumulates;  // takes the sum so far as its first operand
};

constexpr Lowering kLowerings[] = {
    {"vpdpbusd_512", intrinsic::x86_avx512_vpdpbusd_512, true},
    {"vpdpbusd_256", intrinsic::x86_avx512_vpdpbusd_256, true},
    {"vpdpbusd_128", intrinsic::x86_avx512_vpdpbusd_128, true},
    {"vdpbf16ps_512", intrinsic::x86_avx512bf16_dpbf16ps_512, true},
    {"vdpbf16ps_256", intrinsic::x86_avx512bf16_dpbf16ps_256, true},
    {"vdpbf16ps_128", intrinsic::x86_avx512bf16_dpbf16ps_128, true},
    {"vpmaddwd_512", intrinsic::x86_avx512_pmaddw_d_512, false},
    {"vpmaddwd_256", intrinsic::x86_avx2_pmadd_wd, false},
    {"pmaddwd_128", intrinsic::x86_sse2_pmadd_wd, false},
    {"sdot_128", intrinsic::aarch64_neon_sdot, true},
};

const Lowering* LoweringOf(const te::Instruction& instruction) {
  for (const Lowering& lowering : kLowerings) {
    if (lowering.name == instruction.name) return &lowering;
  }
  return nullptr;
}

// How to add groups to a sum by an instruction, and what its operands are there.
struct Found {
  const Lowering* lowering = nullptr;
  te::Operands operands;
};

Found Find(const ir::Target& target, const ir::Call& groups) {
  const int lanes = groups.type.lanes, group = groups.args[0].type().lanes / lanes;
  for (const te::Instruction& instruction : te::Instructions()) {
    if (instruction.lanes != lanes || instruction.group != group ||
        instruction.stage().output()->type != groups.type.Element() ||
        !te::Offers(target, instruction)) {
      continue;
    }
    const Lowering* lowering = LoweringOf(instruction);
    if (lowering == nullptr) continue;
    const std::vector<te::Operands> ways = te::Unify(instruction, groups.args[0]);
    if (!ways.empty()) return {lowering, ways[0]};
  }
  return {};
}

}  // namespace

// `sum` + `groups` by one instruction; null if `groups` are no groups of products that the target
// has one for.
Value* FunctionEmitter::EmitDot(const ir::Expr& sum, const ir::Expr& groups) {
  const auto* call = groups.As<ir::Call>();
  if (call == nullptr || !call->type.is_vector() || !ir::IsReduceOf(*call) ||
      ir::ReduceOp(call->name) != ir::BinaryOp::kAdd) {
    return nullptr;
  }
  const Found found = Find(state_.target, *call);
  if (found.lowering == nullptr) return nullptr;
  const Lowering& lowering = *found.lowering;
  llvm::Function* function = llvm::Intrinsic::getDeclaration(
      &state_.module, lowering.id,
      lowering.id == intrinsic::aarch64_neon_sdot
          ? llvm::ArrayRef<llvm::Type*>{llvm::FixedVectorType::get(b_.getInt32Ty(), 4),
                                        llvm::FixedVectorType::get(b_.getInt8Ty(), 16)}
          : llvm::ArrayRef<llvm::Type*>{});
  Value* so_far = Emit(sum);
  const Mask outer = EnterGroups(call->args[0].type().lanes / call->type.lanes);
  std::vector<Value*> arguments;
  if (lowering.accumulates) arguments.push_back(so_far);
  for (const ir::Expr& operand : {found.operands.a, found.operands.b}) {
    llvm::Type* type =
        function->getFunctionType()->getParamType(static_cast<unsigned>(arguments.size()));
    arguments.push_back(b_.CreateBitCast(EmitStored(operand), type));
  }
  mask_ = outer;
  Value* result = b_.CreateCall(function, arguments);
  return lowering.accumulates ? result
                              : numbers_.Binary(ir::BinaryOp::kAdd, sum.type(), so_far, result);
}

// The bits of `e` as they are stored: narrow floats are not widened on the way.
Value* FunctionEmitter::EmitStored(const ir::Expr& e) {
  const ir::Type type = e.type();
  if (const auto* call = e.As<ir::Call>(); call != nullptr && ir::IsRepeat(*call)) {
    const Mask outer = EnterShared();
    Value* value = EmitStored(call->args[0]);
    mask_ = outer;
    return EmitRepeat(value, call->args[0].type().lanes, type.lanes);
  }
  const bool is_narrow_float = type.is_float() && type.bits == 16;
  if (const auto* load = e.As<ir::Load>(); load != nullptr && is_narrow_float) {
    ir::Buffer& view = views_[load->buffer.get()];
    if (view == nullptr) {
      ir::BufferNode node = *load->buffer;
      node.type = ir::UInt(16);
      view = std::make_shared<const ir::BufferNode>(std::move(node));
      BindBuffer(view.get(), Pointer(*load->buffer));
    }
    return Emit(ir::MakeLoad(view, load->indices, load->predicate));
  }
  return numbers_.ToStorage(type, Emit(e));
}

}  // namespace tessera::codegen
