#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/stmt.h"
#include "compiler/ir/target.h"

namespace tessera::codegen {

// Machine code for one kernel with what a caller must provide.
struct ObjectCode {
  std::string bytes;   // relocatable ELF
  std::string symbol;  // of type tessera_kernel (compiler/runtime/kernel.h)
  int64_t shared_workspace_bytes = 0;
  int64_t private_workspace_bytes = 0;  // a thread
};

// kBounds: a load or store that would touch anything outside its buffer's stored elements stops the
// process by an illegal instruction first. For tests: such code is several times slower.
enum class Checks : uint8_t { kNone, kBounds };

// Compiles a lowered program (passes::Lower) for x86-64 or AArch64 with LLVM: explicit vectors,
// static shapes, no vectoriser, LoopStrengthReduce off, code generation level Default. No
// undefined symbols. Deterministic. Thread-safe; target machines are reused per thread.
absl::StatusOr<ObjectCode> GenerateObject(const ir::Program& program, const ir::Target& target,
                                          Checks checks = Checks::kNone);

// The same kernel as LLVM IR text or assembly, for people.
absl::StatusOr<std::string> GenerateAssembly(const ir::Program& program, const ir::Target& target);

// What this machine offers: features by CPUID, cache sizes, cores allowed to this process.
ir::Target HostTarget();

}  // namespace tessera::codegen
