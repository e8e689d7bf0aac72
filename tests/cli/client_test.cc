#include "cli/client.h"

#include <grpcpp/grpcpp.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "proto/rpc_status.h"
#include "proto/services.grpc.pb.h"

namespace tessera::cli {
namespace {

// Answers each call for a job with one status.
class OneAnswer final : public v1::JobService::Service {
 public:
  explicit OneAnswer(grpc::Status status) : status_(std::move(status)) {}
  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest*, v1::Job*) override {
    return status_;
  }

 private:
  const grpc::Status status_;
};

// A server that answers so, until it is destroyed.
struct Served {
  explicit Served(const grpc::Status& answer) : service(answer) {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service);
    server = builder.BuildAndStart();
    REQUIRE(server != nullptr);
    address = absl::StrCat("127.0.0.1:", port);
    auto connected = Client::Connect(address);
    REQUIRE(connected.ok());
    client = *std::move(connected);
  }
  void GoAway() {
    server->Shutdown(std::chrono::system_clock::now());
    server.reset();
  }

  OneAnswer service;
  std::unique_ptr<grpc::Server> server;
  std::string address;
  std::unique_ptr<Client> client;
};

bool StartsWith(const absl::Status& status, const std::string& text) {
  return status.message().rfind(text, 0) == 0;
}
bool EndsWith(const absl::Status& status, const std::string& text) {
  return std::string(status.message()).ends_with(text);
}

TEST_CASE("a server that cancels its calls as it stops went away", "[cli]") {
  const Served served(grpc::Status(grpc::StatusCode::CANCELLED, "stopping"));
  const absl::Status status = served.client->GetJob(1).status();
  CHECK(absl::IsUnavailable(status));
  CHECK(StartsWith(status, absl::StrCat("the server at ", served.address, " went away (")));
}

TEST_CASE("a server that went away is named, with what to do", "[cli]") {
  Served served(grpc::Status::OK);
  served.GoAway();
  const absl::Status status = served.client->GetJob(1).status();
  INFO(status);
  CHECK(absl::IsUnavailable(status));
  CHECK(StartsWith(status, absl::StrCat("the server at ", served.address, " went away (")));
  CHECK(EndsWith(status, "); start it again and repeat this command"));
  const absl::Status other = WithNextStep(status, "; wait");
  CHECK(StartsWith(other, absl::StrCat("the server at ", served.address, " went away (")));
  CHECK(EndsWith(other, "); wait"));
}

TEST_CASE("a job that may have been made twice is said to be, unless it has a key", "[cli]") {
  Served served(grpc::Status::OK);
  served.GoAway();
  db::Job job;
  CHECK(EndsWith(served.client->CreateJob(job).status(), "no second job when it has a --key"));
  job.options.idempotency_key = "nightly";
  CHECK(EndsWith(served.client->CreateJob(job).status(), "start it again and repeat this command"));
}

TEST_CASE("what the server has to say comes unchanged", "[cli]") {
  for (const absl::Status& said : {absl::NotFoundError("job 1 does not exist"),
                                   absl::AbortedError("the database is busy: check the disk")}) {
    Served served(proto::ToRpc(said));
    CHECK(served.client->GetJob(1).status() == said);
    CHECK(WithNextStep(said, "; start it again") == said);
  }
}

}  // namespace
}  // namespace tessera::cli
