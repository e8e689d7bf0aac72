#pragma once

#include <catch2/catch.hpp>

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/hash.h"
#include "compiler/codegen/codegen.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/schedule.h"
#include "compiler/te/operators.h"
#include "schedule_space/config_space.h"
#include "worker/builder/builder.h"

namespace tessera::builder {

// This program's hidden test case that is a build child.
inline constexpr char kChildTag[] = "[build-child]";

inline BuilderOptions TestOptions() {
  BuilderOptions options;
  options.arguments = {kChildTag};
  return options;
}

inline std::unique_ptr<Builder> MakeBuilder(BuilderOptions options = TestOptions()) {
  auto builder = Builder::Create(std::move(options));
  INFO(builder.status());
  REQUIRE(builder.ok());
  return *std::move(builder);
}

inline te::Workload MakeWorkload(const te::OpSpec& spec) {
  auto workload = te::MakeWorkload(spec);
  INFO(workload.status());
  REQUIRE(workload.ok());
  return *std::move(workload);
}

inline te::Workload SmallConvolution() {
  return MakeWorkload({"small",
                       "conv2d",
                       {{"ic", "8"},
                        {"oc", "16"},
                        {"size", "9"},
                        {"k", "3"},
                        {"pad", "1"},
                        {"bias", "true"},
                        {"relu", "true"},
                        {"layout", "any"}}});
}

// C2 of ResNet-18.
inline te::Workload LargeConvolution() {
  return MakeWorkload({"c2",
                       "conv2d",
                       {{"ic", "64"},
                        {"oc", "64"},
                        {"h", "56"},
                        {"w", "56"},
                        {"k", "3"},
                        {"pad", "1"},
                        {"bias", "true"},
                        {"relu", "true"},
                        {"layout", "any"}}});
}

inline ir::Target TestTarget() {
  ir::Target target = codegen::HostTarget();
  target.max_threads = 1;
  return target;
}

// The default schedule of `workload`.
inline proto::BuildRequest RequestFor(const te::Workload& workload) {
  proto::BuildRequest request;
  request.fence = 7;
  request.workload = te::Print(workload);
  request.target = ir::ToString(TestTarget());
  return request;
}

// A config of its space, with the loop hash that the server would state.
inline proto::BuildRequest SampledRequest(const te::Workload& workload,
                                          const space::ConfigSpace& space, Rng& rng) {
  const auto trace = space.ToTrace(space.Sample(rng));
  REQUIRE(trace.ok());
  const auto schedule = schedule::ApplyTrace(workload.dag, *trace);
  REQUIRE(schedule.ok());
  const auto loops = schedule::InferBounds(*schedule);
  REQUIRE(loops.ok());
  proto::BuildRequest request = RequestFor(workload);
  request.trace = schedule::Print(*trace);
  request.loop_hash = HashToHex(schedule::LoopHash(*schedule, *loops));
  return request;
}

inline space::ConfigSpace SpaceOf(const te::Workload& workload) {
  auto space = space::BuildSpace(workload, TestTarget(), 1);
  INFO(space.status());
  REQUIRE(space.ok());
  return *std::move(space);
}

// A build that takes seconds, nearly all of them in the evaluator.
inline proto::BuildRequest LongRequest() {
  proto::BuildRequest request = RequestFor(LargeConvolution());
  request.is_reference = true;
  request.sample_count = 1 << 16;
  request.max_seconds = 60;
  return request;
}

}  // namespace tessera::builder
