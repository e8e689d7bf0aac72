#include "server/artifact_service.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "proto/convert.h"
#include "proto/limits.h"
#include "proto/rpc_status.h"

namespace tessera::server {
namespace {

// Uploads are held in memory until they are whole.
constexpr int64_t kMaxArrivingBytes = 4 * proto::kMaxArtifactBytes;

// Room for an upload, as long as it lives.
class Room {
 public:
  Room(std::atomic<int64_t>& taken, int64_t bytes) : taken_(taken), bytes_(bytes) {
    there_is_ = taken_.fetch_add(bytes) + bytes <= kMaxArrivingBytes;
  }
  ~Room() { taken_ -= bytes_; }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;

  bool there_is() const { return there_is_; }

 private:
  std::atomic<int64_t>& taken_;
  const int64_t bytes_;
  bool there_is_;
};

// The whole upload; the chunks must add up to what the first one stated.
absl::Status ReadUpload(grpc::ServerReader<v1::Chunk>* reader, ContentStore& artifacts,
                        std::atomic<int64_t>& arriving_bytes) {
  v1::Chunk chunk;
  if (!reader->Read(&chunk)) return absl::InvalidArgumentError("upload: no chunk came");
  const std::string digest = chunk.digest();
  const int64_t size = chunk.size();
  TESSERA_RETURN_IF_ERROR(proto::CheckDigest("upload digest", digest));
  if (size < 0 || size > proto::kMaxArtifactBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("upload size: ", size, " is outside 0 to ", proto::kMaxArtifactBytes));
  }
  const Room room(arriving_bytes, size);
  if (!room.there_is()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("upload ", digest, ": others have taken the ", kMaxArrivingBytes >> 20,
                     " MiB that uploads under way may take together; try again"));
  }
  std::string bytes;
  do {
    if (static_cast<int64_t>(bytes.size() + chunk.data().size()) > size) {
      return absl::InvalidArgumentError(
          absl::StrCat("upload ", digest, ": more than the stated ", size, " bytes"));
    }
    bytes.append(chunk.data());
  } while (reader->Read(&chunk));
  if (static_cast<int64_t>(bytes.size()) != size) {
    return absl::InvalidArgumentError(
        absl::StrCat("upload ", digest, ": ", bytes.size(), " bytes came, ", size, " were stated"));
  }
  return artifacts.PutVerified(digest, bytes);
}

}  // namespace

grpc::Status ArtifactServiceImpl::Upload(grpc::ServerContext*,
                                         grpc::ServerReader<v1::Chunk>* reader, v1::UploadReply*) {
  return proto::ToRpc(ReadUpload(reader, artifacts_, arriving_bytes_));
}

grpc::Status ArtifactServiceImpl::Download(grpc::ServerContext*, const v1::DownloadRequest* request,
                                           grpc::ServerWriter<v1::Chunk>* writer) {
  const absl::Status checked = proto::CheckDigest("download digest", request->digest());
  if (!checked.ok()) return proto::ToRpc(checked);
  const absl::StatusOr<std::string> bytes = artifacts_.Get(request->digest());
  if (!bytes.ok()) return proto::ToRpc(bytes.status());
  v1::Chunk chunk;
  chunk.set_digest(request->digest());
  chunk.set_size(static_cast<int64_t>(bytes->size()));
  for (size_t at = 0; at == 0 || at < bytes->size(); at += proto::kMaxChunkBytes) {
    chunk.set_data(bytes->substr(at, proto::kMaxChunkBytes));
    if (!writer->Write(chunk)) break;  // the caller is gone
    chunk.Clear();
  }
  return grpc::Status::OK;
}

grpc::Status ArtifactServiceImpl::FindMissing(grpc::ServerContext*,
                                              const v1::FindMissingRequest* request,
                                              v1::FindMissingReply* reply) {
  if (request->digests_size() > proto::kMaxConstants) {
    return proto::ToRpc(absl::InvalidArgumentError(
        absl::StrCat("digests: ", request->digests_size(), " are more than ", proto::kMaxConstants,
                     "; ask in several calls")));
  }
  for (const std::string& digest : request->digests()) {
    const absl::Status checked = proto::CheckDigest("digest", digest);
    if (!checked.ok()) return proto::ToRpc(checked);
    if (!artifacts_.Contains(digest)) reply->add_digests(digest);
  }
  return grpc::Status::OK;
}

}  // namespace tessera::server
