// Libraries for the Versatile Tensor Accelerator: what it runs, what the CPU runs in its place, by
// a driver over the simulator and by registers that the simulator is behind.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "compiler/runtime/vta_ops.h"
#include "compiler/schedule/accelerator.h"
#include "tests/compiler/library/device_fixture.h"
#include "tests/compiler/library/elf.h"
#include "tests/compiler/library/vta_board_files.h"
#include "worker/runner/vta/simulated_board.h"

namespace tessera::library {
namespace {

constexpr char kTarget[] = "vta";
constexpr int64_t kDramBytes = int64_t{8} << 20;

using Text = const char* (*)();
using Create = int (*)(const tessera_vta_driver*, tessera_vta_ops**, char*, size_t);
using Open = int (*)(const char*, uint32_t, const char*, const char*, tessera_vta_ops**, char*,
                     size_t);
using Destroy = void (*)(tessera_vta_ops*);
using Use = int (*)(tessera_vta_ops*);
using Allocate = uint32_t (*)(tessera_vta_ops*, size_t);
using Release = void (*)(tessera_vta_ops*, uint32_t);
using Host = void* (*)(tessera_vta_ops*, uint32_t);

// The accelerator's: a convolution with several constants, whose layouts are fixed, and a product
// of what it may lay out itself. The CPU's: a convolution of three channels, a softmax.
const std::vector<te::OpSpec> kOps = {
    {"conv",
     "conv2d",
     {{"ic", "32"},
      {"oc", "16"},
      {"size", "6"},
      {"k", "3"},
      {"pad", "1"},
      {"dtype", "i8"},
      {"layout", "nchwc16"},
      {"bias", "true"},
      {"shift", "8"},
      {"relu", "true"}}},
    {"first",
     "conv2d",
     {{"ic", "3"}, {"oc", "16"}, {"size", "8"}, {"k", "3"}, {"dtype", "i8"}, {"shift", "6"}}},
    {"product", "matmul", {{"m", "4"}, {"n", "32"}, {"k", "48"}, {"dtype", "i8"}, {"shift", "7"}}},
    {"soft", "softmax", {{"m", "3"}, {"n", "40"}}}};

LibrarySpec VtaSpec(const std::vector<std::string>& cpus = {"x86/avx2", "x86/sse4.2"},
                    const std::vector<te::OpSpec>& ops = kOps) {
  LibrarySpec spec;
  spec.name = "mixed";
  for (const std::string& cpu : cpus) spec.versions.push_back({ir::ParseTarget(cpu).value(), ""});
  spec.device = {ir::ParseTarget(kTarget).value(), "a board"};
  for (const te::OpSpec& op : ops) {
    const auto workload = te::MakeWorkload(op);
    INFO(workload.status());
    REQUIRE(workload.ok());
    LibraryOp& made = spec.ops.emplace_back(LibraryOp{op.name, *workload, {}, {}});
    for (const LibraryVersion& version : spec.versions) {
      made.versions.push_back(DefaultFor(*workload, version.target));
    }
    const auto trace = schedule::DefaultTrace(workload->dag, spec.device->target);
    if (trace.ok()) {
      made.on_device = Implementation{.trace = *trace, .is_default = true};
    } else {
      made.why_not_on_device = std::string(trace.status().message());
    }
  }
  return spec;
}

vta::Config TestConfig() { return schedule::ConfigOf(ir::ParseTarget(kTarget).value()); }

std::unique_ptr<vta::SimulatedBoard> Simulator() {
  auto board = vta::SimulatedBoard::Create(TestConfig(), {}, kDramBytes);
  INFO(board.status());
  REQUIRE(board.ok());
  return *std::move(board);
}

// An operator of a loaded library with data for it.
class Operator {
 public:
  Operator(const Library& library, const LibraryOp& op)
      : library_(library), name_(op.name), data_(op.workload) {
    output_ = std::make_unique<Aligned>(data_.output_bytes());
    for (const size_t i : data_.activations) {
      const auto& buffer = *op.workload.dag.inputs[i].buffer;
      auto& stored = inputs_.emplace_back(
          std::make_unique<Aligned>(static_cast<size_t>(buffer.StoredBytes())));
      REQUIRE(Call(Find("_pack_input"), {data_.inputs[i]->data, stored->data}) == 0);
    }
  }

  void CheckHostCalls() const {
    CAPTURE(name_);
    std::vector<void*> arguments;
    for (const auto& input : inputs_) arguments.push_back(input->data);
    const Aligned weights(PackedBytes());
    if (PackedBytes() > 0) {
      std::vector<void*> constants = Constants();
      constants.push_back(weights.data);
      REQUIRE(Call(Find("_pack_weights"), constants) == 0);
      arguments.push_back(weights.data);
    }
    arguments.push_back(output_->data);
    for (int run = 0; run < 2; ++run) REQUIRE(Call(Find(""), arguments) == 0);
    CheckOutput(output_->data);
    arguments[0] = reinterpret_cast<char*>(arguments[0]) + 4;
    CHECK(Call(Find(""), arguments) == TESSERA_OPS_MISALIGNED);
  }

  // With memory of the accelerator, into which the host looks.
  void CheckDeviceCalls(tessera_vta_ops* vta) const {
    CAPTURE(name_);
    const auto host = library_.Find<Host>("tessera_mixed_vta_host");
    std::vector<uint32_t> addresses;
    const auto allocate = [&](size_t bytes) {
      addresses.push_back(library_.Find<Allocate>("tessera_mixed_vta_allocate")(vta, bytes));
      REQUIRE(addresses.back() != 0);
      return Pointer(addresses.back());
    };
    std::vector<void*> arguments = {vta};
    for (const auto& input : inputs_) {
      arguments.push_back(allocate(input->bytes));
      std::memcpy(host(vta, addresses.back()), input->data, input->bytes);
    }
    if (PackedBytes() > 0) {
      std::vector<void*> constants = Constants();
      constants.insert(constants.begin(), vta);
      constants.push_back(allocate(PackedBytes()));
      arguments.push_back(constants.back());
      REQUIRE(Call(Find("_vta_pack_weights"), constants) == 0);
    }
    arguments.push_back(allocate(output_->bytes));
    for (int run = 0; run < 2; ++run) REQUIRE(Call(Find("_vta"), arguments) == 0);
    CheckOutput(host(vta, addresses.back()));

    const auto result_with = [&](uint32_t address) {
      arguments[1] = Pointer(address);
      return Call(Find("_vta"), arguments);
    };
    CHECK(result_with(addresses[0] + 16) == TESSERA_OPS_MISALIGNED);
    CHECK(result_with(0) == TESSERA_OPS_NULL_POINTER);
    CHECK(result_with(static_cast<uint32_t>(kDramBytes) * 4) == TESSERA_OPS_SMALL_BUFFER);
    for (const uint32_t address : addresses) {
      library_.Find<Release>("tessera_mixed_vta_release")(vta, address);
    }
  }

 private:
  static void* Pointer(uint32_t address) {
    return reinterpret_cast<void*>(static_cast<uintptr_t>(address));
  }
  void* Find(const std::string& suffix) const { return library_.Find<void*>(name_ + suffix); }
  size_t PackedBytes() const {
    return data_.constants.empty() ? 0 : library_.Find<size_t (*)()>(name_ + "_packed_bytes")();
  }
  std::vector<void*> Constants() const {
    std::vector<void*> constants;
    for (const size_t i : data_.constants) constants.push_back(data_.inputs[i]->data);
    return constants;
  }
  void CheckOutput(void* stored) const {
    ir::BufferNode plain = *data_.workload.dag.outputs[0];
    plain.layout.clear();
    std::vector<std::byte> row_major(static_cast<size_t>(plain.StoredBytes()));
    REQUIRE(Call(Find("_unpack_output"), {stored, row_major.data()}) == 0);
    const std::vector<double> values = ir::FromStored(plain, row_major);
    const te::Tolerance tolerance = te::OutputTolerance(data_.workload.dag, 0);
    size_t wrong = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const double want = data_.expected.outputs[0][i];
      wrong +=
          !(std::abs(values[i] - want) <= tolerance.absolute + tolerance.relative * std::abs(want));
    }
    CHECK(wrong == 0);
  }

  const Library& library_;
  const std::string name_;
  const Data data_;
  std::vector<std::unique_ptr<Aligned>> inputs_;
  std::unique_ptr<Aligned> output_;
};

void CheckAllHostCalls(const Library& library, const LibrarySpec& spec) {
  for (const LibraryOp& op : spec.ops) Operator(library, op).CheckHostCalls();
}

void CheckAllDeviceCalls(const Library& library, const LibrarySpec& spec, tessera_vta_ops* vta) {
  for (const LibraryOp& op : spec.ops) {
    if (op.on_device) Operator(library, op).CheckDeviceCalls(vta);
  }
}

tessera_vta_ops* CreateWith(const Library& library, const tessera_vta_driver& driver) {
  char log[200];
  tessera_vta_ops* vta = nullptr;
  const int status =
      library.Find<Create>("tessera_mixed_vta_create")(&driver, &vta, log, sizeof(log));
  INFO(log);
  REQUIRE(status == TESSERA_OPS_OK);
  return vta;
}

TEST_CASE("a library runs what it can on the accelerator and the rest on the CPU", "[library]") {
  const LibrarySpec spec = VtaSpec();
  const Library library(Build(spec).shared_object());
  const auto board = Simulator();
  tessera_vta_ops* vta = CreateWith(library, board->driver());
  CheckAllDeviceCalls(library, spec, vta);
  REQUIRE(library.Find<Use>("tessera_mixed_vta_use")(vta) == TESSERA_OPS_OK);
  CHECK(library.Find<Text>("tessera_mixed_fallback")() == nullptr);
  CHECK_THAT(library.Find<Text>("tessera_mixed_device")(), Catch::StartsWith("VTA, DRAM of"));
  CheckAllHostCalls(library, spec);
  CHECK(board->last_run().ok());
  // The first one stays.
  tessera_vta_ops* other = CreateWith(library, board->driver());
  CHECK(library.Find<Use>("tessera_mixed_vta_use")(other) == TESSERA_OPS_NO_DEVICE);
  library.Find<Destroy>("tessera_mixed_vta_destroy")(other);
}

// A driver whose memory the host sees a copy of, until it says what it wrote or wants to read.
struct Incoherent {
  explicit Incoherent(vta::SimulatedBoard& board)
      : board(board), copy(static_cast<size_t>(board.driver().dram_bytes)) {
    driver = board.driver();
    driver.dram = copy.data();
    driver.self = this;
    driver.flush = [](void* self, uint32_t address, int64_t bytes) {
      auto& me = *static_cast<Incoherent*>(self);
      std::memcpy(me.Device(address), me.copy.data() + address, static_cast<size_t>(bytes));
    };
    driver.invalidate = [](void* self, uint32_t address, int64_t bytes) {
      auto& me = *static_cast<Incoherent*>(self);
      std::memcpy(me.copy.data() + address, me.Device(address), static_cast<size_t>(bytes));
    };
    driver.run = [](void* self, uint32_t address, int64_t count, uint64_t* cycles) {
      const tessera_vta_driver& real = static_cast<Incoherent*>(self)->board.driver();
      return real.run(real.self, address, count, cycles);
    };
  }
  void* Device(uint32_t address) { return tessera_vta_host(&board.driver(), address); }

  vta::SimulatedBoard& board;
  std::vector<char> copy;
  tessera_vta_driver driver;
};

TEST_CASE("a driver is told what the host writes and reads", "[library]") {
  const LibrarySpec spec = VtaSpec();
  const Library library(Build(spec).shared_object());
  const auto board = Simulator();
  Incoherent driver(*board);
  tessera_vta_ops* vta = CreateWith(library, driver.driver);
  REQUIRE(library.Find<Use>("tessera_mixed_vta_use")(vta) == TESSERA_OPS_OK);
  CheckAllHostCalls(library, spec);
}

TEST_CASE("a library runs on a board by its registers", "[library]") {
  const LibrarySpec spec = VtaSpec();
  const Library library(Build(spec).shared_object());
  vta::BoardFiles board(TestConfig());
  const std::string& folder = board.folder.path;
  char log[200];
  tessera_vta_ops* vta = nullptr;
  const auto open = library.Find<Open>("tessera_mixed_vta_open");
  // What is missing is named, and what was not made is not there.
  vta = reinterpret_cast<tessera_vta_ops*>(log);
  CHECK(open((folder + "/uio1").c_str(), 0, (folder + "/udmabuf0").c_str(), folder.c_str(), &vta,
             log, sizeof(log)) == TESSERA_OPS_NO_DEVICE);
  CHECK_THAT(log, Catch::Contains("/uio1: open: No such file"));
  CHECK(vta == nullptr);
  const std::string long_name = folder + "/" + std::string(600, 'x');
  CHECK(open((folder + "/uio0").c_str(), 0, (folder + "/udmabuf0").c_str(), long_name.c_str(), &vta,
             log, sizeof(log)) == TESSERA_OPS_NO_DEVICE);
  CHECK_THAT(log, Catch::Contains("the folder's name ") && Catch::Contains(" are the most"));
  const int status = open((folder + "/uio0").c_str(), 0, (folder + "/udmabuf0").c_str(),
                          folder.c_str(), &vta, log, sizeof(log));
  INFO(log);
  REQUIRE(status == TESSERA_OPS_OK);
  CheckAllDeviceCalls(library, spec, vta);
  CHECK(board.programs >= 1 + 2 * 2);
  REQUIRE(library.Find<Use>("tessera_mixed_vta_use")(vta) == TESSERA_OPS_OK);
  CheckAllHostCalls(library, spec);
  CHECK(board.faults == 0);
}

TEST_CASE("without an accelerator all operators run on the CPU, and the library says why",
          "[library]") {
  const LibrarySpec spec = VtaSpec();
  const LibraryFiles files = Build(spec);
  const Environment quiet("TESSERA_QUIET", "1");
  const auto fallback = [&](const Library& library) {
    CheckAllHostCalls(library, spec);
    CHECK(library.Find<Text>("tessera_mixed_device")() == nullptr);
    return std::string(library.Find<Text>("tessera_mixed_fallback")());
  };
  const auto board = Simulator();
  const auto awaits_one = [](const Library& library) {
    CHECK(library.Find<Text>("tessera_mixed_device")() == nullptr);
    CHECK_THAT(library.Find<Text>("tessera_mixed_fallback")(),
               Catch::Contains("no accelerator has been named with ..._vta_use yet"));
  };
  {
    // To ask decides nothing.
    const Library library(files.shared_object());
    awaits_one(library);
    tessera_vta_ops* vta = CreateWith(library, board->driver());
    CHECK(library.Find<Use>("tessera_mixed_vta_use")(vta) == TESSERA_OPS_OK);
    CHECK_THAT(library.Find<Text>("tessera_mixed_device")(), Catch::StartsWith("VTA, DRAM of"));
    CheckAllHostCalls(library, spec);
  }
  {
    const Library library(files.shared_object());
    awaits_one(library);
    CHECK_THAT(fallback(library), Catch::Contains("no accelerator was named with ..._vta_use"));
    // Too late: weights may have been packed.
    tessera_vta_ops* vta = CreateWith(library, board->driver());
    CHECK(library.Find<Use>("tessera_mixed_vta_use")(vta) == TESSERA_OPS_NO_DEVICE);
    library.Find<Destroy>("tessera_mixed_vta_destroy")(vta);
  }
  const Environment wanted("TESSERA_DEVICE", "cpu");
  const Library library(files.shared_object());
  tessera_vta_ops* vta = CreateWith(library, board->driver());
  CHECK(library.Find<Use>("tessera_mixed_vta_use")(vta) == TESSERA_OPS_NO_DEVICE);
  CHECK(fallback(library) == "TESSERA_DEVICE is cpu");
  library.Find<Destroy>("tessera_mixed_vta_destroy")(vta);
}

TEST_CASE("header and manifest say what runs where and why", "[library]") {
  const LibrarySpec spec = VtaSpec();
  const LibraryFiles files = Build(spec), again = Build(spec);
  CHECK(files.shared_object() == again.shared_object());
  CHECK(files.header() == again.header());
  CHECK(files.manifest() == again.manifest());
  CHECK(Needed(files.shared_object()) == std::vector<std::string>{"libc.so.6"});

  const auto manifest = nlohmann::json::parse(files.manifest());
  CHECK(manifest["device"]["device_class"] == "a board");
  const auto& conv = manifest["ops"][0]["device"];
  CHECK(conv["is_default"] == true);
  CHECK(conv["programs"].size() == 1);
  CHECK(conv["programs"][0]["bytes"].get<int64_t>() > 100);
  CHECK(conv["constants"][1]["packed_offset"].get<int64_t>() % TESSERA_DEVICE_ALIGNMENT == 0);
  for (const size_t refused : {1, 3}) {
    const std::string why = spec.ops[refused].why_not_on_device;
    REQUIRE(!why.empty());
    CHECK(manifest["ops"][refused]["device"] == nlohmann::json{{"runs_on_cpu", why}});
    CHECK_THAT(files.header(), Catch::Contains("//   vta: not there, it runs on the CPU: " + why));
  }
  CHECK_THAT(files.header(),
             Catch::Contains("because the accelerator can't run them: first, soft."));

  std::vector<std::string> declared = {"tessera_mixed_set_threads", "tessera_mixed_version",
                                       "tessera_mixed_isa",         "tessera_mixed_device",
                                       "tessera_mixed_fallback",    "tessera_mixed_vta_create",
                                       "tessera_mixed_vta_destroy"};
  for (const char* function : {"open", "use", "allocate", "release", "host"}) {
    declared.push_back(absl::StrCat("tessera_mixed_vta_", function));
  }
  for (const auto& op : manifest["ops"]) {
    for (const auto& function : op["functions"]) declared.push_back(function);
  }
  for (const std::string& name : declared) {
    CAPTURE(name);
    CHECK((files.header().find(" " + name + "(") != std::string::npos ||
           files.header().find("* " + name + "(") != std::string::npos));
  }
  std::ranges::sort(declared);
  CHECK(Exported(files.shared_object()) == declared);
  CHECK(std::ranges::binary_search(declared, "conv_vta_pack_weights"));
  CHECK_FALSE(std::ranges::binary_search(declared, "first_vta"));
}

TEST_CASE("a library for an accelerator has an operator for it", "[library]") {
  const auto message = [](const LibrarySpec& spec) {
    return std::string(BuildLibrary(spec).status().message());
  };
  CHECK_THAT(message(VtaSpec({"x86/sse4.2"}, {kOps[3]})),
             Catch::Contains("runs none of its operators; soft: ") &&
                 Catch::Contains("build a library for CPUs"));
  LibrarySpec spec = VtaSpec({"x86/sse4.2"});
  spec.ops[1].why_not_on_device = "";
  CHECK_THAT(message(spec), Catch::Contains("operator first has no schedule for a device"));
}

TEST_CASE(
    "a default schedule that the accelerator has no memory for is left to the CPU, a recorded "
    "one is an error",
    "[library]") {
  const te::OpSpec small = {
      "small", "matmul", {{"m", "1"}, {"n", "16"}, {"k", "16"}, {"dtype", "i8"}, {"shift", "7"}}};
  LibrarySpec spec = VtaSpec({"x86/sse4.2"}, {kOps[0], small});
  // Of one tile of accumulators.
  spec.device->target = ir::ParseTarget("vta acc=64").value();
  const auto manifest = nlohmann::json::parse(Build(spec).manifest());
  CHECK_THAT(manifest["ops"][0]["device"]["runs_on_cpu"].get<std::string>(),
             Catch::Contains("acc"));
  CHECK(manifest["ops"][1]["device"].contains("programs"));
  spec.ops[0].on_device->is_default = false;
  const absl::Status refused = BuildLibrary(spec).status();
  CHECK(absl::IsInvalidArgument(refused));
  CHECK_THAT(std::string(refused.message()), Catch::Contains("operator conv: vta"));
}

// Runs operators of both kinds on a board, whose files it is named a folder of.
constexpr char kProgram[] = R"(
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops.h"

static void* Load(const char* name, size_t bytes) {
  void* data = aligned_alloc(64, (bytes + 63) / 64 * 64);
  FILE* file = fopen(name, "rb");
  if (file == NULL || fread(data, 1, bytes, file) != bytes) exit(3);
  fclose(file);
  return data;
}

int main(void) {
  char log[200] = "";
  tessera_mixed_vta* vta = NULL;
  int status = tessera_mixed_vta_open("uio0", 0, "udmabuf0", ".", &vta, log, sizeof(log));
  if (status != TESSERA_OPS_OK) {
    printf("open: %d, %s\n", status, log);
    return 1;
  }
  const int8_t *w = Load("W", W_BYTES), *x = Load("X", X_BYTES), *want = Load("Y", Y_BYTES);
  const int32_t* bias = Load("Bias", BIAS_BYTES);
  int8_t* got = Load("Y", Y_BYTES);
  const uint32_t weights = tessera_mixed_vta_allocate(vta, conv_packed_bytes());
  const uint32_t from = tessera_mixed_vta_allocate(vta, conv_X_BYTES);
  const uint32_t to = tessera_mixed_vta_allocate(vta, OUTPUT_BYTES);
  memset(got, 0, Y_BYTES);
  status = conv_vta_pack_weights(vta, w, bias, weights);
  if (status == 0) status = conv_pack_input(x, tessera_mixed_vta_host(vta, from));
  if (status == 0) status = conv_vta(vta, from, weights, to);
  if (status == 0) status = conv_unpack_output(tessera_mixed_vta_host(vta, to), got);
  printf("accelerator %d %s, ", status, memcmp(got, want, Y_BYTES) == 0 ? "right" : "wrong");

  status = tessera_mixed_vta_use(vta);
  void* packed = aligned_alloc(64, conv_packed_bytes());
  int8_t *stored_x = aligned_alloc(64, conv_X_BYTES), *stored_y = aligned_alloc(64, OUTPUT_BYTES);
  memset(got, 0, Y_BYTES);
  if (status == 0) status = conv_pack_weights(w, bias, packed);
  if (status == 0) status = conv_pack_input(x, stored_x);
  if (status == 0) status = conv(stored_x, packed, stored_y);
  if (status == 0) status = conv_unpack_output(stored_y, got);
  printf("host %d %s on %s, ", status, memcmp(got, want, Y_BYTES) == 0 ? "right" : "wrong",
         tessera_mixed_device());

  float rows[120] __attribute__((aligned(64))), sums[120] __attribute__((aligned(64)));
  for (int i = 0; i < 120; ++i) rows[i] = (float)(i % 7);
  status = soft(rows, sums);
  float sum = 0;
  for (int i = 0; i < 40; ++i) sum += sums[i];
  printf("cpu %d %s\n", status, sum > 0.999f && sum < 1.001f ? "right" : "wrong");
  return 0;
}
)";

bool Works(const std::string& command) {
  return std::system(absl::StrCat(command, " >/dev/null 2>&1").c_str()) == 0;
}

// What the program prints that is compiled against the library and run by the emulator, beside a
// board.
std::string OutputOf(const LibrarySpec& spec, const std::string& compiler,
                     const std::string& emulator) {
  const auto files = BuildLibrary(spec);
  INFO(files.status());
  REQUIRE(files.ok());
  vta::BoardFiles board(TestConfig());
  const std::string& folder = board.folder.path;
  const auto write = [&](const std::string& name, const void* data, size_t bytes) {
    std::ofstream(absl::StrCat(folder, "/", name), std::ios::binary)
        .write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
  };
  write("libmixed.so", files->shared_object().data(), files->shared_object().size());
  write("ops.h", files->header().data(), files->header().size());
  write("main.c", kProgram, sizeof(kProgram) - 1);
  const Data data(spec.ops[0].workload);
  std::string sizes;
  for (size_t i = 0; i < data.inputs.size(); ++i) {
    const std::string name = data.workload.dag.inputs[i].buffer->name;
    write(name, data.inputs[i]->data, data.bytes(i));
    absl::StrAppend(&sizes, " -D", name == "Bias" ? "BIAS" : name, "_BYTES=", data.bytes(i));
  }
  std::vector<int8_t> expected;
  for (const double value : data.expected.outputs[0]) {
    expected.push_back(static_cast<int8_t>(value));
  }
  write("Y", expected.data(), expected.size());
  absl::StrAppend(&sizes, " -DY_BYTES=", expected.size(), " -DOUTPUT_BYTES=", data.output_bytes());
  REQUIRE(std::system(absl::StrCat("cd ", folder, " && ", compiler,
                                   " -std=gnu11 -Wall -Wextra -Werror -O1", sizes,
                                   " main.c -o main -L. -lmixed -Wl,-rpath,", folder)
                          .c_str()) == 0);
  std::ignore =
      std::system(absl::StrCat("cd ", folder, " && ", emulator, " ./main >out 2>&1").c_str());
  CHECK(board.faults == 0);
  std::ifstream out(folder + "/out");
  std::string line;
  std::getline(out, line);
  return line;
}

constexpr char kRight[] =
    "accelerator 0 right, host 0 right on VTA, DRAM of 8384512 bytes from 0x21000 on, cpu 0 right";

TEST_CASE("a C program uses a board by its header alone", "[library]") {
  if (!Works("cc --version")) {
    WARN("no C compiler `cc` on this machine: the header is not compiled");
    return;
  }
  CHECK(OutputOf(VtaSpec({"x86/sse4.2"}), "cc", "") == kRight);
}

TEST_CASE("emulated ARM hosts use a board", "[library]") {
  const auto [cpu, compiler, emulator, root] =
      GENERATE(table<std::string, std::string, std::string, std::string>(
          {{"arm/neon", "arm-linux-gnueabihf-gcc", "qemu-arm-static",
            "-L /usr/arm-linux-gnueabihf"},
           {"aarch64/neon", "aarch64-linux-gnu-gcc", "qemu-aarch64-static",
            "-L /usr/aarch64-linux-gnu"}}));
  if (!Works(compiler + " --version") || !Works(emulator + " --version")) {
    WARN(emulator << " or " << compiler << " is missing: libraries for " << cpu << " aren't run");
    return;
  }
  CHECK(OutputOf(VtaSpec({cpu}), compiler, absl::StrCat(emulator, " ", root)) == kRight);
}

}  // namespace
}  // namespace tessera::library
