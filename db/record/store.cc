#include "db/record/store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"

namespace tessera::db {

absl::StatusOr<Record> GetRecord(Store& store, int64_t id, std::string_view task_key) {
  if (id <= 0) return NoSuch("record", id);
  RecordFilter filter;
  filter.task_key = std::string(task_key);
  filter.after_id = id - 1;
  filter.limit = 1;
  TESSERA_ASSIGN_OR_RETURN(std::vector<Record> records, store.QueryRecords(filter));
  if (records.empty() || records[0].id != id) return NoSuch("record", id);
  return std::move(records[0]);
}

absl::Status NoSuch(std::string_view what, int64_t id) {
  return absl::NotFoundError(absl::StrCat(AbslView(what), " ", id, " does not exist"));
}

absl::Status NoJobHasKey(std::string_view idempotency_key) {
  return absl::NotFoundError(absl::StrCat("no job has key \"", AbslView(idempotency_key), "\""));
}

absl::Status NoSuchInPlace(std::string_view key) {
  return absl::NotFoundError(
      absl::StrCat("no selection was measured in place under key ", AbslView(key)));
}

absl::Status NoSuchBlob(std::string_view digest) {
  return absl::NotFoundError(absl::StrCat("blob ", AbslView(digest), " does not exist"));
}

absl::Status NoSuchModel(std::string_view name) {
  return absl::NotFoundError(absl::StrCat("no model is named \"", AbslView(name), "\""));
}

absl::Status CheckIsSameModel(const ModelInfo& stored, const ModelInfo& wanted) {
  if (stored.digest == wanted.digest) return absl::OkStatus();
  return absl::AlreadyExistsError(
      absl::StrCat("another model is named \"", wanted.name, "\" (", stored.digest.substr(0, 8),
                   ", not ", wanted.digest.substr(0, 8), "); choose another name"));
}

}  // namespace tessera::db
