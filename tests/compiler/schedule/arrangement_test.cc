#include "compiler/schedule/arrangement.h"

#include <catch2/catch.hpp>
#include <string>

#include "compiler/te/operators.h"

namespace tessera::schedule {
namespace {

// Of the operator's sum.
Arrangement Arranged(const te::OpSpec& of, const ir::Target& target) {
  const auto workload = te::MakeWorkload(of);
  INFO(workload.status().message());
  REQUIRE(workload.ok());
  const Schedule schedule(workload->dag);
  const int sum = schedule.StageNamed(of.op == "matmul" ? "matmul" : "conv");
  REQUIRE(sum >= 0);
  return Arrange(schedule, sum, target);
}
te::OpSpec Product(int m, int n) {
  return {"op", "matmul", {{"m", std::to_string(m)}, {"n", std::to_string(n)}, {"k", "64"}}};
}
te::OpSpec Convolution(int channels, int size) {
  return {"op",
          "conv2d",
          {{"ic", "32"},
           {"oc", std::to_string(channels)},
           {"size", std::to_string(size)},
           {"k", "3"},
           {"pad", "1"}}};
}

}  // namespace

TEST_CASE("a product of one row has vectors side by side to accumulate", "[schedule]") {
  for (const char* isa : {"avx2", "avx512"}) {
    CAPTURE(isa);
    const ir::Target target = ir::X86Target(isa).value();
    const Arrangement made = Arranged(Product(1, 1024), target);
    REQUIRE(made.weights.has_value());
    CHECK(made.tile_axis == -1);
    CHECK(made.vectors >= 8);
  }
  CHECK(Arranged(Product(1, 1024), ir::X86Target("avx512").value()).vectors == 16);
}

TEST_CASE("accumulators and a row of weights fit the registers", "[schedule]") {
  for (const char* isa : {"sse4.2", "avx2", "avx512"}) {
    const ir::Target target = ir::X86Target(isa).value();
    for (const int rows : {7, 17, 49, 71, 128}) {
      for (const int columns : {16, 24, 58, 64, 96, 144, 1000}) {
        CAPTURE(isa, rows, columns);
        const Arrangement made = Arranged(Product(rows, columns), target);
        REQUIRE(made.weights.has_value());
        const int64_t accumulators = made.vectors * made.tile;
        CHECK(accumulators + std::min(made.vectors, made.tile) < target.vector_registers);
        CHECK((made.tile_axis >= 0) == (made.tile > 1));
        // 71 has no parts, and columns that fill no vectors of any size no edge beside their own.
        if (columns != 58 || rows != 71) CHECK(accumulators >= 6);
      }
    }
  }
}

TEST_CASE("prime extents are no single accumulators", "[schedule]") {
  const ir::Target target = ir::X86Target("avx512").value();
  const Arrangement whole = Arranged(Convolution(192, 17), target);
  CHECK(whole.tile == 17);
  const Arrangement parts = Arranged(Convolution(192, 71), target);
  CHECK(parts.tile * parts.vectors >= 14);
  // Of the last part hardly anything is beyond the edge.
  CHECK((71 + parts.tile - 1) / parts.tile * parts.tile <= 72);
}

TEST_CASE(
    "where lanes of the last vector are unused, vectors come one by one, of tiles that divide",
    "[schedule]") {
  const ir::Target target = ir::X86Target("avx512").value();
  for (const int channels : {24, 40, 58, 1000}) {
    CAPTURE(channels);
    const Arrangement made = Arranged(Convolution(channels, 28), target);
    CHECK(made.lanes == 16);
    CHECK(made.vectors == 1);
    CHECK(made.tile == 14);
  }
  // But one row has nothing else to accumulate than narrower vectors.
  const Arrangement row = Arranged(Product(1, 1000), target);
  CHECK(row.lanes == 8);
  CHECK(row.vectors >= 14);
}

TEST_CASE("rows of an operand that is computed are multiplied by tiles, too", "[schedule]") {
  const ir::Target target = ir::X86Target("avx512").value();
  const te::OpSpec product{
      "op", "batch_matmul", {{"batch", "12"}, {"m", "128"}, {"n", "64"}, {"k", "128"}}};
  const auto workload = te::MakeWorkload(product);
  INFO(workload.status().message());
  REQUIRE(workload.ok());
  const Schedule schedule(workload->dag);
  const Arrangement made =
      Arrange(schedule, static_cast<int>(schedule.stages().size()) - 1, target);
  CHECK(!made.weights.has_value());
  CHECK(made.tile * made.vectors >= 14);
  CHECK(made.vectors * made.lanes <= 64);
}

TEST_CASE("threads that share the loops all have a turn", "[schedule]") {
  ir::Target target = ir::X86Target("avx512").value();
  target.max_threads = 8;
  const Arrangement made = Arranged(Product(1, 1024), target);
  CHECK(1024 / (made.vectors * made.lanes) % 8 == 0);
}

}  // namespace tessera::schedule
