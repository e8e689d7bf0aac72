#include "compiler/library/device_glue.h"

#include "absl/strings/str_cat.h"
#include "compiler/library/device_kind.h"
#include "compiler/runtime/device.h"
#include "compiler/vta/bytecode.h"

namespace tessera::library {
namespace {

using llvm::Constant;

int64_t Count(size_t size) { return static_cast<int64_t>(size); }

}  // namespace

DeviceGlue::DeviceGlue(const GlueModule& module, absl::Span<const CompiledOp> ops,
                       const LibrarySpec& spec)
    : module_(module),
      ops_(ops),
      spec_(spec),
      is_accelerator_(spec.device->target.kind == ir::TargetKind::kVta) {
  std::vector<Constant*> on_device;
  for (const CompiledOp& op : ops) {
    described_.push_back(op.device ? module.Global(Describe(op, on_device.size())) : nullptr);
    if (op.device) on_device.push_back(described_.back());
  }
  library_ = module.Global(
      module.Struct({module.External(Runtime("driver")), module.Text("lib" + spec.name + ".so"),
                     module.Number(DeviceNeeds(spec.device->target)),
                     module.Number(Count(on_device.size())), module.Array(on_device)}));
}

std::string DeviceGlue::Runtime(const char* what) const {
  return absl::StrCat(DeviceKindOf(spec_.device->target).runtime, what);
}

// An array of tessera_device_launch.
Constant* DeviceGlue::Launches(const CompiledDevice& device) const {
  static_assert(codegen::gpu::kWorkspaceArgument == TESSERA_DEVICE_WORKSPACE);
  static_assert(static_cast<int>(codegen::gpu::ArgumentKind::kImageF16) ==
                TESSERA_DEVICE_IMAGE_F16);
  std::vector<Constant*> launches;
  for (const std::vector<codegen::gpu::Launch>& sequence : device.code.launches) {
    for (const codegen::gpu::Launch& launch : sequence) {
      std::vector<Constant*> members = {module_.Text(launch.kernel)};
      for (const int64_t extent : launch.blocks) members.push_back(module_.Number(extent));
      for (const int64_t extent : launch.block_threads) members.push_back(module_.Number(extent));
      members.push_back(module_.Number(launch.shared_bytes));
      members.push_back(module_.Number(Count(launch.arguments.size())));
      std::vector<Constant*> arguments;
      for (const codegen::gpu::Argument& argument : launch.arguments) {
        arguments.push_back(module_.Struct({module_.Number(argument.buffer),
                                            module_.Number(static_cast<int64_t>(argument.kind))}));
      }
      members.push_back(module_.Array(arguments));
      launches.push_back(module_.Struct(members));
    }
  }
  return module_.Array(launches);
}

// An array of tessera_device_buffer.
Constant* DeviceGlue::Buffers(absl::Span<const Place> places,
                              absl::Span<const int64_t> bytes) const {
  std::vector<Constant*> buffers;
  for (size_t i = 0; i < places.size(); ++i) {
    buffers.push_back(module_.Struct({module_.Number(places[i].argument),
                                      module_.Number(places[i].offset), module_.Number(bytes[i])}));
  }
  return module_.Array(buffers);
}

// An array of tessera_vta_launch.
Constant* DeviceGlue::AcceleratorLaunches(const CompiledDevice& device) const {
  std::vector<Constant*> launches;
  for (const codegen::vta::Kernel& program : device.programs) {
    const std::vector<int64_t> words = vta::Assemble(program.code);
    const std::vector<int64_t> buffers(program.arguments.begin(), program.arguments.end());
    launches.push_back(module_.Struct(
        {module_.Struct({module_.Numbers(words), module_.Number(Count(words.size()))}),
         module_.Number(Count(buffers.size())), module_.Numbers(buffers)}));
  }
  return module_.Array(launches);
}

// A tessera_device_code.
Constant* DeviceGlue::Code(const CompiledDevice& device, size_t launches) const {
  if (is_accelerator_) {
    return module_.Struct(
        {module_.Null(), module_.Number(0), module_.Number(Count(launches)), module_.Null()});
  }
  const std::string& source = device.code.source;
  return module_.Struct({module_.Text(source), module_.Number(Count(source.size())),
                         module_.Number(Count(launches)), Launches(device)});
}

Constant* DeviceGlue::Describe(const CompiledOp& op, size_t number) const {
  const CompiledDevice& device = *op.device;
  const PackedBlock& packed = device.packed;
  const CallShape call = CallShapeOf(op, packed);
  const PackingShape packing = PackingShapeOf(op, packed);
  std::vector<int64_t> buffer_bytes, argument_bytes;
  size_t constant = 0;
  for (const OpTensor& tensor : op.inputs) {
    const ir::Buffer& stored =
        tensor.is_constant ? packed.constants[constant++].buffer : tensor.buffer;
    buffer_bytes.push_back(stored->StoredBytes());
    if (!tensor.is_constant) argument_bytes.push_back(buffer_bytes.back());
  }
  if (op.has_constants()) argument_bytes.push_back(packed.bytes);
  for (const OpTensor& tensor : op.outputs) {
    buffer_bytes.push_back(tensor.buffer->StoredBytes());
    argument_bytes.push_back(buffer_bytes.back());
  }
  if (packed.preparation) {
    for (const PackedConstant& result : packed.preparation->results) {
      buffer_bytes.push_back(result.buffer->StoredBytes());
    }
  }
  std::vector<Constant*> layouts, places;
  for (size_t i = 0; i < packing.constants.size(); ++i) {
    layouts.push_back(module_.Layout(*packing.constants[i]->buffer));
    places.push_back(module_.Buffer(packing.places[i].argument, packing.places[i].offset));
  }
  size_t launches = device.programs.size();
  for (const auto& sequence : device.code.launches) launches += sequence.size();
  const size_t call_launches = is_accelerator_ ? launches : device.code.launches[0].size();
  Constant* described = module_.Struct(
      {module_.Text(op.op->name), module_.Number(Count(number)), Code(device, launches),
       module_.Number(Count(call_launches)), module_.Number(Count(call.arguments)),
       module_.Numbers(argument_bytes), module_.Number(Count(call.first_output)),
       module_.Number(Count(call.places.size())), Buffers(call.places, buffer_bytes),
       module_.Number(device.code.workspace_bytes), module_.Number(Count(layouts.size())),
       module_.Array(layouts), module_.Array(places), Buffers(packing.buffers, buffer_bytes),
       module_.Number(packed.bytes),
       module_.Number(packed.preparation ? packed.preparation->scratch_bytes : 0)});
  if (!is_accelerator_) return described;
  return module_.Struct({described, AcceleratorLaunches(device)});
}

void DeviceGlue::AddOp(size_t number, Constant* cpu, Constant* cpu_packing) const {
  const CompiledOp& op = ops_[number];
  const size_t arguments = CallShapeOf(op, op.device->packed).arguments;
  const size_t constants = op.device->packed.constants.size();
  Constant* hosted =
      module_.Global(module_.Struct({library_, described_[number], cpu, cpu_packing}));
  module_.Forward(op.op->name, arguments, "tessera_device_run", hosted);
  if (op.has_constants()) {
    module_.Forward(op.pack_weights_name(), constants + 1, "tessera_device_pack_constants", hosted);
  }
  if (is_accelerator_) {
    AddAcceleratorOp(number);
    return;
  }
  // Kernels, queue, workspace and, if there is one, the event beside them.
  const bool has_event = DeviceKindOf(spec_.device->target).event != nullptr;
  module_.Forward(op.device_name(), arguments + (has_event ? 4 : 3), Runtime("run"),
                  described_[number]);
  module_.Return(op.workspace_bytes_name(), module_.Number(op.device->code.workspace_bytes));
  if (!op.has_constants()) return;
  module_.Forward(op.device_pack_name(), constants + 3, Runtime("pack_constants"),
                  described_[number]);
}

// The accelerator, addresses; of packing between them constants of the host.
void DeviceGlue::AddAcceleratorOp(size_t number) const {
  const CompiledOp& op = ops_[number];
  const PackedBlock& packed = op.device->packed;
  std::vector<llvm::Type*> arguments(CallShapeOf(op, packed).arguments + 1, module_.i32());
  arguments[0] = module_.pointer();
  module_.Forward(op.device_name(), arguments, Runtime("run"), described_[number]);
  if (!op.has_constants()) return;
  std::vector<llvm::Type*> packing(packed.constants.size() + 2, module_.pointer());
  packing.back() = module_.i32();
  module_.Forward(op.device_pack_name(), packing, Runtime("pack_constants"), described_[number]);
}

void DeviceGlue::AddAccelerator() const {
  llvm::Type *pointer = module_.pointer(), *address = module_.i32(), *size = module_.size();
  const auto name = [&](const char* function) { return AcceleratorName(spec_, function); };
  module_.Call(CreateName(spec_), {pointer, pointer, pointer, size}, module_.i32(),
               Runtime("create"), library_);
  module_.Call(name("open"), {pointer, address, pointer, pointer, pointer, pointer, size},
               module_.i32(), Runtime("open"), library_);
  module_.Call(name("use"), {pointer}, module_.i32(), Runtime("use"), library_);
  module_.Call(name("allocate"), {pointer, size}, address, Runtime("allocate"), nullptr);
  module_.Call(name("release"), {pointer, address}, module_.Nothing(), Runtime("release"), nullptr);
  module_.Call(name("host"), {pointer, address}, pointer, Runtime("host"), nullptr);
}

void DeviceGlue::AddLibrary() const {
  llvm::Type* pointer = module_.pointer();
  if (is_accelerator_) {
    AddAccelerator();
  } else {
    // A queue, where there is to be one; where the kernels go; the log and its size.
    std::vector<llvm::Type*> created = {pointer, pointer, module_.size()};
    if (DeviceKindOf(spec_.device->target).is_created_for_queue) {
      created.insert(created.begin(), pointer);
    }
    module_.Call(CreateName(spec_), created, module_.i32(), Runtime("create"), library_);
  }
  module_.Call(DestroyName(spec_), {pointer}, module_.Nothing(), Runtime("destroy"), nullptr);
  module_.Call(DeviceName(spec_), {}, pointer, "tessera_device_name", library_);
  module_.Call(FallbackName(spec_), {}, pointer, "tessera_device_fallback", library_);
}

}  // namespace tessera::library
