#include "server/calibrator.h"

#include <catch2/catch.hpp>
#include <iterator>
#include <map>
#include <regex>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "db/record/memory_store.h"
#include "db/record/pace.h"
#include "tests/server/shared_store.h"
#include "tests/support/captured_stderr.h"
#include "tests/support/fake_worker.h"

namespace tessera::server {
namespace {

class NoLink final : public WorkerLink {
 public:
  void Send(proto::ServerMessage) override {}
  void Close(absl::Status) override {}
  void Abort() override {}
};

// Keeps what it is to compare until the test says what came of it.
class HeldMeasurer final : public tuner::Measurer {
 public:
  struct Held {
    tuner::ComparisonRequest request;
    std::function<void(absl::StatusOr<tuner::ComparisonRun>)> done;
  };
  int Appetite(const db::Task&, std::string_view) override { return 0; }
  void Start(const tuner::TrialRequest&, std::function<void(db::Record)>) override {}
  void Compare(const tuner::ComparisonRequest& request,
               std::function<void(absl::StatusOr<tuner::ComparisonRun>)> done) override {
    held.push_back({request, std::move(done)});
  }
  std::vector<Held> held;
};

class TroubledStore final : public SharedStore {
 public:
  using SharedStore::SharedStore;
  absl::StatusOr<int64_t> AppendComparison(const db::Comparison& comparison) override {
    if (full) return absl::ResourceExhaustedError("the disk is full");
    return SharedStore::AppendComparison(comparison);
  }
  absl::StatusOr<std::vector<db::Comparison>> ListComparisons(
      std::string_view task_key, std::string_view device_class,
      std::optional<db::ComparisonPurpose> purpose, int limit) override {
    ++lists;
    if (unreadable) return absl::UnavailableError("disk I/O error");
    return SharedStore::ListComparisons(task_key, device_class, purpose, limit);
  }
  bool full = false;
  bool unreadable = false;
  int lists = 0;  // were asked for
};

struct Rig {
  Rig() {
    SetLogLevel("off");
    for (const char* const name : {"rows", "columns"}) {
      db::Task& task = tasks.emplace_back();
      task.name = name;
      task.workload = name;
      task.target = test::kFakeTarget;
    }
    db::Job job;
    job.tasks = tasks;
    job_id = *store.CreateJob(job);
    Restart();
  }
  void Restart() {
    measurer.held.clear();
    registry = *DeviceRegistry::Load(store, clock);
    calibrator = std::make_unique<Calibrator>(store, measurer, *registry, clock);
    for (const auto& [id, slower] : online) Connect(id, slower);
  }
  void Connect(const std::string& id, double slower = 1) {
    online[id] = slower;
    const std::vector<db::Device> devices = {test::FakeDevice(id)};
    registry->Connect(devices, &link);
    registry->Store(devices);
  }
  void Measure(int task, int programs) {
    for (int i = 0; i < programs; ++i) {
      db::Record record;
      record.task_key = tasks[task].Key();
      record.job_id = job_id;
      record.attempt_key = absl::StrCat("attempt ", ++records);
      record.trace = absl::StrCat("trace ", records);
      record.device = "a";
      record.device_class = "x86/fake";
      record.measurement = test::FakeMeasurement(1e-3 * records);
      REQUIRE(store.Append({record}, {}).ok());
    }
  }
  // Time passes until the calibrator looks again.
  void Tend(absl::Duration after = absl::Seconds(1)) {
    clock.Advance(after);
    calibrator->Tend();
  }
  // Every device measures what it was given.
  void Answer() {
    for (HeldMeasurer::Held& held : std::exchange(measurer.held, {})) {
      tuner::ComparisonRun run = {held.request.device, held.request.device_class, {}};
      for (const db::Record& program : held.request.programs) {
        run.measurements.push_back(test::FakeMeasurement(program.measurement.CostSeconds() *
                                                         online.at(held.request.device)));
      }
      held.done(std::move(run));
    }
    calibrator->Tend();
  }
  std::vector<std::string> Asked() const {
    std::vector<std::string> devices;
    for (const HeldMeasurer::Held& held : measurer.held) devices.push_back(held.request.device);
    return devices;
  }
  std::vector<db::Comparison> Stored() {
    return *store.ListComparisons("", "", db::ComparisonPurpose::kCalibration, 100);
  }

  ManualClock clock;
  TroubledStore store{std::make_shared<db::MemoryStore>(clock)};
  HeldMeasurer measurer;
  NoLink link;
  std::unique_ptr<DeviceRegistry> registry;
  std::unique_ptr<Calibrator> calibrator;
  std::vector<db::Task> tasks;
  std::map<std::string, double> online;
  int64_t job_id = 0;
  int records = 0;
};

using Names = std::vector<std::string>;

TEST_CASE("one device is not calibrated", "[server]") {
  Rig rig;
  rig.Connect("a");
  rig.Measure(0, 10);
  rig.Tend();
  rig.Tend(absl::Hours(1));
  CHECK(rig.Asked().empty());
  CHECK(rig.registry->PaceOf("a") == 1);
}

TEST_CASE("devices whose times are exact are not calibrated", "[server]") {
  Rig rig;
  for (const char* const id : {"a", "b"}) {
    db::Device device = test::FakeDevice(id);
    device.exact_times = true;
    rig.registry->Connect(std::vector{device}, &rig.link);
  }
  rig.Measure(0, 10);
  rig.Tend();
  rig.Tend(absl::Hours(1));
  CHECK(rig.Asked().empty());
  // Others of the class have paces as ever.
  rig.Connect("c");
  rig.Connect("d");
  rig.Tend();
  CHECK(rig.Asked() == Names{"c", "d"});
}

TEST_CASE("two devices of a class measure the same programs and have paces then", "[server]") {
  Rig rig;
  rig.Connect("a");
  rig.Connect("b", 1.2);
  rig.Tend();
  CHECK(rig.Asked().empty());
  rig.Measure(0, 2);
  rig.Tend();
  CHECK(rig.Asked().empty());  // too few programs
  rig.Measure(0, 4);
  rig.Tend();
  REQUIRE(rig.Asked() == Names{"a", "b"});
  const tuner::ComparisonRequest request = rig.measurer.held[0].request;
  CHECK(request.purpose == db::ComparisonPurpose::kCalibration);
  CHECK(request.device_class == "x86/fake");
  CHECK(request.task.Key() == rig.tasks[0].Key());
  REQUIRE(request.programs.size() == 4);
  CHECK(request.programs[0].id == 1);  // the fastest
  rig.Tend();
  CHECK(rig.Asked().size() == 2);
  rig.Answer();
  CHECK(rig.registry->PaceOf("b") / rig.registry->PaceOf("a") == Approx(1.2));
  REQUIRE(rig.Stored().size() == 2);
  CHECK(rig.Stored()[0].record_ids == std::vector<int64_t>{1, 2, 3, 4});
  const std::vector<db::Device> stored = rig.store.ListDevices().value();
  REQUIRE(stored.size() == 2);
  for (const db::Device& device : stored) CHECK(device.pace.programs == 4);
}

TEST_CASE("further rounds take time, new trials and another task where there is one", "[server]") {
  Rig rig;
  rig.Connect("a");
  rig.Connect("b", 1.2);
  rig.Measure(0, 4);
  rig.Measure(1, 4);
  rig.Tend();
  REQUIRE(rig.Asked().size() == 2);
  CHECK(rig.measurer.held[0].request.task.Key() == rig.tasks[1].Key());
  rig.Answer();
  rig.Tend(absl::Minutes(10));
  CHECK(rig.Asked().empty());  // nothing was measured since
  rig.Measure(1, 1);
  rig.Measure(0, 1);
  rig.Measure(1, 1);
  rig.Tend();
  REQUIRE(rig.Asked().size() == 2);
  CHECK(rig.measurer.held[0].request.task.Key() == rig.tasks[0].Key());
  rig.Answer();
  CHECK(rig.registry->PaceOf("b") / rig.registry->PaceOf("a") == Approx(1.2));
  CHECK(rig.registry->List()[0].pace.programs == 8);
  rig.Measure(0, 1);
  rig.Tend(absl::Seconds(50));
  CHECK(rig.Asked().empty());
  rig.Tend(absl::Seconds(11));
  CHECK(rig.Asked().size() == 2);
}

TEST_CASE("a device that slows down has another pace after the next rounds", "[server]") {
  Rig rig;
  rig.Connect("a");
  rig.Connect("b");
  for (int round = 0; round < 12; ++round) {
    rig.online["b"] = round < 2 ? 1 : 1.3;
    rig.Measure(round % 2, 4);
    rig.Tend(absl::Minutes(11));
    REQUIRE(rig.Asked().size() == 2);
    rig.Answer();
  }
  CHECK(rig.registry->PaceOf("b") / rig.registry->PaceOf("a") == Approx(1.3));
}

TEST_CASE("a device that connects later makes up for the latest round", "[server]") {
  Rig rig;
  rig.Connect("a");
  rig.Connect("b", 1.2);
  rig.Measure(0, 4);
  rig.Tend();
  rig.Answer();
  rig.Connect("late", 0.8);
  rig.Tend();
  CHECK(rig.Asked() == Names{"late"});
  CHECK(rig.measurer.held[0].request.programs[0].id == 1);
  rig.Answer();
  CHECK(rig.registry->PaceOf("late") / rig.registry->PaceOf("a") == Approx(0.8));
  rig.Tend();
  CHECK(rig.Asked().empty());
}

TEST_CASE("a restarted server goes on where its log ends", "[server]") {
  Rig rig;
  rig.Connect("a");
  rig.Connect("b", 1.2);
  rig.Measure(0, 4);
  rig.Tend();
  rig.Answer();
  const double pace = rig.registry->PaceOf("b");
  REQUIRE(pace > 1);
  rig.Restart();
  CHECK(rig.registry->PaceOf("b") == pace);
  rig.Tend();
  CHECK(rig.Asked().empty());
  rig.Connect("late", 2);
  rig.Tend();
  REQUIRE(rig.Asked() == Names{"late"});
  // Nothing of it is known yet.
  rig.Restart();
  rig.Tend();
  REQUIRE(rig.Asked() == Names{"late"});
  rig.Answer();
  CHECK(rig.registry->PaceOf("late") / rig.registry->PaceOf("a") == Approx(2));
  CHECK(rig.Stored().size() == 3);
}

TEST_CASE("a restarted server tells a round from one before it with the same programs",
          "[server]") {
  Rig rig;
  rig.Connect("a");
  rig.Connect("b", 1.2);
  rig.Measure(0, 4);
  rig.Tend();
  rig.Answer();
  rig.Measure(0, 1);
  rig.Tend(absl::Seconds(31));
  REQUIRE(rig.Asked() == Names{"a", "b"});
  rig.measurer.held.pop_back();
  rig.Answer();
  REQUIRE(rig.Stored().size() == 3);
  REQUIRE(rig.Stored()[0].record_ids == rig.Stored()[2].record_ids);
  rig.Restart();
  rig.Tend();
  REQUIRE(rig.Asked() == Names{"b"});
  rig.Answer();
  // The third round begins a minute after the second one.
  rig.Restart();
  rig.Measure(0, 1);
  rig.Tend(absl::Seconds(45));
  CHECK(rig.Asked().empty());
  rig.Tend(absl::Seconds(15));
  CHECK(rig.Asked().size() == 2);
}

TEST_CASE("what a device does not try is given to it again, three times", "[server]") {
  Rig rig;
  rig.Connect("a");
  rig.Connect("b");
  rig.Measure(0, 4);
  rig.Tend();
  for (int i = 0; i < 3; ++i) {
    CAPTURE(i);
    const auto held = std::exchange(rig.measurer.held, {});
    REQUIRE(held.size() == (i == 0 ? 2 : 1));
    held.back().done(absl::CancelledError("no device for it is connected"));
    if (i == 0) held[0].done(absl::UnavailableError("gave up after 3 attempts"));
    rig.Tend();
  }
  CHECK(rig.Asked().empty());
  CHECK(rig.Stored().empty());
  CHECK(rig.registry->PaceOf("a") == 1);
}

TEST_CASE("a calibration that can't be stored is stored once the disk has room", "[server]") {
  Rig rig;
  rig.Connect("a");
  rig.Connect("b", 1.2);
  rig.Measure(0, 4);
  rig.Tend();
  rig.store.full = true;
  rig.Answer();
  rig.Tend();
  CHECK(rig.Stored().empty());
  CHECK(rig.registry->PaceOf("b") == 1);
  rig.store.full = false;
  rig.Tend();
  CHECK(rig.Stored().size() == 2);
  CHECK(rig.registry->PaceOf("b") > 1);
}

TEST_CASE("paces that could not be estimated are at the next turn, without a further round",
          "[server]") {
  Rig rig;
  rig.Connect("a");
  rig.Connect("b", 1.2);
  rig.Measure(0, 4);
  rig.Tend();
  rig.store.unreadable = true;
  rig.Answer();
  rig.Tend();
  CHECK(rig.registry->PaceOf("b") == 1);
  rig.store.unreadable = false;
  rig.calibrator->Tend();
  CHECK(rig.registry->PaceOf("b") / rig.registry->PaceOf("a") == Approx(1.2));
  CHECK(rig.Asked().empty());
  CHECK(rig.Stored().size() == 2);
}

TEST_CASE("a trouble is warned of once, and again when it comes back after it had passed",
          "[server]") {
  Rig rig;
  rig.Connect("a");
  rig.Connect("b", 1.2);
  rig.Measure(0, 4);
  rig.Tend();
  SetLogLevel("warning");
  const test::CapturedStderr captured;
  const auto warnings = [&] {
    const std::string text = captured.Text();
    const std::regex warning("calibration of a: waits for the server's database");
    return std::distance(std::sregex_iterator(text.begin(), text.end(), warning), {});
  };
  rig.store.full = true;
  rig.Answer();
  rig.Tend();
  CHECK(warnings() == 1);
  rig.store.full = false;
  rig.Tend();
  REQUIRE(rig.Stored().size() == 2);
  rig.Measure(1, 4);
  rig.Tend(absl::Hours(1));
  REQUIRE(rig.Asked().size() == 2);
  rig.store.full = true;
  rig.Answer();
  rig.Tend();
  CHECK(warnings() == 2);
  SetLogLevel("off");
}

TEST_CASE("paces are estimated once for all that came back, and not again without news",
          "[server]") {
  Rig rig;
  for (const char* const device : {"a", "b", "c"}) rig.Connect(device);
  rig.Connect("d", 1.2);
  rig.Measure(0, 4);
  rig.Tend();
  REQUIRE(rig.Asked().size() == 4);
  rig.store.lists = 0;
  rig.Answer();
  CHECK(rig.store.lists == 1);
  CHECK(rig.registry->PaceOf("d") == Approx(1.2));
  rig.Tend();
  CHECK(rig.store.lists == 1);
}

TEST_CASE("a device of another class now has no pace", "[server]") {
  Rig rig;
  rig.Connect("a");
  rig.Connect("b", 1.2);
  rig.Measure(0, 4);
  rig.Tend();
  rig.Answer();
  REQUIRE(rig.registry->PaceOf("b") > 1);
  rig.Connect("b", 1.2);
  CHECK(rig.registry->PaceOf("b") > 1);
  db::Device narrower = test::FakeDevice("b");
  narrower.device_class.name = "x86/narrower";
  rig.registry->Connect({narrower}, &rig.link);
  CHECK(rig.registry->PaceOf("b") == 1);
  // What its former class learns is none of its own.
  rig.registry->SetPaces("x86/fake", {{"a", {0.9, 4}}, {"b", {1.1, 4}}});
  CHECK(rig.registry->PaceOf("a") == 0.9);
  CHECK(rig.registry->PaceOf("b") == 1);
}

}  // namespace
}  // namespace tessera::server
