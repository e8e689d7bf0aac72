#pragma once

#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "compiler/ir/stmt.h"

namespace tessera::codegen {

// kLocal buffers up to this size live on the stack (registers, once constant indices are promoted);
// larger ones go to the workspace.
inline constexpr int64_t kMaxStackBufferBytes = 16 << 10;
// All stack buffers of one function together; pool threads have 1 MiB.
inline constexpr int64_t kMaxStackBytes = 256 << 10;

enum class Place : uint8_t { kStack, kShared, kPrivate };

struct Slot {
  Place place;
  int64_t offset = 0;  // bytes into the shared or private part; 0 for kStack
};

// Where each Allocate'd buffer lives. Buffers whose lifetimes are disjoint share memory. Those
// allocated inside a parallel loop are private to the thread, the others shared.
struct WorkspacePlan {
  absl::flat_hash_map<const ir::BufferNode*, Slot> slots;
  int64_t shared_bytes = 0;  // multiples of 64
  int64_t private_bytes = 0;
};

// InvalidArgument for scopes that a CPU doesn't have.
absl::StatusOr<WorkspacePlan> PlanWorkspace(const ir::Program& program);

}  // namespace tessera::codegen
