#include "compiler/graph/text.h"

#include <random>

#include "base/hash.h"
#include "tests/compiler/graph/run.h"

namespace tessera::graph {
namespace {

const char* const kText =
    "graph tiny\n"
    "input X: f32[1,16,8,8]\n"
    "const Low: f32[] = [0.5]\n"
    "const At: i64[2] = [1,0]\n"
    "max_ = max(X, Low): f32[1,16,8,8] layout(0 1/16 2 3 1%16)\n"
    "pool = max_pool(max_) kernel=[2,2] strides=[2,2]: f32[1,16,4,4]\n"
    "some = gather(pool, At) axis=1: f32[1,2,4,4]\n"
    "pad = pad(some) before=[0,0,1,0] behind=[0,0,0,0] mode=reflect: f32[1,2,5,4]\n"
    "clip = clip(pad) max=1.0 min=-1e-07: f32[1,2,5,4]\n"
    "output clip\n"
    "output pool\n";

}  // namespace

TEST_CASE("a graph reads back from its text", "[graph]") {
  const Graph graph = Parsed(kText);
  CHECK(Print(graph) == kText);
  CHECK(graph.nodes.size() == 8);
  CHECK(graph.outputs.size() == 2);
}

TEST_CASE("large constants are told by their digest", "[graph]") {
  GraphBuilder builder("large");
  std::vector<double> values(32);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i) / 8;
  const TensorRef tensor = MakeTensor(ir::Float(16), {4, 8}, values);
  const int constant = *builder.Constant("weights", tensor);
  const Graph graph = std::move(builder).Finish({constant});
  const std::string text = Print(graph);
  CHECK(text.find("f16[4,8] = sha256:" + DigestOf(*tensor)) != std::string::npos);
  std::string bytes(reinterpret_cast<const char*>(tensor->bytes.data()), tensor->bytes.size());
  const auto read = [&] {
    return ParseGraph(text, [&](const std::string&) { return absl::StatusOr<std::string>(bytes); });
  };
  REQUIRE(read().ok());
  CHECK(Print(*read()) == text);
  CHECK(read()->nodes[0].constant->At(31) == 31 / 8.0);
  bytes[0] ^= 1;
  CHECK(read().status().message().find("another digest") != std::string::npos);
}

TEST_CASE("no change of the text harms", "[graph][fuzz]") {
  const uint64_t seed = 11;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const std::string text = kText;
  int fine = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string changed = text;
    for (uint64_t n = random() % 3 + 1; n > 0; --n) {
      const size_t at = random() % changed.size();
      switch (random() % 4) {
        case 0:
          changed[at] = static_cast<char>(random() % 96 + 32);
          break;
        case 1:
          changed.erase(at, random() % 4 + 1);
          break;
        case 2:
          changed.insert(at, changed.substr(random() % changed.size(), random() % 8));
          break;
        default:
          changed[at] = "0123456789-[],"[random() % 14];
          break;
      }
    }
    const auto graph = ParseGraph(changed, [](const std::string&) {
      return absl::StatusOr<std::string>(absl::NotFoundError("none"));
    });
    if (!graph.ok()) continue;
    ++fine;
    const std::string printed = Print(*graph);
    CAPTURE(changed);
    CHECK(Print(Parsed(printed)) == printed);
  }
  CHECK(fine > 100);
}

}  // namespace tessera::graph
