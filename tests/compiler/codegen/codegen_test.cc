#include "compiler/codegen/codegen.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "base/test_data.h"
#include "compiler/codegen/object_symbols.h"
#include "tests/compiler/codegen/loaded_kernel.h"

namespace tessera::codegen {
namespace {

using ir::Expr;
using ir::LoopKind;

constexpr int64_t kM = 24, kN = 64, kK = 37;

struct Matmul {
  ir::Buffer a = ir::MakeBuffer("A", ir::Float(32), {kM, kK});
  ir::Buffer b = ir::MakeBuffer("B", ir::Float(32), {kK, kN});
  ir::Buffer c = ir::MakeBuffer("C", ir::Float(32), {kM, kN});
};

Expr At(const ir::VarRef& v) { return Expr(v); }

// A 4 × 32 register tile: accumulators are a local buffer with constant indices.
ir::Program TiledMatmul(LoopKind outer) {
  const Matmul m;
  const auto i = ir::MakeVar("i"), j = ir::MakeVar("j"), k = ir::MakeVar("k");
  const auto tile = ir::MakeBuffer("tile", ir::Float(32), {4, 32}, ir::Scope::kLocal);
  std::vector<ir::Stmt> zero, step, write;
  for (int r = 0; r < 4; ++r) {
    for (int v = 0; v < 2; ++v) {
      const Expr at = ir::MakeRamp(Expr(r * 32 + v * 16), 1, 16);
      zero.push_back(ir::MakeStore(tile, {at}, ir::MakeFloat(ir::Float(32).WithLanes(16), 0)));
      const Expr a = ir::MakeLoad(m.a, {(At(i) * 4 + r) * kK + At(k)});
      const Expr b = ir::MakeLoad(m.b, {ir::MakeRamp(At(k) * kN + At(j) * 32 + v * 16, 1, 16)});
      step.push_back(
          ir::MakeStore(tile, {at}, ir::MakeLoad(tile, {at}) + ir::MakeBroadcast(a, 16) * b));
      write.push_back(
          ir::MakeStore(m.c, {ir::MakeRamp((At(i) * 4 + r) * kN + At(j) * 32 + v * 16, 1, 16)},
                        ir::MakeLoad(tile, {at})));
    }
  }
  const auto body = ir::MakeAllocate(
      tile, ir::MakeBlock({ir::MakeBlock(zero), ir::MakeFor(k, 0, kK, ir::MakeBlock(step)),
                           ir::MakeBlock(write)}));
  return {"matmul",
          {m.a, m.b, m.c},
          ir::MakeFor(i, 0, kM / 4, ir::MakeFor(j, 0, kN / 32, body), outer)};
}

ir::Program PlainMatmul() {
  const Matmul m;
  const auto i = ir::MakeVar("i"), j = ir::MakeVar("j"), k = ir::MakeVar("k");
  const std::vector<Expr> at = {i, j};
  return {"matmul",
          {m.a, m.b, m.c},
          ir::MakeFor(
              i, 0, kM,
              ir::MakeFor(
                  j, 0, kN,
                  ir::MakeBlock({ir::MakeStore(m.c, at, ir::MakeFloat(ir::Float(32), 0)),
                                 ir::MakeFor(k, 0, kK,
                                             ir::MakeStore(m.c, at,
                                                           ir::MakeLoad(m.c, at) +
                                                               ir::MakeLoad(m.a, {i, k}) *
                                                                   ir::MakeLoad(m.b, {k, j})))})))};
}

void CheckMatmul(const ir::Program& program, const ir::Target& target, int threads) {
  const auto kernel = LoadedKernel::Load(program, target);
  INFO(kernel.status());
  REQUIRE(kernel.ok());
  const AlignedBytes a(kM * kK * 4), b(kK * kN * 4), c(kM * kN * 4);
  auto* pa = reinterpret_cast<float*>(a.data());
  auto* pb = reinterpret_cast<float*>(b.data());
  auto* pc = reinterpret_cast<float*>(c.data());
  for (int64_t x = 0; x < kM * kK; ++x) pa[x] = static_cast<float>(TestValue(1, 0, x));
  for (int64_t x = 0; x < kK * kN; ++x) pb[x] = static_cast<float>(TestValue(1, 1, x));
  tessera_launcher launcher{RunInOrder, threads};
  kernel->Run({pa, pb, pc}, &launcher);
  for (int64_t x = 0; x < kM; ++x) {
    for (int64_t y = 0; y < kN; ++y) {
      double sum = 0;
      for (int64_t z = 0; z < kK; ++z) sum += double{pa[x * kK + z]} * pb[z * kN + y];
      REQUIRE(pc[x * kN + y] == Approx(sum).margin(1e-5));
    }
  }
  REQUIRE((a.GuardsIntact() && b.GuardsIntact() && c.GuardsIntact()));
}

}  // namespace

TEST_CASE("serial matrix product computes the right values", "[codegen]") {
  for (const char* isa : {"sse4.2", "avx2", "avx512"}) {
    CAPTURE(isa);
    const ir::Target target = ir::X86Target(isa).value();
    if (target.vector_bytes > HostTarget().vector_bytes) continue;
    CheckMatmul(PlainMatmul(), target, 1);
    CheckMatmul(TiledMatmul(LoopKind::kSerial), target, 1);
  }
}

TEST_CASE("parallel loop calls the launcher with every slice", "[codegen]") {
  for (int threads : {1, 2, 3, 8}) {
    CAPTURE(threads);
    CheckMatmul(TiledMatmul(LoopKind::kParallel), HostTarget(), threads);
  }
}

TEST_CASE("register tile stays in registers", "[codegen]") {
  const auto assembly =
      GenerateAssembly(TiledMatmul(LoopKind::kSerial), ir::X86Target("avx512").value());
  REQUIRE(assembly.ok());
  // Eight accumulators, four broadcast operands folded or not: each product is one instruction and
  // nothing is spilled.
  size_t products = 0;
  for (size_t at = assembly->find("vfmadd"); at != std::string::npos;
       at = assembly->find("vfmadd", at + 1)) {
    ++products;
  }
  REQUIRE(products == 8);
  REQUIRE(assembly->find("Spill") == std::string::npos);
  REQUIRE(assembly->find("zmm") != std::string::npos);
}

TEST_CASE("same program gives the same object", "[codegen]") {
  const auto first = GenerateObject({TiledMatmul(LoopKind::kParallel)}, HostTarget());
  const auto second = GenerateObject({TiledMatmul(LoopKind::kParallel)}, HostTarget());
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  REQUIRE(first->bytes == second->bytes);
}

TEST_CASE("programs of one object need different symbols", "[codegen]") {
  ir::Program first = TiledMatmul(LoopKind::kParallel), second = TiledMatmul(LoopKind::kSerial);
  first.name = "run+1";
  second.name = "run-1";
  const absl::Status status = GenerateObject({first, second}, HostTarget()).status();
  REQUIRE(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK(std::string(status.message()).find("run_1") != std::string::npos);
  second.name = "prepare";
  const auto code = GenerateObject({first, second}, HostTarget());
  REQUIRE(code.ok());
  REQUIRE(code->kernels.size() == 2);
  CHECK(code->kernels[0].symbol == "run_1");
  CHECK(code->kernels[1].symbol == "prepare");
}

TEST_CASE("objects for ARM CPUs have no undefined symbols", "[codegen]") {
  for (const char* target : {"aarch64/neon", "arm/neon"}) {
    const auto code =
        GenerateObject({TiledMatmul(LoopKind::kParallel)}, ir::ParseTarget(target).value());
    INFO(code.status());
    REQUIRE(code.ok());
    REQUIRE(UndefinedSymbols(code->bytes).value().empty());
  }
}

TEST_CASE("buffers that a 32-bit CPU can't address are refused by name", "[codegen]") {
  const auto out = ir::MakeBuffer("Large", ir::Float(32), {int64_t{1} << 30});
  const auto i = ir::MakeVar("i");
  const ir::Program program{
      "fill",
      {out},
      ir::MakeFor(i, 0, 4, ir::MakeStore(out, {i}, ir::MakeFloat(ir::Float(32), 1)))};
  CHECK(GenerateObject({program}, ir::ParseTarget("aarch64").value()).ok());
  const absl::Status status = GenerateObject({program}, ir::ParseTarget("arm").value()).status();
  REQUIRE(absl::IsInvalidArgument(status));
  CHECK(std::string(status.message()).find("Large of fill has 4294967296") != std::string::npos);
}

TEST_CASE("GPU thread loops and unknown functions are refused by name", "[codegen]") {
  const auto out = ir::MakeBuffer("O", ir::Float(32), {4});
  const auto i = ir::MakeVar("i");
  const ir::Program bound{
      "bound",
      {out},
      ir::MakeFor(i, 0, 4, ir::MakeStore(out, {i}, ir::MakeFloat(ir::Float(32), 1)),
                  LoopKind::kThread, ir::ThreadAxis::kThreadX)};
  REQUIRE(GenerateObject({bound}, HostTarget()).status().code() ==
          absl::StatusCode::kInvalidArgument);
  const ir::Program unknown{
      "unknown",
      {out},
      ir::MakeFor(i, 0, 4, ir::MakeStore(out, {i}, ir::MakeCall(ir::Float(32), "mystery", {})))};
  const absl::Status status = GenerateObject({unknown}, HostTarget()).status();
  REQUIRE(status.code() == absl::StatusCode::kUnimplemented);
  REQUIRE(std::string(status.message()).find("mystery") != std::string::npos);
}

TEST_CASE("host target is canonical", "[codegen]") {
  const ir::Target target = HostTarget();
  REQUIRE(ir::ParseTarget(ir::ToString(target)).value() == target);
  REQUIRE(target.max_threads >= 1);
  REQUIRE(target.l1_bytes >= 8 << 10);
}

}  // namespace tessera::codegen
