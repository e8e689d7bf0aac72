// Loops of calls for compare.py, so that no interpreter stands between two calls of a library.
//
// Each function makes `calls` calls and returns the seconds that they took together, negative when
// a call failed: minus one and the library's own error.

#define _POSIX_C_SOURCE 200809L

#include <stdint.h>
#include <time.h>

static double Now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double Result(double start, int error) {
  const double seconds = Now() - start;
  return error == 0 ? seconds : -1.0 - (error > 0 ? error : -error);
}

typedef int (*Pointers)();

// An operator of a Tessera library: up to eight pointers.
double time_pointers(Pointers op, int count, void* const* a, long calls) {
  int error = 0;
  const double start = Now();
  for (long i = 0; i < calls && error == 0; ++i) {
    switch (count) {
      case 1:
        error = op(a[0]);
        break;
      case 2:
        error = op(a[0], a[1]);
        break;
      case 3:
        error = op(a[0], a[1], a[2]);
        break;
      case 4:
        error = op(a[0], a[1], a[2], a[3]);
        break;
      case 5:
        error = op(a[0], a[1], a[2], a[3], a[4]);
        break;
      case 6:
        error = op(a[0], a[1], a[2], a[3], a[4], a[5]);
        break;
      case 7:
        error = op(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
        break;
      case 8:
        error = op(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]);
        break;
      default:
        error = 1000;
    }
  }
  return Result(start, error);
}

typedef void (*Sgemm)(int order, int trans_a, int trans_b, int m, int n, int k, float alpha,
                      const float* a, int lda, const float* b, int ldb, float beta, float* c,
                      int ldc);
typedef void (*Sgemv)(int order, int trans, int m, int n, float alpha, const float* a, int lda,
                      const float* x, int incx, float beta, float* y, int incy);
enum { kRowMajor = 101, kNoTrans = 111, kTrans = 112 };

// C[m, n] = A[m, k] · B[k, n], B given as [n, k] when `transposed`; `batch` products one by one.
double time_sgemm(Sgemm sgemm, int batch, int m, int n, int k, int transposed, const float* a,
                  const float* b, float* c, long calls) {
  const double start = Now();
  for (long i = 0; i < calls; ++i) {
    for (int j = 0; j < batch; ++j) {
      sgemm(kRowMajor, kNoTrans, transposed ? kTrans : kNoTrans, m, n, k, 1.0f,
            a + (int64_t)j * m * k, k, b + (int64_t)j * k * n, transposed ? k : n, 0.0f,
            c + (int64_t)j * m * n, n);
    }
  }
  return Result(start, 0);
}

// The same with m = 1 and one product.
double time_sgemv(Sgemv sgemv, int n, int k, int transposed, const float* a, const float* b,
                  float* c, long calls) {
  const double start = Now();
  for (long i = 0; i < calls; ++i) {
    if (transposed) {
      sgemv(kRowMajor, kNoTrans, n, k, 1.0f, b, k, a, 1, 0.0f, c, 1);
    } else {
      sgemv(kRowMajor, kTrans, k, n, 1.0f, b, n, a, 1, 0.0f, c, 1);
    }
  }
  return Result(start, 0);
}

// One oneDNN primitive with its arguments (an array of dnnl_exec_arg_t).
typedef struct {
  void* primitive;
  void* arguments;
  int count;
} Step;
typedef int (*Execute)(void* primitive, void* stream, int count, const void* arguments);
typedef int (*Wait)(void* stream);

// The steps of one call are executed one after the other; the stream is waited for once.
double time_steps(Execute execute, Wait wait, void* stream, const Step* steps, int count,
                  long calls) {
  int error = 0;
  const double start = Now();
  for (long i = 0; i < calls && error == 0; ++i) {
    for (int j = 0; j < count && error == 0; ++j) {
      error = execute(steps[j].primitive, stream, steps[j].count, steps[j].arguments);
    }
  }
  if (error == 0) error = wait(stream);
  return Result(start, error);
}

typedef int (*Infer)(void* request);

// A request of OpenVINO with its tensors set.
double time_infer(Infer infer, void* request, long calls) {
  int error = 0;
  const double start = Now();
  for (long i = 0; i < calls && error == 0; ++i) error = infer(request);
  return Result(start, error);
}
