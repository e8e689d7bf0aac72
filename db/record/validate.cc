#include "db/record/validate.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "db/record/store.h"

namespace tessera::db {
namespace {

constexpr size_t kMaxModelNameBytes = 64;

absl::Status RequireFinite(const std::string& what, const char* field, double value) {
  if (std::isfinite(value)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": ", field, " is ", value, ", must be a finite number"));
}

absl::Status RequireText(const std::string& what, const char* field, const std::string& value) {
  if (!value.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, ": ", field, " is empty"));
}

absl::Status RequireSample(const std::string& what, double seconds) {
  if (std::isfinite(seconds) && seconds > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": a sample of ", seconds, " seconds, must be finite and above 0"));
}

absl::Status ValidateMeasurement(const std::string& what, const Measurement& m) {
  if (m.outcome == Outcome::kOk && m.sample_seconds.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": outcome ok without a sample"));
  }
  for (double seconds : m.sample_seconds) {
    TESSERA_RETURN_IF_ERROR(RequireSample(what, seconds));
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
    if (!(std::isfinite(event.pace) && event.pace > 0)) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, ": a pace of ", event.pace, ", must be finite and above 0"));
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
  const std::string what = absl::StrCat("device \"", device.id, "\"");
  if (!(std::isfinite(device.pace.ratio) && device.pace.ratio > 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": a pace of ", device.pace.ratio, ", must be finite and above 0"));
  }
  return RequireFinite(what, "peak_gflops_per_core", device.peak_gflops_per_core);
}

absl::Status ValidateSelection(const Selection& selection) {
  const std::string what = absl::StrCat("selection \"", selection.name, "\"");
  for (const SelectionItem& item : selection.items) {
    TESSERA_RETURN_IF_ERROR(RequireText(what, "an item's op", item.op));
    TESSERA_RETURN_IF_ERROR(RequireFinite(what, "an item's seconds", item.seconds));
    TESSERA_RETURN_IF_ERROR(
        RequireFinite(what, "an item's in_place_seconds", item.in_place_seconds));
    TESSERA_RETURN_IF_ERROR(RequireFinite(what, "an item's weight", item.task.weight));
  }
  if (selection.model) {
    TESSERA_RETURN_IF_ERROR(RequireText(what, "its model's graph", selection.model->graph));
  }
  if (selection.in_place) {
    const InPlace& in_place = *selection.in_place;
    TESSERA_RETURN_IF_ERROR(RequireText(what, "its key in place", in_place.key));
    for (const double seconds :
         {in_place.seconds, in_place.alone_seconds, in_place.default_seconds}) {
      TESSERA_RETURN_IF_ERROR(RequireFinite(what, "its seconds in place", seconds));
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateModelName(const std::string& name) {
  const std::string what = absl::StrCat("model \"", absl::CHexEscape(name), "\"");
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  };
  if (name.empty() || name.size() > kMaxModelNameBytes ||
      !std::all_of(name.begin(), name.end(), is_plain) || name[0] == '.' || name[0] == '-') {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": names have 1 to ", kMaxModelNameBytes,
                     " of a-z, 0-9, '.', '_' and '-', and begin with none of '.' and '-'"));
  }
  if (name == "auto" || name == "none") {
    return absl::InvalidArgumentError(absl::StrCat(
        what, ": a job's prior means something else by that word; choose another name"));
  }
  return absl::OkStatus();
}

absl::Status ValidateModel(const ModelInfo& model) {
  TESSERA_RETURN_IF_ERROR(ValidateModelName(model.name));
  const std::string what = absl::StrCat("model \"", model.name, "\"");
  if (model.digest.size() != 64) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": its digest has ", model.digest.size(), " characters, must have 64"));
  }
  TESSERA_RETURN_IF_ERROR(RequireText(what, "cost_model", model.cost_model));
  if (model.tasks < 0 || model.records < 0) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", model.tasks, " tasks and ",
                                                   model.records, " records; negative counts"));
  }
  TESSERA_RETURN_IF_ERROR(RequireFinite(what, "pairwise_accuracy", model.pairwise_accuracy));
  TESSERA_RETURN_IF_ERROR(RequireFinite(what, "top1", model.top1));
  return RequireFinite(what, "top5", model.top5);
}

absl::Status ValidateComparison(const Comparison& c) {
  const std::string what = absl::StrCat("comparison of task \"", c.task_key, "\"");
  TESSERA_RETURN_IF_ERROR(RequireText(what, "task_key", c.task_key));
  const bool is_same = c.purpose == ComparisonPurpose::kSame;
  const size_t programs = c.record_ids.size(), lists = is_same ? 2 : programs;
  if (is_same ? programs != 1 : programs < 2) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", programs,
                                                   is_same ? " programs, must be one"
                                                           : " programs, must be "
                                                             "two or more"));
  }
  if (c.sample_seconds.size() != lists) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": ", c.sample_seconds.size(), " lists of samples, must be ", lists));
  }
  int measured = 0;
  for (const std::vector<double>& samples : c.sample_seconds) {
    measured += samples.empty() ? 0 : 1;
    for (const double seconds : samples) {
      TESSERA_RETURN_IF_ERROR(RequireSample(what, seconds));
    }
  }
  // An incumbent that fails loses to the only one that runs.
  if (measured < (is_same || !c.sample_seconds[0].empty() ? 2 : 1)) {
    return absl::InvalidArgumentError(absl::StrCat(
        what, ": ", measured, " of ", lists,
        " took a turn, must be two or more, or another than the incumbent where that failed"));
  }
  if (std::find(c.record_ids.begin(), c.record_ids.end(), c.promoted) == c.record_ids.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": promotes record ", c.promoted, ", which is not in it"));
  }
  for (const double ratio : {c.ratio_low, c.ratio, c.ratio_high}) {
    TESSERA_RETURN_IF_ERROR(RequireFinite(what, "ratio", ratio));
  }
  if (c.ratio_low > c.ratio || c.ratio > c.ratio_high) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": ratio ", c.ratio, " is outside ", c.ratio_low, " to ", c.ratio_high));
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

absl::Time StampOf(absl::Time created, absl::Time now) {
  return ToStoredPrecision(created == absl::Time() ? now : created);
}

}  // namespace tessera::db
