#include "compiler/ir/evaluate.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "base/rng.h"
#include "compiler/ir/numeric.h"
#include "compiler/ir/parse.h"
#include "compiler/ir/print.h"
#include "tests/support/cpu_time.h"

namespace tessera::ir {
namespace {

// Runs a program's text on buffers given as numbers; returns them afterwards.
struct Run {
  absl::Status status;
  std::vector<std::vector<double>> values;
};

Run RunText(const std::string& text, const std::vector<std::vector<double>>& inputs) {
  const auto program = ParseProgram(text);
  REQUIRE(program.status() == absl::OkStatus());
  REQUIRE(inputs.size() == program->params.size());
  std::vector<std::vector<std::byte>> bytes;
  std::vector<absl::Span<std::byte>> spans;
  for (size_t p = 0; p < inputs.size(); ++p) {
    const BufferNode& param = *program->params[p];
    bytes.emplace_back(param.StoredBytes());
    for (size_t i = 0; i < inputs[p].size(); ++i) {
      WriteElement(param.type, absl::MakeSpan(bytes[p]), static_cast<int64_t>(i), inputs[p][i]);
    }
  }
  for (auto& b : bytes) spans.push_back(absl::MakeSpan(b));
  Run run{Evaluate(*program, spans), {}};
  for (size_t p = 0; p < inputs.size(); ++p) {
    run.values.emplace_back();
    for (int64_t i = 0; i < program->params[p]->StoredElementCount(); ++i) {
      run.values[p].push_back(ReadElement(program->params[p]->type, bytes[p], i));
    }
  }
  return run;
}

// The value of one expression of `type`.
double Value(const std::string& type, const std::string& expr) {
  const Run run = RunText("program p(O: " + type + "[1]) { O[0] = " + expr + " }", {{0}});
  INFO(expr);
  REQUIRE(run.status == absl::OkStatus());
  return run.values[0][0];
}

using Values = std::vector<double>;

TEST_CASE("a matrix product adds up", "[ir][evaluate]") {
  const Run run = RunText(R"(program p(A: f32[2, 3], B: f32[3, 2], C: f32[2, 2]) {
    for i in [0, 2) { for j in [0, 2) {
      C[i, j] = 0.0
      for k in [0, 3) { C[i, j] = C[i, j] + A[i, k] * B[k, j] } } } })",
                          {{1, 2, 3, 4, 5, 6}, {1, 0, 0, 1, 1, 1}, {9, 9, 9, 9}});
  REQUIRE(run.status == absl::OkStatus());
  CHECK(run.values[2] == Values{4, 5, 10, 11});
}

TEST_CASE("a layout decides where logical elements are stored", "[ir][evaluate]") {
  const Run run = RunText(R"(program p(A: i32[2, 5] layout "1/2 0 1%2") {
    for i in [0, 2) { for j in [0, 5) { A[i, j] = cast(i32, i * 10 + j) } } })",
                          {{}});
  REQUIRE(run.status == absl::OkStatus());
  CHECK(run.values[0] == Values{0, 1, 10, 11, 2, 3, 12, 13, 4, 0, 14, 0});
}

TEST_CASE("integers wrap at their width and saturate where told", "[ir][evaluate]") {
  const Run run = RunText(R"(program p(A: i8[3], B: i8[3], O: i8[6]) {
    for i in [0, 3) {
      O[i] = A[i] + B[i]
      O[i + 3] = sat_add(A[i], B[i])
    } })",
                          {{100, -100, 5}, {100, -100, 6}, {}});
  CHECK(run.values[2] == Values{-56, 56, 11, 127, -128, 11});
  const Run unsigned_run = RunText(R"(program p(A: u8[2], B: u8[2], O: u8[4]) {
    for i in [0, 2) {
      O[i] = A[i] - B[i]
      O[i + 2] = sat_sub(A[i], B[i])
    } })",
                                   {{5, 250}, {10, 10}, {}});
  CHECK(unsigned_run.values[2] == Values{251, 240, 0, 240});
}

TEST_CASE("integer division rounds to minus infinity", "[ir][evaluate]") {
  const Run run = RunText(R"(program p(A: i32[4], B: i32[4], Q: i32[4], R: i32[4]) {
    for i in [0, 4) {
      Q[i] = A[i] / B[i]
      R[i] = A[i] % B[i]
    } })",
                          {{7, -7, 7, -7}, {2, 2, -2, -2}, {}, {}});
  CHECK(run.values[2] == Values{3, -4, -4, 3});
  CHECK(run.values[3] == Values{1, 1, -1, -1});
}

TEST_CASE("casts truncate, wrap, round and clamp", "[ir][evaluate]") {
  const Run run = RunText(R"(program p(A: f32[6], T: i8[6], S: i8[6], U: u8[6]) {
    for i in [0, 6) {
      T[i] = cast(i8, A[i])
      S[i] = cast_sat(i8, A[i])
      U[i] = cast_sat(u8, A[i])
    } })",
                          {{1.5, 2.5, -1.5, 300, -300, -0.4}, {}, {}, {}});
  CHECK(run.values[1] == Values{1, 2, -1, 44, -44, 0});
  CHECK(run.values[2] == Values{2, 2, -2, 127, -128, 0});
  CHECK(run.values[3] == Values{2, 2, 0, 255, 0, 0});
}

TEST_CASE("sub-byte integers are packed, little end first", "[ir][evaluate]") {
  const auto program = ParseProgram(
      "program p(A: u4[3], B: i2[4]) { for i in [0, 3) { A[i] = cast(u4, i + 9) } "
      "for i in [0, 4) { B[i] = cast(i2, i) } }");
  REQUIRE(program.ok());
  std::vector<std::byte> a(2), b(1);
  CHECK(program->params[0]->StoredBytes() == 2);
  const absl::Span<std::byte> spans[] = {absl::MakeSpan(a), absl::MakeSpan(b)};
  REQUIRE(Evaluate(*program, spans) == absl::OkStatus());
  CHECK(a == std::vector<std::byte>{std::byte{0xa9}, std::byte{0x0b}});
  CHECK(b == std::vector<std::byte>{std::byte{0b11100100}});
  CHECK(ReadElement(Int(2), b, 3) == -1);
}

TEST_CASE("half precision rounds each operation to nearest even", "[ir][evaluate]") {
  CHECK(Value("f16", "2048.0:f16 + 1.0:f16") == 2048);
  const Run run = RunText(R"(program p(A: f16[4], B: f16[4], O: f16[4]) {
    for i in [0, 4) { O[i] = A[i] + B[i] } })",
                          {{2048, 2048, 65504, 0x1p-24}, {1, 3, 32, 0x1p-24}, {}});
  CHECK(run.values[2] == Values{2048, 2052, INFINITY, 0x1p-23});
  const Run brain = RunText(R"(program p(A: bf16[3], B: bf16[3], O: bf16[3]) {
    for i in [0, 3) { O[i] = A[i] * B[i] } })",
                            {{1.0078125, 3, 256}, {1.0078125, 7, 1}, {}});
  CHECK(brain.values[2] == Values{1.015625, 21, 256});
}

// The definition: of the neighbours, the nearer; of equally near ones, the even.
TEST_CASE("every 16-bit float round-trips and every midpoint rounds to even", "[ir][evaluate]") {
  for (const Type type : {Float(16), BFloat16()}) {
    const auto value = [&](int bits) {
      return type.code == TypeCode::kBFloat ? BFloatValue(static_cast<uint16_t>(bits))
                                            : HalfValue(static_cast<uint16_t>(bits));
    };
    const auto bits = [&](double v) {
      return static_cast<int>(type.code == TypeCode::kBFloat ? BFloatBits(v) : HalfBits(v));
    };
    const int infinity = type.code == TypeCode::kBFloat ? 0x7f80 : 0x7c00;
    for (int i = 0; i < infinity; ++i) {
      REQUIRE(bits(value(i)) == i);
      REQUIRE(bits(-value(i)) == (i | 0x8000));
      if (i + 1 == infinity) break;
      const double middle = (value(i) + value(i + 1)) / 2;
      REQUIRE(bits(middle) == (i % 2 == 0 ? i : i + 1));
      REQUIRE(bits(std::nextafter(middle, INFINITY)) == i + 1);
      REQUIRE(bits(std::nextafter(middle, 0)) == i);
    }
    CHECK(bits(INFINITY) == infinity);
    CHECK(std::isnan(value(bits(NAN))));
  }
}

TEST_CASE("vector operations work lane by lane, predicates switch lanes off", "[ir][evaluate]") {
  const Run run = RunText(R"(program p(A: f32[8], O: f32[8]) {
    O[ramp(0, 2, 4); ramp(0, 1, 4) < broadcast(3, 4)] = A[ramp(7, -1, 4)] * broadcast(2.0, 4)
    O[ramp(1, 2, 4)] = A[ramp(100, -50, 4); ramp(100, -50, 4) == broadcast(0, 4)]
  })",
                          {{0, 1, 2, 3, 4, 5, 6, 7}, {9, 9, 9, 9, 9, 9, 9, 9}});
  REQUIRE(run.status == absl::OkStatus());
  CHECK(run.values[1] == Values{14, 0, 12, 0, 10, 0, 9, 0});
}

TEST_CASE("lanes of a vector are combined to one number", "[ir][evaluate]") {
  const Run run = RunText(R"(program p(A: f32[5], B: i8[5], F: f32[4], I: i8[4]) {
    F[0] = call(f32, "reduce_add", A[ramp(0, 1, 5)])
    F[1] = call(f32, "reduce_mul", A[ramp(0, 1, 5)])
    F[2] = call(f32, "reduce_max", A[ramp(0, 1, 5)])
    F[3] = call(f32, "reduce_min", A[ramp(0, 1, 5)])
    I[0] = call(i8, "reduce_add", B[ramp(0, 1, 5)])
    I[1] = call(i8, "reduce_mul", B[ramp(0, 1, 5)])
    I[2] = call(i8, "reduce_max", B[ramp(0, 1, 5)])
    I[3] = call(i8, "reduce_min", B[ramp(0, 1, 5)]) })",
                          {{3, -2, 0.5, 8, 1}, {100, 100, -3, 2, 1}, {}, {}});
  REQUIRE(run.status == absl::OkStatus());
  CHECK(run.values[2] == Values{10.5, -24, 8, -2});
  CHECK(run.values[3] == Values{-56, -96, 100, -3});
}

TEST_CASE("lanes of several vectors are taken in turn", "[ir][evaluate]") {
  const Run run = RunText(R"(program p(A: f32[6], B: i8[8], F: f32[6], I: i8[8]) {
    F[ramp(0, 1, 6)] = call(f32x6, "interleave", A[ramp(0, 1, 3)], A[ramp(3, 1, 3)])
    I[ramp(0, 1, 8)] = call(i8x8, "interleave", B[ramp(0, 1, 2)], B[ramp(2, 1, 2)],
                            B[ramp(4, 1, 2)], B[ramp(6, 1, 2)]) })",
                          {{0, 1, 2, 3, 4, 5}, {0, 1, 2, 3, 4, 5, 6, 7}, {}, {}});
  REQUIRE(run.status == absl::OkStatus());
  CHECK(run.values[2] == Values{0, 3, 1, 4, 2, 5});
  CHECK(run.values[3] == Values{0, 2, 4, 6, 1, 3, 5, 7});
}

TEST_CASE("a vector store reads all lanes before it writes one", "[ir][evaluate]") {
  const Run run =
      RunText("program p(A: i32[5]) { A[ramp(1, 1, 4)] = A[ramp(0, 1, 4)] }", {{1, 2, 3, 4, 5}});
  CHECK(run.values[0] == Values{1, 1, 2, 3, 4});
}

TEST_CASE("select evaluates only the side it takes", "[ir][evaluate]") {
  const Run run = RunText(R"(program p(A: i32[4], O: i32[6]) {
    for i in [0, 6) { O[i] = select(i < 4, A[i], -1:i32) } })",
                          {{5, 6, 7, 8}, {}});
  REQUIRE(run.status == absl::OkStatus());
  CHECK(run.values[1] == Values{5, 6, 7, 8, -1, -1});
}

TEST_CASE("math functions are rounded to the type", "[ir][evaluate]") {
  CHECK(Value("f32", "exp(1.0)") == static_cast<float>(std::exp(1.0)));
  CHECK(Value("f64", "rsqrt(4.0:f64)") == 0.5);
  CHECK(Value("f64", "sigmoid(0.0:f64)") == 0.5);
  CHECK(Value("f32", "round(2.5)") == 2);
  CHECK(Value("f32", "pow(2.0, 10.0)") == 1024);
  CHECK(Value("i32", "abs(-7:i32)") == 7);
}

struct Failing {
  const char* body;
  absl::StatusCode code;
  const char* message;
};

TEST_CASE("what goes wrong is told with the access and the loop values", "[ir][evaluate]") {
  const Failing cases[] = {
      {"for i in [0, 9) { O[0] = A[i * 2 + 1] }", absl::StatusCode::kOutOfRange,
       "A[i * 2 + 1] (i=4): index 9 is outside the 8 stored elements of A"},
      {"for i in [0, 9) { O[i - 1] = 1.0 }", absl::StatusCode::kOutOfRange,
       "O[i - 1] (i=0): index -1"},
      {"M[1, 4] = 1.0", absl::StatusCode::kOutOfRange, "index 4 of dimension 1 is outside 0..3"},
      {"allocate t: f32[4] local { t[1] = 1.0 O[0] = t[2] }", absl::StatusCode::kFailedPrecondition,
       "stored element 2 of t is read before it is written"},
      // Sums with it are worth as little, and so is a place that held a value.
      {"allocate t: f32[4] local { t[1] = 1.0 t[1] = t[2] + 1.0 O[0] = t[1] }",
       absl::StatusCode::kFailedPrecondition, "t[1]: stored element 1 of t is read before"},
      {"allocate t: f32[4] workspace { t[1] = t[2] }", absl::StatusCode::kFailedPrecondition,
       "stored element 2 of t is read before it is written"},
      {"allocate t: i32[4] local { if t[2] == 0:i32 { O[0] = 1.0 } }",
       absl::StatusCode::kFailedPrecondition, "stored element 2 of t is read before"},
      {"for i in [0, 2) { O[0] = cast(f32, 7 / (i - 1)) }", absl::StatusCode::kInvalidArgument,
       "(i=1): division by zero"},
      {"O[0] = mystery(A[0])", absl::StatusCode::kUnimplemented, "mystery"},
      {"async_copy(t, O[4], A[0], 5)", absl::StatusCode::kOutOfRange,
       "outside the 8 stored elements"},
  };
  for (const Failing& failing : cases) {
    CAPTURE(failing.body);
    const Run run =
        RunText(std::string("program p(A: f32[8], M: f32[2, 4], O: f32[8]) {") + failing.body + "}",
                {{}, {}, {}});
    CHECK(run.status.code() == failing.code);
    const std::string message(run.status.message());
    CAPTURE(message);
    CHECK(message.find(failing.message) != std::string::npos);
  }
}

TEST_CASE("lanes that don't count may carry what was not written", "[ir][evaluate]") {
  const Run run = RunText(R"(program p(O: f32[4]) { allocate t: f32[4] local {
    for i in [0, 3) { t[i] = 1.0 }
    t[ramp(0, 1, 4)] = t[ramp(0, 1, 4)] + broadcast(2.0, 4)
    for i in [0, 3) { O[i] = t[i] } } })",
                          {{}});
  REQUIRE(run.status.ok());
  CHECK(run.values[0] == std::vector<double>{3, 3, 3, 0});
}

TEST_CASE("contents of an allocation do not outlive it", "[ir][evaluate]") {
  const Run run = RunText(R"(program p(O: f32[2]) { for i in [0, 2) { allocate t: f32[1] local {
    if i == 0 { t[0] = 1.0 }
    O[i] = t[0] } } })",
                          {{}});
  CHECK(run.status.code() == absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("buffers of the wrong number or size are refused", "[ir][evaluate]") {
  const auto program = ParseProgram("program p(A: f32[8]) {}");
  REQUIRE(program.ok());
  std::vector<std::byte> small(31);
  const absl::Span<std::byte> spans[] = {absl::MakeSpan(small)};
  const absl::Status status = Evaluate(*program, spans);
  CHECK(std::string(status.message()).find("31 bytes, its type and layout need 32") !=
        std::string::npos);
  CHECK(!Evaluate(*program, {}).ok());
}

TEST_CASE("an asynchronous copy moves stored elements at once", "[ir][evaluate]") {
  const Run run = RunText(R"(program p(A: f16[8], O: f16[8]) { allocate t: f16[4] shared {
    async_copy(c, t[0], A[2], 4)
    async_wait(c)
    for i in [0, 4) { O[i] = t[i] } } })",
                          {{0, 1, 2, 3, 4, 5, 6, 7}, {}});
  REQUIRE(run.status == absl::OkStatus());
  CHECK(run.values[1] == Values{2, 3, 4, 5, 0, 0, 0, 0});
}

TEST_CASE("the evaluator runs a product of 128³ in a moment", "[ir][evaluate]") {
  const absl::Duration begin = test::ThreadCpuTime();
  const Run run =
      RunText(R"(program p(A: f32[128, 128], B: f32[128, 128], C: f32[128, 128]) {
    for i in [0, 128) { for j in [0, 128) {
      C[i, j] = 0.0
      for k in [0, 128) { C[i, j] = C[i, j] + A[i, k] * B[k, j] } } } })",
              {std::vector<double>(128 * 128, 1), std::vector<double>(128 * 128, 2), {}});
  const double seconds = absl::ToDoubleSeconds(test::ThreadCpuTime() - begin);
  REQUIRE(run.status == absl::OkStatus());
  CHECK(run.values[2][77] == 256);
  // Six operations an iteration (three reads, multiply, add, write).
  WARN("evaluator: " << 6 * 128.0 * 128 * 128 / seconds / 1e6 << " million operations/s");
  // The same by the compiler of this test, with every access through memory.
  static volatile float a[128 * 128], b[128 * 128], c[128 * 128];
  const absl::Duration plain_begin = test::ThreadCpuTime();
  for (int i = 0; i < 128; ++i) {
    for (int j = 0; j < 128; ++j) {
      for (int k = 0; k < 128; ++k) {
        c[i * 128 + j] = c[i * 128 + j] + a[i * 128 + k] * b[k * 128 + j];
      }
    }
  }
  const double plain_seconds = absl::ToDoubleSeconds(test::ThreadCpuTime() - plain_begin);
  CAPTURE(seconds, plain_seconds);
  CHECK(seconds < 300 * plain_seconds);
}

}  // namespace
}  // namespace tessera::ir
