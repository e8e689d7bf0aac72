#include "tuner/replay/replay.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <set>

#include "base/log.h"
#include "costmodel/cost_model.h"
#include "costmodel/features.h"
#include "tests/tuner/replay/tables.h"
#include "tuner/explorer.h"
#include "tuner/replay/report.h"
#include "tuner/replay/table_measurer.h"
#include "tuner/task_scheduler.h"

namespace tessera::replay {
namespace {

std::shared_ptr<const TableSpace> Enumerated(int knobs = 4, int choices = 6) {
  const auto space = std::make_shared<test::SyntheticSpace>(3, knobs, choices);
  space->min_columns = costmodel::FeatureCount(ir::TargetKind::kX86);  // for models of programs
  return *TableSpace::Make(test::EnumeratedDataset(*space), space);
}

TEST_CASE("a replay is the same each time, for every explorer", "[replay]") {
  const auto table = Enumerated();
  std::vector<std::string> explorers;
  for (const tuner::ExplorerKind& known : tuner::ExplorerKinds())
    explorers.emplace_back(known.name);
  const auto methods = MakeMethods(explorers, {"regression"});
  REQUIRE(methods.ok());
  CHECK(methods->size() == explorers.size());
  const ReplayOptions options = {72, 8};
  const auto all = [&] {
    return *ReplayAll("t", table, *methods, 2, options, [](const Series&) {});
  };
  const TableResult first = all(), second = all();
  REQUIRE(first.series.size() == methods->size());
  for (size_t i = 0; i < first.series.size(); ++i) {
    CAPTURE(ToString(first.series[i].method));
    CHECK(first.series[i].runs == second.series[i].runs);
    for (const Run& run : first.series[i].runs) {
      CHECK(run.rows.size() == 72);
      CHECK(std::set<int>(run.rows.begin(), run.rows.end()).size() == 72);
    }
  }
  CHECK(first.series[0].runs[0].rows != first.series[0].runs[1].rows);
  CHECK(CurvesCsv({first}) == CurvesCsv({second}));
  CHECK(SummaryCsv({first}, 72) == SummaryCsv({second}, 72));
  CHECK(CurvesSvg(first, 72) == CurvesSvg(second, 72));
}

TEST_CASE("random's trials to the top 1 % are those of draws without replacement", "[replay]") {
  // 5 knobs of 4 choices, the last of which gives each program twice.
  const auto table = Enumerated(5, 4);
  const auto rows = static_cast<double>(table->dataset().rows.size());
  REQUIRE(rows == 512);
  const int top = 5;
  // The mean of the first of `top` marked ones among `rows` in random order, and its variance
  // (negative hypergeometric).
  const double mean = (rows + 1) / (top + 1);
  const double variance = top * (rows + 1) * (rows - top) / (std::pow(top + 1, 2) * (top + 2));
  for (const int in_flight : {1, 8}) {
    const int runs = 600;
    double sum = 0;
    for (int seed = 0; seed < runs; ++seed) {
      const auto run = Replay(table, {"random", ""}, seed, {400, in_flight});
      REQUIRE(run.ok());
      // Rows are ordered by time. In 1 of 500 runs the best come after the 400th trial.
      const auto found = std::ranges::find_if(run->rows, [&](int row) { return row < top; });
      sum += static_cast<double>(found - run->rows.begin() + 1);
    }
    const double error = std::sqrt(variance / runs);
    CAPTURE(in_flight, sum / runs, mean, error);
    CHECK(std::abs(sum / runs - mean) < 3 * error);
  }
}

TEST_CASE("explorers with a model find the best of a smooth table sooner than random does",
          "[replay]") {
  const auto table = Enumerated(5, 6);
  std::vector<std::string> explorers;
  for (const tuner::ExplorerKind& kind : tuner::ExplorerKinds()) {
    if (kind.make()->UsesModel()) explorers.emplace_back(kind.name);
  }
  const auto methods = MakeMethods(explorers, {"regression"});
  const TableResult result = *ReplayAll("t", table, *methods, 5, {128, 8}, [](const Series&) {});
  REQUIRE(result.series[0].method == Method{"random", ""});
  const Reach random = TrialsTo(*table, result.series[0], 0.97);
  for (size_t i = 1; i < result.series.size(); ++i) {
    const Reach reach = TrialsTo(*table, result.series[i], 0.97);
    CAPTURE(ToString(result.series[i].method), reach.median, reach.reached, random.median);
    CHECK(reach.reached > random.reached);
    CHECK(reach.median < random.median);
  }
}

TEST_CASE("the next trials are proposed while others are in flight", "[replay]") {
  const auto table = Enumerated();
  const std::shared_ptr<const TableSpace> tables[] = {table};
  TableMeasurer measurer(tables, 3);
  std::vector<std::string> done;
  for (int i = 0; i < 3; ++i) {
    CHECK(measurer.Appetite({}, "") == 3 - i);
    const Row& row = table->row(10 - i);
    tuner::TrialRequest request;
    request.loop_hash = HashToHex(row.loop_hash);
    measurer.Start(request, [&done, &row](const db::Record& record) {
      done.push_back(record.loop_hash);
      CHECK(record.measurement.CostSeconds() == row.seconds);
    });
  }
  CHECK(measurer.Appetite({}, "") == 0);
  measurer.Deliver();
  CHECK(measurer.Appetite({}, "") == 1);
  for (int i = 0; i < 5; ++i) measurer.Deliver();
  CHECK(measurer.delivered() == std::vector<TableRow>{{0, 10}, {0, 9}, {0, 8}});
  CHECK(done.size() == 3);
}

TEST_CASE("a replay ends when the table has no more", "[replay]") {
  const auto table = Enumerated(2, 4);
  const auto run = Replay(table, {"grid", ""}, 0, {500, 8});
  REQUIRE(run.ok());
  CHECK(run->rows.size() == table->dataset().rows.size());
}

TEST_CASE("failed programs are trials without a time", "[replay]") {
  SetLogLevel("off");
  const auto space = std::make_shared<test::SyntheticSpace>(3, 3, 6);
  Dataset dataset = test::EnumeratedDataset(*space);
  for (size_t i = 1; i < dataset.rows.size(); ++i) {
    dataset.rows[i].outcome = db::Outcome::kBuildError;
    dataset.rows[i].seconds = 0;
  }
  const auto table = *TableSpace::Make(dataset, space);
  const auto none = Replay(table, {"random", ""}, 1, {8, 4});
  REQUIRE(none.ok());
  REQUIRE(none->rows.size() == 8);
  const bool lucky = std::ranges::find(none->rows, 0) != none->rows.end();
  REQUIRE_FALSE(lucky);
  CHECK(std::isinf(BestSeconds(*table, *none).back()));
  const auto all = Replay(table, {"grid", ""}, 1, {1000, 4});
  REQUIRE(all.ok());
  CHECK(BestSeconds(*table, *all).back() == dataset.rows[0].seconds);
}

TEST_CASE("trials to a share count the first that is so near, and never as infinity", "[replay]") {
  const auto table = Enumerated();
  // Rows are ordered by time: row 0 is the best, the last one far away.
  const int last = static_cast<int>(table->dataset().rows.size()) - 1;
  const Series series = {{"random", ""}, {{0, {last, 0, 1}}, {1, {0}}, {2, {last, last - 1}}}};
  const Reach reach = TrialsTo(*table, series, 0.99);
  CHECK(reach.reached == 2);
  CHECK(reach.median == 2);
  CHECK(reach.interval.low == 1);
  CHECK(std::isinf(reach.interval.high));
  CHECK(TrialsText(reach.interval.high, 256) == ">256");

  const TableResult result = {"a,b", table, {series}};
  CHECK_THAT(SummaryCsv({result}, 256), Catch::Contains("\"a,b\",random,,648,3,0.99,2,2,1,>256\n"));
  const std::string curves = CurvesCsv({result});
  CHECK(std::ranges::count(curves, '\n') == 1 + 3 + 1 + 2);
  CHECK_THAT(curves, Catch::Contains("\"a,b\",random,,0,2,"));
}

TEST_CASE("a search that begins with a model of the same landscape finds the best sooner",
          "[replay]") {
  const auto table = Enumerated(5, 6);
  // Of a tenth of the rows, as if they were of another task.
  costmodel::TrainingData data;
  data.columns = table->FeatureCount();
  for (size_t i = 0; i < table->dataset().rows.size(); i += 10) {
    const auto row = table->features(static_cast<int>(i));
    data.rows.insert(data.rows.end(), row.begin(), row.end());
    data.labels.push_back(
        static_cast<float>(table->best_seconds() / table->row(static_cast<int>(i)).seconds));
  }
  const auto model = *costmodel::MakeCostModel("regression", 1);
  REQUIRE(model->Fit(data).ok());
  const ReplayOptions options = {64, 8, {"regression", *model->Save()}};
  const auto methods = MakeMethods({"annealing"}, {"xgboost", "regression"}, true);
  REQUIRE(methods->size() == 4);
  CHECK(ToString((*methods)[2]) == "annealing + xgboost+prior");
  const TableResult result = *ReplayAll("t", table, *methods, 5, options, [](const Series&) {});
  const Reach without = TrialsTo(*table, result.series[1], 0.95);
  const Reach with = TrialsTo(*table, result.series[2], 0.95);
  CAPTURE(without.median, with.median);
  CHECK(with.reached == 5);
  CHECK(with.median < without.median);
  CHECK_THAT(SummaryCsv({result}, 64), Catch::Contains("t,annealing,xgboost+prior,"));
  CHECK_FALSE(MakeMethods({"annealing"}, {"regression"}, true).ok());
  CHECK_FALSE(MakeMethods({"grid"}, {"xgboost"}, true).ok());
}

TEST_CASE("a job over several tables is the same each time, by every scheduler", "[replay]") {
  std::vector<std::shared_ptr<const TableSpace>> tables;
  for (const double depth : {0.001, 0.001, 0.7}) {
    const auto space = std::make_shared<test::SyntheticSpace>(3 + tables.size(), 5, 6);
    space->min_columns = costmodel::FeatureCount(ir::TargetKind::kX86);
    space->depth = depth;
    tables.push_back(*TableSpace::Make(test::EnumeratedDataset(*space), space));
  }
  const ReplayOptions options = {20, 4};
  for (const tuner::TaskSchedulerKind& kind : tuner::TaskSchedulerKinds()) {
    const std::string scheduler(kind.name);
    CAPTURE(scheduler);
    JobSeries series = {{"evolution", "regression"}, scheduler, {}};
    for (uint64_t seed = 0; seed < 7; ++seed) {
      series.runs.push_back(*ReplayJob(tables, series.method, scheduler, seed, options));
      CHECK(series.runs.back() == *ReplayJob(tables, series.method, scheduler, seed, options));
      CHECK(series.runs.back().rows.size() <= 60);
      const std::vector<double> slowdowns = JobSlowdown(tables, series.runs.back());
      CHECK(std::ranges::is_sorted(slowdowns, std::greater<>()));
      CHECK(slowdowns.back() >= 1);
    }
    const Slowdown early = SlowdownAt(tables, series, 0.5, options);
    const Slowdown late = SlowdownAt(tables, series, 1, options);
    CHECK(late.median <= early.median);
    CHECK(late.interval.low <= late.median);
    CHECK(late.median <= late.interval.high);
    CHECK_THAT(SchedulersCsv(tables, {series}), Catch::Contains("\n" + scheduler + ",evolution,"));
  }
  CHECK_FALSE(ReplayJob(tables, {"random", ""}, "tarot", 0, options).ok());
}

TEST_CASE("a job's slowdown is of the sum of best times, in which median programs weigh the same",
          "[replay]") {
  const std::shared_ptr<const TableSpace> tables[] = {Enumerated(3, 6), Enumerated(4, 6)};
  // Rows are ordered by time.
  const auto time = [&](int table, int row) {
    const std::vector<Row>& rows = tables[table]->dataset().rows;
    const double low = rows[(rows.size() - 1) / 2].seconds, high = rows[rows.size() / 2].seconds;
    return rows[row].seconds / ((low + high) / 2);
  };
  const JobRun run = {0, {{0, 5}, {1, 7}, {0, 9}, {0, 0}}};
  const std::vector<double> slowdowns = JobSlowdown(tables, run);
  const double fastest = time(0, 0) + time(1, 0);
  REQUIRE(slowdowns.size() == 4);
  CHECK(std::isinf(slowdowns[0]));
  CHECK(slowdowns[1] == Approx((time(0, 5) + time(1, 7)) / fastest));
  CHECK(slowdowns[2] == slowdowns[1]);
  CHECK(slowdowns[3] == Approx((time(0, 0) + time(1, 7)) / fastest));
}

TEST_CASE("methods are each explorer with each model, with random beside them", "[replay]") {
  const auto methods = *MakeMethods({"grid", "annealing", "random"}, {"xgboost", "random"});
  REQUIRE(methods.size() == 4);
  CHECK(ToString(methods[0]) == "random");
  CHECK(ToString(methods[1]) == "grid");
  CHECK(ToString(methods[2]) == "annealing + xgboost");
  CHECK(ToString(methods[3]) == "annealing + random");
  CHECK_FALSE(MakeMethods({"annealed"}, {"xgboost"}).ok());
  CHECK_FALSE(MakeMethods({"grid"}, {"xgbost"}).ok());
}

}  // namespace
}  // namespace tessera::replay
