// Element arithmetic, casts and functions, compiled and run, against the evaluator.

#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "base/rng.h"
#include "compiler/ir/evaluate.h"
#include "compiler/ir/numeric.h"
#include "compiler/ir/print.h"
#include "tests/compiler/codegen/loaded_kernel.h"

namespace tessera::codegen {
namespace {

using ir::BinaryOp;
using ir::Expr;

constexpr int64_t kCount = 256;

std::vector<ir::Target> Levels() {
  const ir::Target host = HostTarget();
  if (host.kind != ir::TargetKind::kX86) return {host};
  return {ir::X86Target("sse4.2").value(), host};
}

// Edge values first, then random ones of mixed magnitude.
double Value(ir::Type type, Rng& rng, int64_t i) {
  if (type.is_float()) {
    constexpr double kEdges[] = {0, 1, -1, 0.5, 1.5, 2.5, -2.5, 65504, 1e-7, 3e-8, -127.5, 255.5};
    if (i < static_cast<int64_t>(std::size(kEdges))) return kEdges[i];
    return std::ldexp(rng.Uniform() * 2 - 1, static_cast<int>(rng.Between(-6, 9)));
  }
  const double low = static_cast<double>(ir::LowestInteger(type));
  const double high = ir::IntegerToDouble(type, ir::HighestInteger(type));
  if (i == 0) return low;
  if (i == 1) return high > 9e15 ? 9e15 : high;
  if (i == 2) return 0;
  if (type.bits > 32)
    return static_cast<double>(
        rng.Between(type.code == ir::TypeCode::kUInt ? 0 : -1000000, 1000000));
  return static_cast<double>(rng.Between(static_cast<int64_t>(low), static_cast<int64_t>(high)));
}

// out[i] = make(a[i], b[i]) for all i, in vectors of `lanes`; run both ways on the same data.
// `tolerance` is relative; 0 asks for equal bytes.
void Check(ir::Type in, ir::Type out, int lanes, const ir::Target& target, uint64_t seed,
           const std::function<Expr(Expr, Expr)>& make, bool nonzero_b, double tolerance) {
  const auto a = ir::MakeBuffer("a", in, {kCount});
  const auto b = ir::MakeBuffer("b", in, {kCount});
  const auto o = ir::MakeBuffer("o", out, {kCount});
  const auto i = ir::MakeVar("i");
  const Expr index = ir::MakeRamp(Expr(i) * lanes, 1, lanes);
  const Expr value = make(ir::MakeLoad(a, {index}), ir::MakeLoad(b, {index}));
  const ir::Program program{
      "element", {a, b, o}, ir::MakeFor(i, 0, kCount / lanes, ir::MakeStore(o, {index}, value))};
  CAPTURE(ir::Print(value), ir::ToString(target), lanes, seed);
  const auto kernel = LoadedKernel::Load(program, target);
  INFO(kernel.status());
  REQUIRE(kernel.ok());
  AlignedBytes data[3] = {AlignedBytes(a->StoredBytes()), AlignedBytes(b->StoredBytes()),
                          AlignedBytes(o->StoredBytes())};
  std::vector<std::byte> expected(o->StoredBytes());
  Rng rng(seed);
  for (int64_t x = 0; x < kCount; ++x) {
    for (int k = 0; k < 2; ++k) {
      double v = Value(in, rng, k == 0 ? x : (x / 3) % kCount);
      if (k == 1 && nonzero_b && v == 0) v = 1;
      ir::WriteElement(in, {data[k].data(), data[k].size()}, x, v);
    }
  }
  const absl::Span<std::byte> spans[] = {
      {data[0].data(), data[0].size()}, {data[1].data(), data[1].size()}, absl::MakeSpan(expected)};
  std::memset(data[2].data(), 0, data[2].size());
  REQUIRE(ir::Evaluate(program, spans) == absl::OkStatus());
  kernel->Run({data[0].data(), data[1].data(), data[2].data()}, tessera_serial_launcher());
  REQUIRE(data[2].GuardsIntact());
  for (int64_t x = 0; x < kCount; ++x) {
    const double want = ir::ReadElement(out, expected, x);
    const double got = ir::ReadElement(out, {data[2].data(), data[2].size()}, x);
    const double pa = ir::ReadElement(in, {data[0].data(), data[0].size()}, x);
    const double pb = ir::ReadElement(in, {data[1].data(), data[1].size()}, x);
    CAPTURE(x, pa, pb, want, got);
    const bool same = got == want || (std::isnan(got) && std::isnan(want)) ||
                      std::abs(got - want) <= tolerance * std::abs(want);
    if (!same) REQUIRE(got == want);
  }
}

const ir::Type kIntegers[] = {ir::Int(8),  ir::UInt(8),  ir::Int(16), ir::UInt(16),
                              ir::Int(32), ir::UInt(32), ir::Int(64), ir::UInt(64),
                              ir::Int(4),  ir::UInt(4),  ir::UInt(2)};
const ir::Type kFloats[] = {ir::Float(32), ir::Float(64), ir::Float(16), ir::BFloat16()};

}  // namespace

TEST_CASE("integer operations equal the evaluator's bit for bit", "[codegen]") {
  for (const ir::Target& target : Levels()) {
    for (ir::Type type : kIntegers) {
      for (BinaryOp op : {BinaryOp::kAdd, BinaryOp::kSub, BinaryOp::kMul, BinaryOp::kMin,
                          BinaryOp::kMax, BinaryOp::kSatAdd, BinaryOp::kSatSub, BinaryOp::kBitAnd,
                          BinaryOp::kBitOr, BinaryOp::kBitXor, BinaryOp::kDiv, BinaryOp::kMod}) {
        const bool divides = op == BinaryOp::kDiv || op == BinaryOp::kMod;
        const auto make = [&](Expr a, Expr b) { return ir::MakeBinary(op, a, b); };
        Check(type, type, divides ? 1 : 16, target, 1, make, divides, 0);
      }
      const auto by_constants = [&](Expr a, Expr) {
        const ir::Type vector = a.type();
        const int64_t d = type.bits < 4 ? 3 : 7;
        Expr result = a / ir::MakeInt(vector, d) + a % ir::MakeInt(vector, 2);
        if (type.code == ir::TypeCode::kInt) result = result + a / ir::MakeInt(vector, -1);
        return result;
      };
      Check(type, type, 8, target, 2, by_constants, false, 0);
    }
  }
}

TEST_CASE("comparisons and selects equal the evaluator's", "[codegen]") {
  for (const ir::Target& target : Levels()) {
    for (ir::Type type : {ir::Int(8), ir::UInt(8), ir::Int(32), ir::UInt(32), ir::Float(32),
                          ir::Float(16), ir::BFloat16()}) {
      for (BinaryOp op : {BinaryOp::kEq, BinaryOp::kNe, BinaryOp::kLt, BinaryOp::kLe}) {
        for (int lanes : {1, 16}) {
          Check(
              type, type, lanes, target, 3,
              [&](Expr a, Expr b) { return ir::MakeSelect(ir::MakeBinary(op, a, b), a, b); }, false,
              0);
        }
      }
      Check(type, ir::Bool(), 16, target, 4, [](Expr a, Expr b) { return ir::Lt(a, b); }, false, 0);
    }
  }
}

TEST_CASE("float operations equal the evaluator's bit for bit", "[codegen]") {
  for (const ir::Target& target : Levels()) {
    for (ir::Type type : kFloats) {
      for (BinaryOp op : {BinaryOp::kAdd, BinaryOp::kSub, BinaryOp::kMul, BinaryOp::kDiv,
                          BinaryOp::kMin, BinaryOp::kMax}) {
        for (int lanes : {1, 16}) {
          Check(
              type, type, lanes, target, 5,
              [&](Expr a, Expr b) { return ir::MakeBinary(op, a, b); }, true, 0);
        }
      }
    }
  }
}

TEST_CASE("casts equal the evaluator's bit for bit", "[codegen]") {
  std::vector<ir::Type> types(std::begin(kIntegers), std::end(kIntegers));
  types.insert(types.end(), std::begin(kFloats), std::end(kFloats));
  for (const ir::Target& target : Levels()) {
    for (ir::Type from : types) {
      for (ir::Type to : types) {
        if (from == to) continue;
        for (bool saturate : {false, true}) {
          if (saturate && to.is_float()) continue;
          Check(
              from, to, 16, target, 6,
              [&](Expr a, Expr) { return ir::MakeCast(to.WithLanes(a.type().lanes), a, saturate); },
              false, 0);
        }
      }
    }
  }
}

TEST_CASE("functions stay within their stated error", "[codegen]") {
  const ir::Target target = HostTarget();
  for (const ir::Target& level : Levels()) {
    for (const char* name : {"exp", "sqrt", "tanh", "sigmoid", "erf", "floor", "ceil", "round",
                             "abs", "log", "rsqrt"}) {
      for (ir::Type type : kFloats) {
        const double tolerance = type.bits == 64 ? 1e-13 : type.bits == 32 ? 1e-6 : 0.01;
        const bool positive = std::string_view(name) == "log" || std::string_view(name) == "sqrt" ||
                              std::string_view(name) == "rsqrt";
        Check(
            type, type, 16, level, 7,
            [&](Expr a, Expr) {
              if (positive) a = ir::MakeCall(a.type(), "abs", {a});
              return ir::MakeCall(a.type(), name, {a});
            },
            false, tolerance);
      }
    }
    for (ir::Type type : {ir::Float(32), ir::Float(64)}) {
      Check(
          type, type, 16, level, 8,
          [&](Expr a, Expr b) {
            return ir::MakeCall(
                a.type(), "pow",
                {ir::MakeCall(a.type(), "abs", {a}), b * ir::MakeFloat(b.type(), 0.01)});
          },
          false, type.bits == 64 ? 1e-12 : 1e-6);
    }
  }
}

TEST_CASE("float functions keep their bound over the whole range, infinities and NaN as in C",
          "[codegen]") {
  struct Function {
    const char* name;
    double (*exact)(double);
  };
  const Function functions[] = {
      {"exp", [](double x) { return std::exp(x); }},
      {"log", [](double x) { return std::log(x); }},
      {"tanh", [](double x) { return std::tanh(x); }},
      {"sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); }},
      {"erf", [](double x) { return std::erf(x); }},
  };
  constexpr double kTolerance = 1e-6;
  constexpr int64_t kPoints = 1 << 16;
  std::vector<ir::Target> levels = Levels();
  if (levels.size() > 1 && levels[1].Has("avx2")) levels.push_back(ir::X86Target("avx2").value());
  for (const ir::Target& target : levels) {
    for (const Function& function : functions) {
      for (int lanes : {1, 4, 7, 16, 32}) {
        const int64_t count = (lanes == 16 ? kPoints : 4096) / lanes * lanes;
        const auto in = ir::MakeBuffer("in", ir::Float(32), {count});
        const auto out = ir::MakeBuffer("out", ir::Float(32), {count});
        const auto i = ir::MakeVar("i");
        const Expr index = ir::MakeRamp(Expr(i) * lanes, 1, lanes);
        const Expr x = ir::MakeLoad(in, {index});
        const ir::Program program{
            "function",
            {in, out},
            ir::MakeFor(i, 0, count / lanes,
                        ir::MakeStore(out, {index}, ir::MakeCall(x.type(), function.name, {x})))};
        const auto kernel = LoadedKernel::Load(program, target);
        INFO(kernel.status());
        REQUIRE(kernel.ok());
        AlignedBytes from(in->StoredBytes()), to(out->StoredBytes());
        std::vector<float> values(count);
        Rng rng(11);
        // Every exponent and sign; then values of the size that the functions are used for.
        for (int64_t k = 0; k < count; ++k) {
          values[k] = k % 2 == 0
                          ? std::bit_cast<float>(static_cast<uint32_t>(rng.Next()))
                          : static_cast<float>((rng.Uniform() * 2 - 1) * (k % 4 == 1 ? 6 : 90));
        }
        constexpr float kInfinity = std::numeric_limits<float>::infinity();
        const float edges[] = {0.0f,
                               -0.0f,
                               kInfinity,
                               -kInfinity,
                               1.0f,
                               -1.0f,
                               std::numeric_limits<float>::quiet_NaN(),
                               std::numeric_limits<float>::max(),
                               std::numeric_limits<float>::denorm_min(),
                               std::nextafter(1.0f, 0.0f),
                               std::nextafter(1.0f, 2.0f),
                               1.5f,
                               std::nextafter(1.5f, 0.0f),
                               0.75f,
                               88.7228f,
                               -87.3365f};
        std::copy(std::begin(edges), std::end(edges), values.begin());
        std::memcpy(from.data(), values.data(), from.size());
        kernel->Run({from.data(), to.data()}, tessera_serial_launcher());
        std::vector<float> results(count);
        std::memcpy(results.data(), to.data(), to.size());
        CAPTURE(ir::ToString(target), function.name, lanes);
        for (int64_t k = 0; k < count; ++k) {
          const double want = function.exact(values[k]);
          const double got = results[k];
          constexpr double kMax = std::numeric_limits<float>::max();
          constexpr double kMin = std::numeric_limits<float>::min();
          const double allowed =
              std::abs(want) < kMin ? kMin : kTolerance * std::min(std::abs(want), kMax);
          const bool same = std::isnan(want) ? std::isnan(got)
                            : std::abs(want) >= kMax
                                ? got == want || std::abs(got) >= kMax * (1 - kTolerance)
                                : std::abs(got - want) <= allowed;
          CAPTURE(k, values[k], want, got);
          if (!same) REQUIRE(got == want);
          if (std::isinf(values[k])) REQUIRE((got == want || std::isnan(want)));
        }
      }
    }
  }
}

TEST_CASE("lanes are combined as the evaluator does", "[codegen]") {
  const uint64_t seed = 77;
  for (const ir::Target& target : Levels()) {
    for (const BinaryOp op : {BinaryOp::kAdd, BinaryOp::kMul, BinaryOp::kMax, BinaryOp::kMin}) {
      for (const int lanes : {2, 3, 8, 13, 16, 64}) {
        const auto reduce = [&](Expr a, Expr) {
          return ir::MakeBroadcast(ir::MakeReduce(op, std::move(a)), lanes);
        };
        // Sums of floats depend on the order.
        const bool exact = op == BinaryOp::kMax || op == BinaryOp::kMin;
        const std::vector<ir::Type> types =
            exact ? std::vector<ir::Type>{ir::Int(32),   ir::UInt(8),   ir::Float(32),
                                          ir::Float(64), ir::Float(16), ir::BFloat16()}
                  : std::vector<ir::Type>{ir::Int(32), ir::UInt(8), ir::Int(64)};
        for (const ir::Type type : types) Check(type, type, lanes, target, seed, reduce, false, 0);
        if (!exact) Check(ir::Float(64), ir::Float(64), lanes, target, seed, reduce, false, 1e-9);
      }
    }
  }
}

TEST_CASE("the error function ends at exactly one", "[codegen]") {
  for (const ir::Target& level : Levels()) {
    Check(
        ir::Float(32), ir::Float(32), 16, level, 12,
        [](Expr a, Expr) {
          const Expr far = ir::MakeCall(a.type(), "abs", {a}) + ir::MakeFloat(a.type(), 4);
          return ir::MakeCall(a.type(), "erf", {far}) - ir::MakeFloat(a.type(), 1);
        },
        false, 0);
  }
}

TEST_CASE("integer power keeps the sign of a negative base", "[codegen]") {
  Check(
      ir::Float(32), ir::Float(32), 16, HostTarget(), 9,
      [](Expr a, Expr) { return ir::MakeCall(a.type(), "pow", {a, ir::MakeFloat(a.type(), 3)}); },
      false, 1e-6);
}

TEST_CASE("loads with strides, predicates and gathers equal the evaluator's", "[codegen]") {
  const auto a = ir::MakeBuffer("a", ir::Float(32), {200});
  const auto picks = ir::MakeBuffer("picks", ir::Int(32), {64});
  const auto o = ir::MakeBuffer("o", ir::Float(32), {8, 64});
  const auto i = ir::MakeVar("i");
  const ir::Type f16x = ir::Float(32).WithLanes(16);
  std::vector<ir::Stmt> body;
  int row = 0;
  const auto store = [&](Expr value, Expr predicate = {}) {
    body.push_back(
        ir::MakeStore(o, {ir::MakeRamp(Expr(row++ * 64) + Expr(i) * 16, 1, 16)}, value, predicate));
  };
  const Expr base = Expr(i) * 16;
  store(ir::MakeLoad(a, {ir::MakeRamp(base, 2, 16)}));
  store(ir::MakeLoad(a, {ir::MakeRamp(base + 15, -1, 16)}));
  store(ir::MakeLoad(a, {ir::MakeRamp(base, 3, 16)}));
  const Expr lane = ir::MakeRamp(base, 1, 16);
  const Expr in_range = ir::Lt(lane, ir::MakeBroadcast(Expr(50), 16));
  store(ir::MakeLoad(a, {ir::MakeRamp(base + 150, 1, 16)}, in_range));
  store(ir::MakeSelect(in_range, ir::MakeLoad(a, {ir::MakeRamp(base * 3 + 50, 1, 16)}),
                       ir::MakeFloat(f16x, -1)));
  store(ir::MakeLoad(a, {ir::MakeLoad(picks, {lane})}));
  store(ir::MakeSelect(ir::Lt(Expr(i), Expr(2)), ir::MakeLoad(a, {ir::MakeRamp(base + 160, 1, 16)}),
                       ir::MakeFloat(f16x, 2)));
  store(ir::MakeLoad(a, {ir::MakeRamp(base, 1, 16)}), in_range);
  const ir::Program program{"loads", {a, picks, o}, ir::MakeFor(i, 0, 4, ir::MakeBlock(body))};

  for (const ir::Target& target : Levels()) {
    CAPTURE(ir::ToString(target));
    const auto kernel = LoadedKernel::Load(program, target);
    INFO(kernel.status());
    REQUIRE(kernel.ok());
    AlignedBytes data(a->StoredBytes()), index(picks->StoredBytes()), out(o->StoredBytes());
    std::memset(out.data(), 0, out.size());
    Rng rng(10);
    for (int64_t x = 0; x < 200; ++x) {
      ir::WriteElement(a->type, {data.data(), data.size()}, x, static_cast<double>(x) + 0.5);
    }
    for (int64_t x = 0; x < 64; ++x) {
      ir::WriteElement(picks->type, {index.data(), index.size()}, x,
                       static_cast<double>(rng.Below(200)));
    }
    std::vector<std::byte> expected(out.size());
    const absl::Span<std::byte> spans[] = {
        {data.data(), data.size()}, {index.data(), index.size()}, absl::MakeSpan(expected)};
    REQUIRE(ir::Evaluate(program, spans) == absl::OkStatus());
    kernel->Run({data.data(), index.data(), out.data()}, tessera_serial_launcher());
    REQUIRE(std::memcmp(out.data(), expected.data(), expected.size()) == 0);
  }
}

// Lanes that fall on each other or between each other, as those of a transposed convolution do.
TEST_CASE("loads whose lanes are quotients and remainders equal the evaluator's", "[codegen]") {
  const auto a = ir::MakeBuffer("a", ir::Float(32), {200});
  const auto i = ir::MakeVar("i");
  const int lanes = 16;
  const auto all = [&](int64_t value) { return ir::MakeBroadcast(Expr(value), lanes); };
  std::vector<Expr> places;
  for (const int64_t first : {0, 1, 5}) {
    const Expr lane = ir::MakeRamp(Expr(first), 1, lanes);
    const Expr base = ir::MakeBroadcast(Expr(i) * 16, lanes);
    for (const int64_t by : {2, 3, 7}) {
      places.push_back(base + lane / all(by));
      places.push_back(lane % all(by) * all(3) + base);
      places.push_back(lane % all(by) * all(16) + lane / all(by) + base);
      places.push_back(base + all(20) - lane / all(by));
    }
    places.push_back(lane * all(5) + base);
    places.push_back(lane / all(32) + base);
  }
  const auto rows = static_cast<int64_t>(places.size());
  const auto o = ir::MakeBuffer("o", ir::Float(32), {rows, 64});
  std::vector<ir::Stmt> body;
  for (int64_t row = 0; row < rows; ++row) {
    body.push_back(ir::MakeStore(o, {ir::MakeRamp(Expr(row * 64) + Expr(i) * 16, 1, lanes)},
                                 ir::MakeLoad(a, {places[static_cast<size_t>(row)]})));
  }
  const ir::Program program{"patterns", {a, o}, ir::MakeFor(i, 0, 4, ir::MakeBlock(body))};
  for (const ir::Target& target : Levels()) {
    CAPTURE(ir::ToString(target));
    const auto kernel = LoadedKernel::Load(program, target);
    INFO(kernel.status());
    REQUIRE(kernel.ok());
    AlignedBytes data(a->StoredBytes()), out(o->StoredBytes());
    std::memset(out.data(), 0, out.size());
    for (int64_t x = 0; x < 200; ++x) {
      ir::WriteElement(a->type, {data.data(), data.size()}, x, static_cast<double>(x) + 0.5);
    }
    std::vector<std::byte> expected(out.size());
    const absl::Span<std::byte> spans[] = {{data.data(), data.size()}, absl::MakeSpan(expected)};
    REQUIRE(ir::Evaluate(program, spans) == absl::OkStatus());
    kernel->Run({data.data(), out.data()}, tessera_serial_launcher());
    CHECK(std::memcmp(out.data(), expected.data(), expected.size()) == 0);
  }
}

TEST_CASE("streaming stores, prefetches and copies equal the evaluator's", "[codegen]") {
  const auto a = ir::MakeBuffer("a", ir::Float(32), {128});
  const auto local = ir::MakeBuffer("local", ir::Float(32), {37}, ir::Scope::kLocal);
  const auto o = ir::MakeBuffer("o", ir::Float(32), {128});
  const auto i = ir::MakeVar("i"), j = ir::MakeVar("j");
  const auto token = ir::MakeVar("token", ir::Token());
  const Expr lanes = ir::MakeRamp(Expr(i) * 16, 1, 16);
  const Expr value = ir::MakeLoad(a, {lanes});
  const auto stream =
      ir::MakeFor(i, 0, 8,
                  ir::MakeBlock({ir::MakeEvaluate(ir::MakeCall(ir::Float(32), "prefetch",
                                                               {ir::MakeLoad(a, {Expr(i) * 16})})),
                                 ir::MakeStore(o, {lanes}, value + value, {}, true)}));
  const auto copy = ir::MakeAllocate(
      local,
      ir::MakeBlock({ir::MakeAsyncCopy(local, Expr(0), a, Expr(5), 37, token),
                     ir::MakeAsyncWait(token), ir::MakeBarrier(ir::Scope::kLocal),
                     ir::MakeFor(j, 0, 37,
                                 ir::MakeIf(ir::Lt(Expr(j), Expr(20)),
                                            ir::MakeStore(o, {j}, ir::MakeLoad(local, {j}))))}));
  const ir::Program program{"stream", {a, o}, ir::MakeBlock({stream, copy})};
  for (const ir::Target& target : Levels()) {
    CAPTURE(ir::ToString(target));
    const auto kernel = LoadedKernel::Load(program, target);
    INFO(kernel.status());
    REQUIRE(kernel.ok());
    AlignedBytes in(a->StoredBytes()), out(o->StoredBytes());
    for (int64_t x = 0; x < 128; ++x) {
      ir::WriteElement(a->type, {in.data(), in.size()}, x, static_cast<double>(x) * 0.25);
    }
    std::memset(out.data(), 0, out.size());
    std::vector<std::byte> expected(out.size());
    const absl::Span<std::byte> spans[] = {{in.data(), in.size()}, absl::MakeSpan(expected)};
    REQUIRE(ir::Evaluate(program, spans) == absl::OkStatus());
    kernel->Run({in.data(), out.data()}, tessera_serial_launcher());
    REQUIRE(std::memcmp(out.data(), expected.data(), expected.size()) == 0);
  }
  const auto assembly = GenerateAssembly(program, ir::X86Target("avx512").value());
  REQUIRE(assembly.ok());
  REQUIRE(assembly->find("vmovntps") != std::string::npos);
  REQUIRE(assembly->find("sfence") != std::string::npos);
  REQUIRE(assembly->find("prefetch") != std::string::npos);
}

TEST_CASE("large local buffers and workspace buffers live in the workspace", "[codegen]") {
  const auto in = ir::MakeBuffer("in", ir::Float(32), {64, 8192});
  const auto out = ir::MakeBuffer("out", ir::Float(32), {64, 8192});
  const auto big = ir::MakeBuffer("big", ir::Float(32), {8192}, ir::Scope::kLocal);
  const auto shared = ir::MakeBuffer("shared", ir::Float(32), {64}, ir::Scope::kWorkspace);
  const auto i = ir::MakeVar("i"), j = ir::MakeVar("j"), k = ir::MakeVar("k"), m = ir::MakeVar("m");
  const auto fill = ir::MakeFor(
      j, 0, 8192, ir::MakeStore(big, {j}, ir::MakeLoad(in, {i, j}) + ir::MakeLoad(shared, {i})));
  const auto copy = ir::MakeFor(k, 0, 8192, ir::MakeStore(out, {i, k}, ir::MakeLoad(big, {k})));
  const ir::Program program{
      "workspace",
      {in, out},
      ir::MakeAllocate(
          shared,
          ir::MakeBlock(
              {ir::MakeFor(m, 0, 64,
                           ir::MakeStore(shared, {m}, ir::MakeCast(ir::Float(32), Expr(m)))),
               ir::MakeFor(i, 0, 64, ir::MakeAllocate(big, ir::MakeBlock({fill, copy})),
                           ir::LoopKind::kParallel)}))};
  const auto kernel = LoadedKernel::Load(program, HostTarget());
  INFO(kernel.status());
  REQUIRE(kernel.ok());
  REQUIRE(kernel->code().shared_workspace_bytes == 256);
  REQUIRE(kernel->code().private_workspace_bytes == 8192 * 4);
  AlignedBytes input(in->StoredBytes()), output(out->StoredBytes());
  auto* x = reinterpret_cast<float*>(input.data());
  for (int64_t e = 0; e < 64 * 8192; ++e) x[e] = static_cast<float>(e % 97);
  tessera_launcher launcher{RunInOrder, 3};
  kernel->Run({input.data(), output.data()}, &launcher);
  const auto* y = reinterpret_cast<const float*>(output.data());
  for (int64_t e = 0; e < 64 * 8192; ++e) {
    if (y[e] != x[e] + static_cast<float>(e / 8192)) REQUIRE(y[e] == x[e]);
  }
}

}  // namespace tessera::codegen
