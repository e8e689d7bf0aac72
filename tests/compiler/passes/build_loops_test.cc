#include <catch2/catch.hpp>
#include <map>
#include <string>

#include "compiler/ir/visitor.h"
#include "compiler/te/operators.h"
#include "tests/support/lower_schedule.h"

namespace tessera::passes {
namespace {

// The layouts of all memory that `trace` makes allocated.
std::map<std::string, std::string> LayoutsOf(std::string_view trace) {
  const te::Workload workload =
      te::MakeWorkload({"c", "matmul", {{"m", "8"}, {"n", "64"}, {"k", "16"}, {"relu", "true"}}})
          .value();
  const auto candidate = LowerTrace(workload, schedule::ParseTrace(trace).value());
  REQUIRE(candidate.ok());
  class Collector final : public ir::Visitor {
   public:
    std::map<std::string, std::string> layouts;

   private:
    void VisitAllocate(const ir::Allocate& node) override {
      layouts[node.buffer->name] = ir::LayoutToString(node.buffer->layout, node.buffer->shape);
      ir::Visitor::VisitAllocate(node);
    }
  };
  Collector collector;
  collector.Visit(candidate->program.body);
  return collector.layouts;
}

TEST_CASE("a stage inside of another keeps the storage order that was set for it", "[passes]") {
  const std::string attached =
      "trace 1\nsplit relu m 4\nsplit relu n 32\nreorder relu m.0 n.0 m.1 n.1\n"
      "compute_at matmul relu n.0\n";
  CHECK(LayoutsOf(attached).at("matmul") == "0 1");
  CHECK(LayoutsOf(attached + "layout matmul 1 0\n").at("matmul") == "1 0");
  CHECK(LayoutsOf(attached + "layout matmul 1/16 0 1%16\n").at("matmul") == "1/16 0 1%16");
}

TEST_CASE("copies of what has one dimension are refused", "[passes]") {
  const te::Workload workload =
      te::MakeWorkload({"c", "dense", {{"m", "8"}, {"n", "16"}, {"k", "4"}, {"bias", "true"}}})
          .value();
  const auto candidate =
      LowerTrace(workload, schedule::ParseTrace("trace 1\nlayout Bias 0/4%4 0/16+1 0%4\n").value());
  CHECK_THAT(std::string(candidate.status().message()),
             Catch::Contains("layout Bias: loops read what has one dimension in order"));
}

}  // namespace
}  // namespace tessera::passes
