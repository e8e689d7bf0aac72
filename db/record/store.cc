#include "db/record/store.h"

#include "absl/strings/str_cat.h"
#include "base/view.h"

namespace tessera::db {

absl::Status NoSuch(std::string_view what, int64_t id) {
  return absl::NotFoundError(absl::StrCat(AbslView(what), " ", id, " does not exist"));
}

absl::Status NoJobHasKey(std::string_view idempotency_key) {
  return absl::NotFoundError(absl::StrCat("no job has key \"", AbslView(idempotency_key), "\""));
}

}  // namespace tessera::db
