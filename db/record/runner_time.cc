#include "db/record/runner_time.h"

#include <numeric>

#include "base/status.h"

namespace tessera::db {

std::string_view ToString(RunnerPhase phase) {
  constexpr std::string_view kNames[kRunnerPhaseCount] = {"run",      "worker", "build",
                                                          "proposal", "store",  "others"};
  const auto index = static_cast<size_t>(phase);
  TESSERA_CHECK(index < std::size(kNames));
  return kNames[index];
}

double RunnerTime::Total() const { return std::accumulate(seconds.begin(), seconds.end(), 0.0); }

}  // namespace tessera::db
