#include "server/devices.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "absl/synchronization/notification.h"
#include "tests/server/rig.h"

namespace tessera::server {
namespace {

class NoLink final : public WorkerLink {
 public:
  void Send(proto::ServerMessage) override {}
  void Close(absl::Status) override {}
  void Abort() override {}
};

// The first write of a device is under way until it is let through.
class SlowFirstDevice final : public SharedStore {
 public:
  using SharedStore::SharedStore;
  absl::Status PutDevice(const db::Device& device) override {
    if (!first_seen_.exchange(true)) {
      entered.Notify();
      go.WaitForNotification();
    }
    return SharedStore::PutDevice(device);
  }
  absl::Notification entered, go;

 private:
  std::atomic<bool> first_seen_ = false;
};

TEST_CASE("of quick changes of a device the last is the one that is stored", "[server]") {
  const auto memory = std::make_shared<db::MemoryStore>(Clock::Real());
  SlowFirstDevice store(memory);
  const auto registry = *DeviceRegistry::Load(store, Clock::Real());
  const std::vector<db::Device> devices = {test::FakeDevice("w/cpu")};
  const NoLink link;
  registry->Connect(devices, &link);
  std::thread connect([&] { registry->Store(devices); });
  store.entered.WaitForNotification();
  absl::Notification drained;
  absl::Status status;
  std::thread drain([&] {
    status = registry->Drain("w/cpu", "maintenance");
    drained.Notify();
  });
  // Either it is stored already, before the older state, or it waits for that.
  drained.WaitForNotificationWithTimeout(absl::Milliseconds(200));
  CHECK(test::Eventually(
      [&] { return !registry->Accepts("w/cpu"); }));  // nobody waits for the store to see it
  store.go.Notify();
  connect.join();
  drain.join();
  CHECK(status == absl::OkStatus());
  const auto stored = *memory->ListDevices();
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].state == "draining");
  CHECK(stored[0].state_reason == "maintenance");
}

class FullDisk final : public SharedStore {
 public:
  using SharedStore::SharedStore;
  absl::Status PutDevice(const db::Device& device) override {
    ++tries;
    if (full) return absl::ResourceExhaustedError("the disk is full");
    return SharedStore::PutDevice(device);
  }
  bool full = true;
  int tries = 0;
};

TEST_CASE("a device's state that can't be stored is in force, and whoever asked is told",
          "[server]") {
  FullDisk store(std::make_shared<db::MemoryStore>(Clock::Real()));
  const auto registry = *DeviceRegistry::Load(store, Clock::Real());
  const NoLink link;
  registry->Connect({test::FakeDevice("w/cpu")}, &link);
  const absl::Status drained = registry->Drain("w/cpu", "maintenance");
  CHECK(absl::IsResourceExhausted(drained));
  CHECK(drained.message() ==
        "device w/cpu: draining now, but not stored yet (it is tried again): the disk is full");
  CHECK(registry->List()[0].state == "draining");
  CHECK(absl::IsResourceExhausted(registry->Resume("w/cpu")));
  CHECK(registry->Accepts("w/cpu"));
}

TEST_CASE("a device's state that can't be stored is stored once the store works again",
          "[server]") {
  ManualClock clock;
  const auto memory = std::make_shared<db::MemoryStore>(clock);
  FullDisk store(memory);
  const auto registry = *DeviceRegistry::Load(store, clock);
  const NoLink link;
  registry->Connect({test::FakeDevice("w/cpu")}, &link);
  std::string expected;
  SECTION("draining") {
    CHECK_FALSE(registry->Drain("w/cpu", "maintenance").ok());
    expected = "draining";
  }
  SECTION("quarantine") {
    for (int i = 0; i < 3; ++i) registry->Strike("w/cpu", "signal 11");
    expected = "quarantined";
  }
  const int tries = store.tries;
  for (int i = 0; i < 10; ++i) registry->StoreChanges();
  CHECK(store.tries == tries + 1);  // a full disk is not tried all the time
  store.full = false;
  clock.Advance(absl::Seconds(2));
  registry->StoreChanges();
  const auto stored = *memory->ListDevices();
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].state == expected);
  clock.Advance(absl::Seconds(2));
  registry->StoreChanges();
  CHECK(store.tries == tries + 2);
}

}  // namespace
}  // namespace tessera::server
