#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/codegen/gpu/device_code.h"
#include "compiler/ir/stmt.h"
#include "compiler/ir/target.h"

namespace tessera::library {

// What libraries for kinds of devices differ in. Names of C functions have the kind's own,
// ir::KindName. Of accelerators (kVta) it has the first two only: accelerator_header.cc says the
// rest.
struct DeviceKind {
  ir::TargetKind kind;
  const char* runtime;  // how names of its part of the runtime begin
  absl::StatusOr<codegen::gpu::DeviceCode> (*generate)(absl::Span<const ir::Program> programs,
                                                       const ir::Target& target);
  // Parameters of the calls with device memory, in C. A tensor's name follows `memory`.
  const char* queue;
  const char* memory;
  const char* event;          // the last one; null: there is none
  bool is_created_for_queue;  // the kernels are made with a queue, and not for what is current
  // In the header: how calls with device memory are used, how calls with host memory find a device,
  // what the library loads and what its errors are, the types that parameters point to, what
  // kernels are compiled for, and what may be left of calls when they are ended.
  const char* use;
  const char* search;
  const char* loading;
  const char* types;
  const char* created_for;
  const char* destroyed_when;
};

// Null where libraries are made for no such devices.
const DeviceKind* FindDeviceKind(ir::TargetKind kind);
// Of a target that has one.
const DeviceKind& DeviceKindOf(const ir::Target& target);

// What the kernels of a library for the device need of it (tessera_device_library).
int64_t DeviceNeeds(const ir::Target& target);

// "opencl, cuda"
std::string DeviceKindNames();

}  // namespace tessera::library
