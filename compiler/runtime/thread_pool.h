#ifndef TESSERA_COMPILER_RUNTIME_THREAD_POOL_H_
#define TESSERA_COMPILER_RUNTIME_THREAD_POOL_H_

// A small pool of threads that spin for a while and then sleep: the launcher of measurements and of
// shipped libraries. A thread doesn't spin on the core of one that it waits for, and the caller
// runs the shares of workers that have not begun when it is done with its own, so that a loop on a
// busy machine takes about as long as on one thread at worst. Linux, C11, libc only.

#include "compiler/runtime/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tessera_pool tessera_pool;

typedef struct tessera_pool_options {
  int32_t threads;            // the caller included; 1 to TESSERA_POOL_MAX_THREADS
  int64_t grain;              // 0: one equal slice a thread; else threads take `grain` iterations
                              // at a time until none is left
  int32_t spin_microseconds;  // how long an idle thread spins before it sleeps; negative: default
  int32_t pin;                // nonzero: worker i runs on the i-th core allowed to the process
                              // (the caller is never pinned, and counts as the 0-th)
} tessera_pool_options;

#define TESSERA_POOL_MAX_THREADS 1024

// Makes a pool and starts its threads. NULL when `threads` is out of range or memory is short. If
// the system gives fewer threads than asked for, loops run on those.
tessera_pool* tessera_pool_create(const tessera_pool_options* options);

// No loop may be running. Accepts NULL.
void tessera_pool_destroy(tessera_pool* pool);

// The launcher to pass to kernels; lives as long as the pool. Any number of threads may use it at
// once: while one of them has the workers, the others run their loops alone. A loop started from
// within a loop's body runs alone too. After fork() the child's first loop starts new workers.
// A thread's stack is 1 MiB at least.
tessera_launcher* tessera_pool_launcher(tessera_pool* pool);

// A launcher of one thread that calls the body once with the whole range. Immutable, shared.
tessera_launcher* tessera_serial_launcher(void);

#ifdef __cplusplus
}
#endif

#endif  // TESSERA_COMPILER_RUNTIME_THREAD_POOL_H_
