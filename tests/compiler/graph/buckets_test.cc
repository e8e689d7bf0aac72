#include "compiler/graph/buckets.h"

#include <catch2/catch.hpp>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/compiler/graph/run.h"

namespace tessera::graph {
namespace {

// Nodes have the names of words of the format.
Graph GraphOf(int rows) {
  std::vector<double> values(20);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i) / 8;
  GraphBuilder builder("net");
  const int x = builder.Input("x", {ir::Float(32), {rows, 5}, {}}).value();
  const int w = builder.Constant("w", MakeTensor(ir::Float(32), {5, 4}, values)).value();
  const int product = builder.Add("matmul", {x, w}).value();
  Graph graph = std::move(builder).Finish({builder.Add("relu", {product}).value()});
  graph.nodes[2].name = "bucket";
  graph.nodes[3].name = "graph_";
  return graph;
}

absl::StatusOr<std::string> Blob(const std::string& digest) {
  const TensorRef constant = GraphOf(1).nodes[1].constant;
  if (digest != DigestOf(*constant)) return absl::NotFoundError("no blob " + digest);
  return std::string(reinterpret_cast<const char*>(constant->bytes.data()), constant->bytes.size());
}

}  // namespace

TEST_CASE("buckets as text read back, with their constants in common", "[graph]") {
  const std::vector<Bucket> buckets = {{{{"batch", 1}, {"rows", 2}}, GraphOf(2)},
                                       {{{"batch", 1}, {"rows", 7}}, GraphOf(7)}};
  const std::string text = PrintBuckets(buckets);
  CHECK_THAT(text, Catch::StartsWith("@bucket batch=1 rows=2\ngraph net\n"));
  const auto parsed = ParseBuckets(text, Blob);
  INFO(text << parsed.status());
  REQUIRE(parsed.ok());
  REQUIRE(parsed->size() == 2);
  for (size_t b = 0; b < 2; ++b) {
    CHECK((*parsed)[b].extents == buckets[b].extents);
    CHECK(Print((*parsed)[b].graph) == Print(buckets[b].graph));
  }
  CHECK(PrintBuckets(*parsed) == text);
  CHECK((*parsed)[0].graph.nodes[1].constant == (*parsed)[1].graph.nodes[1].constant);
  // A single one is a graph's text.
  const Bucket only{{}, GraphOf(3)};
  CHECK(PrintBuckets({&only, 1}) == Print(only.graph));
  const auto one = ParseBuckets(Print(only.graph), Blob);
  REQUIRE(one.ok());
  CHECK(one->size() == 1);
  CHECK((*one)[0].extents.empty());
}

TEST_CASE("text that is no model of buckets is refused", "[graph]") {
  const std::string graph = Print(GraphOf(2));
  const auto message = [](const std::string& text) {
    const auto parsed = ParseBuckets(text, Blob);
    CHECK(absl::IsInvalidArgument(parsed.status()));
    return std::string(parsed.status().message());
  };
  CHECK_THAT(message("@bucket rows\n" + graph), Catch::Contains("\"rows\" is no name of C"));
  CHECK_THAT(message("@bucket rows=0\n" + graph), Catch::Contains("\"rows=0\""));
  CHECK_THAT(message("@bucket a b=1\n" + graph), Catch::Contains("\"a\""));
  CHECK_THAT(message("@bucket 2=1\n" + graph), Catch::Contains("\"2=1\""));
  CHECK_THAT(message("@bucket rows=1 \n" + graph), Catch::Contains("\"\""));
  message("");
  message("@bucket rows=1");
  message("@bucket rows=1\n");
  message("@bucket rows=1\n@bucket rows=2\n" + graph);
  std::string many;
  for (size_t i = 1; i <= kMaxBuckets; ++i) absl::StrAppend(&many, "@bucket rows=", i, "\n", graph);
  CHECK(ParseBuckets(many, Blob).ok());
  CHECK_THAT(message(many + "@bucket rows=99\n" + graph), Catch::Contains("more than 16 buckets"));
}

}  // namespace tessera::graph
