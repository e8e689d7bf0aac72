#pragma once

#include <cstdint>
#include <string>

#include "db/record/record.h"
#include "tuner/state.h"

namespace tessera::tuner {

// What a device reported for a pending trial, as the record that is stored. Identity (job, trial,
// task, trace, config, explorer, loop hash) is the trial's own, whatever the device wrote; the
// attempt key is made up if it gave none. Measurements that can't be (an ok without samples, times
// that are not positive, numbers that are not finite, another loop hash) become kInfrastructure
// with the reason: a device that reports nonsense says nothing about the candidate.
db::Record AcceptRecord(int64_t job_id, int64_t number, const Trial& trial, std::string task_key,
                        db::Record reported);

}  // namespace tessera::tuner
