#include "compiler/runtime/vta.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const int64_t kPageBytes = 4096;
static const int64_t kDramEnd = (int64_t)1 << 32;  // of what addresses can say

void tessera_vta_stream_free(tessera_vta_stream* stream) {
  free(stream->instructions);
  free(stream->uops);
  memset(stream, 0, sizeof(*stream));
}

// What is given out, by address.
typedef struct block {
  struct block* next;
  int64_t begin, end;
} block;

struct tessera_vta_heap {
  int64_t begin, end;
  pthread_mutex_t lock;  // guards what follows; held for as long as the list is searched
  block* first;
};

static int64_t RoundUp(int64_t value) { return (value + kPageBytes - 1) / kPageBytes * kPageBytes; }

tessera_vta_heap* tessera_vta_heap_create(const tessera_vta_driver* driver) {
  tessera_vta_heap* heap = calloc(1, sizeof(*heap));
  if (heap == NULL) return NULL;
  heap->begin = RoundUp((int64_t)driver->dram_address + 1);
  const int64_t addressable = kDramEnd - driver->dram_address;
  const int64_t bytes = driver->dram_bytes < addressable ? driver->dram_bytes : addressable;
  heap->end = driver->dram_address + bytes;
  pthread_mutex_init(&heap->lock, NULL);
  return heap;
}

void tessera_vta_heap_destroy(tessera_vta_heap* heap) {
  if (heap == NULL) return;
  while (heap->first != NULL) {
    block* const old = heap->first;
    heap->first = old->next;
    free(old);
  }
  pthread_mutex_destroy(&heap->lock);
  free(heap);
}

static uint32_t TakeFirstFit(tessera_vta_heap* heap, int64_t bytes) {
  const int64_t wanted = bytes == 0 ? kPageBytes : RoundUp(bytes);
  int64_t begin = heap->begin;
  block** link = &heap->first;
  while (*link != NULL && (*link)->begin - begin < wanted) {
    begin = (*link)->end;
    link = &(*link)->next;
  }
  // The last page may be a part of one.
  if (heap->end - begin < (bytes == 0 ? 1 : bytes)) return 0;
  block* const made = malloc(sizeof(*made));
  if (made == NULL) return 0;
  *made = (block){*link, begin, begin + wanted};
  *link = made;
  return (uint32_t)begin;
}

uint32_t tessera_vta_allocate(tessera_vta_heap* heap, int64_t bytes) {
  if (bytes < 0 || bytes > kDramEnd) return 0;
  pthread_mutex_lock(&heap->lock);
  const uint32_t address = TakeFirstFit(heap, bytes);
  pthread_mutex_unlock(&heap->lock);
  return address;
}

void tessera_vta_release(tessera_vta_heap* heap, uint32_t address) {
  pthread_mutex_lock(&heap->lock);
  for (block** link = &heap->first; *link != NULL; link = &(*link)->next) {
    if ((*link)->begin != (int64_t)address) continue;
    block* const old = *link;
    *link = old->next;
    free(old);
    break;
  }
  pthread_mutex_unlock(&heap->lock);
}

void* tessera_vta_host(const tessera_vta_driver* driver, uint32_t address) {
  return (char*)driver->dram + (address - driver->dram_address);
}

// Copies to DRAM what the accelerator will read there.
static void Write(const tessera_vta_driver* driver, uint32_t address, const void* from,
                  int64_t bytes) {
  if (bytes == 0) return;
  memcpy(tessera_vta_host(driver, address), from, (size_t)bytes);
  if (driver->flush != NULL) driver->flush(driver->self, address, bytes);
}

// Whatever a driver returns.
static int DriverResult(int status) {
  if (status == TESSERA_VTA_OK || status == TESSERA_VTA_TIMED_OUT) return status;
  return TESSERA_VTA_DEVICE_FAILED;
}

int tessera_vta_run(const tessera_vta_driver* driver, tessera_vta_heap* heap,
                    const tessera_vta_program* program, const tessera_vta_buffer* buffers,
                    int64_t buffer_count, tessera_vta_stream* stream, uint64_t* cycles) {
  const int64_t uop_limit = tessera_vta_uop_limit(program);
  if (uop_limit < 0) return TESSERA_VTA_BAD_PROGRAM;
  const uint32_t uops = tessera_vta_allocate(heap, uop_limit * (int64_t)sizeof(uint32_t));
  if (uops == 0) return TESSERA_VTA_OUT_OF_MEMORY;
  int status = tessera_vta_expand(program, buffers, buffer_count, uops, stream);
  if (status == TESSERA_VTA_OK) {
    const int64_t bytes = stream->instruction_count * 2 * (int64_t)sizeof(uint64_t);
    const uint32_t instructions = tessera_vta_allocate(heap, bytes);
    if (instructions == 0) {
      status = TESSERA_VTA_OUT_OF_MEMORY;
    } else {
      Write(driver, uops, stream->uops, stream->uop_count * (int64_t)sizeof(uint32_t));
      Write(driver, instructions, stream->instructions, bytes);
      status =
          DriverResult(driver->run(driver->self, instructions, stream->instruction_count, cycles));
      tessera_vta_release(heap, instructions);
    }
  }
  tessera_vta_release(heap, uops);
  return status;
}
