#include <catch2/catch.hpp>

#include "base/rng.h"
#include "compiler/vta/text.h"
#include "tests/compiler/vta/code_examples.h"
#include "tests/compiler/vta/run_code.h"

namespace tessera::vta {
namespace {

constexpr Timing kNoPipelines = {.gemm_depth = 1, .alu_depth = 1};

std::vector<uint8_t> RandomBytes(Rng& rng, int64_t count) {
  std::vector<uint8_t> bytes(static_cast<size_t>(count));
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.Below(256));
  return bytes;
}

TEST_CASE("a product of matrices is expanded and computed", "[vta]") {
  Rng rng(1);
  const int64_t rows = 5, columns = 3, depth = 4;
  const Buffers given = {RandomBytes(rng, rows * depth * 16),
                         RandomBytes(rng, columns * depth * 256),
                         RandomBytes(rng, rows * columns * 16)};
  for (const int64_t copies : {1, 2, 3}) {
    CAPTURE(copies);
    const Code code = ProductCode(rows, columns, depth, copies);
    Buffers found = given, expected = given;
    const auto report = SimulateCode(code, kNoPipelines, found);
    INFO(PrintAll(Expand(code, given).program));
    INFO(report.status());
    REQUIRE(report.ok());
    Interpret(code, expected);
    CHECK(found == expected);
    CHECK(found != given);
  }
}

}  // namespace
}  // namespace tessera::vta
