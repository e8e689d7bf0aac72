#include "compiler/library/documents.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/hash.h"
#include "compiler/library/isa.h"
#include "llvm/Config/llvm-config.h"

namespace tessera::library {
namespace {

std::string ShapeOf(const ir::BufferNode& buffer) {
  return absl::StrCat(ir::ToString(buffer.type), "[", absl::StrJoin(buffer.shape, ", "), "]");
}

std::string LayoutOf(const ir::BufferNode& buffer) {
  return buffer.layout.empty() ? "row-major" : ir::LayoutToString(buffer.layout, buffer.shape);
}

std::string ConstantLine(const OpTensor& tensor, bool is_transformed) {
  return absl::StrCat("//   constant ", tensor.name, ": ", ShapeOf(*tensor.buffer),
                      is_transformed ? ", transformed when packed\n" : ", packed\n");
}

std::string Line(const OpTensor& tensor, const char* role) {
  const ir::BufferNode& buffer = *tensor.buffer;
  return absl::StrCat("//   ", role, " ", tensor.name, ": ", ShapeOf(buffer), ", stored ",
                      LayoutOf(buffer), ", ", buffer.StoredBytes(), " bytes\n");
}

std::string Parameters(const std::vector<std::string>& parameters) {
  return parameters.empty() ? "(void)" : absl::StrCat("(", absl::StrJoin(parameters, ", "), ")");
}

std::string Source(const OpTensor& tensor) {
  return absl::StrCat("const ", CTypeOf(tensor.buffer->type), "* ", tensor.name);
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
std::string Title(const LibraryOp& op, absl::Span<const LibraryVersion> versions) {
  std::string text = absl::StrCat("// ", op.name);
  if (op.workload.name != op.name) absl::StrAppend(&text, " (", op.workload.name, ")");
  if (versions.size() == 1) {
    return absl::StrCat(text, ": ", Origin(op.versions[0], versions[0]), ".\n");
  }
  text += ".\n";
  for (size_t i = 0; i < versions.size(); ++i) {
    absl::StrAppend(&text, "//   ", IsaText(versions[i].target), ": ",
                    Origin(op.versions[i], versions[i]), "\n");
  }
  return text;
}

std::string SizeMacro(const CompiledOp& op, const OpTensor& tensor) {
  return absl::StrCat("#define ", op.bytes_name(tensor), " ((size_t)", tensor.buffer->StoredBytes(),
                      ")\n");
}

std::string OpHeader(const CompiledOp& op, absl::Span<const LibraryVersion> versions) {
  std::string text = Title(*op.op, versions);
  std::vector<std::string> parameters, constants;
  for (const OpTensor& tensor : op.inputs) {
    const int constant = static_cast<int>(constants.size());
    text += tensor.is_constant ? ConstantLine(tensor, op.IsTransformed(constant))
                               : Line(tensor, "input");
    (tensor.is_constant ? constants : parameters).push_back(Source(tensor));
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
  return text + "\n";
}

nlohmann::json TensorJson(const OpTensor& tensor, const char* role) {
  const ir::BufferNode& buffer = *tensor.buffer;
  nlohmann::json json = {{"name", tensor.name},
                         {"role", role},
                         {"type", ir::ToString(buffer.type)},
                         {"shape", buffer.shape}};
  if (!tensor.is_constant) {
    json["layout"] = LayoutOf(buffer);
    json["stored_bytes"] = buffer.StoredBytes();
  }
  return json;
}

nlohmann::json ImplementationJson(const CompiledOp& op, size_t number,
                                  const LibraryVersion& version) {
  const Implementation& implementation = op.op->versions[number];
  const CompiledVersion& compiled = op.versions[number];
  nlohmann::json constants = nlohmann::json::array();
  for (const OpTensor& tensor : op.inputs) {
    if (!tensor.is_constant) continue;
    const PackedConstant& packed = compiled.constants[constants.size()];
    constants.push_back({{"name", tensor.name},
                         {"layout", LayoutOf(*packed.buffer)},
                         {"stored_bytes", packed.buffer->StoredBytes()}});
    if (!packed.is_scratch) constants.back()["packed_offset"] = packed.offset;
  }
  nlohmann::json prepared = nlohmann::json::array();
  if (compiled.preparation) {
    for (const PackedConstant& result : compiled.preparation->results) {
      prepared.push_back({{"name", result.buffer->name},
                          {"shape", result.buffer->shape},
                          {"layout", LayoutOf(*result.buffer)},
                          {"stored_bytes", result.buffer->StoredBytes()},
                          {"packed_offset", result.offset}});
    }
  }
  nlohmann::json measured;
  if (implementation.measured_seconds) measured = *implementation.measured_seconds;
  return {{"isa", IsaText(version.target)},
          {"device_class", version.device_class},
          {"trace", schedule::Print(implementation.trace)},
          {"is_default", implementation.is_default},
          {"measured_seconds", measured},
          {"record_ids", implementation.record_ids},
          {"object_sha256", Sha256Hex(compiled.code.bytes)},
          {"shared_workspace_bytes", compiled.code.kernels[0].shared_workspace_bytes},
          {"private_workspace_bytes", compiled.code.kernels[0].private_workspace_bytes},
          {"packed_bytes", compiled.packed_bytes},
          {"constants", constants},
          {"prepared", prepared}};
}

nlohmann::json OpJson(const CompiledOp& op, absl::Span<const LibraryVersion> library_versions) {
  nlohmann::json tensors = nlohmann::json::array();
  for (const OpTensor& tensor : op.inputs) {
    tensors.push_back(TensorJson(tensor, tensor.is_constant ? "constant" : "input"));
  }
  for (const OpTensor& tensor : op.outputs) tensors.push_back(TensorJson(tensor, "output"));
  nlohmann::json versions = nlohmann::json::array();
  for (size_t i = 0; i < library_versions.size(); ++i) {
    versions.push_back(ImplementationJson(op, i, library_versions[i]));
  }
  return {{"name", op.op->name},
          {"functions", op.ExportedNames()},
          {"workload", te::Print(op.op->workload)},
          {"workload_hash", HashToHex(te::StructuralHash(op.op->workload.dag))},
          {"executed_operations", te::ExecutedOperations(op.op->workload.dag)},
          {"packed_bytes", op.packed_bytes},
          {"tensors", tensors},
          {"versions", versions}};
}

nlohmann::json VersionsJson(absl::Span<const LibraryVersion> versions) {
  nlohmann::json list = nlohmann::json::array();
  for (const LibraryVersion& version : versions) {
    list.push_back({{"isa", IsaText(version.target)},
                    {"target", ir::ToString(version.target)},
                    {"device_class", version.device_class}});
  }
  return list;
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
  int threads = 1;
  for (const LibraryVersion& one : spec.versions) {
    targets.push_back(ir::ToString(one.target));
    threads = std::max(threads, one.target.max_threads);
  }
  const std::string guard = absl::StrCat("TESSERA_LIBRARY_", spec.name, "_H_");
  std::string text = absl::StrCat(
      "// Tuned operators, generated by ", version, " for ", absl::StrJoin(targets, ", "),
      ".\n//\n", CpuComment(spec.versions), R"(//
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
  for (const CompiledOp& op : ops) text += OpHeader(op, spec.versions);
  text += "#ifdef __cplusplus\n}\n#endif\n\n#endif  // " + guard + "\n";
  return text;
}

std::string GenerateManifest(absl::Span<const CompiledOp> ops, const LibrarySpec& spec,
                             const std::string& version, const Digests& digests) {
  nlohmann::json list = nlohmann::json::array();
  for (const CompiledOp& op : ops) list.push_back(OpJson(op, spec.versions));
  const nlohmann::json manifest = {{"manifest_version", 2},
                                   {"tessera_version", version},
                                   {"llvm_version", LLVM_VERSION_STRING},
                                   {"runtime_sha256", digests.runtime_sha256},
                                   {"library_sha256", digests.library_sha256},
                                   {"header_sha256", digests.header_sha256},
                                   {"versions", VersionsJson(spec.versions)},
                                   {"needed", nlohmann::json::array({"libc.so.6"})},
                                   {"ops", list}};
  return manifest.dump(2) + "\n";
}

}  // namespace tessera::library
