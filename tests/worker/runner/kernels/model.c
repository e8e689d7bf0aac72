// Libraries of a model "net", as compiler/library makes them: y = 2 x of 16 floats, in two steps.
// WHAT is what is special about one.
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

enum { GOOD, SLOW, WRONG, CRASHING, LYING, FAILING };

static double Now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void Spend(double seconds) {
  const double end = Now() + seconds;
  while (Now() < end) {
  }
}

int tessera_net_set_threads(int threads) { return threads == 1 ? 0 : 4; }
size_t net_workspace_bytes(void) { return 128; }

int net_create(void** model) {
  *model = malloc(16);
  return WHAT == FAILING ? 3 : 0;
}

int net_run_timed(const void* model, void* const* tensors, void* workspace, double* seconds) {
  (void)model;
  float* const between = workspace;
  const float* const x = tensors[0];
  float* const y = tensors[1];
  double before = Now();
  for (int i = 0; i < 16; ++i) between[i] = x[i];
  Spend(WHAT == SLOW ? 3e-4 : 1e-4);
  if (seconds != NULL) seconds[0] += Now() - before;
  before = Now();
  if (WHAT == CRASHING) abort();
  for (int i = 0; i < 16; ++i) y[i] = (WHAT == WRONG ? 3 : 2) * between[i];
  Spend(2e-4);
  if (seconds != NULL) seconds[1] += WHAT == LYING ? 100 : Now() - before;
  return 0;
}
