#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "server/client_services.h"
#include "tests/server/rig.h"
#include "tests/support/fake_worker.h"

namespace tessera::server {
namespace {

using test::FakeWorker;

// Held by another process, as the database of a server may be for a while.
class HeldStore final : public SharedStore {
 public:
  HeldStore() : SharedStore(std::make_shared<db::MemoryStore>(Clock::Real())) {}
  absl::StatusOr<std::vector<db::Task>> ListTasks() override { return Held(); }
  absl::StatusOr<int64_t> CreateJob(const db::Job&) override { return Held(); }
  absl::Status PutDevice(const db::Device& device) override {
    return holds_devices ? Held() : SharedStore::PutDevice(device);
  }
  std::atomic<bool> holds_devices = false;

 private:
  static absl::Status Held() { return absl::UnavailableError("the database is busy"); }
};

// Finds nothing, and that only once it is let through.
class SlowStore final : public SharedStore {
 public:
  SlowStore() : SharedStore(std::make_shared<db::MemoryStore>(Clock::Real())) {}
  absl::StatusOr<std::vector<db::Record>> Best(std::string_view, std::string_view, int,
                                               std::string_view) override {
    ++asked;
    let_through.WaitForNotification();
    return std::vector<db::Record>();
  }
  std::atomic<int> asked = 0;
  absl::Notification let_through;
};

v1::CreateSelectionRequest OneOperator() {
  v1::CreateSelectionRequest select;
  select.set_name("ops");
  v1::LibraryOp* op = select.add_ops();
  op->set_op("rows");
  *op->mutable_task() = proto::ToProto(Rig::Task());
  return select;
}

// Has the library of an empty log built by whoever builds.
grpc::Status BuildLibrary(Rig& rig) {
  const auto libraries = v1::LibraryService::NewStub(rig.channel);
  v1::Selection selection;
  {
    grpc::ClientContext context;
    const grpc::Status status = libraries->CreateSelection(&context, OneOperator(), &selection);
    INFO(status.error_message());
    REQUIRE(status.ok());
  }
  v1::BuildLibraryRequest build;
  build.set_name("ops");
  build.set_selection_id(selection.id());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  const auto reader = libraries->BuildLibrary(&context, build);
  v1::FileChunk chunk;
  while (reader->Read(&chunk)) {
  }
  return reader->Finish();
}

TEST_CASE("a store in trouble is no server that is going down", "[server]") {
  Rig rig;
  const auto store = std::make_shared<HeldStore>();
  rig.store = store;
  rig.StartServer();
  CHECK(rig.Create(Rig::Request(5)).status() == absl::AbortedError("the database is busy"));
  const auto log = v1::LogService::NewStub(rig.channel);
  grpc::ClientContext context;
  v1::ListTasksReply reply;
  const grpc::Status listed = log->ListTasks(&context, {}, &reply);
  CHECK(listed.error_code() == grpc::StatusCode::ABORTED);
  CHECK(listed.error_message() == "the database is busy");
  FakeWorker worker(rig.server->port(), {});
  worker.Connect();
  store->holds_devices = true;
  const auto devices = v1::DeviceService::NewStub(rig.channel);
  v1::ListDevicesReply known;
  REQUIRE(Eventually([&] {
    grpc::ClientContext list;
    return devices->ListDevices(&list, {}, &known).ok() && known.devices_size() == 1;
  }));
  v1::DrainRequest drain;
  drain.set_device(known.devices(0).id());
  grpc::ClientContext draining;
  v1::DrainReply drained;
  CHECK(devices->Drain(&draining, drain, &drained).error_code() == grpc::StatusCode::ABORTED);
}

TEST_CASE("selections that take long leave threads to others", "[server]") {
  Rig rig;
  const auto store = std::make_shared<SlowStore>();
  rig.store = store;
  rig.StartServer();
  const auto libraries = v1::LibraryService::NewStub(rig.channel);
  // Made here: what Catch writes down is for one thread.
  const v1::CreateSelectionRequest request = OneOperator();
  const auto select = [&](absl::Duration patience) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + patience));
    v1::Selection selection;
    return libraries->CreateSelection(&context, request, &selection);
  };
  std::atomic<int> chosen = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < kMaxSelections; ++i) {
    clients.emplace_back([&] { chosen += select(absl::Minutes(1)).ok() ? 1 : 0; });
  }
  CHECK(Eventually([&] { return store->asked == kMaxSelections; }));
  const grpc::Status refused = select(absl::Seconds(10));
  CHECK(refused.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(refused.error_message() ==
        "choices of records: 8 are under way, which is the limit; try again when one has ended");
  store->let_through.Notify();
  for (std::thread& client : clients) client.join();
  CHECK(chosen == kMaxSelections);
  CHECK(select(absl::Minutes(1)).ok());
}

TEST_CASE("a library whose builder is lost is aborted, by a server that lives on", "[server]") {
  Rig rig(absl::Milliseconds(500));
  FakeWorker worker(rig.server->port(), {});  // answers no request for a library
  worker.Connect();
  REQUIRE(Eventually([&] { return !worker.Received<proto::Welcome>().empty(); }));
  const grpc::Status status = BuildLibrary(rig);
  INFO(status.error_message());
  CHECK(status.error_code() == grpc::StatusCode::ABORTED);
  CHECK(status.error_message().find("lost") != std::string::npos);
}

TEST_CASE("a library's file that was evicted is a loss, not a name that nothing has", "[server]") {
  Rig rig;
  FakeWorker::Script script;
  script.library = [](const proto::LibraryRequest& request) {
    proto::LibraryResult result{.fence = request.fence};
    result.files = {{"ops.h", Sha256Hex("never uploaded"), 14}};
    return std::optional(result);
  };
  FakeWorker worker(rig.server->port(), script);
  worker.Connect();
  REQUIRE(Eventually([&] { return !worker.Received<proto::Welcome>().empty(); }));
  const grpc::Status status = BuildLibrary(rig);
  INFO(status.error_message());
  CHECK(status.error_code() == grpc::StatusCode::DATA_LOSS);
  CHECK(status.error_message().find("ops.h") != std::string::npos);
  CHECK(status.error_message().find("repeat the build") != std::string::npos);
}

}  // namespace
}  // namespace tessera::server
