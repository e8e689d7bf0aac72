#include "db/sqlite/sqlite_store.h"

#include "tests/db/record/store_conformance.h"
#include "tests/db/sqlite/temp_dir.h"

namespace tessera::db {

std::shared_ptr<Store> MakeStore(Clock& clock) {
  auto dir = std::make_shared<TempDir>(TempDir::Place::kMemory);
  absl::StatusOr<std::unique_ptr<SqliteStore>> store =
      SqliteStore::Open(dir->File("tessera.db"), clock);
  INFO(store.status().ToString());
  REQUIRE(store.ok());
  SqliteStore* raw = store->release();
  return std::shared_ptr<Store>(raw, [dir](SqliteStore* closing) {
    std::unique_ptr<SqliteStore> closed_before_its_folder_goes(closing);
  });
}

}  // namespace tessera::db
