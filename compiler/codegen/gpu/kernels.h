#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "compiler/ir/stmt.h"
#include "compiler/ir/target.h"

// What GPU code generators have in common: a program is a sequence of kernels.

namespace tessera::codegen::gpu {

// An axis of blocks or of a block's threads. One that no loop is bound to has extent 1.
struct ThreadLoop {
  ir::VarRef var;  // null: none
  int64_t min = 0, extent = 1;
};

// A root nest, as all threads run it.
struct KernelNest {
  std::string name;                           // of the function, unique in the program
  std::array<ThreadLoop, 3> blocks, threads;  // x, y, z
  ir::Stmt body;                              // inside of those loops
  std::vector<int> params;                    // of the program's that it uses, ascending
  bool uses_workspace = false;
  struct Shared {
    ir::Buffer buffer;
    int64_t offset;  // bytes
  };
  std::vector<Shared> shared;  // allocated in it for a block
  int64_t shared_bytes = 0;
};

struct Kernels {
  std::vector<KernelNest> nests;  // in their order; each begins when the one before has ended
  absl::flat_hash_map<const ir::BufferNode*, int64_t> workspace;  // offsets in bytes
  int64_t workspace_bytes = 0;
};

// The kernels of a lowered program. InvalidArgument naming value and limit where one has more
// threads a block, more shared memory, or more private memory than the target has, or 2^31 blocks
// along an axis.
absl::StatusOr<Kernels> SplitKernels(const ir::Program& program, const ir::Target& target);

}  // namespace tessera::codegen::gpu
