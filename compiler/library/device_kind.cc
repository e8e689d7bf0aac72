#include "compiler/library/device_kind.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "compiler/codegen/gpu/opencl.h"
#include "compiler/codegen/ptx.h"
#include "compiler/schedule/accelerator.h"

namespace tessera::library {
namespace {

constexpr DeviceKind kKinds[] = {
    {
        .kind = ir::TargetKind::kOpenCl,
        .runtime = "tessera_opencl_",
        .generate = codegen::gpu::GenerateOpenCl,
        .queue = "struct _cl_command_queue* queue",
        .memory = "struct _cl_mem* ",
        .event = "struct _cl_event** event",
        .is_created_for_queue = true,
        .use =
            R"(// With memory of an OpenCL device: ..._opencl puts the operator's kernels into a command queue of the
// program's and returns. $CREATE compiles the kernels for the queue's context and
// device; calls take the result, an in-order queue of the same context and device, and buffers
// (cl_mem) of at least the sizes named here, in the stored layouts. Weights are packed into such a
// buffer once. None of them should be a part of another
// buffer (clCreateSubBuffer): weights must not, and kernels may read others as images, which some
// drivers don't make of parts.
// `workspace` holds what a call keeps between its kernels: a buffer that no other call uses before
// this one is done (in one queue all calls may share one), or NULL, and the call makes its own.
// `event`, unless NULL, becomes that of the call's last kernel; it is the program's to release.
)",
        .search =
            R"(// back. TESSERA_DEVICE, an environment variable read when the library is loaded, is a part of the
// name of the device or its platform, or cpu; without it the first device is taken, GPUs before
// others.)",
        .loading =
            R"(// The library links no OpenCL: it loads libOpenCL.so.1 when it first needs it. Negative results are
// OpenCL's errors, such as -11 for CL_BUILD_PROGRAM_FAILURE.
)",
        .types =
            R"(// What <CL/cl.h> calls cl_command_queue, cl_mem and cl_event points to these.
struct _cl_command_queue;
struct _cl_mem;
struct _cl_event;
)",
        .created_for = "context and device of a queue",
        .destroyed_when = "what is in queues goes on",
    },
    {
        .kind = ir::TargetKind::kCuda,
        .runtime = "tessera_cuda_",
        .generate = codegen::GeneratePtx,
        .queue = "struct CUstream_st* stream",
        .memory = "unsigned long long ",
        .event = nullptr,
        .is_created_for_queue = false,
        .use =
            R"(// With memory of a CUDA device: ..._cuda puts the operator's kernels into a stream of the program's
// and returns. $CREATE compiles the kernels for the context that is current in the
// calling thread; users of CUDA's runtime have the device's primary one after cudaSetDevice and
// cudaFree(0). Calls take the result, a stream of the same context or NULL for its default stream,
// and addresses (CUdeviceptr) of at least the sizes named here, which nothing checks, aligned to 16
// bytes, in the stored layouts; any context, or none, may be current. Weights are packed into such
// memory once. `workspace` holds what a call keeps between its kernels: memory that no other call
// uses before this one is done (in one stream all calls may share it), or 0, and the call takes its
// own from the memory pool of the stream's device, in the order of the stream.
)",
        .search =
            R"(// back, in the device's primary context and a stream of the library's own. TESSERA_DEVICE, an
// environment variable read when the library is loaded, is a part of the device's name, or cpu;
// without it the first device is taken.)",
        .loading =
            R"(// The library links no CUDA: it loads libcuda.so.1, of CUDA 11.2 or later, when it first needs it.
// Negative results are CUDA's errors with a minus, such as -2 for CUDA_ERROR_OUT_OF_MEMORY; those of
// kernels are told by whatever waits for them.
)",
        .types =
            R"(// What <cuda.h> calls CUstream, and CUDA's runtime cudaStream_t, points to this. CUdeviceptr is
// unsigned long long: a pointer of the runtime's has to be cast.
struct CUstream_st;
)",
        .created_for = "the current context",
        .destroyed_when = "what is in streams has to be done",
    },
    {
        .kind = ir::TargetKind::kVta,
        .runtime = "tessera_vta_ops_",
    },
};

}  // namespace

const DeviceKind* FindDeviceKind(ir::TargetKind kind) {
  const auto* found =
      std::ranges::find_if(kKinds, [&](const DeviceKind& one) { return one.kind == kind; });
  return found == std::end(kKinds) ? nullptr : found;
}

const DeviceKind& DeviceKindOf(const ir::Target& target) {
  const DeviceKind* found = FindDeviceKind(target.kind);
  TESSERA_CHECK(found != nullptr);
  return *found;
}

int64_t DeviceNeeds(const ir::Target& target) {
  if (target.kind == ir::TargetKind::kOpenCl) return target.Has("fp16") ? 1 : 0;
  if (target.kind == ir::TargetKind::kVta) {
    const vta::Config config = schedule::ConfigOf(target);
    return std::max({config.TileBytes(vta::Memory::kInp), config.TileBytes(vta::Memory::kWgt),
                     config.TileBytes(vta::Memory::kAcc)});
  }
  // "sm_80"
  int64_t capability = 0;
  TESSERA_CHECK(absl::SimpleAtoi(target.features.back().substr(3), &capability));
  return capability;
}

std::string DeviceKindNames() {
  return absl::StrJoin(kKinds, ", ", [](std::string* out, const DeviceKind& one) {
    *out += ir::KindName(one.kind);
  });
}

}  // namespace tessera::library
