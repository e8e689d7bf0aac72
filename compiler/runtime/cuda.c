#include "compiler/runtime/cuda.h"

#include <dlfcn.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static tessera_cuda_api loaded;
static char refusal_text[160] = "";
static const tessera_note refusal = {refusal_text, sizeof(refusal_text)};

static void load(void) {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    tessera_note_write(refusal, "there is no libcuda.so.1; install the driver of an NVIDIA GPU");
    return;
  }
#define X(name, symbol, parameters)                                                   \
  *(void**)&loaded.name = dlsym(library, symbol);                                     \
  if (loaded.name == NULL) {                                                          \
    tessera_note_write(refusal, "the driver has no %s; install a newer one", symbol); \
    return;                                                                           \
  }
  TESSERA_CUDA_FUNCTIONS(X)
#undef X
  const CUresult error = loaded.cuInit(0);
  if (error == CUDA_SUCCESS) return;
  const char* name = "error";
  loaded.cuGetErrorName(error, &name);
  tessera_note_write(refusal, "the driver does not start: cuInit: %s (%d)", name, error);
}

const tessera_cuda_api* tessera_cuda_load(tessera_note why) {
  pthread_once(&once, load);
  if (refusal_text[0] == 0) return &loaded;
  tessera_note_write(why, "%s", refusal_text);
  return NULL;
}
