// AArch64 code under emulation, through a C driver that loads the kernel as any program would.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "base/rng.h"
#include "compiler/codegen/codegen.h"
#include "compiler/codegen/link.h"
#include "compiler/passes/lower.h"
#include "compiler/schedule/default_trace.h"
#include "schedule_space/config_space.h"
#include "tests/support/lower_schedule.h"
#include "tests/support/reference_check.h"
#include "tests/support/workloads.h"

namespace tessera::codegen {
namespace {

// driver LIBRARY SYMBOL WORKSPACE_BYTES FILE…: each file is a buffer, read before and written
// after.
constexpr char kDriver[] = R"(
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
struct launcher { void (*parallel_for)(struct launcher*, int64_t, void (*)(int64_t, int64_t, int32_t, void*), void*); int32_t threads; };
static void run(struct launcher* self, int64_t count, void (*body)(int64_t, int64_t, int32_t, void*), void* context) {
  for (int32_t t = 0; t < self->threads; ++t)
    body(count * t / self->threads, count * (t + 1) / self->threads, t, context);
}
int main(int argc, char** argv) {
  void* library = dlopen(argv[1], RTLD_NOW);
  if (!library) { fputs(dlerror(), stderr); return 2; }
  void (*kernel)(void* const*, void*, struct launcher*) = (void (*)(void* const*, void*, struct launcher*))dlsym(library, argv[2]);
  if (!kernel) return 3;
  void* buffers[64];
  long sizes[64];
  for (int i = 4; i < argc; ++i) {
    FILE* f = fopen(argv[i], "rb");
    fseek(f, 0, SEEK_END);
    sizes[i] = ftell(f);
    rewind(f);
    buffers[i - 4] = aligned_alloc(64, (sizes[i] + 64) / 64 * 64);
    if (fread(buffers[i - 4], 1, sizes[i], f) != (size_t)sizes[i]) return 4;
    fclose(f);
  }
  struct launcher launcher = {run, 2};
  kernel(buffers, aligned_alloc(64, (atol(argv[3]) + 64) / 64 * 64), &launcher);
  for (int i = 4; i < argc; ++i) {
    FILE* f = fopen(argv[i], "wb");
    fwrite(buffers[i - 4], 1, sizes[i], f);
    fclose(f);
  }
  return 0;
}
)";

bool Works(const std::string& command) {
  return std::system(absl::StrCat(command, " >/dev/null 2>&1").c_str()) == 0;
}

void WriteFile(const std::string& path, const void* data, size_t size) {
  std::ofstream(path, std::ios::binary)
      .write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
}

absl::Status RunEmulated(const std::string& folder, const ir::Program& program,
                         const ir::Target& target,
                         absl::Span<const absl::Span<std::byte>> buffers) {
  TESSERA_ASSIGN_OR_RETURN(const ObjectCode code, GenerateObject({program}, target));
  LinkOptions options;
  options.kind = target.kind;
  const Kernel& kernel = code.kernels[0];
  options.exported = {kernel.symbol};
  TESSERA_ASSIGN_OR_RETURN(const std::string library, LinkSharedObject({code.bytes}, options));
  WriteFile(folder + "/kernel.so", library.data(), library.size());
  std::string command = absl::StrCat(
      "qemu-aarch64-static -L /usr/aarch64-linux-gnu ", folder, "/driver ", folder, "/kernel.so ",
      kernel.symbol, " ", kernel.shared_workspace_bytes + 2 * kernel.private_workspace_bytes);
  for (size_t i = 0; i < buffers.size(); ++i) {
    const std::string path = absl::StrCat(folder, "/buffer", i);
    WriteFile(path, buffers[i].data(), buffers[i].size());
    absl::StrAppend(&command, " ", path);
  }
  if (std::system(command.c_str()) != 0) return absl::InternalError(command);
  for (size_t i = 0; i < buffers.size(); ++i) {
    std::ifstream file(absl::StrCat(folder, "/buffer", i), std::ios::binary);
    file.read(reinterpret_cast<char*>(buffers[i].data()),
              static_cast<std::streamsize>(buffers[i].size()));
  }
  return absl::OkStatus();
}

}  // namespace

TEST_CASE("AArch64 kernels compute the right values under emulation", "[codegen]") {
  if (!Works("qemu-aarch64-static --version") || !Works("aarch64-linux-gnu-gcc --version")) {
    WARN(
        "qemu-aarch64-static or aarch64-linux-gnu-gcc is missing (packages qemu-user-static, "
        "gcc-aarch64-linux-gnu): AArch64 code is generated but not run");
    return;
  }
  std::string folder =
      (std::filesystem::temp_directory_path() / "tessera-cross-test-XXXXXX").string();
  REQUIRE(mkdtemp(folder.data()) != nullptr);
  WriteFile(folder + "/driver.c", kDriver, sizeof(kDriver) - 1);
  REQUIRE(std::system(absl::StrCat("aarch64-linux-gnu-gcc -O1 -w ", folder, "/driver.c -o ", folder,
                                   "/driver -ldl")
                          .c_str()) == 0);
  size_t number = 0;
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    if (number++ % 2 != 0) continue;  // emulation costs 50 ms a run
    CAPTURE(spec.name);
    const ir::Target target =
        ir::ParseTarget(number % 4 == 1 ? "aarch64/neon threads=2"
                                        : "aarch64/neon,dotprod,fp16 threads=2")
            .value();
    const auto workload = te::MakeWorkload(spec);
    REQUIRE(workload.ok());
    const auto expected = te::ComputeExpected(*workload, 5);
    REQUIRE(expected.ok());
    const auto schedule =
        schedule::ApplyTrace(workload->dag, schedule::DefaultTrace(workload->dag, target).value());
    REQUIRE(schedule.ok());
    const auto loops = schedule::InferBounds(*schedule);
    REQUIRE(loops.ok());
    const auto program = passes::Lower(*schedule, *loops, workload->name);
    REQUIRE(program.ok());
    CHECK(te::CheckAgainst(*workload, *expected, {.program = *program},
                           [&](const ir::Program& p, absl::Span<const absl::Span<std::byte>> b) {
                             return RunEmulated(folder, p, target, b);
                           }) == absl::OkStatus());
  }
  // What the space has for this kind of target, its tensor instructions included.
  Rng rng(6);
  number = 0;
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    if (++number % 3 != 0 && spec.name.find("i8") == std::string::npos) continue;
    const ir::Target target = ir::ParseTarget("aarch64/neon,dotprod,fp16 threads=2").value();
    const auto workload = te::MakeWorkload(spec);
    REQUIRE(workload.ok());
    const auto expected = te::ComputeExpected(*workload, 6);
    REQUIRE(expected.ok());
    const auto space = space::BuildSpace(*workload, target, 2);
    REQUIRE(space.ok());
    const schedule::Trace trace = space->ToTrace(space->Sample(rng)).value();
    CAPTURE(spec.name, schedule::Print(trace));
    const auto lowered = passes::LowerTrace(*workload, trace);
    REQUIRE(lowered.ok());
    CHECK(te::CheckAgainst(*workload, *expected, *lowered,
                           [&](const ir::Program& p, absl::Span<const absl::Span<std::byte>> b) {
                             return RunEmulated(folder, p, target, b);
                           }) == absl::OkStatus());
  }
  const auto workload = te::MakeWorkload(
      {"product", "matmul", {{"m", "3"}, {"n", "16"}, {"k", "21"}, {"dtype", "i8"}}});
  REQUIRE(workload.ok());
  const auto expected = te::ComputeExpected(*workload, 5);
  REQUIRE(expected.ok());
  const auto trace = schedule::ParseTrace(
      "trace 1\ntensorize matmul sdot_128\nlayout matmul.b 1/4 0/4 1%4 0%4\n"
      "split matmul.dot n 4\nreorder matmul.dot m n.0 k n.1 k_g\n"
      "vectorize matmul.dot k_g\nvectorize matmul.dot n.1\n");
  REQUIRE(trace.ok());
  const auto lowered = passes::LowerTrace(*workload, *trace);
  REQUIRE(lowered.ok());
  for (const char* name : {"aarch64/neon,dotprod", "aarch64/neon"}) {
    CAPTURE(name);
    const ir::Target target = ir::ParseTarget(name).value();
    const bool has_dots = target.Has("dotprod");
    const auto assembly = GenerateAssembly(lowered->program, target);
    REQUIRE(assembly.ok());
    CHECK((assembly->find("sdot") != std::string::npos) == has_dots);
    CHECK(te::CheckAgainst(*workload, *expected, *lowered,
                           [&](const ir::Program& p, absl::Span<const absl::Span<std::byte>> b) {
                             return RunEmulated(folder, p, target, b);
                           }) == absl::OkStatus());
  }
  std::filesystem::remove_all(folder);
}

}  // namespace tessera::codegen
