#pragma once

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "db/record/memory_store.h"
#include "server/dispatcher.h"
#include "tests/server/shared_store.h"
#include "tests/support/fake_worker.h"
#include "tests/support/temporary_directory.h"

namespace tessera::server {

// The far end of a link, played by hand.
class RecordingLink final : public WorkerLink {
 public:
  void Send(proto::ServerMessage message) override { messages.push_back(std::move(message)); }
  void Close(absl::Status) override { closed = true; }
  void Abort() override { closed = true; }

  template <typename T>
  std::vector<T> All() const {
    std::vector<T> found;
    for (const proto::ServerMessage& message : messages) {
      if (const T* value = std::get_if<T>(&message)) found.push_back(*value);
    }
    return found;
  }
  template <typename T>
  T Last() const {
    REQUIRE_FALSE(All<T>().empty());
    return All<T>().back();
  }
  bool Acknowledged(uint64_t fence) const {
    for (const auto& acknowledge : All<proto::Acknowledge>()) {
      if (acknowledge.fence == fence) return true;
    }
    return false;
  }

  std::vector<proto::ServerMessage> messages;
  bool closed = false;
};

// Counts whole logs that are read; takes neither records nor devices while it is full.
class WatchedStore final : public SharedStore {
 public:
  explicit WatchedStore(Clock& clock) : SharedStore(std::make_shared<db::MemoryStore>(clock)) {}
  absl::StatusOr<std::vector<db::Event>> ReadEvents(int64_t job, int64_t after) override {
    ++logs_read;
    return SharedStore::ReadEvents(job, after);
  }
  absl::StatusOr<std::vector<int64_t>> Append(absl::Span<const db::Record> records,
                                              absl::Span<const db::Event> events) override {
    if (full) return absl::ResourceExhaustedError("the disk is full");
    return SharedStore::Append(records, events);
  }
  absl::Status PutDevice(const db::Device& device) override {
    if (full) return absl::ResourceExhaustedError("the disk is full");
    if (const auto meanwhile = std::exchange(on_device, nullptr)) meanwhile();
    return SharedStore::PutDevice(device);
  }
  int logs_read = 0;
  bool full = false;
  std::function<void()> on_device;  // called once, before a device is stored
};

inline proto::RunResult FailedRun(const proto::RunPlan& plan, db::Outcome outcome) {
  proto::RunResult result{.lease = plan.lease, .device = plan.device};
  result.measurements.resize(plan.artifacts.size());
  for (db::Measurement& measurement : result.measurements) {
    measurement.outcome = outcome;
    measurement.reason = "signal 11";
  }
  return result;
}

// A dispatcher whose workers are played by hand and whose time stands still.
struct DispatcherRig {
  explicit DispatcherRig(DispatcherOptions options = {}) {
    artifacts = *ContentStore::Open({.directory = directory.path, .sync = false});
    devices = *DeviceRegistry::Load(store, clock);
    dispatcher =
        std::make_unique<Dispatcher>(store, *artifacts, *devices, clock, std::move(options));
    task.name = "C2";
    task.workload_hash = "0123456789abcdef";
    task.workload = "workload c2";
    task.target = test::kFakeTarget;
    db::Job job;
    job.name = "job";
    job.tasks = {task};
    job_id = *store.CreateJob(job);
  }

  std::shared_ptr<RecordingLink> Connect(const std::string& name, std::vector<uint64_t> held = {},
                                         const std::string& instance = "first", bool builds = true,
                                         bool runs = true) {
    return Connect(name, {test::FakeDevice(name + "/cpu", builds, runs)}, std::move(held), instance,
                   builds ? 1 : 0);
  }
  std::shared_ptr<RecordingLink> Connect(const std::string& name, std::vector<db::Device> of,
                                         std::vector<uint64_t> held, const std::string& instance,
                                         int build_slots) {
    auto link = std::make_shared<RecordingLink>();
    for (db::Device& device : of) device.worker = name;
    const absl::Status status = dispatcher->Connect(proto::Hello{.worker = name,
                                                                 .instance = instance,
                                                                 .tessera_version = "0.9.0",
                                                                 .devices = std::move(of),
                                                                 .build_slots = build_slots,
                                                                 .held = std::move(held)},
                                                    link);
    INFO(status);
    REQUIRE(status.ok());
    return link;
  }
  // As the log of a job names a trial that was handed out.
  void Propose(int64_t trial) {
    db::Event proposed;
    proposed.job_id = job_id;
    proposed.sequence = trial + 1;
    proposed.trial = trial;
    proposed.task_index = 0;
    proposed.trace = absl::StrCat("trace ", trial);
    proposed.loop_hash = HashToHex(trial + 1);
    REQUIRE(store.Append({}, {proposed}).ok());
  }

  void Start(int64_t trial) {
    tuner::TrialRequest request;
    request.job_id = job_id;
    request.trial = trial;
    request.task = task;
    request.device_class = device_class;
    request.trace = absl::StrCat("trace ", trial);
    request.loop_hash = HashToHex(trial + 1);
    dispatcher->Start(request, [this](db::Record record) { records.push_back(record); });
  }

  // Builds everything that was asked for and not answered yet.
  void BuildAll(RecordingLink& link) {
    for (const auto& request : link.All<proto::BuildRequest>()) {
      if (!built.insert(request.fence).second) continue;
      const std::string bytes = absl::StrCat("artifact of ", request.trace);
      REQUIRE(artifacts->Put(bytes).ok());
      REQUIRE(dispatcher->Receive(&link, test::FakeBuild(request, bytes)).ok());
    }
  }
  // The plan at `link` of a trial that is started now and built there.
  proto::RunPlan PlanFor(int64_t trial, RecordingLink& link) {
    Start(trial);
    BuildAll(link);
    return link.Last<proto::RunPlan>();
  }
  void Reply(RecordingLink& link, const proto::WorkerMessage& message) {
    REQUIRE(dispatcher->Receive(&link, message).ok());
  }

  test::TemporaryDirectory directory;
  ManualClock clock;
  WatchedStore store{clock};
  std::unique_ptr<ContentStore> artifacts;
  std::unique_ptr<DeviceRegistry> devices;
  std::vector<db::Record> records;  // outlive the dispatcher, which gives back what it still has
  std::unique_ptr<Dispatcher> dispatcher;
  db::Task task;
  std::string device_class;  // of the trials that Start starts
  int64_t job_id = 0;
  std::set<uint64_t> built;
};

}  // namespace tessera::server
