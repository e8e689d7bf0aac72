#include "db/record/validate.h"

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "db/record/store.h"

namespace tessera::db {
namespace {

absl::Status RequireFinite(const std::string& what, const char* field, double value) {
  if (std::isfinite(value)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": ", field, " is ", value, ", must be a finite number"));
}

absl::Status RequireText(const std::string& what, const char* field, const std::string& value) {
  if (!value.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, ": ", field, " is empty"));
}

absl::Status ValidateMeasurement(const std::string& what, const Measurement& m) {
  if (m.outcome == Outcome::kOk && m.sample_seconds.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": outcome ok without a sample"));
  }
  for (double seconds : m.sample_seconds) {
    if (std::isfinite(seconds) && seconds > 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": a sample of ", seconds, " seconds, must be finite and above 0"));
  }
  if (!m.sample_calls.empty() && m.sample_calls.size() != m.sample_seconds.size()) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", m.sample_calls.size(),
                                                   " sample_calls for ", m.sample_seconds.size(),
                                                   " samples, must be as many or none"));
  }
  TESSERA_RETURN_IF_ERROR(RequireFinite(what, "build_seconds", m.build_seconds));
  TESSERA_RETURN_IF_ERROR(RequireFinite(what, "run_seconds", m.run_seconds));
  const Environment& e = m.environment;
  TESSERA_RETURN_IF_ERROR(RequireFinite(what, "cpu_mhz", e.cpu_mhz));
  TESSERA_RETURN_IF_ERROR(RequireFinite(what, "load_average", e.load_average));
  TESSERA_RETURN_IF_ERROR(RequireFinite(what, "temperature_celsius", e.temperature_celsius));
  return RequireFinite(what, "reference_gflops", e.reference_gflops);
}

}  // namespace

absl::Status ValidateJob(const Job& job) {
  const std::string what = absl::StrCat("job \"", job.name, "\"");
  TESSERA_RETURN_IF_ERROR(RequireFinite(what, "max_seconds", job.options.max_seconds));
  for (const Task& task : job.tasks) {
    TESSERA_RETURN_IF_ERROR(RequireFinite(what, "a task's weight", task.weight));
  }
  return absl::OkStatus();
}

absl::Status ValidateAppend(absl::Span<const Record> records, absl::Span<const Event> events) {
  for (const Record& record : records) {
    const std::string what = absl::StrCat("record \"", record.attempt_key, "\"");
    TESSERA_RETURN_IF_ERROR(RequireText(what, "attempt_key", record.attempt_key));
    TESSERA_RETURN_IF_ERROR(RequireText(what, "task_key", record.task_key));
    TESSERA_RETURN_IF_ERROR(ValidateMeasurement(what, record.measurement));
  }
  for (size_t i = 0; i < events.size(); ++i) {
    const Event& event = events[i];
    const std::string what = absl::StrCat("event ", event.sequence, " of job ", event.job_id);
    if (event.job_id == 0) {
      return absl::InvalidArgumentError(absl::StrCat(what, ": events belong to a job"));
    }
    if (std::isnan(event.cost_seconds)) {
      return absl::InvalidArgumentError(absl::StrCat(what, ": cost_seconds is not a number"));
    }
    if (event.kind == EventKind::kResult && event.record_id == 0 && i >= records.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, ": a result at place ", i, " without record_id, but only ",
                       records.size(), " records come with it; give record_id"));
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateDevice(const Device& device) {
  TESSERA_RETURN_IF_ERROR(RequireText("device", "id", device.id));
  return RequireFinite(absl::StrCat("device \"", device.id, "\""), "peak_gflops_per_core",
                       device.peak_gflops_per_core);
}

absl::Status ValidateSelection(const Selection& selection) {
  const std::string what = absl::StrCat("selection \"", selection.name, "\"");
  for (const SelectionItem& item : selection.items) {
    TESSERA_RETURN_IF_ERROR(RequireText(what, "an item's op", item.op));
    TESSERA_RETURN_IF_ERROR(RequireFinite(what, "an item's seconds", item.seconds));
    TESSERA_RETURN_IF_ERROR(RequireFinite(what, "an item's weight", item.task.weight));
  }
  return absl::OkStatus();
}

absl::Status ValidateBlob(std::string_view bytes) {
  if (static_cast<int64_t>(bytes.size()) <= kMaxBlobBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("blob of ", bytes.size(), " bytes, the limit is ",
                                                 kMaxBlobBytes,
                                                 "; keep large data in the artifact store"));
}

absl::Time ToStoredPrecision(absl::Time time) {
  return absl::FromUnixMicros(absl::ToUnixMicros(time));
}

}  // namespace tessera::db
