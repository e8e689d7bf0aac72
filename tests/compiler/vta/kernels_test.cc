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
  const auto kernels = SplitKernels(source);
  REQUIRE(kernels.ok());
  CHECK(kernels->size() == 2);
  CHECK(ParseCode(kernels->at("one"), 3).value() == one);
  CHECK(ParseCode(kernels->at("other"), 3).value() == other);
}

TEST_CASE("kernels may be empty, and an artifact may have none", "[vta]") {
  using Kernels = std::map<std::string_view, std::string_view>;
  CHECK(SplitKernels("").value().empty());
  CHECK(SplitKernels("kernel a").value() == Kernels{{"a", ""}});
  CHECK(SplitKernels("kernel a\nkernel b\nx\n").value() == Kernels{{"a", ""}, {"b", "x\n"}});
}

TEST_CASE("an artifact with a program twice, or text that is of none, is refused", "[vta]") {
  const auto fault = [](std::string_view source) {
    const absl::Status status = SplitKernels(source).status();
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  CHECK_THAT(fault("kernel a\nkernel b\nx\nkernel a\ny\n"),
             Catch::Contains("there are two kernels a"));
  CHECK_THAT(fault("x\nkernel b\n"), Catch::Contains("\"x\" stands where"));
  CHECK_THAT(fault("kernel"), Catch::Contains("\"kernel\" stands where"));
}

}  // namespace
}  // namespace tessera::vta
