#include "compiler/library/device_header.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace tessera::library {
namespace {

constexpr char kMemory[] = "struct _cl_mem* ";

// The text with the names of the library's own functions.
std::string Named(const char* text, const LibrarySpec& spec) {
  return absl::StrReplaceAll(text, {{"$CREATE", CreateName(spec)},
                                    {"$DESTROY", DestroyName(spec)},
                                    {"$KERNELS", KernelsTypeName(spec)},
                                    {"$DEVICE", DeviceName(spec)},
                                    {"$FALLBACK", FallbackName(spec)}});
}

// "int name(\n    one, two);", so that lines stay short.
std::string Function(const std::string& name, const std::vector<std::string>& parameters) {
  return absl::StrCat("int ", name, "(\n    ", absl::StrJoin(parameters, ",\n    "), ");\n");
}

}  // namespace

std::string DeviceComment(const LibrarySpec& spec) {
  return Named(R"(// Each operator can be called in two ways.
//
// With memory of an OpenCL device: ..._opencl puts the operator's kernels into a command queue of the
// program's and returns. $CREATE compiles the kernels for the queue's context and
// device; calls take the result, an in-order queue of the same context and device, and buffers
// (cl_mem) of at least the sizes named here, in the stored layouts. Weights are packed into such a
// buffer once. A weights buffer must be no part of another buffer (clCreateSubBuffer); others may.
// `workspace` holds what a call keeps between its kernels: a buffer that no other call uses before
// this one is done (in one queue all calls may share one), or NULL, and the call makes its own.
// `event`, unless NULL, becomes that of the call's last kernel; it is the program's to release.
//
// With memory of the host: the calls that CPU libraries have. The first such call finds a device and
// compiles the kernels; each copies all arguments to the device, packed weights too, and outputs
// back. TESSERA_DEVICE, an environment variable read when the library is loaded, is a part of the
// name of the device or its platform, or cpu; without it the first device is taken, GPUs before
// others. Where there is none, or it refuses the kernels, these calls run on the CPU from then on: a
// line on standard error says so, unless TESSERA_QUIET is 1, and $FALLBACK why.
// Pack weights in the process that uses them: blocks of the CPU and the device differ, and so do
// those of the two ways to call. The device stays open until the process ends.
//
// The library links no OpenCL: it loads libOpenCL.so.1 when it first needs it. Negative results are
// OpenCL's errors, such as -11 for CL_BUILD_PROGRAM_FAILURE.
//
)",
               spec);
}

std::string DeviceDeclarations(const LibrarySpec& spec) {
  return Named(R"(#ifndef TESSERA_OPS_DEVICE_RESULTS_
#define TESSERA_OPS_DEVICE_RESULTS_
enum {
  TESSERA_OPS_NO_DEVICE = 6,      // no OpenCL, or no such device
  TESSERA_OPS_DEVICE_LIMITS = 7,  // the device has less than the kernels were made for
  TESSERA_OPS_BAD_QUEUE = 8,      // a queue of another context or device, or out of order
  TESSERA_OPS_SMALL_BUFFER = 9    // a buffer has fewer bytes than its tensor
};
#endif

// What <CL/cl.h> calls cl_command_queue, cl_mem and cl_event points to these.
struct _cl_command_queue;
struct _cl_mem;
struct _cl_event;

// The kernels of all operators, compiled for context and device of a queue. Any number of threads
// may call with the same ones. `log`, unless NULL, becomes what is wrong where that is not done,
// with the beginning of the compiler's messages, cut to log_bytes.
typedef struct $KERNELS $KERNELS;
int $CREATE(struct _cl_command_queue* queue, $KERNELS** kernels,
    char* log, size_t log_bytes);
// When no call with them is under way; what is in queues goes on. Accepts NULL.
void $DESTROY($KERNELS* kernels);

// The device that calls with host memory run on; NULL: the CPU, and why.
const char* $DEVICE(void);
const char* $FALLBACK(void);

)",
               spec);
}

std::string DeviceOpHeader(const CompiledOp& op, const LibrarySpec& spec) {
  const PackedBlock& packed = op.device->packed;
  const std::vector<std::string> first = {KernelsTypeName(spec) + "* kernels",
                                          "struct _cl_command_queue* queue"};
  std::vector<std::string> parameters = first, constants = first;
  for (const OpTensor& tensor : op.inputs) {
    if (tensor.is_constant) {
      constants.push_back(SourceParameter(tensor));
    } else {
      parameters.push_back(kMemory + tensor.name);
    }
  }
  if (op.has_constants()) parameters.push_back(absl::StrCat(kMemory, "weights"));
  for (const OpTensor& tensor : op.outputs) parameters.push_back(kMemory + tensor.name);
  parameters.push_back(absl::StrCat(kMemory, "workspace"));
  parameters.push_back("struct _cl_event** event");
  std::string text = Function(op.device_name(), parameters);
  absl::StrAppend(&text, "size_t ", op.workspace_bytes_name(), "(void);  // ",
                  op.device->code.workspace_bytes, "\n");
  if (!op.has_constants()) return text;
  constants.push_back(absl::StrCat(kMemory, "weights"));
  absl::StrAppend(&text, "// Row-major constants in the host's memory to a buffer of ",
                  packed.bytes, " bytes; ", op.packed_bytes_name(),
                  "() is enough. Waits for the device.\n",
                  Function(op.device_pack_name(), constants));
  return text;
}

}  // namespace tessera::library
