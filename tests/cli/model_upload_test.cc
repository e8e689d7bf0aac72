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
  absl::StatusOr<db::Selection> CreateSelection(const db::Selection& wanted,
                                                const std::string&) override {
    if (!refusal.ok()) return refusal;
    selections.push_back(wanted);
    db::Selection made = wanted;
    made.id = 40 + static_cast<int64_t>(selections.size());
    return made;
  }
  std::map<std::string, std::string> kept;
  std::vector<db::Selection> selections;
  absl::Status refusal;
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

TEST_CASE("a job says which model it is of", "[cli]") {
  Keeper server;
  JobFile file;
  file.model = file.stored = {{{}, GraphOf(2)}};
  db::Job job;
  job.tasks = {{.name = "product", .target = "x86/avx2"}};
  job.options.device_class = "x86/test";
  SECTION("on a CPU") {
    REQUIRE(NameModel(server, file, "net", job).ok());
    CHECK(job.selection == 41);
    REQUIRE(server.selections.size() == 1);
    const db::Selection& made = server.selections[0];
    CHECK(made.name == "net");
    REQUIRE(made.model);
    CHECK(server.kept.contains(made.model->graph));
    REQUIRE(made.items.size() == 1);
    CHECK(made.items[0].op == "product");
    CHECK(made.items[0].task == job.tasks[0]);
    CHECK(made.items[0].device_class == "x86/test");
  }
  SECTION("not of operators, nor where no library runs models") {
    job.tasks[0].target = "opencl";
    CHECK(NameModel(server, file, "net", job).ok());
    job.tasks[0].target = "x86/avx2";
    file.model.clear();
    CHECK(NameModel(server, file, "net", job).ok());
    CHECK(job.selection == 0);
    CHECK(server.kept.empty());
  }
  SECTION("goes without where the server doesn't take it") {
    server.refusal = absl::ResourceExhaustedError("too many choices");
    CHECK(NameModel(server, file, "net", job).ok());
    CHECK(job.selection == 0);
  }
  SECTION("but not without a server") {
    server.refusal = absl::UnavailableError("no server");
    CHECK(absl::IsUnavailable(NameModel(server, file, "net", job)));
  }
}

}  // namespace tessera::cli
