// Models for other kinds of CPU, shared and static, run by emulators.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/compiler/graph/run.h"
#include "tests/compiler/library/model_fixture.h"
#include "tests/support/temporary_directory.h"

namespace tessera::library {
namespace {

// A padded convolution, weights of 1 KiB that are packed, and operators that need memory to work
// in.
const char* const kModel =
    "graph net\n"
    "input image: f32[1,2,6,6]\n"
    "const w: f32[2,2,1,1] = [1,-0.5,0.25,2]\n"
    "const fc: f32[8,2] = [1,2,3,4,5,6,7,8,-1,-2,-3,-4,-5,-6,-7,-8]\n"
    "conv = conv(image, w) before=[1,1] behind=[1,1]: f32[1,2,8,8]\n"
    "mean = reduce_mean(conv) axes=[2,3] keep=0: f32[1,2]\n"
    "scores = matmul(mean, fc) transpose_b=1: f32[1,8]\n"
    "softmax = softmax(scores): f32[1,8]\n"
    "output softmax\n";

constexpr char kProgram[] = R"(
#include <stdio.h>
#include <stdlib.h>
#include "net.h"
static _Alignas(64) float image[72], softmax[8];
int main(void) {
  for (int i = 0; i < 72; ++i) image[i] = (float)(i % 7) / 4 - 0.5f;
  net* model;
  int status = net_create(&model);
  void* workspace = aligned_alloc(64, (net_workspace_bytes() + 63) / 64 * 64);
  for (int i = 0; i < 3 && status == 0; ++i) status = net_run(model, image, softmax, workspace);
  net_destroy(model);
  printf("%s %d", tessera_net_isa() ? tessera_net_isa() : "none", status);
  for (int i = 0; i < 8; ++i) printf(" %.9g", softmax[i]);
  return 0;
}
)";

bool Works(const std::string& command) {
  return std::system(absl::StrCat(command, " >/dev/null 2>&1").c_str()) == 0;
}

// The instruction set that was used, after the outputs were compared with the evaluator's.
std::string IsaOfRight(const test::TemporaryDirectory& folder, const std::string& command) {
  const int result = std::system(
      absl::StrCat("cd ", folder.path, " && env -u TESSERA_ISA ", command, " >out").c_str());
  std::ifstream file(folder.path + "/out");
  std::string text(std::istreambuf_iterator<char>(file), {}), isa;
  INFO(command << "\n" << text);
  REQUIRE(result == 0);
  std::istringstream words(text);
  int status = -1;
  words >> isa >> status;
  if (status != 0) return absl::StrCat(isa, " ", status);
  std::vector<double> image;
  for (int i = 0; i < 72; ++i) image.push_back(i % 7 / 4.0 - 0.5);
  const auto expected =
      graph::Outputs(graph::Parsed(kModel),
                     {graph::MakeTensor(ir::ParseType("f32").value(), {1, 2, 6, 6}, image)});
  for (const double value : expected[0]) {
    double got = -100;
    words >> got;
    CHECK(got == Approx(value).margin(1e-5));
  }
  return isa;
}

void Compile(const test::TemporaryDirectory& folder, const std::string& compiler,
             const std::vector<std::string>& targets) {
  LibrarySpec spec = SpecOf(graph::MakePlan(graph::Parsed(kModel)).value(), targets);
  spec.static_library = true;
  const auto files = BuildLibrary(spec);
  INFO(files.status());
  REQUIRE(files.ok());
  for (const LibraryFile& file : files->files) {
    std::ofstream(absl::StrCat(folder.path, "/", file.name), std::ios::binary) << file.bytes;
  }
  std::ofstream(folder.path + "/main.c") << kProgram;
  REQUIRE(std::system(absl::StrCat("cd ", folder.path, " && ", compiler,
                                   " -std=c11 -Wall -O1 main.c -o shared -L. -lnet -Wl,-rpath,",
                                   folder.path, " && ", compiler,
                                   " -std=c11 -O1 main.c libnet.a -pthread -o static")
                          .c_str()) == 0);
}

}  // namespace

TEST_CASE("models run on emulated AArch64 CPUs", "[library]") {
  const std::string compiler = "aarch64-linux-gnu-gcc";
  const std::string run = "qemu-aarch64-static -L /usr/aarch64-linux-gnu ";
  if (!Works("qemu-aarch64-static --version") || !Works(compiler + " --version")) {
    WARN("qemu-aarch64-static or aarch64-linux-gnu-gcc is missing: AArch64 models aren't run");
    return;
  }
  const test::TemporaryDirectory one, two;
  Compile(one, compiler, {"aarch64/neon threads=2"});
  CHECK(IsaOfRight(one, run + "-cpu cortex-a53 ./shared") == "neon");
  CHECK(IsaOfRight(one, run + "-cpu cortex-a53 ./static") == "neon");
  Compile(two, compiler, {"aarch64/neon threads=2", "aarch64/dotprod,fp16,neon threads=2"});
  CHECK(IsaOfRight(two, run + "-cpu cortex-a53 ./shared") == "neon");
  CHECK(IsaOfRight(two, run + "-cpu max ./shared") == "dotprod,fp16,neon");
  CHECK(IsaOfRight(two, run + "-cpu max ./static") == "dotprod,fp16,neon");
}

TEST_CASE("models run on emulated 32-bit ARM CPUs that have NEON", "[library]") {
  const std::string compiler = "arm-linux-gnueabihf-gcc";
  const std::string run = "qemu-arm-static -L /usr/arm-linux-gnueabihf ";
  if (!Works("qemu-arm-static --version") || !Works(compiler + " --version")) {
    WARN("qemu-arm-static or arm-linux-gnueabihf-gcc is missing: 32-bit ARM models aren't run");
    return;
  }
  const test::TemporaryDirectory folder;
  Compile(folder, compiler, {"arm/neon threads=2"});
  CHECK(IsaOfRight(folder, run + "-cpu cortex-a9 ./shared") == "neon");
  CHECK(IsaOfRight(folder, run + "-cpu cortex-a9 ./static") == "neon");
  CHECK(IsaOfRight(folder, run + "-cpu cortex-a9,neon=off ./shared") == "none 5");
}

}  // namespace tessera::library
