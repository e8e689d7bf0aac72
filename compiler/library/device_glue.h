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

  // The calls of operator number `op`, which the device runs, with device memory, and those with
  // host memory, which are given the tables of the CPU's versions; `cpu_packing` is null without
  // constants.
  void AddOp(size_t op, llvm::Constant* cpu, llvm::Constant* cpu_packing) const;
  // The library's own functions.
  void AddLibrary() const;

 private:
  // "tessera_opencl_run" of "run": what the runtime calls it.
  std::string Runtime(const char* what) const;
  // A tessera_device_op, of accelerators a tessera_vta_op.
  llvm::Constant* Describe(const CompiledOp& op, size_t number) const;
  llvm::Constant* Code(const CompiledDevice& device, size_t launches) const;
  llvm::Constant* Launches(const CompiledDevice& device) const;
  llvm::Constant* AcceleratorLaunches(const CompiledDevice& device) const;
  void AddAcceleratorOp(size_t op) const;
  void AddAccelerator() const;
  llvm::Constant* Buffers(absl::Span<const Place> places, absl::Span<const int64_t> bytes) const;

  const GlueModule& module_;
  absl::Span<const CompiledOp> ops_;
  const LibrarySpec& spec_;
  bool is_accelerator_;
  std::vector<llvm::Constant*> described_;  // by operator; null for what the device doesn't run
  llvm::Constant* library_;                 // a tessera_device_library
};

}  // namespace tessera::library
