#include "tuner/contenders.h"

#include <catch2/catch.hpp>

#include "compiler/te/operators.h"
#include "schedule_space/config_space.h"
#include "tests/tuner/rig.h"
#include "tuner/config_search_space.h"

namespace tessera::test {
namespace {

using tuner::Contenders;

TEST_CASE("sketches that could be fastest by their work contend until they had their trials",
          "[tuner]") {
  const std::vector<double> work = {100, 44, 25, 98};
  Contenders contenders(work);
  CHECK(contenders.Next() == -1);  // nothing to compare with
  contenders.Measured(0, 1.0);
  CHECK(contenders.Next() == 1);
  contenders.Proposed(1, true);
  CHECK(contenders.Next() == 2);
  for (int trial = 0; trial < 12; ++trial) contenders.Proposed(2, true);
  CHECK(contenders.Next() == 1);
  // Near the machine's limit by the second: by its own work the first could not be faster.
  contenders.Measured(1, 0.45);
  CHECK(contenders.Next() == -1);
  CHECK(Contenders({}).Next() == -1);
}

TEST_CASE("a sketch that search finds no new program of contends no more", "[tuner]") {
  Contenders contenders(std::vector<double>{100, 44, 25});
  contenders.Measured(0, 1.0);
  const auto pass_over = [&](int trials, bool searched) {
    for (int trial = 0; trial < trials; ++trial) contenders.Proposed(0, searched);
  };
  pass_over(1000, /*searched=*/false);  // before there is a model
  CHECK(contenders.Next() == 1);
  pass_over(63, true);
  contenders.Proposed(1, false);
  contenders.Proposed(2, true);
  pass_over(63, true);
  CHECK(contenders.Next() == 1);
  pass_over(1, true);
  CHECK(contenders.Next() == 2);
  pass_over(64, true);
  CHECK(contenders.Next() == -1);
}

int TrialsOfSecondSketch(std::vector<double> work) {
  db::JobOptions options;
  options.trials_per_task = 64;
  options.seed = 3;
  Rig rig(1, options, {});
  rig.spaces[0]->work = std::move(work);
  rig.spaces[0]->second_sketch_share = 0.02;
  rig.Run();
  int trials = 0;
  for (const db::Event& event : rig.Log(db::EventKind::kProposed)) {
    trials += event.config.rfind("[1,", 0) == 0;
  }
  return trials;
}

TEST_CASE("a sketch that computes less is tried although its programs look slower", "[tuner]") {
  const int equal = TrialsOfSecondSketch({100, 100}), less = TrialsOfSecondSketch({100, 40});
  CAPTURE(equal, less);
  CHECK(less >= equal + 5);
  CHECK(less <= 24);
}

TEST_CASE("sketches of Winograd's algorithm have less work than direct ones", "[tuner]") {
  const te::Workload workload = *te::MakeWorkload(
      {"conv", "conv2d", {{"ic", "32"}, {"oc", "32"}, {"size", "28"}, {"k", "3"}, {"pad", "1"}}});
  db::Task task;
  task.workload = te::Print(workload);
  task.target = ir::ToString(*ir::X86Target("avx2"));
  const auto search_space = tuner::MakeSearchSpace(task);
  REQUIRE(search_space.ok());
  const auto config_space = *space::BuildSpace(workload, *ir::X86Target("avx2"), 1);
  const absl::Span<const double> work = (*search_space)->SketchWork();
  REQUIRE(work.size() == config_space.sketches().size());
  double direct = 0, winograd = 0;
  for (size_t i = 0; i < work.size(); ++i) {
    const std::string& name = config_space.sketches()[i].name;
    if (name == "direct") direct = work[i];
    if (name == "winograd4") winograd = work[i];
  }
  CHECK(winograd > 0);
  CHECK(winograd < 0.7 * direct);
}

}  // namespace
}  // namespace tessera::test
