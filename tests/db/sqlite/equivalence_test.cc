#include <catch2/catch.hpp>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/rng.h"
#include "db/record/memory_store.h"
#include "db/sqlite/sqlite_store.h"
#include "tests/db/record/samples.h"
#include "tests/db/sqlite/temp_dir.h"

namespace tessera::db {
namespace {

// Draws operations over few names, so that they meet: repeated attempts, foreign and missing ids,
// sequences that fit and that don't.
class Operations {
 public:
  explicit Operations(uint64_t seed) : rng_(seed) {}

  Rng& rng() { return rng_; }
  int64_t Id() { return rng_.Between(0, 5); }
  std::string Name(const char* prefix, int count) {
    return absl::StrCat(prefix, rng_.Below(static_cast<uint64_t>(count)));
  }
  std::string Class() { return rng_.Chance(0.2) ? "" : Name("class ", 2); }

  Task MakeTask() {
    Task task = SampleTask(Name("task ", 3), static_cast<int>(rng_.Between(1, 2)));
    task.weight = rng_.Uniform();
    return task;
  }
  Job MakeJob() {
    Job job = SampleJob(Name("job ", 9), {});
    for (int64_t i = rng_.Between(0, 3); i > 0; --i) job.tasks.push_back(MakeTask());
    job.options.seed = rng_.Next();
    if (rng_.Chance(0.3)) job.options.idempotency_key = Name("key ", 3);
    if (rng_.Chance(0.05)) job.options.max_seconds = std::nan("");
    return job;
  }
  ModelInfo MakeModel() {
    ModelInfo model = SampleModel(Name("model-", 4), Sha256Hex(Name("blob ", 5)));
    if (rng_.Chance(0.3)) model.created = absl::Time();
    if (rng_.Chance(0.3)) model.device_classes = {Class()};
    if (rng_.Chance(0.05)) model.name = "Model";
    return model;
  }
  Comparison MakeComparison() {
    std::vector<int64_t> ids;
    for (int64_t i = rng_.Between(1, 3); i > 0; --i) ids.push_back(rng_.Between(1, 12));
    Comparison comparison = SampleComparison(Name("t", 2), std::move(ids));
    comparison.device_class = Class();
    if (rng_.Chance(0.2)) comparison.job_id = Id();
    if (rng_.Chance(0.3)) comparison.created = absl::Time();
    if (rng_.Chance(0.05)) comparison.sample_seconds.pop_back();
    return comparison;
  }
  Record MakeRecord() {
    // Costs repeat, so that ties are common.
    Record record = SampleRecord(MakeTask().Key(), Name("attempt ", 60),
                                 1e-3 * static_cast<double>(rng_.Between(1, 8)));
    record.trace = Name("trace ", 12);
    record.device_class = Name("class ", 2);
    record.job_id = rng_.Chance(0.9) ? 0 : Id();
    record.stale = rng_.Chance(0.1);
    record.seed = rng_.Next();
    if (rng_.Chance(0.3)) record.created = absl::Time();
    if (rng_.Chance(0.3)) {
      record.measurement.outcome = static_cast<Outcome>(rng_.Between(1, 7));
      record.measurement.reason = "because";
      if (rng_.Chance(0.5)) record.measurement.sample_seconds.clear();
      record.measurement.sample_calls.clear();
    }
    if (rng_.Chance(0.02)) record.measurement.sample_seconds = {-1};
    return record;
  }
  Event MakeEvent(Store& store, int64_t ahead) {
    const int64_t job = Id();
    const auto log = store.ReadEvents(job, 0);
    int64_t sequence = (log.ok() ? static_cast<int64_t>(log->size()) : 0) + 1 + ahead;
    if (rng_.Chance(0.1)) sequence += rng_.Between(-2, 2);
    Event event =
        rng_.Chance(0.5) ? ProposedEvent(job, sequence) : ResultEvent(job, sequence, MakeRecord());
    if (rng_.Chance(0.3)) event.record_id = rng_.Between(0, 20);
    if (rng_.Chance(0.2)) event.cost_seconds = std::numeric_limits<double>::infinity();
    return event;
  }
  RecordFilter MakeFilter() {
    RecordFilter filter;
    if (rng_.Chance(0.4)) filter.task_key = MakeTask().Key();
    if (rng_.Chance(0.3)) filter.workload_hash = MakeTask().workload_hash;
    if (rng_.Chance(0.3)) filter.device_class = Class();
    if (rng_.Chance(0.3)) filter.job_id = Id();
    for (int64_t i = rng_.Between(-3, 3); i > 0; --i) {
      filter.outcomes.push_back(static_cast<Outcome>(rng_.Between(0, 7)));
    }
    if (rng_.Chance(0.3)) filter.after_id = rng_.Between(-1, 40);
    if (rng_.Chance(0.5)) filter.limit = rng_.Between(-1, 20);
    filter.newest_first = rng_.Chance(0.5);
    if (rng_.Chance(0.3)) filter.before_id = rng_.Between(-1, 40);
    return filter;
  }
  std::string Key() { return Name("library ", 3); }
  std::vector<LibraryFile> MakeFiles() {
    std::vector<LibraryFile> files;
    for (int64_t i = rng_.Between(1, 3); i > 0; --i) {
      files.push_back({Name("file ", 3), Name("digest ", 3), rng_.Between(0, 9)});
    }
    return files;
  }
  Selection MakeSelection() {
    Selection selection;
    selection.name = Name("selection ", 4);
    for (int64_t i = rng_.Between(0, 3); i > 0; --i) {
      selection.items.push_back({Name("op_", 9), MakeTask(), Name("trace ", 9), rng_.Between(0, 10),
                                 rng_.Uniform(), Class()});
    }
    if (rng_.Chance(0.5)) {
      selection.model = SelectionModel{Name("graph ", 4), {}};
      for (int64_t i = rng_.Between(0, 2); i > 0; --i) {
        selection.model->constants.push_back(Name("constant ", 4));
      }
      if (rng_.Chance(0.5)) {
        selection.in_place =
            InPlace{Key(), Name("device ", 3), rng_.Uniform(), rng_.Uniform(), rng_.Uniform()};
      }
    }
    return selection;
  }

 private:
  Rng rng_;
};

template <typename T>
void CheckSame(const absl::StatusOr<T>& a, const absl::StatusOr<T>& b) {
  INFO(a.status().ToString() << " / " << b.status().ToString());
  REQUIRE(a.status().code() == b.status().code());
  if (a.ok()) REQUIRE(*a == *b);
}

void CheckSameContents(Store& a, Store& b) {
  CheckSame(a.ListJobs(1000), b.ListJobs(1000));
  CheckSame(a.ListTasks(), b.ListTasks());
  CheckSame(a.ListDevices(), b.ListDevices());
  CheckSame(a.ListModels(), b.ListModels());
  CheckSame(a.ListComparisons("", "", {}, 1000), b.ListComparisons("", "", {}, 1000));
  RecordFilter everything;
  everything.limit = 1'000'000;
  CheckSame(a.QueryRecords(everything), b.QueryRecords(everything));
  for (int64_t id = 0; id <= 20; ++id) {
    CheckSame(a.ReadEvents(id, 0), b.ReadEvents(id, 0));
    CheckSame(a.GetSelection(id), b.GetSelection(id));
  }
}

// One operation on both stores, whose answers must be the same.
void Step(Operations& draw, Store& a, Store& b) {
  Rng& rng = draw.rng();
  switch (rng.Below(14)) {
    case 0: {
      const Job job = draw.MakeJob();
      CheckSame(a.CreateJob(job), b.CreateJob(job));
      break;
    }
    case 1: {
      const int64_t id = draw.Id();
      const auto state = static_cast<JobState>(rng.Below(5));
      const std::string message = draw.Name("message ", 9);
      REQUIRE(a.SetJobState(id, state, message).code() == b.SetJobState(id, state, message).code());
      CheckSame(a.GetJob(id), b.GetJob(id));
      break;
    }
    case 2: {
      const Device device = SampleDevice(draw.Name("", 3));
      REQUIRE(a.PutDevice(device).code() == b.PutDevice(device).code());
      break;
    }
    case 3: {
      const std::string key = draw.Key();
      const std::vector<LibraryFile> files = draw.MakeFiles();
      CheckSame(a.FindLibrary(key), b.FindLibrary(key));
      CHECK(a.PutLibrary(key, files) == b.PutLibrary(key, files));
      CHECK(a.FindLibrary(key).value() == files);
      CHECK(b.FindLibrary(key).value() == files);
      const Selection selection = draw.MakeSelection();
      CheckSame(a.CreateSelection(selection), b.CreateSelection(selection));
      CheckSame(a.FindInPlace(key), b.FindInPlace(key));
      break;
    }
    case 4: {
      const std::string blob = draw.Name("blob ", 5);
      const absl::StatusOr<std::string> digest = a.PutBlob(blob);
      CheckSame(digest, b.PutBlob(blob));
      CheckSame(a.GetBlob(*digest), b.GetBlob(*digest));
      break;
    }
    case 5: {
      const RecordFilter filter = draw.MakeFilter();
      CheckSame(a.QueryRecords(filter), b.QueryRecords(filter));
      break;
    }
    case 6: {
      const std::string task = draw.MakeTask().Key(), device_class = draw.Class();
      const int count = static_cast<int>(rng.Between(-1, 12));
      CheckSame(a.Best(task, device_class, count), b.Best(task, device_class, count));
      CheckSame(a.ListDeviceClasses(), b.ListDeviceClasses());
      CheckSame(a.ListRankedDeviceClasses(task), b.ListRankedDeviceClasses(task));
      break;
    }
    case 7: {
      const int64_t job = draw.Id(), after = rng.Between(-1, 10);
      CheckSame(a.ReadEvents(job, after), b.ReadEvents(job, after));
      break;
    }
    case 8: {
      const ModelInfo model = draw.MakeModel();
      REQUIRE(a.PutModel(model).code() == b.PutModel(model).code());
      CheckSame(a.GetModelInfo(model.name), b.GetModelInfo(model.name));
      break;
    }
    case 9: {
      const Comparison comparison = draw.MakeComparison();
      CheckSame(a.AppendComparison(comparison), b.AppendComparison(comparison));
      const std::string task = rng.Chance(0.5) ? "" : draw.Name("t", 2);
      const std::string device_class = draw.Class();
      std::optional<ComparisonPurpose> purpose;
      if (rng.Chance(0.5)) purpose = static_cast<ComparisonPurpose>(rng.Below(3));
      const int limit = static_cast<int>(rng.Between(-1, 6));
      CheckSame(a.ListComparisons(task, device_class, purpose, limit),
                b.ListComparisons(task, device_class, purpose, limit));
      break;
    }
    default: {
      std::vector<Record> records;
      std::vector<Event> events;
      for (int64_t i = rng.Between(0, 4); i > 0; --i) records.push_back(draw.MakeRecord());
      for (int64_t i = rng.Between(0, 3); i > 0; --i) {
        events.push_back(draw.MakeEvent(a, static_cast<int64_t>(rng.Below(2) * events.size())));
      }
      CheckSame(a.Append(records, events), b.Append(records, events));
    }
  }
}

TEST_CASE("memory and SQLite stores answer every sequence of operations alike", "[db]") {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    CAPTURE(seed);
    Operations draw(seed);
    ManualClock clock(absl::FromUnixMicros(1'600'000'000'000'000));
    TempDir dir(TempDir::Place::kMemory);
    MemoryStore memory(clock);
    auto sqlite = SqliteStore::Open(dir.File("t.db"), clock).value();
    for (int step = 0; step < 150; ++step) {
      CAPTURE(step);
      clock.Advance(absl::Nanoseconds(draw.rng().Between(1, 5'000'000)));
      Step(draw, memory, *sqlite);
      if (draw.rng().Chance(0.01)) {
        sqlite.reset();
        sqlite = SqliteStore::Open(dir.File("t.db"), clock).value();
      }
    }
    CheckSameContents(memory, *sqlite);
  }
}

}  // namespace
}  // namespace tessera::db
