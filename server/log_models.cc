#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "proto/convert.h"
#include "proto/limits.h"
#include "server/client_services.h"
#include "tuner/trained_model.h"

// The trained models of LogService.

namespace tessera::server {
namespace {

// The whole upload, of which the first chunk says what it is.
absl::Status ReadModel(grpc::ServerReader<v1::ModelChunk>* reader, db::Store& store) {
  v1::ModelChunk chunk;
  if (!reader->Read(&chunk)) return absl::InvalidArgumentError("model: no chunk came");
  TESSERA_ASSIGN_OR_RETURN(const db::ModelInfo info, proto::FromProto(chunk.info()));
  std::string bytes;
  do {
    if (static_cast<int64_t>(bytes.size() + chunk.data().size()) > db::kMaxBlobBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("model \"", info.name, "\": more than ", db::kMaxBlobBytes, " bytes"));
    }
    bytes.append(chunk.data());
  } while (reader->Read(&chunk));
  return tuner::StoreModel(store, info, bytes);
}

}  // namespace

grpc::Status LogServiceImpl::ListModels(grpc::ServerContext*, const v1::ListModelsRequest*,
                                        v1::ListModelsReply* reply) {
  const absl::StatusOr<std::vector<db::ModelInfo>> models = store_.ListModels();
  if (!models.ok()) return ToClient(models.status());
  for (const db::ModelInfo& model : *models) *reply->add_models() = proto::ToProto(model);
  return grpc::Status::OK;
}

grpc::Status LogServiceImpl::GetModel(grpc::ServerContext*, const v1::GetModelRequest* request,
                                      grpc::ServerWriter<v1::ModelChunk>* writer) {
  const absl::StatusOr<CallLimit::Slot> slot = model_transfers_.Enter();
  if (!slot.ok()) return ToClient(slot.status());
  const absl::StatusOr<db::ModelInfo> info = store_.GetModelInfo(request->name());
  if (!info.ok()) return ToClient(info.status());
  const absl::StatusOr<std::string> bytes = store_.GetBlob(info->digest);
  if (!bytes.ok()) return ToClient(bytes.status());
  v1::ModelChunk chunk;
  *chunk.mutable_info() = proto::ToProto(*info);
  for (size_t at = 0; at == 0 || at < bytes->size(); at += proto::kMaxChunkBytes) {
    chunk.set_data(bytes->substr(at, proto::kMaxChunkBytes));
    if (!writer->Write(chunk)) break;  // the caller is gone
    chunk.Clear();
  }
  return grpc::Status::OK;
}

grpc::Status LogServiceImpl::PutModel(grpc::ServerContext*,
                                      grpc::ServerReader<v1::ModelChunk>* reader,
                                      v1::PutModelReply*) {
  const absl::StatusOr<CallLimit::Slot> slot = model_transfers_.Enter();
  if (!slot.ok()) return ToClient(slot.status());
  return ToClient(ReadModel(reader, store_));
}

}  // namespace tessera::server
