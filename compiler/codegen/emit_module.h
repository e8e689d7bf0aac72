#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "compiler/codegen/llvm_headers.h"

namespace tessera::codegen {

// An empty module for `machine`. Names of values are not kept.
std::unique_ptr<llvm::Module> MakeModule(llvm::LLVMContext& context, llvm::TargetMachine& machine);

// Optimises the module's functions, without changing loops or vectors, and writes what the machine
// makes of them as `file_type`. Deterministic.
absl::StatusOr<std::string> EmitModule(llvm::Module& module, llvm::TargetMachine& machine,
                                       llvm::CodeGenFileType file_type);

}  // namespace tessera::codegen
