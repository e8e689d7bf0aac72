#pragma once

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "compiler/library/call_shape.h"
#include "compiler/library/glue_module.h"

namespace tessera::library {

// What calls of a library for a device are handed (compiler/runtime/device.h): one description an
// operator, with the source of its kernels, and one of the library.
class DeviceGlue {
 public:
  DeviceGlue(const GlueModule& module, absl::Span<const CompiledOp> ops, const LibrarySpec& spec);

  // The calls of operator number `op` with device memory, and those with host memory, which are
  // given the tables of the CPU's versions; `cpu_packing` is null without constants.
  void AddOp(size_t op, llvm::Constant* cpu, llvm::Constant* cpu_packing) const;
  // The library's own functions.
  void AddLibrary() const;

 private:
  // "tessera_opencl_run" of "run": what the runtime calls it.
  std::string Runtime(const char* what) const;
  llvm::Constant* Describe(size_t op) const;  // a tessera_device_op
  llvm::Constant* Launches(const CompiledDevice& device) const;
  llvm::Constant* Buffers(absl::Span<const Place> places, absl::Span<const int64_t> bytes) const;

  const GlueModule& module_;
  absl::Span<const CompiledOp> ops_;
  const LibrarySpec& spec_;
  std::vector<llvm::Constant*> described_;  // by operator
  llvm::Constant* library_;                 // a tessera_device_library
};

}  // namespace tessera::library
