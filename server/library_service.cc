#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/third_party.h"
#include "proto/convert.h"
#include "proto/limits.h"
#include "server/client_services.h"
#include "server/in_place.h"
#include "server/libraries.h"
#include "server/selection.h"

namespace tessera::server {
namespace {

// That all of a model is there, marked as used just now.
absl::Status CheckArtifacts(const db::SelectionModel& model, ContentStore& artifacts) {
  int missing = artifacts.Contains(model.graph) ? 0 : 1;
  for (const std::string& digest : model.constants) missing += artifacts.Contains(digest) ? 0 : 1;
  if (missing == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("selection: ", missing, " of the model's ", model.constants.size() + 1,
                   " artifacts are not there; upload them, and give the server a larger "
                   "--artifact-mib if they don't stay"));
}

absl::StatusOr<db::Selection> Select(db::Store& store, ContentStore& artifacts, Clock& clock,
                                     const v1::CreateSelectionRequest& request,
                                     const std::function<bool()>& is_cancelled) {
  TESSERA_ASSIGN_OR_RETURN(db::Selection selection, proto::FromProto(request));
  if (selection.model) TESSERA_RETURN_IF_ERROR(CheckArtifacts(*selection.model, artifacts));
  TESSERA_ASSIGN_OR_RETURN(const std::string allowed, ParseAllowed(request.allow()));
  TESSERA_ASSIGN_OR_RETURN(selection,
                           ChooseRecords(store, std::move(selection), is_cancelled, allowed));
  selection.created = clock.Now();
  TESSERA_ASSIGN_OR_RETURN(const int64_t id, store.CreateSelection(selection));
  return store.GetSelection(id);
}

// Why a file that was just built can't be sent: whoever asks did not name it, so its loss is no
// NotFound.
absl::Status WhyNotRead(const absl::Status& read, const db::LibraryFile& file) {
  const absl::Status status = Annotate(read, absl::StrCat("library file ", file.name));
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
      Select(store_, artifacts_, clock_, *request, [context] { return context->IsCancelled(); });
  if (!selection.ok()) return ToClient(selection.status());
  *reply = proto::ToProto(*selection);
  return grpc::Status::OK;
}

grpc::Status LibraryServiceImpl::BuildLibrary(grpc::ServerContext* context,
                                              const v1::BuildLibraryRequest* request,
                                              grpc::ServerWriter<v1::FileChunk>* writer) {
  const absl::StatusOr<CallLimit::Slot> slot = builds_.Enter();
  if (!slot.ok()) return ToClient(slot.status());
  const absl::StatusOr<db::Selection> selection = store_.GetSelection(request->selection_id());
  if (!selection.ok()) return ToClient(selection.status());

  const proto::LibraryRequest order = {.name = request->name(),
                                       .selection = *selection,
                                       .static_library = request->static_library()};
  const absl::StatusOr<std::vector<db::LibraryFile>> built = BuiltLibrary(
      {store_, artifacts_, dispatcher_}, order, [context] { return context->IsCancelled(); });
  if (!built.ok()) return ToClient(built.status());
  return Send(*built, writer);
}

grpc::Status LibraryServiceImpl::ChooseInPlace(grpc::ServerContext* context,
                                               const v1::ChooseInPlaceRequest* request,
                                               grpc::ServerWriter<v1::ChooseInPlaceReply>* writer) {
  const absl::StatusOr<CallLimit::Slot> slot = builds_.Enter();
  if (!slot.ok()) return ToClient(slot.status());
  const absl::StatusOr<db::Selection> selection = store_.GetSelection(request->selection_id());
  if (!selection.ok()) return ToClient(selection.status());
  const absl::StatusOr<std::string> allowed = ParseAllowed(request->allow());
  if (!allowed.ok()) return ToClient(allowed.status());
  const absl::StatusOr<db::Selection> chosen = server::ChooseInPlace(
      {store_, artifacts_, dispatcher_}, *selection, *allowed,
      [writer](std::string_view doing) {
        v1::ChooseInPlaceReply reply;
        reply.set_doing(std::string(doing));
        writer->Write(reply);
      },
      [context] { return context->IsCancelled(); });
  if (!chosen.ok()) return ToClient(chosen.status());
  v1::ChooseInPlaceReply reply;
  *reply.mutable_chosen() = proto::ToProto(*chosen);
  writer->Write(reply);
  return grpc::Status::OK;
}

grpc::Status LibraryServiceImpl::Send(absl::Span<const db::LibraryFile> files,
                                      grpc::ServerWriter<v1::FileChunk>* writer) {
  for (const db::LibraryFile& file : files) {
    v1::FileChunk chunk;
    chunk.set_name(file.name);
    bool is_there = true;  // who asked
    const absl::Status read =
        artifacts_.Read(file.digest, proto::kMaxChunkBytes, [&](std::string_view part) {
          chunk.set_data(part.data(), part.size());
          is_there = writer->Write(chunk);
          chunk.clear_name();
          return is_there;
        });
    if (!read.ok()) return ToClient(WhyNotRead(read, file));
    if (!is_there) break;
  }
  return grpc::Status::OK;
}

}  // namespace tessera::server
