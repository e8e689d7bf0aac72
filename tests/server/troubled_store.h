#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "tests/server/shared_store.h"

namespace tessera::server {

// A store that fails when it is told to.
class TroubledStore final : public SharedStore {
 public:
  using SharedStore::SharedStore;
  absl::StatusOr<std::vector<db::Event>> ReadEvents(int64_t job, int64_t after) override {
    ++reads;
    TESSERA_RETURN_IF_ERROR(trouble);
    return SharedStore::ReadEvents(job, after);
  }
  absl::Status SetJobState(int64_t id, db::JobState state, std::string_view message) override {
    TESSERA_RETURN_IF_ERROR(state_trouble);
    return SharedStore::SetJobState(id, state, message);
  }
  absl::StatusOr<int64_t> CreateJob(const db::Job& job) override {
    TESSERA_RETURN_IF_ERROR(create_trouble);
    created_prior = job.prior;
    return SharedStore::CreateJob(job);
  }
  absl::StatusOr<db::Job> GetJob(int64_t id) override {
    TESSERA_RETURN_IF_ERROR(std::exchange(get_trouble, absl::OkStatus()));
    return SharedStore::GetJob(id);
  }
  absl::StatusOr<std::string> PutBlob(std::string_view bytes) override {
    auto digest = SharedStore::PutBlob(bytes);
    if (digest.ok()) last_blob = *digest;
    return digest;
  }
  absl::Status trouble, state_trouble, create_trouble;
  absl::Status get_trouble;  // of the next call
  std::string created_prior, last_blob;
  int reads = 0;
};

}  // namespace tessera::server
