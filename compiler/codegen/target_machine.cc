#include "compiler/codegen/target_machine.h"

#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetOptions.h"

namespace tessera::codegen {
namespace {

// LoopStrengthReduce takes up to 79 % of code generation on unrolled kernels and gains nothing.
// Its switch is a command-line option only; as an initial value it survives lld's reset of options.
void InitializeLlvm() {
  static const bool done = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    LLVMInitializeARMTargetInfo();
    LLVMInitializeARMTarget();
    LLVMInitializeARMTargetMC();
    LLVMInitializeARMAsmPrinter();
    auto& options = llvm::cl::getRegisteredOptions();
    const auto found = options.find("disable-lsr");
    TESSERA_CHECK(found != options.end());
    static_cast<llvm::cl::opt<bool>*>(found->second)->setInitialValue(true);
    return true;
  }();
  static_cast<void>(done);
}

}  // namespace

absl::StatusOr<MachineDescription> DescribeMachine(const ir::Target& target) {
  MachineDescription description;
  if (target.kind == ir::TargetKind::kX86) {
    description.triple = "x86_64-unknown-linux-gnu";
    description.cpu = target.Has("avx512") ? "x86-64-v4"
                      : target.Has("avx2") ? "x86-64-v3"
                                           : "x86-64-v2";
    if (target.Has("vnni")) description.features = "+avx512vnni";
    if (target.Has("bf16")) {
      absl::StrAppend(&description.features, description.features.empty() ? "" : ",",
                      "+avx512bf16");
    }
    return description;
  }
  if (target.kind == ir::TargetKind::kAArch64) {
    description.triple = "aarch64-unknown-linux-gnu";
    description.cpu = "generic";
    description.features = "+neon";
    if (target.Has("dotprod")) description.features += ",+dotprod";
    if (target.Has("fp16")) description.features += ",+fullfp16";
    return description;
  }
  if (target.kind == ir::TargetKind::kArm) {
    description.triple = "armv7-unknown-linux-gnueabihf";
    description.cpu = "generic";
    description.features = "+neon";
    return description;
  }
  if (target.kind == ir::TargetKind::kCuda) {
    description.triple = "nvptx64-nvidia-cuda";
    description.cpu = target.features.at(0);
    return description;
  }
  return absl::InvalidArgumentError(absl::StrCat("code generation: LLVM has no target for ",
                                                 ir::ToString(target),
                                                 "; known kinds: x86, aarch64, arm, cuda"));
}

absl::StatusOr<llvm::TargetMachine*> MachineFor(const MachineDescription& description) {
  thread_local std::map<std::string, std::unique_ptr<llvm::TargetMachine>> machines;
  InitializeLlvm();
  auto& machine =
      machines[absl::StrCat(description.triple, " ", description.cpu, " ", description.features)];
  if (machine == nullptr) {
    std::string error;
    const llvm::Target* target = llvm::TargetRegistry::lookupTarget(description.triple, error);
    if (target == nullptr) return absl::InternalError(absl::StrCat("LLVM: ", error));
    llvm::TargetOptions options;
    options.TrapUnreachable = false;
    machine.reset(target->createTargetMachine(
        description.triple, description.cpu, description.features, options, llvm::Reloc::PIC_,
        llvm::CodeModel::Small, llvm::CodeGenOptLevel::Default));
    if (machine == nullptr) {
      return absl::InternalError(absl::StrCat("LLVM has no machine for ", description.triple));
    }
  }
  return machine.get();
}

}  // namespace tessera::codegen
