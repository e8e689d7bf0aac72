#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/hash.h"
#include "base/version.h"
#include "proto/convert.h"
#include "proto/rpc_status.h"
#include "proto/worker.grpc.pb.h"

namespace tessera::test {

inline constexpr char kFakeTarget[] = "x86/avx512 l1=32768 l2=1048576 threads=2";

inline db::Device FakeDevice(const std::string& id, bool builds = true, bool runs = true) {
  db::Device device;
  device.id = id;
  device.device_class = {"x86/fake", "a device that tests script"};
  device.target = kFakeTarget;
  device.builds = builds;
  device.runs = runs;
  device.cores = 2;
  device.tessera_version = std::string(Version());
  return device;
}

// What a builder answers when it has built: `bytes` is the artifact.
inline proto::BuildResult FakeBuild(const proto::BuildRequest& request, const std::string& bytes) {
  proto::BuildResult result;
  result.fence = request.fence;
  result.outcome = db::Outcome::kOk;
  result.artifact.digest = Sha256Hex(bytes);
  result.artifact.size = static_cast<int64_t>(bytes.size());
  result.artifact.symbol = "kernel";
  result.artifact.buffers = {{.name = "Y", .type = "f32", .shape = {4}, .is_output = true}};
  result.loop_hash = request.loop_hash;
  result.build_seconds = 0.01;
  if (request.is_reference) {
    result.tolerances = {{1e-5, 1e-5}};
    result.samples = {{0, 0, 1.5}};
  }
  return result;
}

inline db::Measurement FakeMeasurement(double seconds = 1e-3) {
  db::Measurement measurement;
  measurement.outcome = db::Outcome::kOk;
  measurement.sample_seconds = {seconds, seconds * 1.01};
  measurement.sample_calls = {10, 10};
  return measurement;
}

inline proto::RunResult FakeRun(const proto::RunPlan& plan, double seconds = 1e-3) {
  proto::RunResult result{.lease = plan.lease, .device = plan.device};
  result.measurements.assign(plan.artifacts.size(), FakeMeasurement(seconds));
  return result;
}

// A worker that is only its conversation: connects to a real server, answers as its script says and
// keeps what it was told. It beats, and confirms no lease. Thread-safe.
class FakeWorker {
 public:
  struct Script {
    std::string name = "fake";
    std::string instance = "first";
    int build_slots = 1;
    bool runs = true;
    // Nothing answered when these return nothing.
    std::function<std::optional<proto::BuildResult>(const proto::BuildRequest&, std::string* bytes)>
        build = [](const proto::BuildRequest& request, std::string* bytes) {
          *bytes = absl::StrCat("artifact of ", request.trace);
          return FakeBuild(request, *bytes);
        };
    std::function<std::optional<proto::RunResult>(const proto::RunPlan&)> run =
        [](const proto::RunPlan& plan) { return FakeRun(plan); };
    std::function<std::optional<proto::LibraryResult>(const proto::LibraryRequest&)> library =
        [](const proto::LibraryRequest&) { return std::nullopt; };
    std::function<std::optional<proto::ModelResult>(const proto::ModelPlan&)> models =
        [](const proto::ModelPlan&) { return std::nullopt; };
  };

  FakeWorker(int port, Script script)
      : script_(std::move(script)),
        channel_(grpc::CreateChannel(absl::StrCat("127.0.0.1:", port),
                                     grpc::InsecureChannelCredentials())),
        workers_(v1::WorkerService::NewStub(channel_)),
        artifacts_(v1::ArtifactService::NewStub(channel_)) {}
  ~FakeWorker() { Disconnect(); }

  void Connect(std::vector<uint64_t> held = {}) {
    proto::Hello hello;
    hello.worker = script_.name;
    hello.instance = script_.instance;
    hello.tessera_version = std::string(Version());
    hello.devices = {FakeDevice(script_.name + "/cpu", script_.build_slots > 0, script_.runs)};
    hello.build_slots = script_.build_slots;
    hello.held = std::move(held);
    ConnectRaw();
    Send(hello);
    beater_ = std::thread([this] {
      absl::MutexLock lock(&write_mutex_);
      while (!write_mutex_.AwaitWithTimeout(absl::Condition(&gone_), absl::Milliseconds(50))) {
        stream_->Write(proto::ToProto(proto::WorkerMessage(proto::Heartbeat{})));
      }
    });
  }

  // Only the stream, without a hello.
  void ConnectRaw() {
    Disconnect();
    context_ = std::make_unique<grpc::ClientContext>();
    gone_ = false;
    stream_ = workers_->Connect(context_.get());
    reader_ = std::thread([this] { Read(); });
  }

  // As if the cable were cut.
  void Disconnect() {
    if (stream_ == nullptr) return;
    context_->TryCancel();
    Join();
  }

  // Waits until the server has ended the stream and returns why.
  absl::Status WaitForEnd() {
    Join();
    return end_;
  }

  void Send(const proto::WorkerMessage& message) { SendRaw(proto::ToProto(message)); }
  void SendRaw(const v1::WorkerMessage& message) {
    absl::MutexLock lock(&write_mutex_);
    stream_->Write(message);
  }

  absl::Status Upload(const std::string& digest, const std::string& bytes) {
    grpc::ClientContext context;
    v1::UploadReply reply;
    auto writer = artifacts_->Upload(&context, &reply);
    v1::Chunk chunk;
    chunk.set_digest(digest);
    chunk.set_size(static_cast<int64_t>(bytes.size()));
    chunk.set_data(bytes);
    writer->Write(chunk);
    writer->WritesDone();
    return proto::FromRpc(writer->Finish());
  }

  // Messages of a type that came so far.
  template <typename T>
  std::vector<T> Received() {
    absl::MutexLock lock(&mutex_);
    std::vector<T> found;
    for (const proto::ServerMessage& message : received_) {
      if (const T* value = std::get_if<T>(&message)) found.push_back(*value);
    }
    return found;
  }

  std::shared_ptr<grpc::Channel> channel() const { return channel_; }

 private:
  void Read() {
    v1::ServerMessage message;
    while (stream_->Read(&message)) {
      const absl::StatusOr<proto::ServerMessage> converted = proto::FromProto(message);
      if (!converted.ok()) continue;
      {
        absl::MutexLock lock(&mutex_);
        received_.push_back(*converted);
      }
      Answer(*converted);
    }
  }

  void Answer(const proto::ServerMessage& message) {
    if (const auto* request = std::get_if<proto::BuildRequest>(&message)) {
      std::string bytes;
      const auto result = script_.build(*request, &bytes);
      if (!result.has_value()) return;
      if (!bytes.empty()) Upload(result->artifact.digest, bytes).IgnoreError();
      Send(*result);
    } else if (const auto* plan = std::get_if<proto::RunPlan>(&message)) {
      if (const auto result = script_.run(*plan)) Send(*result);
    } else if (const auto* library = std::get_if<proto::LibraryRequest>(&message)) {
      if (const auto result = script_.library(*library)) Send(*result);
    } else if (const auto* models = std::get_if<proto::ModelPlan>(&message)) {
      if (const auto result = script_.models(*models)) Send(*result);
    }
  }

  void Join() {
    if (reader_.joinable()) reader_.join();
    {
      absl::MutexLock lock(&write_mutex_);
      gone_ = true;
    }
    if (beater_.joinable()) beater_.join();
    if (stream_ != nullptr) end_ = proto::FromRpc(stream_->Finish());
    stream_.reset();
  }

  const Script script_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::WorkerService::Stub> workers_;
  std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerMessage, v1::ServerMessage>> stream_;
  std::thread reader_, beater_;
  absl::Status end_;
  absl::Mutex write_mutex_;
  bool gone_ = false;  // the stream; guarded by write_mutex_ while the beater lives
  absl::Mutex mutex_;
  std::vector<proto::ServerMessage> received_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera::test
