#include "cli/client.h"

#include <grpcpp/grpcpp.h>

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
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

struct Asked {
  std::string address;
  absl::Status status;
};

Asked AskForJob(const grpc::Status& answer) {
  OneAnswer service(answer);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  REQUIRE(server != nullptr);
  const std::string address = absl::StrCat("127.0.0.1:", port);
  const auto client = Client::Connect(address);
  REQUIRE(client.ok());
  return {address, (*client)->GetJob(1).status()};
}

TEST_CASE("a server that went away is named, with what to do", "[cli]") {
  const Asked asked = AskForJob({grpc::StatusCode::UNAVAILABLE, "Socket closed"});
  CHECK(asked.status == absl::UnavailableError(absl::StrCat("the server at ", asked.address,
                                                            " went away (Socket closed); start ",
                                                            "it again and repeat this command")));
}

TEST_CASE("what the server has to say comes unchanged", "[cli]") {
  const Asked asked = AskForJob({grpc::StatusCode::NOT_FOUND, "job 1 does not exist"});
  CHECK(asked.status == absl::NotFoundError("job 1 does not exist"));
}

}  // namespace
}  // namespace tessera::cli
