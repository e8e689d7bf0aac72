// Libraries for OpenCL devices, called in both ways on the first device, if there is one.

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>

#include "compiler/runtime/opencl.h"
#include "tests/compiler/library/device_cases.h"
#include "tests/compiler/library/device_fixture.h"
#include "tests/support/run_opencl.h"

namespace tessera::library {
namespace {

constexpr char kTarget[] = "opencl block=256 wave=32 shared=16384";
constexpr char kGreedyTarget[] = "opencl block=256 wave=32 shared=67108864";

// A device with a queue of the test's own.
class TestQueue {
 public:
  static std::unique_ptr<TestQueue> Open() {
    char why[256] = "";
    const tessera_opencl_api* api = tessera_opencl_load({why, sizeof(why)});
    tessera_opencl_device found[16];
    const size_t count = api == nullptr ? 0 : tessera_opencl_devices(api, found, 16);
    for (size_t i = 0; i < count; ++i) {
      char name[256];
      tessera_opencl_text(api, found[i].device, CL_DEVICE_NAME, {name, sizeof(name)});
      if (std::string(name).find(OpenClTestDevice()) == std::string::npos) continue;
      return std::make_unique<TestQueue>(*api, found[i].device);
    }
    WARN("skipped, no OpenCL device: " << why);
    return nullptr;
  }
  TestQueue(const tessera_opencl_api& opened, cl_device_id id) : api(opened), device(id) {
    context = api.clCreateContext(nullptr, 1, &device, nullptr, nullptr, nullptr);
    REQUIRE(context != nullptr);
    queue = api.clCreateCommandQueue(context, device, 0, nullptr);
    REQUIRE(queue != nullptr);
  }
  TestQueue(const TestQueue&) = delete;
  TestQueue& operator=(const TestQueue&) = delete;
  ~TestQueue() {
    for (cl_mem buffer : buffers) api.clReleaseMemObject(buffer);
    api.clReleaseCommandQueue(queue);
    api.clReleaseContext(context);
  }
  cl_mem Buffer(size_t bytes, const void* from = nullptr) {
    const cl_mem_flags flags = from == nullptr ? 0 : CL_MEM_COPY_HOST_PTR;
    cl_mem made = api.clCreateBuffer(context, CL_MEM_READ_WRITE | flags, bytes,
                                     const_cast<void*>(from), nullptr);
    REQUIRE(made != nullptr);
    return buffers.emplace_back(made);
  }
  std::vector<std::byte> Read(cl_mem buffer, size_t bytes) {
    std::vector<std::byte> result(bytes);
    REQUIRE(api.clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, bytes, result.data(), 0, nullptr,
                                    nullptr) == CL_SUCCESS);
    return result;
  }

  bool TakesOutOfOrder() const {
    cl_command_queue_properties offered = 0;
    api.clGetDeviceInfo(device, CL_DEVICE_QUEUE_PROPERTIES, sizeof(offered), &offered, nullptr);
    return (offered & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) != 0;
  }

  const tessera_opencl_api& api;
  cl_device_id device;
  cl_context context = nullptr;
  cl_command_queue queue = nullptr;
  std::vector<cl_mem> buffers;
};

using Create = int (*)(cl_command_queue, void**, char*, size_t);

// An operator's arguments on the device, in a queue.
struct DeviceCall {
  DeviceCall(const Library& library, const std::string& name, const Data& data, void* kernels,
             TestQueue& at)
      : function(library.Find<void*>(name + "_opencl")) {
    arguments = {kernels, at.queue};
    std::vector<void*> constants = arguments;
    for (const size_t i : data.activations) {
      arguments.push_back(at.Buffer(data.bytes(i), data.inputs[i]->data));
    }
    for (const size_t i : data.constants) constants.push_back(data.inputs[i]->data);
    if (!data.constants.empty()) {
      cl_mem weights = at.Buffer(library.Find<size_t (*)()>(name + "_packed_bytes")());
      constants.push_back(weights);
      REQUIRE(Call(library.Find<void*>(name + "_opencl_pack_weights"), constants) == 0);
      arguments.push_back(weights);
    }
    output = at.Buffer(data.output_bytes());
    arguments.insert(arguments.end(), {output, nullptr, nullptr});
  }
  int Run() const { return Call(function, arguments); }

  void* function;
  std::vector<void*> arguments;
  cl_mem output;
};

TEST_CASE("operators run on a device with its memory and in its queue", "[library][opencl]") {
  const LibrarySpec spec = TestSpec(kTarget);
  const LibraryFiles files = Build(spec);
  const auto at = TestQueue::Open();
  if (at == nullptr) return;
  const Library library(files.shared_object());
  char log[256] = "left";
  void* kernels = nullptr;
  const int made = library.Find<Create>("tessera_gpu_opencl_create")(at->queue, &kernels, log, 256);
  INFO(log);
  REQUIRE(made == 0);
  CHECK(log[0] == '\0');
  for (const LibraryOp& op : spec.ops) {
    CAPTURE(op.name);
    const Data data(op.workload);
    DeviceCall call(library, op.name, data, kernels, *at);
    REQUIRE(call.Run() == 0);
    data.Check(at->Read(call.output, data.output_bytes()));

    // With a workspace of the caller's, and an event.
    const size_t workspace = library.Find<size_t (*)()>(op.name + "_opencl_workspace_bytes")();
    const size_t last = call.arguments.size() - 1;
    if (workspace > 0) call.arguments[last - 1] = at->Buffer(workspace);
    cl_event event = nullptr;
    call.arguments[last] = &event;
    REQUIRE(call.Run() == 0);
    REQUIRE(at->api.clWaitForEvents(1, &event) == CL_SUCCESS);
    at->api.clReleaseEvent(event);
    data.Check(at->Read(call.output, data.output_bytes()));

    // What is wrong is told.
    call.arguments[last] = nullptr;
    if (workspace > 1) {
      call.arguments[last - 1] = at->Buffer(workspace - 1);
      CHECK(call.Run() == TESSERA_OPS_SMALL_BUFFER);
    }
    call.arguments[last - 1] = nullptr;
    call.arguments[last - 2] = at->Buffer(data.output_bytes() - 1);
    CHECK(call.Run() == TESSERA_OPS_SMALL_BUFFER);
    call.arguments[last - 2] = nullptr;
    CHECK(call.Run() == TESSERA_OPS_NULL_POINTER);
  }
  const Data data(spec.ops[5].workload);
  DeviceCall call(library, "soft", data, kernels, *at);
  const auto other = TestQueue::Open();
  call.arguments[1] = other->queue;
  CHECK(call.Run() == TESSERA_OPS_BAD_QUEUE);
  if (at->TakesOutOfOrder()) {
    cl_command_queue loose = at->api.clCreateCommandQueue(
        at->context, at->device, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, nullptr);
    call.arguments[1] = loose;
    CHECK(call.Run() == TESSERA_OPS_BAD_QUEUE);
    at->api.clReleaseCommandQueue(loose);
  }
  call.arguments[1] = nullptr;
  CHECK(call.Run() == TESSERA_OPS_NULL_POINTER);
  call.arguments[0] = nullptr;
  CHECK(call.Run() == TESSERA_OPS_NULL_POINTER);
  library.Find<void (*)(void*)>("tessera_gpu_opencl_destroy")(kernels);
}

// Operands as constant memory and as images: of arguments, of constants that begin within the
// packed block, of what packing reads.
LibrarySpec ReadingSpec() {
  const std::map<std::string, std::string> conv = {
      {"ic", "4"}, {"oc", "8"}, {"size", "6"}, {"k", "3"}, {"bias", "true"}};
  LibrarySpec spec =
      SpecFor({{"product", "matmul", {{"m", "6"}, {"n", "20"}, {"k", "8"}}},
               {"half", "matmul", {{"m", "6"}, {"n", "20"}, {"k", "8"}, {"dtype", "f16"}}},
               {"first", "conv2d", conv},
               {"second", "conv2d", conv},
               {"winograd", "conv2d", conv}},
              "opencl block=256 wave=32 shared=16384 constant=4096 texels=4096");
  const std::array<const char*, 5> reads = {
      "read_through A constant\nread_through B image\n",
      "read_through A image\nread_through B image\n",
      "read_through W image\nread_through Bias constant\nread_through X image\n",
      "read_through W constant\nread_through Bias image\nread_through X constant\n",
      "layout W 1 0 2 3\nwinograd conv 2\nread_through W image\nread_through X image\n"};
  for (size_t i = 0; i < reads.size(); ++i) {
    schedule::Trace& trace = spec.ops[i].on_device->trace;
    if (i == 4) trace.clear();
    const auto steps = schedule::ParseTrace(std::string("trace 1\n") + reads[i]).value();
    trace.insert(trace.end(), steps.begin(), steps.end());
  }
  return spec;
}

TEST_CASE("operators read constant memory and images on a device", "[library][opencl]") {
  const LibrarySpec spec = ReadingSpec();
  const LibraryFiles files = Build(spec);
  const auto at = TestQueue::Open();
  if (at == nullptr || tessera_opencl_image_texels(&at->api, at->device) == 0) return;
  const Environment device("TESSERA_DEVICE", OpenClTestDevice().c_str());
  const Library library(files.shared_object());
  char log[256];
  void* kernels = nullptr;
  const int made = library.Find<Create>("tessera_gpu_opencl_create")(at->queue, &kernels, log, 256);
  INFO(log);
  REQUIRE(made == 0);
  for (const LibraryOp& op : spec.ops) {
    CAPTURE(op.name);
    const Data data(op.workload);
    DeviceCall call(library, op.name, data, kernels, *at);
    // Images are there as long as some call in the queue reads them.
    for (int run = 0; run < 50; ++run) REQUIRE(call.Run() == 0);
    data.Check(at->Read(call.output, data.output_bytes()));
    cl_event event = nullptr;
    call.arguments.back() = &event;
    REQUIRE(call.Run() == 0);
    REQUIRE(at->api.clWaitForEvents(1, &event) == CL_SUCCESS);
    at->api.clReleaseEvent(event);
    call.arguments.back() = nullptr;
    REQUIRE(call.Run() == 0);
  }
  library.Find<void (*)(void*)>("tessera_gpu_opencl_destroy")(kernels);
  CheckRunsOnDevice(library, spec);
}

TEST_CASE("threads share a device's kernels, each with a queue's work of its own",
          "[library][opencl]") {
  const LibrarySpec spec = TestSpec(kTarget);
  const auto at = TestQueue::Open();
  if (at == nullptr) return;
  const Library library(Build(spec).shared_object());
  void* kernels = nullptr;
  REQUIRE(library.Find<Create>("tessera_gpu_opencl_create")(at->queue, &kernels, nullptr, 0) == 0);
  constexpr int kThreads = 3;
  std::vector<std::unique_ptr<Data>> data;
  std::vector<std::unique_ptr<DeviceCall>> calls;
  for (int i = 0; i < kThreads; ++i) {
    // The same operator, so that its kernels are given other arguments all the time.
    data.push_back(std::make_unique<Data>(spec.ops[3].workload));
    calls.push_back(std::make_unique<DeviceCall>(library, "conv", *data[0], kernels, *at));
  }
  std::array<int, kThreads> failed = {};
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (int run = 0; run < 20; ++run) failed[i] += calls[i]->Run() != 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failed == std::array<int, kThreads>{});
  for (const auto& call : calls) {
    data[0]->Check(at->Read(call->output, data[0]->output_bytes()));
  }
  library.Find<void (*)(void*)>("tessera_gpu_opencl_destroy")(kernels);
}

TEST_CASE("calls with host memory run on the device where there is one", "[library][opencl]") {
  if (TestQueue::Open() == nullptr) return;
  const LibrarySpec spec = TestSpec(kTarget);
  const Environment device("TESSERA_DEVICE", OpenClTestDevice().c_str());
  CheckRunsOnDevice(Library(Build(spec).shared_object()), spec);
}

TEST_CASE("calls with host memory run on the CPU where there is no device, and say why",
          "[library][opencl]") {
  CheckFallsBack(TestSpec(kTarget),
                 {{"cpu", "TESSERA_DEVICE is cpu"}, {"no such device", "OpenCL"}});
}

TEST_CASE("a library for a device is the same bytes each time and needs libc alone", "[library]") {
  const LibraryFiles files = CheckFiles(TestSpec(kTarget), "opencl");
  CHECK(files.shared_object().find("void tessera_kernel_conv_0(") != std::string::npos);
}

TEST_CASE("a library after one for a device leaves memory alone that isn't its own", "[library]") {
  LibrarySpec cpu_only = TestSpec(kTarget);
  cpu_only.device.reset();
  for (LibraryOp& op : cpu_only.ops) op.on_device.reset();
  Build(TestSpec(kTarget));
  // What the linker let go of is among these.
  std::vector<std::string> blocks;
  for (size_t bytes = 32; bytes <= 1 << 16; bytes *= 2) {
    blocks.insert(blocks.end(), 2000, std::string(bytes - 1, 'x'));
    blocks.insert(blocks.end(), 2000, std::string(bytes + bytes / 2 - 1, 'x'));
  }
  Build(cpu_only);
  CHECK(std::ranges::all_of(blocks, [](const std::string& block) {
    return block.find_first_not_of('x') == std::string::npos;
  }));
}

TEST_CASE("the header of a library for a device is C99 and C++, with and without OpenCL's own",
          "[library]") {
  CheckHeaderCompiles(
      TestSpec(kTarget), "#define CL_TARGET_OPENCL_VERSION 120\n#include <CL/cl.h>\n",
      "int call(tessera_gpu_opencl* kernels, cl_command_queue queue, cl_mem b, cl_event* e);\n"
      "int call(tessera_gpu_opencl* kernels, cl_command_queue queue, cl_mem b, cl_event* e) {\n"
      "  return conv_opencl(kernels, queue, b, b, b, NULL, e);\n}\n");
}

TEST_CASE("libraries for a device need a CPU to fall back to, and a schedule for each",
          "[library]") {
  const auto message = [](const LibrarySpec& spec) {
    return std::string(BuildLibrary(spec).status().message());
  };
  LibrarySpec spec =
      SpecFor({{"product", "matmul", {{"m", "6"}, {"n", "20"}, {"k", "9"}}}}, kTarget);
  spec.ops[0].on_device.reset();
  CHECK_THAT(message(spec), Catch::Contains("product has no schedule for a device"));
  spec.device->target = spec.versions[0].target;
  CHECK_THAT(message(spec), Catch::Contains("x86/avx2") && Catch::Contains("is no device"));
  spec = SpecFor({{"product", "matmul", {{"m", "6"}, {"n", "20"}, {"k", "9"}}}}, kTarget);
  spec.versions.clear();
  CHECK_THAT(message(spec), Catch::Contains("it needs a version for CPUs, too"));
  // What the device's target forbids is told with the operator and the target.
  spec = GreedySpec(kGreedyTarget);
  spec.device->target = ir::ParseTarget(kTarget).value();
  CHECK_THAT(message(spec), Catch::Contains("operator big: opencl") &&
                                Catch::Contains("bytes of shared memory; the target has 16384"));
}

TEST_CASE("libraries of AArch64 for a device link", "[library]") {
  CheckLinksForAArch64(TestSpec(kTarget));
}

TEST_CASE("a device that has less than kernels were made for is named with the limit",
          "[library][opencl]") {
  const auto at = TestQueue::Open();
  if (at == nullptr) return;
  char extensions[1 << 14];
  tessera_opencl_text(&at->api, at->device, CL_DEVICE_EXTENSIONS, {extensions, sizeof(extensions)});
  const bool has_half = std::string(extensions).find("cl_khr_fp16") != std::string::npos;
  std::vector<std::pair<LibrarySpec, std::string>> refused;
  if (!has_half) {
    refused.emplace_back(
        SpecFor({{"half", "matmul", {{"m", "6"}, {"n", "20"}, {"k", "9"}, {"dtype", "f16"}}}},
                "opencl/fp16 block=64 wave=32 shared=16384"),
        "the kernels compute in half precision; the device has no cl_khr_fp16");
  }
  refused.emplace_back(GreedySpec(kGreedyTarget), "big: its kernels take");
  constexpr int64_t kLargest = 32 << 20;
  cl_ulong constant_bytes = 0;
  at->api.clGetDeviceInfo(at->device, CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE, sizeof(constant_bytes),
                          &constant_bytes, nullptr);
  if (static_cast<int64_t>(constant_bytes) < kLargest) {
    const std::string k = absl::StrCat(constant_bytes / 16 + 4);
    LibrarySpec spec =
        SpecFor({{"much", "matmul", {{"m", "4"}, {"n", "4"}, {"k", k}, {"b", "input"}}}},
                absl::StrCat("opencl block=64 wave=32 shared=16384 constant=", kLargest));
    spec.ops[0].on_device->trace.push_back(
        {schedule::Primitive::kReadThrough, "A", {"constant"}, {}, {}});
    refused.emplace_back(
        std::move(spec),
        absl::StrCat("much: its kernels take ", constant_bytes + 64,
                     " bytes of constant memory; the device has ", constant_bytes));
  }
  const Environment wanted("TESSERA_DEVICE", OpenClTestDevice().c_str());
  CheckRefused(refused, [&](const Library& library, void** kernels, char* log, size_t log_bytes) {
    return library.Find<Create>("tessera_gpu_opencl_create")(at->queue, kernels, log, log_bytes);
  });
}

TEST_CASE("what a device's compiler refuses is told with its words, and the CPU is used",
          "[library][opencl]") {
  const auto at = TestQueue::Open();
  if (at == nullptr) return;
  const tessera_device_launch launch = {"missing", {1, 1, 1}, {1, 1, 1}, 0, 0, nullptr};
  tessera_device_op op = {};
  op.name = "bad";
  const tessera_device_op* const ops[] = {&op};
  const tessera_device_library library = {&tessera_opencl_driver, "libbad.so", 0, 1, ops};
  const auto refusal = [&](const char* source, cl_int error) {
    op.code = {source, static_cast<int64_t>(strlen(source)), 1, &launch};
    char log[256];
    tessera_opencl* kernels = nullptr;
    CHECK(tessera_opencl_create(&library, at->queue, &kernels, log, sizeof(log)) == error);
    CHECK(kernels == nullptr);
    return std::string(log);
  };
  CHECK_THAT(refusal("__kernel void other(void) {}\n", CL_INVALID_KERNEL_NAME),
             Catch::StartsWith("bad: clCreateKernel: CL_INVALID_KERNEL_NAME (-46): missing"));
  const std::string words = "bad: clBuildProgram: CL_BUILD_PROGRAM_FAILURE (-11): ";
  CHECK_THAT(refusal("no kernel at all\n", CL_BUILD_PROGRAM_FAILURE), Catch::StartsWith(words));
  CHECK_THAT(tessera_device_fallback(&library), Catch::StartsWith(words));
  CHECK(tessera_device_name(&library) == nullptr);
}

}  // namespace
}  // namespace tessera::library
