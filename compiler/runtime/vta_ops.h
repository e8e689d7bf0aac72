#ifndef TESSERA_COMPILER_RUNTIME_VTA_OPS_H_
#define TESSERA_COMPILER_RUNTIME_VTA_OPS_H_

// What the entry points of a library for the Versatile Tensor Accelerator call. C11, libc only.
//
// Results are those of device.h, and with a minus those of vta.h that these have no word for.

#include <stddef.h>
#include <stdint.h>

#include "compiler/runtime/device.h"
#include "compiler/runtime/vta.h"

#ifdef __cplusplus
extern "C" {
#endif

// One program of an operator, passed these of the operator's buffers.
typedef struct tessera_vta_launch {
  tessera_vta_program program;
  int64_t buffer_count;  // at most TESSERA_OP_MAX_BUFFERS
  const int64_t* buffers;
} tessera_vta_launch;

// An operator for the accelerator; its `code` says how many programs there are, and nothing else.
typedef struct tessera_vta_op {
  tessera_device_op op;
  const tessera_vta_launch* launches;
} tessera_vta_op;

// An accelerator with its DRAM. Any number of threads may use it: it runs one program at a time,
// for which only those wait that have another one.
typedef struct tessera_vta_ops tessera_vta_ops;

// By a driver of the program's own, of which it keeps a copy. Where that is not done, `made`
// becomes NULL, and `log`, unless NULL, what is wrong.
int tessera_vta_ops_create(const tessera_device_library* library, const tessera_vta_driver* driver,
                           tessera_vta_ops** made, char* log, size_t log_bytes);
// By registers and DRAM as of tessera_vta_map (vta_registers.h). TESSERA_OPS_NO_DEVICE where they
// can't be mapped, or the accelerator does not answer.
int tessera_vta_ops_open(const tessera_device_library* library, const char* registers_file,
                         uint32_t registers_base, const char* dram_file, const char* dram_folder,
                         tessera_vta_ops** made, char* log, size_t log_bytes);
// When no call with it is under way, and calls with host memory don't use it. Accepts NULL.
void tessera_vta_ops_destroy(tessera_vta_ops* vta);

// DRAM: a device address, a multiple of 4096; 0: there is no room. The host finds it at `_host`;
// NULL: it is no address of DRAM.
uint32_t tessera_vta_ops_allocate(tessera_vta_ops* vta, size_t bytes);
void tessera_vta_ops_release(tessera_vta_ops* vta, uint32_t address);
void* tessera_vta_ops_host(tessera_vta_ops* vta, uint32_t address);

// Calls with host memory run on it from now on. TESSERA_OPS_NO_DEVICE where they have run
// elsewhere before, or TESSERA_DEVICE was "cpu".
int tessera_vta_ops_use(const tessera_device_library* library, tessera_vta_ops* vta);

// arguments: the accelerator, then addresses of inputs, packed constants and outputs, multiples of
// library->needs, the bytes of the largest tile. Returns when it is done.
int tessera_vta_ops_run(const tessera_vta_op* op, void* const* arguments);
// arguments: the accelerator, row-major constants in the host's memory, the packed block's address.
int tessera_vta_ops_pack_constants(const tessera_vta_op* op, void* const* arguments);

// Its streams are accelerators, its buffers their addresses. `open` finds the one of
// tessera_vta_ops_use.
extern const tessera_device_driver tessera_vta_ops_driver;

#ifdef __cplusplus
}
#endif

#endif  // TESSERA_COMPILER_RUNTIME_VTA_OPS_H_
