#pragma once

#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/rng.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/te/operators.h"
#include "costmodel/draft.h"
#include "costmodel/features.h"
#include "db/record/record.h"
#include "schedule_space/config_space.h"

namespace tessera::test {

// The log of several matrix products, `programs` of each measured on class "x86/test".
struct MeasuredLog {
  using Seconds = std::function<double(absl::Span<const float> row, uint64_t loop_hash)>;

  // By default a program takes what the draft model estimates, within 10 %.
  explicit MeasuredLog(int workloads, int programs, const Seconds& seconds = nullptr) {
    for (int w = 0; w < workloads; ++w) AddWorkload(w, programs, seconds);
  }

  void AddWorkload(int number, int programs, const Seconds& seconds) {
    const te::OpSpec spec = {absl::StrCat("mm", number),
                             "matmul",
                             {{"m", absl::StrCat(16 << (number % 3))},
                              {"n", absl::StrCat(32 + 16 * number)},
                              {"k", absl::StrCat(64 + 24 * number)}}};
    const te::Workload workload = *te::MakeWorkload(spec);
    db::Task task;
    task.name = spec.name;
    task.workload = te::Print(workload);
    task.workload_hash = HashToHex(te::StructuralHash(workload.dag));
    task.target = ir::ToString(*ir::X86Target("avx512"));
    tasks.push_back(task);
    const space::ConfigSpace space = *space::BuildSpace(workload, *ir::X86Target("avx512"), 1);
    Rng rng(7 + static_cast<uint64_t>(number));
    for (int i = 0; i < programs; ++i) {
      const space::Config config = space.Sample(rng);
      const std::vector<float> row = *costmodel::ConfigFeatures(space, 1, {config});
      const schedule::Schedule schedule = *space.ToSchedule(config);
      const uint64_t hash = schedule::LoopHash(schedule, *schedule::InferBounds(schedule));
      db::Record record;
      record.id = static_cast<int64_t>(records.size()) + 1;
      record.task_key = task.Key();
      record.attempt_key = absl::StrCat(number, "/", i);
      record.trace = schedule::Print(*space.ToTrace(config));
      record.loop_hash = HashToHex(hash);
      record.device_class = "x86/test";
      record.tessera_version = "0.1.0";
      record.created = absl::FromUnixSeconds(1'700'000'000 + i);
      record.measurement.outcome = db::Outcome::kOk;
      const double noise = 1 + 0.1 * Rng(hash).Uniform();
      record.measurement.sample_seconds = {seconds ? seconds(row, hash)
                                                   : costmodel::DraftSeconds(row) * noise};
      records.push_back(record);
    }
  }

  std::vector<db::Task> tasks;
  std::vector<db::Record> records;
};

}  // namespace tessera::test
