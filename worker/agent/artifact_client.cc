#include "worker/agent/artifact_client.h"

#include <chrono>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "proto/artifact_upload.h"
#include "proto/limits.h"
#include "proto/rpc_status.h"

namespace tessera::agent {
namespace {

constexpr std::chrono::seconds kDownloadTimeout(600);  // of up to kMaxArtifactBytes

}  // namespace

absl::StatusOr<std::string> ArtifactClient::Put(const std::string& bytes) {
  TESSERA_ASSIGN_OR_RETURN(std::string digest, cache_->Put(bytes));
  TESSERA_RETURN_IF_ERROR(proto::UploadArtifact(*stub_, digest, bytes));
  return digest;
}

absl::StatusOr<std::string> ArtifactClient::Get(const std::string& digest) {
  absl::StatusOr<std::string> cached = cache_->Get(digest);
  if (cached.ok()) return cached;
  TESSERA_ASSIGN_OR_RETURN(std::string bytes, Download(digest));
  TESSERA_RETURN_IF_ERROR(cache_->PutVerified(digest, bytes));
  return bytes;
}

absl::StatusOr<std::string> ArtifactClient::Download(const std::string& digest) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kDownloadTimeout);
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
