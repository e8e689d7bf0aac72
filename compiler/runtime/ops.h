#ifndef TESSERA_COMPILER_RUNTIME_OPS_H_
#define TESSERA_COMPILER_RUNTIME_OPS_H_

// What the entry points of a generated operator library call. The library's own code only gathers
// its arguments and names a descriptor. C11, libc only.

#include <stdint.h>

#include "compiler/runtime/kernel.h"
#include "compiler/runtime/layout.h"

#ifdef __cplusplus
extern "C" {
#endif

// Results of every function of a library; its header documents them.
enum {
  TESSERA_OPS_OK = 0,
  TESSERA_OPS_NULL_POINTER = 1,
  TESSERA_OPS_MISALIGNED = 2,
  TESSERA_OPS_OUT_OF_MEMORY = 3,
  TESSERA_OPS_BAD_THREADS = 4,
  TESSERA_OPS_UNSUPPORTED_CPU = 5
};

// The instruction sets that a library has kernels for, best first.
typedef struct tessera_versions {
  int64_t count;
  const int64_t* needs;      // bits of compiler/runtime/cpu.h
  const char* const* names;  // "avx512,vnni"
} tessera_versions;

// A kernel's buffer is argument `argument` of the entry point plus `offset` bytes.
typedef struct tessera_op_buffer {
  int64_t argument;
  int64_t offset;
} tessera_op_buffer;

#define TESSERA_OP_MAX_BUFFERS 64

typedef struct tessera_op {
  tessera_kernel kernel;
  int64_t argument_count;
  int64_t buffer_count;  // at most TESSERA_OP_MAX_BUFFERS
  const tessera_op_buffer* buffers;
  int64_t shared_workspace_bytes;
  int64_t private_workspace_bytes;
  int64_t threads;  // that the library was made for
} tessera_op;

// The constants of an operator, each packed at its place, and what is computed from them. Arguments
// of places and buffers: TESSERA_OP_PACKED, the block that the operator takes, TESSERA_OP_SCRATCH,
// memory that packing has for itself, or TESSERA_OP_UNUSED.
typedef struct tessera_op_packing {
  int64_t count;
  const tessera_layout* layouts;
  const tessera_op_buffer* places;
  tessera_kernel prepare;  // runs on the packed constants; NULL: nothing is computed
  int64_t buffer_count;    // of `prepare`, at most TESSERA_OP_MAX_BUFFERS
  const tessera_op_buffer* buffers;
  int64_t workspace_offset;  // of `prepare`, in the scratch memory
  int64_t scratch_bytes;
} tessera_op_packing;

enum { TESSERA_OP_UNUSED = -1, TESSERA_OP_PACKED = 0, TESSERA_OP_SCRATCH = 1 };

// An operator with what each version of the library has of it, in the order of `versions`.
typedef struct tessera_op_table {
  const tessera_versions* versions;
  const tessera_op* ops;
} tessera_op_table;
typedef struct tessera_packing_table {
  const tessera_versions* versions;
  const tessera_op_packing* packings;
} tessera_packing_table;

// The name of the first version that this CPU runs under its ceiling (tessera_cpu_usable), which is
// the one that the functions below use: the same for as long as the library is loaded. NULL when
// there is none; they return TESSERA_OPS_UNSUPPORTED_CPU then.
const char* tessera_op_isa(const tessera_versions* versions);

// Runs the operator. Any number of threads may call at once; they share the pool (thread_pool.h).
int tessera_op_run(const tessera_op_table* table, void* const* arguments);
// The same in `bytes` of memory of the caller's, aligned to 64 bytes, where they are enough for the
// threads that run it; else in memory that is kept for this thread.
int tessera_op_run_in(const tessera_op_table* table, void* const* arguments, void* memory,
                      int64_t bytes);
// Starts the threads that the operator would start when it is the first to run.
int tessera_op_start(const tessera_op_table* table);
// arguments: the row-major constants in order, then the packed block, which has to be aligned to 64
// bytes where something is computed.
int tessera_op_pack_constants(const tessera_packing_table* table, void* const* arguments);
// arguments: row-major source, stored destination.
int tessera_op_pack(const tessera_layout* layout, void* const* arguments);
// arguments: stored source, row-major destination.
int tessera_op_unpack(const tessera_layout* layout, void* const* arguments);

// Whether `count` arguments are there and aligned: an error of the enumeration above, or none.
#define TESSERA_OP_ALIGNMENT 64
int tessera_op_check_pointers(void* const* arguments, int64_t count, int64_t alignment);

// Threads that operators use from now on; waits for running ones to end. Those of the pool are
// pinned (thread_pool.h) if the environment variable TESSERA_PIN was 1 when this code was loaded.
int tessera_op_use_threads(int threads);

#ifdef __cplusplus
}
#endif

#endif  // TESSERA_COMPILER_RUNTIME_OPS_H_
