#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/client.h"

namespace tessera::cli {

// Calls `take`, in ascending id, for the first `filter.limit` records that match `filter` for any
// of `task_keys` (empty: for any task), or with newest_first for the newest. Returns whether there
// are more: later ones, or older ones of the newest. However many there are, a page of records a
// key is held, and of the newest their ids.
absl::StatusOr<bool> ReadLog(Client& client, db::RecordFilter filter,
                             std::vector<std::string> task_keys,
                             const std::function<void(const db::Record&)>& take);

}  // namespace tessera::cli
