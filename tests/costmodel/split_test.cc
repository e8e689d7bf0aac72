#include "costmodel/split.h"

#include <catch2/catch.hpp>
#include <set>

#include "tests/costmodel/synthetic.h"

namespace tessera::costmodel {
namespace {

using Row = std::vector<float>;

std::vector<Row> RowsOf(const TrainingData& data) {
  std::vector<Row> rows;
  for (size_t i = 0; i < data.labels.size(); ++i) {
    const auto begin = data.rows.begin() + static_cast<long>(i) * data.columns;
    rows.emplace_back(begin, begin + data.columns);
  }
  return rows;
}

TEST_CASE("about a fifth of a task's rows is held out, and nothing is lost", "[costmodel]") {
  TrainingData data = Synthetic(1, 1000);
  data.margins = data.labels;
  const Split split = HoldOut(data, 7);
  CHECK(split.held_out.labels.size() > 150);
  CHECK(split.held_out.labels.size() < 250);
  CHECK(split.kept.labels.size() + split.held_out.labels.size() == 1000);
  for (const TrainingData* part : {&split.kept, &split.held_out}) {
    CHECK(CheckTrainingData(*part).ok());
    CHECK(part->margins == part->labels);
    const std::vector<Row> rows = RowsOf(*part);
    for (size_t i = 0; i < rows.size(); ++i) REQUIRE(Truth(rows[i]) == part->labels[i]);
  }
}

TEST_CASE("a row stays on its side while others come, and equal rows stay together",
          "[costmodel]") {
  TrainingData data = Synthetic(2, 400);
  const std::vector<Row> before = RowsOf(HoldOut(data, 3).held_out);
  const TrainingData more = Synthetic(9, 200);
  for (const TrainingData& added : {more, Synthetic(2, 400)}) {
    data.rows.insert(data.rows.end(), added.rows.begin(), added.rows.end());
    data.labels.insert(data.labels.end(), added.labels.begin(), added.labels.end());
  }
  const Split split = HoldOut(data, 3);
  const std::vector<Row> held = RowsOf(split.held_out);
  CHECK(std::vector<Row>(held.begin(), held.begin() + static_cast<long>(before.size())) == before);
  const std::set<Row> held_set(held.begin(), held.end());
  for (const Row& row : RowsOf(split.kept)) CHECK_FALSE(held_set.contains(row));
}

TEST_CASE("of many tasks, whole ones are held out", "[costmodel]") {
  TrainingData data = Synthetic(3, 1200);
  data.groups.assign(40, 30);
  const Split split = HoldOut(data, 1);
  CHECK(split.held_out.groups.size() >= 2);
  CHECK(split.held_out.groups.size() <= 16);
  for (const TrainingData* part : {&split.kept, &split.held_out}) {
    CHECK(CheckTrainingData(*part).ok());
    for (const int size : part->groups) CHECK(size == 30);
  }
}

TEST_CASE("of few tasks, rows of each are held out", "[costmodel]") {
  TrainingData data = Synthetic(4, 300);
  data.groups = {100, 200};
  const Split split = HoldOut(data, 1);
  CHECK(split.held_out.groups.size() == 2);
  CHECK(split.kept.groups.size() == 2);
  CHECK(CheckTrainingData(split.held_out).ok());
}

TEST_CASE("nothing is held out of few rows", "[costmodel]") {
  const TrainingData data = Synthetic(5, 24);
  const Split split = HoldOut(data, 1);
  CHECK(split.held_out.labels.empty());
  CHECK(split.kept.labels == data.labels);
}

}  // namespace
}  // namespace tessera::costmodel
