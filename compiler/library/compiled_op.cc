#include "compiler/library/compiled_op.h"

#include <algorithm>
#include <array>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/ir/visitor.h"
#include "compiler/passes/lower.h"
#include "compiler/runtime/layout.h"
#include "compiler/runtime/ops.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/te/c_names.h"

namespace tessera::library {
namespace {

constexpr int64_t kAlignment = 64;

int64_t RoundUp(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// A C name for a tensor, different from those before it.
std::string ParameterName(const std::string& name, absl::flat_hash_set<std::string>& used) {
  std::string result;
  for (char c : name) result += absl::ascii_isalnum(static_cast<unsigned char>(c)) ? c : '_';
  if (result.empty() || absl::ascii_isdigit(static_cast<unsigned char>(result[0]))) {
    result = absl::StrCat("t", result);
  }
  while (te::IsReservedInC(result) || !used.insert(result).second) result += '_';
  return result;
}

absl::Status CheckLayout(const ir::BufferNode& buffer) {
  if (buffer.layout.empty()) return absl::OkStatus();
  if (buffer.type.bits < 8) {
    return absl::UnimplementedError(
        absl::StrCat("tensor ", buffer.name, ": ", ir::ToString(buffer.type),
                     " elements can't be packed into a layout by a library; keep it row-major"));
  }
  if (buffer.shape.size() > TESSERA_MAX_RANK || buffer.layout.size() > TESSERA_MAX_LAYOUT_DIMS) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", buffer.name, ": rank ", buffer.shape.size(), " with ",
                     buffer.layout.size(), " stored dimensions is over the limit of ",
                     TESSERA_MAX_RANK, " and ", TESSERA_MAX_LAYOUT_DIMS));
  }
  return absl::OkStatus();
}

std::vector<CopyFunction> NameCopies(const std::string& prefix,
                                     const std::vector<OpTensor>& tensors) {
  std::vector<CopyFunction> functions;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].is_constant) continue;
    functions.push_back({absl::StrCat(prefix, "_", tensors[i].name), static_cast<int>(i)});
  }
  if (functions.size() == 1) functions[0].name = prefix;
  return functions;
}

struct Compiled {
  CompiledVersion version;
  std::vector<ir::Buffer> tensors;  // inputs, then outputs, as this version stores them
};

absl::StatusOr<Compiled> CompileVersion(const LibraryOp& op, const Implementation& implementation,
                                        const ir::Target& target, size_t number) {
  TESSERA_ASSIGN_OR_RETURN(const schedule::Schedule schedule,
                           schedule::ApplyTrace(op.workload.dag, implementation.trace));
  TESSERA_ASSIGN_OR_RETURN(const schedule::LoopStructure loops, schedule::InferBounds(schedule));
  TESSERA_ASSIGN_OR_RETURN(
      const ir::Program program,
      passes::Lower(schedule, loops, absl::StrCat("tessera_kernel_", op.name, "_", number)));
  static_assert(schedule::kMaxKernelBuffers == TESSERA_OP_MAX_BUFFERS);
  if (program.params.size() > TESSERA_OP_MAX_BUFFERS) {
    return absl::InvalidArgumentError(absl::StrCat(
        program.params.size(), " tensors are over the limit of ", TESSERA_OP_MAX_BUFFERS));
  }
  Compiled compiled;
  CompiledVersion& made = compiled.version;
  TESSERA_ASSIGN_OR_RETURN(
      const std::optional<ir::Program> preparation,
      passes::LowerPreparation(schedule, loops,
                               absl::StrCat("tessera_prepare_", op.name, "_", number)));
  std::vector<ir::Program> programs = {program};
  if (preparation) {
    made.preparation.emplace();
    programs.push_back(*preparation);
  }
  TESSERA_ASSIGN_OR_RETURN(made.code, codegen::GenerateObject(programs, target));
  const auto place = [](const ir::Buffer& buffer, int64_t& size) {
    const int64_t offset = size;
    size += RoundUp(buffer->StoredBytes());
    return offset;
  };
  const size_t inputs = schedule.inputs().size(), outputs = schedule.outputs().size();
  for (size_t i = 0; i < program.params.size(); ++i) {
    const ir::Buffer& buffer = program.params[i];
    if (i >= inputs + outputs) {
      made.preparation->results.push_back({buffer, place(buffer, made.packed_bytes)});
      continue;
    }
    TESSERA_RETURN_IF_ERROR(CheckLayout(*buffer));
    compiled.tensors.push_back(buffer);
    if (i >= inputs || !schedule.inputs()[i].is_constant) continue;
    const bool is_scratch = preparation && ir::Reads(preparation->body, preparation->params[i]) &&
                            !ir::Reads(program.body, buffer);
    int64_t& size = is_scratch ? made.preparation->scratch_bytes : made.packed_bytes;
    made.constants.push_back({buffer, place(buffer, size), is_scratch});
  }
  if (preparation) {
    Preparation& computed = *made.preparation;
    computed.workspace_offset = computed.scratch_bytes;
    const codegen::Kernel& prepare = made.code.kernels[1];
    computed.scratch_bytes +=
        RoundUp(prepare.shared_workspace_bytes + prepare.private_workspace_bytes);
  }
  return compiled;
}

std::string StoredAs(const ir::BufferNode& buffer) {
  return buffer.layout.empty() ? "row-major" : ir::LayoutToString(buffer.layout, buffer.shape);
}

// A program can't adapt what it passes between operators to the CPU that it runs on.
absl::Status CheckSameInterface(const CompiledOp& op, const Compiled& version,
                                const ir::Target& first_target, const ir::Target& target) {
  std::vector<const OpTensor*> tensors;
  for (const OpTensor& tensor : op.inputs) tensors.push_back(&tensor);
  for (const OpTensor& tensor : op.outputs) tensors.push_back(&tensor);
  TESSERA_CHECK(tensors.size() == version.tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const ir::BufferNode& first = *tensors[i]->buffer;
    const ir::BufferNode& other = *version.tensors[i];
    if (tensors[i]->is_constant || first.layout == other.layout) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor ", first.name, " is stored ", StoredAs(first), " for ", ir::ToString(first_target),
        " and ", StoredAs(other), " for ", ir::ToString(target),
        "; all versions of a library take one layout, choose traces that have it"));
  }
  return absl::OkStatus();
}

absl::StatusOr<CompiledOp> Compile(const LibraryOp& op, absl::Span<const LibraryVersion> versions) {
  TESSERA_CHECK(op.versions.size() == versions.size());
  CompiledOp compiled{&op};
  for (size_t v = 0; v < versions.size(); ++v) {
    const ir::Target& target = versions[v].target;
    absl::StatusOr<Compiled> version = CompileVersion(op, op.versions[v], target, v);
    if (!version.ok()) return Annotate(version.status(), ir::ToString(target));
    if (v == 0) {
      absl::flat_hash_set<std::string> used;
      for (size_t i = 0; i < version->tensors.size(); ++i) {
        OpTensor tensor{version->tensors[i], ParameterName(version->tensors[i]->name, used)};
        const bool is_input = i < op.workload.dag.inputs.size();
        tensor.is_constant = is_input && op.workload.dag.inputs[i].is_constant;
        (is_input ? compiled.inputs : compiled.outputs).push_back(std::move(tensor));
      }
    } else {
      TESSERA_RETURN_IF_ERROR(CheckSameInterface(compiled, *version, versions[0].target, target));
    }
    compiled.packed_bytes = std::max(compiled.packed_bytes, version->version.packed_bytes);
    compiled.versions.push_back(std::move(version->version));
  }
  compiled.pack_inputs = NameCopies(op.name + "_pack_input", compiled.inputs);
  compiled.unpack_outputs = NameCopies(op.name + "_unpack_output", compiled.outputs);
  return compiled;
}

}  // namespace

bool CompiledOp::IsTransformed(int constant) const {
  return std::any_of(versions.begin(), versions.end(), [&](const CompiledVersion& version) {
    return version.constants[static_cast<size_t>(constant)].is_scratch;
  });
}

bool CompiledOp::prepares() const {
  return std::any_of(versions.begin(), versions.end(), [](const CompiledVersion& version) {
    return version.preparation.has_value();
  });
}

std::vector<std::string> CompiledOp::ExportedNames() const {
  std::vector<std::string> names = {op->name};
  if (has_constants()) {
    names.push_back(pack_weights_name());
    names.push_back(packed_bytes_name());
  }
  for (const CopyFunction& f : pack_inputs) names.push_back(f.name);
  for (const CopyFunction& f : unpack_outputs) names.push_back(f.name);
  return names;
}

std::vector<std::string> CompiledOp::HeaderNames() const {
  std::vector<std::string> names = ExportedNames();
  for (const OpTensor& tensor : inputs) {
    if (!tensor.is_constant) names.push_back(bytes_name(tensor));
  }
  for (const OpTensor& tensor : outputs) names.push_back(bytes_name(tensor));
  return names;
}

absl::StatusOr<CompiledOp> CompileOp(const LibraryOp& op,
                                     absl::Span<const LibraryVersion> versions) {
  TESSERA_RETURN_IF_ERROR(te::CheckOpName(op.name));
  absl::StatusOr<CompiledOp> compiled = Compile(op, versions);
  if (!compiled.ok()) return Annotate(compiled.status(), absl::StrCat("operator ", op.name));
  return compiled;
}

std::string CTypeOf(ir::Type type) {
  if (type.is_float()) return type.bits == 64 ? "double" : type.bits == 32 ? "float" : "uint16_t";
  if (type.bits < 8) return "uint8_t";
  return absl::StrCat(type.code == ir::TypeCode::kUInt ? "uint" : "int",
                      static_cast<int>(type.bits), "_t");
}

std::string SetThreadsName(const LibrarySpec& spec) {
  return absl::StrCat("tessera_", spec.name, "_set_threads");
}

std::string VersionName(const LibrarySpec& spec) {
  return absl::StrCat("tessera_", spec.name, "_version");
}

std::string IsaName(const LibrarySpec& spec) { return absl::StrCat("tessera_", spec.name, "_isa"); }

}  // namespace tessera::library
