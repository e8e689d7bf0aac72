#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "proto/convert.h"
#include "proto/limits.h"
#include "server/answer.h"
#include "server/client_services.h"
#include "server/selection.h"

namespace tessera::server {
namespace {

using BuiltLibrary = absl::StatusOr<proto::LibraryResult>;

absl::StatusOr<db::Selection> Select(db::Store& store, Clock& clock,
                                     const v1::CreateSelectionRequest& request,
                                     const std::function<bool()>& is_cancelled) {
  TESSERA_ASSIGN_OR_RETURN(db::Selection selection, proto::FromProto(request));
  TESSERA_ASSIGN_OR_RETURN(selection, ChooseRecords(store, std::move(selection), is_cancelled));
  selection.created = clock.Now();
  TESSERA_ASSIGN_OR_RETURN(const int64_t id, store.CreateSelection(selection));
  return store.GetSelection(id);
}

// Of a file that was just built: whoever asks did not name it, so its loss is no NotFound.
absl::StatusOr<std::string> ReadBuilt(ContentStore& artifacts, const proto::LibraryFile& file) {
  absl::StatusOr<std::string> bytes = artifacts.Get(file.digest);
  if (bytes.ok()) return bytes;
  const absl::Status status = Annotate(bytes.status(), absl::StrCat("library file ", file.name));
  if (!absl::IsNotFound(status)) return status;
  return absl::DataLossError(absl::StrCat(status.message(),
                                          "; repeat the build, with a larger --artifact-mib of the "
                                          "server if it comes again"));
}

}  // namespace

grpc::Status LibraryServiceImpl::CreateSelection(grpc::ServerContext* context,
                                                 const v1::CreateSelectionRequest* request,
                                                 v1::Selection* reply) {
  const absl::StatusOr<CallLimit::Slot> slot = selections_.Enter();
  if (!slot.ok()) return ToClient(slot.status());
  const absl::StatusOr<db::Selection> selection =
      Select(store_, clock_, *request, [context] { return context->IsCancelled(); });
  if (!selection.ok()) return ToClient(selection.status());
  *reply = proto::ToProto(*selection);
  return grpc::Status::OK;
}

grpc::Status LibraryServiceImpl::BuildLibrary(grpc::ServerContext* context,
                                              const v1::BuildLibraryRequest* request,
                                              grpc::ServerWriter<v1::FileChunk>* writer) {
  const absl::StatusOr<CallLimit::Slot> slot = builds_.Enter();
  if (!slot.ok()) return ToClient(slot.status());
  const absl::Status named = proto::CheckIdentifier("library name", request->name());
  if (!named.ok()) return ToClient(named);
  const absl::StatusOr<db::Selection> selection = store_.GetSelection(request->selection_id());
  if (!selection.ok()) return ToClient(selection.status());

  const auto answer = std::make_shared<Answer<BuiltLibrary>>();
  const absl::StatusOr<uint64_t> library = dispatcher_.BuildLibrary(
      *selection, request->name(), [answer](BuiltLibrary built) { answer->Set(std::move(built)); });
  if (!library.ok()) return ToClient(library.status());
  std::optional<BuiltLibrary> built;
  while (!built.has_value()) {
    built = answer->WaitFor(absl::Milliseconds(100));
    if (!built.has_value() && context->IsCancelled()) {
      dispatcher_.CancelLibrary(*library);
      return grpc::Status::CANCELLED;
    }
  }
  if (!built->ok()) return ToClient(built->status());
  for (const proto::LibraryFile& file : (*built)->files) {
    const absl::StatusOr<std::string> bytes = ReadBuilt(artifacts_, file);
    if (!bytes.ok()) return ToClient(bytes.status());
    v1::FileChunk chunk;
    chunk.set_name(file.name);
    for (size_t at = 0; at == 0 || at < bytes->size(); at += proto::kMaxChunkBytes) {
      chunk.set_data(bytes->substr(at, proto::kMaxChunkBytes));
      if (!writer->Write(chunk)) return grpc::Status::OK;
      chunk.Clear();
    }
  }
  return grpc::Status::OK;
}

}  // namespace tessera::server
