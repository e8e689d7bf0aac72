#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "base/rng.h"
#include "proto/convert.h"

// Values that every converter takes, by a seed.

namespace tessera::proto {

inline std::string RandomText(Rng& rng, int max_length) {
  std::string text;
  for (int64_t i = rng.Between(0, max_length); i > 0; --i) {
    text.push_back(static_cast<char>(rng.Between(0x20, 0x7e)));
  }
  return text;
}

inline std::string RandomName(Rng& rng) { return absl::StrCat("n", RandomText(rng, 20)); }

inline std::string RandomHex(Rng& rng, int digits) {
  std::string hex;
  for (int i = 0; i < digits; ++i) hex.push_back("0123456789abcdef"[rng.Below(16)]);
  return hex;
}

inline db::Outcome RandomOutcome(Rng& rng) { return static_cast<db::Outcome>(rng.Below(8)); }

inline db::Task RandomTask(Rng& rng) {
  return {.name = RandomName(rng),
          .workload_hash = RandomHex(rng, 16),
          .workload = absl::StrCat("workload ", RandomText(rng, 200)),
          .target = RandomName(rng),
          .threads = static_cast<int>(rng.Between(1, 64)),
          .cache_mode = static_cast<db::CacheMode>(rng.Below(2)),
          .weight = rng.Uniform()};
}

inline db::Measurement RandomMeasurement(Rng& rng) {
  db::Measurement m;
  m.outcome = RandomOutcome(rng);
  m.reason = RandomText(rng, 100);
  for (int64_t i = rng.Between(1, 10); i > 0; --i) {
    m.sample_seconds.push_back(rng.Uniform() + 1e-9);
    m.sample_calls.push_back(rng.Between(1, 1000));
  }
  m.build_seconds = rng.Uniform();
  m.run_seconds = rng.Uniform();
  m.environment.cpu_mhz = rng.Uniform() * 4000;
  m.environment.peak_memory_bytes = rng.Between(-1, 1 << 30);
  m.environment.runtime_version = RandomName(rng);
  return m;
}

inline db::Record RandomRecord(Rng& rng) {
  return {.id = rng.Between(0, 1 << 30),
          .task_key = RandomHex(rng, 64),
          .job_id = rng.Between(0, 1000),
          .trial = rng.Between(0, 1000),
          .attempt_key = RandomName(rng),
          .trace = RandomText(rng, 500),
          .config = RandomText(rng, 50),
          .loop_hash = RandomHex(rng, 16),
          .artifact = rng.Chance(0.5) ? "" : RandomHex(rng, 64),
          .device = RandomName(rng),
          .device_class = RandomName(rng),
          .explorer = RandomName(rng),
          .seed = rng.Next(),
          .measurement = RandomMeasurement(rng),
          .stale = rng.Chance(0.5),
          .tessera_version = RandomName(rng),
          .created = absl::FromUnixMicros(rng.Between(0, int64_t{1} << 50)),
          .pace = 0.5 + rng.Uniform()};
}

inline db::ModelInfo RandomModel(Rng& rng) {
  return {.name = absl::StrCat("m-", RandomHex(rng, 8)),
          .digest = RandomHex(rng, 64),
          .cost_model = RandomName(rng),
          .feature_version = static_cast<int>(rng.Below(9)),
          .device_classes = {RandomName(rng), RandomName(rng)},
          .tasks = rng.Between(0, 1000),
          .records = rng.Between(0, 1 << 30),
          .origin = RandomText(rng, 200),
          .pairwise_accuracy = rng.Uniform(),
          .top1 = rng.Chance(0.5) ? -1 : rng.Uniform(),
          .top5 = rng.Uniform(),
          .created = absl::FromUnixMicros(rng.Between(0, int64_t{1} << 50))};
}

inline db::Comparison RandomComparison(Rng& rng) {
  db::Comparison comparison;
  comparison.id = rng.Between(0, 1 << 30);
  comparison.job_id = rng.Between(0, 1000);
  comparison.task_key = RandomHex(rng, 64);
  comparison.device = RandomName(rng);
  comparison.device_class = RandomName(rng);
  comparison.purpose = static_cast<db::ComparisonPurpose>(rng.Below(3));
  const bool is_same = comparison.purpose == db::ComparisonPurpose::kSame;
  const int64_t lists = is_same ? 2 : rng.Between(2, 5);
  for (int64_t i = 0; i < lists; ++i) {
    if (i == 0 || !is_same) comparison.record_ids.push_back(rng.Between(1, 1 << 30));
    comparison.sample_seconds.push_back({rng.Uniform() + 1e-9, rng.Uniform() + 1e-9});
  }
  comparison.promoted = comparison.record_ids.back();
  comparison.ratio_low = rng.Uniform();
  comparison.ratio = 1 + rng.Uniform();
  comparison.ratio_high = 2 + rng.Uniform();
  comparison.tessera_version = RandomName(rng);
  comparison.created = absl::FromUnixMicros(rng.Between(0, int64_t{1} << 50));
  return comparison;
}

inline Artifact RandomArtifact(Rng& rng) {
  Artifact artifact;
  artifact.digest = RandomHex(rng, 64);
  artifact.size = rng.Between(1, 1 << 20);
  artifact.symbol = absl::StrCat("kernel_", RandomHex(rng, 8));
  artifact.shared_workspace_bytes = rng.Between(0, 1 << 20);
  artifact.private_workspace_bytes = rng.Between(0, 1 << 20);
  const int64_t inputs = rng.Between(0, 3);
  for (int64_t i = 0; i < inputs + 1; ++i) {
    BufferSpec buffer{.name = RandomName(rng), .type = "f32", .is_output = i == inputs};
    int axis = 0;
    for (int64_t d = rng.Between(1, 5); d > 0; --d) {
      buffer.shape.push_back(rng.Between(1, 64));
      buffer.layout.push_back({axis++, 1, buffer.shape.back()});
    }
    artifact.buffers.push_back(std::move(buffer));
  }
  if (rng.Chance(0.5)) {
    artifact.prepare_symbol = "prepare";
    artifact.prepared_bytes = {rng.Between(1, 1 << 20), 64};
  }
  if (rng.Chance(0.5)) artifact.tolerances = {{rng.Uniform(), rng.Uniform()}};
  return artifact;
}

inline RunPlan RandomPlan(Rng& rng) {
  RunPlan plan;
  const bool compares = rng.Chance(0.5);
  plan.lease = {rng.Between(0, 99), static_cast<int>(rng.Between(0, 99)),
                compares ? kNoTrial : rng.Between(0, 99), static_cast<int>(rng.Between(0, 9)),
                rng.Next() | 1};
  plan.device = RandomName(rng);
  plan.workload_hash = RandomHex(rng, 16);
  for (int64_t i = compares ? rng.Between(2, 5) : 1; i > 0; --i) {
    plan.artifacts.push_back(RandomArtifact(rng));
  }
  plan.reference = RandomArtifact(rng);
  plan.tolerances = {{rng.Uniform(), rng.Uniform()}};
  plan.samples = {{0, rng.Between(0, 100), rng.Uniform() - 0.5}};
  plan.seed = rng.Next();
  plan.threads = static_cast<int>(rng.Between(1, 64));
  plan.cache_mode = static_cast<db::CacheMode>(rng.Below(2));
  plan.repeats = static_cast<int>(rng.Between(1, 50));
  plan.contender_repeats = static_cast<int>(rng.Between(1, 50));
  plan.screen_seconds = rng.Uniform();
  plan.best_seconds = rng.Uniform();
  return plan;
}

inline ModelPlan RandomModelPlan(Rng& rng) {
  ModelPlan plan;
  plan.fence = rng.Next() | 1;
  plan.device = RandomName(rng);
  plan.name = "net";
  plan.bucket = "net_rows_4";
  for (int64_t i = rng.Between(2, 4); i > 0; --i) {
    plan.libraries.push_back({"libnet.so", RandomHex(rng, 64), rng.Between(1, 1 << 20)});
  }
  plan.buffers = {{.name = "x", .type = "f32", .shape = {1, rng.Between(1, 99)}},
                  {.name = "y", .type = "i8", .shape = {4}, .is_output = true}};
  plan.steps = static_cast<int>(rng.Between(1, 99));
  plan.tolerances = {{rng.Uniform(), rng.Uniform()}};
  plan.samples = {{0, rng.Between(0, 3), rng.Uniform()}};
  plan.seed = rng.Next();
  plan.threads = static_cast<int>(rng.Between(1, 8));
  plan.turns = static_cast<int>(rng.Between(1, 9));
  plan.min_turn_seconds = rng.Uniform();
  return plan;
}

inline ModelResult RandomModelResult(Rng& rng) {
  ModelResult result{.fence = rng.Next() | 1, .device = RandomName(rng)};
  for (int64_t i = rng.Between(2, 4); i > 0; --i) {
    result.timings.push_back({RandomMeasurement(rng), {rng.Uniform(), rng.Uniform()}});
  }
  return result;
}

inline RunResult RandomRunResult(Rng& rng) {
  const RunPlan plan = RandomPlan(rng);
  RunResult result{.lease = plan.lease, .device = plan.device};
  for (size_t i = 0; i < plan.artifacts.size(); ++i) {
    result.measurements.push_back(RandomMeasurement(rng));
  }
  return result;
}

}  // namespace tessera::proto
