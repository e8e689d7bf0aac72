#include <stddef.h>
#include <stdlib.h>

#include "compiler/runtime/onednn.h"
#include "compiler/runtime/onednn_alone.h"
#include "compiler/runtime/onednn_api.h"

// What one call at a time runs with.
typedef struct slot {
  dnnl_stream_t stream;
  dnnl_memory_t data, weights, result, scratchpad;
  void* scratch;
} slot;

// Calls at once that keep what they ran with.
#define KEPT_SLOTS 16

typedef struct tessera_onednn_plan {
  struct tessera_onednn_plan* next;  // in the list of all
  dnnl_engine_t engine;
  dnnl_primitive_t primitive;  // NULL: oneDNN can't
  tessera_dnnl_memory_desc data, weights, result;
  dnnl_primitive_desc_t desc;
  slot* slots[KEPT_SLOTS];  // those that no call has
} tessera_onednn_plan;

static tessera_onednn_plan* plans;  // all that are in use, so that unloading frees them

static void FreeSlot(slot* s) {
  if (s->data != NULL) dnnl_memory_destroy(s->data);
  if (s->weights != NULL) dnnl_memory_destroy(s->weights);
  if (s->result != NULL) dnnl_memory_destroy(s->result);
  if (s->scratchpad != NULL) dnnl_memory_destroy(s->scratchpad);
  if (s->stream != NULL) dnnl_stream_destroy(s->stream);
  free(s->scratch);
  free(s);
}

static void FreePlan(tessera_onednn_plan* plan) {
  for (int i = 0; i < KEPT_SLOTS; ++i) {
    if (plan->slots[i] != NULL) FreeSlot(plan->slots[i]);
  }
  if (plan->primitive != NULL) dnnl_primitive_destroy(plan->primitive);
  if (plan->desc != NULL) dnnl_primitive_desc_destroy(plan->desc);
  if (plan->engine != NULL) dnnl_engine_destroy(plan->engine);
  free(plan);
}

// When the process ends, oneDNN's own memory is gone before libraries are unloaded: nothing is
// given back to it then. What the C library calls first, by the handle of this library, says so.
int __cxa_atexit(void (*function)(void*), void* argument, void* handle);
void __cxa_finalize(void* handle);
static int is_watching, is_ending;
static char own_handle;

static void NoteEnd(void* unused) {
  (void)unused;
  is_ending = 1;
}

// When the library is unloaded no thread may run its code any more.
__attribute__((destructor)) static void Unload(void) {
  while (!is_ending && plans != NULL) {
    tessera_onednn_plan* plan = plans;
    plans = plan->next;
    FreePlan(plan);
  }
  __cxa_finalize(&own_handle);
}

// What oneDNN calls the form of data, weights and result; 0: it has no word for it.
enum { DATA, WEIGHTS, RESULT };
static int Tag(const tessera_onednn_convolution* self, int tensor) {
  enum {
    kRows = 5,  // nchw and oihw
    kBlocks8 = 93,
    kBlocks16 = 69,
    kWeights8 = 98,
    kWeights16 = 70,
    kFirst8 = 207,
    kFirst16 = 202,
    kChannel8 = 129,
    kChannel16 = 105
  };
  const int is_16 = self->block == 16;
  if (self->form == TESSERA_ONEDNN_ROWS) return kRows;
  if (self->block != 8 && !is_16) return 0;
  if (tensor == RESULT) return is_16 ? kBlocks16 : kBlocks8;
  if (tensor == DATA) {
    if (self->form == TESSERA_ONEDNN_FIRST) return kRows;
    return is_16 ? kBlocks16 : kBlocks8;
  }
  switch (self->form) {
    case TESSERA_ONEDNN_BLOCKED:
      return is_16 ? kWeights16 : kWeights8;
    case TESSERA_ONEDNN_FIRST:
      return is_16 ? kFirst16 : kFirst8;
    default:
      return is_16 ? kChannel16 : kChannel8;
  }
}

// 0, or not everything is there.
static int Describe(const tessera_onednn_convolution* self, tessera_onednn_plan* plan,
                    tessera_dnnl_convolution_desc* desc) {
  const int64_t data[] = {1, self->channels, self->height, self->width};
  const int64_t result[] = {1, self->filters, self->result_height, self->result_width};
  const int by_channel = self->form == TESSERA_ONEDNN_CHANNEL;
  const int64_t plain[] = {self->filters, self->channels, self->kernel_height, self->kernel_width};
  const int64_t grouped[] = {self->channels, 1, 1, self->kernel_height, self->kernel_width};
  const int64_t strides[] = {self->stride_height, self->stride_width};
  const int64_t dilations[] = {self->dilation_height - 1, self->dilation_width - 1};
  const int64_t none[] = {0, 0};
  if (dnnl_memory_desc_init_by_tag(&plan->data, 4, data, DNNL_F32, Tag(self, DATA)) != 0 ||
      dnnl_memory_desc_init_by_tag(&plan->result, 4, result, DNNL_F32, Tag(self, RESULT)) != 0 ||
      dnnl_memory_desc_init_by_tag(&plan->weights, by_channel ? 5 : 4, by_channel ? grouped : plain,
                                   DNNL_F32, Tag(self, WEIGHTS)) != 0) {
    return 1;
  }
  return dnnl_dilated_convolution_forward_desc_init(desc, DNNL_FORWARD_INFERENCE, DNNL_DIRECT,
                                                    &plan->data, &plan->weights, NULL,
                                                    &plan->result, strides, dilations, none, none);
}

// Without its primitive where oneDNN makes none; NULL: no memory.
static tessera_onednn_plan* MakePlan(const tessera_onednn_convolution* self) {
  tessera_onednn_plan* plan = calloc(1, sizeof(*plan));
  // Too large for a thread's stack.
  tessera_dnnl_convolution_desc* desc = calloc(1, sizeof(*desc));
  dnnl_primitive_attr_t attr = NULL;
  if (plan != NULL && desc != NULL && dnnl_engine_create(&plan->engine, DNNL_CPU, 0) == 0 &&
      dnnl_primitive_attr_create(&attr) == 0 &&
      dnnl_primitive_attr_set_scratchpad_mode(attr, DNNL_USER_SCRATCHPAD) == 0 &&
      Describe(self, plan, desc) == 0 &&
      dnnl_primitive_desc_create(&plan->desc, desc, attr, plan->engine, NULL) == 0) {
    if (dnnl_primitive_create(&plan->primitive, plan->desc) != 0) plan->primitive = NULL;
  }
  if (attr != NULL) dnnl_primitive_attr_destroy(attr);
  free(desc);
  return plan;
}

// The one that calls share: threads that come first at once make one each, and one's is kept.
static tessera_onednn_plan* PlanOf(tessera_onednn_convolution* self) {
  tessera_onednn_plan* plan = __atomic_load_n(&self->plan, __ATOMIC_ACQUIRE);
  if (plan != NULL) return plan;
  tessera_onednn_plan* made = MakePlan(self);
  if (made == NULL) return NULL;
  if (!__atomic_compare_exchange_n(&self->plan, &plan, made, 0, __ATOMIC_ACQ_REL,
                                   __ATOMIC_ACQUIRE)) {
    FreePlan(made);
    return plan;
  }
  if (!__atomic_exchange_n(&is_watching, 1, __ATOMIC_ACQ_REL)) {
    __cxa_atexit(NoteEnd, NULL, &own_handle);
  }
  made->next = __atomic_load_n(&plans, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(&plans, &made->next, made, 1, __ATOMIC_RELEASE,
                                      __ATOMIC_RELAXED)) {
  }
  return made;
}

static slot* MakeSlot(tessera_onednn_plan* plan) {
  slot* s = calloc(1, sizeof(*s));
  if (s == NULL) return NULL;
  const tessera_dnnl_memory_desc* scratchpad =
      dnnl_primitive_desc_query_md(plan->desc, DNNL_QUERY_SCRATCHPAD, 0);
  const size_t bytes = scratchpad == NULL ? 0 : (size_t)dnnl_memory_desc_get_size(scratchpad);
  if (bytes > 0) s->scratch = aligned_alloc(64, (bytes + 63) / 64 * 64);
  if ((bytes == 0 || (s->scratch != NULL && dnnl_memory_create(&s->scratchpad, scratchpad,
                                                               plan->engine, s->scratch) == 0)) &&
      dnnl_stream_create(&s->stream, plan->engine, DNNL_DEFAULT_STREAM) == 0 &&
      dnnl_memory_create(&s->data, &plan->data, plan->engine, NULL) == 0 &&
      dnnl_memory_create(&s->weights, &plan->weights, plan->engine, NULL) == 0 &&
      dnnl_memory_create(&s->result, &plan->result, plan->engine, NULL) == 0) {
    return s;
  }
  FreeSlot(s);
  return NULL;
}

static slot* TakeSlot(tessera_onednn_plan* plan) {
  for (int i = 0; i < KEPT_SLOTS; ++i) {
    slot* s = __atomic_exchange_n(&plan->slots[i], NULL, __ATOMIC_ACQ_REL);
    if (s != NULL) return s;
  }
  return MakeSlot(plan);
}

static void GiveSlot(tessera_onednn_plan* plan, slot* s) {
  for (int i = 0; i < KEPT_SLOTS; ++i) {
    slot* none = NULL;
    if (__atomic_compare_exchange_n(&plan->slots[i], &none, s, 0, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED)) {
      return;
    }
  }
  FreeSlot(s);
}

// 0, or nothing was computed.
static int Execute(tessera_onednn_convolution* self, const float* data, const float* weights,
                   float* result) {
  tessera_onednn_plan* plan = PlanOf(self);
  if (plan == NULL || plan->primitive == NULL) return 1;
  slot* s = TakeSlot(plan);
  if (s == NULL) return 1;
  const dnnl_exec_arg_t arguments[] = {{DNNL_DATA, s->data},
                                       {DNNL_WEIGHTS, s->weights},
                                       {DNNL_RESULT, s->result},
                                       {DNNL_SCRATCHPAD, s->scratchpad}};
  // Data and weights are only read.
  const int failed = dnnl_memory_set_data_handle(s->data, (void*)data) != 0 ||
                     dnnl_memory_set_data_handle(s->weights, (void*)weights) != 0 ||
                     dnnl_memory_set_data_handle(s->result, result) != 0 ||
                     dnnl_primitive_execute(plan->primitive, s->stream,
                                            s->scratchpad == NULL ? 3 : 4, arguments) != 0;
  GiveSlot(plan, s);
  return failed;
}

// Where element `channel` of place `place` of `places` is, in rows (block 1) or blocks.
static int64_t At(int64_t channel, int64_t place, int64_t places, int64_t block) {
  return (channel / block * places + place) * block + channel % block;
}

static float Weight(const tessera_onednn_convolution* self, const float* weights, int64_t filter,
                    int64_t channel, int64_t tap) {
  const int64_t taps = self->kernel_height * self->kernel_width, block = self->block;
  switch (self->form) {
    case TESSERA_ONEDNN_CHANNEL:
      return weights[At(filter, tap, taps, block)];
    case TESSERA_ONEDNN_FIRST:
      return weights[At(filter, tap * self->channels + channel, taps * self->channels, block)];
    default:  // rows are blocks of one
      return weights[At(filter, (channel / block * taps + tap) * block + channel % block,
                        taps * self->channels, block)];
  }
}

static void ConvolveInLoops(const tessera_onednn_convolution* self, const float* data,
                            const float* weights, float* result) {
  const int by_channel = self->form == TESSERA_ONEDNN_CHANNEL;
  const int64_t data_block = self->form == TESSERA_ONEDNN_FIRST ? 1 : self->block;
  const int64_t places = self->height * self->width;
  const int64_t result_places = self->result_height * self->result_width;
  for (int64_t f = 0; f < self->filters; ++f) {
    for (int64_t at = 0; at < result_places; ++at) {
      const int64_t y = at / self->result_width * self->stride_height;
      const int64_t x = at % self->result_width * self->stride_width;
      float sum = 0;
      for (int64_t c = by_channel ? f : 0; c < (by_channel ? f + 1 : self->channels); ++c) {
        for (int64_t tap = 0; tap < self->kernel_height * self->kernel_width; ++tap) {
          const int64_t row = y + tap / self->kernel_width * self->dilation_height;
          const int64_t column = x + tap % self->kernel_width * self->dilation_width;
          sum += data[At(c, row * self->width + column, places, data_block)] *
                 Weight(self, weights, f, c, tap);
        }
      }
      result[At(f, at, result_places, self->block)] = sum;
    }
  }
}

void tessera_onednn_convolve(tessera_onednn_convolution* self, const float* data,
                             const float* weights, float* result) {
  const int threads = BeginAlone();
  const int failed = Execute(self, data, weights, result);
  EndAlone(threads);
  if (failed) ConvolveInLoops(self, data, weights, result);
}
