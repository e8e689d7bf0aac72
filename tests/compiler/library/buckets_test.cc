// Libraries of models that were planned for several extents.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "compiler/library/library.h"
#include "compiler/library/model.h"
#include "tests/compiler/graph/run.h"
#include "tests/compiler/library/loaded.h"
#include "tests/compiler/library/model_fixture.h"
#include "tests/support/temporary_directory.h"

namespace tessera::library {
namespace {

constexpr int64_t kWidth = 192;
constexpr size_t kWeightBytes = kWidth * kWidth * 4;

// Two layers of the same weights, of so many rows; both outputs.
graph::Plan PlanOf(int64_t rows) {
  static const graph::TensorRef weights = [] {
    std::vector<double> values(kWidth * kWidth);
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<double>(i * 7 % 13) / 64 - 0.09;
    }
    return graph::MakeTensor(ir::Float(32), {kWidth, kWidth}, values);
  }();
  graph::GraphBuilder builder("net");
  const int x = builder.Input("x", {ir::Float(32), {rows, kWidth}, {}}).value();
  const int w = builder.Constant("w", weights).value();
  const int first = builder.Add("matmul", {x, w}).value();
  const int relu = builder.Add("relu", {first}).value();
  const int second = builder.Add("matmul", {relu, w}, {}, "second").value();
  const int mean =
      builder.Add("reduce_mean", {second}, {{"axes", std::vector<int64_t>{1}}}, "mean").value();
  const auto plan = graph::MakePlan(std::move(builder).Finish({second, mean}));
  INFO(plan.status());
  REQUIRE(plan.ok());
  return *plan;
}

// The model "net" of these rows, with default schedules for each target.
LibrarySpec SpecOfRows(const std::vector<int64_t>& rows,
                       const std::vector<std::string>& targets = {HostText()}) {
  LibrarySpec spec;
  std::vector<graph::Plan> plans;
  std::vector<PlannedBucket> buckets;
  plans.reserve(rows.size());
  for (const int64_t count : rows) {
    const graph::Plan& plan = plans.emplace_back(PlanOf(count));
    LibrarySpec own = SpecOf(plan, targets);
    PlannedBucket& bucket = buckets.emplace_back(PlannedBucket{{{"rows", count}}, &plan, {}});
    for (LibraryOp& op : own.ops) {
      bucket.ops.push_back(static_cast<int>(spec.ops.size()));
      absl::StrAppend(&op.name, "_", count);
      spec.ops.push_back(std::move(op));
    }
    spec.versions = own.versions;
  }
  spec.name = "net";
  spec.model = ModelOf(std::move(buckets), "net");
  return spec;
}

LibraryFiles Built(const LibrarySpec& spec) {
  auto files = BuildLibrary(spec);
  INFO(files.status());
  REQUIRE(files.ok());
  return *std::move(files);
}

struct Net;
using Run = int (*)(const Net*, const float*, float*, float*, void*);

// What the bucket makes of some inputs is what its graph does.
void CheckRuns(const Library& library, const Net* net, int64_t rows) {
  const graph::Plan plan = PlanOf(rows);
  const std::vector<graph::TensorRef> inputs = graph::SomeInputs(plan.graph, 7);
  const auto expected = graph::Outputs(plan.graph, inputs);
  const std::string name = absl::StrCat("net_rows_", rows);
  const Aligned x(inputs[0]->bytes.size());
  const Aligned y(expected[0].size() * 4), mean(expected[1].size() * 4);
  const Aligned workspace(library.Find<size_t (*)()>(name + "_workspace_bytes")() + 64);
  std::memcpy(x.data, inputs[0]->bytes.data(), x.bytes);
  REQUIRE(library.Find<Run>(name + "_run")(net, x.data, y.data, mean.data, workspace.data) == 0);
  CAPTURE(rows);
  for (size_t i = 0; i < expected[0].size(); ++i) {
    REQUIRE(y.data[i] == Approx(expected[0][i]).margin(1e-3));
  }
  for (size_t i = 0; i < expected[1].size(); ++i) {
    CHECK(mean.data[i] == Approx(expected[1][i]).margin(1e-3));
  }
}

bool IsX86() { return codegen::HostTarget().kind == ir::TargetKind::kX86; }

}  // namespace

TEST_CASE("one instance of a model runs each of its buckets", "[library]") {
  std::vector<std::vector<std::string>> cases = {{HostText()}};
  if (IsX86()) cases.push_back({"x86/sse4.2 threads=2", "x86/avx2 threads=2"});
  for (const std::vector<std::string>& targets : cases) {
    // In any order.
    const LibraryFiles files = Built(SpecOfRows({16, 8, 24}, targets));
    const Library library(files.shared_object());
    Net* net = nullptr;
    REQUIRE(library.Find<int (*)(Net**)>("net_create")(&net) == 0);
    for (const int64_t rows : {24, 8, 16}) CheckRuns(library, net, rows);
    library.Find<void (*)(Net*)>("net_destroy")(net);
    const auto bucket = library.Find<int (*)(const int64_t*)>("net_bucket");
    const std::map<int64_t, int> expected = {{1, 0}, {8, 0}, {9, 1}, {16, 1}, {24, 2}, {25, -1}};
    for (const auto& [rows, number] : expected) CHECK(bucket(&rows) == number);
    CHECK(bucket(nullptr) == -1);
  }
}

TEST_CASE("the smallest bucket that holds several extents is found", "[library]") {
  LibrarySpec spec = SpecOfRows({8, 16});
  LibraryModel& model = *spec.model;
  // As if rows were batch · sequence: 2 · 4 and 1 · 16.
  model.buckets[0].extents = {{"batch", 2}, {"sequence", 4}};
  model.buckets[1].extents = {{"batch", 1}, {"sequence", 16}};
  const Library library(Built(spec).shared_object());
  const auto bucket = library.Find<int (*)(const int64_t*)>("net_bucket");
  const auto choice = [&](int64_t batch, int64_t sequence) {
    const int64_t extents[] = {batch, sequence};
    return bucket(extents);
  };
  CHECK(choice(2, 4) == 0);
  CHECK(choice(1, 4) == 0);
  CHECK(choice(1, 5) == 1);
  CHECK(choice(2, 5) == -1);
}

TEST_CASE("buckets have one pool of weights, packed once", "[library]") {
  const LibraryFiles one = Built(SpecOfRows({8})), both = Built(SpecOfRows({8, 16}));
  const auto model = nlohmann::json::parse(both.manifest())["model"];
  CHECK(model["constant_bytes"] == kWeightBytes);
  // Of one bucket it is a model like any other.
  CHECK_THAT(one.header(), Catch::Contains("int net_run(") && !Catch::Contains("net_bucket"));
  CHECK(both.shared_object().size() < one.shared_object().size() + kWeightBytes / 2);
  if (!IsX86()) return;
  const auto several = nlohmann::json::parse(
      Built(SpecOfRows({8, 16}, {"x86/sse4.2 threads=2", "x86/avx2 threads=2"})).manifest());
  CHECK(several["model"]["packed_bytes"] == kWeightBytes);
}

TEST_CASE("header, manifest and bill of materials tell buckets apart", "[library]") {
  const LibraryFiles files = Built(SpecOfRows({8, 16}));
  for (const char* part :
       {"int net_create(net** model);",
        "typedef struct net_extents {\n  int64_t rows;\n} net_extents;",
        "int net_bucket(const net_extents* extents);", "//   1: net_rows_16\n",
        "int net_rows_16_run(const net* model, const float* x, ",
        "size_t net_rows_8_workspace_bytes", "#define net_rows_16_x_BYTES ((size_t)12288)"}) {
    CHECK_THAT(files.header(), Catch::Contains(part));
  }
  CHECK_THAT(files.header(), !Catch::Contains("net_run"));
  const auto manifest = nlohmann::json::parse(files.manifest());
  CHECK_FALSE(manifest.contains("reference"));
  const auto& buckets = manifest["model"]["buckets"];
  REQUIRE(buckets.size() == 2);
  CHECK(buckets[0]["name"] == "net_rows_8");
  CHECK(buckets[1]["extents"] == nlohmann::json{{"rows", 16}});
  CHECK(buckets[1]["inputs"][0]["shape"] == nlohmann::json{16, kWidth});
  CHECK(buckets[0]["graph_digest"] != buckets[1]["graph_digest"]);
  CHECK_FALSE(manifest["model"].contains("inputs"));
  if (IsX86()) {
    for (const auto& bucket : buckets) CHECK(bucket["reference"]["outputs"].size() == 2);
  }
  std::set<std::string> refs;
  const auto bill = nlohmann::json::parse(*files.Find("sbom.json"));
  for (const auto& one : bill["components"]) CHECK(refs.insert(one["bom-ref"]).second);
  CHECK(refs.contains("model:net_rows_8"));
}

TEST_CASE("buckets that do not go together are refused", "[library]") {
  const LibrarySpec good = SpecOfRows({8, 16});
  const auto message = [&](auto change) {
    LibrarySpec spec = good;
    change(*spec.model);
    const auto files = BuildLibrary(spec);
    CHECK(absl::IsInvalidArgument(files.status()));
    return std::string(files.status().message());
  };
  using Model = LibraryModel;
  CHECK_THAT(message([](Model& model) { model.buckets.clear(); }), Catch::Contains("no buckets"));
  CHECK_THAT(message([](Model& model) { model.buckets[1].extents = {}; }),
             Catch::Contains("has no extents"));
  CHECK_THAT(message([](Model& model) { model.buckets[1].extents = {{"columns", 2}}; }),
             Catch::Contains("net_columns_2 has other dimensions"));
  CHECK_THAT(message([](Model& model) { model.buckets[1].extents[0].second = 8; }),
             Catch::Contains("net_rows_8 is there twice"));
  CHECK_THAT(message([](Model& model) { model.buckets[1].extents[0].second = 0; }),
             Catch::Contains("below 1"));
  CHECK_THAT(message([](Model& model) {
               for (Model::Bucket& bucket : model.buckets) bucket.extents[0].first = "int";
             }),
             Catch::Contains("a dimension that C can't name"));
  CHECK_THAT(message([](Model& model) { model.buckets[1].outputs.pop_back(); }),
             Catch::Contains("other inputs or outputs"));
}

TEST_CASE("a program in C++ takes buckets by their namespaces", "[library]") {
  if (std::system("c++ --version >/dev/null 2>&1") != 0) {
    WARN("no c++ on this machine: the wrapper is not compiled");
    return;
  }
  const test::TemporaryDirectory folder;
  LibrarySpec spec = SpecOfRows({8, 16});
  spec.static_library = true;
  for (const LibraryFile& file : Built(spec).files) {
    std::ofstream(absl::StrCat(folder.path, "/", file.name), std::ios::binary) << file.bytes;
  }
  std::ofstream(folder.path + "/main.cc") << R"(
#include <cstdio>
#include "net.hpp"
template <typename Session, typename X, typename Y, typename Mean>
float Run(const tessera_net::Model& model) {
  Session session(model);
  X x;
  Y y;
  Mean mean;
  for (float& value : x) value = 1;
  session.Run(x, y, mean);
  float sum = 0;
  for (const float value : mean) sum += value / static_cast<float>(mean.size());
  return sum;
}
int main() {
  const tessera_net::Model model;
  namespace small = tessera_net::rows_8;
  namespace large = tessera_net::rows_16;
  const float a = Run<small::Session, small::tensors::x, small::tensors::second,
                      small::tensors::mean>(model);
  const float b = Run<large::Session, large::tensors::x, large::tensors::second,
                      large::tensors::mean>(model);
  bool throws = false;
  try {
    tessera_net::Bucket({17});
  } catch (const std::out_of_range&) {
    throws = true;
  }
  std::printf("%d %d %d %d\n", a - b < 1e-3f && b - a < 1e-3f && a != 0, tessera_net::Bucket({8}),
              tessera_net::Bucket({9}), throws);
}
)";
  const std::string command = absl::StrCat(
      "cd ", folder.path,
      " && c++ -std=c++17 -Wall -Wextra -Wpedantic -Werror main.cc libnet.a -pthread -ldl -o main "
      ">errors 2>&1 && ./main >output");
  const bool works = std::system(command.c_str()) == 0;
  const auto read = [&](const char* name) {
    std::ifstream file(absl::StrCat(folder.path, "/", name));
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  INFO(read("errors"));
  REQUIRE(works);
  CHECK(read("output") == "1 0 1 1\n");
}

}  // namespace tessera::library
