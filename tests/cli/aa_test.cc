#include "cli/aa.h"

#include <catch2/catch.hpp>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "tests/cli/fake_client.h"

namespace tessera::cli {
namespace {

db::Task TaskNamed(const std::string& name) {
  db::Task task;
  task.name = name;
  task.workload_hash = "0123456789abcdef";
  task.workload = absl::StrCat("workload ", name);
  task.target = "x86/avx2";
  return task;
}

// A server whose device takes the second of two equal programs for faster at every tenth pair.
class NoisyClient final : public FakeClient {
 public:
  NoisyClient() {
    for (const char* name : {"mm", "conv", "none"}) {
      tasks.push_back(TaskNamed(name));
    }
    devices.resize(1);
    devices[0].id = "w/cpu";
    devices[0].device_class = {"x86/test", ""};
    devices[0].runs = true;
    devices[0].state = "online";
  }
  absl::StatusOr<std::vector<db::Task>> ListTasks() override { return tasks; }
  absl::StatusOr<std::vector<db::Device>> ListDevices() override { return devices; }
  absl::StatusOr<std::vector<RecordedClass>> ListDeviceClasses(
      const std::vector<std::string>&) override {
    return std::vector<RecordedClass>{{"x86/test", 2}, {"x86/other", 0}};
  }
  absl::StatusOr<std::vector<db::Record>> Best(const std::string& key, const std::string& name, int,
                                               const std::string&) override {
    std::vector<db::Record> best;
    for (int64_t i = 0; i < 2; ++i) {
      if (tasks[i].Key() != key || name != "x86/test") continue;
      best.emplace_back().id = i + 1;
    }
    return best;
  }
  absl::StatusOr<std::vector<db::Comparison>> ListComparisons(
      const std::string& key, const std::string&, db::ComparisonPurpose purpose) override {
    REQUIRE(purpose == db::ComparisonPurpose::kSame);
    std::vector<db::Comparison> found;
    for (auto it = stored.rbegin(); it != stored.rend(); ++it) {
      if (it->task_key == key) found.push_back(*it);
    }
    return found;
  }
  absl::StatusOr<db::Comparison> CompareWithItself(int64_t record) override {
    ++asked;
    if (aborts > 0) {
      --aborts;
      return absl::AbortedError("device lost");
    }
    if (failures.contains(record)) return failures[record];
    if (static_cast<int>(stored.size()) == interrupt_at) return absl::CancelledError("interrupted");
    db::Comparison& comparison = stored.emplace_back();
    const auto number = static_cast<int64_t>(stored.size());
    comparison.id = 100 + number;
    comparison.task_key = tasks[record - 1].Key();
    comparison.purpose = db::ComparisonPurpose::kSame;
    comparison.record_ids = {record};
    comparison.promoted = record;
    comparison.sample_seconds.assign(2, std::vector<double>(20, 1e-3));
    comparison.ratio = number % 10 == 0 ? 0.97 : number % 2 == 0 ? 1.002 : 0.998;
    comparison.ratio_low = comparison.ratio - 0.01;
    comparison.ratio_high = comparison.ratio + 0.01;
    return comparison;
  }

  std::vector<db::Task> tasks;
  std::vector<db::Device> devices;
  std::vector<db::Comparison> stored;
  std::map<int64_t, absl::Status> failures;
  int interrupt_at = -1;
  int asked = 0;
  int aborts = 0;  // to come
};

void Nobody(const AaCampaign&) {}

TEST_CASE("a campaign measures the tasks in turn and counts false winners", "[cli]") {
  NoisyClient client;
  auto campaign = AaCampaign::Create(client, "", "", -1);
  INFO(campaign.status());
  REQUIRE(campaign.ok());
  CHECK(campaign->device_class() == "x86/test");
  int shown = 0;
  REQUIRE(
      campaign->Run(client, 40, [&](const AaCampaign& so_far) { CHECK(so_far.pairs() == ++shown); })
          .ok());
  CHECK(shown == 40);
  std::map<std::string, int> pairs;
  for (const db::Comparison& one : client.stored) ++pairs[one.task_key];
  CHECK(pairs ==
        std::map<std::string, int>{{client.tasks[0].Key(), 20}, {client.tasks[1].Key(), 20}});
  const AaSummary summary = campaign->Summary();
  CHECK(summary.pairs == 40);
  CHECK(summary.false_winners == 4);
  CHECK(summary.median_ratio == Approx(1).margin(0.0021));
  CHECK(summary.median_interval.low <= summary.median_ratio);
  CHECK(summary.median_interval.high >= summary.median_ratio);
  CHECK(summary.range.low == 0.97);

  const std::string table = campaign->Table();
  CHECK_THAT(table, Catch::Contains("x86/test: 40 pairs"));
  CHECK_THAT(table, Catch::Contains("4 false winners (10.0 %)"));
  CHECK_THAT(table, Catch::Contains("mm"));
  CHECK_THAT(table, !Catch::Contains("none"));
  const nlohmann::json json = nlohmann::json::parse(campaign->Json());
  CHECK(json["summary"]["false_winners"] == 4);
  CHECK(json["tasks"].size() == 2);
  CHECK(json["tasks"][0]["pairs"] == 20);
  CHECK(json["pairs"].size() == 40);
  CHECK(json["pairs"][9]["ratio"] == 0.97);
  CHECK(json["pairs"][0]["turns"] == 20);
}

TEST_CASE("an interrupted campaign goes on with the pairs that it has", "[cli]") {
  NoisyClient client;
  client.CompareWithItself(1).IgnoreError();  // of an earlier campaign
  client.interrupt_at = 8;
  auto campaign = AaCampaign::Create(client, "", "x86/test", -1);
  REQUIRE(campaign.ok());
  CHECK(absl::IsCancelled(campaign->Run(client, 20, Nobody)));
  CHECK(campaign->pairs() == 7);
  CHECK(campaign->after() == 101);
  client.interrupt_at = -1;
  CHECK(HowToGoOn({.task = "mm", .pairs = 20, .json = true}, *campaign) ==
        "; `tessera aa \"mm\" --device-class x86/test --pairs 20 --after 101 --json` goes on");
  CHECK(HowToGoOn({.pairs = 20}, *campaign) ==
        "; `tessera aa --device-class x86/test --pairs 20 --after 101` goes on");
  auto again = AaCampaign::Create(client, "", "x86/test", campaign->after());
  REQUIRE(again.ok());
  CHECK(again->pairs() == 7);
  REQUIRE(again->Run(client, 20, Nobody).ok());
  CHECK(client.stored.size() == 21);
  CHECK(again->Summary().pairs == 20);
  CHECK(again->Summary().false_winners == 2);
  CHECK(nlohmann::json::parse(again->Json())["pairs"][0]["comparison"] == 102);
}

TEST_CASE("tasks whose program does not run are left out, and none is an error", "[cli]") {
  NoisyClient client;
  client.failures[1] = absl::FailedPreconditionError("too many registers");
  auto campaign = AaCampaign::Create(client, "", "", -1);
  REQUIRE(campaign.ok());
  REQUIRE(campaign->Run(client, 10, Nobody).ok());
  CHECK(campaign->left_out() == std::vector<std::string>{"mm: too many registers"});
  CHECK(client.stored.size() == 10);
  client.failures[2] = absl::FailedPreconditionError("no connected device builds");
  campaign = AaCampaign::Create(client, "", "", -1);
  CHECK(campaign->Run(client, 10, Nobody) ==
        absl::FailedPreconditionError("no program can be measured against itself: mm: too many "
                                      "registers; conv: no connected device builds"));
  CHECK(campaign->Table() == "no pair was measured\n");
  client.failures[2] = absl::AbortedError("device lost");
  campaign = AaCampaign::Create(client, "conv", "", -1);
  CHECK(absl::IsAborted(campaign->Run(client, 10, Nobody)));
}

TEST_CASE("a pair whose device fails is tried again, three times in all", "[cli]") {
  NoisyClient client;
  auto campaign = AaCampaign::Create(client, "mm", "", -1);
  REQUIRE(campaign.ok());
  for (int pair = 1; pair <= 3; ++pair) {
    client.aborts = 2;
    REQUIRE(campaign->Run(client, pair, Nobody).ok());
  }
  CHECK(client.asked == 9);
  client.aborts = 3;
  CHECK(campaign->Run(client, 4, Nobody) == absl::AbortedError("device lost"));
  CHECK(campaign->pairs() == 3);
}

TEST_CASE("a campaign needs a class, and a task that was measured there", "[cli]") {
  NoisyClient client;
  CHECK(absl::IsNotFound(AaCampaign::Create(client, "none", "", -1).status()));
  CHECK(absl::IsNotFound(AaCampaign::Create(client, "", "x86/other", -1).status()));
  CHECK(absl::IsNotFound(AaCampaign::Create(client, "", "x86/unheard", -1).status()));
  client.devices.push_back(client.devices[0]);
  client.devices[1].device_class.name = "x86/other";
  CHECK(AaCampaign::Create(client, "", "", -1).status() ==
        absl::InvalidArgumentError("devices of several classes are online: x86/other, x86/test; "
                                   "choose one by --device-class"));
  client.devices.clear();
  CHECK(absl::IsFailedPrecondition(AaCampaign::Create(client, "", "", -1).status()));
}

}  // namespace
}  // namespace tessera::cli
