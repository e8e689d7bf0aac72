#include "compiler/library/compiled_op.h"

#include <algorithm>
#include <array>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/ir/visitor.h"
#include "compiler/library/device_kind.h"
#include "compiler/passes/build_loops.h"
#include "compiler/passes/lower.h"
#include "compiler/runtime/device.h"
#include "compiler/runtime/layout.h"
#include "compiler/runtime/ops.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/te/c_names.h"

namespace tessera::library {
namespace {

constexpr int64_t kAlignment = 64;

int64_t RoundUp(int64_t bytes, int64_t unit) { return (bytes + unit - 1) / unit * unit; }

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

// An operator's schedule for one target, lowered.
struct Lowered {
  std::vector<ir::Program> programs;  // the kernel and, if there is one, the preparation
  std::vector<ir::Buffer> tensors;    // inputs, then outputs, as this version stores them
  PackedBlock packed;
};

// Places `params`, which are inputs, outputs and what a preparation computes. Parts of the packed
// block begin at multiples of `alignment`; `is_scratch`: of an input that runs don't read.
absl::Status PlaceTensors(const schedule::Schedule& schedule, absl::Span<const ir::Buffer> params,
                          int64_t alignment, absl::FunctionRef<bool(size_t)> is_scratch,
                          Lowered& lowered) {
  static_assert(schedule::kMaxKernelBuffers == TESSERA_OP_MAX_BUFFERS);
  if (params.size() > TESSERA_OP_MAX_BUFFERS) {
    return absl::InvalidArgumentError(
        absl::StrCat(params.size(), " tensors are over the limit of ", TESSERA_OP_MAX_BUFFERS));
  }
  PackedBlock& packed = lowered.packed;
  const auto place = [&](const ir::Buffer& buffer, int64_t& size) {
    const int64_t offset = RoundUp(size, alignment);
    size = offset + RoundUp(buffer->StoredBytes(), kAlignment);
    return offset;
  };
  const size_t inputs = schedule.inputs().size(), outputs = schedule.outputs().size();
  for (size_t i = 0; i < params.size(); ++i) {
    const ir::Buffer& buffer = params[i];
    if (i >= inputs + outputs) {
      packed.preparation->results.push_back({buffer, place(buffer, packed.bytes)});
      continue;
    }
    TESSERA_RETURN_IF_ERROR(CheckLayout(*buffer));
    lowered.tensors.push_back(buffer);
    if (i >= inputs || !schedule.inputs()[i].is_constant) continue;
    const bool in_scratch = is_scratch(i);
    int64_t& size = in_scratch ? packed.preparation->scratch_bytes : packed.bytes;
    packed.constants.push_back({buffer, place(buffer, size), in_scratch});
  }
  return absl::OkStatus();
}

// `suffix`: what makes the kernel's name the only one of the library.
absl::StatusOr<Lowered> LowerVersion(const LibraryOp& op, const Implementation& implementation,
                                     const std::string& suffix, int64_t alignment) {
  TESSERA_ASSIGN_OR_RETURN(const schedule::Schedule schedule,
                           schedule::ApplyTrace(op.workload.dag, implementation.trace));
  TESSERA_ASSIGN_OR_RETURN(const schedule::LoopStructure loops, schedule::InferBounds(schedule));
  TESSERA_ASSIGN_OR_RETURN(
      const ir::Program program,
      passes::Lower(schedule, loops, absl::StrCat("tessera_kernel_", op.name, suffix)));
  TESSERA_ASSIGN_OR_RETURN(
      const std::optional<ir::Program> preparation,
      passes::LowerPreparation(schedule, loops, absl::StrCat("tessera_prepare_", op.name, suffix)));
  Lowered lowered;
  lowered.programs = {program};
  if (preparation) {
    lowered.packed.preparation.emplace();
    lowered.programs.push_back(*preparation);
  }
  const auto is_scratch = [&](size_t input) {
    return preparation && ir::Reads(preparation->body, preparation->params[input]) &&
           !ir::Reads(program.body, program.params[input]);
  };
  TESSERA_RETURN_IF_ERROR(PlaceTensors(schedule, program.params, alignment, is_scratch, lowered));
  return lowered;
}

// A program can't adapt what it passes between operators to the machine that it runs on.
absl::Status CheckSameInterface(const CompiledOp& op, absl::Span<const ir::Buffer> stored,
                                const ir::Target& first_target, const ir::Target& target) {
  std::vector<const OpTensor*> tensors;
  for (const OpTensor& tensor : op.inputs) tensors.push_back(&tensor);
  for (const OpTensor& tensor : op.outputs) tensors.push_back(&tensor);
  TESSERA_CHECK(tensors.size() == stored.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const ir::BufferNode& first = *tensors[i]->buffer;
    const ir::BufferNode& other = *stored[i];
    if (tensors[i]->is_constant || first.layout == other.layout) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor ", first.name, " is stored ", StoredAs(first), " for ", ir::ToString(first_target),
        " and ", StoredAs(other), " for ", ir::ToString(target),
        "; all versions of a library take one layout, choose traces that have it"));
  }
  return absl::OkStatus();
}

void NameTensors(absl::Span<const ir::Buffer> stored, CompiledOp& compiled) {
  const std::vector<te::Input>& inputs = compiled.op->workload.dag.inputs;
  // Beside parameters of the header's own.
  absl::flat_hash_set<std::string> used = {"weights",   "kernels", "queue", "stream",
                                           "workspace", "event",   "vta"};
  for (size_t i = 0; i < stored.size(); ++i) {
    const bool is_input = i < inputs.size();
    (is_input ? compiled.inputs : compiled.outputs)
        .push_back(
            {stored[i], ParameterName(stored[i]->name, used), is_input && inputs[i].is_constant});
  }
}

// Inputs, then outputs, as a version stores them.
using Stored = std::vector<ir::Buffer>;

absl::StatusOr<Stored> AddVersion(const LibraryVersion& version, size_t number,
                                  CompiledOp& compiled) {
  const LibraryOp& op = *compiled.op;
  TESSERA_ASSIGN_OR_RETURN(Lowered lowered, LowerVersion(op, op.versions[number],
                                                         absl::StrCat("_", number), kAlignment));
  TESSERA_ASSIGN_OR_RETURN(codegen::ObjectCode code,
                           codegen::GenerateObject(lowered.programs, version.target));
  compiled.versions.push_back({std::move(code), std::move(lowered.packed)});
  return std::move(lowered.tensors);
}

absl::StatusOr<Stored> AddGpu(const LibraryVersion& device, CompiledOp& compiled) {
  const LibraryOp& op = *compiled.op;
  TESSERA_ASSIGN_OR_RETURN(Lowered lowered,
                           LowerVersion(op, *op.on_device, "", TESSERA_DEVICE_ALIGNMENT));
  TESSERA_ASSIGN_OR_RETURN(codegen::gpu::DeviceCode code,
                           DeviceKindOf(device.target).generate(lowered.programs, device.target));
  compiled.device = {device.target.kind, std::move(code), {}, std::move(lowered.packed)};
  return std::move(lowered.tensors);
}

absl::StatusOr<Stored> AddAccelerator(const LibraryVersion& device, CompiledOp& compiled) {
  const LibraryOp& op = *compiled.op;
  TESSERA_ASSIGN_OR_RETURN(const schedule::Schedule schedule,
                           schedule::ApplyTrace(op.workload.dag, op.on_device->trace));
  TESSERA_ASSIGN_OR_RETURN(const schedule::LoopStructure loops, schedule::InferBounds(schedule));
  TESSERA_ASSIGN_OR_RETURN(std::vector<codegen::vta::Kernel> programs,
                           codegen::vta::Generate(schedule, loops, device.target));
  Lowered placed;
  TESSERA_RETURN_IF_ERROR(PlaceTensors(
      schedule, passes::MakeParameters(schedule), TESSERA_DEVICE_ALIGNMENT,
      [](size_t) { return false; }, placed));
  compiled.device = {device.target.kind, {}, std::move(programs), std::move(placed.packed)};
  return std::move(placed.tensors);
}

// Nothing where the operator is left to the CPU.
absl::StatusOr<std::optional<Stored>> AddDevice(const LibraryVersion& device,
                                                CompiledOp& compiled) {
  const LibraryOp& op = *compiled.op;
  if (!op.on_device) {
    compiled.why_not_on_device = op.why_not_on_device;
    return std::nullopt;
  }
  if (device.target.kind != ir::TargetKind::kVta) return AddGpu(device, compiled);
  absl::StatusOr<Stored> stored = AddAccelerator(device, compiled);
  if (stored.ok()) return *std::move(stored);
  // A recorded program ran once; a default schedule is only what is tried where there is none.
  if (!op.on_device->is_default || !absl::IsInvalidArgument(stored.status())) {
    return stored.status();
  }
  compiled.why_not_on_device = StdView(stored.status().message());
  return std::nullopt;
}

absl::StatusOr<CompiledOp> Compile(const LibraryOp& op, const LibrarySpec& spec) {
  TESSERA_CHECK(op.versions.size() == spec.versions.size());
  CompiledOp compiled{&op};
  const ir::Target& first = spec.versions[0].target;
  for (size_t v = 0; v < spec.versions.size(); ++v) {
    const ir::Target& target = spec.versions[v].target;
    const absl::StatusOr<Stored> stored = AddVersion(spec.versions[v], v, compiled);
    if (!stored.ok()) return Annotate(stored.status(), ir::ToString(target));
    if (v == 0) NameTensors(*stored, compiled);
    TESSERA_RETURN_IF_ERROR(CheckSameInterface(compiled, *stored, first, target));
  }
  if (spec.device) {
    const ir::Target& target = spec.device->target;
    const absl::StatusOr<std::optional<Stored>> stored = AddDevice(*spec.device, compiled);
    if (!stored.ok()) return Annotate(stored.status(), ir::ToString(target));
    if (*stored) {
      TESSERA_RETURN_IF_ERROR(CheckSameInterface(compiled, **stored, first, target));
    }
  }
  for (const PackedBlock* block : compiled.Blocks()) {
    compiled.packed_bytes = std::max(compiled.packed_bytes, block->bytes);
  }
  compiled.pack_inputs = NameCopies(op.name + "_pack_input", compiled.inputs);
  compiled.unpack_outputs = NameCopies(op.name + "_unpack_output", compiled.outputs);
  return compiled;
}

}  // namespace

int64_t CompiledVersion::ScratchBytes() const {
  if (!packed.preparation) return 0;
  const codegen::Kernel& prepare = code.kernels[1];
  return packed.preparation->scratch_bytes +
         RoundUp(prepare.shared_workspace_bytes + prepare.private_workspace_bytes, kAlignment);
}

std::vector<const PackedBlock*> CompiledOp::Blocks() const {
  std::vector<const PackedBlock*> blocks;
  for (const CompiledVersion& version : versions) blocks.push_back(&version.packed);
  if (device) blocks.push_back(&device->packed);
  return blocks;
}

std::string CompiledOp::device_name() const {
  return absl::StrCat(op->name, "_", AbslView(ir::KindName(device->kind)));
}

bool CompiledOp::IsTransformed(int constant) const {
  return std::ranges::any_of(Blocks(), [&](const PackedBlock* block) {
    return block->constants[static_cast<size_t>(constant)].is_scratch;
  });
}

bool CompiledOp::prepares() const {
  return std::ranges::any_of(
      Blocks(), [](const PackedBlock* block) { return block->preparation.has_value(); });
}

std::vector<std::string> CompiledOp::ExportedNames() const {
  std::vector<std::string> names = {op->name};
  if (has_constants()) {
    names.push_back(pack_weights_name());
    names.push_back(packed_bytes_name());
  }
  for (const CopyFunction& f : pack_inputs) names.push_back(f.name);
  for (const CopyFunction& f : unpack_outputs) names.push_back(f.name);
  if (device) {
    names.push_back(device_name());
    if (device->kind != ir::TargetKind::kVta) names.push_back(workspace_bytes_name());
    if (has_constants()) names.push_back(device_pack_name());
  }
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

absl::StatusOr<CompiledOp> CompileOp(const LibraryOp& op, const LibrarySpec& spec) {
  TESSERA_RETURN_IF_ERROR(te::CheckOpName(op.name));
  absl::StatusOr<CompiledOp> compiled = Compile(op, spec);
  if (!compiled.ok()) return Annotate(compiled.status(), absl::StrCat("operator ", op.name));
  return compiled;
}

std::string ParameterName(const std::string& name, absl::flat_hash_set<std::string>& used) {
  std::string result;
  for (char c : name) result += absl::ascii_isalnum(static_cast<unsigned char>(c)) ? c : '_';
  if (result.empty() || absl::ascii_isdigit(static_cast<unsigned char>(result[0]))) {
    result = absl::StrCat("t", result);
  }
  while (te::IsReservedInC(result) || !used.insert(result).second) result += '_';
  return result;
}

std::string CTypeOf(ir::Type type) {
  if (type.is_float()) return type.bits == 64 ? "double" : type.bits == 32 ? "float" : "uint16_t";
  if (type.bits < 8) return "uint8_t";
  return absl::StrCat(type.code == ir::TypeCode::kUInt ? "uint" : "int",
                      static_cast<int>(type.bits), "_t");
}

std::string SourceParameter(const OpTensor& tensor) {
  return absl::StrCat("const ", CTypeOf(tensor.buffer->type), "* ", tensor.name);
}

std::string StoredAs(const ir::BufferNode& buffer) {
  return buffer.layout.empty() ? "row-major" : ir::LayoutToString(buffer.layout, buffer.shape);
}

std::string SetThreadsName(const LibrarySpec& spec) {
  return absl::StrCat("tessera_", spec.name, "_set_threads");
}

std::string VersionName(const LibrarySpec& spec) {
  return absl::StrCat("tessera_", spec.name, "_version");
}

std::string IsaName(const LibrarySpec& spec) { return absl::StrCat("tessera_", spec.name, "_isa"); }

std::string CreateName(const LibrarySpec& spec) { return KernelsTypeName(spec) + "_create"; }

std::string DestroyName(const LibrarySpec& spec) { return KernelsTypeName(spec) + "_destroy"; }

std::string AcceleratorName(const LibrarySpec& spec, const char* function) {
  return absl::StrCat(KernelsTypeName(spec), "_", function);
}

std::string KernelsTypeName(const LibrarySpec& spec) {
  return absl::StrCat("tessera_", spec.name, "_", AbslView(ir::KindName(spec.device->target.kind)));
}

std::string DeviceName(const LibrarySpec& spec) {
  return absl::StrCat("tessera_", spec.name, "_device");
}

std::string FallbackName(const LibrarySpec& spec) {
  return absl::StrCat("tessera_", spec.name, "_fallback");
}

std::vector<std::string> OwnNames(const LibrarySpec& spec) {
  std::vector<std::string> names = {SetThreadsName(spec), VersionName(spec), IsaName(spec)};
  if (!spec.device) return names;
  for (std::string name :
       {CreateName(spec), DestroyName(spec), DeviceName(spec), FallbackName(spec)}) {
    names.push_back(std::move(name));
  }
  if (spec.device->target.kind == ir::TargetKind::kVta) {
    for (const char* function : kAcceleratorFunctions) {
      names.push_back(AcceleratorName(spec, function));
    }
  }
  return names;
}

}  // namespace tessera::library
