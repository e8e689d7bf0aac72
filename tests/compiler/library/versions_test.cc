// Libraries of several versions: each is run and compared with the evaluator, chosen by a ceiling
// and by the CPU (emulated, where qemu is there).

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "compiler/codegen/codegen.h"
#include "compiler/library/isa.h"
#include "compiler/library/library.h"
#include "compiler/runtime/cpu.h"
#include "compiler/runtime/ops.h"
#include "compiler/schedule/default_trace.h"
#include "compiler/te/operators.h"
#include "compiler/te/reference.h"
#include "tests/compiler/library/loaded.h"
#include "tests/support/reference_check.h"

namespace tessera::library {
namespace {

const std::vector<std::string> kX86 = {"x86/sse4.2 threads=2", "x86/avx2 threads=2",
                                       "x86/avx512,vnni threads=2"};

te::Workload TestConvolution() {
  const auto workload = te::MakeWorkload({"conv",
                                          "conv2d",
                                          {{"ic", "5"},
                                           {"oc", "18"},
                                           {"size", "7"},
                                           {"k", "3"},
                                           {"bias", "true"},
                                           {"pad", "1"},
                                           {"layout", "any"}}});
  REQUIRE(workload.ok());
  return *workload;
}

// The default schedule with the input as `layouts` says and weights in blocks as wide as vectors.
Implementation Default(const te::Workload& workload, const ir::Target& target,
                       const std::string& layouts) {
  const auto parse = [](const std::string& steps) {
    const auto trace = schedule::ParseTrace("trace 1\n" + steps);
    INFO(trace.status());
    REQUIRE(trace.ok());
    return *trace;
  };
  schedule::Trace trace = parse(layouts);
  const auto rest = schedule::DefaultTrace(workload.dag, target);
  REQUIRE(rest.ok());
  trace.insert(trace.end(), rest->begin(), rest->end());
  const int block = target.Lanes(32);
  const schedule::Trace weights = parse(absl::StrCat("layout ", workload.dag.inputs[1].buffer->name,
                                                     " 0/", block, " 1 2 3 0%", block, "\n"));
  trace.insert(trace.end(), weights.begin(), weights.end());
  return {trace, true, {}, {}};
}

// A convolution whose input is stored in blocks of four.
LibrarySpec SpecFor(const std::vector<std::string>& targets) {
  LibrarySpec spec;
  LibraryOp op{"conv", TestConvolution(), {}};
  for (const std::string& text : targets) {
    spec.versions.push_back({ir::ParseTarget(text).value(), "class of " + text});
    op.versions.push_back(
        Default(op.workload, spec.versions.back().target, "layout X 0 1/4 2 3 1%4\n"));
  }
  spec.ops.push_back(op);
  return spec;
}

// TESSERA_ISA while it lives.
class Ceiling {
 public:
  explicit Ceiling(const char* isa) {
    if (const char* before = std::getenv("TESSERA_ISA")) before_ = before;
    if (isa == nullptr) {
      unsetenv("TESSERA_ISA");
    } else {
      setenv("TESSERA_ISA", isa, 1);
    }
  }
  Ceiling(const Ceiling&) = delete;
  Ceiling& operator=(const Ceiling&) = delete;
  ~Ceiling() {
    if (before_) {
      setenv("TESSERA_ISA", before_->c_str(), 1);
    } else {
      unsetenv("TESSERA_ISA");
    }
  }

 private:
  std::optional<std::string> before_;
};

std::optional<std::string> IsaOf(const Library& library) {
  const char* isa = library.Find<const char* (*)()>("tessera_ops_isa")();
  return isa == nullptr ? std::nullopt : std::optional<std::string>(isa);
}

// Runs `conv` as its header says and compares with the evaluator. The largest difference.
double ErrorOf(const Library& library, const nlohmann::json& manifest, const te::Workload& conv) {
  const auto expected = te::ComputeExpected(conv, 4);
  REQUIRE(expected.ok());
  const auto tensors = manifest["ops"][0]["tensors"];
  Aligned input(tensors[0]["stored_bytes"]), output(tensors[3]["stored_bytes"]);
  Aligned weights(library.Find<size_t (*)()>("conv_packed_bytes")());
  REQUIRE(library.Find<int (*)(const void*, const void*, void*)>("conv_pack_weights")(
              expected->inputs[1].data(), expected->inputs[2].data(), weights.data) == 0);
  REQUIRE(library.Find<int (*)(const void*, void*)>("conv_pack_input")(expected->inputs[0].data(),
                                                                       input.data) == 0);
  REQUIRE(library.Find<int (*)(const void*, const void*, void*)>("conv")(input.data, weights.data,
                                                                         output.data) == 0);
  std::vector<float> result(expected->outputs[0].size());
  REQUIRE(library.Find<int (*)(const void*, void*)>("conv_unpack_output")(output.data,
                                                                          result.data()) == 0);
  double error = 0;
  for (size_t i = 0; i < result.size(); ++i) {
    error = std::max(error, std::abs(result[i] - expected->outputs[0][i]));
  }
  return error;
}

bool IsX86() { return codegen::HostTarget().kind == ir::TargetKind::kX86; }

bool Works(const std::string& command) {
  return std::system(absl::StrCat(command, " >/dev/null 2>&1").c_str()) == 0;
}

}  // namespace

TEST_CASE("each version of a library computes the right values under its ceiling", "[library]") {
  if (!IsX86()) return;
  const LibrarySpec spec = SpecFor(kX86);
  const auto files = BuildLibrary(spec);
  INFO(files.status());
  REQUIRE(files.ok());
  const auto manifest = nlohmann::json::parse(files->manifest());
  std::vector<std::string> ran;
  for (const char* isa : {"sse4.2", "avx2", "avx512,vnni"}) {
    CAPTURE(isa);
    if ((tessera_cpu_ceiling(isa) & ~tessera_cpu_features()) != 0) continue;
    const Ceiling ceiling(isa);
    const Library library(files->shared_object());
    CHECK(IsaOf(library) == isa);
    CHECK(ErrorOf(library, manifest, spec.ops[0].workload) < 1e-4);
    ran.push_back(isa);
  }
  REQUIRE(!ran.empty());
  // Without a ceiling the best of them; a ceiling between two versions takes the lower.
  {
    const Ceiling none(nullptr);
    CHECK(IsaOf(Library(files->shared_object())) == ran.back());
  }
  const Ceiling between("avx512");
  CHECK(IsaOf(Library(files->shared_object())) == (ran.size() == 1 ? "sse4.2" : "avx2"));
}

TEST_CASE("versions pack weights differently and take the same activations", "[library]") {
  const auto files = BuildLibrary(SpecFor(kX86));
  INFO(files.status());
  REQUIRE(files.ok());
  const auto manifest = nlohmann::json::parse(files->manifest());
  const auto op = manifest["ops"][0];
  REQUIRE(op["versions"].size() == 3);
  CHECK(op["versions"][0]["isa"] == "avx512,vnni");
  CHECK(op["versions"][1]["isa"] == "avx2");
  CHECK(op["versions"][2]["isa"] == "sse4.2");
  CHECK(op["versions"][2]["device_class"] == "class of x86/sse4.2 threads=2");
  int64_t largest = 0;
  std::vector<std::string> layouts;
  for (const auto& version : op["versions"]) {
    largest = std::max(largest, version["packed_bytes"].get<int64_t>());
    layouts.push_back(version["constants"][0]["layout"]);
  }
  CHECK(layouts == std::vector<std::string>{"0/16 1 2 3 0%16", "0/8 1 2 3 0%8", "0/4 1 2 3 0%4"});
  CHECK(op["packed_bytes"] == largest);
  CHECK(op["versions"][2]["packed_bytes"] < largest);
  CHECK(op["tensors"][0]["layout"] == "0 1/4 2 3 1%4");
  CHECK_FALSE(op["tensors"][1].contains("layout"));
  for (const char* isa : {"avx512,vnni", "avx2", "sse4.2"}) {
    CHECK(files->header().find(absl::StrCat("//   ", isa, ": safe default schedule")) !=
          std::string::npos);
  }
}

TEST_CASE("the order of versions does not change a library, nor does building it again",
          "[library]") {
  const auto first = BuildLibrary(SpecFor(kX86));
  const auto again = BuildLibrary(SpecFor(kX86));
  const auto turned = BuildLibrary(SpecFor({kX86[2], kX86[0], kX86[1]}));
  REQUIRE(first.ok());
  REQUIRE(again.ok());
  REQUIRE(turned.ok());
  for (const auto* other : {&*again, &*turned}) {
    CHECK(first->shared_object() == other->shared_object());
    CHECK(first->header() == other->header());
    CHECK(first->manifest() == other->manifest());
  }
}

TEST_CASE("a library without a version for the CPU says so", "[library]") {
  if (!IsX86()) return;
  const auto files = BuildLibrary(SpecFor({"x86/avx2"}));
  REQUIRE(files.ok());
  for (const char* isa : {"sse4.2", "no_such_thing", "avx512,", "neon"}) {
    CAPTURE(isa);
    const Ceiling ceiling(isa);
    const Library library(files->shared_object());
    CHECK(IsaOf(library) == std::nullopt);
    const Aligned memory(1 << 16);
    CHECK(library.Find<int (*)(void*, void*, void*)>("conv")(
              memory.data, memory.data, memory.data) == TESSERA_OPS_UNSUPPORTED_CPU);
    CHECK(library.Find<int (*)(void*, void*, void*)>("conv_pack_weights")(
              memory.data, memory.data, memory.data) == TESSERA_OPS_UNSUPPORTED_CPU);
  }
}

TEST_CASE("versions that can't make one library are refused with the reason", "[library]") {
  const auto message = [](const LibrarySpec& spec) {
    return std::string(BuildLibrary(spec).status().message());
  };
  CHECK(message(SpecFor({"x86/avx2 l1=32768", "x86/avx2 l1=49152"})) ==
        "library: two versions are for avx2; it couldn't choose between them, so name one device "
        "class for each instruction set");
  CHECK_THAT(message(SpecFor({"x86/avx2", "aarch64/neon"})),
             Catch::Contains("aarch64/neon") && Catch::Contains("not of the kind of x86/avx2"));
  LibrarySpec spec = SpecFor({"x86/avx2", "x86/sse4.2"});
  spec.ops[0].versions[1] =
      Default(spec.ops[0].workload, spec.versions[1].target, "layout X 0 1/8 2 3 1%8\n");
  CHECK_THAT(message(spec), Catch::Contains("operator conv: tensor X is stored 0 1/4 2 3 1%4 for "
                                            "x86/avx2") &&
                                Catch::Contains("and 0 1/8 2 3 1%8 for x86/sse4.2"));
  spec.ops[0].versions.pop_back();
  CHECK(message(spec) == "library: operator conv has 1 schedules for 2 versions");
  spec.versions.clear();
  CHECK(message(spec) == "library: it has no version");
}

TEST_CASE("what a target needs is what its name as a ceiling allows", "[library]") {
  for (const char* text : {"x86/sse4.2", "x86/avx2", "x86/avx512", "x86/avx512,bf16",
                           "x86/avx512,vnni", "x86/avx512,bf16,vnni", "aarch64/neon",
                           "aarch64/neon,fp16", "aarch64/dotprod,fp16,neon", "arm/neon"}) {
    CAPTURE(text);
    const ir::Target target = ir::ParseTarget(text).value();
    CHECK(CpuNeeds(target).value() == tessera_cpu_ceiling(IsaText(target).c_str()));
  }
  CHECK(absl::IsInvalidArgument(CpuNeeds(ir::ParseTarget("cuda").value()).status()));
  ir::Target later = ir::ParseTarget("x86/avx512").value();
  later.features.push_back("amx");
  CHECK(absl::IsUnimplemented(CpuNeeds(later).status()));
}

TEST_CASE("libraries can ask a CPU for every feature that targets name", "[library]") {
  for (const std::string kind : {"x86/avx512,", "aarch64/", "arm/"}) {
    const std::string message(ir::ParseTarget(kind + "none").status().message());
    const std::string marker = "known: ";
    REQUIRE(message.find(marker) != std::string::npos);
    const std::vector<std::string> features =
        absl::StrSplit(message.substr(message.find(marker) + marker.size()), ", ");
    REQUIRE(!features.empty());
    for (const std::string& feature : features) {
      CAPTURE(feature);
      CHECK(CpuNeeds(ir::ParseTarget(kind + feature).value()).ok());
      CHECK(tessera_cpu_ceiling(feature.c_str()) != 0);
    }
  }
}

// Its own checks are those of LLVM.
TEST_CASE("the runtime finds the features that the host has", "[library]") {
  const ir::Target host = codegen::HostTarget();
  CHECK(tessera_cpu_features() == CpuNeeds(host).value());
}

namespace {

// The convolution as a program uses it: prints the instruction set and a checksum, or the error.
constexpr char kProgram[] = R"(
#include <stdio.h>
#include <stdlib.h>
#include "ops.h"
static _Alignas(64) float input[conv_X_BYTES / 4], row_major[5 * 7 * 7];
static _Alignas(64) float w[18 * 5 * 9], bias[18];
int main(void) {
  for (int i = 0; i < 5 * 7 * 7; ++i) row_major[i] = (float)(i % 11 - 5);
  for (int i = 0; i < 18 * 5 * 9; ++i) w[i] = (float)(i % 7 - 3);
  for (int i = 0; i < 18; ++i) bias[i] = (float)i;
  void* weights = aligned_alloc(64, conv_packed_bytes());
  float* output = aligned_alloc(64, OUTPUT_BYTES);
  static float result[18 * 7 * 7];
  if (tessera_ops_set_threads(1)) return 1;
  int status = conv_pack_weights(w, bias, weights);
  if (status == 0) status = conv_pack_input(row_major, input);
  if (status == 0) status = conv(input, weights, output);
  if (status == 0) status = conv_unpack_output(output, result);
  double error = 0;
  for (int o = 0; o < 18; ++o)
    for (int y = 0; y < 7; ++y)
      for (int x = 0; x < 7; ++x) {
        double sum = bias[o];
        for (int c = 0; c < 5; ++c)
          for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 3; ++j) {
              const int row = y + i - 1, column = x + j - 1;
              if (row < 0 || row > 6 || column < 0 || column > 6) continue;
              sum += (double)row_major[(c * 7 + row) * 7 + column] * w[((o * 5 + c) * 3 + i) * 3 + j];
            }
        const double off = sum - result[(o * 7 + y) * 7 + x];
        if (off > error || -off > error) error = off > 0 ? off : -off;
      }
  printf("%s %d %s\n", tessera_ops_isa() ? tessera_ops_isa() : "none", status,
         status == 0 && error < 1e-3 ? "right" : "wrong");
  return 0;
}
)";

// A folder with the library and the program compiled against it.
class Program {
 public:
  Program(const std::string& compiler, const LibraryFiles& files) {
    folder_ = (std::filesystem::temp_directory_path() / "tessera-versions-test-XXXXXX").string();
    REQUIRE(mkdtemp(folder_.data()) != nullptr);
    Write("libops.so", files.shared_object());
    Write("ops.h", files.header());
    Write("main.c", kProgram);
    const auto tensors = nlohmann::json::parse(files.manifest())["ops"][0]["tensors"];
    const std::string bytes =
        absl::StrCat("-DOUTPUT_BYTES=", tensors[3]["stored_bytes"].get<int64_t>());
    REQUIRE(std::system(absl::StrCat("cd ", folder_, " && ", compiler, " -std=c11 -Wall -O1 ",
                                     bytes, " main.c -o main -L. -lops -Wl,-rpath,", folder_)
                            .c_str()) == 0);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() { std::filesystem::remove_all(folder_); }

  // What it prints when run by `emulator`.
  std::string Output(const std::string& emulator) const {
    std::ignore = std::system(absl::StrCat("env -u TESSERA_ISA ", emulator, " ", folder_, "/main >",
                                           folder_, "/out 2>", folder_, "/errors")
                                  .c_str());
    std::ifstream file(folder_ + "/out");
    std::string line;
    std::getline(file, line);
    return line;
  }

 private:
  void Write(const char* name, const std::string& bytes) const {
    std::ofstream(absl::StrCat(folder_, "/", name), std::ios::binary) << bytes;
  }
  std::string folder_;
};

}  // namespace

TEST_CASE("emulated x86 CPUs get the version that they can run", "[library]") {
  const std::string qemu = "qemu-x86_64-static";
  if (!IsX86() || !Works("cc --version") || !Works(qemu + " --version")) {
    WARN(
        "qemu-x86_64-static (package qemu-user-static) or cc is missing: dispatch is tested on "
        "this machine's CPU only");
    return;
  }
  const auto all = BuildLibrary(SpecFor(kX86));
  const auto modern = BuildLibrary(SpecFor({kX86[1], kX86[2]}));
  REQUIRE(all.ok());
  REQUIRE(modern.ok());
  const Program program("cc", *all), needs_avx2("cc", *modern);
  CHECK(program.Output(qemu + " -cpu Nehalem") == "sse4.2 0 right");
  CHECK(program.Output(qemu + " -cpu Conroe") == "none 5 wrong");
  CHECK(needs_avx2.Output(qemu + " -cpu Nehalem") == "none 5 wrong");
  // Emulators before 7.2 have no AVX2.
  const std::string haswell = program.Output(qemu + " -cpu Haswell");
  CHECK((haswell == "avx2 0 right" || haswell == "sse4.2 0 right"));
}

TEST_CASE("emulated AArch64 CPUs get the version that they can run", "[library]") {
  const std::string qemu = "qemu-aarch64-static", compiler = "aarch64-linux-gnu-gcc";
  if (!Works(qemu + " --version") || !Works(compiler + " --version")) {
    WARN("qemu-aarch64-static or aarch64-linux-gnu-gcc is missing: AArch64 libraries aren't run");
    return;
  }
  const auto files = BuildLibrary(SpecFor({"aarch64/neon", "aarch64/dotprod,fp16,neon"}));
  INFO(files.status());
  REQUIRE(files.ok());
  const Program program(compiler, *files);
  const std::string run = qemu + " -L /usr/aarch64-linux-gnu";
  CHECK(program.Output(run + " -cpu cortex-a53") == "neon 0 right");
  CHECK(program.Output(run + " -cpu max") == "dotprod,fp16,neon 0 right");
  CHECK(program.Output("TESSERA_ISA=neon " + run + " -cpu max") == "neon 0 right");
}

TEST_CASE("emulated 32-bit ARM CPUs run libraries if they have NEON", "[library]") {
  const std::string qemu = "qemu-arm-static", compiler = "arm-linux-gnueabihf-gcc";
  if (!Works(qemu + " --version") || !Works(compiler + " --version")) {
    WARN("qemu-arm-static or arm-linux-gnueabihf-gcc is missing: 32-bit ARM libraries aren't run");
    return;
  }
  const auto files = BuildLibrary(SpecFor({"arm/neon"}));
  INFO(files.status());
  REQUIRE(files.ok());
  const Program program(compiler, *files);
  const std::string run = qemu + " -L /usr/arm-linux-gnueabihf";
  CHECK(program.Output(run + " -cpu cortex-a9") == "neon 0 right");
  CHECK(program.Output(run + " -cpu cortex-a9,neon=off") == "none 5 wrong");
}

}  // namespace tessera::library
