#include "compiler/library/compiled_model.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "compiler/runtime/layout.h"
#include "compiler/runtime/ops.h"

namespace tessera::library {
namespace {

int64_t RoundUp(int64_t bytes) {
  return (bytes + TESSERA_OP_ALIGNMENT - 1) / TESSERA_OP_ALIGNMENT * TESSERA_OP_ALIGNMENT;
}

// Row-major `from` to `to`, as the library's runtime packs it (GlueModule::Layout).
void Pack(const ir::BufferNode& buffer, const char* from, char* to) {
  const bool is_bytes = buffer.type.bits < 8;
  const std::vector<int64_t> shape =
      is_bytes ? std::vector<int64_t>{buffer.StoredBytes()}
               : std::vector<int64_t>(buffer.shape.begin(), buffer.shape.end());
  std::vector<tessera_layout_dim> dims;
  for (const ir::LayoutDim& dim : buffer.layout) {
    dims.push_back({dim.axis, dim.divisor, dim.extent});
  }
  const tessera_layout layout = {is_bytes ? 1 : buffer.type.bits / 8,
                                 static_cast<int64_t>(shape.size()), shape.data(),
                                 static_cast<int64_t>(dims.size()), dims.data()};
  tessera_layout_pack(&layout, from, to);
}

// What a packed block of the operator is made like, in every version: the same of operators that
// pack the same constants to the same bytes.
std::string Packing(const CompiledOp& op, int number) {
  std::string text;
  for (const CompiledVersion& version : op.versions) {
    // What is computed from constants is the operator's own.
    if (version.packed.preparation) return absl::StrCat(number);
    for (const PackedConstant& constant : version.packed.constants) {
      const ir::BufferNode& buffer = *constant.buffer;
      absl::StrAppend(&text, ir::ToString(buffer.type), "[", absl::StrJoin(buffer.shape, ","), "] ",
                      StoredAs(buffer), " at ", constant.offset, ";");
    }
    absl::StrAppend(&text, version.packed.bytes, "\n");
  }
  return text;
}

class ModelCompiler {
 public:
  ModelCompiler(const LibraryModel& model, absl::Span<const CompiledOp> ops)
      : model_(model), ops_(ops) {}

  void Add(const LibraryModel::Bucket& bucket, absl::Span<const LibraryVersion> versions) {
    CompiledModel::Bucket& made = compiled_.buckets.emplace_back();
    made.scratch_at = RoundUp(bucket.arena_bytes);
    for (const LibraryModel::Step& step : bucket.steps) {
      made.steps.push_back(StepOf(step));
      const CompiledOp& op = ops_[static_cast<size_t>(step.op)];
      for (size_t v = 0; v < versions.size(); ++v) {
        const codegen::Kernel& kernel = op.versions[v].code.kernels[0];
        made.scratch_bytes =
            std::max(made.scratch_bytes,
                     RoundUp(kernel.shared_workspace_bytes +
                             versions[v].target.max_threads * kernel.private_workspace_bytes));
      }
    }
  }

  CompiledModel Finish() && { return std::move(compiled_); }

 private:
  CompiledModel::Step StepOf(const LibraryModel::Step& step) {
    const CompiledOp& op = ops_[static_cast<size_t>(step.op)];
    CompiledModel::Step made;
    if (op.has_constants()) {
      std::vector<int64_t> constants;
      for (size_t i = 0; i < step.inputs.size(); ++i) {
        if (op.inputs[i].is_constant) constants.push_back(step.inputs[i].at);
      }
      const auto [block, is_new] = blocks_.try_emplace({Packing(op, step.op), constants});
      if (is_new) {
        made = IsPackedHere(op) ? PackedHere(op, constants) : PackedByCreate(op, constants);
        block->second = made;
      } else {
        made = block->second;
        made.packs = false;
      }
    }
    return made;
  }

  static bool IsPackedHere(const CompiledOp& op) {
    return op.versions.size() == 1 && !op.versions[0].packed.preparation;
  }

  // The place of so many bytes more.
  int64_t Grow(int64_t bytes) {
    std::string& constants = compiled_.constants;
    const auto at = static_cast<size_t>(RoundUp(static_cast<int64_t>(constants.size())));
    constants.resize(at + static_cast<size_t>(bytes));
    return static_cast<int64_t>(at);
  }

  CompiledModel::Step PackedHere(const CompiledOp& op, const std::vector<int64_t>& constants) {
    const PackedBlock& packed = op.versions[0].packed;
    TESSERA_CHECK(packed.constants.size() == constants.size());
    const int64_t at = Grow(packed.bytes);
    for (size_t i = 0; i < constants.size(); ++i) {
      Pack(*packed.constants[i].buffer, model_.constants.data() + constants[i],
           compiled_.constants.data() + at + packed.constants[i].offset);
    }
    return {.packed_at = at};
  }

  CompiledModel::Step PackedByCreate(const CompiledOp& op, const std::vector<int64_t>& constants) {
    CompiledModel::Step made{
        .is_made_by_create = true, .packed_at = compiled_.create_bytes, .packs = true};
    compiled_.create_bytes += RoundUp(op.packed_bytes);
    size_t constant = 0;
    for (const OpTensor& tensor : op.inputs) {
      if (!tensor.is_constant) continue;
      const int64_t from = constants[constant++];
      const auto [kept, is_new] = sources_.try_emplace(from, 0);
      if (is_new) {
        const ir::BufferNode& buffer = *tensor.buffer;
        const int64_t bytes = (buffer.ElementCount() * buffer.type.bits + 7) / 8;
        kept->second = Grow(bytes);
        std::copy_n(model_.constants.data() + from, bytes,
                    compiled_.constants.data() + kept->second);
      }
      made.sources.push_back(kept->second);
    }
    return made;
  }

  const LibraryModel& model_;
  absl::Span<const CompiledOp> ops_;
  CompiledModel compiled_;
  std::map<std::pair<std::string, std::vector<int64_t>>, CompiledModel::Step> blocks_;
  std::map<int64_t, int64_t> sources_;  // where row-major constants of the model are kept
};

}  // namespace

CompiledModel CompileModel(const LibrarySpec& spec, absl::Span<const CompiledOp> ops) {
  ModelCompiler compiler(*spec.model, ops);
  for (const LibraryModel::Bucket& bucket : spec.model->buckets) {
    compiler.Add(bucket, spec.versions);
  }
  return std::move(compiler).Finish();
}

}  // namespace tessera::library
