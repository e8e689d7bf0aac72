#include "compiler/library/accelerator_header.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "compiler/library/device_header.h"
#include "compiler/library/device_kind.h"
#include "compiler/schedule/accelerator.h"
#include "compiler/vta/config.h"

namespace tessera::library {

bool IsForAccelerator(const LibrarySpec& spec) {
  return spec.device && spec.device->target.kind == ir::TargetKind::kVta;
}

std::string AcceleratorComment(absl::Span<const CompiledOp> ops, const LibrarySpec& spec) {
  std::vector<std::string> on_cpu;
  for (const CompiledOp& op : ops) {
    if (!op.device) on_cpu.push_back(op.op->name);
  }
  const std::string config = vta::Print(schedule::ConfigOf(spec.device->target));
  return Named(
      absl::StrCat(
          R"(// For the Versatile Tensor Accelerator with this configuration, which the bitstream has to have
// (nothing checks it): )",
          config, R"(.
// On the CPU, because the accelerator can't run them: )",
          on_cpu.empty() ? "none" : absl::StrJoin(on_cpu, ", "), R"(.
// What is said of each operator says why. The others can be called in two ways.
//
// With memory that the accelerator reaches: ..._vta takes addresses there, and returns when the
// operator is done. $KERNELS_open maps a board's registers and a buffer of the kernel module
// u-dma-buf; $CREATE takes a driver of the program's own instead. $KERNELS_allocate
// gives out that memory; parts of it will do that begin at multiples of )",
          DeviceNeeds(spec.device->target), R"( bytes. Weights are
// packed there once, and activations stay there from operator to operator. $KERNELS_host
// is where the host finds them: where the caches are coherent, as with _open, operators of the CPU
// can work there in place. With a driver that has `flush` and `invalidate`, the program calls these
// for what it writes and reads itself. One program runs at a time, whatever the number of threads;
// memory can be had and looked at meanwhile.
//
// With memory of the host: the calls that CPU libraries have. They run on the accelerator that
// $KERNELS_use named before the first of them, and copy all arguments to its memory,
// packed weights too, and outputs back. Without one, or where the environment variable
// TESSERA_DEVICE was cpu when the library was loaded, they run on the CPU for as long as the process
// lives: a line on standard error says so, unless TESSERA_QUIET is 1, and $FALLBACK
// why. Pack weights in the process that uses them: blocks of the CPU and the accelerator differ, and
// so do those of the two ways to call.
//
// Tensors are stored in the same layout for the accelerator and the CPU. Negative results are the
// accelerator's: -1 a program that doesn't fit its tensors, -3 it has not ended in time, -4 it
// failed. After -3 of a board, its bitstream has to be loaded again.
//
)"),
      spec);
}

std::string AcceleratorDeclarations(const LibrarySpec& spec) {
  return Named(
      absl::StrCat(
          DeviceResults(),
          R"(// What a driver provides; `_open` has one for the published design with its registers.
#ifndef TESSERA_VTA_DRIVER_
#define TESSERA_VTA_DRIVER_
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
  // Executes instructions of 16 bytes each, the last of which is a finish, and waits for it.
  // `cycles` of the accelerator's clock, or 0. Returns 0, 3 where it has not ended in time, else 4.
  // Is called by one thread at a time.
  int (*run)(void* self, uint32_t instruction_address, int64_t instruction_count, uint64_t* cycles);
} tessera_vta_driver;
#endif

// An accelerator with its memory. Where it is not made, `vta` becomes NULL, and `log`, unless NULL,
// what is wrong, cut to log_bytes.
typedef struct $KERNELS $KERNELS;
// `registers_file`: /dev/mem, where the registers lie from `registers_base` on (0x43c00000 on Pynq,
// 0xa0000000 on Ultra96 and ZCU104), or a UIO device, of which the base is ignored. `dram_file` and
// `dram_folder`: /dev/udmabuf0 and /sys/class/u-dma-buf/udmabuf0. The buffer has to be coherent with
// the host's caches.
int $KERNELS_open(
    const char* registers_file, uint32_t registers_base, const char* dram_file,
    const char* dram_folder, $KERNELS** vta, char* log, size_t log_bytes);
// By a driver of the program's own, which is copied; `self` has to stay.
int $CREATE(
    const tessera_vta_driver* driver, $KERNELS** vta, char* log, size_t log_bytes);
// When no call with it is under way. Not of what `_use` named. Accepts NULL.
void $DESTROY($KERNELS* vta);

// Addresses are multiples of 4096; 0: there is no room. `_host` is NULL where an address is none of
// the memory's.
uint32_t $KERNELS_allocate($KERNELS* vta, size_t bytes);
void $KERNELS_release($KERNELS* vta, uint32_t address);
void* $KERNELS_host($KERNELS* vta, uint32_t address);

// Calls with host memory run on it from now on, until the process ends. TESSERA_OPS_NO_DEVICE: they
// have run elsewhere before, or TESSERA_DEVICE is cpu.
int $KERNELS_use($KERNELS* vta);
// What these calls run on; NULL: the CPU, and why. Until `_use` or the first of them, nothing is
// decided, and the answer is that none is named yet.
const char* $DEVICE(void);
const char* $FALLBACK(void);

)"),
      spec);
}

std::string AcceleratorOpHeader(const CompiledOp& op, const LibrarySpec& spec) {
  std::vector<std::string> parameters = {KernelsTypeName(spec) + "* vta"}, constants = parameters;
  for (const OpTensor& tensor : op.inputs) {
    if (tensor.is_constant) {
      constants.push_back(SourceParameter(tensor));
    } else {
      parameters.push_back("uint32_t " + tensor.name);
    }
  }
  if (op.has_constants()) parameters.emplace_back("uint32_t weights");
  for (const OpTensor& tensor : op.outputs) parameters.push_back("uint32_t " + tensor.name);
  std::string text = Function(op.device_name(), parameters);
  if (!op.has_constants()) return text;
  constants.emplace_back("uint32_t weights");
  absl::StrAppend(&text, "// Row-major constants in the host's memory to ", op.device->packed.bytes,
                  " bytes of the accelerator's; ", op.packed_bytes_name(), "() is enough.\n",
                  Function(op.device_pack_name(), constants));
  return text;
}

}  // namespace tessera::library
