#include "cli/build_plan.h"

#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/view.h"
#include "compiler/ir/target.h"
#include "tests/cli/fake_client.h"

namespace tessera::cli {
namespace {

constexpr char kAvx2[] = "x86/avx2 threads=2";

// Knows devices, and how many of any tasks have a record on a class.
class DevicesClient final : public FakeClient {
 public:
  absl::StatusOr<std::vector<db::Device>> ListDevices() override { return devices; }
  absl::StatusOr<std::vector<RecordedClass>> ListDeviceClasses(
      const std::vector<std::string>&) override {
    return recorded;
  }
  absl::Status QueryRecords(const db::RecordFilter&,
                            const std::function<void(const db::Record&)>&) override {
    return absl::OkStatus();
  }
  void Add(const std::string& device_class, const std::string& target) {
    db::Device device;
    device.id = absl::StrCat(device_class, "/0");
    device.device_class.name = device_class;
    device.target = target;
    device.runs = true;
    devices.push_back(device);
  }

  absl::StatusOr<std::vector<db::Record>> Best(const std::string&, const std::string& device_class,
                                               int, const std::string&) override {
    return std::vector<db::Record>(measured.contains(device_class) ? 1 : 0);
  }

  std::vector<db::Device> devices;
  std::vector<RecordedClass> recorded;
  std::set<std::string> measured;  // classes with records
};

JobFile OneOperator(int threads) {
  auto file = ParseJobFile(
      "operators:\n  - {name: c, op: conv2d, n: 1, ic: 8, oc: 8, size: 8, k: 3, pad: 1}\n",
      "job.yaml");
  INFO(file.status());
  REQUIRE(file.ok());
  file->options.threads = threads;
  return *std::move(file);
}

bool Says(const absl::Status& status, std::string_view text) {
  return status.message().find(AbslView(text)) != absl::string_view::npos;
}

TEST_CASE("a device of a foreign kind does not keep a library from being built", "[cli]") {
  DevicesClient client;
  client.Add("an accelerator", "vta");
  client.Add("cpu", kAvx2);
  for (const std::vector<std::string>& wanted : {std::vector<std::string>{}, {"cpu"}}) {
    const auto plan = PlanFromFile(client, OneOperator(1), wanted, "");
    INFO(plan.status());
    REQUIRE(plan.ok());
    CHECK(plan->versions.at(0).device_class == "cpu");
    CHECK(plan->versions.at(0).tasks.size() == 1);
  }
  client.recorded = {{"a gpu", 0}, {"cpu", 1}};
  CHECK(PlanFromFile(client, OneOperator(1), {}, "")->versions.at(0).device_class == "cpu");
}

TEST_CASE("each class with records is a version with tasks of its own target", "[cli]") {
  DevicesClient client;
  client.Add("cpu", kAvx2);
  client.Add("old", "x86/sse4.2 threads=2");
  client.recorded = {{"cpu", 1}, {"old", 1}};
  for (const std::vector<std::string>& wanted : {std::vector<std::string>{}, {"cpu", "old"}}) {
    const auto plan = PlanFromFile(client, OneOperator(1), wanted, "");
    INFO(plan.status());
    REQUIRE(plan.ok());
    REQUIRE(plan->versions.size() == 2);
    CHECK(plan->warnings.empty());
    CHECK(plan->versions[0].device_class == "cpu");
    CHECK(plan->versions[0].tasks.at(0).target.find("x86/avx2") == 0);
    CHECK(plan->versions[1].device_class == "old");
    CHECK(plan->versions[1].tasks.at(0).target.find("x86/sse4.2") == 0);
  }
  // One target for both: nothing to choose by.
  CHECK(Says(PlanFromFile(client, OneOperator(1), {"cpu", "old"}, kAvx2).status(),
             "cpu and old have the same instruction set, avx2"));
}

TEST_CASE("a device with fewer cores than are wanted is no choice for a library", "[cli]") {
  DevicesClient client;
  client.Add("small", "x86/avx2 threads=1");
  client.Add("wide", kAvx2);
  const auto plan = PlanFromFile(client, OneOperator(2), {}, "");
  REQUIRE(plan.ok());
  CHECK(plan->versions.at(0).device_class == "wide");
  CHECK(plan->versions.at(0).tasks[0].threads == 2);
}

TEST_CASE("a library for a device has versions for CPUs beside it", "[cli]") {
  DevicesClient client;
  client.Add("gpu", "opencl block=256 wave=32 shared=32768");
  client.Add("cpu", kAvx2);
  client.recorded = {{"gpu", 1}};
  // None has records: default schedules for any.
  auto plan = PlanFromFile(client, OneOperator(1), {}, "");
  INFO(plan.status());
  REQUIRE(plan.ok());
  REQUIRE(plan->versions.size() == 2);
  CHECK(plan->versions[0].device_class == "gpu");
  CHECK(plan->versions[0].tasks.at(0).target.find("opencl") == 0);
  CHECK_THAT(plan->versions[1].device_class, Catch::EndsWith("/any"));
  const db::Task& any = plan->versions[1].tasks.at(0);
  CHECK(any.workload == plan->versions[0].tasks[0].workload);
  CHECK(any.target == ir::ToString(ir::ParseTarget(any.target).value()));
  REQUIRE(plan->warnings.size() == 1);
  CHECK_THAT(plan->warnings[0], Catch::Contains("no CPU has records of these operators"));

  // Whose records there are is a choice of the user, between two different libraries.
  client.recorded = {{"gpu", 1}, {"cpu", 1}};
  CHECK(Says(PlanFromFile(client, OneOperator(1), {}, "").status(),
             "some are of CPUs and one of a device, which make different libraries; choose with"));
  for (const std::vector<std::string>& wanted : {std::vector<std::string>{"gpu"}, {"gpu", "cpu"}}) {
    plan = PlanFromFile(client, OneOperator(1), wanted, "");
    INFO(plan.status());
    REQUIRE(plan.ok());
    REQUIRE(plan->versions.size() == 2);
    CHECK(plan->versions[1].device_class == "cpu");
    CHECK(plan->versions[1].tasks.at(0).target.find("x86/avx2") == 0);
    CHECK(plan->warnings.empty());
  }
  plan = PlanFromFile(client, OneOperator(1), {"cpu"}, "");
  REQUIRE(plan.ok());
  CHECK(plan->versions.size() == 1);

  // A target leaves those of its kind to choose from.
  plan = PlanFromFile(client, OneOperator(1), {}, "opencl block=256 wave=32 shared=32768");
  INFO(plan.status());
  REQUIRE(plan.ok());
  CHECK(plan->versions[0].device_class == "gpu");
  // A kind alone is what the class has, whose records are meant.
  plan = PlanFromFile(client, OneOperator(1), {}, "opencl");
  REQUIRE(plan.ok());
  CHECK(plan->versions[0].device_class == "gpu");
  CHECK_THAT(plan->versions[0].tasks.at(0).target, Catch::Contains("block=256 wave=32"));

  client.Add("other gpu", "opencl block=64 wave=32 shared=32768");
  CHECK(Says(PlanFromFile(client, OneOperator(1), {"gpu", "other gpu"}, "").status(),
             "gpu and other gpu are both devices, of which a library is for one"));
  client.recorded = {{"gpu", 1}, {"cpu", 1}, {"old", 1}};
  client.Add("old", "x86/avx2 l1=49152");
  CHECK(Says(PlanFromFile(client, OneOperator(1), {"gpu"}, "").status(),
             "for where the device is missing: several device classes"));
}

TEST_CASE("records that a library can't use for their layouts are told", "[cli]") {
  DevicesClient client;
  client.measured = {"gpu", "cpu"};
  db::Selection chosen;
  chosen.items = {{.op = "c1", .record_id = 7, .device_class = "gpu"},
                  {.op = "c2", .record_id = 8, .device_class = "gpu"},
                  {.op = "c1", .device_class = "cpu"},
                  {.op = "c2", .device_class = "cpu"},
                  {.op = "c1", .device_class = "x86/any"}};
  const auto warnings = UnusedRecords(client, chosen);
  REQUIRE(warnings.ok());
  REQUIRE(warnings->size() == 1);
  CHECK_THAT(warnings->at(0),
             Catch::StartsWith("device class cpu has records of c1, c2, but none") &&
                 Catch::Contains("layout: nchw"));
  client.measured = {"gpu"};
  CHECK(UnusedRecords(client, chosen)->empty());
}

JobFile MixedOperators() {
  auto file = ParseJobFile(
      "operators:\n"
      "  - {name: first, op: conv2d, ic: 3, oc: 16, size: 8, k: 3, dtype: i8, shift: 8}\n"
      "  - {name: c, op: conv2d, ic: 16, oc: 16, size: 8, k: 3, dtype: i8, shift: 8, layout: "
      "any}\n",
      "job.yaml");
  INFO(file.status());
  REQUIRE(file.ok());
  file->options.threads = 1;
  return *std::move(file);
}

TEST_CASE("a library for an accelerator has all operators for it and for CPUs", "[cli]") {
  DevicesClient client;
  client.Add("board", "vta");
  client.Add("cpu", kAvx2);
  client.recorded = {{"board", 1}};
  auto plan = PlanFromFile(client, MixedOperators(), {}, "");
  INFO(plan.status());
  REQUIRE(plan.ok());
  REQUIRE(plan->versions.size() == 2);
  CHECK(plan->versions[0].device_class == "board");
  CHECK(plan->versions[0].tasks.size() == 2);
  CHECK(plan->versions[1].tasks.size() == 2);
  // The host of the board is of another kind than this machine.
  plan = PlanFromFile(client, MixedOperators(), {}, "vta", "arm/neon");
  INFO(plan.status());
  REQUIRE(plan.ok());
  REQUIRE(plan->versions.size() == 2);
  CHECK(plan->versions[1].device_class == "arm/any");
  CHECK(plan->versions[1].tasks.at(0).target.find("arm/neon") == 0);
  REQUIRE(plan->warnings.size() == 1);
  CHECK_THAT(plan->warnings[0], Catch::Contains("no CPU whose code arm/neon runs has records") &&
                                    Catch::Contains("default schedules for arm/neon"));
  // Records of CPUs of another kind don't count.
  client.recorded = {{"board", 1}, {"cpu", 2}};
  plan = PlanFromFile(client, MixedOperators(), {"board"}, "", "arm/neon");
  INFO(plan.status());
  REQUIRE(plan.ok());
  CHECK(plan->versions.at(1).device_class == "arm/any");
  plan = PlanFromFile(client, MixedOperators(), {"board"}, "", "x86/avx2");
  REQUIRE(plan.ok());
  CHECK(plan->versions.at(1).device_class == "cpu");
  // Nor do those whose code the named CPU can't run.
  plan = PlanFromFile(client, MixedOperators(), {"board"}, "", "x86/sse4.2");
  INFO(plan.status());
  REQUIRE(plan.ok());
  REQUIRE(plan->versions.size() == 2);
  CHECK(plan->versions[1].device_class == "x86/any");
  CHECK_THAT(plan->versions[1].tasks.at(0).target, Catch::StartsWith("x86/sse4.2 "));
  REQUIRE(plan->warnings.size() == 2);
  CHECK_THAT(plan->warnings[0],
             Catch::StartsWith("device class cpu is left out, because --cpu x86/sse4.2 can't run"));
  CHECK_THAT(plan->warnings[1], Catch::Contains("no CPU whose code x86/sse4.2 runs has records"));
  client.Add("old", "x86/sse4.2 threads=2");
  client.recorded = {{"board", 1}, {"cpu", 2}, {"old", 1}};
  plan = PlanFromFile(client, MixedOperators(), {"board"}, "", "x86/sse4.2");
  REQUIRE(plan.ok());
  REQUIRE(plan->versions.size() == 2);
  CHECK(plan->versions[1].device_class == "old");

  CHECK(Says(PlanFromFile(client, MixedOperators(), {"board"}, "", "vta").status(),
             "--cpu vta is no CPU"));
  CHECK(Says(PlanFromFile(client, MixedOperators(), {"cpu"}, "", "arm/neon").status(),
             "--cpu arm/neon is for libraries for a device"));
}

TEST_CASE("the threads of a library for an accelerator are those of its CPU", "[cli]") {
  DevicesClient client;
  client.Add("board", "vta");
  client.Add("cpu", kAvx2);
  client.recorded = {{"board", 1}, {"cpu", 2}};
  const auto threads_of = [&](const JobFile& file, const std::string& cpu) {
    const auto plan = PlanFromFile(client, file, {"board"}, "", cpu);
    INFO(plan.status());
    REQUIRE(plan.ok());
    REQUIRE(plan->versions.size() == 2);
    CHECK(plan->versions[0].tasks.at(0).threads == 1);
    const db::Task& task = plan->versions[1].tasks.at(0);
    CHECK(task.threads <= ir::ParseTarget(task.target)->max_threads);
    return std::pair(plan->versions[1].device_class, task.threads);
  };
  JobFile file = MixedOperators();
  CHECK(threads_of(file, "x86/avx2") == std::pair(std::string("cpu"), 1));
  CHECK(threads_of(file, "x86/avx2 threads=2") == std::pair(std::string("cpu"), 2));
  file.options.threads = 2;
  CHECK(threads_of(file, "") == std::pair(std::string("cpu"), 2));
  CHECK(threads_of(file, "arm/neon") == std::pair(std::string("arm/any"), 2));
  // No record is of more threads than the class has.
  CHECK(threads_of(file, "x86/avx2 threads=4") == std::pair(std::string("x86/any"), 4));
}

TEST_CASE("a target that is a kind alone is refused by what its devices have", "[cli]") {
  DevicesClient client;
  client.Add("cpu", kAvx2);
  client.Add("board", "vta block=32");
  const auto plan = PlanFromFile(client, OneOperator(2), {}, "x86");
  INFO(plan.status());
  REQUIRE(plan.ok());
  CHECK(plan->versions.at(0).tasks.at(0).threads == 2);
  CHECK(Says(PlanFromFile(client, OneOperator(3), {}, "x86").status(),
             "device class cpu: threads is 3; the device offers 1 to 2"));
  CHECK(Says(PlanFromFile(client, OneOperator(2), {}, "x86/avx2").status(),
             "threads is 2; the device offers 1 to 1"));
  // Devices of other kinds are there, and named.
  const absl::Status none = PlanFromFile(client, OneOperator(1), {}, "cuda").status();
  CHECK(absl::IsFailedPrecondition(none));
  CHECK(Says(none,
             "no device of kind cuda has ever connected; there are board, cpu; name with "
             "--device-class"));
}

TEST_CASE("what is wrong with the wanted device class, or the only one, is said", "[cli]") {
  DevicesClient client;
  client.Add("an accelerator", "vta");
  client.Add("cpu", kAvx2);
  const absl::Status foreign =
      PlanFromFile(client, OneOperator(1), {"an accelerator"}, "").status();
  CHECK(absl::IsInvalidArgument(foreign));
  CHECK(Says(foreign, "device class an accelerator: target vta "));
  CHECK(Says(foreign, "runs none of the operators; c: default schedule: "));
  const absl::Status narrow = PlanFromFile(client, OneOperator(8), {"cpu"}, "").status();
  CHECK(absl::IsInvalidArgument(narrow));
  CHECK(Says(narrow, "device class cpu: threads is 8"));
  client.devices.pop_back();
  CHECK(Says(PlanFromFile(client, OneOperator(1), {}, "").status(), "device class an accelerator"));
}

TEST_CASE("a target that is named is the one that is refused", "[cli]") {
  DevicesClient client;
  client.Add("cpu", kAvx2);
  for (const char* target : {"vta", "vta block=32"}) {
    const absl::Status status = PlanFromFile(client, OneOperator(1), {}, target).status();
    CHECK(absl::IsInvalidArgument(status));
    CHECK(Says(status, "runs none of the operators"));
    CHECK(status.message().find("device class") == absl::string_view::npos);
  }
}

}  // namespace
}  // namespace tessera::cli
