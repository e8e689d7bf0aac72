#include "tuner/replay/dataset.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/rng.h"
#include "compiler/te/operators.h"
#include "costmodel/features.h"
#include "tests/support/temporary_directory.h"
#include "tests/tuner/replay/tables.h"
#include "tuner/config_search_space.h"
#include "tuner/replay/dataset_maker.h"

namespace tessera::replay {
namespace {

db::Task MatmulTask(const std::string& n = "64") {
  const te::Workload workload =
      *te::MakeWorkload({"mm", "matmul", {{"m", "64"}, {"n", n}, {"k", "64"}}});
  db::Task task;
  task.name = "mm";
  task.workload = te::Print(workload);
  task.workload_hash = HashToHex(te::StructuralHash(workload.dag));
  task.target = ir::ToString(*ir::X86Target("avx512"));
  return task;
}

db::Record RecordOf(const tuner::SearchSpace& space, const tuner::Point& point, double seconds) {
  db::Record record;
  record.config = space.Config(point);
  record.loop_hash = HashToHex(*space.LoopHash(point));
  record.tessera_version = "0.1.0";
  record.created = absl::FromUnixSeconds(1'700'000'000);
  record.measurement.outcome = seconds > 0 ? db::Outcome::kOk : db::Outcome::kRunError;
  if (seconds > 0) record.measurement.sample_seconds = {seconds};
  return record;
}

Dataset Small() {
  const test::SyntheticSpace space(3, 4, 4);
  Dataset dataset = test::SampledDataset(space, 20, 1);
  dataset.task.workload = "workload t\ninput X: f32[4]\n\noutput y\n";
  dataset.task.workload_hash.clear();  // not kept: it follows from the workload
  dataset.task.threads = 2;
  dataset.task.cache_mode = db::CacheMode::kCold;
  dataset.cpu = "a CPU; governor: performance";
  dataset.version = "0.1.0";
  dataset.commit = "0123abc";
  dataset.command = "tessera dataset --task t";
  dataset.remark = "others kept 0.01 cores busy";
  dataset.pins = R"({"sketch":["direct"]})";
  dataset.first = absl::FromUnixSeconds(1'700'000'000);
  dataset.last = absl::FromUnixSeconds(1'700'003'600);
  dataset.feature_version = 3;
  for (size_t i = 0; i < dataset.rows.size(); ++i) {
    dataset.rows[i].seconds = std::stod(absl::StrCat(i + 1, "e-5"));  // exactly as it is written
  }
  dataset.rows[7].outcome = db::Outcome::kWrongAnswer;
  dataset.rows[7].seconds = 0;
  return dataset;
}

TEST_CASE("a data set is read back as it was written", "[replay]") {
  const Dataset dataset = Small();
  const std::string text = Print(dataset);
  const auto read = ParseDataset(text);
  REQUIRE(read.ok());
  CHECK(*read == dataset);
  CHECK(Print(*read) == text);
  CHECK(text.find("# first: 2023-11-14T22:13:20Z\n") != std::string::npos);
  CHECK(text.find("\twrong_answer\t\t") != std::string::npos);
}

TEST_CASE("what is wrong with a data set is said with its line", "[replay]") {
  const std::string text = Print(Small());
  const auto why = [](const std::string& damaged) {
    const absl::Status status = ParseDataset(damaged).status();
    CAPTURE(status);
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  using Catch::Contains;
  CHECK_THAT(why(""), Contains("no data set"));
  CHECK_THAT(why("{\"id\":1}\n"), Contains("line 1: no data set"));
  CHECK_THAT(why(text.substr(0, text.rfind('\n', text.size() - 2) + 1)),
             Contains("the header says"));
  CHECK_THAT(why(text + text.substr(text.rfind('\n', text.size() - 2) + 1)),
             Contains("comes again"));
  CHECK_THAT(why(text + "0000000000000001\tok\t1e-5\t[1]\n"), Contains("more than"));
  CHECK_THAT(why(text + "0000000000000001\tok\t1e-5\n"), Contains("3 columns"));
  CHECK_THAT(why(text + "1\tok\t1e-5\t[1]\n"), Contains("hex"));
  CHECK_THAT(why(text + "0000000000000001\tcancelled\t\t[1]\n"), Contains("says nothing"));
  CHECK_THAT(why(text + "0000000000000001\tok\tnan\t[1]\n"), Contains("not a number of seconds"));
  CHECK_THAT(why(text + "0000000000000001\tok\t-1\t[1]\n"), Contains("not a number of seconds"));
  CHECK_THAT(why(text + "0000000000000001\ttimeout\t1\t[1]\n"), Contains("that failed"));
  CHECK_THAT(why(text + "0000000000000001\tok\t1\t\n"), Contains("no config"));
  CHECK_THAT(why(text + "0000000000000001\tok\t1\t" + std::string(kMaxConfigBytes + 1, 'x')),
             Contains("no config"));
  const auto with = [&](const std::string& from, const std::string& to) {
    const std::string changed = absl::StrReplaceAll(text, {{from, to}});
    REQUIRE(changed != text);
    return why(changed);
  };
  CHECK_THAT(with("# threads: 2", "# threads: 0"), Contains("threads is \"0\""));
  CHECK_THAT(with("# threads: 2", "# colour: 2"), Contains("threads is \"\""));
  CHECK_THAT(with("# rows: ", "# rows: 9999"), Contains("rows is"));
  CHECK_THAT(with("# kind: sampled", "# kind: some"), Contains("kind is \"some\""));
  CHECK_THAT(with("# commit: ", "# colour: "), Contains("colour is not known"));
  CHECK_THAT(with("# commit: ", "# name: "), Contains("name comes again"));
  CHECK_THAT(with("# first: 2023", "# first: in 2023"), Contains("not a time"));
  CHECK_THAT(with("# cpu: ", "# cpu:"), Contains("key: value"));
  CHECK_THAT(with("# cpu: ", "# cpu: \x1b"), Contains("key: value"));
  CHECK(ParseDataset(absl::StrReplaceAll(text, {{"tessera-data: 1", "tessera-data: 2"}}))
            .status()
            .code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(why("# tessera-data: 1\n# cpu: " + std::string(kMaxHeaderBytes, 'x') + "\n"),
             Contains("a header of more than"));
}

TEST_CASE("damage never gets past the reader as something else than a data set", "[replay]") {
  const std::string text = Print(Small());
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    std::string damaged = text;
    for (uint64_t edits = 1 + rng.Below(4); edits > 0 && !damaged.empty(); --edits) {
      const size_t at = rng.Below(damaged.size());
      switch (rng.Below(4)) {
        case 0:
          damaged[at] = static_cast<char>(rng.Below(256));
          break;
        case 1:
          damaged.erase(at, 1 + rng.Below(40));
          break;
        case 2:
          damaged.insert(at, text.substr(rng.Below(text.size()), rng.Below(80)));
          break;
        default:
          damaged.resize(at);
      }
    }
    const auto read = ParseDataset(damaged);
    if (!read.ok()) {
      REQUIRE(!read.status().message().empty());
      REQUIRE(read.status().message().size() < 300);
      continue;
    }
    REQUIRE(!read->rows.empty());
    for (const Row& row : read->rows)
      REQUIRE((row.outcome == db::Outcome::kOk) == (row.seconds > 0));
    const auto again = ParseDataset(Print(*read));
    REQUIRE(again.ok());
    REQUIRE(Print(*again) == Print(*read));
  }
}

TEST_CASE("a file that is no data set is refused by its path", "[replay]") {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path + "/a.data";
  CHECK(ReadDataset(path).status().code() == absl::StatusCode::kNotFound);
  CHECK_FALSE(ReadDataset(directory.path).ok());
  std::ofstream(path) << "hello\n";
  CHECK_THAT(std::string(ReadDataset(path).status().message()), Catch::Contains(path));
  std::ofstream(path) << Print(Small());
  CHECK(ReadDataset(path).ok());
}

TEST_CASE("a log's programs become rows, each once, with the median of its times", "[replay]") {
  const db::Task task = MatmulTask();
  const auto space = *tuner::MakeSearchSpace(task);
  Rng rng(1);
  const tuner::Point fast = space->Sample(rng), failing = space->Sample(rng);
  REQUIRE(fast != failing);
  DatasetMaker maker(*space);
  for (const double seconds : {4e-5, 1e-5, 0.0, 2.0000004e-5, 3e-5}) {
    maker.Add(RecordOf(*space, fast, seconds));
  }
  maker.Add(RecordOf(*space, failing, 0));
  db::Record record = RecordOf(*space, fast, 1e-9);
  record.stale = true;
  maker.Add(record);
  record.stale = false;
  record.config.clear();  // the default schedule
  maker.Add(record);
  record = RecordOf(*space, fast, 1e-9);
  record.measurement.outcome = db::Outcome::kInfrastructure;
  maker.Add(record);
  CHECK(maker.left_out() == 0);
  record = RecordOf(*space, fast, 1e-9);
  record.loop_hash = HashToHex(7);  // of another version's rules
  maker.Add(record);
  record.config = "{\"sketch\":\"gone\"}";
  maker.Add(record);
  CHECK(maker.left_out() == 2);

  Dataset header;
  header.task = task;
  const auto dataset = std::move(maker).Finish(header);
  REQUIRE(dataset.ok());
  REQUIRE(dataset->rows.size() == 2);
  CHECK(dataset->version == "0.1.0");
  CHECK(dataset->first == absl::FromUnixSeconds(1'700'000'000));
  CHECK(dataset->feature_version == costmodel::kCpuFeatureVersion);
  const Row& row = dataset->rows[fast < failing ? 0 : 1];
  CHECK(row.config == space->Config(fast));
  CHECK(row.seconds == 2e-5);
  CHECK(dataset->rows[fast < failing ? 1 : 0].outcome == db::Outcome::kRunError);
}

TEST_CASE("a log without times makes no data set", "[replay]") {
  const db::Task task = MatmulTask();
  const auto space = *tuner::MakeSearchSpace(task);
  Rng rng(1);
  DatasetMaker maker(*space);
  maker.Add(RecordOf(*space, space->Sample(rng), 0));
  Dataset header;
  header.task = task;
  CHECK(std::move(maker).Finish(header).status().code() == absl::StatusCode::kNotFound);
}

TEST_CASE("enumerated is what has a row for every program within its pins", "[replay]") {
  Dataset header;
  header.task = MatmulTask();
  header.kind = DatasetKind::kEnumerated;
  header.pins = R"({"sketch":["direct"],"tile.lanes":[16],"tile.m":[4],"tile.n":[16,32],)"
                R"("order.outer":[[0,1]],"order.middle":[[0,1]]})";
  const auto space = tuner::MakeSearchSpace(header.task, header.pins);
  INFO(space.status());
  REQUIRE(space.ok());
  std::vector<tuner::Point> points;
  for (auto p = (*space)->Next({}); p; p = (*space)->Next(*p)) points.push_back(*p);
  REQUIRE(points.size() > 20);
  const auto make = [&](const std::function<void(DatasetMaker&)>& add) {
    DatasetMaker maker(**space);
    add(maker);
    return std::move(maker).Finish(header);
  };
  const auto add_from = [&](size_t first) {
    return [&, first](DatasetMaker& maker) {
      for (size_t i = first; i < points.size(); ++i) maker.Add(RecordOf(**space, points[i], 1e-5));
    };
  };
  const auto whole = make(add_from(0));
  REQUIRE(whole.ok());
  CHECK(whole->rows.size() == points.size());

  const auto lacks_two = make(add_from(2));
  CHECK(lacks_two.status() ==
        absl::FailedPreconditionError(absl::StrCat(
            "2 programs of the space of mm within its pins have no row, the first: ",
            (*space)->Config(points[0]),
            "; measure them by --explorer grid, or make a data set of --kind sampled")));

  // The default schedule, of which no config is known.
  const auto by_default = make([&](DatasetMaker& maker) {
    add_from(1)(maker);
    db::Record record = RecordOf(**space, points[0], 7e-5);
    record.config.clear();
    maker.Add(record);
  });
  REQUIRE(by_default.ok());
  REQUIRE(by_default->rows.size() == points.size());
  CHECK(by_default->rows[0].config == (*space)->Config(points[0]));
  CHECK(by_default->rows[0].seconds == 7e-5);

  // A program outside of the pins is none of its rows.
  const auto unpinned = *tuner::MakeSearchSpace(header.task);
  Rng rng(1);
  tuner::Point outside = unpinned->Sample(rng);
  while ((*space)->Parse(unpinned->Config(outside)).ok()) outside = unpinned->Sample(rng);
  DatasetMaker maker(**space);
  add_from(0)(maker);
  maker.Add(RecordOf(*unpinned, outside, 1e-6));
  CHECK(maker.left_out() == 1);
  CHECK(std::move(maker).Finish(header)->rows.size() == points.size());

  header.pins.clear();
  header.kind = DatasetKind::kSampled;
  CHECK(make(add_from(2)).ok());
  header.kind = DatasetKind::kEnumerated;
  DatasetMaker few(*unpinned);
  few.Add(RecordOf(*unpinned, outside, 1e-6));
  CHECK_THAT(std::string(std::move(few).Finish(header).status().message()),
             Catch::Contains("at least 1000 programs of the space of mm have no row"));
}

TEST_CASE("what nobody could read is not written", "[replay]") {
  Dataset dataset = Small();
  CHECK(*PrintReadable(dataset) == Print(dataset));
  dataset.rows[3].config = std::string(kMaxConfigBytes + 1, 'x');
  CHECK_THAT(std::string(PrintReadable(dataset).status().message()),
             Catch::Contains("nobody could read this data set: line ") &&
                 Catch::Contains("no config of 1 to 16384 bytes"));
}

TEST_CASE("digests tell spaces apart", "[replay]") {
  const std::string digest = *SpaceDigest(MatmulTask());
  CHECK(*SpaceDigest(MatmulTask()) == digest);
  CHECK(*SpaceDigest(MatmulTask("96")) != digest);
  db::Task threads = MatmulTask();
  threads.threads = 2;
  CHECK(*SpaceDigest(threads) != digest);
}

}  // namespace
}  // namespace tessera::replay
