#pragma once

#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "proto/device_code.h"
#include "worker/runner/runner.h"
#include "worker/runner/verify.h"

// What tests measure on devices: y = 2 x of so many numbers, by a kernel "twice".

namespace tessera {

inline constexpr int64_t kCount = 1000;

inline runner::MeasurePlan DoublingPlan(const proto::DeviceCode& code) {
  runner::MeasurePlan plan;
  plan.workload_hash = "doubling";
  plan.seed = 3;
  plan.buffers = {{"x", runner::ElementType::kF32, {kCount}},
                  {"y", runner::ElementType::kF32, {kCount}, /*is_output=*/true}};
  const std::string input = runner::SeededInput(plan.buffers[0], 0, plan.seed);
  std::vector<float> values(kCount);
  memcpy(values.data(), input.data(), input.size());
  for (float& value : values) value *= 2;
  plan.expectation.values = {
      std::string(reinterpret_cast<const char*>(values.data()), input.size())};
  plan.tolerances = {{1e-6, 1e-6}};
  runner::KernelArtifact artifact;
  artifact.name = "candidate";
  artifact.bytes = proto::Print(code);
  artifact.symbol = "twice";
  plan.candidates = {artifact};
  plan.timing.min_repeat_seconds = 0.001;
  return plan;
}

inline db::Measurement MeasureOne(runner::Runner& runner, const runner::MeasurePlan& plan) {
  auto measured = runner.Measure(plan);
  INFO(measured.status());
  REQUIRE(measured.ok());
  REQUIRE(measured->size() == 1);
  return measured->front();
}

}  // namespace tessera
