#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "absl/types/span.h"
#include "db/record/runner_time.h"

namespace tessera::cli {

// Of all devices together, where they waited for half a percent or more:
// "runners 93% busy, waited for builds 6%, proposals 1%". Empty where nothing was counted.
std::string RunnersText(absl::Span<const db::RunnerTime> runners);
// [{"device": …, "run_seconds": …, "worker_seconds": …, …}, …]
nlohmann::json RunnersJson(absl::Span<const db::RunnerTime> runners);

}  // namespace tessera::cli
