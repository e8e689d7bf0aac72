#include "db/record/memory_store.h"

#include "tests/db/record/store_conformance.h"

namespace tessera::db {

std::shared_ptr<Store> MakeStore(Clock& clock) { return std::make_shared<MemoryStore>(clock); }

}  // namespace tessera::db
