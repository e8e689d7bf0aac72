#include "server/libraries.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
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
using BuiltLibrary = absl::StatusOr<proto::LibraryResult>;

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

// A build that was asked for.
struct Build {
  size_t place = 0;
  std::string key;
  uint64_t number = 0;
  std::shared_ptr<Answer<BuiltLibrary>> answer = std::make_shared<Answer<BuiltLibrary>>();
};

}  // namespace

absl::StatusOr<std::vector<Files>> BuildLibraries(LibraryRoom room,
                                                  absl::Span<const proto::LibraryRequest> orders,
                                                  const std::function<bool()>& is_cancelled) {
  std::vector<Files> made(orders.size());
  std::vector<Build> builds;
  size_t ended = 0;
  const auto cancel = absl::MakeCleanup([&] {
    for (size_t i = ended; i < builds.size(); ++i) room.dispatcher.CancelLibrary(builds[i].number);
  });
  for (size_t i = 0; i < orders.size(); ++i) {
    const std::string key = KeyOf(orders[i]);
    made[i] = FindBuilt(room, key);
    if (!made[i].empty()) continue;
    Build build{.place = i, .key = key};
    TESSERA_ASSIGN_OR_RETURN(
        build.number,
        room.dispatcher.BuildLibrary(orders[i], [answer = build.answer](BuiltLibrary built) {
          answer->Set(std::move(built));
        }));
    builds.push_back(std::move(build));
  }
  for (; ended < builds.size(); ++ended) {
    const Build& build = builds[ended];
    std::optional<BuiltLibrary> built;
    while (!built) {
      built = build.answer->WaitFor(absl::Milliseconds(100));
      if (!built && is_cancelled()) {
        return absl::CancelledError("whoever asked for the library has gone");
      }
    }
    TESSERA_RETURN_IF_ERROR(built->status());
    const absl::Status remembered = room.store.PutLibrary(build.key, (*built)->files);
    if (!remembered.ok()) {
      LogWarning(absl::StrCat("library not remembered: ", remembered.message()));
    }
    made[build.place] = std::move((*built)->files);
  }
  return made;
}

}  // namespace tessera::server
