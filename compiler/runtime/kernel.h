#ifndef TESSERA_COMPILER_RUNTIME_KERNEL_H_
#define TESSERA_COMPILER_RUNTIME_KERNEL_H_

// The binary interface between a generated kernel and whoever calls it: plain C, the same in a
// measurement and in a shipped library. Version it when it changes.

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TESSERA_KERNEL_ABI 1

// One iteration (or slice) of a parallel loop: [begin, end) of it, on thread `thread`.
typedef void (*tessera_parallel_body)(int64_t begin, int64_t end, int32_t thread, void* context);

// Runs a parallel loop of `count` iterations and returns when all have ended. `self` is the
// launcher passed to the kernel.
typedef struct tessera_launcher {
  void (*parallel_for)(struct tessera_launcher* self, int64_t count, tessera_parallel_body body,
                       void* context);
  int32_t threads;  // at least 1; `thread` arguments are below it
} tessera_launcher;

// A kernel. `buffers`: inputs then outputs, 64-byte aligned, in their stored layouts. `workspace`:
// 64-byte aligned, of the size that the kernel's metadata states (shared bytes, then
// `threads` × private bytes). Contents of the workspace are undefined before and after.
typedef void (*tessera_kernel)(void* const* buffers, void* workspace, tessera_launcher* launcher);

#ifdef __cplusplus
}
#endif

#endif  // TESSERA_COMPILER_RUNTIME_KERNEL_H_
