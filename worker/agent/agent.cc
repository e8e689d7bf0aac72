#include "worker/agent/agent.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/status.h"
#include "base/version.h"
#include "proto/limits.h"
#include "worker/agent/artifact_client.h"
#include "worker/agent/connection.h"
#include "worker/agent/duties.h"
#include "worker/agent/host_arbiter.h"

namespace tessera::agent {
namespace {

constexpr int kTransferAttempts = 3;
// A stream that lived this long ended for a new reason: start the back-off anew.
constexpr absl::Duration kSettled = absl::Seconds(5);
constexpr absl::Duration kConnectPatience = absl::Seconds(1);
constexpr std::chrono::milliseconds kStopInterval(100);  // waiting to connect heeds Stop so often

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& server) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(proto::kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(proto::kMaxMessageBytes);
  // The agent backs off itself; the channel must not add its own minutes.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);  // for connecting, not between
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  return grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(), arguments);
}

std::vector<proto::ModelTiming> NotTimed(const proto::ModelPlan& plan, std::string_view reason) {
  proto::ModelTiming timing;
  timing.measurement.outcome = db::Outcome::kInfrastructure;
  timing.measurement.reason = std::string(reason);
  return std::vector<proto::ModelTiming>(plan.libraries.size(), timing);
}

// Of all artifacts of a plan.
std::vector<db::Measurement> NotRun(const proto::RunPlan& plan, std::string_view reason) {
  db::Measurement measurement;
  measurement.outcome = db::Outcome::kInfrastructure;
  measurement.reason = std::string(reason);
  return std::vector<db::Measurement>(plan.artifacts.size(), measurement);
}

class AgentImpl final : public Agent {
 public:
  AgentImpl(AgentOptions options, BuilderRole* builder, RunnerRole* runner,
            std::unique_ptr<ContentStore> cache)
      : options_(std::move(options)),
        builder_(builder),
        runner_(runner),
        instance_(HashToHex(std::random_device{}() ^ (uint64_t{std::random_device{}()} << 32))),
        arbiter_(options_.cores, runner != nullptr),
        channel_(MakeChannel(options_.server)),
        stub_(v1::WorkerService::NewStub(channel_)),
        artifacts_(channel_, std::move(cache)),
        jitter_(StableHash(instance_)) {
    if (builder_ != nullptr) {
      for (int i = 0; i < builder_->slots(); ++i) threads_.emplace_back([this] { BuildLoop(); });
    }
    if (runner_ != nullptr) threads_.emplace_back([this] { RunLoop(); });
  }

  ~AgentImpl() override {
    Stop();
    for (std::thread& thread : threads_) thread.join();
  }

  absl::Status Serve() override {
    absl::Duration retry = options_.first_retry;
    bool told = false;
    while (!stopped()) {
      const absl::Time began = absl::Now();
      welcomed_ = false;
      const absl::Status end = ServeOnce();
      if (stopped()) break;
      if (absl::IsFailedPrecondition(end) || absl::IsInvalidArgument(end)) return end;
      if (welcomed_ || absl::Now() - began > kSettled) {
        retry = options_.first_retry;
        told = false;
      }
      // Many workers lose one server at the same moment; they must not come back at one moment.
      const absl::Duration pause = retry * (0.5 + jitter_.Uniform());
      const std::string line =
          absl::StrCat("server ", options_.server, ": ", end.message(), "; trying again in ",
                       absl::FormatDuration(absl::Trunc(pause, absl::Milliseconds(1))));
      if (told) {
        LogDebug(line);
      } else {
        LogWarning(line);
      }
      told = true;
      Sleep(pause);
      retry = std::min(retry * 2, options_.longest_retry);
    }
    return absl::OkStatus();
  }

  void Stop() override {
    {
      absl::MutexLock lock(&mutex_);
      stopped_ = true;
      if (connection_ != nullptr) connection_->Cancel();
      duties_.Stop();
      arbiter_.Stop();
    }
    // Without a connection no result reaches the server.
    for (uint64_t fence : duties_.UnderWay()) Cancel(fence);
  }

 private:
  bool stopped() {
    absl::MutexLock lock(&mutex_);
    return stopped_;
  }

  void Sleep(absl::Duration duration) {
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&stopped_), duration);
  }

  // gRPC drives a connection that is being made only while some call waits for it. Without this
  // one, a server that has come back is seen seconds late.
  void AwaitChannel() {
    const absl::Time deadline = absl::Now() + kConnectPatience;
    while (!stopped() && absl::Now() < deadline &&
           !channel_->WaitForConnected(std::chrono::system_clock::now() + kStopInterval)) {
    }
  }

  absl::Status ServeOnce() {
    AwaitChannel();
    auto connection = std::make_shared<Connection>(*stub_);
    std::vector<proto::WorkerMessage> first;
    {
      absl::MutexLock lock(&mutex_);
      if (stopped_) connection->Cancel();
      connection_ = connection;
      // Under the lock, so that a result either is among these or is sent after them.
      first = duties_.Unacknowledged();
      first.insert(first.begin(), MakeHello());
    }
    const absl::Status end = connection->Run(
        std::move(first), [this] { return duties_.Held(); },
        [this](const proto::ServerMessage& message) { Receive(message); });
    absl::MutexLock lock(&mutex_);
    connection_ = nullptr;
    return end;
  }

  proto::Hello MakeHello() {
    proto::Hello hello;
    hello.worker = options_.name;
    hello.instance = instance_;
    hello.tessera_version = std::string(Version());
    hello.devices = options_.devices;
    hello.build_slots = builder_ == nullptr ? 0 : builder_->slots();
    hello.held = duties_.Held();
    return hello;
  }

  void Receive(const proto::ServerMessage& message) {
    if (const auto* build = std::get_if<proto::BuildRequest>(&message)) {
      duties_.Add(BuildDuty(*build));
    } else if (const auto* library = std::get_if<proto::LibraryRequest>(&message)) {
      duties_.Add(BuildDuty(*library));
    } else if (const auto* plan = std::get_if<proto::RunPlan>(&message)) {
      duties_.Add(*plan);
    } else if (const auto* model = std::get_if<proto::ModelPlan>(&message)) {
      duties_.Add(*model);
    } else if (const auto* cancel = std::get_if<proto::Cancel>(&message)) {
      Cancel(cancel->fence);
    } else if (const auto* acknowledge = std::get_if<proto::Acknowledge>(&message)) {
      duties_.Acknowledge(acknowledge->fence);
    } else if (const auto* drain = std::get_if<proto::Drain>(&message)) {
      LogInfo(absl::StrCat("device ", drain->device,
                           drain->draining ? " is being drained" : " goes on"));
    } else if (const auto* welcome = std::get_if<proto::Welcome>(&message)) {
      welcomed_ = true;
      LogInfo(absl::StrCat("connected to server ", options_.server, " (", welcome->server_version,
                           ") as ", options_.name));
    }
  }

  // A call that begins just now may be missed; its result is dropped all the same.
  void Cancel(uint64_t fence) {
    if (!duties_.Cancel(fence)) return;
    if (builder_ != nullptr) builder_->Cancel(fence);
    if (runner_ != nullptr) runner_->Cancel(fence);
  }

  void Finish(uint64_t fence, const proto::WorkerMessage& result) {
    absl::MutexLock lock(&mutex_);
    if (duties_.Finish(fence, result) && connection_ != nullptr) connection_->Send(result);
  }

  void BuildLoop() {
    while (std::optional<BuildDuty> duty = duties_.NextBuild()) {
      absl::StatusOr<std::vector<std::string>> artifacts;
      if (const auto* library = std::get_if<proto::LibraryRequest>(&*duty)) {
        artifacts = ArtifactsOf(library->selection);  // no core is needed for that
        if (!artifacts.ok()) {
          Finish(library->fence, proto::LibraryResult{.fence = library->fence,
                                                      .error = artifacts.status().ToString()});
          continue;
        }
      }
      std::optional<HostArbiter::Grant> grant = arbiter_.AcquireBuild();
      if (!grant.has_value()) return;
      if (!duties_.IsUnderWay(FenceOf(*duty))) continue;
      const int core = grant->cores()[0];
      if (const auto* request = std::get_if<proto::BuildRequest>(&*duty)) {
        BuildOutput output = builder_->Build(*request, core);
        grant.reset();  // the upload needs no core of its own
        Finish(request->fence, Uploaded(*request, std::move(output)));
      } else {
        const auto& library = std::get<proto::LibraryRequest>(*duty);
        LibraryOutput output = builder_->BuildLibrary(library, *artifacts, core);
        grant.reset();
        Finish(library.fence, Uploaded(library, std::move(output)));
      }
    }
  }

  // What a library is made of beside its selection.
  absl::StatusOr<std::vector<std::string>> ArtifactsOf(const db::Selection& selection) {
    std::vector<std::string> artifacts;
    if (!selection.model) return artifacts;
    TESSERA_ASSIGN_OR_RETURN(artifacts.emplace_back(), artifacts_.Get(selection.model->graph));
    for (const std::string& digest : selection.model->constants) {
      TESSERA_ASSIGN_OR_RETURN(artifacts.emplace_back(), artifacts_.Get(digest));
    }
    return artifacts;
  }

  absl::StatusOr<std::string> Upload(const std::string& bytes) {
    absl::StatusOr<std::string> digest;
    for (int attempt = 0; attempt < kTransferAttempts && !stopped(); ++attempt) {
      if (attempt > 0) Sleep(absl::Milliseconds(300) * attempt);
      digest = artifacts_.Put(bytes);
      if (digest.ok()) return digest;
    }
    return digest;
  }

  proto::BuildResult Uploaded(const proto::BuildRequest& request, BuildOutput output) {
    proto::BuildResult result = std::move(output.result);
    result.fence = request.fence;
    if (result.outcome != db::Outcome::kOk) return result;
    const absl::StatusOr<std::string> digest = Upload(output.bytes);
    if (!digest.ok()) {
      result.outcome = db::Outcome::kInfrastructure;
      result.reason = std::string(digest.status().message());
      return result;
    }
    result.artifact.digest = *digest;
    result.artifact.size = static_cast<int64_t>(output.bytes.size());
    return result;
  }

  proto::LibraryResult Uploaded(const proto::LibraryRequest& request, LibraryOutput output) {
    proto::LibraryResult result{.fence = request.fence, .error = std::move(output.error)};
    for (const auto& [name, bytes] : output.files) {
      const absl::StatusOr<std::string> digest = Upload(bytes);
      if (!digest.ok()) {
        return {.fence = request.fence,
                .error = absl::StrCat(name, ": ", digest.status().message())};
      }
      result.files.push_back({name, *digest, static_cast<int64_t>(bytes.size())});
    }
    return result;
  }

  void RunLoop() {
    while (std::optional<RunDuty> duty = duties_.NextRun()) {
      if (const auto* plan = std::get_if<proto::RunPlan>(&*duty)) {
        proto::RunResult result{.lease = plan->lease, .device = plan->device};
        result.measurements = RunOne(*plan);
        Finish(plan->lease.fence, result);
      } else {
        const auto& model = std::get<proto::ModelPlan>(*duty);
        Finish(model.fence,
               proto::ModelResult{
                   .fence = model.fence, .device = model.device, .timings = TimeModels(model)});
      }
    }
  }

  std::vector<db::Measurement> RunOne(const proto::RunPlan& plan) {
    if (plan.threads > arbiter_.core_count()) return NotRun(plan, TooFewCores(plan.threads));
    std::vector<std::string> artifacts;
    for (const proto::Artifact& artifact : plan.artifacts) {
      absl::StatusOr<std::string> bytes = artifacts_.Get(artifact.digest);
      if (!bytes.ok()) return NotRun(plan, bytes.status().ToString());
      artifacts.push_back(*std::move(bytes));
    }
    const absl::StatusOr<std::string> reference = artifacts_.Get(plan.reference.digest);
    if (!reference.ok()) return NotRun(plan, reference.status().ToString());
    const std::optional<HostArbiter::Grant> grant = arbiter_.AcquireTiming(plan.threads);
    if (!grant.has_value()) return NotRun(plan, "the worker stops");
    if (!duties_.IsUnderWay(plan.lease.fence)) return NotRun(plan, "cancelled");
    const absl::Time began = absl::Now();
    std::vector<db::Measurement> measurements =
        runner_->Run(plan, artifacts, *reference, grant->cores());
    if (measurements.size() == 1) {
      measurements[0].run_seconds = absl::ToDoubleSeconds(absl::Now() - began);
    }
    return measurements;
  }

  std::vector<proto::ModelTiming> TimeModels(const proto::ModelPlan& plan) {
    if (plan.threads > arbiter_.core_count()) return NotTimed(plan, TooFewCores(plan.threads));
    std::vector<std::string> libraries;
    for (const db::LibraryFile& library : plan.libraries) {
      absl::StatusOr<std::string> bytes = artifacts_.Get(library.digest);
      if (!bytes.ok()) return NotTimed(plan, bytes.status().ToString());
      libraries.push_back(*std::move(bytes));
    }
    const std::optional<HostArbiter::Grant> grant = arbiter_.AcquireTiming(plan.threads);
    if (!grant.has_value()) return NotTimed(plan, "the worker stops");
    if (!duties_.IsUnderWay(plan.fence)) return NotTimed(plan, "cancelled");
    return runner_->RunModels(plan, libraries, grant->cores());
  }

  std::string TooFewCores(int threads) {
    return absl::StrCat("the plan wants ", threads, " cores, this worker has ",
                        arbiter_.core_count());
  }

  const AgentOptions options_;
  BuilderRole* const builder_;
  RunnerRole* const runner_;
  const std::string instance_;
  HostArbiter arbiter_;
  Duties duties_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::WorkerService::Stub> stub_;
  ArtifactClient artifacts_;
  Rng jitter_;  // used by Serve alone
  std::atomic<bool> welcomed_ = false;
  absl::Mutex mutex_;  // guards the connection; duties_ and arbiter_ have their own below it
  std::shared_ptr<Connection> connection_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Agent>> Agent::Create(AgentOptions options, BuilderRole* builder,
                                                     RunnerRole* runner) {
  // A lost cache costs a download: no need to wait for the disk.
  TESSERA_ASSIGN_OR_RETURN(
      std::unique_ptr<ContentStore> cache,
      ContentStore::Open(
          {.directory = options.cache_directory, .max_bytes = options.cache_bytes, .sync = false}));
  if (options.cores.empty()) {
    return absl::InvalidArgumentError("cores: none; at least one is needed");
  }
  return std::make_unique<AgentImpl>(std::move(options), builder, runner, std::move(cache));
}

}  // namespace tessera::agent
