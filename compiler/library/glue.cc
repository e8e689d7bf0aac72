#include "compiler/library/glue.h"

#include <optional>

#include "base/status.h"
#include "compiler/codegen/llvm_headers.h"
#include "compiler/codegen/target_machine.h"
#include "compiler/library/call_shape.h"
#include "compiler/library/device_glue.h"
#include "compiler/library/glue_module.h"
#include "compiler/library/isa.h"
#include "compiler/library/model_glue.h"
#include "compiler/runtime/ops.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Verifier.h"

namespace tessera::library {
namespace {

using llvm::Constant;

// What the calls of CPUs are handed (compiler/runtime/ops.h).
class CpuGlue {
 public:
  CpuGlue(const GlueModule& module, absl::Span<const LibraryVersion> versions)
      : module_(module), library_versions_(versions), versions_(Versions()) {}

  // A tessera_op_table and, null without constants, a tessera_packing_table.
  Constant* OpTable(const CompiledOp& op) const {
    std::vector<Constant*> kernels;
    for (size_t i = 0; i < library_versions_.size(); ++i) {
      kernels.push_back(Kernel(op, op.versions[i], library_versions_[i].target.max_threads));
    }
    return module_.Global(module_.Struct({versions_, module_.Array(kernels)}));
  }
  Constant* PackingTable(const CompiledOp& op) const {
    if (!op.has_constants()) return module_.Null();
    std::vector<Constant*> packings;
    for (const CompiledVersion& version : op.versions) packings.push_back(Packing(op, version));
    return module_.Global(module_.Struct({versions_, module_.Array(packings)}));
  }
  void AddOp(const CompiledOp& op, Constant* table, Constant* packing) const;
  void AddIsa(const std::string& name) const {
    module_.Call(name, {}, module_.pointer(), "tessera_op_isa", versions_);
  }

 private:
  Constant* Kernel(const CompiledOp& op, const CompiledVersion& version, int threads) const;
  Constant* Packing(const CompiledOp& op, const CompiledVersion& version) const;
  Constant* Versions() const;
  Constant* Buffers(const std::vector<Place>& places) const {
    std::vector<Constant*> buffers;
    for (const Place& place : places) {
      buffers.push_back(module_.Buffer(place.argument, place.offset));
    }
    return module_.Array(buffers);
  }

  const GlueModule& module_;
  absl::Span<const LibraryVersion> library_versions_;
  Constant* versions_;
};

void CpuGlue::AddOp(const CompiledOp& op, Constant* table, Constant* packing) const {
  module_.Forward(op.op->name, CallShapeOf(op, op.versions[0].packed).arguments, "tessera_op_run",
                  table);
  if (!op.has_constants()) return;
  module_.Forward(op.pack_weights_name(), op.versions[0].packed.constants.size() + 1,
                  "tessera_op_pack_constants", packing);
}

// A tessera_op.
Constant* CpuGlue::Kernel(const CompiledOp& op, const CompiledVersion& version, int threads) const {
  const CallShape shape = CallShapeOf(op, version.packed);
  const codegen::Kernel& kernel = version.code.kernels[0];
  return module_.Struct({module_.Kernel(kernel.symbol),
                         module_.Number(static_cast<int64_t>(shape.arguments)),
                         module_.Number(static_cast<int64_t>(shape.places.size())),
                         Buffers(shape.places), module_.Number(kernel.shared_workspace_bytes),
                         module_.Number(kernel.private_workspace_bytes), module_.Number(threads)});
}

// A tessera_op_packing.
Constant* CpuGlue::Packing(const CompiledOp& op, const CompiledVersion& version) const {
  const PackingShape shape = PackingShapeOf(op, version.packed);
  std::vector<Constant*> layouts;
  for (const PackedConstant* constant : shape.constants) {
    layouts.push_back(module_.Layout(*constant->buffer));
  }
  Constant* prepare = module_.Null();
  int64_t workspace_offset = 0;
  if (version.packed.preparation) {
    prepare = module_.Kernel(version.code.kernels[1].symbol);
    workspace_offset = version.packed.preparation->scratch_bytes;
  }
  return module_.Struct({module_.Number(static_cast<int64_t>(layouts.size())),
                         module_.Array(layouts), Buffers(shape.places), prepare,
                         module_.Number(static_cast<int64_t>(shape.buffers.size())),
                         Buffers(shape.buffers), module_.Number(workspace_offset),
                         module_.Number(version.ScratchBytes())});
}

// A tessera_versions.
Constant* CpuGlue::Versions() const {
  std::vector<Constant*> needs, names;
  for (const LibraryVersion& version : library_versions_) {
    needs.push_back(module_.Number(CpuNeeds(version.target).value()));  // SortVersions looked
    names.push_back(module_.Text(IsaText(version.target)));
  }
  return module_.Global(module_.Struct({module_.Number(static_cast<int64_t>(needs.size())),
                                        module_.Array(needs), module_.Array(names)}));
}

// What is the same on CPUs and devices.
void AddConversions(const GlueModule& module, const CompiledOp& op) {
  if (op.has_constants()) module.Return(op.packed_bytes_name(), module.Number(op.packed_bytes));
  for (const CopyFunction& f : op.pack_inputs) {
    module.Forward(f.name, 2, "tessera_op_pack",
                   module.Global(module.Layout(*op.inputs[static_cast<size_t>(f.tensor)].buffer)));
  }
  for (const CopyFunction& f : op.unpack_outputs) {
    module.Forward(f.name, 2, "tessera_op_unpack",
                   module.Global(module.Layout(*op.outputs[static_cast<size_t>(f.tensor)].buffer)));
  }
}

}  // namespace

absl::StatusOr<std::string> GenerateGlue(absl::Span<const CompiledOp> ops, const LibrarySpec& spec,
                                         const std::string& version,
                                         const std::optional<CompiledModel>& model) {
  const ir::Target& target = spec.versions[0].target;
  TESSERA_ASSIGN_OR_RETURN(codegen::MachineDescription description,
                           codegen::DescribeMachine(target));
  // What refuses a CPU has to run on it.
  description.cpu = target.kind == ir::TargetKind::kX86 ? "x86-64" : "generic";
  description.features = "";
  TESSERA_ASSIGN_OR_RETURN(llvm::TargetMachine * machine, codegen::MachineFor(description));
  llvm::LLVMContext context;
  llvm::Module module("tessera_glue", context);
  module.setTargetTriple(description.triple);
  module.setDataLayout(machine->createDataLayout());
  module.setPICLevel(llvm::PICLevel::BigPIC);
  const GlueModule glue(module);
  const CpuGlue cpu(glue, spec.versions);
  std::optional<DeviceGlue> device;
  if (spec.device) device.emplace(glue, ops, spec);
  std::vector<Constant*> tables, packings;
  for (size_t i = 0; i < ops.size(); ++i) {
    Constant* table = tables.emplace_back(cpu.OpTable(ops[i]));
    Constant* packing = packings.emplace_back(cpu.PackingTable(ops[i]));
    if (model) continue;
    if (ops[i].device) {
      device->AddOp(i, table, packing);
    } else {
      cpu.AddOp(ops[i], table, packing);
    }
    AddConversions(glue, ops[i]);
  }
  if (device) device->AddLibrary();
  if (model) AddModel(glue, *spec.model, *model, ops, tables, packings);
  glue.Call(SetThreadsName(spec), {glue.i32()}, glue.i32(), "tessera_op_use_threads", nullptr);
  glue.Return(VersionName(spec), glue.Text(version));
  cpu.AddIsa(IsaName(spec));
  std::string fault;
  llvm::raw_string_ostream fault_stream(fault);
  if (llvm::verifyModule(module, &fault_stream)) {
    return absl::InternalError(absl::StrCat("library glue is invalid LLVM IR: ", fault));
  }
  llvm::SmallVector<char, 0> output;
  llvm::raw_svector_ostream stream(output);
  llvm::legacy::PassManager emission;
  if (machine->addPassesToEmitFile(emission, stream, nullptr, llvm::CodeGenFileType::ObjectFile)) {
    return absl::InternalError("LLVM can't emit objects for this target");
  }
  emission.run(module);
  return std::string(output.begin(), output.end());
}

}  // namespace tessera::library
