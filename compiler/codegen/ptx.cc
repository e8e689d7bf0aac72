#include "compiler/codegen/ptx.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/codegen/emit_module.h"
#include "compiler/codegen/function_emitter.h"
#include "compiler/codegen/gpu/async_copies.h"
#include "compiler/codegen/gpu/kernels.h"
#include "compiler/codegen/target_machine.h"
#include "compiler/ir/visitor.h"
#include "llvm/IR/IntrinsicsNVPTX.h"
#include "llvm/IR/MDBuilder.h"

namespace tessera::codegen {
namespace {

constexpr unsigned kGlobalSpace = 1, kSharedSpace = 3;
constexpr uint64_t kBufferAlignment = 16;  // a thread's widest access

using Registers = std::array<llvm::Intrinsic::ID, 3>;  // x, y, z
constexpr Registers kBlockNumber = {llvm::Intrinsic::nvvm_read_ptx_sreg_ctaid_x,
                                    llvm::Intrinsic::nvvm_read_ptx_sreg_ctaid_y,
                                    llvm::Intrinsic::nvvm_read_ptx_sreg_ctaid_z};
constexpr Registers kThreadNumber = {llvm::Intrinsic::nvvm_read_ptx_sreg_tid_x,
                                     llvm::Intrinsic::nvvm_read_ptx_sreg_tid_y,
                                     llvm::Intrinsic::nvvm_read_ptx_sreg_tid_z};

// Of one kernel: what a thread keeps of its own; everything else is bound from the beginning.
WorkspacePlan PlanOf(const gpu::KernelNest& nest) {
  WorkspacePlan plan;
  ir::ForEach<ir::Allocate>(nest.body, [&](const ir::Allocate& node) {
    if (node.buffer->scope == ir::Scope::kLocal) plan.slots[node.buffer.get()] = {Place::kStack};
  });
  return plan;
}

// Memory that the blocks of every kernel of the module share, of a size that launches say.
llvm::GlobalVariable* SharedMemory(llvm::Module& module) {
  constexpr char kName[] = "tessera_shared";
  if (llvm::GlobalVariable* known = module.getNamedGlobal(kName)) return known;
  llvm::Type* type = llvm::ArrayType::get(llvm::Type::getInt8Ty(module.getContext()), 0);
  auto* memory = new llvm::GlobalVariable(module, type, /*isConstant=*/false,
                                          llvm::GlobalValue::ExternalLinkage, nullptr, kName,
                                          nullptr, llvm::GlobalValue::NotThreadLocal, kSharedSpace);
  memory->setAlignment(llvm::Align(kBufferAlignment));
  return memory;
}

// Tells the driver's compiler how many threads a block has, by which it counts registers.
void SetBlockThreads(llvm::Function& kernel, const std::array<int64_t, 3>& threads) {
  llvm::LLVMContext& context = kernel.getContext();
  llvm::NamedMDNode* annotations = kernel.getParent()->getOrInsertNamedMetadata("nvvm.annotations");
  const auto annotate = [&](const char* name, int64_t value) {
    llvm::Constant* number =
        llvm::ConstantInt::get(llvm::Type::getInt32Ty(context), static_cast<uint64_t>(value));
    annotations->addOperand(llvm::MDNode::get(
        context, {llvm::ConstantAsMetadata::get(&kernel), llvm::MDString::get(context, name),
                  llvm::ConstantAsMetadata::get(number)}));
  };
  annotate("kernel", 1);
  annotate("reqntidx", threads[0]);
  annotate("reqntidy", threads[1]);
  annotate("reqntidz", threads[2]);
}

// One kernel's function.
class KernelEmitter {
 public:
  KernelEmitter(const ir::Program& program, const gpu::Kernels& kernels, const ir::Target& target,
                const MachineDescription& machine, llvm::Module& module)
      : program_(program), kernels_(kernels), target_(target), machine_(machine), module_(module) {}

  absl::Status Emit(gpu::KernelNest nest) {
    if (ir::CopiesAsynchronously(target_)) nest.body = gpu::CopyAsynchronously(nest.body);
    const WorkspacePlan plan = PlanOf(nest);
    ModuleState state{target_, machine_, plan, module_, nest.name, Checks::kNone, 0, {}};
    llvm::Type* pointer = llvm::PointerType::get(module_.getContext(), kGlobalSpace);
    llvm::Function* function = state.MakeFunction(
        nest.name,
        std::vector<llvm::Type*>(nest.params.size() + (nest.uses_workspace ? 1 : 0), pointer),
        true);
    function->setCallingConv(llvm::CallingConv::PTX_Kernel);
    function->addFnAttr(llvm::Attribute::Convergent);
    for (unsigned i = 0; i < function->arg_size(); ++i) {
      llvm::AttrBuilder attributes(module_.getContext());
      attributes.addAttribute(llvm::Attribute::NoAlias);
      attributes.addAlignmentAttr(kBufferAlignment);
      if (i < nest.params.size() && !IsWritten(nest, nest.params[i])) {
        attributes.addAttribute(llvm::Attribute::ReadOnly);
      }
      function->addParamAttrs(i, attributes);
    }
    SetBlockThreads(*function, gpu::LaunchOf(nest).block_threads);

    FunctionEmitter emitter(state, function);
    llvm::IRBuilder<> entry(emitter.entry_end());
    BindBuffers(nest, *function, entry, emitter);
    for (size_t i = 0; i < 3; ++i) {
      BindAxis(nest.blocks[i], kBlockNumber[i], entry, emitter);
      BindAxis(nest.threads[i], kThreadNumber[i], entry, emitter);
    }
    if (nest.threads[1].extent == 1 && nest.threads[2].extent == 1 && nest.threads[0].min == 0) {
      emitter.SetThreads(nest.threads[0].var, nest.threads[0].extent);
    }
    emitter.Emit(nest.body);
    emitter.Return();
    return state.status;
  }

 private:
  bool IsWritten(const gpu::KernelNest& nest, int param) const {
    bool written = false;
    ir::ForEach<ir::Store>(nest.body, [&](const ir::Store& store) {
      written |= store.buffer == program_.params[static_cast<size_t>(param)];
    });
    return written;
  }

  void BindBuffers(const gpu::KernelNest& nest, llvm::Function& function, llvm::IRBuilder<>& b,
                   FunctionEmitter& emitter) {
    const auto generic = [&](llvm::Value* pointer) {
      return b.CreateAddrSpaceCast(pointer, b.getPtrTy());
    };
    const auto at = [&](llvm::Value* base, int64_t offset) {
      return b.CreateConstGEP1_64(b.getInt8Ty(), base, static_cast<uint64_t>(offset));
    };
    for (size_t i = 0; i < nest.params.size(); ++i) {
      emitter.BindBuffer(program_.params[static_cast<size_t>(nest.params[i])].get(),
                         generic(function.getArg(static_cast<unsigned>(i))));
    }
    if (nest.uses_workspace) {
      llvm::Value* workspace = function.getArg(static_cast<unsigned>(nest.params.size()));
      for (const auto& [buffer, offset] : kernels_.workspace) {
        emitter.BindBuffer(buffer, generic(at(workspace, offset)));
      }
    }
    for (const auto& [buffer, offset] : nest.shared) {
      emitter.BindBuffer(buffer.get(), generic(at(SharedMemory(module_), offset)));
    }
  }

  static void BindAxis(const gpu::ThreadLoop& loop, llvm::Intrinsic::ID number,
                       llvm::IRBuilder<>& b, FunctionEmitter& emitter) {
    if (loop.var == nullptr) return;
    llvm::Type* type = b.getIntNTy(loop.var->type.bits);
    llvm::CallInst* index = b.CreateIntrinsic(number, {}, {});
    index->setMetadata(llvm::LLVMContext::MD_range,
                       llvm::MDBuilder(b.getContext())
                           .createRange(llvm::APInt(32, 0), llvm::APInt(32, loop.extent)));
    emitter.BindVar(loop.var.get(), b.CreateAdd(b.CreateZExtOrTrunc(index, type),
                                                llvm::ConstantInt::getSigned(type, loop.min)));
  }

  const ir::Program& program_;
  const gpu::Kernels& kernels_;
  const ir::Target& target_;
  const MachineDescription& machine_;
  llvm::Module& module_;
};

}  // namespace

absl::StatusOr<gpu::DeviceCode> GeneratePtx(absl::Span<const ir::Program> programs,
                                            const ir::Target& target) {
  if (target.kind != ir::TargetKind::kCuda) {
    return absl::InvalidArgumentError(
        absl::StrCat("code generation: ", ir::ToString(target), " is not a CUDA target"));
  }
  TESSERA_ASSIGN_OR_RETURN(const MachineDescription description, DescribeMachine(target));
  TESSERA_ASSIGN_OR_RETURN(llvm::TargetMachine * machine, MachineFor(description));
  llvm::LLVMContext context;
  const std::unique_ptr<llvm::Module> module = MakeModule(context, *machine);
  gpu::DeviceCode code;
  for (const ir::Program& program : programs) {
    TESSERA_ASSIGN_OR_RETURN(const gpu::Kernels kernels, gpu::SplitKernels(program, target));
    code.workspace_bytes = std::max(code.workspace_bytes, kernels.workspace_bytes);
    std::vector<gpu::Launch>& launches = code.launches.emplace_back();
    KernelEmitter emitter(program, kernels, target, description, *module);
    for (const gpu::KernelNest& nest : kernels.nests) {
      TESSERA_RETURN_IF_ERROR(emitter.Emit(nest));
      launches.push_back(gpu::LaunchOf(nest));
    }
  }
  TESSERA_ASSIGN_OR_RETURN(code.source,
                           EmitModule(*module, *machine, llvm::CodeGenFileType::AssemblyFile));
  return code;
}

}  // namespace tessera::codegen
