#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "compiler/library/documents.h"
#include "compiler/library/isa.h"
#include "compiler/library/model_header.h"
#include "compiler/vta/bytecode.h"
#include "llvm/Config/llvm-config.h"

namespace tessera::library {
namespace {

nlohmann::json TensorJson(const OpTensor& tensor, const char* role) {
  const ir::BufferNode& buffer = *tensor.buffer;
  nlohmann::json json = {{"name", tensor.name},
                         {"role", role},
                         {"type", ir::ToString(buffer.type)},
                         {"shape", buffer.shape}};
  if (!tensor.is_constant) {
    json["layout"] = StoredAs(buffer);
    json["stored_bytes"] = buffer.StoredBytes();
  }
  return json;
}

// Where a schedule comes from, and how its constants are packed.
nlohmann::json ImplementationJson(const CompiledOp& op, const Implementation& implementation,
                                  const PackedBlock& packed, const LibraryVersion& version) {
  nlohmann::json constants = nlohmann::json::array();
  for (const OpTensor& tensor : op.inputs) {
    if (!tensor.is_constant) continue;
    const PackedConstant& constant = packed.constants[constants.size()];
    constants.push_back({{"name", tensor.name},
                         {"layout", StoredAs(*constant.buffer)},
                         {"stored_bytes", constant.buffer->StoredBytes()}});
    if (!constant.is_scratch) constants.back()["packed_offset"] = constant.offset;
  }
  nlohmann::json prepared = nlohmann::json::array();
  if (packed.preparation) {
    for (const PackedConstant& result : packed.preparation->results) {
      prepared.push_back({{"name", result.buffer->name},
                          {"shape", result.buffer->shape},
                          {"layout", StoredAs(*result.buffer)},
                          {"stored_bytes", result.buffer->StoredBytes()},
                          {"packed_offset", result.offset}});
    }
  }
  nlohmann::json measured, device;
  if (implementation.measured_seconds) measured = *implementation.measured_seconds;
  if (!implementation.device.empty()) device = implementation.device;
  return {{"device_class", version.device_class},
          {"trace", schedule::Print(implementation.trace)},
          {"is_default", implementation.is_default},
          {"measured_seconds", measured},
          {"record_ids", implementation.record_ids},
          {"device", device},
          {"packed_bytes", packed.bytes},
          {"constants", constants},
          {"prepared", prepared}};
}

nlohmann::json VersionJson(const CompiledOp& op, size_t number, const LibraryVersion& version) {
  const CompiledVersion& compiled = op.versions[number];
  nlohmann::json json = ImplementationJson(op, op.op->versions[number], compiled.packed, version);
  json["isa"] = IsaText(version.target);
  json["object_sha256"] = Sha256Hex(compiled.code.bytes);
  json["shared_workspace_bytes"] = compiled.code.kernels[0].shared_workspace_bytes;
  json["private_workspace_bytes"] = compiled.code.kernels[0].private_workspace_bytes;
  return json;
}

nlohmann::json LaunchesJson(absl::Span<const codegen::gpu::Launch> launches) {
  nlohmann::json list = nlohmann::json::array();
  for (const codegen::gpu::Launch& launch : launches) {
    list.push_back({{"kernel", launch.kernel},
                    {"blocks", launch.blocks},
                    {"threads", launch.block_threads},
                    {"shared_bytes", launch.shared_bytes}});
  }
  return list;
}

nlohmann::json ProgramsJson(absl::Span<const codegen::vta::Kernel> programs) {
  nlohmann::json list = nlohmann::json::array();
  for (const codegen::vta::Kernel& program : programs) {
    const std::vector<int64_t> words = vta::Assemble(program.code);
    const size_t bytes = words.size() * sizeof(int64_t);
    list.push_back({{"sha256", Sha256Hex({reinterpret_cast<const char*>(words.data()), bytes})},
                    {"bytes", bytes},
                    {"arguments", program.arguments}});
  }
  return list;
}

nlohmann::json DeviceJson(const CompiledOp& op, const LibraryVersion& device) {
  if (!op.device) return {{"runs_on_cpu", op.why_not_on_device}};
  const codegen::gpu::DeviceCode& code = op.device->code;
  nlohmann::json json = ImplementationJson(op, *op.op->on_device, op.device->packed, device);
  if (op.device->kind == ir::TargetKind::kVta) {
    json["programs"] = ProgramsJson(op.device->programs);
    return json;
  }
  json["source_sha256"] = Sha256Hex(code.source);
  json["workspace_bytes"] = code.workspace_bytes;
  json["launches"] = LaunchesJson(code.launches[0]);
  if (code.launches.size() > 1) json["packing_launches"] = LaunchesJson(code.launches[1]);
  return json;
}

nlohmann::json OpJson(const CompiledOp& op, const LibrarySpec& spec) {
  nlohmann::json tensors = nlohmann::json::array();
  for (const OpTensor& tensor : op.inputs) {
    tensors.push_back(TensorJson(tensor, tensor.is_constant ? "constant" : "input"));
  }
  for (const OpTensor& tensor : op.outputs) tensors.push_back(TensorJson(tensor, "output"));
  nlohmann::json versions = nlohmann::json::array();
  for (size_t i = 0; i < spec.versions.size(); ++i) {
    versions.push_back(VersionJson(op, i, spec.versions[i]));
  }
  nlohmann::json json = {{"name", op.op->name},
                         {"functions", op.ExportedNames()},
                         {"workload", te::Print(op.op->workload)},
                         {"workload_hash", HashToHex(te::StructuralHash(op.op->workload.dag))},
                         {"executed_operations", te::ExecutedOperations(op.op->workload.dag)},
                         {"packed_bytes", op.packed_bytes},
                         {"tensors", tensors},
                         {"versions", versions}};
  if (spec.device) json["device"] = DeviceJson(op, *spec.device);
  return json;
}

nlohmann::json PlaceJson(const ModelPlace& place, absl::Span<const std::string> names) {
  switch (place.kind) {
    case ModelPlace::Kind::kCaller:
      return {{"tensor", names[static_cast<size_t>(place.at)]}};
    case ModelPlace::Kind::kArena:
      return {{"workspace", place.at}};
    case ModelPlace::Kind::kConstant:
      break;
  }
  return {{"constant", place.at}};
}

// What one bucket of a model has for its own.
nlohmann::json BucketJson(const LibraryModel::Bucket& bucket, const CompiledModel::Bucket& compiled,
                          absl::Span<const CompiledOp> ops) {
  const std::vector<std::string> names = ModelParameterNames(bucket);
  const auto tensors = [&](const std::vector<ModelTensor>& list, size_t first) {
    nlohmann::json json = nlohmann::json::array();
    for (const ModelTensor& tensor : list) {
      json.push_back({{"name", names[first + json.size()]},
                      {"model_name", tensor.name},
                      {"type", ir::ToString(tensor.type.element)},
                      {"shape", tensor.type.shape},
                      {"layout", tensor.type.layout.empty()
                                     ? "row-major"
                                     : ir::LayoutToString(tensor.type.layout, tensor.type.shape)},
                      {"bytes", tensor.type.StoredBytes()}});
    }
    return json;
  };
  nlohmann::json steps = nlohmann::json::array();
  for (size_t s = 0; s < bucket.steps.size(); ++s) {
    const LibraryModel::Step& step = bucket.steps[s];
    nlohmann::json inputs = nlohmann::json::array();
    for (const ModelPlace& place : step.inputs) inputs.push_back(PlaceJson(place, names));
    steps.push_back({{"op", ops[static_cast<size_t>(step.op)].op->name},
                     {"inputs", inputs},
                     {"output", PlaceJson(step.output, names)}});
    if (!ops[static_cast<size_t>(step.op)].has_constants()) continue;
    steps.back()["packed"] = compiled.steps[s].is_made_by_create ? "by create" : "in the library";
  }
  return {{"graph_digest", bucket.graph_digest},
          {"inputs", tensors(bucket.inputs, 0)},
          {"outputs", tensors(bucket.outputs, bucket.inputs.size())},
          {"steps", steps},
          {"workspace_bytes", compiled.WorkspaceBytes()}};
}

nlohmann::json ReferenceJson(const ModelReference& reference, const LibraryModel::Bucket& bucket) {
  if (!reference.why_missing.empty()) return {{"missing", reference.why_missing}};
  nlohmann::json outputs = nlohmann::json::array();
  for (const ModelReference::Output& output : reference.outputs) {
    outputs.push_back({{"model_name", bucket.outputs[outputs.size()].name},
                       {"elements", output.elements},
                       {"values", output.values},
                       {"largest", output.largest},
                       {"tolerance", output.tolerance}});
  }
  return {{"seed", reference.seed}, {"made_by", reference.made_by}, {"outputs", outputs}};
}

// A model of one bucket has its parts itself, one of several a list of them.
nlohmann::json ModelJson(const LibraryModel& model, const ManifestFacts& facts,
                         absl::Span<const CompiledOp> ops) {
  const CompiledModel& compiled = *facts.model;
  nlohmann::json json = {{"name", model.name},
                         {"constant_bytes", model.constants.size()},
                         {"constants_sha256", Sha256Hex(model.constants)},
                         {"packed_bytes", compiled.create_bytes}};
  if (model.buckets.size() == 1) {
    json.update(BucketJson(model.buckets[0], compiled.buckets[0], ops));
    return json;
  }
  nlohmann::json list = nlohmann::json::array();
  for (size_t b = 0; b < model.buckets.size(); ++b) {
    const LibraryModel::Bucket& bucket = model.buckets[b];
    nlohmann::json& made = list.emplace_back(BucketJson(bucket, compiled.buckets[b], ops));
    made["name"] = BucketName(model, bucket);
    for (const auto& [name, extent] : bucket.extents) made["extents"][name] = extent;
    made["reference"] = ReferenceJson(facts.references[b], bucket);
  }
  json["buckets"] = list;
  return json;
}

nlohmann::json FilesJson(absl::Span<const LibraryFile> files) {
  nlohmann::json list = nlohmann::json::array();
  for (const LibraryFile& file : files) {
    list.push_back(
        {{"name", file.name}, {"bytes", file.bytes.size()}, {"sha256", Sha256Hex(file.bytes)}});
  }
  return list;
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

// By the names under which a loader looks for them.
nlohmann::json NeededJson(absl::Span<const ThirdParty> needed) {
  nlohmann::json names = nlohmann::json::array({"libc.so.6"});
  for (const ThirdParty& library : needed) {
    for (const std::string_view soname : library.Sonames()) names.push_back(soname);
  }
  return names;
}

}  // namespace

std::string GenerateManifest(absl::Span<const CompiledOp> ops, const LibrarySpec& spec,
                             const ManifestFacts& facts, absl::Span<const LibraryFile> files) {
  nlohmann::json list = nlohmann::json::array();
  for (const CompiledOp& op : ops) list.push_back(OpJson(op, spec));
  nlohmann::json manifest = {{"manifest_version", 2},
                             {"tessera_version", facts.version},
                             {"llvm_version", LLVM_VERSION_STRING},
                             {"runtime_sha256", facts.runtime_sha256},
                             {"library_sha256", Sha256Hex(files[0].bytes)},
                             {"header_sha256", Sha256Hex(files[1].bytes)},
                             {"files", FilesJson(files)},
                             {"versions", VersionsJson(spec.versions)},
                             {"needed", NeededJson(facts.needed)},
                             {"ops", list}};
  if (facts.model) manifest["model"] = ModelJson(*spec.model, facts, ops);
  if (facts.references.size() == 1) {
    manifest["reference"] = ReferenceJson(facts.references[0], spec.model->buckets[0]);
  }
  if (spec.device) {
    manifest["device"] = {{"target", ir::ToString(spec.device->target)},
                          {"device_class", spec.device->device_class}};
  }
  return manifest.dump(2) + "\n";
}

}  // namespace tessera::library
