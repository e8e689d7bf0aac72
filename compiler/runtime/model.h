#ifndef TESSERA_COMPILER_RUNTIME_MODEL_H_
#define TESSERA_COMPILER_RUNTIME_MODEL_H_

// What the entry points of a generated model library call: operators one after the other, on one
// arena. C11, libc only.

#include <stdint.h>

#include "compiler/runtime/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

// Where an argument of an operator lies: what the caller gave (its number among inputs and
// outputs), or so many bytes into the workspace, into what was packed when the model was created,
// or into the library's constants.
enum {
  TESSERA_MODEL_CALLER = 0,
  TESSERA_MODEL_ARENA = 1,
  TESSERA_MODEL_PACKED = 2,
  TESSERA_MODEL_CONSTANT = 3
};
typedef struct tessera_model_place {
  int64_t kind;
  int64_t at;
} tessera_model_place;

typedef struct tessera_model_step {
  const tessera_op_table* op;
  int64_t argument_count;  // at most TESSERA_OP_MAX_BUFFERS; of the operator's entry point
  const tessera_model_place* arguments;
  const tessera_packing_table* packing;  // NULL: there is nothing to pack for it
  int64_t constant_count;
  const int64_t* constants;  // to pack: bytes into the library's constants, row-major
  int64_t packed_offset;     // where the packed block goes
} tessera_model_step;

typedef struct tessera_model {
  int64_t caller_count;  // inputs and outputs
  int64_t step_count;
  const tessera_model_step* steps;
  const char* constants;  // aligned to 64 bytes
  int64_t packed_bytes;   // that are packed when the model is created
  // Of the workspace: where operators have their scratch memory, for as many threads as the library
  // was made for.
  int64_t scratch_offset;
  int64_t scratch_bytes;
} tessera_model;

// A model for several extents of its open dimensions.
typedef struct tessera_model_buckets {
  int64_t bucket_count;
  int64_t extent_count;    // of each
  const int64_t* extents;  // of the first bucket, of the next, …
} tessera_model_buckets;

// The number of the first bucket with no smaller extents than these; -1 without one, or for NULL.
int tessera_model_bucket(const tessera_model_buckets* buckets, const int64_t* extents);

// A model with what has to be packed for this CPU. Its runs only read it.
typedef struct tessera_model_instance tessera_model_instance;

// arguments: where the instance is put. Starts the threads that runs use. Results are those of
// ops.h.
int tessera_model_create(const tessera_model* model, void* const* arguments);
// NULL is fine.
void tessera_model_destroy(tessera_model_instance* instance);

// arguments: the instance, inputs and outputs, the workspace of scratch_offset + scratch_bytes, all
// aligned to 64 bytes. Any number of threads may run one instance at once, each on a workspace of
// its own. Allocates nothing, unless tessera_op_use_threads asked for more threads than the library
// was made for: a calling thread then keeps what operators need for these.
int tessera_model_run(const tessera_model* model, void* const* arguments);

// The same; arguments: the instance, an array of inputs and outputs, the workspace, and an array of
// step_count doubles, to each of which the seconds of its step are added; NULL: none are taken.
int tessera_model_run_timed(const tessera_model* model, void* const* arguments);

#ifdef __cplusplus
}
#endif

#endif  // TESSERA_COMPILER_RUNTIME_MODEL_H_
