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
// outputs), or so many bytes into the workspace or into the packed constants.
enum { TESSERA_MODEL_CALLER = 0, TESSERA_MODEL_ARENA = 1, TESSERA_MODEL_PACKED = 2 };
typedef struct tessera_model_place {
  int64_t kind;
  int64_t at;
} tessera_model_place;

typedef struct tessera_model_step {
  const tessera_op_table* op;
  int64_t argument_count;  // at most TESSERA_OP_MAX_BUFFERS; of the operator's entry point
  const tessera_model_place* arguments;
  const tessera_packing_table*
      packing;  // NULL: it has no constants, or a step before has packed them
  int64_t constant_count;
  const int64_t* constants;  // bytes into the model's constants, row-major
  int64_t packed_offset;     // of its packed block
} tessera_model_step;

typedef struct tessera_model {
  int64_t caller_count;  // inputs and outputs
  int64_t step_count;
  const tessera_model_step* steps;
  const char* constants;
  int64_t packed_bytes;
  int64_t arena_bytes;
} tessera_model;

// A model with its constants packed for this CPU. Its runs only read it.
typedef struct tessera_model_instance tessera_model_instance;

// arguments: where the instance is put. Results are those of ops.h.
int tessera_model_create(const tessera_model* model, void* const* arguments);
// NULL is fine.
void tessera_model_destroy(tessera_model_instance* instance);

// arguments: the instance, inputs and outputs, the workspace of arena_bytes, all aligned to 64
// bytes. Any number of threads may run one instance at once, each on a workspace of its own.
// Allocates nothing that a run before has not (operators keep their scratch by thread).
int tessera_model_run(const tessera_model* model, void* const* arguments);

#ifdef __cplusplus
}
#endif

#endif  // TESSERA_COMPILER_RUNTIME_MODEL_H_
