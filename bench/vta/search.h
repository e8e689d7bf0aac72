#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bench/vta/simulated.h"
#include "db/record/memory_store.h"
#include "db/record/record.h"

namespace tessera::bench {

inline constexpr int64_t kFailedTrial = std::numeric_limits<int64_t>::max();

struct SearchOptions {
  std::string explorer = "annealing";  // the default of jobs
  int trials = 64;
  uint64_t seed = 0;
  std::string pins;
};

// A job of one layer as the server runs it, with trials that are simulated.
struct Search {
  std::vector<int64_t> cycles;  // by trial; kFailedTrial where a program failed
  std::string best_trace;
  std::vector<db::Record> records;

  int64_t Best() const;
  // Trials until one took at most `limit` cycles; infinity where none did.
  double TrialsTo(int64_t limit) const;
};

// Beginning with what `store` knows of other tasks; a null store is an empty one. Deterministic.
absl::StatusOr<Search> Run(const std::shared_ptr<SimulatedLayer>& layer,
                           const SearchOptions& options, db::Store* store = nullptr);

// The bytes of a model of the searches' programs.
absl::StatusOr<std::string> TrainOn(absl::Span<const std::shared_ptr<SimulatedLayer>> layers,
                                    absl::Span<const Search* const> searches);

// Stores searches as jobs that have ended, and the model of them.
absl::Status Remember(absl::Span<const std::shared_ptr<SimulatedLayer>> layers,
                      absl::Span<const Search* const> searches, const std::string& model,
                      db::Store& store);

}  // namespace tessera::bench
