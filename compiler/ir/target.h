#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace tessera::ir {

enum class TargetKind : uint8_t { kX86, kAArch64, kArm, kOpenCl, kCuda, kVta };

// What code is generated for: kind, instruction-set features and limits. Canonical: two targets
// that generate the same code are equal and print the same.
struct Target {
  TargetKind kind = TargetKind::kX86;
  // Of the kind's fixed list, sorted: x86 "sse4.2" < "avx2" (with fma, f16c) < "avx512"
  // (f, bw, dq, vl, cd), and beside it "vnni", "bf16"; aarch64 "neon", "dotprod", "fp16";
  // arm (32-bit, ARMv7) "neon"; opencl "fp16"; cuda one of "sm_70" < "sm_75" < … < "sm_90".
  std::vector<std::string> features;
  int vector_bytes = 16;
  int vector_registers = 16;
  int64_t l1_bytes = 32 << 10;  // data cache of a core
  int64_t l2_bytes = 1 << 20;
  int max_threads = 1;  // cores that a kernel may use
  // Of a GPU (IsGpu): threads of a block at most, how many of them run in step, and the memory that
  // a block shares. 0 for others.
  int block_threads = 0;
  int wave_threads = 0;
  int64_t shared_bytes = 0;
  // Of OpenCL: the bytes of one kernel's constant memory, and the texels of an image that is a view
  // of a buffer. 0: kernels don't use such.
  int64_t constant_bytes = 0;
  int64_t image_texels = 0;
  // Of a CUDA device: registers of 32 bits that the threads of a block share out. 0 for others,
  // which don't tell.
  int64_t block_registers = 0;
  // Of kVta: its inputs are tiles of `tile_rows` × `tile_block` values, weights of `tile_block`
  // squared, and these the bytes of its memories, powers of two (compiler/vta/config.h). An
  // accumulator may be used again `pipeline_steps` later. 0 for others.
  int tile_rows = 0;
  int tile_block = 0;
  int64_t uop_bytes = 0;
  int64_t inp_bytes = 0;
  int64_t wgt_bytes = 0;
  int64_t acc_bytes = 0;
  int pipeline_steps = 0;

  bool operator==(const Target&) const = default;
  bool Has(std::string_view feature) const;
  int Lanes(int element_bits) const { return vector_bytes * 8 / element_bits; }
};

// Whether kernels are machine code of a CPU's cores.
bool IsCpu(TargetKind kind);
// Whether kernels are blocks of threads that share memory.
bool IsGpu(TargetKind kind);
// "x86": as targets begin.
std::string_view KindName(TargetKind kind);

// Registers of 32 bits that each of a block's threads may have at most, as they are given out: by
// eights. Nothing where the target has no such limit.
std::optional<int64_t> ThreadRegisters(const Target& target, int64_t block_threads);

// Whether the threads of a wave can multiply matrices of f16, bf16 or TF32 together
// (compiler/codegen/gpu/matrix_products.h).
bool MultipliesMatrices(const Target& target);
// Whether a thread can copy to memory that its block shares while it goes on
// (compiler/codegen/gpu/async_copies.h).
bool CopiesAsynchronously(const Target& target);

// "x86/avx512,vnni l1=32768 l2=1048576 threads=2", "opencl/fp16 l2=1048576 block=256 wave=32
// shared=32768 constant=65536 texels=134217728", "cuda/sm_80 … registers=65536", "vta batch=1
// block=16 uop=32768 inp=32768 wgt=262144 acc=131072 pipeline=4". Both ways; unknown kinds,
// features and limits are refused with the list of known ones.
std::string ToString(const Target& target);
absl::StatusOr<Target> ParseTarget(std::string_view text);

// True when code generated for `task` runs on a device of target `device` with `threads`: of a GPU,
// within its blocks; of VTA, on the same configuration alone. The levels of caches decide nothing,
// nor do registers: a driver's compiler makes do with those that there are.
bool CanRun(const Target& device, const Target& task, int threads);

// Why one library can't have a version for each of both targets, to go on a sentence that begins
// with them: neither is a CPU, or both are CPUs whose kinds differ, or whose features, by which a
// library chooses, don't. Nothing where it can.
std::optional<std::string> WhyNotTogether(const Target& a, const Target& b);

// The x86 target of a named ISA ceiling ("sse4.2", "avx2", "avx512") with default limits.
absl::StatusOr<Target> X86Target(std::string_view isa);

}  // namespace tessera::ir
