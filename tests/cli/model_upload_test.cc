#include "cli/model_upload.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <map>

#include "base/hash.h"
#include "compiler/graph/evaluate.h"
#include "tests/cli/fake_client.h"

namespace tessera::cli {
namespace {

// Keeps what is uploaded.
class Keeper : public FakeClient {
 public:
  absl::StatusOr<std::vector<std::string>> FindMissing(
      const std::vector<std::string>& digests) override {
    std::vector<std::string> missing;
    for (const std::string& digest : digests) {
      if (!kept.contains(digest)) missing.push_back(digest);
    }
    return missing;
  }
  absl::Status Upload(const std::string& digest, const std::string& bytes) override {
    CHECK(Sha256Hex(bytes) == digest);
    kept[digest] = bytes;
    return absl::OkStatus();
  }
  std::map<std::string, std::string> kept;
};

// With a large constant, and small ones that text can tell and can't.
graph::Graph GraphOf(int64_t rows) {
  std::vector<double> large(20 * 3, 0.5);
  graph::GraphBuilder builder("net");
  const ir::Type f32 = ir::Float(32);
  const int x = builder.Input("x", {f32, {rows, 20}, {}}).value();
  const int w = builder.Constant("w", graph::MakeTensor(f32, {20, 3}, large)).value();
  const int bias = builder.Constant("bias", graph::MakeTensor(f32, {3}, {{-0.0, 1, 2}})).value();
  const int scale = builder.Constant("scale", graph::MakeTensor(f32, {3}, {{1, 2, 3}})).value();
  const int product = builder.Add("matmul", {x, w}).value();
  const int sum = builder.Add("add", {product, bias}).value();
  return std::move(builder).Finish({builder.Add("mul", {sum, scale}).value()});
}

}  // namespace

TEST_CASE("all that a model's text names is uploaded, once", "[cli]") {
  Keeper server;
  const std::vector<graph::Bucket> buckets = {{{{"rows", 2}}, GraphOf(2)},
                                              {{{"rows", 4}}, GraphOf(4)}};
  const auto model = UploadModel(server, buckets);
  INFO(model.status());
  REQUIRE(model.ok());
  CHECK(model->constants.size() == 2);
  CHECK(server.kept.size() == 3);
  const auto parsed = graph::ParseBuckets(
      server.kept.at(model->graph), [&](const std::string& digest) -> absl::StatusOr<std::string> {
        const auto found = server.kept.find(digest);
        if (found == server.kept.end()) return absl::NotFoundError(digest);
        return found->second;
      });
  INFO(parsed.status());
  REQUIRE(parsed.ok());
  REQUIRE(parsed->size() == 2);
  CHECK(std::signbit((*parsed)[1].graph.nodes[2].constant->At(0)));
}

}  // namespace tessera::cli
