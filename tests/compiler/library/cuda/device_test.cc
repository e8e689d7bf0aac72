// Libraries for CUDA devices, called in both ways on the first device. Where there is none, ctest
// lets tests/cuda/driver.cc stand in for it.

#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <thread>
#include <utility>

#include "compiler/runtime/cuda.h"
#include "tests/compiler/library/device_cases.h"
#include "tests/compiler/library/device_fixture.h"

namespace tessera::library {
namespace {

constexpr char kTarget[] = "cuda/sm_70";

void* Pointer(CUdeviceptr address) { return reinterpret_cast<void*>(address); }

// A context of the test's own, current in its thread, and a stream.
class TestStream {
 public:
  static std::unique_ptr<TestStream> Open() {
    char why[256] = "there is none";
    const tessera_cuda_api* api = tessera_cuda_load({why, sizeof(why)});
    CUdevice device = 0;
    if (api != nullptr && api->cuDeviceGet(&device, 0) == CUDA_SUCCESS) {
      return std::make_unique<TestStream>(*api, device);
    }
    WARN("skipped, no CUDA device: " << why);
    return nullptr;
  }
  TestStream(const tessera_cuda_api& opened, CUdevice id) : api(opened), device(id) {
    REQUIRE(api.cuCtxCreate(&context, 0, device) == CUDA_SUCCESS);
    REQUIRE(api.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) == CUDA_SUCCESS);
  }
  TestStream(const TestStream&) = delete;
  TestStream& operator=(const TestStream&) = delete;
  ~TestStream() {
    api.cuStreamDestroy(stream);
    api.cuCtxDestroy(context);
  }
  void* Buffer(size_t bytes, const void* from = nullptr) {
    CUdeviceptr made = 0;
    REQUIRE(api.cuMemAlloc(&made, bytes) == CUDA_SUCCESS);
    if (from != nullptr) REQUIRE(api.cuMemcpyHtoD(made, from, bytes) == CUDA_SUCCESS);
    return Pointer(made);
  }
  std::vector<std::byte> Read(void* buffer, size_t bytes) {
    std::vector<std::byte> result(bytes);
    REQUIRE(api.cuStreamSynchronize(stream) == CUDA_SUCCESS);
    REQUIRE(api.cuMemcpyDtoH(result.data(), reinterpret_cast<CUdeviceptr>(buffer), bytes) ==
            CUDA_SUCCESS);
    return result;
  }
  int Number(int what) const {
    int value = 0;
    REQUIRE(api.cuDeviceGetAttribute(&value, what, device) == CUDA_SUCCESS);
    return value;
  }

  const tessera_cuda_api& api;
  CUdevice device;
  CUcontext context = nullptr;
  CUstream stream = nullptr;
};

using Create = int (*)(void**, char*, size_t);

// A library's kernels in the context of the calling thread.
struct Kernels {
  explicit Kernels(const Library& of) : library(of) {
    char log[256] = "left";
    const int made = library.Find<Create>("tessera_gpu_cuda_create")(&kernels, log, sizeof(log));
    INFO(log);
    REQUIRE(made == 0);
    CHECK(log[0] == '\0');
  }
  Kernels(const Kernels&) = delete;
  Kernels& operator=(const Kernels&) = delete;
  ~Kernels() { library.Find<void (*)(void*)>("tessera_gpu_cuda_destroy")(kernels); }

  const Library& library;
  void* kernels = nullptr;
};

// An operator's arguments on the device, in a stream.
struct DeviceCall {
  DeviceCall(const Kernels& kernels, const std::string& name, const Data& data, TestStream& at)
      : function(kernels.library.Find<void*>(name + "_cuda")) {
    const Library& library = kernels.library;
    arguments = {kernels.kernels, at.stream};
    std::vector<void*> constants = arguments;
    for (const size_t i : data.activations) {
      arguments.push_back(at.Buffer(data.bytes(i), data.inputs[i]->data));
    }
    for (const size_t i : data.constants) constants.push_back(data.inputs[i]->data);
    if (!data.constants.empty()) {
      void* weights = at.Buffer(library.Find<size_t (*)()>(name + "_packed_bytes")());
      constants.push_back(weights);
      REQUIRE(Call(library.Find<void*>(name + "_cuda_pack_weights"), constants) == 0);
      arguments.push_back(weights);
    }
    output = at.Buffer(data.output_bytes());
    arguments.insert(arguments.end(), {output, nullptr});
  }
  int Run() const { return Call(function, arguments); }

  void* function;
  std::vector<void*> arguments;
  void* output;
};

// In a thread that has made no context current.
template <typename Function>
int InThread(const Function& function) {
  int result = -1;
  std::thread([&] { result = function(); }).join();
  return result;
}

TEST_CASE("operators run on a CUDA device with its memory and in its stream", "[library][cuda]") {
  // The second multiplies matrices by instructions of their own, where the device has them.
  for (const char* target : {kTarget, "cuda/sm_80"}) {
    CAPTURE(target);
    const LibrarySpec spec = TestSpec(target);
    const LibraryFiles files = Build(spec);
    const auto at = TestStream::Open();
    if (at == nullptr) return;
    const Library library(files.shared_object());
    const Kernels kernels(library);
    for (const LibraryOp& op : spec.ops) {
      CAPTURE(op.name);
      const Data data(op.workload);
      DeviceCall call(kernels, op.name, data, *at);
      REQUIRE(call.Run() == 0);
      data.Check(at->Read(call.output, data.output_bytes()));

      // With a workspace of the caller's, from a thread without a context, in the default stream.
      const size_t last = call.arguments.size() - 1;
      const size_t workspace = library.Find<size_t (*)()>(op.name + "_cuda_workspace_bytes")();
      if (workspace > 0) call.arguments[last] = at->Buffer(workspace);
      call.arguments[last - 1] = at->Buffer(data.output_bytes());
      call.arguments[1] = nullptr;
      REQUIRE(InThread([&] { return call.Run(); }) == 0);
      REQUIRE(at->api.cuCtxSynchronize() == CUDA_SUCCESS);
      data.Check(at->Read(call.arguments[last - 1], data.output_bytes()));

      // What is wrong is told.
      call.arguments[last] = static_cast<char*>(call.output) + 8;
      CHECK(call.Run() == TESSERA_OPS_MISALIGNED);
      call.arguments[last] = nullptr;
      call.arguments[last - 1] = static_cast<char*>(call.output) + 8;
      CHECK(call.Run() == TESSERA_OPS_MISALIGNED);
      call.arguments[last - 1] = nullptr;
      CHECK(call.Run() == TESSERA_OPS_NULL_POINTER);
    }
    const Data data(spec.ops[5].workload);
    DeviceCall call(kernels, "soft", data, *at);
    const auto other = TestStream::Open();
    call.arguments[1] = other->stream;
    CHECK(call.Run() == TESSERA_OPS_BAD_QUEUE);
    call.arguments[0] = nullptr;
    CHECK(call.Run() == TESSERA_OPS_NULL_POINTER);
  }
}

TEST_CASE("threads share a CUDA device's kernels", "[library][cuda]") {
  const LibrarySpec spec = TestSpec(kTarget);
  const auto at = TestStream::Open();
  if (at == nullptr) return;
  const Library library(Build(spec).shared_object());
  const Kernels kernels(library);
  constexpr int kThreads = 3;
  const Data data(spec.ops[3].workload);
  std::vector<std::unique_ptr<DeviceCall>> calls;
  for (int i = 0; i < kThreads; ++i) {
    calls.push_back(std::make_unique<DeviceCall>(kernels, "conv", data, *at));
  }
  std::array<int, kThreads> failed = {};
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (int run = 0; run < 5; ++run) failed[i] += calls[i]->Run() != 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failed == std::array<int, kThreads>{});
  for (const auto& call : calls) data.Check(at->Read(call->output, data.output_bytes()));
}

TEST_CASE("kernels for CUDA are made for the current context, and not without one",
          "[library][cuda]") {
  const auto at = TestStream::Open();
  if (at == nullptr) return;
  const Library library(Build(TestSpec(kTarget)).shared_object());
  const auto create = library.Find<Create>("tessera_gpu_cuda_create");
  char log[256] = "";
  void* kernels = nullptr;
  CHECK(InThread([&] { return create(&kernels, log, sizeof(log)); }) ==
        -CUDA_ERROR_INVALID_CONTEXT);
  CHECK(kernels == nullptr);
  CHECK_THAT(log, Catch::Contains("no current CUDA context") && Catch::Contains("cuCtxSetCurrent"));
  CHECK(create(nullptr, nullptr, 0) == TESSERA_OPS_NULL_POINTER);
}

TEST_CASE("calls with host memory run on the CUDA device where there is one", "[library][cuda]") {
  if (TestStream::Open() == nullptr) return;
  const LibrarySpec spec = TestSpec(kTarget);
  CheckRunsOnDevice(Library(Build(spec).shared_object()), spec);
}

TEST_CASE("calls with host memory run on the CPU where the wanted CUDA device is missing",
          "[library][cuda]") {
  const std::string missing = TestStream::Open() != nullptr
                                  ? "TESSERA_DEVICE is \"no such device\", which none of "
                                  : "libcuda.so.1";
  CheckFallsBack(TestSpec(kTarget),
                 {{"cpu", "TESSERA_DEVICE is cpu"}, {"no such device", missing}});
}

// The case below runs this one as a process without what stands in for a driver.
TEST_CASE("without a driver of CUDA", "[.no_cuda_driver]") {
  char why[256];
  if (tessera_cuda_load({why, sizeof(why)}) != nullptr) {
    std::puts("a driver is installed");
    return;
  }
  const LibrarySpec spec = TestSpec(kTarget);
  const Library library(Build(spec).shared_object());
  void* kernels = nullptr;
  char log[256];
  CHECK(library.Find<Create>("tessera_gpu_cuda_create")(&kernels, log, sizeof(log)) ==
        TESSERA_OPS_NO_DEVICE);
  CHECK_THAT(log, Catch::Contains("there is no libcuda.so.1"));
  CheckHostCalls(library, spec);
}

TEST_CASE("calls with host memory run on the CPU where there is no driver of CUDA, and say so",
          "[library][cuda]") {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe");
  FILE* child =
      popen(("env -u LD_LIBRARY_PATH '" + program + "' '[.no_cuda_driver]' 2>&1").c_str(), "r");
  REQUIRE(child != nullptr);
  std::string output;
  for (int c = fgetc(child); c != EOF; c = fgetc(child)) output += static_cast<char>(c);
  CAPTURE(output);
  CHECK(pclose(child) == 0);
  if (output.find("a driver is installed") != std::string::npos) {
    WARN("skipped: a driver of CUDA is installed");
    return;
  }
  CHECK_THAT(output,
             Catch::Contains("tessera: libgpu.so runs on the CPU: there is no libcuda.so.1; "
                             "install the driver of an NVIDIA GPU\n"));
}

TEST_CASE("a library for CUDA is the same bytes each time and needs libc alone", "[library]") {
  const LibraryFiles files = CheckFiles(TestSpec(kTarget), "cuda");
  CHECK(files.shared_object().find(".visible .entry tessera_kernel_conv_0(") != std::string::npos);
  CHECK(files.header().find("opencl") == std::string::npos);
}

TEST_CASE("the header of a library for CUDA is C99 and C++, with and without CUDA's own",
          "[library]") {
  // As <cuda.h> has them.
  const std::string driver =
      "typedef unsigned long long CUdeviceptr_v2;\ntypedef CUdeviceptr_v2 CUdeviceptr;\n"
      "typedef struct CUstream_st *CUstream;\n";
  CheckHeaderCompiles(TestSpec(kTarget), driver,
                      "int call(tessera_gpu_cuda* kernels, CUstream stream, CUdeviceptr b);\n"
                      "int call(tessera_gpu_cuda* kernels, CUstream stream, CUdeviceptr b) {\n"
                      "  return conv_cuda(kernels, stream, b, b, b, 0);\n}\n");
}

TEST_CASE("libraries of AArch64 for CUDA link", "[library]") {
  CheckLinksForAArch64(TestSpec(kTarget));
}

TEST_CASE("libraries for CUDA of 32-bit ARM are refused", "[library]") {
  const absl::Status status = BuildLibrary(ForCpu(TestSpec(kTarget), "arm/neon")).status();
  if (status.code() == absl::StatusCode::kFailedPrecondition) {
    WARN(status.ToString());
    return;
  }
  CHECK_THAT(std::string(status.message()),
             Catch::Contains("CUDA has no driver for programs of arm"));
}

TEST_CASE("a CUDA device that has less than kernels were made for is named with the limit",
          "[library][cuda]") {
  const auto at = TestStream::Open();
  if (at == nullptr) return;
  std::vector<std::pair<LibrarySpec, std::string>> refused;
  if (at->Number(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) < 9) {
    refused.emplace_back(
        SpecFor({{"product", "matmul", {{"m", "6"}, {"n", "20"}, {"k", "9"}}}}, "cuda/sm_90"),
        "the kernels are for compute capability 9.0; the device has ");
  }
  refused.emplace_back(
      GreedySpec("cuda/sm_70 block=256 wave=32 shared=67108864"),
      absl::StrCat("bytes of memory that a block shares; the device has ",
                   at->Number(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)));
  CheckRefused(refused, [](const Library& library, void** kernels, char* log, size_t log_bytes) {
    return library.Find<Create>("tessera_gpu_cuda_create")(kernels, log, log_bytes);
  });
}

TEST_CASE("what CUDA's driver refuses is told with its words", "[library][cuda]") {
  const auto at = TestStream::Open();
  if (at == nullptr) return;
  tessera_device_launch launch = {"missing", {1, 1, 1}, {1, 1, 1}, 0, 0, nullptr};
  tessera_device_op op = {};
  op.name = "bad";
  const tessera_device_op* const ops[] = {&op};
  const tessera_device_library library = {&tessera_cuda_driver, "libbad.so", 0, 1, ops};
  const auto refusal = [&](const char* source, int status) {
    op.code = {source, static_cast<int64_t>(strlen(source)), 1, &launch};
    char log[256];
    tessera_cuda* kernels = nullptr;
    CHECK(tessera_cuda_create(&library, &kernels, log, sizeof(log)) == status);
    CHECK(kernels == nullptr);
    return std::string(log);
  };
  constexpr char kOther[] =
      ".version 6.0\n.target sm_70\n.address_size 64\n.visible .entry other()\n{\n\tret;\n}\n";
  CHECK_THAT(refusal(kOther, -CUDA_ERROR_NOT_FOUND),
             Catch::StartsWith("bad: cuModuleGetFunction: CUDA_ERROR_NOT_FOUND (500): missing"));
  const std::string words = "bad: cuModuleLoadDataEx: CUDA_ERROR_INVALID_PTX (218)";
  CHECK_THAT(refusal(".version 6.0\n.target sm_70\n.address_size 64\n.visible .entry missing()\n{\n"
                     "\tno.such.instruction;\n\tret;\n}\n",
                     -CUDA_ERROR_INVALID_PTX),
             Catch::StartsWith(words));
  char name[256], why[256];
  void* opened = nullptr;
  CHECK(tessera_cuda_driver.open(&library, "", &opened, {name, sizeof(name)}, {why, sizeof(why)}) ==
        -CUDA_ERROR_INVALID_PTX);
  CHECK_THAT(why, Catch::StartsWith(words));
  const int most = at->Number(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
  launch.threads[0] = most + 1;
  CHECK(
      refusal(kOther, TESSERA_OPS_DEVICE_LIMITS) ==
      absl::StrCat("bad: its kernels take ", most + 1, " threads a block; the device has ", most));
  const int deep = at->Number(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X + 2);
  launch.threads[0] = 1;
  launch.threads[2] = deep + 1;
  CHECK(refusal(kOther, TESSERA_OPS_DEVICE_LIMITS) ==
        absl::StrCat("bad: its kernels take ", deep + 1,
                     " threads along an axis of a block; the device has ", deep));
}

}  // namespace
}  // namespace tessera::library
