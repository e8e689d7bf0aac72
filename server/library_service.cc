#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/status.h"
#include "base/third_party.h"
#include "base/version.h"
#include "base/view.h"
#include "proto/convert.h"
#include "proto/limits.h"
#include "server/answer.h"
#include "server/client_services.h"
#include "server/selection.h"

namespace tessera::server {
namespace {

using BuiltLibrary = absl::StatusOr<proto::LibraryResult>;

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

// Of a file that was just built: whoever asks did not name it, so its loss is no NotFound.
absl::StatusOr<std::string> ReadBuilt(ContentStore& artifacts, const db::LibraryFile& file) {
  absl::StatusOr<std::string> bytes = artifacts.Get(file.digest);
  if (bytes.ok()) return bytes;
  const absl::Status status = Annotate(bytes.status(), absl::StrCat("library file ", file.name));
  if (!absl::IsNotFound(status)) return status;
  return absl::DataLossError(absl::StrCat(status.message(),
                                          "; repeat the build, with a larger --artifact-mib of the "
                                          "server if it comes again"));
}

// Of all that a library's bytes are a function of.
std::string KeyOf(db::Selection selection, const std::string& name) {
  selection.id = 0;
  selection.name = name;
  selection.created = absl::UnixEpoch();
  return Sha256Hex(
      absl::StrCat(AbslView(Version()), "\n", proto::ToProto(selection).SerializeAsString()));
}

// The files of a library that was built before, if all are still there.
std::vector<db::LibraryFile> FindBuilt(db::Store& store, ContentStore& artifacts,
                                       const std::string& key) {
  absl::StatusOr<std::vector<db::LibraryFile>> files = store.FindLibrary(key);
  if (!files.ok()) return {};
  for (const db::LibraryFile& file : *files) {
    if (!artifacts.Contains(file.digest)) return {};
  }
  return *std::move(files);
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
  const absl::Status named = proto::CheckIdentifier("library name", request->name());
  if (!named.ok()) return ToClient(named);
  const absl::StatusOr<db::Selection> selection = store_.GetSelection(request->selection_id());
  if (!selection.ok()) return ToClient(selection.status());

  const std::string key = KeyOf(*selection, request->name());
  const std::vector<db::LibraryFile> known = FindBuilt(store_, artifacts_, key);
  if (!known.empty()) return Send(known, writer);
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
  const absl::Status remembered = store_.PutLibrary(key, (*built)->files);
  if (!remembered.ok()) LogWarning(absl::StrCat("library not remembered: ", remembered.message()));
  return Send((*built)->files, writer);
}

grpc::Status LibraryServiceImpl::Send(absl::Span<const db::LibraryFile> files,
                                      grpc::ServerWriter<v1::FileChunk>* writer) {
  for (const db::LibraryFile& file : files) {
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
