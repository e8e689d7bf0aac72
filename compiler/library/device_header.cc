#include "compiler/library/device_header.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "compiler/library/device_kind.h"

namespace tessera::library {

std::string Named(const std::string& text, const LibrarySpec& spec) {
  return absl::StrReplaceAll(text, {{"$CREATE", CreateName(spec)},
                                    {"$DESTROY", DestroyName(spec)},
                                    {"$KERNELS", KernelsTypeName(spec)},
                                    {"$DEVICE", DeviceName(spec)},
                                    {"$FALLBACK", FallbackName(spec)}});
}

std::string Function(const std::string& name, const std::vector<std::string>& parameters) {
  return absl::StrCat("int ", name, "(\n    ", absl::StrJoin(parameters, ",\n    "), ");\n");
}

std::string DeviceResults() {
  return R"(#ifndef TESSERA_OPS_DEVICE_RESULTS_
#define TESSERA_OPS_DEVICE_RESULTS_
enum {
  TESSERA_OPS_NO_DEVICE = 6,      // no driver, or no such device
  TESSERA_OPS_DEVICE_LIMITS = 7,  // the device has less than the kernels were made for
  TESSERA_OPS_BAD_QUEUE = 8,      // a queue of another context or device, or out of order
  TESSERA_OPS_SMALL_BUFFER = 9    // a buffer has fewer bytes than its tensor
};
#endif

)";
}

std::string DeviceComment(const LibrarySpec& spec) {
  const DeviceKind& kind = DeviceKindOf(spec.device->target);
  return Named(absl::StrCat("// Each operator can be called in two ways.\n//\n", kind.use, R"(//
// With memory of the host: the calls that CPU libraries have. The first such call finds a device and
// compiles the kernels; each copies all arguments to the device, packed weights too, and outputs
)",
                            kind.search, R"(
// Where there is none, or it refuses the kernels, these calls run on the CPU from then on: a line on
// standard error says so, unless TESSERA_QUIET is 1, and $FALLBACK why.
// Pack weights in the process that uses them: blocks of the CPU and the device differ, and so do
// those of the two ways to call. The device stays open until the process ends.
//
)",
                            kind.loading, "//\n"),
               spec);
}

std::string DeviceDeclarations(const LibrarySpec& spec) {
  const DeviceKind& kind = DeviceKindOf(spec.device->target);
  const std::string created =
      kind.is_created_for_queue ? absl::StrCat(kind.queue, ", ") : std::string();
  return Named(absl::StrCat(DeviceResults(), kind.types, R"(
// The kernels of all operators, compiled for )",
                            kind.created_for, R"(. Any number of threads
// may call with the same ones. `log`, unless NULL, becomes what is wrong where that is not done,
// with the beginning of the compiler's messages, cut to log_bytes.
typedef struct $KERNELS $KERNELS;
int $CREATE(
    )",
                            created, R"($KERNELS** kernels, char* log, size_t log_bytes);
// When no call with them is under way; )",
                            kind.destroyed_when, R"(. Accepts NULL.
void $DESTROY($KERNELS* kernels);

// The device that calls with host memory run on; NULL: the CPU, and why.
const char* $DEVICE(void);
const char* $FALLBACK(void);

)"),
               spec);
}

std::string DeviceOpHeader(const CompiledOp& op, const LibrarySpec& spec) {
  const DeviceKind& kind = DeviceKindOf(spec.device->target);
  const PackedBlock& packed = op.device->packed;
  const std::vector<std::string> first = {KernelsTypeName(spec) + "* kernels", kind.queue};
  std::vector<std::string> parameters = first, constants = first;
  for (const OpTensor& tensor : op.inputs) {
    if (tensor.is_constant) {
      constants.push_back(SourceParameter(tensor));
    } else {
      parameters.push_back(kind.memory + tensor.name);
    }
  }
  if (op.has_constants()) parameters.push_back(absl::StrCat(kind.memory, "weights"));
  for (const OpTensor& tensor : op.outputs) parameters.push_back(kind.memory + tensor.name);
  parameters.push_back(absl::StrCat(kind.memory, "workspace"));
  if (kind.event != nullptr) parameters.emplace_back(kind.event);
  std::string text = Function(op.device_name(), parameters);
  absl::StrAppend(&text, "size_t ", op.workspace_bytes_name(), "(void);  // ",
                  op.device->code.workspace_bytes, "\n");
  if (!op.has_constants()) return text;
  constants.push_back(absl::StrCat(kind.memory, "weights"));
  absl::StrAppend(&text, "// Row-major constants in the host's memory to ", packed.bytes,
                  " bytes of the device's; ", op.packed_bytes_name(),
                  "() is enough. Waits for the device.\n",
                  Function(op.device_pack_name(), constants));
  return text;
}

}  // namespace tessera::library
