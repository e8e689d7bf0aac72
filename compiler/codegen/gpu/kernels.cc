#include "compiler/codegen/gpu/kernels.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/ir/threads.h"
#include "compiler/schedule/lowering_limits.h"
#include "compiler/te/c_names.h"

namespace tessera::codegen::gpu {
namespace {

constexpr int64_t kAlignment = 256;                     // of buffers in the workspace
constexpr int64_t kMaxPrivateBytes = 16 << 10;          // of one buffer of a thread
constexpr int64_t kMaxBlocks = (int64_t{1} << 31) - 1;  // along an axis
constexpr int64_t kMaxCudaBlocks = 65535;               // along y and z
constexpr int64_t kMaxCudaThreadsZ = 64;

int64_t RoundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

class Splitter {
 public:
  Splitter(const ir::Program& program, const ir::Target& target)
      : program_(program), target_(target) {}

  absl::StatusOr<Kernels> Run() {
    TESSERA_RETURN_IF_ERROR(Split(program_.body, 0));
    return std::move(kernels_);
  }

 private:
  // `top`: bytes of the workspace in use around `s`.
  absl::Status Split(const ir::Stmt& s, int64_t top) {
    if (!s) return absl::OkStatus();
    if (const auto* block = s.As<ir::Block>()) {
      const bool has_loops = std::ranges::any_of(block->stmts, [](const ir::Stmt& part) {
        bool found = false;
        ir::ForEach<ir::For>(part, [&](const ir::For&) { found = true; });
        return found;
      });
      if (!has_loops) return AddNest(s);
      for (const ir::Stmt& part : block->stmts) TESSERA_RETURN_IF_ERROR(Split(part, top));
      return absl::OkStatus();
    }
    if (const auto* node = s.As<ir::Allocate>();
        node != nullptr && node->buffer->scope == ir::Scope::kWorkspace) {
      kernels_.workspace[node->buffer.get()] = top;
      top += RoundUp(node->buffer->StoredBytes(), kAlignment);
      kernels_.workspace_bytes = std::max(kernels_.workspace_bytes, top);
      return Split(node->body, top);
    }
    return AddNest(s);
  }

  absl::Status AddNest(const ir::Stmt& s) {
    KernelNest nest;
    nest.name =
        absl::StrCat(te::ToCIdentifier(program_.name, "kernel"), "_", kernels_.nests.size());
    nest.body = s;
    while (const auto* loop = nest.body.As<ir::For>()) {
      const bool is_block = ir::IsBlockAxis(loop->thread_axis);
      if (!is_block && !ir::IsThreadAxis(loop->thread_axis)) break;
      const auto first = is_block ? ir::ThreadAxis::kBlockX : ir::ThreadAxis::kThreadX;
      const auto axis = static_cast<size_t>(loop->thread_axis) - static_cast<size_t>(first);
      ThreadLoop& bound = (is_block ? nest.blocks : nest.threads)[axis];
      if (bound.var != nullptr) {
        return Refuse(nest, absl::StrCat("two loops are bound to ",
                                         std::string(ir::ToString(loop->thread_axis))));
      }
      bound = {loop->var, loop->min, loop->extent};
      nest.body = loop->body;
    }
    TESSERA_RETURN_IF_ERROR(CheckThreads(nest));
    TESSERA_RETURN_IF_ERROR(AddBuffers(nest));
    kernels_.nests.push_back(std::move(nest));
    return absl::OkStatus();
  }

  absl::Status CheckThreads(const KernelNest& nest) const {
    int64_t threads = 1;
    for (const ThreadLoop& loop : nest.threads) threads *= loop.extent;
    if (threads > target_.block_threads) {
      return Refuse(nest, absl::StrCat(threads, " threads a block; the target has at most ",
                                       target_.block_threads));
    }
    const bool is_cuda = target_.kind == ir::TargetKind::kCuda;
    for (size_t axis = 0; axis < 3; ++axis) {
      const int64_t most = is_cuda && axis > 0 ? kMaxCudaBlocks : kMaxBlocks;
      if (nest.blocks[axis].extent > most) {
        return Refuse(
            nest, absl::StrCat(nest.blocks[axis].extent, " blocks along an axis; at most ", most));
      }
    }
    if (is_cuda && nest.threads[2].extent > kMaxCudaThreadsZ) {
      return Refuse(nest, absl::StrCat(nest.threads[2].extent, " threads along z; at most ",
                                       kMaxCudaThreadsZ));
    }
    absl::Status status;
    ir::ForEach<ir::For>(nest.body, [&](const ir::For& loop) {
      if (loop.loop_kind == ir::LoopKind::kThread) {
        status.Update(Refuse(nest, absl::StrCat("loop ", loop.var->name, " is bound to ",
                                                std::string(ir::ToString(loop.thread_axis)),
                                                " inside of one that is not")));
      }
    });
    return status;
  }

  absl::Status AddBuffers(KernelNest& nest) {
    std::set<const ir::BufferNode*> used;
    ir::ForEach<ir::Load>(nest.body, [&](const ir::Load& n) { used.insert(n.buffer.get()); });
    ir::ForEach<ir::Store>(nest.body, [&](const ir::Store& n) { used.insert(n.buffer.get()); });
    for (size_t i = 0; i < program_.params.size(); ++i) {
      if (used.contains(program_.params[i].get())) nest.params.push_back(static_cast<int>(i));
    }
    for (const ir::BufferNode* buffer : used) {
      nest.uses_workspace |= kernels_.workspace.contains(buffer);
    }
    absl::Status status;
    ir::ForEach<ir::Allocate>(nest.body, [&](const ir::Allocate& node) {
      const int64_t bytes = node.buffer->StoredBytes();
      // Loops that were cut hold the same memory in each of their parts.
      if (std::ranges::count(nest.shared, node.buffer, &KernelNest::Shared::buffer) > 0) return;
      if (node.buffer->scope == ir::Scope::kShared) {
        nest.shared.push_back({node.buffer, nest.shared_bytes});
        nest.shared_bytes += RoundUp(bytes, schedule::kSharedAlignment);
      } else if (node.buffer->scope != ir::Scope::kLocal) {
        status.Update(Refuse(nest, absl::StrCat("buffer ", node.buffer->name, " has scope ",
                                                ir::ToString(node.buffer->scope),
                                                ", which a kernel of a GPU does not have")));
      } else if (bytes > kMaxPrivateBytes) {
        status.Update(
            Refuse(nest, absl::StrCat("buffer ", node.buffer->name, " takes ", bytes,
                                      " bytes of each thread; at most ", kMaxPrivateBytes)));
      }
    });
    TESSERA_RETURN_IF_ERROR(status);
    if (nest.shared_bytes > target_.shared_bytes) {
      return Refuse(nest,
                    absl::StrCat(nest.shared_bytes, " bytes of shared memory; the target has ",
                                 target_.shared_bytes));
    }
    return absl::OkStatus();
  }

  static absl::Status Refuse(const KernelNest& nest, std::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat("code generation: kernel ", nest.name, ": ", std::string(why)));
  }

  const ir::Program& program_;
  const ir::Target& target_;
  Kernels kernels_;
};

}  // namespace

absl::StatusOr<Kernels> SplitKernels(const ir::Program& program, const ir::Target& target) {
  return Splitter(program, target).Run();
}

}  // namespace tessera::codegen::gpu
