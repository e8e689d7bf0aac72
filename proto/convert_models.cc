#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/checks.h"
#include "proto/convert.h"
#include "proto/convert_parts.h"
#include "proto/limits.h"

namespace tessera::proto {
namespace {

// Of figures that may not be there.
double ShareOf(Checks& check, std::string_view field, double value) {
  return check.Number(field, value, -1, 1);
}

}  // namespace

v1::ModelInfo ToProto(const db::ModelInfo& model) {
  v1::ModelInfo m;
  m.set_name(model.name);
  m.set_digest(model.digest);
  m.set_cost_model(model.cost_model);
  m.set_feature_version(model.feature_version);
  for (const std::string& name : model.device_classes) {
    m.add_device_classes(CleanText(name, kMaxNameBytes));
  }
  m.set_tasks(model.tasks);
  m.set_records(model.records);
  m.set_origin(CleanText(model.origin, kMaxTextBytes));
  m.set_pairwise_accuracy(model.pairwise_accuracy);
  m.set_top1(model.top1);
  m.set_top5(model.top5);
  m.set_created_micros(MicrosOf(model.created));
  return m;
}

absl::StatusOr<db::ModelInfo> FromProto(const v1::ModelInfo& m) {
  Checks check;
  db::ModelInfo model;
  model.name = check.RequiredName("model name", m.name(), kMaxNameBytes);
  model.digest = check.Hex("model digest", m.digest(), 64, false);
  model.cost_model = check.RequiredName("model cost_model", m.cost_model(), kMaxNameBytes);
  model.feature_version =
      check.Int("model feature_version", m.feature_version(), 0, std::numeric_limits<int>::max());
  model.device_classes =
      Each(check, "model device_classes", m.device_classes(), kMaxClasses, [&](const auto& name) {
        return check.RequiredName("model device_class", name, kMaxNameBytes);
      });
  model.tasks = check.Range("model tasks", m.tasks(), 0, kMaxId);
  model.records = check.Range("model records", m.records(), 0, kMaxId);
  model.origin = check.Text("model origin", m.origin(), kMaxTextBytes);
  model.pairwise_accuracy = ShareOf(check, "model pairwise_accuracy", m.pairwise_accuracy());
  model.top1 = ShareOf(check, "model top1", m.top1());
  model.top5 = ShareOf(check, "model top5", m.top5());
  model.created = TimeOf(check, "model created_micros", m.created_micros());
  return Finish(check, std::move(model));
}

v1::ComparisonPurpose ToProto(db::ComparisonPurpose purpose) {
  return static_cast<v1::ComparisonPurpose>(static_cast<int>(purpose) + 1);
}

absl::StatusOr<db::ComparisonPurpose> FromProto(v1::ComparisonPurpose purpose) {
  if (purpose < v1::COMPARISON_PURPOSE_PROMOTION || purpose > v1::COMPARISON_PURPOSE_CALIBRATION) {
    return absl::InvalidArgumentError(
        absl::StrCat("comparison purpose: ", static_cast<int>(purpose), " is none of 1 to 3"));
  }
  return static_cast<db::ComparisonPurpose>(static_cast<int>(purpose) - 1);
}

v1::Comparison ToProto(const db::Comparison& comparison) {
  v1::Comparison m;
  m.set_id(comparison.id);
  m.set_job_id(comparison.job_id);
  m.set_task_key(comparison.task_key);
  m.set_device(CleanText(comparison.device, kMaxNameBytes));
  m.set_device_class(CleanText(comparison.device_class, kMaxNameBytes));
  m.set_purpose(ToProto(comparison.purpose));
  for (size_t i = 0; i < comparison.sample_seconds.size(); ++i) {
    v1::ComparedProgram* program = m.add_programs();
    // A program that is compared with itself has one id and two lists.
    if (!comparison.record_ids.empty()) {
      program->set_record_id(comparison.record_ids[std::min(i, comparison.record_ids.size() - 1)]);
    }
    program->mutable_sample_seconds()->Add(comparison.sample_seconds[i].begin(),
                                           comparison.sample_seconds[i].end());
  }
  m.set_promoted(comparison.promoted);
  m.set_ratio_low(comparison.ratio_low);
  m.set_ratio(comparison.ratio);
  m.set_ratio_high(comparison.ratio_high);
  m.set_tessera_version(comparison.tessera_version);
  m.set_created_micros(MicrosOf(comparison.created));
  return m;
}

absl::StatusOr<db::Comparison> FromProto(const v1::Comparison& m) {
  Checks check;
  db::Comparison comparison;
  comparison.id = check.Range("comparison id", m.id(), 0, kMaxId);
  comparison.job_id = check.Range("comparison job_id", m.job_id(), 0, kMaxId);
  comparison.task_key = check.Hex("comparison task_key", m.task_key(), 64, false);
  comparison.device = check.Name("comparison device", m.device(), kMaxNameBytes);
  comparison.device_class = check.Name("comparison device_class", m.device_class(), kMaxNameBytes);
  const absl::StatusOr<db::ComparisonPurpose> purpose = FromProto(m.purpose());
  check.Add(purpose.status());
  if (purpose.ok()) comparison.purpose = *purpose;
  const bool is_same = comparison.purpose == db::ComparisonPurpose::kSame;
  if (check.Count("comparison programs", m.programs_size(), kMaxCompared)) {
    for (const v1::ComparedProgram& program : m.programs()) {
      const int64_t id = check.Range("comparison record_id", program.record_id(), 1, kMaxId);
      if (is_same && !comparison.record_ids.empty() && id != comparison.record_ids[0]) {
        check.Fail("comparison record_id", absl::StrCat(id, " beside ", comparison.record_ids[0],
                                                        "; one program is compared with itself"));
      }
      if (!is_same || comparison.record_ids.empty()) comparison.record_ids.push_back(id);
      comparison.sample_seconds.push_back(
          Each(check, "comparison sample_seconds", program.sample_seconds(), kMaxSamples,
               [&](double seconds) {
                 return check.Number("comparison sample_seconds", seconds, 1e-12, kMaxSeconds);
               }));
    }
  }
  comparison.promoted = check.Range("comparison promoted", m.promoted(), 0, kMaxId);
  comparison.ratio_low = check.Number("comparison ratio_low", m.ratio_low(), 0, 1e30);
  comparison.ratio = check.Number("comparison ratio", m.ratio(), 0, 1e30);
  comparison.ratio_high = check.Number("comparison ratio_high", m.ratio_high(), 0, 1e30);
  comparison.tessera_version =
      check.Name("comparison tessera_version", m.tessera_version(), kMaxNameBytes);
  comparison.created = TimeOf(check, "comparison created_micros", m.created_micros());
  return Finish(check, std::move(comparison));
}

}  // namespace tessera::proto
