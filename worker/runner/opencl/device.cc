#include "worker/runner/opencl/device.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/view.h"
#include "worker/runner/opencl/api.h"

namespace tessera::opencl {
namespace {

constexpr size_t kMaxText = 1 << 14;  // of what a device or its compiler says
// Less of the host's time than this a device's clock can't have been busy: it stands still.
constexpr double kLeastShare = 0.002;
constexpr int64_t kMinScratch = 16 << 20;
constexpr int64_t kMaxFill = 4 << 20;  // bytes at a time
constexpr int64_t kMaxQueued = 256;    // kernels: some drivers hold all their memory until the end

struct Found {
  cl_device_id id;
  DeviceInfo info;
};

std::string TextOf(const Api& api, cl_device_id device, cl_device_info what) {
  std::string text(kMaxText, '\0');
  tessera_opencl_text(&api, device, what, {text.data(), text.size()});
  text.resize(text.find('\0'));
  return std::string(absl::StripAsciiWhitespace(text));
}

template <typename T>
T NumberOf(const Api& api, cl_device_id device, cl_device_info what) {
  T value = 0;
  return api.clGetDeviceInfo(device, what, sizeof(value), &value, nullptr) == CL_SUCCESS ? value
                                                                                         : 0;
}

DeviceInfo Describe(const Api& api, cl_platform_id platform, cl_device_id device) {
  constexpr cl_device_info kWarpSizeNv = 0x4003, kWavefrontWidthAmd = 0x4043;
  constexpr cl_device_info kPreferredMultiple = 0x1067;  // of OpenCL 3.0
  DeviceInfo info;
  char name[256] = {};
  api.clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof(name) - 1, name, nullptr);
  info.platform = name;
  info.name = TextOf(api, device, CL_DEVICE_NAME);
  info.vendor = TextOf(api, device, CL_DEVICE_VENDOR);
  info.driver = TextOf(api, device, CL_DRIVER_VERSION);
  char version[256] = {};
  api.clGetPlatformInfo(platform, CL_PLATFORM_VERSION, sizeof(version) - 1, version, nullptr);
  info.compiler = absl::StrJoin(
      {info.platform, std::string(version), info.name, TextOf(api, device, CL_DEVICE_VERSION),
       info.driver, std::string(TESSERA_OPENCL_OPTIONS)},
      "\n");
  info.is_gpu = (NumberOf<cl_device_type>(api, device, CL_DEVICE_TYPE) & CL_DEVICE_TYPE_GPU) != 0;
  const std::vector<std::string> extensions =
      absl::StrSplit(TextOf(api, device, CL_DEVICE_EXTENSIONS), ' ');
  info.has_fp16 = std::ranges::count(extensions, "cl_khr_fp16") > 0;
  info.block_threads =
      static_cast<int64_t>(NumberOf<size_t>(api, device, CL_DEVICE_MAX_WORK_GROUP_SIZE));
  for (const cl_device_info what : {kWarpSizeNv, kWavefrontWidthAmd}) {
    if (info.wave_threads == 0) info.wave_threads = NumberOf<cl_uint>(api, device, what);
  }
  if (info.wave_threads == 0) {
    info.wave_threads = static_cast<int64_t>(NumberOf<size_t>(api, device, kPreferredMultiple));
  }
  info.shared_bytes =
      static_cast<int64_t>(NumberOf<cl_ulong>(api, device, CL_DEVICE_LOCAL_MEM_SIZE));
  info.constant_bytes =
      static_cast<int64_t>(NumberOf<cl_ulong>(api, device, CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE));
  info.image_texels = tessera_opencl_image_texels(&api, device);
  info.cache_bytes =
      static_cast<int64_t>(NumberOf<cl_ulong>(api, device, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE));
  info.memory_bytes =
      static_cast<int64_t>(NumberOf<cl_ulong>(api, device, CL_DEVICE_GLOBAL_MEM_SIZE));
  info.compute_units =
      static_cast<int>(NumberOf<cl_uint>(api, device, CL_DEVICE_MAX_COMPUTE_UNITS));
  return info;
}

std::vector<Found> FindDevices(const Api& api) {
  constexpr size_t kMost = 64;
  std::array<tessera_opencl_device, kMost> ids;
  const size_t count = tessera_opencl_devices(&api, ids.data(), ids.size());
  std::vector<Found> found;
  for (const tessera_opencl_device& one : absl::MakeConstSpan(ids).first(count)) {
    found.push_back({one.device, Describe(api, one.platform, one.device)});
  }
  return found;
}

absl::StatusOr<Found> Find(const Api& api, std::string_view name) {
  std::vector<std::string> names;
  for (Found& one : FindDevices(api)) {
    if (absl::StrContains(one.info.name, AbslView(name))) return std::move(one);
    names.push_back(std::move(one.info.name));
  }
  return absl::NotFoundError(absl::StrCat("OpenCL: no device is called \"", AbslView(name),
                                          "\"; there ", names.empty() ? "is none" : "are ",
                                          absl::StrJoin(names, ", ")));
}

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class OpenClDevice final : public runner::Device {
 public:
  OpenClDevice(const Api& api, Found found) : api_(api), found_(std::move(found)) {}

  ~OpenClDevice() override {
    tessera_opencl_release(&api_, &program_);
    Release(workspace_);
    for (const tessera_opencl_buffer& buffer : bound_) {
      if (buffer.image != nullptr) api_.clReleaseMemObject(buffer.image);
    }
    for (const Buffer& buffer : buffers_) Release(buffer);
    Release(scratch_);
    if (queue_ != nullptr) api_.clReleaseCommandQueue(queue_);
    if (context_ != nullptr) api_.clReleaseContext(context_);
  }

  absl::Status Start() {
    cl_int error = 0;
    context_ = api_.clCreateContext(nullptr, 1, &found_.id, nullptr, nullptr, &error);
    TESSERA_RETURN_IF_ERROR(CheckCall(error, "clCreateContext"));
    queue_ = api_.clCreateCommandQueue(context_, found_.id, CL_QUEUE_PROFILING_ENABLE, &error);
    return CheckCall(error, "clCreateCommandQueue");
  }

  absl::Status Load(const proto::DeviceCode& code, std::string_view binary) override {
    code_ = code;
    for (const auto* part : {&code_.launches, &code_.preparation}) {
      for (const proto::KernelLaunch& launch : *part) {
        const auto& [blocks, threads] = std::tie(launch.blocks, launch.threads);
        std::vector<tessera_device_argument>& arguments = arguments_.emplace_back();
        for (const auto& [buffer, kind] : launch.arguments) {
          arguments.push_back({buffer, static_cast<int64_t>(kind)});
        }
        launches_.push_back({launch.kernel.c_str(),
                             {blocks[0], blocks[1], blocks[2]},
                             {threads[0], threads[1], threads[2]},
                             launch.shared_bytes,
                             static_cast<int64_t>(arguments.size()),
                             arguments.data()});
      }
    }
    const tessera_device_code compiled = {code_.source.c_str(),
                                          static_cast<int64_t>(code_.source.size()),
                                          static_cast<int64_t>(launches_.size()), launches_.data()};
    std::string why(kMaxText, '\0');
    const auto build = [&](std::string_view from) {
      return tessera_opencl_build(
                 &api_, context_, found_.id, &compiled,
                 {reinterpret_cast<const unsigned char*>(from.data()), from.size()}, &program_,
                 {why.data(), why.size()}) == CL_SUCCESS;
    };
    const bool takes_binary = !binary.empty() && build(binary);
    if (!takes_binary && !build("")) return absl::InvalidArgumentError(why.c_str());
    compiled_source_ = !takes_binary;
    if (code.workspace_bytes > 0) {
      TESSERA_ASSIGN_OR_RETURN(workspace_, MakeBuffer(code.workspace_bytes));
    }
    return Bind();
  }

  std::string Binary() override {
    size_t size = 0;
    if (!compiled_source_ || api_.clGetProgramInfo(program_.program, CL_PROGRAM_BINARY_SIZES,
                                                   sizeof(size), &size, nullptr) != CL_SUCCESS) {
      return "";
    }
    std::string binary(size, '\0');
    char* into = binary.data();
    return api_.clGetProgramInfo(program_.program, CL_PROGRAM_BINARIES, sizeof(into), &into,
                                 nullptr) == CL_SUCCESS
               ? binary
               : "";
  }

  absl::Status AddBuffer(int64_t bytes) override {
    TESSERA_ASSIGN_OR_RETURN(const Buffer buffer, MakeBuffer(bytes));
    buffers_.push_back(buffer);
    return absl::OkStatus();
  }

  absl::Status Write(int buffer, int64_t offset, absl::Span<const std::byte> from) override {
    return Write(buffers_[static_cast<size_t>(buffer)], offset, from);
  }

  absl::Status Read(int buffer, int64_t offset, absl::Span<std::byte> into) override {
    const Buffer& source = buffers_[static_cast<size_t>(buffer)];
    CheckRange(source, offset, into.size());
    return CheckCall(api_.clEnqueueReadBuffer(queue_, source.memory, CL_TRUE,
                                              static_cast<size_t>(kMargin + offset), into.size(),
                                              into.data(), 0, nullptr, nullptr),
                     "clEnqueueReadBuffer");
  }

  absl::Status Fill(int buffer, uint8_t value) override {
    if (buffer == proto::kWorkspaceArgument) return Fill(workspace_, value);
    return Fill(buffers_[static_cast<size_t>(buffer)], value);
  }

  absl::Status Evict() override {
    if (scratch_.memory == nullptr) {
      TESSERA_ASSIGN_OR_RETURN(scratch_,
                               MakeBuffer(std::max(4 * found_.info.cache_bytes, kMinScratch)));
    }
    return Fill(scratch_, 0);
  }

  absl::Status Prepare() override {
    for (size_t i = code_.launches.size(); i < launches_.size(); ++i) {
      TESSERA_RETURN_IF_ERROR(Enqueue(i, nullptr));
    }
    return CheckCall(api_.clFinish(queue_), "clFinish");
  }

  absl::StatusOr<double> Call(int64_t calls) override {
    double seconds = 0;
    const auto a_call = static_cast<int64_t>(code_.launches.size());
    const int64_t at_once = std::max<int64_t>(1, kMaxQueued / a_call);
    for (int64_t done = 0; done < calls; done += at_once) {
      TESSERA_ASSIGN_OR_RETURN(const double part, CallSome(std::min(at_once, calls - done)));
      seconds += part;
    }
    return seconds;
  }

 private:
  struct Buffer {
    cl_mem memory = nullptr;  // with margins
    cl_mem inside = nullptr;  // what kernels are passed
    int64_t bytes = 0;
  };

  absl::StatusOr<Buffer> MakeBuffer(int64_t bytes) {
    Buffer buffer{nullptr, nullptr, std::max<int64_t>(bytes, 1)};
    cl_int error = 0;
    buffer.memory =
        api_.clCreateBuffer(context_, CL_MEM_READ_WRITE,
                            static_cast<size_t>(buffer.bytes + 2 * kMargin), nullptr, &error);
    TESSERA_RETURN_IF_ERROR(Annotate(CheckCall(error, "clCreateBuffer"),
                                     absl::StrCat("a buffer of ", bytes, " bytes")));
    const cl_buffer_region region = {static_cast<size_t>(kMargin),
                                     static_cast<size_t>(buffer.bytes)};
    buffer.inside = api_.clCreateSubBuffer(buffer.memory, CL_MEM_READ_WRITE,
                                           CL_BUFFER_CREATE_TYPE_REGION, &region, &error);
    if (error != CL_SUCCESS) Release(buffer);
    TESSERA_RETURN_IF_ERROR(CheckCall(error, "clCreateSubBuffer"));
    return buffer;
  }

  void Release(const Buffer& buffer) const {
    if (buffer.inside != nullptr) api_.clReleaseMemObject(buffer.inside);
    if (buffer.memory != nullptr) api_.clReleaseMemObject(buffer.memory);
  }

  static void CheckRange(const Buffer& buffer, int64_t offset, size_t size) {
    TESSERA_CHECK(offset >= -kMargin &&
                  offset + static_cast<int64_t>(size) <= buffer.bytes + kMargin);
  }

  absl::Status Write(const Buffer& buffer, int64_t offset, absl::Span<const std::byte> from) {
    CheckRange(buffer, offset, from.size());
    return CheckCall(api_.clEnqueueWriteBuffer(queue_, buffer.memory, CL_TRUE,
                                               static_cast<size_t>(kMargin + offset), from.size(),
                                               from.data(), 0, nullptr, nullptr),
                     "clEnqueueWriteBuffer");
  }

  absl::Status Fill(const Buffer& buffer, uint8_t value) {
    if (buffer.memory == nullptr) return absl::OkStatus();
    const std::vector<std::byte> bytes(static_cast<size_t>(std::min(buffer.bytes, kMaxFill)),
                                       static_cast<std::byte>(value));
    for (int64_t done = 0; done < buffer.bytes; done += kMaxFill) {
      const auto part = static_cast<size_t>(std::min(buffer.bytes - done, kMaxFill));
      TESSERA_RETURN_IF_ERROR(Write(buffer, done, absl::MakeConstSpan(bytes).first(part)));
    }
    return absl::OkStatus();
  }

  // Gives the kernels their arguments, which stay the same.
  absl::Status Bind() {
    for (const Buffer& buffer : buffers_) {
      bound_.push_back({buffer.inside, buffer.memory, kMargin, buffer.bytes, nullptr});
    }
    for (size_t i = 0; i < launches_.size(); ++i) {
      for (const auto& [buffer, kind] : arguments_[i]) {
        const bool is_workspace = buffer == proto::kWorkspaceArgument;
        if (is_workspace ? workspace_.memory == nullptr
                         : buffer >= static_cast<int64_t>(bound_.size())) {
          return absl::InvalidArgumentError(absl::StrCat("kernel ", launches_[i].kernel,
                                                         " is passed a buffer that is not there"));
        }
      }
      TESSERA_RETURN_IF_ERROR(
          CheckCall(tessera_opencl_bind(&api_, context_, program_.kernels[i], &launches_[i],
                                        bound_.data(), workspace_.inside),
                    "clSetKernelArg"));
    }
    return absl::OkStatus();
  }

  // `event`: null, or where the event is to be put.
  absl::Status Enqueue(size_t launch, cl_event* event) {
    return CheckCall(
        tessera_opencl_enqueue(&api_, queue_, program_.kernels[launch], &launches_[launch], event),
        "clEnqueueNDRangeKernel");
  }

  absl::StatusOr<double> CallSome(int64_t calls) {
    cl_event first = nullptr, last = nullptr;
    const double start = Now();
    for (int64_t call = 0; call < calls; ++call) {
      for (size_t i = 0; i < code_.launches.size(); ++i) {
        const bool is_first = call == 0 && i == 0;
        const bool is_last = call == calls - 1 && i + 1 == code_.launches.size();
        cl_event event = nullptr;
        TESSERA_RETURN_IF_ERROR(Enqueue(i, is_first || is_last ? &event : nullptr));
        if (is_first) first = event;
        if (is_last) last = event;
      }
    }
    TESSERA_RETURN_IF_ERROR(CheckCall(api_.clWaitForEvents(1, &last), "clWaitForEvents"));
    const double wall = Now() - start;
    cl_ulong began = 0, ended = 0;
    const cl_int from = api_.clGetEventProfilingInfo(first, CL_PROFILING_COMMAND_START,
                                                     sizeof(began), &began, nullptr);
    const cl_int to = api_.clGetEventProfilingInfo(last, CL_PROFILING_COMMAND_END, sizeof(ended),
                                                   &ended, nullptr);
    api_.clReleaseEvent(first);
    if (last != first) api_.clReleaseEvent(last);
    const double seconds = static_cast<double>(ended - began) * 1e-9;
    const bool is_told = from == CL_SUCCESS && to == CL_SUCCESS && ended > began &&
                         seconds <= wall && seconds >= kLeastShare * wall;
    return is_told ? seconds : wall;
  }

  const Api& api_;
  Found found_;
  cl_context context_ = nullptr;
  cl_command_queue queue_ = nullptr;
  tessera_opencl_program program_ = {};
  bool compiled_source_ = false;
  proto::DeviceCode code_;
  // Of a call, then of the preparation; they point into `code_` and `arguments_`.
  std::vector<tessera_device_launch> launches_;
  std::vector<std::vector<tessera_device_argument>> arguments_;
  std::vector<Buffer> buffers_;
  std::vector<tessera_opencl_buffer> bound_;  // the same, as kernels are passed them
  Buffer workspace_, scratch_;
};

}  // namespace

absl::StatusOr<std::vector<DeviceInfo>> ListDevices() {
  TESSERA_ASSIGN_OR_RETURN(const Api* api, LoadApi());
  std::vector<DeviceInfo> infos;
  for (Found& one : FindDevices(*api)) infos.push_back(std::move(one.info));
  return infos;
}

absl::StatusOr<std::unique_ptr<runner::Device>> OpenDevice(std::string_view name) {
  TESSERA_ASSIGN_OR_RETURN(const Api* api, LoadApi());
  TESSERA_ASSIGN_OR_RETURN(Found found, Find(*api, name));
  auto device = std::make_unique<OpenClDevice>(*api, std::move(found));
  TESSERA_RETURN_IF_ERROR(device->Start());
  return device;
}

absl::StatusOr<std::string> CompilerOf(std::string_view name) {
  TESSERA_ASSIGN_OR_RETURN(const Api* api, LoadApi());
  TESSERA_ASSIGN_OR_RETURN(Found found, Find(*api, name));
  return std::move(found.info.compiler);
}

}  // namespace tessera::opencl
