#include "compiler/library/reference.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/test_data.h"
#include "base/unique_fd.h"
#include "compiler/codegen/link.h"
#include "compiler/ir/evaluate.h"
#include "compiler/library/call_shape.h"
#include "compiler/library/compiled_model.h"
#include "compiler/library/compiled_op.h"
#include "compiler/runtime/cpu.h"
#include "compiler/runtime/ops.h"
#include "compiler/runtime/thread_pool.h"
#include "compiler/schedule/default_trace.h"
#include "compiler/te/reference.h"

namespace tessera::library {
namespace {

constexpr uint64_t kSeed = 20;
constexpr int kElements = 64;  // of an output that are kept
constexpr char kTarget[] = "x86/sse4.2 threads=1";

class Memory {
 public:
  explicit Memory(int64_t bytes)
      : data_(static_cast<std::byte*>(std::aligned_alloc(
                  TESSERA_OP_ALIGNMENT,
                  static_cast<size_t>(bytes / TESSERA_OP_ALIGNMENT + 1) * TESSERA_OP_ALIGNMENT)),
              &std::free) {}
  std::byte* data() const { return data_.get(); }

 private:
  std::unique_ptr<std::byte, decltype(&std::free)> data_;
};

// Code in this process, of a shared object that is in no folder.
class LoadedCode {
 public:
  static absl::StatusOr<LoadedCode> Load(const std::string& shared_object) {
    const UniqueFd file(memfd_create("tessera-reference", MFD_CLOEXEC));
    size_t done = 0;
    while (file.valid() && done < shared_object.size()) {
      const ssize_t count =
          write(file.get(), shared_object.data() + done, shared_object.size() - done);
      if (count <= 0) break;
      done += static_cast<size_t>(count);
    }
    if (!file.valid() || done < shared_object.size()) {
      return absl::ResourceExhaustedError(
          absl::StrCat("reference: no memory for ", shared_object.size(), " bytes of code"));
    }
    const std::string path = absl::StrCat("/proc/self/fd/", file.get());
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) return absl::InternalError(absl::StrCat("reference: ", dlerror()));
    return LoadedCode(handle);
  }
  tessera_kernel Find(const std::string& name) const {
    return reinterpret_cast<tessera_kernel>(dlsym(handle_.get(), name.c_str()));
  }

 private:
  explicit LoadedCode(void* handle) : handle_(handle, &dlclose) {}

  std::unique_ptr<void, int (*)(void*)> handle_;
};

// The same operators and model with default schedules.
absl::StatusOr<LibrarySpec> WithDefaults(const LibrarySpec& spec) {
  LibrarySpec made;
  made.name = spec.name;
  made.versions = {{ir::ParseTarget(kTarget).value(), ""}};
  for (const LibraryOp& op : spec.ops) {
    Implementation implementation;
    TESSERA_ASSIGN_OR_RETURN(implementation.trace,
                             schedule::DefaultTrace(op.workload.dag, made.versions[0].target));
    made.ops.push_back({.name = op.name, .workload = op.workload, .versions = {implementation}});
  }
  made.model = spec.model;
  return made;
}

// All that a model writes to and reads from, beside its constants.
struct Tensors {
  std::vector<Memory> callers;  // inputs, then outputs
  Memory arena;
};

void Run(const LibraryModel::Bucket& bucket, absl::Span<const CompiledOp> ops,
         const CompiledModel::Bucket& compiled, const Memory& constants, const LoadedCode& code,
         const Tensors& tensors) {
  const auto find = [&](const ModelPlace& place) {
    return place.kind == ModelPlace::Kind::kCaller
               ? tensors.callers[static_cast<size_t>(place.at)].data()
               : tensors.arena.data() + place.at;
  };
  for (size_t s = 0; s < bucket.steps.size(); ++s) {
    const LibraryModel::Step& step = bucket.steps[s];
    const CompiledOp& op = ops[static_cast<size_t>(step.op)];
    std::vector<std::byte*> arguments;
    for (size_t i = 0; i < step.inputs.size(); ++i) {
      if (!op.inputs[i].is_constant) arguments.push_back(find(step.inputs[i]));
    }
    if (op.has_constants()) {
      arguments.push_back(constants.data() + compiled.steps[s].packed_at);
    }
    arguments.push_back(find(step.output));
    std::vector<void*> buffers;
    for (const Place& place : CallShapeOf(op, op.versions[0].packed).places) {
      buffers.push_back(arguments[static_cast<size_t>(place.argument)] + place.offset);
    }
    code.Find(op.versions[0].code.kernels[0].symbol)(
        buffers.data(), tensors.arena.data() + compiled.scratch_at, tessera_serial_launcher());
  }
}

std::vector<int64_t> Elements(int output, int64_t count) {
  std::set<int64_t> places = {0, count - 1};
  for (int64_t draw = 0; static_cast<int64_t>(places.size()) < std::min<int64_t>(kElements, count);
       ++draw) {
    places.insert(TestInteger(kSeed, output, draw, 0, count - 1));
  }
  return {places.begin(), places.end()};
}

// Sums in another order, and transforms of Winograd's, differ by this much of the largest value;
// where numbers are rounded to 16 bits or less on the way, some are rounded to their neighbours.
double RelativeTolerance(const LibrarySpec& spec) {
  for (const LibraryOp& op : spec.ops) {
    for (const ir::Buffer& output : op.workload.dag.outputs) {
      if (output->type.bits <= 16) return 1.0 / 32;
    }
  }
  return 1.0 / 1024;
}

ModelReference EmptyReference() {
  return {.seed = kSeed, .made_by = absl::StrCat("default schedules for ", kTarget)};
}

absl::StatusOr<std::string> LinkKernels(absl::Span<const CompiledOp> ops) {
  codegen::LinkOptions options;
  options.kind = ir::TargetKind::kX86;
  std::vector<std::string> objects;
  for (const CompiledOp& op : ops) {
    objects.push_back(op.versions[0].code.bytes);
    options.exported.push_back(op.versions[0].code.kernels[0].symbol);
  }
  return codegen::LinkSharedObject(objects, options);
}

double OperationsOf(const LibrarySpec& spec, const LibraryModel::Bucket& model) {
  double operations = 0;
  for (const LibraryModel::Step& step : model.steps) {
    const te::Dag& dag = spec.ops[static_cast<size_t>(step.op)].workload.dag;
    operations += static_cast<double>(te::ExecutedOperations(dag));
  }
  return operations;
}

// Why there is no reference of this bucket; empty where there can be one. `before`: operations of
// the buckets before it.
std::string WhyMissing(const LibrarySpec& spec, const LibraryModel::Bucket& model, double before) {
  if ((tessera_cpu_features() & TESSERA_CPU_SSE42) == 0) {
    return "the library was built on a machine that is no x86 machine";
  }
  for (const std::vector<ModelTensor>* tensors : {&model.inputs, &model.outputs}) {
    for (const ModelTensor& tensor : *tensors) {
      if (!tensor.type.layout.empty()) return tensor.name + " is not row-major";
      if (tensor.type.element.bits < 8) return tensor.name + " has elements below a byte";
    }
  }
  const double operations = OperationsOf(spec, model);
  if (before + operations <= static_cast<double>(kMaxReferenceOperations)) return "";
  return absl::StrCat("it takes ", operations, " operations",
                      before > 0 ? absl::StrCat(", other extents ", before) : "", ", more than ",
                      kMaxReferenceOperations);
}

// What a bucket's outputs are of seeded inputs.
ModelReference ReferenceOf(const LibraryModel::Bucket& bucket, absl::Span<const CompiledOp> ops,
                           const CompiledModel::Bucket& compiled, const Memory& constants,
                           const LoadedCode& code, double relative) {
  ModelReference reference = EmptyReference();
  Tensors tensors{{}, Memory(compiled.WorkspaceBytes())};
  for (size_t i = 0; i < bucket.inputs.size(); ++i) {
    const graph::TensorType& type = bucket.inputs[i].type;
    ir::BufferNode buffer;
    buffer.type = type.element;
    buffer.shape.assign(type.shape.begin(), type.shape.end());
    const std::vector<std::byte> bytes = te::TestInput(buffer, static_cast<int>(i), kSeed);
    std::memcpy(tensors.callers.emplace_back(type.StoredBytes()).data(), bytes.data(),
                bytes.size());
  }
  for (const ModelTensor& output : bucket.outputs) {
    tensors.callers.emplace_back(output.type.StoredBytes());
  }
  Run(bucket, ops, compiled, constants, code, tensors);
  for (size_t o = 0; o < bucket.outputs.size(); ++o) {
    const graph::TensorType& type = bucket.outputs[o].type;
    const absl::Span<const std::byte> bytes(tensors.callers[bucket.inputs.size() + o].data(),
                                            static_cast<size_t>(type.StoredBytes()));
    ModelReference::Output& output = reference.outputs.emplace_back();
    for (int64_t i = 0; i < type.ElementCount(); ++i) {
      output.largest = std::max(output.largest, std::abs(ir::ReadElement(type.element, bytes, i)));
      if (std::isfinite(ir::ReadElement(type.element, bytes, i))) continue;
      return ModelReference{.why_missing = bucket.outputs[o].name + " is not finite"};
    }
    output.tolerance =
        type.element.is_float() ? relative * output.largest : type.element.bits <= 16;
    output.elements = Elements(static_cast<int>(o), type.ElementCount());
    for (const int64_t element : output.elements) {
      output.values.push_back(ir::ReadElement(type.element, bytes, element));
    }
  }
  return reference;
}

}  // namespace

absl::StatusOr<std::vector<ModelReference>> MakeReferences(const LibrarySpec& spec) {
  std::vector<ModelReference> references;
  bool is_any_there = false;
  double operations = 0;
  for (const LibraryModel::Bucket& bucket : spec.model->buckets) {
    ModelReference& reference = references.emplace_back(EmptyReference());
    reference.why_missing = WhyMissing(spec, bucket, operations);
    if (!reference.why_missing.empty()) continue;
    is_any_there = true;
    operations += OperationsOf(spec, bucket);
  }
  if (!is_any_there) return references;
  TESSERA_ASSIGN_OR_RETURN(const LibrarySpec made, WithDefaults(spec));
  std::vector<CompiledOp> ops;
  for (const LibraryOp& op : made.ops) {
    TESSERA_ASSIGN_OR_RETURN(ops.emplace_back(), CompileOp(op, made));
  }
  const CompiledModel compiled = CompileModel(made, ops);
  TESSERA_ASSIGN_OR_RETURN(const std::string shared_object, LinkKernels(ops));
  TESSERA_ASSIGN_OR_RETURN(const LoadedCode code, LoadedCode::Load(shared_object));
  const Memory constants(static_cast<int64_t>(compiled.constants.size()));
  std::memcpy(constants.data(), compiled.constants.data(), compiled.constants.size());
  for (size_t b = 0; b < references.size(); ++b) {
    if (!references[b].why_missing.empty()) continue;
    const std::vector<CompiledModel::Step>& steps = compiled.buckets[b].steps;
    if (std::ranges::any_of(steps, &CompiledModel::Step::is_made_by_create)) {
      references[b].why_missing = "a kernel computes from constants alone, when a model is created";
      continue;
    }
    references[b] = ReferenceOf(made.model->buckets[b], ops, compiled.buckets[b], constants, code,
                                RelativeTolerance(made));
  }
  return references;
}

}  // namespace tessera::library
