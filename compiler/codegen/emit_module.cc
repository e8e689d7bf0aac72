#include "compiler/codegen/emit_module.h"

#include "absl/strings/str_cat.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/PassManager.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"
#include "llvm/Transforms/InstCombine/InstCombine.h"
#include "llvm/Transforms/Scalar/EarlyCSE.h"
#include "llvm/Transforms/Scalar/SROA.h"
#include "llvm/Transforms/Scalar/ScalarizeMaskedMemIntrin.h"
#include "llvm/Transforms/Scalar/SimplifyCFG.h"

namespace tessera::codegen {
namespace {

// Promotion of register tiles, common subexpressions, tidy control flow; nothing that changes
// loops or vectors.
void Optimise(llvm::Module& module, llvm::TargetMachine& machine) {
  llvm::LoopAnalysisManager loop_analyses;
  llvm::FunctionAnalysisManager function_analyses;
  llvm::CGSCCAnalysisManager scc_analyses;
  llvm::ModuleAnalysisManager module_analyses;
  llvm::PassBuilder builder(&machine);
  builder.registerModuleAnalyses(module_analyses);
  builder.registerCGSCCAnalyses(scc_analyses);
  builder.registerFunctionAnalyses(function_analyses);
  builder.registerLoopAnalyses(loop_analyses);
  builder.crossRegisterProxies(loop_analyses, function_analyses, scc_analyses, module_analyses);
  llvm::FunctionPassManager passes;
  passes.addPass(llvm::SimplifyCFGPass());
  passes.addPass(llvm::SROAPass(llvm::SROAOptions::PreserveCFG));
  passes.addPass(llvm::EarlyCSEPass(/*UseMemorySSA=*/true));
  if (machine.getTargetTriple().isNVPTX()) {
    // It has no masks, and finds the memory that pointers are of only where there are none.
    passes.addPass(llvm::ScalarizeMaskedMemIntrinPass());
    passes.addPass(llvm::InstCombinePass());
  }
  for (llvm::Function& function : module) {
    if (!function.isDeclaration()) passes.run(function, function_analyses);
  }
}

}  // namespace

std::unique_ptr<llvm::Module> MakeModule(llvm::LLVMContext& context, llvm::TargetMachine& machine) {
  context.setDiscardValueNames(true);
  auto module = std::make_unique<llvm::Module>("tessera", context);
  module->setTargetTriple(machine.getTargetTriple().str());
  module->setDataLayout(machine.createDataLayout());
  return module;
}

absl::StatusOr<std::string> EmitModule(llvm::Module& module, llvm::TargetMachine& machine,
                                       llvm::CodeGenFileType file_type) {
#ifndef NDEBUG
  std::string fault;
  llvm::raw_string_ostream fault_stream(fault);
  if (llvm::verifyModule(module, &fault_stream)) {
    return absl::InternalError(absl::StrCat("code generation made invalid LLVM IR: ", fault));
  }
#endif
  Optimise(module, machine);

  llvm::SmallVector<char, 0> output;
  llvm::raw_svector_ostream stream(output);
  llvm::legacy::PassManager emission;
  if (machine.addPassesToEmitFile(emission, stream, nullptr, file_type)) {
    return absl::InternalError("LLVM can't emit files for this target");
  }
  emission.run(module);
  return std::string(output.begin(), output.end());
}

}  // namespace tessera::codegen
