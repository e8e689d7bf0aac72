#include "db/record/pace.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/rng.h"
#include "db/record/memory_store.h"
#include "tests/db/record/samples.h"

namespace tessera::db {
namespace {

// Calibrations of devices that take `slower` times as long each, with noise.
class Farm {
 public:
  Farm(std::map<std::string, double> slower, double noise, uint64_t seed)
      : slower_(std::move(slower)), noise_(noise), rng_(seed) {}

  // One that calibrates with programs `first` to `first` + 3 joins the others, as the newest.
  void Calibrate(const std::string& device, int64_t first, double disturbed_by = 1) {
    Comparison calibration;
    calibration.device = device;
    calibration.purpose = ComparisonPurpose::kCalibration;
    for (int64_t id = first; id < first + 4; ++id) {
      calibration.record_ids.push_back(id);
      std::vector<double>& samples = calibration.sample_seconds.emplace_back();
      const double disturbed = id == first ? disturbed_by : 1;
      for (int turn = 0; turn < 8; ++turn) {
        const double seconds = 1e-3 * static_cast<double>(id) * slower_.at(device) * disturbed;
        samples.push_back(seconds * std::exp(noise_ * Normal()));
      }
    }
    all_.insert(all_.begin(), std::move(calibration));
  }
  void Round(int64_t first) {
    for (const auto& [device, slower] : slower_) Calibrate(device, first);
  }
  std::map<std::string, Pace> Paces() const { return EstimatePaces(all_); }

 private:
  double Normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += rng_.Uniform();
    return sum;
  }

  std::map<std::string, double> slower_;
  double noise_;
  Rng rng_;
  std::vector<Comparison> all_;
};

TEST_CASE("the paces of two devices are in the ratio of their times, whatever the noise",
          "[pace]") {
  double worst = 0;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    CAPTURE(seed);
    Farm farm({{"a", 1}, {"b", 1.2}}, 0.03, seed);
    farm.Round(1);
    const auto paces = farm.Paces();
    REQUIRE(paces.size() == 2);
    CHECK(paces.at("a").programs == 4);
    const double error = std::abs(paces.at("b").ratio / paces.at("a").ratio / 1.2 - 1);
    worst = std::max(worst, error);
    CHECK(error < 0.05);
  }
  INFO(worst);
  CHECK(worst > 0.005);  // there was noise
}

TEST_CASE("of eight rounds less is left of the noise than of one", "[pace]") {
  double worst = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Farm farm({{"a", 1}, {"b", 1.2}, {"c", 0.95}}, 0.03, seed);
    for (int round = 0; round < 8; ++round) farm.Round(1 + 4 * round);
    const auto paces = farm.Paces();
    CHECK(paces.at("c").programs == 32);
    for (const auto& [device, slower] : std::map<std::string, double>{{"b", 1.2}, {"c", 0.95}}) {
      worst = std::max(worst, std::abs(paces.at(device).ratio / paces.at("a").ratio / slower - 1));
    }
  }
  CAPTURE(worst);
  CHECK(worst < 0.02);
}

TEST_CASE("one disturbed program moves a pace little", "[pace]") {
  Farm farm({{"a", 1}, {"b", 1.2}}, 0.01, 1);
  farm.Calibrate("a", 1);
  farm.Calibrate("b", 1, 1.7);
  const auto paces = farm.Paces();
  CHECK(paces.at("b").ratio / paces.at("a").ratio == Approx(1.2).epsilon(0.03));
}

TEST_CASE("the pace of the class is the median of its devices", "[pace]") {
  Farm farm({{"a", 1}, {"b", 1.1}, {"c", 2}}, 0, 1);
  farm.Round(1);
  CHECK(farm.Paces().at("b").ratio == Approx(1));
  CHECK(farm.Paces().at("a").ratio == Approx(1 / 1.1));
  CHECK(farm.Paces().at("c").ratio == Approx(2 / 1.1));
}

TEST_CASE("a device that missed rounds is measured by those that it was in", "[pace]") {
  Farm farm({{"a", 1}, {"b", 1.2}, {"late", 0.9}}, 0, 1);
  farm.Calibrate("a", 1);
  farm.Calibrate("b", 1);
  farm.Calibrate("a", 5);
  farm.Calibrate("late", 5);
  const auto paces = farm.Paces();
  CHECK(paces.at("late").ratio / paces.at("a").ratio == Approx(0.9));
  CHECK(paces.at("late").ratio / paces.at("b").ratio == Approx(0.9 / 1.2));
  CHECK(paces.at("a").programs == 8);
  CHECK(paces.at("late").programs == 4);
}

TEST_CASE("a device without three programs in common with others has no pace", "[pace]") {
  Farm farm({{"a", 1}, {"b", 1.2}}, 0, 1);
  CHECK(farm.Paces().empty());
  farm.Calibrate("a", 1);
  CHECK(farm.Paces().empty());
  farm.Calibrate("b", 3);  // two of them
  CHECK(farm.Paces().empty());
  farm.Calibrate("b", 2);
  CHECK(farm.Paces().size() == 2);
}

TEST_CASE("of two calibrations with one program the newer one counts", "[pace]") {
  Farm hot({{"a", 1}, {"b", 1.5}}, 0, 1);
  hot.Round(1);
  CHECK(hot.Paces().at("b").ratio / hot.Paces().at("a").ratio == Approx(1.5));
  Comparison cool, other;
  for (Comparison* one : {&cool, &other}) {
    one->device = one == &cool ? "b" : "a";
    one->record_ids = {1, 2, 3};
    one->sample_seconds = {{1}, {2}, {3}};
  }
  Comparison old = cool;
  old.sample_seconds = {{10}, {20}, {30}};
  CHECK(EstimatePaces({cool, other, old}).at("b").ratio == Approx(1));
  CHECK(EstimatePaces({old, other, cool}).at("b").ratio == Approx(std::sqrt(10)));
}

TEST_CASE("a device is compared with the others of its class whose pace is known", "[pace]") {
  std::vector<Device> devices(4);
  const double ratios[] = {0.95, 1, 1.2, 1};
  for (size_t i = 0; i < devices.size(); ++i) {
    devices[i].id = absl::StrCat("board-", i);
    devices[i].device_class.name = "boards";
    devices[i].pace = {ratios[i], i < 3 ? 4 : 0};
  }
  CHECK(SlowerThanOthers(devices, devices[2]) == Approx(1.2 / 0.975));
  CHECK(SlowerThanOthers(devices, devices[1]) == Approx(1 / 1.075));
  CHECK(SlowerThanOthers(devices, devices[3]) == 1);
  devices[2].device_class.name = "others";
  CHECK(SlowerThanOthers(devices, devices[2]) == 1);
  CHECK(SlowText(devices[0], 1.25) ==
        "board-0 takes 1.25 times as long as the others of its class, by 4 programs; look for "
        "heat, a lower clock or other load there, or leave it out: `tessera devices --drain "
        "board-0`");
}

TEST_CASE("the best by pace are those of a whole sort, whatever order the times came in",
          "[pace]") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    PaceTable paces;
    paces.Add("a", "class", 0.9);
    paces.Add("b", "class", 1.3);
    paces.Add("c", "another class", 5);
    const std::string task(64, 't');
    std::vector<Record> records;
    for (int64_t id = 1; id <= 40; ++id) {
      Record& record = records.emplace_back(SampleRecord(
          task, absl::StrCat(id), 1e-3 * (1 + static_cast<double>(rng.Below(20)) / 20)));
      record.id = id;
      record.trace = absl::StrCat("trace ", rng.Below(15));
      record.device = std::string(1, static_cast<char>('a' + rng.Below(4)));
      record.device_class = "class";
    }
    std::ranges::sort(records, {},
                      [](const Record& r) { return std::pair(r.measurement.CostSeconds(), r.id); });
    const int count = static_cast<int>(rng.Below(12));
    BestRecords best(count, paces, "");
    for (const Record& record : records) {
      if (!best.Offer(record)) break;
    }
    for (Record& record : records) record.pace = paces.Of(record);
    std::ranges::sort(records, {},
                      [](const Record& r) { return std::pair(r.CostSeconds(), r.id); });
    std::vector<Record> expected;
    for (const Record& record : records) {
      const bool is_new = std::ranges::none_of(
          expected, [&](const Record& other) { return other.trace == record.trace; });
      if (is_new && static_cast<int>(expected.size()) < count) expected.push_back(record);
    }
    CHECK(std::move(best).Take() == expected);
  }
}

}  // namespace
}  // namespace tessera::db
