#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "db/record/store.h"
#include "tuner/nearest_tasks.h"
#include "tuner/prior.h"
#include "tuner/search_space.h"

namespace tessera::tuner {

// JobOptions.prior beside names of models.
inline constexpr char kAutoPrior[] = "auto", kNoPrior[] = "none";

// Of a task and a job; of more, the fastest quarter and the newest are known.
inline constexpr int kMaxKnownOfTask = 1024, kMaxKnown = 8192;
inline constexpr int kMaxFirstConfigs = 6;  // of near tasks, a task

// Collects what a store knows of the tasks of new jobs: a model of other tasks, fast programs of
// near ones, and what was measured of these very tasks. Thread-safe.
class PriorMaker {
 public:
  // `store` outlives the maker.
  explicit PriorMaker(db::Store& store) : store_(store) {}

  // Stores what the job knows, by its options: nothing for "none", everything for "auto" or a
  // model's name, which then is the model. `spaces` are its tasks'. Returns the digest for
  // Job.prior, empty where nothing is known. NotFound for a model that does not exist,
  // InvalidArgument for one with which the job's search can't begin or that was trained on another
  // kind of device, FailedPrecondition for one of another version; other errors are the store's.
  absl::StatusOr<std::string> Make(const db::Job& job,
                                   absl::Span<const std::shared_ptr<const SearchSpace>> spaces);

 private:
  using Hashes = absl::flat_hash_set<uint64_t>;
  absl::StatusOr<std::optional<db::ModelInfo>> ChooseModel(const db::Job& job);
  // Programs of this build: another one may have compiled them otherwise.
  absl::StatusOr<std::vector<KnownProgram>> KnownOf(const std::string& task_key,
                                                    const std::string& device_class,
                                                    const SearchSpace& space, int limit);
  // Of the nearest of `all`, the nearest first, what is not in `known`. Nearest is the task itself,
  // as other builds and other classes of devices had it.
  absl::StatusOr<std::vector<std::string>> FirstConfigs(const KeyedTask& task,
                                                        absl::Span<const KeyedTask> all,
                                                        const std::string& device_class,
                                                        const SearchSpace& space, Hashes known);

  db::Store& store_;
  NearestTasks nearest_;
  std::atomic<int64_t> made_ = 0;
};

}  // namespace tessera::tuner
