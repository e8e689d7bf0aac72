#ifndef TESSERA_COMPILER_RUNTIME_CPU_H_
#define TESSERA_COMPILER_RUNTIME_CPU_H_

// Which instructions this CPU has, so that a library picks kernels that it can run. C11, libc only.

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Sets of instructions as bits: those that targets name (compiler/ir/target.h). An x86 level is
// there only with those below it, and the others only with AVX-512.
enum {
  TESSERA_CPU_SSE42 = 1,   // all of x86-64-v2
  TESSERA_CPU_AVX2 = 2,    // all of x86-64-v3
  TESSERA_CPU_AVX512 = 4,  // all of x86-64-v4
  TESSERA_CPU_BF16 = 8,
  TESSERA_CPU_VNNI = 16,
  TESSERA_CPU_NEON = 32,
  TESSERA_CPU_FP16 = 64,
  TESSERA_CPU_DOTPROD = 128
};

// What the CPU has and the operating system saves registers for.
int64_t tessera_cpu_features(void);

// What a ceiling such as "avx2" or "avx512,vnni" lets a program use: the named sets and the levels
// below them. Everything for NULL and "", nothing for text that names something else.
int64_t tessera_cpu_ceiling(const char* text);

// The features under the ceiling that the environment variable TESSERA_ISA named when this code was
// loaded.
int64_t tessera_cpu_usable(void);

#ifdef __cplusplus
}
#endif

#endif  // TESSERA_COMPILER_RUNTIME_CPU_H_
