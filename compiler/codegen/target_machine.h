#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "compiler/codegen/llvm_headers.h"
#include "compiler/ir/target.h"

namespace tessera::codegen {

// What LLVM needs to be told about a target.
struct MachineDescription {
  std::string triple;
  std::string cpu;
  std::string features;  // "+avx2,+fma"
};

// InvalidArgument for kinds that this generator doesn't compile for.
absl::StatusOr<MachineDescription> DescribeMachine(const ir::Target& target);

// This thread's machine for the description, made on first use and reused. Position-independent
// code, level Default, LoopStrengthReduce off. Lives until the thread ends.
absl::StatusOr<llvm::TargetMachine*> MachineFor(const MachineDescription& description);

}  // namespace tessera::codegen
