#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/ir/stmt.h"
#include "compiler/ir/target.h"

namespace tessera::codegen {

// A function of an object with what its caller must provide.
struct Kernel {
  std::string symbol;  // of type tessera_kernel (compiler/runtime/kernel.h)
  int64_t shared_workspace_bytes = 0;
  int64_t private_workspace_bytes = 0;  // a thread
};

struct ObjectCode {
  std::string bytes;            // relocatable ELF
  std::vector<Kernel> kernels;  // one a program, in their order
  // Libraries of others that it calls (base/third_party.h), by name: LinkOptions::providers.
  std::vector<std::string> providers;
};

// kBounds: a load or store that would touch anything outside its buffer's stored elements stops the
// process by an illegal instruction first. For tests: such code is several times slower.
enum class Checks : uint8_t { kNone, kBounds };

// Compiles lowered programs (passes::Lower) of different names for x86-64 or AArch64 with LLVM:
// explicit vectors, static shapes, no vectoriser, LoopStrengthReduce off, code generation level
// Default. No undefined symbols but functions of `providers`. Deterministic. Thread-safe; target
// machines are reused per thread. One object of two programs takes half a millisecond or more less
// than two objects.
absl::StatusOr<ObjectCode> GenerateObject(absl::Span<const ir::Program> programs,
                                          const ir::Target& target, Checks checks = Checks::kNone);

// The same kernel as LLVM IR text or assembly, for people.
absl::StatusOr<std::string> GenerateAssembly(const ir::Program& program, const ir::Target& target);

// What this machine offers: features by CPUID, cache sizes, cores allowed to this process.
ir::Target HostTarget();

}  // namespace tessera::codegen
