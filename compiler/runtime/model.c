#define _POSIX_C_SOURCE 200809L

#include "compiler/runtime/model.h"

#include <stddef.h>
#include <stdlib.h>
#include <time.h>

struct tessera_model_instance {
  char* packed;
};

static int PackStep(const tessera_model* model, const tessera_model_step* step, char* packed) {
  void* arguments[TESSERA_OP_MAX_BUFFERS + 1];
  for (int64_t i = 0; i < step->constant_count; ++i) {
    arguments[i] = (void*)(model->constants + step->constants[i]);
  }
  arguments[step->constant_count] = packed + step->packed_offset;
  return tessera_op_pack_constants(step->packing, arguments);
}

int tessera_model_create(const tessera_model* model, void* const* arguments) {
  tessera_model_instance** const made = arguments[0];
  if (made == NULL) return TESSERA_OPS_NULL_POINTER;
  *made = NULL;
  tessera_model_instance* instance = calloc(1, sizeof(*instance));
  if (instance == NULL) return TESSERA_OPS_OUT_OF_MEMORY;
  int result = model->step_count == 0 ? TESSERA_OPS_OK : tessera_op_start(model->steps[0].op);
  if (result == TESSERA_OPS_OK && model->packed_bytes != 0) {
    const int64_t rounded = (model->packed_bytes + TESSERA_OP_ALIGNMENT - 1) /
                            TESSERA_OP_ALIGNMENT * TESSERA_OP_ALIGNMENT;
    instance->packed = aligned_alloc(TESSERA_OP_ALIGNMENT, (size_t)rounded);
    if (instance->packed == NULL) result = TESSERA_OPS_OUT_OF_MEMORY;
  }
  for (int64_t i = 0; i < model->step_count && result == TESSERA_OPS_OK; ++i) {
    if (model->steps[i].packing != NULL) {
      result = PackStep(model, &model->steps[i], instance->packed);
    }
  }
  if (result != TESSERA_OPS_OK) {
    tessera_model_destroy(instance);
    return result;
  }
  *made = instance;
  return TESSERA_OPS_OK;
}

void tessera_model_destroy(tessera_model_instance* instance) {
  if (instance == NULL) return;
  free(instance->packed);
  free(instance);
}

int tessera_model_bucket(const tessera_model_buckets* buckets, const int64_t* extents) {
  if (extents == NULL) return -1;
  for (int64_t b = 0; b < buckets->bucket_count; ++b) {
    const int64_t* const held = buckets->extents + b * buckets->extent_count;
    int64_t i = 0;
    while (i < buckets->extent_count && extents[i] <= held[i]) ++i;
    if (i == buckets->extent_count) return (int)b;
  }
  return -1;
}

static void* Find(const tessera_model* model, const tessera_model_instance* instance,
                  tessera_model_place place, void* const* callers, char* workspace) {
  switch (place.kind) {
    case TESSERA_MODEL_CALLER:
      return callers[place.at];
    case TESSERA_MODEL_ARENA:
      return workspace + place.at;
    case TESSERA_MODEL_PACKED:
      return instance->packed + place.at;
    default:
      return (void*)(model->constants + place.at);  // kernels only read them
  }
}

static double Now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int Run(const tessera_model* model, const tessera_model_instance* instance,
               void* const* callers, char* workspace, double* seconds) {
  if (instance == NULL) return TESSERA_OPS_NULL_POINTER;
  int result = tessera_op_check_pointers(callers, model->caller_count, TESSERA_OP_ALIGNMENT);
  if (result == TESSERA_OPS_OK && model->scratch_offset + model->scratch_bytes != 0) {
    void* const given = workspace;
    result = tessera_op_check_pointers(&given, 1, TESSERA_OP_ALIGNMENT);
  }
  double before = seconds == NULL ? 0 : Now();
  for (int64_t i = 0; i < model->step_count && result == TESSERA_OPS_OK; ++i) {
    const tessera_model_step* step = &model->steps[i];
    void* places[TESSERA_OP_MAX_BUFFERS];
    for (int64_t a = 0; a < step->argument_count; ++a) {
      places[a] = Find(model, instance, step->arguments[a], callers, workspace);
    }
    result = tessera_op_run_in(step->op, places, workspace + model->scratch_offset,
                               model->scratch_bytes);
    if (seconds == NULL) continue;
    const double after = Now();
    seconds[i] += after - before;
    before = after;
  }
  return result;
}

int tessera_model_run(const tessera_model* model, void* const* arguments) {
  return Run(model, arguments[0], arguments + 1, arguments[1 + model->caller_count], NULL);
}

int tessera_model_run_timed(const tessera_model* model, void* const* arguments) {
  if (arguments[1] == NULL) return TESSERA_OPS_NULL_POINTER;
  return Run(model, arguments[0], arguments[1], arguments[2], arguments[3]);
}
