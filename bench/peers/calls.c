// Loops of calls for compare.py, so that no interpreter stands between two calls of a library.
//
// Each function makes `calls` calls and returns the seconds that they took together, negative when
// a call failed: minus one and the library's own error. After set_flush() each call finds cold
// caches, and only the calls are timed, not what empties the caches.

#define _GNU_SOURCE

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

static double Now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// Caches are emptied by writing to a buffer that is larger than the last of them, on every core
// that the process may use: a core's own caches needn't be part of the shared one. The cores other
// than the caller's have a thread of ours each, which sleeps between; the caller itself isn't
// moved, because a library's waiting threads would follow into its place and then stand in its way.

static size_t flush_bytes;
static int helpers;
static int generation, walking;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wanted = PTHREAD_COND_INITIALIZER, walked = PTHREAD_COND_INITIALIZER;
static volatile char* own_buffer;

enum { kLine = 64 };

static void Walk(volatile char* buffer, size_t bytes) {
  for (size_t i = 0; i < bytes; i += kLine) buffer[i] += 1;
}

static void* Help(void* first_generation) {
  size_t bytes = 0;
  char* buffer = NULL;
  int seen = (int)(intptr_t)first_generation;
  pthread_mutex_lock(&mutex);
  for (;;) {
    while (generation == seen) pthread_cond_wait(&wanted, &mutex);
    seen = generation;
    if (bytes != flush_bytes) {
      bytes = flush_bytes;
      free(buffer);
      buffer = calloc(bytes, 1);
    }
    pthread_mutex_unlock(&mutex);
    if (buffer != NULL) Walk(buffer, bytes);
    pthread_mutex_lock(&mutex);
    if (--walking == 0) pthread_cond_signal(&walked);
  }
  return NULL;
}

static void StartHelpers(void) {
  cpu_set_t allowed, one;
  const int home = sched_getcpu();
  if (helpers > 0 || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (core == home || !CPU_ISSET(core, &allowed)) continue;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setaffinity_np(&attributes, sizeof one, &one);
    if (pthread_create(&thread, &attributes, Help, (void*)(intptr_t)generation) == 0) {
      pthread_detach(thread);
      ++helpers;
    }
    pthread_attr_destroy(&attributes);
  }
}

void flush(void) {
  if (flush_bytes == 0) return;
  pthread_mutex_lock(&mutex);
  ++generation;
  walking = helpers;
  pthread_cond_broadcast(&wanted);
  pthread_mutex_unlock(&mutex);
  Walk(own_buffer, flush_bytes);
  pthread_mutex_lock(&mutex);
  while (walking > 0) pthread_cond_wait(&walked, &mutex);
  pthread_mutex_unlock(&mutex);
}

// From now on caches are cold before each call; `bytes`: more than the last level holds; 0: warm
// again. Returns 0, or -1 when there is no memory. One thread calls this and what follows.
int set_flush(size_t bytes) {
  free((void*)own_buffer);
  own_buffer = NULL;
  flush_bytes = 0;
  if (bytes == 0) return 0;
  own_buffer = calloc(bytes, 1);
  if (own_buffer == NULL) return -1;
  StartHelpers();
  flush_bytes = bytes;
  flush();  // touches every page
  return 0;
}

int is_cold(void) { return flush_bytes > 0; }

typedef int (*Call)(const void* context);

static double Loop(Call call, const void* context, long calls) {
  int error = 0;
  double seconds = 0;
  if (flush_bytes == 0) {
    const double start = Now();
    for (long i = 0; i < calls && error == 0; ++i) error = call(context);
    seconds = Now() - start;
  } else {
    for (long i = 0; i < calls && error == 0; ++i) {
      flush();
      const double start = Now();
      error = call(context);
      seconds += Now() - start;
    }
  }
  return error == 0 ? seconds : -1.0 - (error > 0 ? error : -error);
}

typedef int (*Pointers)();
typedef struct {
  Pointers op;
  int count;
  void* const* a;
} PointersCall;

static int CallPointers(const void* context) {
  const PointersCall* c = context;
  void* const* a = c->a;
  switch (c->count) {
    case 1:
      return c->op(a[0]);
    case 2:
      return c->op(a[0], a[1]);
    case 3:
      return c->op(a[0], a[1], a[2]);
    case 4:
      return c->op(a[0], a[1], a[2], a[3]);
    case 5:
      return c->op(a[0], a[1], a[2], a[3], a[4]);
    case 6:
      return c->op(a[0], a[1], a[2], a[3], a[4], a[5]);
    case 7:
      return c->op(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
    case 8:
      return c->op(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]);
    default:
      return 1000;
  }
}

// An operator of a Tessera library: up to eight pointers.
double time_pointers(Pointers op, int count, void* const* a, long calls) {
  const PointersCall call = {op, count, a};
  return Loop(CallPointers, &call, calls);
}

typedef void (*Sgemm)(int order, int trans_a, int trans_b, int m, int n, int k, float alpha,
                      const float* a, int lda, const float* b, int ldb, float beta, float* c,
                      int ldc);
typedef void (*Sgemv)(int order, int trans, int m, int n, float alpha, const float* a, int lda,
                      const float* x, int incx, float beta, float* y, int incy);
enum { kRowMajor = 101, kNoTrans = 111, kTrans = 112 };

typedef struct {
  Sgemm sgemm;
  Sgemv sgemv;
  int batch, m, n, k, transposed;
  const float *a, *b;
  float* c;
} Product;

static int CallSgemm(const void* context) {
  const Product* p = context;
  const int64_t m = p->m, n = p->n, k = p->k;
  for (int j = 0; j < p->batch; ++j) {
    p->sgemm(kRowMajor, kNoTrans, p->transposed ? kTrans : kNoTrans, p->m, p->n, p->k, 1.0f,
             p->a + j * m * k, p->k, p->b + j * k * n, p->transposed ? p->k : p->n, 0.0f,
             p->c + j * m * n, p->n);
  }
  return 0;
}

static int CallSgemv(const void* context) {
  const Product* p = context;
  if (p->transposed) {
    p->sgemv(kRowMajor, kNoTrans, p->n, p->k, 1.0f, p->b, p->k, p->a, 1, 0.0f, p->c, 1);
  } else {
    p->sgemv(kRowMajor, kTrans, p->k, p->n, 1.0f, p->b, p->n, p->a, 1, 0.0f, p->c, 1);
  }
  return 0;
}

// C[m, n] = A[m, k] · B[k, n], B given as [n, k] when `transposed`; `batch` products one by one.
double time_sgemm(Sgemm sgemm, int batch, int m, int n, int k, int transposed, const float* a,
                  const float* b, float* c, long calls) {
  const Product product = {sgemm, NULL, batch, m, n, k, transposed, a, b, c};
  return Loop(CallSgemm, &product, calls);
}

// The same with m = 1 and one product.
double time_sgemv(Sgemv sgemv, int n, int k, int transposed, const float* a, const float* b,
                  float* c, long calls) {
  const Product product = {NULL, sgemv, 1, 1, n, k, transposed, a, b, c};
  return Loop(CallSgemv, &product, calls);
}

// One oneDNN primitive with its arguments (an array of dnnl_exec_arg_t).
typedef struct {
  void* primitive;
  void* arguments;
  int count;
} Step;
typedef int (*Execute)(void* primitive, void* stream, int count, const void* arguments);
typedef int (*Wait)(void* stream);
typedef struct {
  Execute execute;
  Wait wait;
  void* stream;
  const Step* steps;
  int count;
} Steps;

static int CallSteps(const void* context) {
  const Steps* s = context;
  int error = 0;
  for (int j = 0; j < s->count && error == 0; ++j) {
    error = s->execute(s->steps[j].primitive, s->stream, s->steps[j].count, s->steps[j].arguments);
  }
  return error;
}

static int CallStepsAndWait(const void* context) {
  const Steps* s = context;
  const int error = CallSteps(context);
  return error == 0 ? s->wait(s->stream) : error;
}

// The steps of one call are executed one after the other. On warm caches the stream is waited for
// once, at the end; on cold ones after each call.
double time_steps(Execute execute, Wait wait, void* stream, const Step* steps, int count,
                  long calls) {
  const Steps s = {execute, wait, stream, steps, count};
  if (flush_bytes > 0) return Loop(CallStepsAndWait, &s, calls);
  const double start = Now();
  const double result = Loop(CallSteps, &s, calls);
  if (result < 0) return result;
  const int error = wait(stream);
  return error == 0 ? Now() - start : -1.0 - (error > 0 ? error : -error);
}

typedef int (*Infer)(void* request);
typedef struct {
  Infer infer;
  void* request;
} InferCall;

static int CallInfer(const void* context) {
  const InferCall* c = context;
  return c->infer(c->request);
}

// A request of OpenVINO with its tensors set.
double time_infer(Infer infer, void* request, long calls) {
  const InferCall call = {infer, request};
  return Loop(CallInfer, &call, calls);
}

typedef int (*TvmFunction)(void* self, const void* arguments, int32_t count, void* result);
typedef struct {
  TvmFunction function;
  const void* arguments;
  int count;
} TvmCall;

static int CallTvm(const void* context) {
  const TvmCall* c = context;
  int64_t result[2] = {0, 0};
  return c->function(NULL, c->arguments, c->count, result);
}

// A function of a library made by TVM; `arguments`: an array of TVMFFIAny.
double time_tvm(TvmFunction function, const void* arguments, int count, long calls) {
  const TvmCall call = {function, arguments, count};
  return Loop(CallTvm, &call, calls);
}
