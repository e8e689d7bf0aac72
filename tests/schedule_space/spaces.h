#pragma once

// Spaces that tests walk through.

#include <catch2/catch.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "schedule_space/config_space.h"
#include "tests/support/workloads.h"

namespace tessera::space {

inline ir::Target Avx512(int threads) {
  ir::Target target = *ir::X86Target("avx512");
  target.max_threads = threads;
  return target;
}

inline te::Workload Make(const te::OpSpec& spec) {
  absl::StatusOr<te::Workload> workload = te::MakeWorkload(spec);
  CAPTURE(spec.name, std::string(workload.status().message()));
  REQUIRE(workload.ok());
  return *std::move(workload);
}

inline te::Workload C2() {
  return Make({"C2",
               "conv2d",
               {{"size", "56"},
                {"ic", "64"},
                {"oc", "64"},
                {"k", "3"},
                {"pad", "1"},
                {"bias", "true"},
                {"relu", "true"},
                {"layout", "any"}}});
}

inline ConfigSpace SpaceOf(const te::Workload& workload, int threads,
                           std::string_view isa = "avx512") {
  ir::Target target = *ir::X86Target(isa);
  target.max_threads = threads;
  absl::StatusOr<ConfigSpace> space = BuildSpace(workload, target, threads);
  CAPTURE(std::string(space.status().message()));
  REQUIRE(space.ok());
  return *std::move(space);
}

inline ConfigSpace SpaceOf(const te::OpSpec& spec, int threads = 1,
                           std::string_view isa = "avx512") {
  return SpaceOf(Make(spec), threads, isa);
}

}  // namespace tessera::space
