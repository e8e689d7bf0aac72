// Code for ARM CPUs under emulation, through a C driver that loads the kernel as any program would.

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "base/rng.h"
#include "compiler/codegen/codegen.h"
#include "compiler/codegen/link.h"
#include "compiler/ir/evaluate.h"
#include "compiler/ir/print.h"
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

void WriteFile(const std::string& path, const void* data, size_t size) {
  std::ofstream(path, std::ios::binary)
      .write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
}

// A kind of CPU with what compiles and runs C for it here.
struct Machine {
  const char* compiler;
  const char* emulator;
  std::vector<std::string> targets;  // in turns; the last has all features
};

// A folder with the driver, compiled for the machine.
class Emulation {
 public:
  explicit Emulation(const Machine& machine) : machine_(machine) {
    REQUIRE(mkdtemp(folder_.data()) != nullptr);
    WriteFile(folder_ + "/driver.c", kDriver, sizeof(kDriver) - 1);
    REQUIRE(std::system(absl::StrCat(machine.compiler, " -O1 -w -static-libgcc ", folder_,
                                     "/driver.c -o ", folder_, "/driver -ldl")
                            .c_str()) == 0);
  }
  ~Emulation() { std::filesystem::remove_all(folder_); }

  static bool Works(const Machine& machine) {
    const auto runs = [](const char* program) {
      return std::system(absl::StrCat(program, " --version >/dev/null 2>&1").c_str()) == 0;
    };
    if (runs(machine.emulator) && runs(machine.compiler)) return true;
    WARN(machine.emulator << " or " << machine.compiler
                          << " is missing: code for it is generated but not run");
    return false;
  }

  absl::Status Run(const ir::Program& program, const ir::Target& target,
                   absl::Span<const absl::Span<std::byte>> buffers) const {
    TESSERA_ASSIGN_OR_RETURN(const ObjectCode code, GenerateObject({program}, target));
    LinkOptions options;
    options.kind = target.kind;
    const Kernel& kernel = code.kernels[0];
    options.exported = {kernel.symbol};
    TESSERA_ASSIGN_OR_RETURN(const std::string library, LinkSharedObject({code.bytes}, options));
    WriteFile(folder_ + "/kernel.so", library.data(), library.size());
    const std::string triple(machine_.compiler, strlen(machine_.compiler) - strlen("-gcc"));
    std::string command = absl::StrCat(
        machine_.emulator, " -L /usr/", triple, " ", folder_, "/driver ", folder_, "/kernel.so ",
        kernel.symbol, " ", kernel.shared_workspace_bytes + 2 * kernel.private_workspace_bytes);
    for (size_t i = 0; i < buffers.size(); ++i) {
      const std::string path = absl::StrCat(folder_, "/buffer", i);
      WriteFile(path, buffers[i].data(), buffers[i].size());
      absl::StrAppend(&command, " ", path);
    }
    if (std::system(command.c_str()) != 0) return absl::InternalError(command);
    for (size_t i = 0; i < buffers.size(); ++i) {
      std::ifstream file(absl::StrCat(folder_, "/buffer", i), std::ios::binary);
      file.read(reinterpret_cast<char*>(buffers[i].data()),
                static_cast<std::streamsize>(buffers[i].size()));
    }
    return absl::OkStatus();
  }

  // Whether it computes what is expected.
  absl::Status Check(const te::Workload& workload, const te::Expected& expected,
                     const te::Candidate& candidate, const ir::Target& target) const {
    return te::CheckAgainst(workload, expected, candidate,
                            [&](const ir::Program& p, absl::Span<const absl::Span<std::byte>> b) {
                              return Run(p, target, b);
                            });
  }

 private:
  const Machine machine_;
  std::string folder_ =
      (std::filesystem::temp_directory_path() / "tessera-cross-test-XXXXXX").string();
};

const std::vector<Machine> kMachines = {
    {"aarch64-linux-gnu-gcc",
     "qemu-aarch64-static",
     {"aarch64/neon threads=2", "aarch64/neon,dotprod,fp16 threads=2"}},
    {"arm-linux-gnueabihf-gcc", "qemu-arm-static", {"arm/neon threads=2"}}};

}  // namespace

TEST_CASE("default schedules compute the right values on emulated CPUs", "[codegen]") {
  for (const Machine& machine : kMachines) {
    if (!Emulation::Works(machine)) continue;
    const Emulation emulation(machine);
    size_t number = 0;
    for (const te::OpSpec& spec : te::TestWorkloads()) {
      if (number++ % 2 != 0) continue;  // emulation costs 50 ms a run
      const std::string& name = machine.targets[number / 2 % machine.targets.size()];
      CAPTURE(spec.name, name);
      const ir::Target target = ir::ParseTarget(name).value();
      const auto workload = te::MakeWorkload(spec);
      REQUIRE(workload.ok());
      const auto expected = te::ComputeExpected(*workload, 5);
      REQUIRE(expected.ok());
      const auto schedule = schedule::ApplyTrace(
          workload->dag, schedule::DefaultTrace(workload->dag, target).value());
      REQUIRE(schedule.ok());
      const auto loops = schedule::InferBounds(*schedule);
      REQUIRE(loops.ok());
      const auto program = passes::Lower(*schedule, *loops, workload->name);
      REQUIRE(program.ok());
      CHECK(emulation.Check(*workload, *expected, {.program = *program}, target) ==
            absl::OkStatus());
    }
  }
}

// What the space has for each kind of target, its tensor instructions included.
TEST_CASE("sampled schedules compute the right values on emulated CPUs", "[codegen]") {
  for (const Machine& machine : kMachines) {
    if (!Emulation::Works(machine)) continue;
    const Emulation emulation(machine);
    const ir::Target target = ir::ParseTarget(machine.targets.back()).value();
    Rng rng(6);
    size_t number = 0;
    for (const te::OpSpec& spec : te::TestWorkloads()) {
      if (++number % 3 != 0 && spec.name.find("i8") == std::string::npos) continue;
      const auto workload = te::MakeWorkload(spec);
      REQUIRE(workload.ok());
      const auto expected = te::ComputeExpected(*workload, 6);
      REQUIRE(expected.ok());
      const auto space = space::BuildSpace(*workload, target, 2);
      REQUIRE(space.ok());
      const schedule::Trace trace = space->ToTrace(space->Sample(rng)).value();
      CAPTURE(spec.name, schedule::Print(trace), ir::ToString(target));
      const auto lowered = passes::LowerTrace(*workload, trace);
      REQUIRE(lowered.ok());
      CHECK(emulation.Check(*workload, *expected, *lowered, target) == absl::OkStatus());
    }
  }
}

TEST_CASE("roundings and divisions of emulated CPUs are those of the evaluator", "[codegen]") {
  constexpr int64_t kCount = 64;
  const std::vector<double> values = {
      0.0,  -0.0,  0.3,      -0.3,      0.5, -0.5, 0.7,  -0.7,     1.5,       -1.5, 2.5, -2.5,
      1e10, -1e10, 0x1.8p22, -0x1.8p22, 3,   -3,   1e30, INFINITY, -INFINITY, NAN,  7,   -7};
  struct Case {
    ir::Type type;
    int lanes;
  };
  for (const Machine& machine : kMachines) {
    if (!Emulation::Works(machine)) continue;
    const Emulation emulation(machine);
    const ir::Target target = ir::ParseTarget(machine.targets.back()).value();
    for (const auto& [type, lanes] :
         {Case{ir::Float(32), 4}, Case{ir::Float(32), 1}, Case{ir::Float(64), 1},
          Case{ir::Int(64), 1}, Case{ir::Int(32), 4}, Case{ir::Int(32), 1}}) {
      CAPTURE(ir::ToString(target), ir::ToString(type), lanes);
      const auto a = ir::MakeBuffer("a", type, {kCount});
      const auto b = ir::MakeBuffer("b", type, {kCount});
      const auto o = ir::MakeBuffer("o", type, {4 * kCount});
      const auto i = ir::MakeVar("i");
      const auto at = [&, lanes = lanes](int64_t row) {
        return ir::MakeRamp(ir::Expr(i) * lanes + row * kCount, 1, lanes);
      };
      const ir::Expr x = ir::MakeLoad(a, {at(0)}), y = ir::MakeLoad(b, {at(0)});
      const ir::Expr seven = ir::MakeBroadcast(ir::MakeInt(ir::Int(type.bits), 7), lanes);
      std::vector<ir::Expr> results;
      if (type.is_float()) {
        for (const char* name : {"floor", "ceil", "round"}) {
          results.push_back(ir::MakeCall(x.type(), name, {x}));
        }
      } else {
        results = {x / y, x % y, x / seven, x % seven};
      }
      std::vector<ir::Stmt> stores;
      for (size_t row = 0; row < results.size(); ++row) {
        stores.push_back(ir::MakeStore(o, {at(static_cast<int64_t>(row))}, results[row]));
      }
      const ir::Program program{
          "elements", {a, b, o}, ir::MakeFor(i, 0, kCount / lanes, ir::MakeBlock(stores))};
      std::vector<std::byte> data[3], expected;
      for (int k = 0; k < 3; ++k) data[k].resize(program.params[k]->StoredBytes());
      Rng rng(8);
      for (int64_t e = 0; e < kCount; ++e) {
        const auto place = static_cast<size_t>(e);
        const double special =
            place < values.size() ? values[place] : rng.Between(-1000, 1000) / 8.0;
        const auto divisor = static_cast<double>(rng.Between(1, 50) * (e % 2 == 0 ? 1 : -1));
        const auto whole = static_cast<double>(rng.Between(-2'000'000'000, 2'000'000'000));
        ir::WriteElement(type, absl::MakeSpan(data[0]), e,
                         type.is_float()   ? special
                         : type.bits == 64 ? whole * 1000
                                           : whole);
        ir::WriteElement(type, absl::MakeSpan(data[1]), e, divisor);
      }
      expected = data[2];
      REQUIRE(ir::Evaluate(program, {absl::MakeSpan(data[0]), absl::MakeSpan(data[1]),
                                     absl::MakeSpan(expected)}) == absl::OkStatus());
      const absl::Span<std::byte> spans[] = {absl::MakeSpan(data[0]), absl::MakeSpan(data[1]),
                                             absl::MakeSpan(data[2])};
      REQUIRE(emulation.Run(program, target, spans) == absl::OkStatus());
      for (int64_t e = 0; e < static_cast<int64_t>(results.size()) * kCount; ++e) {
        const double got = ir::ReadElement(type, data[2], e);
        const double want = ir::ReadElement(type, expected, e);
        CAPTURE(e, got, want);
        CHECK(((std::isnan(got) && std::isnan(want)) ||
               (got == want && std::signbit(got) == std::signbit(want))));
      }
    }
  }
}

TEST_CASE("long numbers become the floats on emulated CPUs that they become for the evaluator",
          "[codegen]") {
  constexpr int64_t kCount = 64;
  const auto a = ir::MakeBuffer("a", ir::Int(64), {kCount});
  const auto single = ir::MakeBuffer("single", ir::Float(32), {kCount});
  const auto twice = ir::MakeBuffer("twice", ir::Float(64), {kCount});
  const auto i = ir::MakeVar("i");
  const ir::Expr x = ir::MakeLoad(a, {i});
  const ir::Program program{
      "floats",
      {a, single, twice},
      ir::MakeFor(i, 0, kCount,
                  ir::MakeBlock({ir::MakeStore(single, {i}, ir::MakeCast(ir::Float(32), x)),
                                 ir::MakeStore(twice, {i}, ir::MakeCast(ir::Float(64), x))}))};
  // Halfway between two floats, and a little more or less, where f64 would round that away.
  std::vector<int64_t> values = {0, 1, -1, INT64_MAX, INT64_MIN};
  for (const int64_t half : {(int64_t{1} << 62) + (int64_t{1} << 38), (int64_t{1} << 24) + 1,
                             (int64_t{1} << 54) + (int64_t{1} << 30)}) {
    for (const int64_t more : {-1, 0, 1}) values.insert(values.end(), {half + more, -half - more});
  }
  Rng rng(9);
  while (values.size() < kCount) {
    values.push_back(rng.Between(INT64_MIN / 4, INT64_MAX / 4) >> rng.Between(0, 60));
  }
  for (const Machine& machine : kMachines) {
    if (!Emulation::Works(machine)) continue;
    const Emulation emulation(machine);
    const ir::Target target = ir::ParseTarget(machine.targets.back()).value();
    std::vector<std::byte> data[3];
    for (int k = 0; k < 3; ++k) data[k].resize(program.params[k]->StoredBytes());
    memcpy(data[0].data(), values.data(), data[0].size());
    const absl::Span<std::byte> spans[] = {absl::MakeSpan(data[0]), absl::MakeSpan(data[1]),
                                           absl::MakeSpan(data[2])};
    REQUIRE(emulation.Run(program, target, spans) == absl::OkStatus());
    for (int64_t e = 0; e < kCount; ++e) {
      CAPTURE(ir::ToString(target), values[e]);
      CHECK(ir::ReadElement(ir::Float(32), data[1], e) == static_cast<float>(values[e]));
      CHECK(ir::ReadElement(ir::Float(64), data[2], e) == static_cast<double>(values[e]));
    }
  }
}

TEST_CASE("dot products of emulated AArch64 CPUs are right, with and without the instruction",
          "[codegen]") {
  const Machine& machine = kMachines[0];
  if (!Emulation::Works(machine)) return;
  const Emulation emulation(machine);
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
    CHECK(emulation.Check(*workload, *expected, *lowered, target) == absl::OkStatus());
  }
}

}  // namespace tessera::codegen
