// A libcuda.so.1 that stands in for an NVIDIA GPU and its driver where there are none: one device,
// memory of the host's, kernels interpreted. It does what compiler/runtime/cuda.h declares, at once
// where a device would later; threads take turns, times are the host's.

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
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
  CUctx_st* context;
  std::map<std::string, tessera::ptx::Kernel> kernels;
  std::map<std::string, CUfunc_st> functions;
};
struct CUctx_st {
  tessera::ptx::Memory memory;
  std::vector<std::unique_ptr<CUmod_st>> modules;
};
struct CUstream_st {
  CUctx_st* context;
};
struct CUevent_st {
  std::chrono::steady_clock::time_point when;
};

namespace {

constexpr int64_t kSharedBytes = 163 << 10, kMemoryBytes = int64_t{1} << 30;
constexpr size_t kAlignment = 256;
std::mutex turn;  // guards contexts and what is in them
thread_local std::vector<CUctx_st*> current;
CUresult failed = CUDA_SUCCESS;  // kernels end later than they are started, on a device
bool initialised = false;

// As of a device: once a kernel has failed nothing works.
CUresult Now(CUresult result) { return failed != CUDA_SUCCESS ? failed : result; }

CUctx_st* Current() { return current.empty() ? nullptr : current.back(); }

CUctx_st& PrimaryContext() {
  static CUctx_st context;
  return context;
}

// A stream's context has to be the current one; the default stream is of every context.
bool IsOfCurrent(CUstream stream) {
  return Current() != nullptr && (stream == nullptr || stream->context == Current());
}

bool Holds(CUdeviceptr address, size_t bytes) {
  if (Current() == nullptr) return false;
  const tessera::ptx::Memory& memory = Current()->memory;
  auto range = memory.upper_bound(address);
  if (range == memory.begin()) return false;
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
    case CUDA_ERROR_INVALID_CONTEXT:
      *name = "CUDA_ERROR_INVALID_CONTEXT";
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
      {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, 1024},
      {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X + 1, 1024},
      {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X + 2, 64},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, 48 << 10},
      {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
      {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, 64 << 10},
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
  *context = new CUctx_st;
  current.push_back(*context);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxDestroy_v2(CUcontext context) {
  for (const auto& [address, bytes] : context->memory) std::free(reinterpret_cast<void*>(address));
  if (Current() == context) current.pop_back();
  delete context;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
  *context = &PrimaryContext();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) { return CUDA_SUCCESS; }

EXPORT CUresult cuCtxGetCurrent(CUcontext* context) {
  *context = Current();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetDevice(CUdevice* device) {
  *device = 0;
  return Current() == nullptr ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
}

EXPORT CUresult cuCtxPushCurrent_v2(CUcontext context) {
  current.push_back(context);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxPopCurrent_v2(CUcontext* context) {
  if (current.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  *context = current.back();
  current.pop_back();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamCreate(CUstream* stream, unsigned) {
  if (Current() == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  *stream = new CUstream_st{Current()};
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamDestroy_v2(CUstream stream) {
  delete stream;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamGetCtx(CUstream stream, CUcontext* context) {
  *context = stream == nullptr ? Current() : stream->context;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamSynchronize(CUstream) { return Now(CUDA_SUCCESS); }

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
  if (Current() == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  const std::lock_guard lock(turn);
  auto made = std::make_unique<CUmod_st>();
  made->context = Current();
  made->kernels = *std::move(kernels);
  for (const auto& [name, kernel] : made->kernels) made->functions[name] = {&kernel};
  *module = made.get();
  Current()->modules.push_back(std::move(made));
  return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleUnload(CUmodule module) {
  const std::lock_guard lock(turn);
  std::erase_if(module->context->modules, [&](const auto& one) { return one.get() == module; });
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
  if (Current() == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  const std::lock_guard lock(turn);
  size_t used = 0;
  for (const auto& [address, size] : Current()->memory) used += static_cast<size_t>(size);
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  if (used + bytes > static_cast<size_t>(kMemoryBytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  void* made = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  if (made == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  *memory = reinterpret_cast<CUdeviceptr>(made);
  Current()->memory[*memory] = static_cast<int64_t>(bytes);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemFree_v2(CUdeviceptr memory) {
  if (Current() == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  const std::lock_guard lock(turn);
  if (Current()->memory.erase(memory) == 0) return CUDA_ERROR_INVALID_VALUE;
  std::free(reinterpret_cast<void*>(memory));
  return Now(CUDA_SUCCESS);
}

EXPORT CUresult cuMemAllocAsync(CUdeviceptr* memory, size_t bytes, CUstream stream) {
  return IsOfCurrent(stream) ? cuMemAlloc_v2(memory, bytes) : CUDA_ERROR_INVALID_CONTEXT;
}

EXPORT CUresult cuMemFreeAsync(CUdeviceptr memory, CUstream stream) {
  return IsOfCurrent(stream) ? cuMemFree_v2(memory) : CUDA_ERROR_INVALID_CONTEXT;
}

EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t bytes) {
  const std::lock_guard lock(turn);
  if (!Holds(to, bytes)) return CUDA_ERROR_INVALID_VALUE;
  memcpy(reinterpret_cast<void*>(to), from, bytes);
  return Now(CUDA_SUCCESS);
}

EXPORT CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t bytes) {
  const std::lock_guard lock(turn);
  if (!Holds(from, bytes)) return CUDA_ERROR_INVALID_VALUE;
  memcpy(to, reinterpret_cast<const void*>(from), bytes);
  return Now(CUDA_SUCCESS);
}

EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes,
                                     CUstream stream) {
  return IsOfCurrent(stream) ? cuMemcpyHtoD_v2(to, from, bytes) : CUDA_ERROR_INVALID_CONTEXT;
}

EXPORT CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
  return IsOfCurrent(stream) ? cuMemcpyDtoH_v2(to, from, bytes) : CUDA_ERROR_INVALID_CONTEXT;
}

EXPORT CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t bytes) {
  const std::lock_guard lock(turn);
  if (!Holds(to, bytes)) return CUDA_ERROR_INVALID_VALUE;
  memset(reinterpret_cast<void*>(to), value, bytes);
  return Now(CUDA_SUCCESS);
}

EXPORT CUresult cuLaunchKernel(CUfunction function, unsigned blocks_x, unsigned blocks_y,
                               unsigned blocks_z, unsigned threads_x, unsigned threads_y,
                               unsigned threads_z, unsigned shared_bytes, CUstream stream,
                               void** params, void**) {
  if (!IsOfCurrent(stream)) return CUDA_ERROR_INVALID_CONTEXT;
  const std::lock_guard lock(turn);
  if (shared_bytes > function->dynamic_limit) return CUDA_ERROR_INVALID_VALUE;
  tessera::ptx::Launch launch{
      {blocks_x, blocks_y, blocks_z}, {threads_x, threads_y, threads_z}, shared_bytes, {}};
  for (size_t i = 0; i < function->kernel->params.size(); ++i) {
    launch.params.push_back(*static_cast<const CUdeviceptr*>(params[i]));
  }
  const absl::Status status = tessera::ptx::Run(*function->kernel, launch, Current()->memory);
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
