#pragma once

#include <cstdint>

#include "compiler/ir/stmt.h"

// Copies from global to shared memory that a thread starts and later waits for, instead of loads
// into registers and stores of these. Found by what a kernel does: schedules need no name for them.
//
// The instruction is NVIDIA's cp.async ("Parallel Thread Execution ISA", 9.7.9.25): 4, 8 or 16
// bytes, as they are, between addresses that are multiples of that.

namespace tessera::codegen::gpu {

// `nest`, a kernel's, with what threads copy from global to doubled memory
// (compiler/passes/double_buffers.h) copied asynchronously: what they load ahead into memory of
// their own goes straight to the half that nobody reads before the next barrier, in front of which
// each thread waits for its copies. What is filled in is stored there as early.
// Requires lowered statements. Copies that no instruction makes stay as they are.
ir::Stmt CopyAsynchronously(const ir::Stmt& nest);

// How many bytes at once, 4, 8 or 16, instructions copy `bytes` by, between addresses that are
// multiples of `to` and of `from`; 0: none does.
int64_t AsyncCopyBytes(int64_t bytes, int64_t to, int64_t from);

// Whether it lies in the device's memory, whatever it holds.
inline bool IsGlobal(const ir::BufferNode& buffer) {
  return buffer.scope == ir::Scope::kGlobal || buffer.scope == ir::Scope::kWorkspace;
}

}  // namespace tessera::codegen::gpu
