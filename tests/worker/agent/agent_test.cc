#include "worker/agent/agent.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <thread>

#include "absl/synchronization/notification.h"
#include "proto/convert.h"
#include "proto/worker.grpc.pb.h"
#include "tests/support/temporary_directory.h"

namespace tessera::agent {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);

// Builds until it is cancelled.
class EndlessBuilder final : public BuilderRole {
 public:
  int slots() const override { return 1; }
  BuildOutput Build(const proto::BuildRequest& request, int) override {
    fence_ = request.fence;
    started.Notify();
    cancelled.WaitForNotificationWithTimeout(kPatience);
    return {};
  }
  LibraryOutput BuildLibrary(const proto::LibraryRequest&, int) override { return {}; }
  void Cancel(uint64_t fence) override {
    if (fence == fence_) cancelled.Notify();
  }
  absl::Notification started, cancelled;

 private:
  uint64_t fence_ = 0;
};

// Gives one build away, takes it back once told to, and counts what else the worker says.
class OneBuildServer final : public v1::WorkerService::Service {
 public:
  OneBuildServer() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~OneBuildServer() override { server_->Shutdown(std::chrono::system_clock::now()); }

  grpc::Status Connect(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::ServerMessage, v1::WorkerMessage>* stream) override {
    v1::WorkerMessage message;
    stream->Read(&message);  // hello
    const auto send = [&](const proto::ServerMessage& said) {
      stream->Write(proto::ToProto(said));
    };
    send(proto::Welcome{.heartbeat_seconds = 0.02});
    send(proto::BuildRequest{.fence = 7, .workload = "w", .target = "x86/avx2", .trace = "t"});
    take_back.WaitForNotificationWithTimeout(kPatience);
    send(proto::Cancel{7});
    while (stream->Read(&message)) {
      if (message.kind_case() != v1::WorkerMessage::kHeartbeat) other_than_beats = true;
      if (message.heartbeat().held().empty() && !idle.HasBeenNotified()) idle.Notify();
    }
    return grpc::Status::OK;
  }
  int port() const { return port_; }
  absl::Notification take_back, idle;
  std::atomic<bool> other_than_beats = false;

 private:
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

struct Rig {
  Rig() {
    AgentOptions options;
    options.server = absl::StrCat("127.0.0.1:", server.port());
    options.name = "w";
    options.cores = {0};
    options.cache_directory = directory.path;
    agent = *Agent::Create(options, &builder, nullptr);
    thread = std::thread([this] { agent->Serve().IgnoreError(); });
  }
  ~Rig() {
    agent->Stop();
    thread.join();
  }
  test::TemporaryDirectory directory;
  OneBuildServer server;
  EndlessBuilder builder;
  std::unique_ptr<Agent> agent;
  std::thread thread;
};

TEST_CASE("what the server takes back is cut short and has no result", "[agent]") {
  Rig rig;
  REQUIRE(rig.builder.started.WaitForNotificationWithTimeout(kPatience));
  rig.server.take_back.Notify();
  CHECK(rig.builder.cancelled.WaitForNotificationWithTimeout(kPatience));
  CHECK(rig.server.idle.WaitForNotificationWithTimeout(kPatience));
  CHECK_FALSE(rig.server.other_than_beats);
}

TEST_CASE("stopping cuts short what is under way", "[agent]") {
  Rig rig;
  REQUIRE(rig.builder.started.WaitForNotificationWithTimeout(kPatience));
  rig.agent->Stop();
  CHECK(rig.builder.cancelled.HasBeenNotified());
  rig.server.take_back.Notify();
}

}  // namespace
}  // namespace tessera::agent
