#ifndef TESSERA_TESTS_WORKER_RUNNER_KERNELS_H_
#define TESSERA_TESTS_WORKER_RUNNER_KERNELS_H_

// Kernels that do what candidates must not. All are meant to compute c[i] = a[i] + b[i] for
// TEST_ELEMENTS floats, most in rows of TEST_COLUMNS.

#include "compiler/runtime/kernel.h"

#define TEST_ROWS 64
#define TEST_COLUMNS 250
#define TEST_ELEMENTS (TEST_ROWS * TEST_COLUMNS)

#endif  // TESSERA_TESTS_WORKER_RUNNER_KERNELS_H_
