#include "tuner/replay/table_space.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <set>

#include "compiler/te/operators.h"
#include "tests/support/temporary_directory.h"
#include "tests/tuner/replay/tables.h"
#include "tuner/config_search_space.h"
#include "tuner/replay/dataset_maker.h"

namespace tessera::replay {
namespace {

struct Table {
  std::shared_ptr<const test::SyntheticSpace> space;
  std::shared_ptr<const TableSpace> table;
  std::set<tuner::Point> points;  // of the rows
};

Table MakeTable(DatasetKind kind) {
  Table made;
  made.space = std::make_shared<test::SyntheticSpace>(3, 4, 5);
  Dataset dataset = kind == DatasetKind::kEnumerated ? test::EnumeratedDataset(*made.space)
                                                     : test::SampledDataset(*made.space, 60, 1);
  // A part of the space: what begins with a choice of the first knob is not there.
  if (kind == DatasetKind::kEnumerated) {
    std::erase_if(dataset.rows, [](const Row& row) { return row.config.starts_with("[0,4"); });
  }
  for (const Row& row : dataset.rows) made.points.insert(*made.space->Parse(row.config));
  made.table = *TableSpace::Make(dataset, made.space);
  return made;
}

TEST_CASE("a table gives out its rows and nothing else", "[replay]") {
  for (const DatasetKind kind : {DatasetKind::kEnumerated, DatasetKind::kSampled}) {
    const Table made = MakeTable(kind);
    CAPTURE(ToString(kind));
    CHECK_FALSE(made.table->Baseline());
    Rng rng(2);
    std::set<tuner::Point> seen;
    for (int i = 0; i < 2000; ++i) {
      const tuner::Point a = made.table->Sample(rng), b = made.table->Sample(rng);
      REQUIRE(made.points.contains(a));
      seen.insert(a);
      const tuner::Point moved = made.table->Mutate(a, rng);
      REQUIRE(made.points.contains(moved));
      REQUIRE(moved != a);
      REQUIRE(made.points.contains(made.table->Jump(a, rng)));
      REQUIRE(made.points.contains(made.table->Crossover(a, b, rng)));
      const std::vector<tuner::Point> neighbours = made.table->Neighbours(a);
      REQUIRE(std::set<tuner::Point>(neighbours.begin(), neighbours.end()).size() ==
              neighbours.size());
      for (const tuner::Point& neighbour : neighbours) {
        REQUIRE(made.points.contains(neighbour));
        REQUIRE(neighbour != a);
      }
    }
    CHECK(seen == made.points);
    std::vector<tuner::Point> all;
    for (auto p = made.table->Next({}); p; p = made.table->Next(*p)) all.push_back(*p);
    CHECK(all.size() == made.points.size());
    CHECK(std::set<tuner::Point>(all.begin(), all.end()) == made.points);
  }
}

TEST_CASE("moves in an enumerated table are those of the space", "[replay]") {
  const Table made = MakeTable(DatasetKind::kEnumerated);
  Rng rng(2);
  for (int i = 0; i < 200; ++i) {
    const tuner::Point point = made.table->Sample(rng);
    for (const tuner::Point& moved :
         {made.table->Mutate(point, rng), made.table->Jump(point, rng)}) {
      int changed = 0;
      for (size_t k = 0; k < point.size(); ++k) changed += point[k] != moved[k];
      CHECK(changed == 1);
    }
    std::vector<tuner::Point> expected = made.space->Neighbours(point);
    std::erase_if(expected, [&](const auto& p) { return !made.points.contains(p); });
    CHECK(made.table->Neighbours(point) == expected);
  }
}

TEST_CASE("an enumerated table is sampled as its space is, of a sampled one each row alike",
          "[replay]") {
  const auto space = std::make_shared<test::SyntheticSpace>(3, 2, 6);
  space->second_sketch_share = 0.9;
  space->drafts = true;
  std::vector<tuner::Point> points;  // as many of each sketch
  for (auto point = space->Next({}); point; point = space->Next(*point)) {
    points.push_back(*point);
    points.push_back(*point);
    points.back()[0] = 1;
  }
  for (const auto& [kind, share] :
       {std::pair(DatasetKind::kEnumerated, 0.9), std::pair(DatasetKind::kSampled, 0.5)}) {
    CAPTURE(ToString(kind));
    const auto table = *TableSpace::Make(test::DatasetOf(*space, points, kind), space);
    Rng rng(2);
    int second = 0;
    for (int i = 0; i < 4000; ++i) second += table->Sample(rng)[0];
    CHECK(second / 4000.0 == Approx(share).margin(0.03));
    const tuner::Point point = table->Sample(rng);
    CHECK(table->DraftSeconds({point}) == space->DraftSeconds({point}));
  }
}

TEST_CASE("neighbours in a sampled table are the rows that differ in the fewest knobs",
          "[replay]") {
  const Table made = MakeTable(DatasetKind::kSampled);
  const tuner::Point point = *made.table->Next({});
  const auto differing = [&](const tuner::Point& other) {
    int knobs = 0;
    for (size_t k = 0; k < point.size(); ++k) knobs += point[k] != other[k];
    return knobs;
  };
  const std::vector<tuner::Point> neighbours = made.table->Neighbours(point);
  REQUIRE(neighbours.size() == 16);
  for (size_t i = 1; i < neighbours.size(); ++i) {
    CHECK(differing(neighbours[i - 1]) <= differing(neighbours[i]));
  }
  for (const tuner::Point& other : made.points) {
    if (other != point && std::ranges::find(neighbours, other) == neighbours.end()) {
      CHECK(differing(other) >= differing(neighbours.back()));
    }
  }
  CHECK(made.table->Neighbours(point) == neighbours);
}

TEST_CASE("features, hashes and configs are those of the space", "[replay]") {
  const Table made = MakeTable(DatasetKind::kSampled);
  std::vector<tuner::Point> points(made.points.begin(), made.points.end());
  CHECK(*made.table->Features(points) == *made.space->Features(points));
  CHECK(*made.table->LoopHash(points[0]) == *made.space->LoopHash(points[0]));
  CHECK(*made.table->Parse(made.table->Config(points[0])) == points[0]);
  CHECK(made.table->best_seconds() == made.table->row(0).seconds);
  CHECK(made.table->Find(made.table->row(5).loop_hash) == 5);
  CHECK_FALSE(made.table->Find(12345));
  tuner::Point outside = points[0];
  outside[1] = 77;
  CHECK_FALSE(made.table->Features({outside}).ok());
  CHECK_FALSE(made.table->Parse(made.space->Config(outside)).ok());
}

TEST_CASE("rows that are not of the space are refused", "[replay]") {
  const auto space = std::make_shared<test::SyntheticSpace>(3, 4, 5);
  const Dataset dataset = test::SampledDataset(*space, 60, 1);
  Dataset wrong = dataset;
  wrong.rows[2].loop_hash ^= 1;
  const absl::Status status = TableSpace::Make(wrong, space).status();
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(status.message()), Catch::StartsWith("row 3: its config stands for"));
  wrong = dataset;
  wrong.rows[2].config = "[1]";
  CHECK(TableSpace::Make(wrong, space).status().code() == absl::StatusCode::kFailedPrecondition);
  wrong = dataset;
  wrong.rows[2] = wrong.rows[1];
  CHECK_THAT(std::string(TableSpace::Make(wrong, space).status().message()),
             Catch::Contains("comes again"));
  wrong = dataset;
  for (Row& row : wrong.rows) {
    row.outcome = db::Outcome::kTimeout;
    row.seconds = 0;
  }
  CHECK(TableSpace::Make(wrong, space).status().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("a file's table is that of its task, and of no other space", "[replay]") {
  const te::Workload workload =
      *te::MakeWorkload({"mm", "matmul", {{"m", "64"}, {"n", "64"}, {"k", "64"}}});
  Dataset header;
  header.task.name = "mm";
  header.task.workload = te::Print(workload);
  header.task.target = ir::ToString(*ir::X86Target("avx512"));
  header.commit = "0123abc";
  const auto space = *tuner::MakeSearchSpace(header.task);
  DatasetMaker maker(*space);
  Rng rng(1);
  for (int i = 0; i < 50; ++i) {
    const tuner::Point point = space->Sample(rng);
    db::Record record;
    record.config = space->Config(point);
    record.loop_hash = HashToHex(*space->LoopHash(point));
    record.measurement.outcome = db::Outcome::kOk;
    record.measurement.sample_seconds = {1e-5 * (i + 1)};
    maker.Add(record);
  }
  Dataset dataset = *std::move(maker).Finish(header);
  const test::TemporaryDirectory directory;
  const std::string path = directory.path + "/mm.data";
  std::ofstream(path) << Print(dataset);
  const auto table = OpenTable(path);
  REQUIRE(table.ok());
  CHECK((*table)->dataset().rows == dataset.rows);
  CHECK((*table)->dataset().task.workload_hash == HashToHex(te::StructuralHash(workload.dag)));

  dataset.rows[4].loop_hash ^= 1;
  dataset.space = "00000000000000aa";
  std::ofstream(path) << Print(dataset);
  const absl::Status status = OpenTable(path).status();
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  for (const std::string& part : {path, std::string("row 5"), std::string("00000000000000aa then"),
                                  *SpaceDigest(header.task) + " now", std::string("0123abc")}) {
    CHECK_THAT(std::string(status.message()), Catch::Contains(part));
  }
}

TEST_CASE("a file's table is of the part that its pins leave", "[replay]") {
  Dataset header;
  header.task.name = "mm";
  header.task.workload =
      te::Print(*te::MakeWorkload({"mm", "matmul", {{"m", "8"}, {"n", "64"}, {"k", "16"}}}));
  header.task.target = ir::ToString(*ir::X86Target("avx2"));
  header.kind = DatasetKind::kEnumerated;
  header.pins =
      R"({"sketch":["direct"],"tile.lanes":[8],"order.outer":[[0,1]],"order.middle":[[0,1]]})";
  const auto space = *tuner::MakeSearchSpace(header.task, header.pins);
  DatasetMaker maker(*space);
  double seconds = 1e-5;
  for (auto point = space->Next({}); point; point = space->Next(*point)) {
    db::Record record;
    record.config = space->Config(*point);
    record.loop_hash = HashToHex(*space->LoopHash(*point));
    record.measurement.outcome = db::Outcome::kOk;
    record.measurement.sample_seconds = {seconds += 1e-8};
    maker.Add(record);
  }
  const Dataset dataset = *std::move(maker).Finish(header);
  const test::TemporaryDirectory directory;
  const std::string path = directory.path + "/mm.data";
  std::ofstream(path) << Print(dataset);
  const auto table = OpenTable(path);
  INFO(table.status());
  REQUIRE(table.ok());
  CHECK((*table)->dataset().pins == header.pins);
  const uint64_t seed = 2;
  CAPTURE(seed);
  Rng rng(seed);
  // Moves are those of the pinned space: they need no second draw.
  Rng of_space = rng, of_table = rng;
  const tuner::Point start = *space->Next({});
  int same = 0;
  for (int i = 0; i < 50; ++i) {
    same += space->Mutate(start, of_space) == (*table)->Mutate(start, of_table);
  }
  CHECK(same == 50);

  Dataset other = dataset;
  other.pins = R"({"tile.m":[1]})";
  std::ofstream(path) << Print(other);
  CHECK_THAT(std::string(OpenTable(path).status().message()),
             Catch::Contains("config: pins rule it out"));
}

}  // namespace
}  // namespace tessera::replay
