#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "base/hash.h"
#include "compiler/te/dag.h"
#include "db/record/memory_store.h"
#include "proto/convert.h"
#include "proto/rpc_status.h"
#include "proto/services.grpc.pb.h"
#include "server/server.h"
#include "tests/server/shared_store.h"
#include "tests/support/eventually.h"
#include "tests/support/fake_worker.h"
#include "tests/support/temporary_directory.h"
#include "tests/tuner/synthetic.h"

namespace tessera::server {

using test::Eventually;

inline SearchFactory ToySearch() {
  return {
      .space = [](const db::Task&, std::string_view,
                  std::string_view) -> absl::StatusOr<std::shared_ptr<const tuner::SearchSpace>> {
        return std::make_shared<test::SyntheticSpace>(1);
      },
      .learner = [](std::string_view name, uint64_t, const tuner::SavedModel&)
          -> absl::StatusOr<std::shared_ptr<const tuner::Learner>> {
        if (name != "ridge") return absl::InvalidArgumentError("cost_model: known is ridge");
        return std::make_shared<test::RidgeLearner>();
      }};
}

// A whole server in this process, on a loopback port of its own, with a store that outlives it.
struct Rig {
  // Long beyond what this process may be held up, unless the test is about what is lost.
  explicit Rig(absl::Duration lease_timeout = absl::Minutes(1), ModelTimesOptions model_times = {})
      : lease_timeout(lease_timeout), model_times(model_times) {
    StartServer();
  }

  // A new server over the same store and directory, on the old one's port.
  void RestartServer() {
    const int port = server->port();
    server.reset();
    StartServer(port);
  }

  void StartServer(int port = 0) {
    server.reset();
    ServerOptions options;
    options.listen = absl::StrCat("127.0.0.1:", port);
    options.data_directory = directory.path;
    options.dispatcher.lease_timeout = lease_timeout;
    options.dispatcher.heartbeat = absl::Milliseconds(100);
    options.model_times = model_times;
    auto started =
        Server::Start(options, std::make_unique<SharedStore>(store), Clock::Real(), ToySearch());
    INFO(started.status());
    REQUIRE(started.ok());
    server = *std::move(started);
    channel = grpc::CreateChannel(absl::StrCat("127.0.0.1:", server->port()),
                                  grpc::InsecureChannelCredentials());
    jobs = v1::JobService::NewStub(channel);
  }

  static db::Task Task(int columns = 8) {
    const std::string text =
        absl::StrCat("workload rows\ninput X: f32[4,", columns,
                     "]\nstage total: f32[m:4] = sum[n:", columns, "] (X[m, n])\noutput total\n");
    const auto workload = te::ParseWorkload(text);
    INFO(workload.status());
    REQUIRE(workload.ok());
    return {.name = "rows",
            .workload_hash = HashToHex(te::StructuralHash(workload->dag)),
            .workload = te::Print(*workload),
            .target = test::kFakeTarget};
  }

  static v1::CreateJobRequest Request(int trials, const std::string& key = "") {
    v1::CreateJobRequest request;
    request.set_name("job");
    *request.add_tasks() = proto::ToProto(Task());
    *request.mutable_options() = proto::ToProto(
        db::JobOptions{.trials_per_task = trials, .cost_model = "ridge", .idempotency_key = key});
    return request;
  }

  absl::StatusOr<int64_t> Create(const v1::CreateJobRequest& request) {
    grpc::ClientContext context;
    v1::CreateJobReply reply;
    const absl::Status status = proto::FromRpc(jobs->CreateJob(&context, request, &reply));
    if (!status.ok()) return status;
    return reply.job_id();
  }

  // Watches until the job has ended; fails after half a minute.
  v1::JobProgress WatchToEnd(int64_t id) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    v1::WatchJobRequest request;
    request.set_job_id(id);
    auto reader = jobs->WatchJob(&context, request);
    v1::JobProgress progress, last;
    while (reader->Read(&progress)) last = progress;
    const grpc::Status status = reader->Finish();
    INFO(status.error_message());
    REQUIRE(status.ok());
    return last;
  }

  const absl::Duration lease_timeout;
  const ModelTimesOptions model_times;
  test::TemporaryDirectory directory;
  std::shared_ptr<db::Store> store = std::make_shared<db::MemoryStore>(Clock::Real());
  std::unique_ptr<Server> server;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::JobService::Stub> jobs;
};

}  // namespace tessera::server
