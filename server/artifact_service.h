#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>

#include "base/content_store.h"
#include "proto/worker.grpc.pb.h"

namespace tessera::server {

class ArtifactServiceImpl final : public v1::ArtifactService::Service {
 public:
  explicit ArtifactServiceImpl(ContentStore& artifacts) : artifacts_(artifacts) {}

  grpc::Status Upload(grpc::ServerContext* context, grpc::ServerReader<v1::Chunk>* reader,
                      v1::UploadReply* reply) override;
  grpc::Status Download(grpc::ServerContext* context, const v1::DownloadRequest* request,
                        grpc::ServerWriter<v1::Chunk>* writer) override;
  grpc::Status FindMissing(grpc::ServerContext* context, const v1::FindMissingRequest* request,
                           v1::FindMissingReply* reply) override;

 private:
  ContentStore& artifacts_;
  std::atomic<int64_t> arriving_bytes_ = 0;  // of uploads under way, as they were stated
};

}  // namespace tessera::server
