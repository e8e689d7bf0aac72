#ifndef TESSERA_COMPILER_RUNTIME_ONEDNN_ALONE_H_
#define TESSERA_COMPILER_RUNTIME_ONEDNN_ALONE_H_

#include "compiler/runtime/onednn_api.h"

// What oneDNN does takes as many threads as its caller's OpenMP says: one between these two, of
// which the first returns what it was, for the second.
static inline int BeginAlone(void) {
  const int threads = omp_get_max_threads();
  if (threads != 1) omp_set_num_threads(1);
  return threads;
}
static inline void EndAlone(int threads) {
  if (threads != 1) omp_set_num_threads(threads);
}

#endif  // TESSERA_COMPILER_RUNTIME_ONEDNN_ALONE_H_
