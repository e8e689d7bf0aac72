#include "worker/runner/cuda/device.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/runtime/cuda.h"
#include "proto/limits.h"

namespace tessera::cuda {
namespace {

using Api = tessera_cuda_api;

constexpr size_t kMaxLog = 2000;
constexpr int64_t kMinScratch = 16 << 20;

absl::StatusOr<const Api*> LoadApi() {
  std::array<char, 256> why{};
  const Api* api = tessera_cuda_load({why.data(), why.size()});
  if (api == nullptr) return absl::FailedPreconditionError(absl::StrCat("CUDA: ", why.data()));
  return api;
}

// "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2)". Out of memory is ResourceExhausted, other errors are
// Internal.
absl::Status CheckCall(const Api& api, CUresult code, const char* function) {
  if (code == CUDA_SUCCESS) return absl::OkStatus();
  const std::string text =
      absl::StrCat(function, ": ", tessera_cuda_error_name(&api, code), " (", code, ")");
  return code == CUDA_ERROR_OUT_OF_MEMORY ? absl::ResourceExhaustedError(text)
                                          : absl::InternalError(text);
}

struct Found {
  CUdevice device;
  DeviceInfo info;
};

absl::StatusOr<std::vector<Found>> FindDevices(const Api& api) {
  int count = 0, driver = 0;
  TESSERA_RETURN_IF_ERROR(CheckCall(api, api.cuDeviceGetCount(&count), "cuDeviceGetCount"));
  TESSERA_RETURN_IF_ERROR(CheckCall(api, api.cuDriverGetVersion(&driver), "cuDriverGetVersion"));
  std::vector<Found> found;
  for (int i = 0; i < count; ++i) {
    CUdevice device = 0;
    TESSERA_RETURN_IF_ERROR(CheckCall(api, api.cuDeviceGet(&device, i), "cuDeviceGet"));
    const auto number = [&](int what) { return tessera_cuda_number(&api, device, what); };
    std::array<char, 256> name{};
    size_t memory = 0;
    api.cuDeviceGetName(name.data(), static_cast<int>(name.size()) - 1, device);
    api.cuDeviceTotalMem(&memory, device);
    DeviceInfo info;
    info.name = name.data();
    info.driver_version = driver;
    info.compute_capability = tessera_cuda_capability(&api, device);
    info.block_threads = number(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
    info.wave_threads = number(CU_DEVICE_ATTRIBUTE_WARP_SIZE);
    info.shared_bytes = tessera_cuda_shared_bytes(&api, device);
    info.block_registers = number(CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK);
    info.cache_bytes = number(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
    info.memory_bytes = static_cast<int64_t>(memory);
    info.processors = number(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    found.push_back({device, std::move(info)});
  }
  return found;
}

// What its context holds goes with it.
class CudaDevice final : public runner::Device {
 public:
  CudaDevice(const Api& api, Found found) : api_(api), found_(std::move(found)) {}

  ~CudaDevice() override {
    if (context_ != nullptr) api_.cuCtxDestroy(context_);
  }

  absl::Status Start() {
    TESSERA_RETURN_IF_ERROR(Check(api_.cuCtxCreate(&context_, 0, found_.device), "cuCtxCreate"));
    for (CUevent* event : {&begin_, &end_}) {
      TESSERA_RETURN_IF_ERROR(Check(api_.cuEventCreate(event, 0), "cuEventCreate"));
    }
    return absl::OkStatus();
  }

  absl::Status AddBuffer(int64_t bytes) override {
    TESSERA_ASSIGN_OR_RETURN(const Buffer buffer, MakeBuffer(bytes));
    buffers_.push_back(buffer);
    return absl::OkStatus();
  }

  absl::Status Load(const proto::DeviceCode& code, std::string_view) override {
    std::array<char, kMaxLog> log{};
    CUmodule module = nullptr;
    const CUresult error =
        tessera_cuda_compile(&api_, code.source.c_str(), &module, {log.data(), log.size()});
    if (error != CUDA_SUCCESS) {
      return absl::InvalidArgumentError(
          absl::StrCat(Check(error, "cuModuleLoadDataEx").message(), ": ", log.data()));
    }
    if (code.workspace_bytes > 0) {
      TESSERA_ASSIGN_OR_RETURN(workspace_, MakeBuffer(code.workspace_bytes));
    }
    TESSERA_RETURN_IF_ERROR(Bind(module, code.preparation, preparation_));
    return Bind(module, code.launches, launches_);
  }

  absl::Status Write(int buffer, int64_t offset, absl::Span<const std::byte> from) override {
    const Buffer& target = buffers_[static_cast<size_t>(buffer)];
    CheckRange(target, offset, from.size());
    return Check(api_.cuMemcpyHtoD(target.inside + static_cast<CUdeviceptr>(offset), from.data(),
                                   from.size()),
                 "cuMemcpyHtoD");
  }

  absl::Status Read(int buffer, int64_t offset, absl::Span<std::byte> into) override {
    const Buffer& source = buffers_[static_cast<size_t>(buffer)];
    CheckRange(source, offset, into.size());
    return Check(api_.cuMemcpyDtoH(into.data(), source.inside + static_cast<CUdeviceptr>(offset),
                                   into.size()),
                 "cuMemcpyDtoH");
  }

  absl::Status Fill(int buffer, uint8_t value) override {
    return Fill(
        buffer == proto::kWorkspaceArgument ? workspace_ : buffers_[static_cast<size_t>(buffer)],
        value);
  }

  absl::Status Evict() override {
    if (scratch_.bytes == 0) {
      TESSERA_ASSIGN_OR_RETURN(scratch_,
                               MakeBuffer(std::max(4 * found_.info.cache_bytes, kMinScratch)));
    }
    return Fill(scratch_, 0);
  }

  absl::Status Prepare() override {
    for (Kernel& kernel : preparation_) TESSERA_RETURN_IF_ERROR(Start(kernel));
    return Check(api_.cuCtxSynchronize(), "cuCtxSynchronize");
  }

  absl::StatusOr<double> Call(int64_t calls) override {
    const auto start = std::chrono::steady_clock::now();
    TESSERA_RETURN_IF_ERROR(Check(api_.cuEventRecord(begin_, nullptr), "cuEventRecord"));
    for (int64_t call = 0; call < calls; ++call) {
      for (Kernel& kernel : launches_) TESSERA_RETURN_IF_ERROR(Start(kernel));
    }
    TESSERA_RETURN_IF_ERROR(Check(api_.cuEventRecord(end_, nullptr), "cuEventRecord"));
    TESSERA_RETURN_IF_ERROR(Check(api_.cuEventSynchronize(end_), "cuEventSynchronize"));
    float milliseconds = 0;
    TESSERA_RETURN_IF_ERROR(
        Check(api_.cuEventElapsedTime(&milliseconds, begin_, end_), "cuEventElapsedTime"));
    if (milliseconds > 0) return static_cast<double>(milliseconds) * 1e-3;
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

 private:
  struct Buffer {
    CUdeviceptr inside = 0;  // behind the margin
    int64_t bytes = 0;
  };

  struct Kernel {
    CUfunction function = nullptr;
    std::array<unsigned, 3> blocks = {}, threads = {};
    unsigned shared_bytes = 0;
    std::vector<CUdeviceptr> arguments;
    std::vector<void*> params;  // to them
  };

  absl::Status Check(CUresult code, const char* function) const {
    return CheckCall(api_, code, function);
  }

  absl::StatusOr<Buffer> MakeBuffer(int64_t bytes) {
    Buffer buffer{0, std::max<int64_t>(bytes, 1)};
    TESSERA_RETURN_IF_ERROR(Annotate(
        Check(api_.cuMemAlloc(&buffer.inside, static_cast<size_t>(buffer.bytes + 2 * kMargin)),
              "cuMemAlloc"),
        absl::StrCat("a buffer of ", bytes, " bytes")));
    buffer.inside += kMargin;
    return buffer;
  }

  static void CheckRange(const Buffer& buffer, int64_t offset, size_t size) {
    TESSERA_CHECK(offset >= -kMargin &&
                  offset + static_cast<int64_t>(size) <= buffer.bytes + kMargin);
  }

  absl::Status Fill(const Buffer& buffer, uint8_t value) {
    if (buffer.bytes == 0) return absl::OkStatus();
    return Check(api_.cuMemsetD8(buffer.inside, value, static_cast<size_t>(buffer.bytes)),
                 "cuMemsetD8");
  }

  // Adds kernels with their arguments, which stay the same, to `kernels`.
  absl::Status Bind(CUmodule module, const std::vector<proto::KernelLaunch>& launches,
                    std::vector<Kernel>& kernels) {
    for (const proto::KernelLaunch& launch : launches) {
      Kernel kernel;
      const char* call = "";
      const CUresult error = tessera_cuda_kernel(&api_, module, launch.kernel.c_str(),
                                                 launch.shared_bytes, &kernel.function, &call);
      TESSERA_RETURN_IF_ERROR(Annotate(
          Check(error, call),
          absl::StrCat(launch.kernel, " with ", launch.shared_bytes, " bytes of shared memory")));
      for (size_t i = 0; i < 3; ++i) {
        kernel.blocks[i] = static_cast<unsigned>(launch.blocks[i]);
        kernel.threads[i] = static_cast<unsigned>(launch.threads[i]);
      }
      kernel.shared_bytes = static_cast<unsigned>(launch.shared_bytes);
      for (const auto& [buffer, kind] : launch.arguments) {
        const bool is_workspace = buffer == proto::kWorkspaceArgument;
        if (is_workspace ? workspace_.bytes == 0 : buffer >= static_cast<int>(buffers_.size())) {
          return absl::InvalidArgumentError(
              absl::StrCat("kernel ", launch.kernel, " is passed a buffer that is not there"));
        }
        kernel.arguments.push_back(
            (is_workspace ? workspace_ : buffers_[static_cast<size_t>(buffer)]).inside);
      }
      kernels.push_back(std::move(kernel));
      Kernel& placed = kernels.back();
      // They stay where they are when kernels are moved. A kernel that wants more of them than
      // there are reads zeros.
      for (CUdeviceptr& argument : placed.arguments) placed.params.push_back(&argument);
      static CUdeviceptr nothing = 0;
      placed.params.resize(proto::kMaxBuffers + 1, &nothing);
    }
    return absl::OkStatus();
  }

  absl::Status Start(Kernel& kernel) {
    return Check(
        api_.cuLaunchKernel(kernel.function, kernel.blocks[0], kernel.blocks[1], kernel.blocks[2],
                            kernel.threads[0], kernel.threads[1], kernel.threads[2],
                            kernel.shared_bytes, nullptr, kernel.params.data(), nullptr),
        "cuLaunchKernel");
  }

  const Api& api_;
  Found found_;
  CUcontext context_ = nullptr;
  CUevent begin_ = nullptr, end_ = nullptr;
  std::vector<Kernel> preparation_, launches_;
  std::vector<Buffer> buffers_;
  Buffer workspace_, scratch_;
};

}  // namespace

absl::StatusOr<std::vector<DeviceInfo>> ListDevices() {
  TESSERA_ASSIGN_OR_RETURN(const Api* api, LoadApi());
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Found> found, FindDevices(*api));
  std::vector<DeviceInfo> infos;
  for (const Found& one : found) infos.push_back(one.info);
  return infos;
}

absl::StatusOr<std::unique_ptr<runner::Device>> OpenDevice(std::string_view name) {
  TESSERA_ASSIGN_OR_RETURN(const Api* api, LoadApi());
  TESSERA_ASSIGN_OR_RETURN(std::vector<Found> found, FindDevices(*api));
  std::vector<std::string> names;
  for (Found& one : found) {
    names.push_back(one.info.name);
    if (!absl::StrContains(one.info.name, AbslView(name))) continue;
    auto device = std::make_unique<CudaDevice>(*api, std::move(one));
    TESSERA_RETURN_IF_ERROR(device->Start());
    return device;
  }
  return absl::NotFoundError(absl::StrCat("CUDA: no device is called \"", AbslView(name),
                                          "\"; there ", names.empty() ? "is none" : "are ",
                                          absl::StrJoin(names, ", ")));
}

}  // namespace tessera::cuda
