#pragma once

#include <cstdint>

#include "proto/limits.h"
#include "worker/runner/exchange.h"
#include "worker/sandbox/sandbox.h"

// The child's side of a measurement: loads one kernel and obeys the parent's commands. It never
// sees expected values, and the parent believes nothing it says that can be checked.

namespace tessera::runner {

using proto::kMaxBuffers;
static_assert(kMaxBuffers <= 64);  // bits of HostArgument::constants
constexpr int kMaxThreads = 256;

// The child's argument. Its descriptors are the exchange image and, with a `program_key`, the
// memory of kMaxProgramBytes for the binary of device code (program_cache.h).
struct HostArgument {
  int32_t buffer_count;
  int32_t threads;
  int32_t pinned;  // whether `cores` holds one core a thread
  int64_t workspace_bytes;
  int64_t exchange_bytes;
  int64_t memory_bytes;  // beyond these, as far as the child can tell
  Slot slots[kMaxBuffers];
  int32_t cores[kMaxThreads];
  char symbol[256];
  uint64_t constants;        // a bit a buffer
  char prepare_symbol[256];  // of what is given these only; empty: none
  int32_t prepared_count;    // passed behind the buffers; with them at most kMaxBuffers
  int64_t prepared_bytes[kMaxBuffers];
  char program_key[65];   // a ProgramKey; empty: no binary is taken or wanted
  int64_t program_bytes;  // of the binary that is there
  int32_t wants_program;  // whether what was compiled shall be put there
};

enum class HostCommandKind : uint32_t {
  kPrepare,  // copies the image to the buffers, prepares constants, spoils the workspace
  kCall,     // calls the kernel `calls` times; `seconds` is what they took
  kCollect,  // copies the buffers to the image
  kEvict     // removes the buffers from all caches
};

struct HostCommand {
  uint64_t sequence;
  HostCommandKind kind;
  Placement placement;
  int64_t calls;
};

// One a command, in order; one with sequence 0 after the kernel was loaded.
struct HostReply {
  uint64_t sequence;
  double seconds;
  int64_t program_bytes;  // that were put there, with sequence 0
  char error[240];        // empty = done
};

// A thread reserves its stack and an arena of the C library's allocator.
constexpr int64_t kThreadBytes = int64_t{160} << 20;

// Memory that the host maps besides the image, for limits.
int64_t HostMemoryBytes(const HostArgument& argument);

int KernelHostMain(const sandbox::ChildContext& context);

}  // namespace tessera::runner
