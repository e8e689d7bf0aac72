#include "compiler/vta/kernels.h"

#include <catch2/catch.hpp>
#include <string>

#include "compiler/vta/code_text.h"
#include "tests/compiler/vta/code_examples.h"

namespace tessera::vta {
namespace {

TEST_CASE("each program of an artifact is found by its name", "[vta]") {
  const Code one = ProductCode(2, 3, 4, 1), other = ProductCode(5, 1, 1, 2);
  const std::string source = PrintKernels({{"one", one}, {"other", other}});
  for (const auto& [name, code] : {std::pair{"one", one}, {"other", other}}) {
    CAPTURE(name);
    const auto text = FindKernel(source, name);
    REQUIRE(text.ok());
    CHECK(ParseCode(*text, 3).value() == code);
  }
}

TEST_CASE("a program that an artifact does not have, or has twice, is not found", "[vta]") {
  const auto fault = [](std::string_view source, std::string_view name) {
    const absl::Status status = FindKernel(source, name).status();
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  for (const char* source : {"", "kernel", "kernel a", "kernel ab\nx\n", "x\nkernel b\n"}) {
    CAPTURE(source);
    CHECK_THAT(fault(source, "b"), Catch::Contains("there is no kernel b"));
  }
  CHECK_THAT(fault("kernel a\nkernel b\nx\nkernel a\ny\n", "a"),
             Catch::Contains("there are two kernels a"));
  CHECK(FindKernel("kernel a", "a").value() == "");
  CHECK(FindKernel("kernel a\nkernel b\nx\n", "a").value() == "");
  CHECK(FindKernel("kernel a\nkernel b\nx\n", "b").value() == "x\n");
}

}  // namespace
}  // namespace tessera::vta
