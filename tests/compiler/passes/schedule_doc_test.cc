// Runs the examples of docs/schedule.md: every trace applies, gives the loops that the text shows,
// and computes what its operator says.

#include <catch2/catch.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "compiler/ir/print.h"
#include "compiler/ir/simplify.h"
#include "compiler/passes/build_loops.h"
#include "compiler/passes/lower.h"
#include "compiler/te/operators.h"
#include "tests/support/lower_schedule.h"
#include "tests/support/reference_check.h"
#include "tests/support/source_file.h"

namespace tessera {
namespace {

// A fenced block: its info line and its text.
struct Fence {
  std::string info;
  std::string text;
};

std::vector<Fence> ReadFences(const std::string& document) {
  std::istringstream text(document);
  std::vector<Fence> fences;
  bool inside = false;
  for (std::string line; std::getline(text, line);) {
    if (absl::StartsWith(line, "```")) {
      inside = !inside;
      if (inside) fences.push_back({line.substr(3), ""});
    } else if (inside) {
      fences.back().text += line + "\n";
    }
  }
  return fences;
}

struct Example {
  te::Workload workload;
  schedule::Schedule schedule;
  schedule::LoopStructure loops;
};

// `info`: "trace matmul m=8 n=32 k=16".
absl::StatusOr<Example> MakeExample(const std::string& info, const std::string& trace_text) {
  te::OpSpec spec;
  const std::vector<std::string> words = absl::StrSplit(info, ' ');
  spec.name = spec.op = words.at(1);
  for (size_t i = 2; i < words.size(); ++i) {
    const size_t equals = words[i].find('=');
    spec.attributes[words[i].substr(0, equals)] = words[i].substr(equals + 1);
  }
  TESSERA_ASSIGN_OR_RETURN(te::Workload workload, te::MakeWorkload(spec));
  TESSERA_ASSIGN_OR_RETURN(const schedule::Trace trace, schedule::ParseTrace(trace_text));
  TESSERA_ASSIGN_OR_RETURN(schedule::Schedule schedule, schedule::ApplyTrace(workload.dag, trace));
  TESSERA_ASSIGN_OR_RETURN(schedule::LoopStructure loops, schedule::InferBounds(schedule));
  return Example{std::move(workload), std::move(schedule), std::move(loops)};
}

TEST_CASE("the examples of docs/schedule.md do what the text shows", "[passes][docs]") {
  const std::vector<Fence> fences = ReadFences(ReadSourceFile("docs/schedule.md"));
  std::optional<Example> example;
  int examples = 0;
  for (const Fence& fence : fences) {
    CAPTURE(fence.info, fence.text);
    if (absl::StartsWith(fence.info, "trace ")) {
      absl::StatusOr<Example> made = MakeExample(fence.info, fence.text);
      REQUIRE(made.status() == absl::OkStatus());
      example = *std::move(made);
      ++examples;
      const auto lowered = passes::LowerSchedule(example->schedule);
      REQUIRE(lowered.ok());
      const auto expected = te::ComputeExpected(example->workload, 1);
      REQUIRE(expected.ok());
      CHECK(te::CheckAgainst(example->workload, *expected, *lowered, ir::Evaluate) ==
            absl::OkStatus());
    } else if (fence.info == "loops") {
      REQUIRE(example.has_value());
      const auto built = passes::BuildLoops(example->schedule, example->loops, "example");
      REQUIRE(built.ok());
      CHECK(ir::Print(ir::Simplify(built->body)) == fence.text);
    } else if (fence.info == "lowered") {
      REQUIRE(example.has_value());
      const auto lowered = passes::Lower(example->schedule, example->loops, "example");
      REQUIRE(lowered.ok());
      CHECK(ir::Print(lowered->body) == fence.text);
    }
  }
  CHECK(examples >= 10);
}

}  // namespace
}  // namespace tessera
