#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/target.h"
#include "compiler/library/model.h"
#include "compiler/schedule/trace.h"
#include "compiler/te/dag.h"

namespace tessera::library {

// A kernel of an operator for one version of the library, and where it comes from.
struct Implementation {
  schedule::Trace trace;
  bool is_default = false;  // the safe default schedule: no record was there
  std::vector<std::string> record_ids;
  std::string device;                      // that measured the record; may be empty
  std::optional<double> measured_seconds;  // on the version's device class
};

struct LibraryOp {
  std::string name;  // of the C function: a C identifier that the C library does not have
  te::Workload workload;
  std::vector<Implementation> versions;     // one a version of the library, in its order
  std::optional<Implementation> on_device;  // where the library has a device
  // Of a library for an accelerator (kVta) instead of `on_device`: why the accelerator can't run
  // it. It runs on the CPU then.
  std::string why_not_on_device = {};
};

// The same operators for one set of CPUs, or for one kind of device.
struct LibraryVersion {
  ir::Target target;
  std::string device_class;  // that times were measured on; may be empty
};

struct LibrarySpec {
  // The shared object is meant to be lib<name>.so and says so. Its own functions carry the name:
  // letters, digits and _.
  std::string name = "ops";
  std::vector<LibraryVersion> versions;  // of one kind of CPU, no two with the same features
  // A GPU or an accelerator whose memory the operators take; those of CPUs are for where it is
  // missing, or can't run an operator.
  std::optional<LibraryVersion> device;
  std::vector<LibraryOp> ops;  // names are unique
  // Runs the operators, whose own functions the library then doesn't show. Not with a device.
  std::optional<LibraryModel> model;
  bool static_library = false;  // lib<name>.a, too
};

struct LibraryFile {
  std::string name;  // without a folder
  std::string bytes;
};

// What a library is handed out as: lib<name>.so, <name>.h and manifest.json, which has the digests
// of all the others; behind these lib<name>.a where it was asked for, <name>.hpp of a model, and
// what build systems and inventories read (packages.h).
struct LibraryFiles {
  std::vector<LibraryFile> files;

  const std::string& shared_object() const { return files[0].bytes; }
  const std::string& header() const { return files[1].bytes; }
  const std::string& manifest() const { return files[2].bytes; }
  // The bytes of the file of that name; null where there is none.
  const std::string* Find(std::string_view name) const;
};

// Lowers, compiles and links the operators with the runtime. Of a model it also makes what the
// manifest says that it computes (reference.h). A pure function of `spec`, of the
// versions of Tessera and LLVM and of the embedded runtime: same input, same bytes, on any host.
// The shared object needs libc only. InvalidArgument for names that are no identifiers, are
// taken by the C library or meet, for traces that don't apply, and for versions of an operator that
// store an input or output differently; errors name the operator. Thread-safe.
//
// A library of several versions has one interface. When it is loaded, it chooses the best version
// that the CPU runs under the ceiling that TESSERA_ISA names (compiler/runtime/cpu.h). Stored
// inputs and outputs are the same in all versions, packed weights are not.
//
// Per operator `op` the library has (ops.h says the same with shapes, layouts and sizes):
//   int op(const T* input …, const void* weights, T* output …)   weights: only with constants
//   int op_pack_weights(const T* constant …, void* weights), size_t op_packed_bytes(void)
//   int op_pack_input(const T* row_major, T* stored)             op_pack_input_X with several
//   int op_unpack_output(const T* stored, T* row_major)          op_unpack_output_Y with several
//   op_X_BYTES, op_Y_BYTES: what inputs and outputs take as they are stored
// and once tessera_<name>_set_threads, tessera_<name>_version, tessera_<name>_isa. Nothing else is
// exported, so that a program can use several libraries that differ in their names and in those of
// their operators.
//
// A library for a device has, beside these, which then run on the device if there is one,
//   int op_opencl(kernels, queue, cl_mem input …, cl_mem weights, cl_mem output …,
//                 cl_mem workspace, cl_event* event), size_t op_opencl_workspace_bytes(void)
//   int op_opencl_pack_weights(kernels, queue, const T* constant …, cl_mem weights)
// and once tessera_<name>_opencl_create, tessera_<name>_opencl_destroy, tessera_<name>_device,
// tessera_<name>_fallback. For CUDA these are called cuda, take a CUstream and CUdeviceptr, and no
// event. It carries the kernels' source, which the device's driver compiles.
//
// One for an accelerator (kVta) has for the operators that it runs
//   int op_vta(vta, uint32_t input …, uint32_t weights, uint32_t output …)   addresses in its DRAM
//   int op_vta_pack_weights(vta, const T* constant …, uint32_t weights)
// and once tessera_<name>_vta_open and _create, which make `vta` of a board's registers and of a
// driver, _destroy, _use, _allocate, _release and _host. An operator that was not to be had for the
// accelerator by its default schedule runs on the CPU; header and manifest say why. InvalidArgument
// where that is so of all of them.
absl::StatusOr<LibraryFiles> BuildLibrary(const LibrarySpec& spec);

}  // namespace tessera::library
