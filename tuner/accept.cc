#include "tuner/accept.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"

namespace tessera::tuner {
namespace {

// Why the measurement can't be; empty if it can.
std::string Nonsense(const db::Record& reported, const std::string& loop_hash) {
  const db::Measurement& m = reported.measurement;
  if (!reported.loop_hash.empty() && reported.loop_hash != loop_hash) {
    return absl::StrCat("the device lowered to loop hash ", reported.loop_hash, ", the trial has ",
                        loop_hash, "; run server and workers of one version");
  }
  if (m.outcome == db::Outcome::kOk && m.sample_seconds.empty()) {
    return "the device reported success without a sample";
  }
  for (double seconds : m.sample_seconds) {
    if (!(std::isfinite(seconds) && seconds > 0)) {
      return absl::StrCat("the device reported ", seconds, " s, not a positive time");
    }
  }
  if (!m.sample_calls.empty() && m.sample_calls.size() != m.sample_seconds.size()) {
    return absl::StrCat("the device reported ", m.sample_calls.size(), " call counts for ",
                        m.sample_seconds.size(), " samples");
  }
  return {};
}

void MakeFinite(double& value, double unread) {
  if (!std::isfinite(value)) value = unread;
}

}  // namespace

db::Record AcceptRecord(int64_t job_id, int64_t number, const Trial& trial, std::string task_key,
                        db::Record reported) {
  const std::string loop_hash = HashToHex(trial.loop_hash);
  db::Measurement& m = reported.measurement;
  if (std::string reason = Nonsense(reported, loop_hash); !reason.empty()) {
    m.outcome = db::Outcome::kInfrastructure;
    m.reason = std::move(reason);
    m.sample_seconds.clear();
    m.sample_calls.clear();
  }
  MakeFinite(m.build_seconds, 0);
  MakeFinite(m.run_seconds, 0);
  MakeFinite(m.environment.cpu_mhz, -1);
  MakeFinite(m.environment.load_average, -1);
  MakeFinite(m.environment.temperature_celsius, -1);
  MakeFinite(m.environment.reference_gflops, -1);

  reported.id = 0;
  reported.job_id = job_id;
  reported.trial = number;
  reported.task_key = std::move(task_key);
  reported.trace = trial.trace;
  reported.config = trial.config;
  reported.explorer = trial.explorer;
  reported.loop_hash = loop_hash;
  if (reported.attempt_key.empty()) {
    reported.attempt_key = absl::StrCat(job_id, "/", number, "/0/0");
  }
  return reported;
}

}  // namespace tessera::tuner
