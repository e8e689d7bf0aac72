#include "tuner/train.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <utility>
#include <vector>

#include "costmodel/cost_model.h"
#include "tests/tuner/measured_log.h"

namespace tessera::tuner {
namespace {

using test::MeasuredLog;

ProgramSet SetOf(const MeasuredLog& log, int max_programs = 1000, uint64_t seed = 0) {
  ProgramSet set;
  for (const db::Task& task : log.tasks) {
    absl::StatusOr<TaskPrograms> programs = TaskPrograms::Make(task, max_programs, seed);
    REQUIRE(programs.ok());
    for (const db::Record& record : log.records) {
      if (record.task_key == task.Key()) programs->Add(record);
    }
    REQUIRE(set.Add(*programs).ok());
  }
  return set;
}

absl::StatusOr<TrainedModel> TrainOn(const ProgramSet& set, const TrainOptions& options) {
  return Train(set, options, [](std::string_view) {});
}

TEST_CASE("a program that was measured several times counts once, with its least time", "[tuner]") {
  MeasuredLog log(1, 20, [](absl::Span<const float>, uint64_t) { return 1e-3; });
  db::Record again = log.records[0];
  again.measurement.sample_seconds = {0.5e-3};
  log.records.push_back(again);
  again.measurement.sample_seconds = {0.7e-3};
  log.records.push_back(again);
  const ProgramSet set = SetOf(log);
  REQUIRE(set.groups().size() == 1);
  std::set<std::string> distinct;
  for (const db::Record& record : log.records) distinct.insert(record.loop_hash);
  CHECK(set.groups()[0].programs == static_cast<int>(distinct.size()));
  CHECK(set.groups()[0].device_class == "x86/test");
  CHECK(set.groups()[0].task_key == log.tasks[0].Key());
  const std::vector<float>& labels = set.data().labels;
  CHECK(std::count(labels.begin(), labels.end(), 1.0f) == 1);
  CHECK(std::count(labels.begin(), labels.end(), 0.5f) == static_cast<int>(labels.size()) - 1);
}

TEST_CASE("what libraries of others compute teaches no model", "[tuner]") {
  MeasuredLog log(1, 20);
  const size_t programs = SetOf(log).data().labels.size();
  db::Record called = log.records[0];
  called.trace = "trace 1\nexternal matmul openblas\n";
  called.loop_hash = std::string(16, 'f');
  log.records.push_back(called);
  CHECK(SetOf(log).data().labels.size() == programs);
}

TEST_CASE("programs of a CPU and of a GPU are no set", "[tuner]") {
  const MeasuredLog log(2, 10);
  ProgramSet set;
  std::vector<absl::Status> added;
  for (const char* target : {"", "opencl"}) {
    db::Task task = log.tasks[added.size()];
    if (*target != 0) task.target = target;
    absl::StatusOr<TaskPrograms> programs = TaskPrograms::Make(task, 100, 0);
    REQUIRE(programs.ok());
    CHECK(set.Add(*programs).ok());  // without records it is nothing
    for (const db::Record& record : log.records) programs->Add(record);
    added.push_back(set.Add(*programs));
  }
  CHECK(added[0].ok());
  CHECK(absl::IsInvalidArgument(added[1]));
  CHECK_THAT(std::string(added[1].message()), Catch::Contains("task mm1 is for opencl"));
}

TEST_CASE("of several traces of a program one is kept, in whatever order they come", "[tuner]") {
  MeasuredLog log(1, 20);
  db::Record again = log.records[0];
  again.trace = log.records[1].trace;
  REQUIRE(again.trace != log.records[0].trace);
  log.records.push_back(again);
  const ProgramSet set = SetOf(log);
  std::reverse(log.records.begin(), log.records.end());
  CHECK(SetOf(log).data().rows == set.data().rows);
}

TEST_CASE("failures of programs count, those of devices and stale records do not", "[tuner]") {
  MeasuredLog log(1, 20, [](absl::Span<const float>, uint64_t) { return 1e-3; });
  const int programs = SetOf(log).groups().at(0).programs;
  log.records[0].measurement.outcome = db::Outcome::kWrongAnswer;
  log.records[1].measurement.outcome = db::Outcome::kInfrastructure;
  log.records[2].stale = true;
  for (int i : {0, 1, 2}) log.records[i].loop_hash = HashToHex(i);
  absl::StatusOr<TaskPrograms> task = TaskPrograms::Make(log.tasks[0], 100, 0);
  REQUIRE(task.ok());
  CHECK(task->Add(log.records[0]));
  CHECK_FALSE(task->Add(log.records[1]));
  CHECK_FALSE(task->Add(log.records[2]));
  const ProgramSet set = SetOf(log);
  const std::vector<float>& labels = set.data().labels;
  CHECK(std::count(labels.begin(), labels.end(), 0.0f) == 1);
  CHECK(set.groups().at(0).programs <= programs);
}

TEST_CASE("device classes of a task are groups of their own", "[tuner]") {
  MeasuredLog log(1, 40);
  for (size_t i = 0; i < log.records.size(); ++i) {
    if (i % 2 == 0) log.records[i].device_class = "x86/other";
    // One alone teaches nothing.
    if (i == 0) log.records[i].device_class = "arm";
  }
  const ProgramSet set = SetOf(log);
  REQUIRE(set.groups().size() == 2);
  CHECK(set.groups()[0].device_class == "x86/other");
  CHECK(set.groups()[1].device_class == "x86/test");
  CHECK(set.data().groups == std::vector<int>{set.groups()[0].programs, set.groups()[1].programs});
  CHECK(set.data().rows.size() == set.data().labels.size() * set.data().columns);
}

TEST_CASE("traces and tasks that this build can't read are left out", "[tuner]") {
  MeasuredLog log(1, 20);
  log.records[0].trace = "trace 1\nsplit nothing i 3\n";
  log.records[0].loop_hash = HashToHex(1);
  CHECK(SetOf(log).left_out() == 1);
  db::Task broken = log.tasks[0];
  broken.workload = "workload of another version";
  const absl::Status status = TaskPrograms::Make(broken, 10, 0).status();
  CHECK_FALSE(status.ok());
  CHECK(std::string(status.message()).find("mm0") != std::string::npos);
}

TEST_CASE("a sample of many programs is the same in whatever order they come", "[tuner]") {
  MeasuredLog log(1, 120);
  const ProgramSet all = SetOf(log), some = SetOf(log, 30);
  CHECK(some.groups().at(0).programs == 30);
  std::reverse(log.records.begin(), log.records.end());
  CHECK(SetOf(log, 30).data().rows == some.data().rows);
  CHECK(SetOf(log, 30).data().labels == some.data().labels);
  CHECK(SetOf(log, 30, /*seed=*/1).data().rows != some.data().rows);
  CHECK(SetOf(log).data().rows == all.data().rows);
}

TEST_CASE("a model of other workloads ranks the programs of one that it never saw", "[tuner]") {
  const ProgramSet set = SetOf(MeasuredLog(6, 60));
  const auto trained = TrainOn(set, {.cost_model = "regression", .folds = 3});
  REQUIRE(trained.ok());
  REQUIRE(trained->held_out.size() == set.groups().size());
  double sum = 0;
  for (size_t i = 0; i < trained->held_out.size(); ++i) {
    const GroupQuality& quality = trained->held_out[i];
    CHECK(quality.group == i);
    CHECK(quality.top1 <= quality.top5);
    sum += quality.pairwise_accuracy;
  }
  CHECK(trained->pairwise_accuracy == Approx(sum / 6));
  CHECK(trained->pairwise_accuracy > 0.75);
  CHECK(trained->top5 > 0.7);
  // What is stored was trained on all of them, and can be read.
  const auto model = costmodel::MakeCostModel("regression", 0).value();
  REQUIRE(model->Load(trained->bytes).ok());
}

TEST_CASE("a workload is never on both sides of a judgement", "[tuner]") {
  // Times that no feature tells, but equal for equal programs: whoever saw them knows them.
  const auto lots = [](absl::Span<const float>, uint64_t hash) {
    return 1e-3 * (1 + Rng(hash).Uniform());
  };
  MeasuredLog log(4, 50, lots);
  // The same programs on another device class, and again as a task of another name.
  std::vector<db::Record> elsewhere = log.records;
  for (db::Record& record : elsewhere) record.device_class = "x86/other";
  log.records.insert(log.records.end(), elsewhere.begin(), elsewhere.end());
  for (int i = 0; i < 4; ++i) {
    db::Task cold = log.tasks[i];
    cold.cache_mode = db::CacheMode::kCold;
    for (db::Record record : elsewhere) {
      if (record.task_key != log.tasks[i].Key()) continue;
      record.task_key = cold.Key();
      log.records.push_back(record);
    }
    log.tasks.push_back(cold);
  }
  const ProgramSet set = SetOf(log);
  REQUIRE(set.groups().size() == 4 * 3);
  for (uint64_t seed = 0; seed < 3; ++seed) {
    CAPTURE(seed);
    const auto trained = TrainOn(set, {.cost_model = "regression", .seed = seed, .folds = 12});
    REQUIRE(trained.ok());
    CHECK(trained->held_out.size() == 12);
    CHECK(trained->pairwise_accuracy > 0.35);
    CHECK(trained->pairwise_accuracy < 0.65);
  }
}

TEST_CASE("training depends on the programs and options alone", "[tuner]") {
  MeasuredLog log(3, 40);
  const TrainOptions options = {.cost_model = "xgboost", .seed = 5, .folds = 3};
  const auto one = TrainOn(SetOf(log), options);
  std::reverse(log.records.begin(), log.records.end());
  const auto two = TrainOn(SetOf(log), options);
  REQUIRE(one.ok());
  REQUIRE(two.ok());
  CHECK(one->bytes == two->bytes);
  CHECK(one->pairwise_accuracy == two->pairwise_accuracy);
  CHECK(one->top1 == two->top1);
}

TEST_CASE("what can't be judged is not, and what can't be trained is refused", "[tuner]") {
  const ProgramSet one = SetOf(MeasuredLog(1, 40)), two = SetOf(MeasuredLog(2, 40));
  const std::vector<std::pair<const ProgramSet*, int>> unjudged = {{&one, 5}, {&two, 0}, {&two, 1}};
  for (const auto& [set, folds] : unjudged) {
    const auto trained = TrainOn(*set, {.cost_model = "regression", .folds = folds});
    REQUIRE(trained.ok());
    CHECK(trained->held_out.empty());
    CHECK(trained->pairwise_accuracy < 0);
    CHECK(trained->top1 < 0);
  }
  // Enough to train on, too few to judge by.
  const ProgramSet few = SetOf(MeasuredLog(2, kMinJudged - 2));
  REQUIRE(few.groups().size() == 2);
  CHECK(TrainOn(few, {.cost_model = "regression"})->held_out.empty());

  CHECK(absl::IsInvalidArgument(TrainOn(ProgramSet(), {}).status()));
  CHECK(absl::IsInvalidArgument(TrainOn(one, {.cost_model = "tarot"}).status()));
}

}  // namespace
}  // namespace tessera::tuner
