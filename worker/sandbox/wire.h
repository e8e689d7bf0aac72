#pragma once

#include <cstdint>

#include "absl/types/span.h"
#include "worker/sandbox/sandbox.h"

// What the parent and the zygote say to each other, on sockets that keep message boundaries.

namespace tessera::sandbox {

constexpr int kMaxDescriptors = 16;
constexpr size_t kMaxArgumentBytes = 64 << 10;

// First message from the zygote.
struct Hello {
  char missing[512];   // "; "-separated
  char unloaded[512];  // why a library that is allowed isn't there; empty: all are
};

// Parent to zygote, followed by the argument's bytes. Descriptors: monitor, channel, diagnosis,
// then the library when there is one, then the task's.
struct SpawnRequest {
  ChildEntry entry;
  uint32_t argument_bytes;
  bool has_library;
  Limits limits;
};

// Zygote to parent on a child's monitor, once, at its end. A byte the other way asks to kill it;
// so does closing the monitor.
struct ExitMessage {
  int32_t wait_status;
  int64_t peak_memory_bytes;
};

// The forked process: isolates itself as `options` say, then serves spawn requests from `socket`
// until it closes.
[[noreturn]] void ZygoteMain(int socket, const Sandbox::Options& options);

}  // namespace tessera::sandbox
