#ifndef TESSERA_COMPILER_RUNTIME_DEVICE_H_
#define TESSERA_COMPILER_RUNTIME_DEVICE_H_

// Operators of a library that run on a device with memory and a compiler of its own, such as a GPU:
// how a library describes them, what the launchers of drivers offer (opencl.h, cuda.h), and the
// calls with host memory, which run on the CPU where there is no such device. C11, libc only.

#include <stddef.h>
#include <stdint.h>

#include "compiler/runtime/layout.h"
#include "compiler/runtime/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

// Beside those of ops.h. Negative results are errors of the device's driver.
enum {
  TESSERA_OPS_NO_DEVICE = 6,      // no driver, no device, or not the one that was wanted
  TESSERA_OPS_DEVICE_LIMITS = 7,  // the device has less than the kernels were made for
  TESSERA_OPS_BAD_QUEUE = 8,      // of another context or device, or out of order
  TESSERA_OPS_SMALL_BUFFER = 9    // a buffer has fewer bytes than its tensor
};

enum { TESSERA_DEVICE_WORKSPACE = -1 };

// How a kernel is passed a buffer: its memory, the same as constant memory, or as an image of
// texels of four elements of f32 or f16, with the texel at which the buffer begins as an int behind
// it.
enum {
  TESSERA_DEVICE_MEMORY = 0,
  TESSERA_DEVICE_CONSTANT = 1,
  TESSERA_DEVICE_IMAGE_F32 = 2,
  TESSERA_DEVICE_IMAGE_F16 = 3
};

typedef struct tessera_device_argument {
  int64_t buffer;  // its number, or TESSERA_DEVICE_WORKSPACE
  int64_t kind;
} tessera_device_argument;

// How one kernel is started: blocks of threads along x, y and z.
typedef struct tessera_device_launch {
  const char* kernel;
  int64_t blocks[3];
  int64_t threads[3];
  int64_t shared_bytes;  // of a block
  int64_t argument_count;
  const tessera_device_argument* arguments;
} tessera_device_launch;

// What the device's driver compiles, and the kernels in it.
typedef struct tessera_device_code {
  const char* source;
  int64_t source_bytes;
  int64_t launch_count;
  const tessera_device_launch* launches;
} tessera_device_code;

// `bytes` of argument `argument` from `offset` on, which is a multiple of
// TESSERA_DEVICE_ALIGNMENT: no driver asks for more where a part of a buffer begins.
typedef struct tessera_device_buffer {
  int64_t argument;
  int64_t offset;
  int64_t bytes;
} tessera_device_buffer;

#define TESSERA_DEVICE_ALIGNMENT 4096

typedef struct tessera_device_op {
  const char* name;
  int64_t number;  // its place in the library
  // The kernels of a call, each of which begins when the one before has ended, and behind them
  // those that run when constants are packed.
  tessera_device_code code;
  int64_t call_launches;
  // Arguments of a call: inputs, the packed constants, outputs.
  int64_t argument_count;  // at most TESSERA_OP_MAX_BUFFERS
  const int64_t* argument_bytes;
  int64_t first_output;
  int64_t buffer_count;                  // of the kernels, at most TESSERA_OP_MAX_BUFFERS
  const tessera_device_buffer* buffers;  // in a call
  int64_t workspace_bytes;
  // Packing: where each row-major constant goes (TESSERA_OP_PACKED, TESSERA_OP_SCRATCH), and what
  // the kernels of packing are passed (these, or TESSERA_OP_UNUSED).
  int64_t constant_count;
  const tessera_layout* layouts;
  const tessera_op_buffer* places;
  const tessera_device_buffer* packing_buffers;
  int64_t packed_bytes;
  int64_t scratch_bytes;
} tessera_device_op;

// Where a function says what went wrong: a line, or more of a compiler. Cut to fit, ends with 0.
typedef struct tessera_note {
  char* text;  // may be NULL
  size_t bytes;
} tessera_note;
void tessera_note_write(tessera_note note, const char* format, ...)
    __attribute__((format(printf, 2, 3)));

// What a block may have on a device.
typedef struct tessera_device_limits {
  int64_t threads;
  int64_t threads_along[3];
  int64_t shared_bytes;
  int64_t constant_bytes;  // of a kernel's arguments, and the texels of an image
  int64_t image_texels;
} tessera_device_limits;

// Bytes of a texel of such an argument; 0: it is no image.
int64_t tessera_device_texel_bytes(int64_t kind);

// TESSERA_OPS_DEVICE_LIMITS, with value and limit in `why`, where a kernel of the operator takes
// more.
int tessera_device_check_limits(const tessera_device_op* op, const tessera_device_limits* limits,
                                tessera_note why);

struct tessera_device_library;

// A kind of device. A stream is one of them with a queue, and works in the order of its calls.
// Functions that return int return TESSERA_OPS_OK or what a call of the library returns. All but
// `open` may be called by any number of threads at once.
typedef struct tessera_device_driver {
  // The first device whose name, or whose platform's, contains `wanted`, with the library's kernels
  // compiled; never closed. `name` becomes the device's, `why` the reason if there is none.
  int (*open)(const struct tessera_device_library* library, const char* wanted, void** stream,
              tessera_note name, tessera_note why);
  int (*allocate)(void* stream, int64_t bytes, void** buffer);
  void (*release)(void* stream, void* buffer);
  // These two wait until it is done.
  int (*write)(void* stream, void* buffer, int64_t offset, const void* from, int64_t bytes);
  int (*read)(void* stream, void* buffer, void* into, int64_t bytes);
  // Starts a call; `buffers` are its arguments.
  int (*run)(void* stream, const tessera_device_op* op, void* const* buffers);
  // Runs the kernels of packing on the packed block and the scratch memory (TESSERA_OP_PACKED,
  // TESSERA_OP_SCRATCH); waits.
  int (*prepare)(void* stream, const tessera_device_op* op, void* const* memory);
  // What the program has to name before there is a device to open, a line; NULL: nothing any more.
  // NULL itself where devices are found, not named.
  const char* (*missing)(void);
} tessera_device_driver;

// Row-major constants in host memory to a packed block on the device; waits.
int tessera_device_pack(const tessera_device_driver* driver, void* stream,
                        const tessera_device_op* op, void* const* constants, void* packed);

typedef struct tessera_device_library {
  const tessera_device_driver* driver;
  const char* name;
  // OpenCL: 1 where kernels compute in half precision. CUDA: the compute capability, 80 of sm_80.
  // VTA: of what addresses have to be multiples.
  int64_t needs;
  int64_t op_count;
  const tessera_device_op* const* ops;
} tessera_device_library;

// An operator for a device, and for CPUs.
typedef struct tessera_hosted_op {
  const tessera_device_library* library;
  const tessera_device_op* op;
  const tessera_op_table* cpu;
  const tessera_packing_table* cpu_packing;  // NULL without constants
} tessera_hosted_op;

// The calls with host memory, with the arguments of tessera_op_run and tessera_op_pack_constants.
// The process's first such call of a library finds a device: the first one, GPUs before others, or,
// where the environment variable TESSERA_DEVICE was set when this code was loaded, one that it
// names a part of; "cpu" wants none. Where that fails the CPU is used from then on, and a line on
// standard error says why unless TESSERA_QUIET was 1. Any number of threads may call at once.
int tessera_device_run(const tessera_hosted_op* op, void* const* arguments);
int tessera_device_pack_constants(const tessera_hosted_op* op, void* const* arguments);

// The name of the device that these calls use; NULL: the CPU. The question finds a device, as the
// first call does, but where the program has yet to name one: nothing is decided by that, and the
// answer is that of the moment.
const char* tessera_device_name(const tessera_device_library* library);
// Why they use the CPU, or would; NULL where they don't.
const char* tessera_device_fallback(const tessera_device_library* library);

#ifdef __cplusplus
}
#endif

#endif  // TESSERA_COMPILER_RUNTIME_DEVICE_H_
