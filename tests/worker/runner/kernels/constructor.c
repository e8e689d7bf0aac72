#include "tests/worker/runner/kernels/kernels.h"

// Runs when the artifact is loaded.
__attribute__((constructor)) static void HangWhenLoaded(void) {
  for (volatile int forever = 1; forever;) {
  }
}

void good(void* const* buffers, void* workspace, tessera_launcher* launcher) {
  (void)buffers;
  (void)workspace;
  (void)launcher;
}
