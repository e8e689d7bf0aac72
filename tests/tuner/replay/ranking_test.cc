#include "tuner/replay/ranking.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "base/hash.h"
#include "compiler/te/operators.h"
#include "costmodel/features.h"
#include "tests/tuner/replay/tables.h"

namespace tessera::replay {
namespace {

// Tables of one synthetic landscape, as if of different workloads and classes.
NamedTable Table(const std::string& name, const std::string& workload_hash,
                 const std::string& device_class, uint64_t seed, uint64_t landscape = 3,
                 int threads = 1, ir::TargetKind kind = ir::TargetKind::kX86) {
  const auto space = std::make_shared<test::SyntheticSpace>(landscape, 6, 8);
  space->min_columns = costmodel::FeatureCount(kind);
  Dataset dataset = test::SampledDataset(*space, 200, seed);
  dataset.task.workload_hash = workload_hash;
  dataset.device_class = device_class;
  dataset.task.threads = threads;
  return {name, *TableSpace::Make(std::move(dataset), space)};
}

const Ranking& Find(const std::vector<Ranking>& rankings, const std::string& data,
                    const std::string& method, int rows) {
  const auto found = std::ranges::find_if(rankings, [&](const Ranking& r) {
    return r.data == data && r.method == method && r.target_rows == rows;
  });
  REQUIRE(found != rankings.end());
  return *found;
}

TEST_CASE("what was learned of other workloads ranks this one, the better the more it has of it",
          "[replay]") {
  const std::vector<NamedTable> tables = {Table("a", "1", "c", 1), Table("b", "2", "c", 2),
                                          Table("c", "3", "c", 3)};
  const RankingOptions options = {.target_rows = {0, 32}, .draws = 3};
  int calls = 0;
  const auto rankings = RankTables(tables, options, [&](absl::Span<const Ranking> of_table) {
    CHECK(of_table.size() == 4);
    ++calls;
  });
  INFO(rankings.status());
  REQUIRE(rankings.ok());
  CHECK(calls == 3);
  REQUIRE(rankings->size() == 12);
  for (const std::string data : {"a", "b", "c"}) {
    const Ranking& none = Find(*rankings, data, "transfer", 0);
    CHECK(none.trained_on == 2);
    CHECK(none.pairs > 0.8);
    CHECK(none.top5 >= none.top1);
    CHECK(Find(*rankings, data, "transfer", 32).pairs > Find(*rankings, data, "own", 32).pairs);
    CHECK(Find(*rankings, data, "own", 32).trained_on == 0);
  }
  const std::vector<RankingMeans> means = MeansOf(*rankings);
  REQUIRE(means.size() == 4);
  CHECK(means[0].method == "transfer");
  CHECK(means[0].target_rows == 0);
  double sum = 0, least = 1;
  for (const std::string data : {"a", "b", "c"}) {
    const double pairs = Find(*rankings, data, "transfer", 0).pairs;
    sum += pairs;
    least = std::min(least, pairs);
  }
  CHECK(means[0].pairs == Approx(sum / 3));
  CHECK(means[0].least_pairs == least);
  const auto again = RankTables(tables, options, [](absl::Span<const Ranking>) {});
  CHECK(RankingCsv(*rankings, options.hold_out) == RankingCsv(*again, options.hold_out));
}

TEST_CASE("what is held out is never trained on", "[replay]") {
  // The same programs under two names would be known by heart; another landscape says nothing.
  const NamedTable a = Table("a", "1", "x", 1, 3), other = Table("other", "2", "x", 2, 44);
  const auto pairs = [&](HoldOut hold_out, const NamedTable& twin) {
    const std::vector<NamedTable> tables = {a, twin, other};
    const auto rankings =
        RankTables(tables, {.hold_out = hold_out, .target_rows = {0}}, [](const auto&) {});
    INFO(rankings.status());
    REQUIRE(rankings.ok());
    const Ranking& ranking = Find(*rankings, "a", "transfer", 0);
    CHECK(ranking.trained_on == 1);
    return ranking.pairs;
  };
  const NamedTable twin = Table("twin", "1", "y", 1, 3);
  CHECK(pairs(HoldOut::kClass, twin) > 0.95);
  CHECK(pairs(HoldOut::kWorkload, twin) < 0.8);
  // Another number of threads is another class.
  CHECK(pairs(HoldOut::kClass, Table("threads", "1", "x", 1, 3, 2)) > 0.95);
}

TEST_CASE("others are learned from, but not judged, and not where they are held out", "[replay]") {
  const std::vector<NamedTable> tables = {Table("a", "1", "x", 1, 3)};
  const std::vector<NamedTable> others = {Table("twin", "1", "x", 2, 3),
                                          Table("near", "2", "x", 3, 3),
                                          Table("other", "3", "x", 4, 44)};
  const auto rankings =
      RankTables(tables, {.target_rows = {0}, .others = others}, [](const auto&) {});
  INFO(rankings.status());
  REQUIRE(rankings.ok());
  for (const Ranking& ranking : *rankings) CHECK(ranking.data == "a");
  CHECK(Find(*rankings, "a", "transfer", 0).trained_on == 2);
}

TEST_CASE("data sets that leave nothing to learn from are refused", "[replay]") {
  const std::vector<NamedTable> tables = {Table("a", "1", "x", 1), Table("b", "1", "y", 2)};
  const auto none = RankTables(tables, {}, [](absl::Span<const Ranking>) {});
  CHECK(none.status() ==
        absl::InvalidArgumentError("all data sets are of one workload, so there is none to learn "
                                   "from; give others, or hold out another thing"));
  const auto few = RankTables(tables, {.hold_out = HoldOut::kClass, .target_rows = {0, 195}},
                              [](absl::Span<const Ranking>) {});
  CHECK(few.status() ==
        absl::InvalidArgumentError("a: 200 rows; learning from 195 takes at least 205"));
  CHECK_FALSE(RankTables({}, {}, [](absl::Span<const Ranking>) {}).ok());
}

TEST_CASE("kinds of workloads are told apart by their reductions", "[replay]") {
  const auto kind = [](const te::OpSpec& spec) {
    return *KindOf(te::Print(*te::MakeWorkload(spec)));
  };
  using A = std::map<std::string, std::string>;
  const A conv = {{"ic", "8"}, {"oc", "8"}, {"size", "9"}, {"k", "3"}};
  A larger = conv, relu = conv;
  larger["k"] = "1";
  larger["stride"] = "2";
  relu["relu"] = "true";
  CHECK(kind({"x", "conv2d", conv}) == "sum 4/3");
  CHECK(kind({"y", "conv2d", larger}) == "sum 4/3");
  CHECK(kind({"z", "conv2d", relu}) == "sum 4/3");
  CHECK(kind({"x", "matmul", {{"m", "8"}, {"n", "8"}, {"k", "8"}}}) == "sum 2/1");
  CHECK(kind({"x", "relu", {{"m", "8"}, {"n", "8"}}}) == "map");
  CHECK_FALSE(KindOf("no workload").ok());
}

TEST_CASE("what is held out has a name", "[replay]") {
  for (const HoldOut hold_out : {HoldOut::kWorkload, HoldOut::kKind, HoldOut::kClass}) {
    CHECK(*ParseHoldOut(ToString(hold_out)) == hold_out);
  }
  CHECK(ParseHoldOut("row").status().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("data sets of a CPU and of a GPU are not ranked together", "[replay]") {
  const NamedTable cpu = Table("cpu", "1", "c", 1), other = Table("other", "2", "c", 2);
  const NamedTable gpu = Table("gpu", "2", "g", 2, 3, 1, ir::TargetKind::kOpenCl);
  const auto rank = [](const std::vector<NamedTable>& tables, std::vector<NamedTable> others) {
    const RankingOptions options = {.target_rows = {0}, .others = std::move(others)};
    return RankTables(tables, options, [](absl::Span<const Ranking>) {}).status();
  };
  CHECK(rank({cpu, other}, {}).ok());
  for (const absl::Status& status : {rank({cpu, gpu}, {}), rank({cpu, other}, {gpu})}) {
    CHECK(absl::IsInvalidArgument(status));
    CHECK_THAT(std::string(status.message()), Catch::StartsWith("gpu and cpu are of"));
  }
}

}  // namespace
}  // namespace tessera::replay
