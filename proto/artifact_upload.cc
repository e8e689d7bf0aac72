#include "proto/artifact_upload.h"

#include <chrono>

#include "base/status.h"
#include "proto/limits.h"
#include "proto/rpc_status.h"

namespace tessera::proto {

absl::Status UploadArtifact(v1::ArtifactService::StubInterface& artifacts,
                            const std::string& digest, const std::string& bytes) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::seconds(60 + (bytes.size() >> 20)));
  v1::UploadReply reply;
  const auto writer = artifacts.Upload(&context, &reply);
  v1::Chunk chunk;
  chunk.set_digest(digest);
  chunk.set_size(static_cast<int64_t>(bytes.size()));
  for (size_t at = 0; at == 0 || at < bytes.size(); at += kMaxChunkBytes) {
    chunk.set_data(bytes.substr(at, kMaxChunkBytes));
    if (!writer->Write(chunk)) break;  // Finish says why
    chunk.Clear();
  }
  writer->WritesDone();
  return Annotate(FromRpc(writer->Finish()), "upload");
}

}  // namespace tessera::proto
