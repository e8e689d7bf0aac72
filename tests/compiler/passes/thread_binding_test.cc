#include <catch2/catch.hpp>
#include <map>
#include <string>

#include "compiler/ir/parse.h"
#include "compiler/ir/print.h"
#include "compiler/ir/verify.h"
#include "compiler/ir/visitor.h"
#include "tests/support/lower_schedule.h"
#include "tests/support/thread_traces.h"
#include "tests/support/workloads.h"

namespace tessera::passes {
namespace {

te::Workload Product() {
  return te::MakeWorkload(
             {"c",
              "matmul",
              {{"m", "40"}, {"n", "36"}, {"k", "20"}, {"b", "input"}, {"relu", "true"}}})
      .value();
}

TEST_CASE("threads share operands, and meet where they hand them over", "[passes]") {
  const te::Workload workload = Product();
  const auto trace = schedule::ParseTrace(kSharedProduct);
  REQUIRE(trace.ok());
  const auto candidate = LowerTrace(workload, *trace);
  INFO(candidate.status());
  REQUIRE(candidate.ok());
  const std::string text = ir::Print(candidate->program);
  INFO(text);
  const te::Expected expected = te::ComputeExpected(workload, 1).value();
  CHECK(te::CheckAgainst(workload, expected, *candidate, ir::Evaluate) == absl::OkStatus());
}

// The program without its `index`-th barrier.
ir::Program WithoutBarrier(const ir::Program& program, int index) {
  class Remover final : public ir::Mutator {
   public:
    explicit Remover(int index) : left_(index) {}

   private:
    ir::Stmt MutateBarrier(const ir::Barrier&, const ir::Stmt& self) override {
      return left_-- == 0 ? ir::Stmt() : self;
    }
    int left_;
  };
  return {program.name, program.params, Remover(index).Mutate(program.body)};
}

TEST_CASE("each barrier is needed: without it the evaluator finds a race", "[passes]") {
  const te::Workload workload = Product();
  te::Candidate candidate =
      LowerTrace(workload, schedule::ParseTrace(kSharedProduct).value()).value();
  const te::Expected expected = te::ComputeExpected(workload, 1).value();
  int barriers = 0;
  ir::ForEach<ir::Barrier>(candidate.program.body, [&](const ir::Barrier&) { ++barriers; });
  REQUIRE(barriers == 2);
  const ir::Program whole = candidate.program;
  for (int i = 0; i < barriers; ++i) {
    candidate.program = WithoutBarrier(whole, i);
    const absl::Status status = te::CheckAgainst(workload, expected, candidate, ir::Evaluate);
    CAPTURE(i, status);
    CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
    CHECK_THAT(std::string(status.message()), Catch::Contains("without a barrier"));
  }
}

// Lowers steps after those of kSharedProduct, and checks what the program computes.
te::Candidate LowerShared(const te::Workload& workload, const std::string& steps) {
  const auto candidate = LowerTrace(workload, schedule::ParseTrace(kSharedProduct + steps).value());
  INFO(candidate.status());
  REQUIRE(candidate.ok());
  const te::Expected expected = te::ComputeExpected(workload, 1).value();
  INFO(ir::Print(candidate->program));
  CHECK(te::CheckAgainst(workload, expected, *candidate, ir::Evaluate) == absl::OkStatus());
  return *candidate;
}

TEST_CASE("only loops in order have turns that memory is doubled for", "[passes]") {
  const std::string steps = "unroll matmul k.0\ndouble_buffer matmul.A\n";
  const absl::Status status =
      LowerTrace(Product(), schedule::ParseTrace(kSharedProduct + steps).value()).status();
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(std::string(status.message()), Catch::Contains("only loops in order have turns"));
}

TEST_CASE("chunks are loaded ahead into a second half, with one barrier a turn", "[passes]") {
  const te::Workload workload = Product();
  for (const std::string steps :
       {"double_buffer matmul.A\ndouble_buffer matmul.B\n", "double_buffer matmul.B\n",
        "layout matmul.A 0 1+4\ndouble_buffer matmul.A\n"}) {
    CAPTURE(steps);
    te::Candidate candidate = LowerShared(workload, steps);
    const ir::Program whole = candidate.program;
    int barriers = 0;
    ir::ForEach<ir::Barrier>(whole.body, [&](const ir::Barrier&) { ++barriers; });
    const te::Expected expected = te::ComputeExpected(workload, 1).value();
    REQUIRE(barriers >= 2);
    // Those of memory that is not doubled come between its turns, too.
    if (steps.find("double_buffer matmul.A\ndouble_buffer matmul.B") == steps.npos) continue;
    for (int i = 0; i < 2; ++i) {
      candidate.program = WithoutBarrier(whole, i);
      const absl::Status status = te::CheckAgainst(workload, expected, candidate, ir::Evaluate);
      CAPTURE(i, status);
      CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
    }
  }
  for (const std::string steps : {"double_buffer matmul\n", "double_buffer relu\n",
                                  "double_buffer matmul.A\ndouble_buffer matmul.A\n"}) {
    CHECK_FALSE(LowerTrace(workload, schedule::ParseTrace(kSharedProduct + steps).value()).ok());
  }
}

TEST_CASE("gaps behind rows of shared memory are allocated", "[passes]") {
  const te::Candidate candidate =
      LowerShared(Product(), "layout matmul.A 0 1+4\nlayout matmul.B 1+1 0\n");
  std::map<std::string, int64_t> stored;
  ir::ForEach<ir::Allocate>(candidate.program.body, [&](const ir::Allocate& node) {
    stored[node.buffer->name] = node.buffer->StoredElementCount();
  });
  CHECK(stored["matmul.A"] == 16 * (4 + 4));
  CHECK(stored["matmul.B"] == (32 + 1) * 4);
  CHECK_FALSE(
      LowerTrace(Product(), schedule::ParseTrace("trace 1\nlayout B 0 1+4\n").value()).ok());
}

TEST_CASE("a chunk beyond the end of a sum is filled up, and its terms are not tested",
          "[passes]") {
  const te::Workload workload =
      te::MakeWorkload({"c",
                        "matmul",
                        {{"m", "40"}, {"n", "36"}, {"k", "18"}, {"b", "input"}, {"relu", "true"}}})
          .value();
  const te::Candidate candidate = LowerShared(workload, "");
  int tested = 0, filled = 0;
  ir::ForEach<ir::If>(candidate.program.body, [&](const ir::If& node) {
    ir::ForEach<ir::Store>(node.then_body, [&](const ir::Store& store) {
      tested += store.buffer->scope == ir::Scope::kLocal ? 1 : 0;
    });
    filled += node.else_body ? 1 : 0;
  });
  INFO(ir::Print(candidate.program));
  CHECK(tested == 0);
  CHECK(filled > 0);
}

TEST_CASE("a barrier that some threads may not reach is refused", "[passes]") {
  const auto program = ir::ParseProgram(
      "program p(O: f32[8]) { for t in [0, 8) thread(thread.x) {"
      " if t < 4 { barrier(shared) } O[t] = 1.0 } }");
  REQUIRE(program.ok());
  CHECK_THAT(std::string(ir::Verify(*program).message()), Catch::Contains("may not reach"));
  std::vector<std::byte> bytes(32);
  const absl::Status status = ir::Evaluate(*program, {absl::MakeSpan(bytes)});
  CHECK_THAT(std::string(status.message()), Catch::Contains("holds for 4 of 8 threads"));
}

TEST_CASE("what no loop over an axis has, its first thread stores", "[passes]") {
  const te::Workload workload = Product();
  const te::Expected expected = te::ComputeExpected(workload, 1).value();
  // The copy is shared out along y, the product, summed up in global memory, along x.
  const auto trace = schedule::ParseTrace(
      "trace 1\ncache_read A matmul\nbind matmul m block.x\nbind matmul n thread.x\n"
      "compute_at matmul.A matmul n\nbind matmul.A d1 thread.y\nbind relu m block.x\n");
  REQUIRE(trace.ok());
  const auto candidate = LowerTrace(workload, *trace);
  INFO(candidate.status());
  REQUIRE(candidate.ok());
  INFO(ir::Print(candidate->program));
  CHECK(te::CheckAgainst(workload, expected, *candidate, ir::Evaluate) == absl::OkStatus());
  int guards = 0;
  ir::ForEach<ir::If>(candidate->program.body, [&](const ir::If&) { ++guards; });
  CHECK(guards >= 2);
}

TEST_CASE("virtual threads share nothing of their own", "[passes]") {
  const te::Workload workload = Product();
  std::string text = kSharedProduct;
  text += "bind matmul k.1 virtual\n";
  CHECK_FALSE(LowerTrace(workload, schedule::ParseTrace(text).value()).ok());  // it reduces
  text = kSharedProduct;
  const std::string unroll = "unroll matmul n\n";
  text.replace(text.find(unroll), unroll.size(), "bind matmul n virtual\n");
  const auto candidate = LowerTrace(workload, schedule::ParseTrace(text).value());
  INFO(candidate.status());
  REQUIRE(candidate.ok());
  const te::Expected expected = te::ComputeExpected(workload, 1).value();
  CHECK(te::CheckAgainst(workload, expected, *candidate, ir::Evaluate) == absl::OkStatus());
}

TEST_CASE("loops bound in ways that no kernel has are refused", "[passes]") {
  const te::Workload workload = Product();
  const auto refusal = [&](const std::string& steps) {
    const auto trace = schedule::ParseTrace("trace 1\n" + steps);
    REQUIRE(trace.ok());
    return std::string(LowerTrace(workload, *trace).status().message());
  };
  CHECK_THAT(refusal("bind relu m thread.x\nbind relu n block.x\n"),
             Catch::Contains("loops over blocks have to be outermost"));
  CHECK_THAT(refusal("bind matmul k thread.x\n"), Catch::Contains("reduces; use rfactor"));
  CHECK_THAT(refusal("bind relu m thread.x\nbind relu n thread.x\n"),
             Catch::Contains("fuse the two"));
  // What the block shares has to be made by all of its threads, of which the inner loop has few.
  CHECK_THAT(refusal("cache_read A matmul\ncompute_at matmul relu n\n"
                     "split relu n 4\nbind relu n.0 thread.x\n"),
             Catch::Contains("no longer exists"));
}

}  // namespace
}  // namespace tessera::passes
