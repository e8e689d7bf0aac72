#include "server/libraries.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/status.h"
#include "base/version.h"
#include "base/view.h"
#include "proto/convert.h"
#include "server/answer.h"

namespace tessera::server {
namespace {

using Files = std::vector<db::LibraryFile>;

// Of all that a library's files are a function of.
std::string KeyOf(proto::LibraryRequest order) {
  db::Selection& selection = order.selection;
  selection.id = 0;
  selection.name.clear();
  selection.created = absl::UnixEpoch();
  selection.in_place.reset();
  for (db::SelectionItem& item : selection.items) item.in_place_seconds = 0;
  return Sha256Hex(
      absl::StrCat(AbslView(Version()), "\n", proto::ToProto(order).SerializeAsString()));
}

// The files of a library that was built before, if all are still there.
Files FindBuilt(const LibraryRoom& room, const std::string& key) {
  absl::StatusOr<Files> files = room.store.FindLibrary(key);
  if (!files.ok()) return {};
  for (const db::LibraryFile& file : *files) {
    if (!room.artifacts.Contains(file.digest)) return {};
  }
  return *std::move(files);
}

}  // namespace

absl::StatusOr<Files> BuiltLibrary(const LibraryRoom& room, const proto::LibraryRequest& order,
                                   const std::function<bool()>& is_cancelled) {
  using Built = absl::StatusOr<proto::LibraryResult>;
  // A worker would take another one for an attack, and hang up.
  TESSERA_RETURN_IF_ERROR(proto::CheckIdentifier("library name", order.name));
  const std::string key = KeyOf(order);
  Files known = FindBuilt(room, key);
  if (!known.empty()) return known;
  const auto answer = std::make_shared<Answer<Built>>();
  TESSERA_ASSIGN_OR_RETURN(const uint64_t number,
                           room.dispatcher.BuildLibrary(
                               order, [answer](Built built) { answer->Set(std::move(built)); }));
  std::optional<Built> built = answer->Await(is_cancelled);
  if (!built) {
    room.dispatcher.CancelLibrary(number);
    return absl::CancelledError("whoever asked for the library has gone");
  }
  TESSERA_RETURN_IF_ERROR(built->status());
  const absl::Status remembered = room.store.PutLibrary(key, (*built)->files);
  if (!remembered.ok()) LogWarning(absl::StrCat("library not remembered: ", remembered.message()));
  return std::move((*built)->files);
}

}  // namespace tessera::server
