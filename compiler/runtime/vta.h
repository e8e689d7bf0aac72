#ifndef TESSERA_COMPILER_RUNTIME_VTA_H_
#define TESSERA_COMPILER_RUNTIME_VTA_H_

// Makes instructions of programs for the Versatile Tensor Accelerator when they start: turns loops,
// makes micro-ops and keeps them in the accelerator's memory for as long as there is room, orders
// what uses the same memory by tokens, and places buffers in DRAM. C11, libc only.
//
// It knows no configuration: a program says where the fields of its instructions lie
// (compiler/vta/bytecode.h). The host is little-endian, as the accelerator is.

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  TESSERA_VTA_OK = 0,
  TESSERA_VTA_BAD_PROGRAM = 1,    // words that tessera::vta::Assemble doesn't write, or of other
                                  // buffers: fewer, smaller, or not at multiples of a tile's bytes
  TESSERA_VTA_OUT_OF_MEMORY = 2,  // of the host, or DRAM that the accelerator reaches
  TESSERA_VTA_TIMED_OUT = 3,
  TESSERA_VTA_DEVICE_FAILED = 4
};

// A program's words, as Assemble writes them.
typedef struct tessera_vta_program {
  const int64_t* words;
  int64_t count;
} tessera_vta_program;

// What a program becomes. Zero-initialised before first use; kept from one program to the next.
typedef struct tessera_vta_stream {
  uint64_t* instructions;  // two words each
  int64_t instruction_count, instruction_capacity;
  uint32_t* uops;  // words that instructions load: the program's constants, then micro-ops
  int64_t uop_count, uop_capacity;
} tessera_vta_stream;
void tessera_vta_stream_free(tessera_vta_stream* stream);

// A tensor in DRAM. The address, in bytes, is a multiple of the largest tile's.
typedef struct tessera_vta_buffer {
  uint32_t address;
  int64_t bytes;
} tessera_vta_buffer;

// The most words that tessera_vta_expand makes of a program; -1: BAD_PROGRAM.
int64_t tessera_vta_uop_limit(const tessera_vta_program* program);

// The instructions of a program; its words will lie at `uop_address`, a multiple of 4096, and take
// 4 bytes each. What Assemble has written moves nothing but these and what lies in the buffers;
// any others are refused or expanded, but may say anything to the accelerator.
// Deterministic. Threads may expand at once, each to a stream of its own.
int tessera_vta_expand(const tessera_vta_program* program, const tessera_vta_buffer* buffers,
                       int64_t buffer_count, uint32_t uop_address, tessera_vta_stream* stream);

// What a board's driver provides, or the simulator's.
typedef struct tessera_vta_driver {
  // DRAM that the accelerator reaches: host addresses of the same bytes, from device address
  // `dram_address` on.
  void* dram;
  uint32_t dram_address;
  int64_t dram_bytes;
  void* self;
  // Makes what the host wrote to these bytes visible to the accelerator, or the other way round.
  // NULL: always is. Threads may call these at once, of different bytes, and while a program runs.
  void (*flush)(void* self, uint32_t address, int64_t bytes);
  void (*invalidate)(void* self, uint32_t address, int64_t bytes);
  // Executes instructions, the last of which is a finish, and waits for it. `cycles` of the
  // accelerator's clock, or 0 where it has no counter. Returns OK or TIMED_OUT; anything else
  // counts as DEVICE_FAILED. The caller's to call by one thread at a time.
  int (*run)(void* self, uint32_t instruction_address, int64_t instruction_count, uint64_t* cycles);
} tessera_vta_driver;

// DRAM of a driver, given out by first fit. Any number of threads may use it.
typedef struct tessera_vta_heap tessera_vta_heap;
tessera_vta_heap* tessera_vta_heap_create(const tessera_vta_driver* driver);
void tessera_vta_heap_destroy(tessera_vta_heap* heap);
// Device address, a multiple of 4096; 0: there is no room. DRAM's first byte is never given out.
uint32_t tessera_vta_allocate(tessera_vta_heap* heap, int64_t bytes);
void tessera_vta_release(tessera_vta_heap* heap, uint32_t address);
// The host's address of a device address.
void* tessera_vta_host(const tessera_vta_driver* driver, uint32_t address);

// Expands a program, places it and runs it. What the host knows of the buffers is the caller's to
// flush and to invalidate. Of one driver, or with one stream, by one thread at a time.
int tessera_vta_run(const tessera_vta_driver* driver, tessera_vta_heap* heap,
                    const tessera_vta_program* program, const tessera_vta_buffer* buffers,
                    int64_t buffer_count, tessera_vta_stream* stream, uint64_t* cycles);

#ifdef __cplusplus
}
#endif

#endif  // TESSERA_COMPILER_RUNTIME_VTA_H_
