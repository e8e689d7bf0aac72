#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/codegen/codegen.h"
#include "compiler/codegen/gpu/device_code.h"
#include "compiler/codegen/vta/generate.h"
#include "compiler/library/library.h"

namespace tessera::library {

// A tensor of an operator as its C interface shows it.
struct OpTensor {
  ir::Buffer buffer;  // with its stored layout; constants have one in each version
  std::string name;   // in C
  bool is_constant = false;
};

// A constant as one version packs it.
struct PackedConstant {
  ir::Buffer buffer;  // with its stored layout
  int64_t offset;     // bytes into the packed block
  // Runs don't read it, because something is computed from it when constants are packed: the offset
  // is into the scratch memory of packing.
  bool is_scratch = false;
};

// Computed from the constants when they are packed: arguments of the kernel behind the outputs.
struct Preparation {
  std::vector<PackedConstant> results;
  int64_t scratch_bytes = 0;  // of constants that only it reads
};

// What becomes of an operator's constants.
struct PackedBlock {
  std::vector<PackedConstant> constants;  // in the order of the inputs
  std::optional<Preparation> preparation;
  int64_t bytes = 0;  // of all that runs read; 0 without constants
};

// An operator for one of the library's targets.
struct CompiledVersion {
  codegen::ObjectCode code;  // of the kernel and, if there is one, the preparation
  PackedBlock packed;

  // Scratch memory of packing: its constants, then the workspace of the preparation.
  int64_t ScratchBytes() const;
};

// The same for its device, of a kind. Places in the block are multiples of
// TESSERA_DEVICE_ALIGNMENT.
struct CompiledDevice {
  ir::TargetKind kind;
  codegen::gpu::DeviceCode code;               // of GPUs
  std::vector<codegen::vta::Kernel> programs;  // of accelerators
  PackedBlock packed;
};

// Names of an operator's functions.
struct CopyFunction {
  std::string name;
  int tensor;  // index into inputs or outputs
};

struct CompiledOp {
  const LibraryOp* op;                    // of the spec
  std::vector<CompiledVersion> versions;  // as in the spec
  std::optional<CompiledDevice> device;
  std::string why_not_on_device;  // where the library's accelerator doesn't run it
  std::vector<OpTensor> inputs, outputs;
  int64_t packed_bytes = 0;  // enough for every version; 0 without constants
  std::vector<CopyFunction> pack_inputs, unpack_outputs;

  bool has_constants() const { return packed_bytes > 0; }
  // The blocks of all versions and of the device.
  std::vector<const PackedBlock*> Blocks() const;
  // Whether some version stores constant number `constant` only as what is computed from it.
  bool IsTransformed(int constant) const;
  // Whether some version computes when constants are packed, which takes an aligned block.
  bool prepares() const;
  std::string pack_weights_name() const { return op->name + "_pack_weights"; }
  std::string packed_bytes_name() const { return op->name + "_packed_bytes"; }
  // Of the calls with device memory, and of what belongs to them.
  std::string device_name() const;
  std::string device_pack_name() const { return device_name() + "_pack_weights"; }
  std::string workspace_bytes_name() const { return device_name() + "_workspace_bytes"; }
  // The macro that says how many bytes a tensor takes as it is stored.
  std::string bytes_name(const OpTensor& tensor) const {
    return op->name + "_" + tensor.name + "_BYTES";
  }
  // All symbols that the operator exports.
  std::vector<std::string> ExportedNames() const;
  // Those, and the macros of its part of the header.
  std::vector<std::string> HeaderNames() const;
};

absl::StatusOr<CompiledOp> CompileOp(const LibraryOp& op, const LibrarySpec& spec);

// A C name for a tensor, different from those that are used, which it then is one of.
std::string ParameterName(const std::string& name, absl::flat_hash_set<std::string>& used);

// "float", "int8_t", "uint16_t" for f16 and bf16, "uint8_t" for packed sub-byte elements.
std::string CTypeOf(ir::Type type);
// "const float* W": of a function that reads it from the host's memory.
std::string SourceParameter(const OpTensor& tensor);
// "row-major", or the layout.
std::string StoredAs(const ir::BufferNode& buffer);
// The library's own functions.
std::string SetThreadsName(const LibrarySpec& spec);
std::string VersionName(const LibrarySpec& spec);
std::string IsaName(const LibrarySpec& spec);
// Those of one with a device: what makes and ends the kernels of a context, or an accelerator, what
// else there is to do with an accelerator ("tessera_ops_vta_allocate"), what host calls use.
std::string CreateName(const LibrarySpec& spec);
std::string DestroyName(const LibrarySpec& spec);
inline constexpr const char* kAcceleratorFunctions[] = {"open", "use", "allocate", "release",
                                                        "host"};
std::string AcceleratorName(const LibrarySpec& spec, const char* function);
std::string KernelsTypeName(const LibrarySpec& spec);
std::string DeviceName(const LibrarySpec& spec);
std::string FallbackName(const LibrarySpec& spec);
// All of them that the library has.
std::vector<std::string> OwnNames(const LibrarySpec& spec);

}  // namespace tessera::library
