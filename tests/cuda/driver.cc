// A libcuda.so.1 that stands in for an NVIDIA GPU and its driver where there are none: one device,
// memory of the host's, kernels interpreted. It does what compiler/runtime/cuda.h declares, in
// order, one thread at a time; times are the host's.

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "compiler/runtime/cuda.h"
#include "tests/cuda/ptx_machine.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

struct CUfunc_st {
  const tessera::ptx::Kernel* kernel;
  int64_t dynamic_limit = 48 << 10;
};
struct CUmod_st {
  std::map<std::string, tessera::ptx::Kernel> kernels;
  std::map<std::string, CUfunc_st> functions;
};
struct CUctx_st {
  tessera::ptx::Memory memory;
  std::vector<std::unique_ptr<CUmod_st>> modules;
};
struct CUevent_st {
  std::chrono::steady_clock::time_point when;
};

namespace {

constexpr int64_t kSharedBytes = 163 << 10, kMemoryBytes = int64_t{1} << 30;
constexpr size_t kAlignment = 256;
CUctx_st* current = nullptr;
CUresult failed = CUDA_SUCCESS;  // kernels end later than they are started, on a device
bool initialised = false;

// As of a device: once a kernel has failed nothing works.
CUresult Now(CUresult result) { return failed != CUDA_SUCCESS ? failed : result; }

bool Holds(CUdeviceptr address, size_t bytes) {
  auto range = current->memory.upper_bound(address);
  if (range == current->memory.begin()) return false;
  --range;
  return address + bytes <= range->first + static_cast<CUdeviceptr>(range->second);
}

}  // namespace

EXPORT CUresult cuInit(unsigned flags) {
  initialised = true;
  return flags == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuDriverGetVersion(int* version) {
  *version = 12'000;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGetErrorName(CUresult error, const char** name) {
  switch (error) {
    case CUDA_ERROR_OUT_OF_MEMORY:
      *name = "CUDA_ERROR_OUT_OF_MEMORY";
      return CUDA_SUCCESS;
    case CUDA_ERROR_INVALID_PTX:
      *name = "CUDA_ERROR_INVALID_PTX";
      return CUDA_SUCCESS;
    case CUDA_ERROR_ILLEGAL_ADDRESS:
      *name = "CUDA_ERROR_ILLEGAL_ADDRESS";
      return CUDA_SUCCESS;
    case CUDA_ERROR_NOT_FOUND:
      *name = "CUDA_ERROR_NOT_FOUND";
      return CUDA_SUCCESS;
    case CUDA_ERROR_INVALID_VALUE:
      *name = "CUDA_ERROR_INVALID_VALUE";
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

EXPORT CUresult cuDeviceGetCount(int* count) {
  *count = 1;
  return initialised ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

EXPORT CUresult cuDeviceGet(CUdevice* device, int number) {
  *device = 0;
  return number == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuDeviceGetName(char* name, int bytes, CUdevice) {
  strncpy(name, "Interpreter of PTX", static_cast<size_t>(bytes));
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetAttribute(int* value, int what, CUdevice) {
  static const std::map<int, int> values = {
      {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, 48 << 10},
      {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
      {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 1},
      {CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 1 << 20},
      {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 8},
      {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, kSharedBytes}};
  const auto found = values.find(what);
  if (found == values.end()) return CUDA_ERROR_INVALID_VALUE;
  *value = found->second;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice) {
  *bytes = static_cast<size_t>(kMemoryBytes);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxCreate_v2(CUcontext* context, unsigned, CUdevice) {
  *context = current = new CUctx_st;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxDestroy_v2(CUcontext context) {
  for (const auto& [address, bytes] : context->memory) std::free(reinterpret_cast<void*>(address));
  if (current == context) current = nullptr;
  delete context;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSynchronize() { return Now(CUDA_SUCCESS); }

EXPORT CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned count,
                                   int* options, void** values) {
  auto kernels = tessera::ptx::ParsePtx(static_cast<const char*>(image));
  if (!kernels.ok()) {
    char* log = nullptr;
    size_t bytes = 0;
    for (unsigned i = 0; i < count; ++i) {
      if (options[i] == CU_JIT_ERROR_LOG_BUFFER) log = static_cast<char*>(values[i]);
      if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) {
        bytes = reinterpret_cast<size_t>(values[i]);
      }
    }
    if (log != nullptr && bytes > 0) {
      const std::string text(kernels.status().message());
      strncpy(log, text.c_str(), bytes);
    }
    return CUDA_ERROR_INVALID_PTX;
  }
  auto made = std::make_unique<CUmod_st>();
  made->kernels = *std::move(kernels);
  for (const auto& [name, kernel] : made->kernels) made->functions[name] = {&kernel};
  *module = made.get();
  current->modules.push_back(std::move(made));
  return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  const auto found = module->functions.find(name);
  if (found == module->functions.end()) return CUDA_ERROR_NOT_FOUND;
  *function = &found->second;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuFuncSetAttribute(CUfunction function, int what, int value) {
  if (what != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value > kSharedBytes) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  function->dynamic_limit = value;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr* memory, size_t bytes) {
  size_t used = 0;
  for (const auto& [address, size] : current->memory) used += static_cast<size_t>(size);
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  if (used + bytes > static_cast<size_t>(kMemoryBytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  void* made = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  if (made == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  *memory = reinterpret_cast<CUdeviceptr>(made);
  current->memory[*memory] = static_cast<int64_t>(bytes);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t bytes) {
  if (!Holds(to, bytes)) return CUDA_ERROR_INVALID_VALUE;
  memcpy(reinterpret_cast<void*>(to), from, bytes);
  return Now(CUDA_SUCCESS);
}

EXPORT CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t bytes) {
  if (!Holds(from, bytes)) return CUDA_ERROR_INVALID_VALUE;
  memcpy(to, reinterpret_cast<const void*>(from), bytes);
  return Now(CUDA_SUCCESS);
}

EXPORT CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t bytes) {
  if (!Holds(to, bytes)) return CUDA_ERROR_INVALID_VALUE;
  memset(reinterpret_cast<void*>(to), value, bytes);
  return Now(CUDA_SUCCESS);
}

EXPORT CUresult cuLaunchKernel(CUfunction function, unsigned blocks_x, unsigned blocks_y,
                               unsigned blocks_z, unsigned threads_x, unsigned threads_y,
                               unsigned threads_z, unsigned shared_bytes, CUstream, void** params,
                               void**) {
  if (shared_bytes > function->dynamic_limit) return CUDA_ERROR_INVALID_VALUE;
  tessera::ptx::Launch launch{
      {blocks_x, blocks_y, blocks_z}, {threads_x, threads_y, threads_z}, shared_bytes, {}};
  for (size_t i = 0; i < function->kernel->params.size(); ++i) {
    launch.params.push_back(*static_cast<const CUdeviceptr*>(params[i]));
  }
  const absl::Status status = tessera::ptx::Run(*function->kernel, launch, current->memory);
  if (absl::IsInvalidArgument(status)) return CUDA_ERROR_INVALID_VALUE;
  if (!status.ok() && failed == CUDA_SUCCESS) {
    failed = absl::IsOutOfRange(status) ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_ERROR_LAUNCH_FAILED;
  }
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventCreate(CUevent* event, unsigned) {
  static std::vector<std::unique_ptr<CUevent_st>> events;
  *event = events.emplace_back(std::make_unique<CUevent_st>()).get();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventRecord(CUevent event, CUstream) {
  event->when = std::chrono::steady_clock::now();
  return Now(CUDA_SUCCESS);
}

EXPORT CUresult cuEventSynchronize(CUevent) { return Now(CUDA_SUCCESS); }

EXPORT CUresult cuEventElapsedTime(float* milliseconds, CUevent from, CUevent to) {
  *milliseconds = std::chrono::duration<float, std::milli>(to->when - from->when).count();
  return Now(CUDA_SUCCESS);
}
