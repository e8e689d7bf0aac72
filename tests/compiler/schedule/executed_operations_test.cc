#include "compiler/schedule/executed_operations.h"

#include <catch2/catch.hpp>

#include "compiler/te/operators.h"

namespace tessera::schedule {
namespace {

TEST_CASE("a trace executes what its algorithm computes at each call", "[schedule]") {
  const te::OpSpec spec{
      "conv",
      "conv2d",
      {{"ic", "64"}, {"oc", "64"}, {"size", "16"}, {"k", "3"}, {"pad", "1"}, {"relu", "true"}}};
  const auto workload = te::MakeWorkload(spec);
  REQUIRE(workload.ok());
  const auto count = [&](const char* text) {
    const auto trace = ParseTrace(text);
    REQUIRE(trace.ok());
    const auto operations = ExecutedOperations(workload->dag, *trace);
    REQUIRE(operations.ok());
    return static_cast<double>(*operations);
  };
  const double direct = count("trace 1\ninline pad\n");
  CHECK(direct == static_cast<double>(te::ExecutedOperations(workload->dag)));
  // The products: 16 positions of 8 × 8 tiles, or 36 of 4 × 4, multiply and add over 64 channels.
  const double f2 = 2.0 * 16 * 64 * 64 * 64, f4 = 2.0 * 36 * 16 * 64 * 64;
  const double two = count("trace 1\nwinograd conv 2\n"),
               four = count("trace 1\nwinograd conv 4\n");
  CHECK(two > f2);
  CHECK(two < 1.25 * f2);  // and the transforms of inputs and outputs, not of filters
  CHECK(four > f4);
  CHECK(four < 1.4 * f4);
  CHECK(four < two);
  CHECK(two < direct);
  CHECK(count("trace 1\ncache_write conv\nwinograd conv.local 4\n") == four);
}

TEST_CASE("operations of a step that can't be applied are refused", "[schedule]") {
  const auto workload = te::MakeWorkload({"mm", "matmul", {{"m", "4"}, {"n", "4"}, {"k", "4"}}});
  REQUIRE(workload.ok());
  const auto trace = ParseTrace("trace 1\nwinograd matmul 2\n");
  REQUIRE(trace.ok());
  CHECK(absl::IsInvalidArgument(ExecutedOperations(workload->dag, *trace).status()));
}

}  // namespace
}  // namespace tessera::schedule
