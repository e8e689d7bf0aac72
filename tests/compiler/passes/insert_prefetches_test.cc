#include "compiler/passes/insert_prefetches.h"

#include <catch2/catch.hpp>
#include <string>

#include "base/view.h"
#include "compiler/ir/print.h"
#include "compiler/te/operators.h"
#include "tests/support/lower_schedule.h"

namespace tessera::passes {
namespace {

std::string Lowered(std::string_view steps) {
  const te::Workload workload =
      *te::MakeWorkload({"p", "matmul", {{"m", "8"}, {"n", "64"}, {"k", "16"}, {"relu", "true"}}});
  const schedule::Trace trace = *schedule::ParseTrace(absl::StrCat("trace 1\n", AbslView(steps)));
  const absl::StatusOr<te::Candidate> candidate = LowerTrace(workload, trace);
  REQUIRE(candidate.ok());
  return ir::Print(candidate->program);
}

int Count(const std::string& text, std::string_view what) {
  int count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

constexpr std::string_view kTile =
    "layout B 1/32 0 1%32\nsplit matmul m 4\nsplit matmul n 2 16\n"
    "reorder matmul m.0 n.0 k m.1 n.1 n.2\nunroll matmul m.1\nunroll matmul n.1\n"
    "vectorize matmul n.2\n";

TEST_CASE("a vector that the rows of a tile share is fetched once an iteration", "[passes]") {
  const std::string text = Lowered(absl::StrCat(AbslView(kTile), "prefetch matmul 3\n"));
  CAPTURE(text);
  CHECK(Count(text, "prefetch") == 2);  // two vectors of B, four rows
  CHECK(Count(text, "\"prefetch\", A") == 0);
}

TEST_CASE("without the step, and for stages that load no vectors, nothing is fetched", "[passes]") {
  CHECK(Count(Lowered(kTile), "prefetch") == 0);
  CHECK(Count(Lowered("prefetch matmul 1\n"), "prefetch") == 0);
}

TEST_CASE("only the stage's own loops fetch ahead", "[passes]") {
  const std::string text =
      Lowered(absl::StrCat(AbslView(kTile), "vectorize relu n\nprefetch relu 1\n"));
  CAPTURE(text);
  CHECK(Count(text, "\"prefetch\", B") == 0);
}

}  // namespace
}  // namespace tessera::passes
