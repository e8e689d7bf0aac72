#include "compiler/library/documents.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/view.h"
#include "compiler/library/accelerator_header.h"
#include "compiler/library/device_header.h"
#include "compiler/library/isa.h"
#include "compiler/library/model_header.h"

namespace tessera::library {
namespace {

std::string ShapeOf(const ir::BufferNode& buffer) {
  return absl::StrCat(ir::ToString(buffer.type), "[", absl::StrJoin(buffer.shape, ", "), "]");
}

std::string ConstantLine(const OpTensor& tensor, bool is_transformed) {
  return absl::StrCat("//   constant ", tensor.name, ": ", ShapeOf(*tensor.buffer),
                      is_transformed ? ", transformed when packed\n" : ", packed\n");
}

std::string Line(const OpTensor& tensor, const char* role) {
  const ir::BufferNode& buffer = *tensor.buffer;
  return absl::StrCat("//   ", role, " ", tensor.name, ": ", ShapeOf(buffer), ", stored ",
                      StoredAs(buffer), ", ", buffer.StoredBytes(), " bytes\n");
}

std::string Parameters(const std::vector<std::string>& parameters) {
  return parameters.empty() ? "(void)" : absl::StrCat("(", absl::StrJoin(parameters, ", "), ")");
}

std::string Sink(const OpTensor& tensor) {
  return absl::StrCat(CTypeOf(tensor.buffer->type), "* ", tensor.name);
}

// "tuned schedule, 1.61e-04 s measured on x86/zen5/avx512/2c"
std::string Origin(const Implementation& implementation, const LibraryVersion& version) {
  std::string text =
      implementation.is_default ? "safe default schedule, not tuned" : "tuned schedule";
  if (implementation.measured_seconds) {
    absl::StrAppendFormat(&text, ", %.3g s measured", *implementation.measured_seconds);
    if (!version.device_class.empty()) absl::StrAppend(&text, " on ", version.device_class);
  }
  return text;
}

// "// c2 (conv 3x3): tuned schedule, …." or, of several versions, a line for each.
std::string Title(const CompiledOp& compiled, const LibrarySpec& spec) {
  const LibraryOp& op = *compiled.op;
  std::string text = absl::StrCat("// ", op.name);
  if (op.workload.name != op.name) absl::StrAppend(&text, " (", op.workload.name, ")");
  if (spec.versions.size() == 1 && !spec.device) {
    return absl::StrCat(text, ": ", Origin(op.versions[0], spec.versions[0]), ".\n");
  }
  text += ".\n";
  if (spec.device) {
    absl::StrAppend(&text, "//   ", AbslView(ir::KindName(spec.device->target.kind)), ": ",
                    compiled.device ? Origin(*op.on_device, *spec.device)
                                    : absl::StrCat("not there, it runs on the CPU: ",
                                                   compiled.why_not_on_device),
                    "\n");
  }
  for (size_t i = 0; i < spec.versions.size(); ++i) {
    absl::StrAppend(&text, "//   ", IsaText(spec.versions[i].target), ": ",
                    Origin(op.versions[i], spec.versions[i]), "\n");
  }
  return text;
}

std::string SizeMacro(const CompiledOp& op, const OpTensor& tensor) {
  return absl::StrCat("#define ", op.bytes_name(tensor), " ((size_t)", tensor.buffer->StoredBytes(),
                      ")\n");
}

std::string OpHeader(const CompiledOp& op, const LibrarySpec& spec) {
  std::string text = Title(op, spec);
  std::vector<std::string> parameters, constants;
  for (const OpTensor& tensor : op.inputs) {
    const int constant = static_cast<int>(constants.size());
    text += tensor.is_constant ? ConstantLine(tensor, op.IsTransformed(constant))
                               : Line(tensor, "input");
    (tensor.is_constant ? constants : parameters).push_back(SourceParameter(tensor));
  }
  for (const OpTensor& tensor : op.outputs) text += Line(tensor, "output");
  for (const OpTensor& tensor : op.inputs) {
    if (!tensor.is_constant) text += SizeMacro(op, tensor);
  }
  for (const OpTensor& tensor : op.outputs) text += SizeMacro(op, tensor);
  if (op.has_constants()) parameters.push_back("const void* weights");
  for (const OpTensor& tensor : op.outputs) parameters.push_back(Sink(tensor));
  absl::StrAppend(&text, "int ", op.op->name, Parameters(parameters), ";\n");
  if (op.has_constants()) {
    constants.push_back("void* weights");
    absl::StrAppend(&text, "// Row-major constants to the block that ", op.op->name,
                    " takes: ", op.packed_bytes, " bytes",
                    op.prepares() ? ", aligned to 64.\n" : ".\n");
    absl::StrAppend(&text, "size_t ", op.packed_bytes_name(), "(void);\n");
    absl::StrAppend(&text, "int ", op.pack_weights_name(), Parameters(constants), ";\n");
  }
  for (const CopyFunction& f : op.pack_inputs) {
    const std::string type = CTypeOf(op.inputs[static_cast<size_t>(f.tensor)].buffer->type);
    absl::StrAppend(&text, "int ", f.name, "(const ", type, "* row_major, ", type, "* stored);\n");
  }
  for (const CopyFunction& f : op.unpack_outputs) {
    const std::string type = CTypeOf(op.outputs[static_cast<size_t>(f.tensor)].buffer->type);
    absl::StrAppend(&text, "int ", f.name, "(const ", type, "* stored, ", type, "* row_major);\n");
  }
  if (op.device) {
    text += IsForAccelerator(spec) ? AcceleratorOpHeader(op, spec) : DeviceOpHeader(op, spec);
  }
  return text + "\n";
}

// What the header says of the CPUs that it runs on.
std::string CpuComment(absl::Span<const LibraryVersion> versions) {
  std::vector<std::string> names;
  for (const LibraryVersion& version : versions) names.push_back(IsaText(version.target));
  return absl::StrCat("// Instruction sets, best first: ", absl::StrJoin(names, "; "), R"(.
// The best one that the CPU has is used, under the ceiling that the environment variable TESSERA_ISA
// names when the library is loaded, such as )",
                      names.back(), R"(.
// On a CPU without any of them, operators and ..._pack_weights only return
// TESSERA_OPS_UNSUPPORTED_CPU. Packed weights differ between instruction sets and versions of
// Tessera: pack on the machine that runs.
)");
}

}  // namespace

std::string GenerateHeader(absl::Span<const CompiledOp> ops, const LibrarySpec& spec,
                           const std::string& version) {
  // The case is kept: libOps.so and libops.so are two libraries.
  std::vector<std::string> targets;
  if (spec.device) targets.push_back(ir::ToString(spec.device->target));
  int threads = 1;
  for (const LibraryVersion& one : spec.versions) {
    targets.push_back(ir::ToString(one.target));
    threads = std::max(threads, one.target.max_threads);
  }
  const std::string guard = absl::StrCat("TESSERA_LIBRARY_", spec.name, "_H_");
  std::string device_comment, device_declarations;
  if (IsForAccelerator(spec)) {
    device_comment = AcceleratorComment(ops, spec);
    device_declarations = AcceleratorDeclarations(spec);
  } else if (spec.device) {
    device_comment = DeviceComment(spec);
    device_declarations = DeviceDeclarations(spec);
  }
  std::string text = absl::StrCat(
      "// Tuned operators, generated by ", version, " for ", absl::StrJoin(targets, ", "),
      ".\n//\n", device_comment, CpuComment(spec.versions), R"(//
// Every function returns TESSERA_OPS_OK or one of the errors below, and may be called by any number
// of threads at once. Operators take pointers aligned to 64 bytes, tensors in the stored layouts
// named here, and write every byte of their outputs. Inputs and outputs must not overlap.
//
// A layout lists the stored dimensions, outermost first: "0 1/16 2 3 1%16" is a tensor whose
// dimension 1 is split into blocks of 16, the block innermost. Padding is zero. ..._pack_input and
// ..._unpack_output convert from and to row-major (any alignment); ..._pack_weights is called once.
// ..._BYTES are the sizes of stored tensors. Row-major ones hold the product of their shape; a
// library of the same operators tuned again differs in layouts and sizes only. A program may use
// several libraries if their names and those of their operators differ.

)",
      "#ifndef ", guard, "\n#define ", guard, R"(

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef TESSERA_OPS_RESULTS_
#define TESSERA_OPS_RESULTS_
enum {
  TESSERA_OPS_OK = 0,
  TESSERA_OPS_NULL_POINTER = 1,    // an argument is NULL
  TESSERA_OPS_MISALIGNED = 2,      // an argument of an operator is not aligned to 64 bytes
  TESSERA_OPS_OUT_OF_MEMORY = 3,   // no memory for workspace or threads
  TESSERA_OPS_BAD_THREADS = 4,     // a number of threads outside 1 to 1024
  TESSERA_OPS_UNSUPPORTED_CPU = 5  // this CPU, or TESSERA_ISA, allows none of the instruction sets
};
#endif

// Threads that the operators of this library use from now on, the caller included; waits for
// running calls. Without it, as many as the library was made for ()",
      threads, R"(), but not more than the process
// has cores. Those of the library are pinned, each to a core of its own, if the environment variable
// TESSERA_PIN is 1 when it is loaded; the caller never is.
int )",
      SetThreadsName(spec), "(int threads);\n\n// Who made this library.\nconst char* ",
      VersionName(spec), "(void);\n\n// The instruction set in use, NULL for none.\nconst char* ",
      IsaName(spec), "(void);\n\n");
  text += device_declarations;
  if (spec.model) {
    text += ModelHeader(*spec.model, spec);
  } else {
    for (const CompiledOp& op : ops) text += OpHeader(op, spec);
  }
  text += "#ifdef __cplusplus\n}\n#endif\n\n#endif  // " + guard + "\n";
  return text;
}

}  // namespace tessera::library
