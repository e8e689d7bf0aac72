#include "compiler/codegen/gpu/async_copies.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "compiler/ir/evaluate.h"
#include "compiler/ir/parse.h"
#include "compiler/ir/print.h"
#include "compiler/ir/verify.h"

namespace tessera::codegen::gpu {
namespace {

// Four threads copy 16 chunks of four, each one turn ahead, and read what others copied.
constexpr char kProgram[] = R"(program p(B: f32[64], C: f32[64], O: f32[64]) {
  for t in [0, 4) thread(thread.x) {
    allocate S: f32[8] shared doubled {
      S[t] = B[t]
      barrier(shared)
      for k in [0, 16) {
        allocate next: f32[1] local {
          if k < 15 {
            next[0] = B[k * 4 + t + 4]
          }
          O[k * 4 + t] = S[k % 2 * 4 + 3 - t]
          if k < 15 {
            S[(k + 1) % 2 * 4 + t] = next[0]
          }
          barrier(shared)
        }
      }
    }
  }
})";

ir::Program Parsed(const std::string& text) {
  const auto program = ir::ParseProgram(text);
  INFO(program.status());
  REQUIRE(program.ok());
  return *program;
}

ir::Program Copied(const ir::Program& program) {
  const ir::Program copied{program.name, program.params, CopyAsynchronously(program.body)};
  INFO(ir::Print(copied));
  CHECK(ir::Verify(copied) == absl::OkStatus());
  return copied;
}

std::vector<float> OutputOf(const ir::Program& program) {
  std::vector<std::vector<float>> buffers(3, std::vector<float>(64));
  for (size_t i = 0; i < 64; ++i) buffers[0][i] = static_cast<float>(i);
  std::vector<absl::Span<std::byte>> spans;
  for (std::vector<float>& buffer : buffers) {
    spans.emplace_back(reinterpret_cast<std::byte*>(buffer.data()), buffer.size() * sizeof(float));
  }
  CHECK(ir::Evaluate(program, spans) == absl::OkStatus());
  return buffers[2];
}

TEST_CASE("what threads load ahead goes straight to the other half", "[gpu]") {
  const ir::Program program = Parsed(kProgram);
  const ir::Program copied = Copied(program);
  const std::string text = ir::Print(copied);
  INFO(text);
  const std::string expected = R"(      async_copy(copies, S[t], B[t], 1)
      async_wait(copies)
      barrier(shared)
      for k in [0, 16) {
        if k < 15 {
          async_copy(copies, S[(k + 1) % 2 * 4 + t], B[k * 4 + t + 4], 1)
        }
        O[k * 4 + t] = S[k % 2 * 4 + 3 - t]
        async_wait(copies)
        barrier(shared)
      }
)";
  CHECK(absl::StrContains(text, expected));
  CHECK(OutputOf(copied) == OutputOf(program));
}

TEST_CASE("what is filled in is stored where it would have been copied", "[gpu]") {
  const std::string load = "next[0] = B[k * 4 + t + 4]";
  for (const std::string filling :
       {"if k * 4 + t < 40 {\n next[0] = B[k * 4 + t + 4]\n } else {\n next[0] = 1.0\n }\n",
        "next[0] = select(k * 4 + t < 40, B[k * 4 + t + 4], 1.0)\n"}) {
    const ir::Program program = Parsed(absl::StrReplaceAll(kProgram, {{load, filling}}));
    const ir::Program copied = Copied(program);
    const std::string text = ir::Print(copied);
    INFO(text);
    CHECK_FALSE(absl::StrContains(text, "next"));
    CHECK(absl::StrContains(text, "S[(k + 1) % 2 * 4 + t] = 1.0"));
    CHECK(OutputOf(copied) == OutputOf(program));
  }
}

TEST_CASE("a chunk goes through registers where no copy is as good", "[gpu]") {
  const std::vector<std::pair<std::string, std::string>> changes = {
      {"f32", "f16"},                                                // two bytes
      {"B[k * 4 + t + 4]", "B[k * 4 + t + 4] * 2.0"},                // computed
      {"O[k * 4 + t] = S", "O[k * 4 + t] = next[0] + S"},            // used otherwise
      {"O[k * 4 + t] = S", "B[k * 4 + t] = 0.0\nO[k * 4 + t] = S"},  // written by the kernel
      {"if k < 15 {\n            S", "if k < 14 {\n            S"},  // not always stored
      {"S[(k + 1) % 2 * 4 + t] = n", "S[(k + 1) % 2 * 4 + t + cast(i64, C[0])] = n"},
      {" doubled", ""},
  };
  for (const auto& [from, to] : changes) {
    CAPTURE(from, to);
    std::string text = kProgram;
    REQUIRE(absl::StrContains(text, from));
    text = absl::StrReplaceAll(text, {{from, to}});
    const std::string copied = ir::Print(Copied(Parsed(text)));
    INFO(copied);
    CHECK(absl::StrContains(copied, "] = next[0]"));
  }
}

TEST_CASE("neighbours are copied together where both addresses allow it", "[gpu]") {
  CHECK(AsyncCopyBytes(16, 64, 16) == 16);
  CHECK(AsyncCopyBytes(32, 16, 64) == 16);
  CHECK(AsyncCopyBytes(16, 16, 4) == 4);
  CHECK(AsyncCopyBytes(8, 64, 64) == 8);
  CHECK(AsyncCopyBytes(4, 4, 4) == 4);
  CHECK(AsyncCopyBytes(2, 64, 64) == 0);
  CHECK(AsyncCopyBytes(4, 2, 64) == 0);
  CHECK(AsyncCopyBytes(12, 64, 64) == 4);
}

}  // namespace
}  // namespace tessera::codegen::gpu
