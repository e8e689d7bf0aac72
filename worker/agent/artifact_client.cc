#include "worker/agent/artifact_client.h"

#include <chrono>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "proto/limits.h"
#include "proto/rpc_status.h"

namespace tessera::agent {
namespace {

constexpr std::chrono::seconds kTransferTimeout(60);

}  // namespace

absl::StatusOr<std::string> ArtifactClient::Put(const std::string& bytes) {
  TESSERA_ASSIGN_OR_RETURN(std::string digest, cache_->Put(bytes));
  TESSERA_RETURN_IF_ERROR(Upload(digest, bytes));
  return digest;
}

absl::StatusOr<std::string> ArtifactClient::Get(const std::string& digest) {
  absl::StatusOr<std::string> cached = cache_->Get(digest);
  if (cached.ok()) return cached;
  TESSERA_ASSIGN_OR_RETURN(std::string bytes, Download(digest));
  TESSERA_RETURN_IF_ERROR(cache_->PutVerified(digest, bytes));
  return bytes;
}

absl::Status ArtifactClient::Upload(const std::string& digest, const std::string& bytes) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kTransferTimeout);
  v1::UploadReply reply;
  const auto writer = stub_->Upload(&context, &reply);
  v1::Chunk chunk;
  chunk.set_digest(digest);
  chunk.set_size(static_cast<int64_t>(bytes.size()));
  for (size_t at = 0; at == 0 || at < bytes.size(); at += proto::kMaxChunkBytes) {
    chunk.set_data(bytes.substr(at, proto::kMaxChunkBytes));
    if (!writer->Write(chunk)) break;  // Finish says why
    chunk.Clear();
  }
  writer->WritesDone();
  return Annotate(proto::FromRpc(writer->Finish()), "upload");
}

absl::StatusOr<std::string> ArtifactClient::Download(const std::string& digest) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kTransferTimeout);
  v1::DownloadRequest request;
  request.set_digest(digest);
  const auto reader = stub_->Download(&context, request);
  std::string bytes;
  v1::Chunk chunk;
  bool too_big = false;
  while (reader->Read(&chunk)) {
    too_big = bytes.size() + chunk.data().size() > proto::kMaxArtifactBytes;
    if (too_big) {
      context.TryCancel();
      break;
    }
    bytes.append(chunk.data());
  }
  const absl::Status status = proto::FromRpc(reader->Finish());
  if (too_big) {
    return absl::InvalidArgumentError(
        absl::StrCat("download ", digest, ": more than ", proto::kMaxArtifactBytes, " bytes"));
  }
  if (!status.ok()) return Annotate(status, "download");
  return bytes;
}

}  // namespace tessera::agent
