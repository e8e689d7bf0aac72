#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/content_store.h"
#include "db/record/record.h"
#include "db/record/store.h"
#include "server/dispatcher.h"

namespace tessera::server {

// What building takes.
struct LibraryRoom {
  db::Store& store;
  ContentStore& artifacts;
  Dispatcher& dispatcher;
};

// The files of an order's library; what was built before and is still there is not built again.
// InvalidArgument for a name that is no identifier; errors of the build; Cancelled when
// `is_cancelled` says so, which is asked every 100 ms.
absl::StatusOr<std::vector<db::LibraryFile>> BuiltLibrary(
    const LibraryRoom& room, const proto::LibraryRequest& order,
    const std::function<bool()>& is_cancelled);

}  // namespace tessera::server
