#include "compiler/library/glue.h"

#include "base/status.h"
#include "compiler/codegen/llvm_headers.h"
#include "compiler/codegen/target_machine.h"
#include "compiler/library/isa.h"
#include "compiler/runtime/ops.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Verifier.h"

namespace tessera::library {
namespace {

using llvm::Constant;

// Builds constants that mirror the C structures of compiler/runtime/ops.h and layout.h: pointers
// and 8-byte numbers, padded by the target's data layout as C does.
class GlueModule {
 public:
  GlueModule(llvm::Module& module, absl::Span<const LibraryVersion> versions)
      : module_(module),
        context_(module.getContext()),
        pointer_(llvm::PointerType::getUnqual(context_)),
        i64_(llvm::Type::getInt64Ty(context_)),
        i32_(llvm::Type::getInt32Ty(context_)),
        versions_(Versions(versions)) {}

  void AddOp(const CompiledOp& op, absl::Span<const LibraryVersion> versions);
  void AddSetThreads(const std::string& name);
  void AddVersion(const std::string& name, const std::string& version);
  void AddIsa(const std::string& name);

 private:
  Constant* Number(int64_t value) {
    return llvm::ConstantInt::get(i64_, static_cast<uint64_t>(value));
  }
  Constant* Struct(const std::vector<Constant*>& members) {
    return llvm::ConstantStruct::getAnon(context_, members);
  }
  // A private constant's address.
  Constant* Global(Constant* value) {
    auto* global = new llvm::GlobalVariable(module_, value->getType(), true,
                                            llvm::GlobalValue::PrivateLinkage, value, "");
    global->setAlignment(llvm::Align(8));
    return global;
  }
  Constant* Array(const std::vector<Constant*>& elements) {
    if (elements.empty()) return llvm::ConstantPointerNull::get(pointer_);
    return Global(llvm::ConstantArray::get(
        llvm::ArrayType::get(elements[0]->getType(), elements.size()), elements));
  }
  static size_t ArgumentCount(const CompiledOp& op);
  Constant* Layout(const ir::BufferNode& buffer);
  // A tessera_op_buffer.
  Constant* Buffer(int64_t argument, int64_t offset) {
    return Struct({Number(argument), Number(offset)});
  }
  // A tessera_kernel of another object.
  Constant* Symbol(const std::string& name) {
    llvm::FunctionCallee kernel = module_.getOrInsertFunction(
        name, llvm::FunctionType::get(llvm::Type::getVoidTy(context_),
                                      {pointer_, pointer_, pointer_}, false));
    return llvm::cast<Constant>(kernel.getCallee());
  }
  Constant* Kernel(const CompiledOp& op, const CompiledVersion& version, int threads);
  Constant* Packing(const CompiledOp& op, const CompiledVersion& version);
  Constant* Versions(absl::Span<const LibraryVersion> versions);
  llvm::Function* Exported(const std::string& name, llvm::Type* result, size_t arguments) {
    auto* type =
        llvm::FunctionType::get(result, std::vector<llvm::Type*>(arguments, pointer_), false);
    auto* function = llvm::Function::Create(type, llvm::Function::ExternalLinkage, name, module_);
    function->addFnAttr(llvm::Attribute::NoUnwind);
    return function;
  }
  void Forward(const std::string& name, size_t arguments, const std::string& callee,
               Constant* descriptor);

  llvm::Module& module_;
  llvm::LLVMContext& context_;
  llvm::PointerType* pointer_;
  llvm::Type* i64_;
  llvm::Type* i32_;
  Constant* versions_;
};

Constant* GlueModule::Layout(const ir::BufferNode& buffer) {
  std::vector<Constant*> shape, dims;
  int64_t element_bytes = buffer.type.bits / 8;
  if (buffer.type.bits < 8) {
    element_bytes = 1;  // packed and row-major: copied as bytes
    shape.push_back(Number(buffer.StoredBytes()));
  } else {
    for (int64_t extent : buffer.shape) shape.push_back(Number(extent));
  }
  for (const ir::LayoutDim& dim : buffer.layout) {
    dims.push_back(Struct({Number(dim.axis), Number(dim.divisor), Number(dim.extent)}));
  }
  return Struct({Number(element_bytes), Number(static_cast<int64_t>(shape.size())), Array(shape),
                 Number(static_cast<int64_t>(dims.size())), Array(dims)});
}

// int name(void* …) { void* arguments[] = {…}; return callee(descriptor, arguments); }
void GlueModule::Forward(const std::string& name, size_t arguments, const std::string& callee,
                         Constant* descriptor) {
  llvm::Function* function = Exported(name, i32_, arguments);
  llvm::IRBuilder<> b(llvm::BasicBlock::Create(context_, "", function));
  auto* array_type = llvm::ArrayType::get(pointer_, arguments);
  llvm::Value* array = b.CreateAlloca(array_type);
  for (unsigned i = 0; i < arguments; ++i) {
    b.CreateStore(function->getArg(i), b.CreateConstGEP2_64(array_type, array, 0, i));
  }
  const llvm::FunctionCallee target = module_.getOrInsertFunction(
      callee, llvm::FunctionType::get(i32_, {pointer_, pointer_}, false));
  b.CreateRet(b.CreateCall(target, {descriptor, array}));
}

// The arguments are the inputs that are no constants, the packed constants, the outputs.
void GlueModule::AddOp(const CompiledOp& op, absl::Span<const LibraryVersion> versions) {
  std::vector<Constant*> kernels, packings;
  for (size_t i = 0; i < versions.size(); ++i) {
    kernels.push_back(Kernel(op, op.versions[i], versions[i].target.max_threads));
    packings.push_back(Packing(op, op.versions[i]));
  }
  Forward(op.op->name, ArgumentCount(op), "tessera_op_run",
          Global(Struct({versions_, Array(kernels)})));
  if (op.has_constants()) {
    Forward(op.pack_weights_name(), op.versions[0].constants.size() + 1,
            "tessera_op_pack_constants", Global(Struct({versions_, Array(packings)})));
    llvm::Function* bytes = Exported(op.packed_bytes_name(), i64_, 0);
    llvm::IRBuilder<>(llvm::BasicBlock::Create(context_, "", bytes))
        .CreateRet(Number(op.packed_bytes));
  }
  for (const CopyFunction& f : op.pack_inputs) {
    Forward(f.name, 2, "tessera_op_pack",
            Global(Layout(*op.inputs[static_cast<size_t>(f.tensor)].buffer)));
  }
  for (const CopyFunction& f : op.unpack_outputs) {
    Forward(f.name, 2, "tessera_op_unpack",
            Global(Layout(*op.outputs[static_cast<size_t>(f.tensor)].buffer)));
  }
}

size_t GlueModule::ArgumentCount(const CompiledOp& op) {
  size_t count = op.outputs.size() + (op.has_constants() ? 1 : 0);
  for (const OpTensor& tensor : op.inputs) count += tensor.is_constant ? 0 : 1;
  return count;
}

// A tessera_op.
Constant* GlueModule::Kernel(const CompiledOp& op, const CompiledVersion& version, int threads) {
  std::vector<Constant*> buffers;
  int64_t activations = 0;
  for (const OpTensor& tensor : op.inputs) activations += tensor.is_constant ? 0 : 1;
  int64_t argument = 0;
  size_t constant = 0;
  for (const OpTensor& tensor : op.inputs) {
    if (!tensor.is_constant) {
      buffers.push_back(Buffer(argument++, 0));
      continue;
    }
    const PackedConstant& packed = version.constants[constant++];
    buffers.push_back(Buffer(activations, packed.is_scratch ? 0 : packed.offset));
  }
  if (op.has_constants()) ++argument;
  for (size_t i = 0; i < op.outputs.size(); ++i) {
    buffers.push_back(Buffer(argument++, 0));
  }
  if (version.preparation) {
    for (const PackedConstant& result : version.preparation->results) {
      buffers.push_back(Buffer(activations, result.offset));
    }
  }
  const codegen::Kernel& kernel = version.code.kernels[0];
  return Struct({Symbol(kernel.symbol), Number(argument),
                 Number(static_cast<int64_t>(buffers.size())), Array(buffers),
                 Number(kernel.shared_workspace_bytes), Number(kernel.private_workspace_bytes),
                 Number(threads)});
}

// A tessera_op_packing.
Constant* GlueModule::Packing(const CompiledOp& op, const CompiledVersion& version) {
  std::vector<Constant*> layouts, places, buffers;
  for (const OpTensor& tensor : op.inputs) {
    if (!tensor.is_constant) {
      buffers.push_back(Buffer(TESSERA_OP_UNUSED, 0));
      continue;
    }
    const PackedConstant& constant = version.constants[places.size()];
    layouts.push_back(Layout(*constant.buffer));
    places.push_back(
        Buffer(constant.is_scratch ? TESSERA_OP_SCRATCH : TESSERA_OP_PACKED, constant.offset));
    buffers.push_back(places.back());
  }
  buffers.resize(buffers.size() + op.outputs.size(), Buffer(TESSERA_OP_UNUSED, 0));
  Constant* prepare = llvm::ConstantPointerNull::get(pointer_);
  int64_t workspace_offset = 0, scratch_bytes = 0;
  if (version.preparation) {
    prepare = Symbol(version.code.kernels[1].symbol);
    workspace_offset = version.preparation->workspace_offset;
    scratch_bytes = version.preparation->scratch_bytes;
    for (const PackedConstant& result : version.preparation->results) {
      buffers.push_back(Buffer(TESSERA_OP_PACKED, result.offset));
    }
  }
  return Struct({Number(static_cast<int64_t>(layouts.size())), Array(layouts), Array(places),
                 prepare, Number(static_cast<int64_t>(buffers.size())), Array(buffers),
                 Number(workspace_offset), Number(scratch_bytes)});
}

// A tessera_versions.
Constant* GlueModule::Versions(absl::Span<const LibraryVersion> versions) {
  std::vector<Constant*> needs, names;
  for (const LibraryVersion& version : versions) {
    needs.push_back(Number(CpuNeeds(version.target).value()));  // SortVersions looked
    names.push_back(Global(llvm::ConstantDataArray::getString(context_, IsaText(version.target))));
  }
  return Global(Struct({Number(static_cast<int64_t>(needs.size())), Array(needs), Array(names)}));
}

void GlueModule::AddIsa(const std::string& name) {
  llvm::Function* function = Exported(name, pointer_, 0);
  llvm::IRBuilder<> b(llvm::BasicBlock::Create(context_, "", function));
  const llvm::FunctionCallee target = module_.getOrInsertFunction(
      "tessera_op_isa", llvm::FunctionType::get(pointer_, {pointer_}, false));
  b.CreateRet(b.CreateCall(target, {versions_}));
}

void GlueModule::AddSetThreads(const std::string& name) {
  auto* type = llvm::FunctionType::get(i32_, {i32_}, false);
  auto* function = llvm::Function::Create(type, llvm::Function::ExternalLinkage, name, module_);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  llvm::IRBuilder<> b(llvm::BasicBlock::Create(context_, "", function));
  const llvm::FunctionCallee target = module_.getOrInsertFunction("tessera_op_use_threads", type);
  b.CreateRet(b.CreateCall(target, {function->getArg(0)}));
}

void GlueModule::AddVersion(const std::string& name, const std::string& version) {
  llvm::Function* function = Exported(name, pointer_, 0);
  llvm::IRBuilder<> b(llvm::BasicBlock::Create(context_, "", function));
  b.CreateRet(Global(llvm::ConstantDataArray::getString(context_, version)));
}

}  // namespace

absl::StatusOr<std::string> GenerateGlue(absl::Span<const CompiledOp> ops, const LibrarySpec& spec,
                                         const std::string& version) {
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
  GlueModule glue(module, spec.versions);
  for (const CompiledOp& op : ops) glue.AddOp(op, spec.versions);
  glue.AddSetThreads(SetThreadsName(spec));
  glue.AddVersion(VersionName(spec), version);
  glue.AddIsa(IsaName(spec));
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
