#ifndef TESSERA_COMPILER_RUNTIME_VTA_REGISTERS_H_
#define TESSERA_COMPILER_RUNTIME_VTA_REGISTERS_H_

// A driver for the published design on Pynq, Ultra96 and ZCU104 by its registers, and how these and
// DRAM are mapped into a process. C11, libc only.
//
// Sources: apache/tvm-vta d4a15f6, config/pkg_config.py (addresses), src/pynq/pynq_driver.cc
// (order), hardware/xilinx/src/vta.cc (what sets `done`); the bits of control registers are those
// of Vivado HLS (UG902, "S_AXILITE Control Register Map").

#include <stdint.h>

#include "compiler/runtime/device.h"
#include "compiler/runtime/vta.h"

#ifdef __cplusplus
extern "C" {
#endif

// Registers by their distance from the first module, which has the design's base address.
enum {
  // Modules, and what each of them has.
  TESSERA_VTA_FETCH = 0x0000,
  TESSERA_VTA_LOAD = 0x1000,
  TESSERA_VTA_COMPUTE = 0x2000,
  TESSERA_VTA_STORE = 0x3000,
  TESSERA_VTA_CONTROL = 0x00,
  // Of a control register.
  TESSERA_VTA_START = 0x01,
  TESSERA_VTA_IDLE = 0x04,
  TESSERA_VTA_START_FOR_EVER = 0x81,

  TESSERA_VTA_FETCH_COUNT = TESSERA_VTA_FETCH + 0x10,
  TESSERA_VTA_FETCH_ADDRESS = TESSERA_VTA_FETCH + 0x18,
  // Where tile 0 of each memory lies in DRAM.
  TESSERA_VTA_LOAD_INPUTS = TESSERA_VTA_LOAD + 0x10,
  TESSERA_VTA_LOAD_WEIGHTS = TESSERA_VTA_LOAD + 0x18,
  TESSERA_VTA_COMPUTE_UOPS = TESSERA_VTA_COMPUTE + 0x20,
  TESSERA_VTA_COMPUTE_ACCUMULATORS = TESSERA_VTA_COMPUTE + 0x28,
  TESSERA_VTA_STORE_RESULTS = TESSERA_VTA_STORE + 0x10,
  // 1 from the execution of a finish to that of the next instruction of the compute module.
  TESSERA_VTA_DONE = TESSERA_VTA_COMPUTE + 0x18,

  TESSERA_VTA_REGISTER_BYTES = 0x4000
};

// How a board's registers are reached, and time.
typedef struct tessera_vta_access {
  void* self;
  uint32_t (*read)(void* self, uint32_t offset);
  void (*write)(void* self, uint32_t offset, uint32_t value);
  double (*now)(void* self);  // seconds, by a clock that never goes back
  void (*sleep)(void* self, double seconds);
} tessera_vta_access;

// DRAM is coherent with the host's caches, as that of the published design is; nobody counts
// cycles. Not thread-safe.
typedef struct tessera_vta_board {
  // The caller's to set.
  tessera_vta_access access;
  void* dram;  // the first page of which belongs to the board
  uint32_t dram_address;
  int64_t dram_bytes;
  double timeout;  // of a program, seconds

  // Of an open board. Its address is the driver's `self`: it stays where it is.
  tessera_vta_driver driver;
  int is_stuck;     // a program has not ended: nothing runs until the bitstream is loaded again
  char fault[200];  // what was wrong with the last program that failed
} tessera_vta_board;

// DEVICE_FAILED, with the board's `fault`, where the accelerator does not answer;
// TESSERA_VTA_OUT_OF_MEMORY where DRAM has no more than a page. What a process that was ended has
// left there is waited for.
int tessera_vta_board_open(tessera_vta_board* board);

// Registers and DRAM in the process's memory, shared with the accelerator.
typedef struct tessera_vta_mapping {
  volatile uint32_t* registers;
  void* dram;
  uint32_t dram_address;
  int64_t dram_bytes;
} tessera_vta_mapping;

// `registers_file`: /dev/mem, where they lie from `registers_base` on, or any other file, from its
// beginning (a UIO device's first mapping). `dram_file` and `dram_folder`: a buffer of the kernel
// module u-dma-buf, /dev/udmabuf0, and what sysfs says of it, /sys/class/u-dma-buf/udmabuf0:
// phys_addr and size (the README of github.com/ikwzm/udmabuf). 0, or an errno with a line in
// `why`: that of the system's call, ENAMETOOLONG past some 500 bytes of a folder's name, EINVAL for
// no number, ERANGE for DRAM that ends above 2^32, which the accelerator does not reach.
int tessera_vta_map(const char* registers_file, uint32_t registers_base, const char* dram_file,
                    const char* dram_folder, tessera_vta_mapping* made, tessera_note why);
void tessera_vta_unmap(const tessera_vta_mapping* mapping);
// By the mapped registers, which outlive it, and the system's clock.
tessera_vta_access tessera_vta_mapped_access(const tessera_vta_mapping* mapping);

#ifdef __cplusplus
}
#endif

#endif  // TESSERA_COMPILER_RUNTIME_VTA_REGISTERS_H_
