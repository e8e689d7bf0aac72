#include "worker/agent/agent.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "proto/convert.h"
#include "proto/worker.grpc.pb.h"
#include "tests/support/temporary_directory.h"

namespace tessera::agent {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);

// May be set more than once, unlike absl::Notification.
class Flag {
 public:
  void Set() {
    absl::MutexLock lock(&mutex_);
    set_ = true;
  }
  // Whether it is set, for which this waits.
  bool Wait(absl::Duration patience = kPatience) {
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&set_), patience);
  }

 private:
  absl::Mutex mutex_;
  bool set_ = false;
};

// Builds until it is cancelled.
class EndlessBuilder final : public BuilderRole {
 public:
  int slots() const override { return 1; }
  BuildOutput Build(const proto::BuildRequest& request, int) override {
    fence_ = request.fence;
    started.Set();
    cancelled.Wait();
    return {};
  }
  LibraryOutput BuildLibrary(const proto::LibraryRequest&, const std::vector<std::string>&,
                             int) override {
    return {};
  }
  void Cancel(uint64_t fence) override {
    if (fence == fence_) cancelled.Set();
  }
  Flag started, cancelled;

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
    take_back.Wait();
    send(proto::Cancel{7});
    while (stream->Read(&message)) {
      if (message.kind_case() != v1::WorkerMessage::kHeartbeat) other_than_beats = true;
      if (message.heartbeat().held().empty()) idle.Set();
    }
    return grpc::Status::OK;
  }
  int port() const { return port_; }
  Flag take_back, idle;
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
  REQUIRE(rig.builder.started.Wait());
  rig.server.take_back.Set();
  CHECK(rig.builder.cancelled.Wait());
  CHECK(rig.server.idle.Wait());
  CHECK_FALSE(rig.server.other_than_beats);
}

TEST_CASE("stopping cuts short what is under way", "[agent]") {
  Rig rig;
  REQUIRE(rig.builder.started.Wait());
  rig.agent->Stop();
  CHECK(rig.builder.cancelled.Wait(absl::ZeroDuration()));
  rig.server.take_back.Set();
}

}  // namespace
}  // namespace tessera::agent
