#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/content_store.h"
#include "proto/worker.grpc.pb.h"

namespace tessera::agent {

// Artifacts by digest, through a local cache. Thread-safe.
class ArtifactClient {
 public:
  ArtifactClient(const std::shared_ptr<grpc::Channel>& channel, std::unique_ptr<ContentStore> cache)
      : stub_(v1::ArtifactService::NewStub(channel)), cache_(std::move(cache)) {}

  // Caches and uploads; returns the digest.
  absl::StatusOr<std::string> Put(const std::string& bytes);
  // From the cache, else from the server, verified. NotFound: the server has it no more.
  absl::StatusOr<std::string> Get(const std::string& digest);

 private:
  absl::StatusOr<std::string> Download(const std::string& digest);

  std::unique_ptr<v1::ArtifactService::Stub> stub_;
  std::unique_ptr<ContentStore> cache_;
};

}  // namespace tessera::agent
