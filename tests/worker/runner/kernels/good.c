#include "tests/worker/runner/kernels/kernels.h"

typedef struct operands {
  const float* a;
  const float* b;
  float* c;
} operands;

static void AddRows(int64_t begin, int64_t end, int32_t thread, void* context) {
  (void)thread;
  const operands* o = context;
  for (int64_t i = begin * TEST_COLUMNS; i < end * TEST_COLUMNS; ++i) o->c[i] = o->a[i] + o->b[i];
}

void good(void* const* buffers, void* workspace, tessera_launcher* launcher) {
  (void)workspace;
  operands o = {buffers[0], buffers[1], buffers[2]};
  launcher->parallel_for(launcher, TEST_ROWS, AddRows, &o);
}

// b is stored as [column / 16][row][column % 16], its last block padded; c transposed.
void other_layouts(void* const* buffers, void* workspace, tessera_launcher* launcher) {
  (void)workspace;
  (void)launcher;
  const float *a = buffers[0], *b = buffers[1];
  float* c = buffers[2];
  for (int r = 0; r < TEST_ROWS; ++r) {
    for (int k = 0; k < TEST_COLUMNS; ++k) {
      c[k * TEST_ROWS + r] = a[r * TEST_COLUMNS + k] + b[(k / 16 * TEST_ROWS + r) * 16 + k % 16];
    }
  }
}

// A hundred times the work.
void slow(void* const* buffers, void* workspace, tessera_launcher* launcher) {
  for (int i = 0; i < 100; ++i) {
    good(buffers, workspace, launcher);
    __asm__ volatile("" ::: "memory");
  }
}

// Uses all of 4000 shared and 1000 private bytes of workspace.
void uses_workspace(void* const* buffers, void* workspace, tessera_launcher* launcher) {
  char* bytes = workspace;
  for (int i = 0; i < 4000 + 1000 * launcher->threads; ++i) bytes[i] = (char)i;
  good(buffers, workspace, launcher);
}

// Puts b's doubles into the buffer behind c, from the constant b alone.
void doubles(void* const* buffers, void* workspace, tessera_launcher* launcher) {
  (void)launcher;
  const float* b = buffers[1];
  float* prepared = buffers[3];
  if (buffers[0] != 0 || buffers[2] != 0) return;
  for (int i = 0; i < TEST_ELEMENTS; ++i) prepared[i] = 2 * b[i];
  ((char*)workspace)[0] = 1;
}

// Reads them instead of b.
void uses_doubles(void* const* buffers, void* workspace, tessera_launcher* launcher) {
  (void)workspace;
  (void)launcher;
  const float *a = buffers[0], *prepared = buffers[3];
  float* c = buffers[2];
  for (int i = 0; i < TEST_ELEMENTS; ++i) c[i] = a[i] + prepared[i] / 2;
}
