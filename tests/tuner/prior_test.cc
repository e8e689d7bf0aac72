#include "tuner/prior.h"

#include <catch2/catch.hpp>
#include <limits>

#include "base/rng.h"
#include "db/record/memory_store.h"
#include "tests/tuner/small_model.h"
#include "tuner/prior_store.h"

namespace tessera::test {
namespace {

using tuner::Prior;

Prior Example() {
  return {"xgboost",
          "0123abcd",
          {{{R"({"sketch":"direct","n":1})", "[1,2]"},
            {{7, "[3, 4]", 1.25e-3},
             {uint64_t{1} << 63, "[5]", std::numeric_limits<double>::infinity()}}},
           {},
           {{}, {{0, "[6]", 0.1}}}}};
}

TEST_CASE("a prior is the same from its text", "[tuner]") {
  CHECK(*tuner::ParsePrior(Print(Example())) == Example());
  CHECK(*tuner::ParsePrior(Print(Prior())) == Prior());
  CHECK(Prior().IsEmpty());
  CHECK(Prior{"", "", {{}, {}}}.IsEmpty());
  CHECK_FALSE(Example().IsEmpty());
  CHECK_FALSE(Prior{"xgboost", "0123", {{}}}.IsEmpty());
  CHECK_FALSE(Prior{"", "", {{}, {{"[1]"}, {}}}}.IsEmpty());
}

TEST_CASE("a prior that is cut short or of another format is refused", "[tuner]") {
  const std::string text = Print(Example());
  for (size_t size = 0; size < text.size(); ++size) {
    CAPTURE(size);
    const auto prior = tuner::ParsePrior(text.substr(0, size));
    // At the end of a line nothing is seen of what is missing.
    if (size > 0 && text[size - 1] == '\n') continue;
    CHECK(prior.status().code() == absl::StatusCode::kDataLoss);
  }
  CHECK(tuner::ParsePrior("tessera job prior 3\n").status().code() ==
        absl::StatusCode::kFailedPrecondition);
  for (const char* line :
       {"model xgboost\n", "known 12 1 [1]\n", "task\nknown 0000000000000007 -1 [1]\n",
        "task\nknown 0000000000000007 nan [1]\n", "task\nother\n", "first [1]\n",
        "task\nknown 0000000000000007 1\n", "\n"}) {
    CAPTURE(line);
    CHECK(tuner::ParsePrior(absl::StrCat("tessera job prior 1\n", line)).status().code() ==
          absl::StatusCode::kDataLoss);
  }
}

TEST_CASE("any bytes are a prior or refused", "[tuner]") {
  const uint64_t seed = 8;
  CAPTURE(seed);
  Rng rng(seed);
  for (int i = 0; i < 5000; ++i) {
    std::string text = Print(Example());
    for (int edit = 0; edit < 3; ++edit) {
      text[rng.Below(text.size())] = static_cast<char>(rng.Below(256));
    }
    const auto prior = tuner::ParsePrior(text);
    if (prior.ok()) CHECK(*tuner::ParsePrior(Print(*prior)) == *prior);
  }
}

TEST_CASE("jobs that know the same have a blob each, and one that is gone is done without",
          "[tuner]") {
  db::MemoryStore store(Clock::Real());
  Prior prior = Example();
  prior.model.clear();
  prior.cost_model.clear();
  db::Job a, b;
  a.tasks.resize(3);
  b.tasks.resize(3);
  a.prior = *tuner::PutPrior(store, "one", prior);
  b.prior = *tuner::PutPrior(store, "two", prior);
  REQUIRE(a.prior != b.prior);
  tuner::DropPrior(store, a);
  CHECK(tuner::GetPrior(store, a)->prior == nullptr);
  CHECK(*tuner::GetPrior(store, b)->prior == prior);
  b.tasks.resize(2);
  CHECK(tuner::GetPrior(store, b)->prior == nullptr);
  CHECK(tuner::GetPrior(store, db::Job())->prior == nullptr);
}

TEST_CASE("a prior whose model is gone is what is left of it", "[tuner]") {
  db::MemoryStore store(Clock::Real());
  db::Job job;
  job.tasks.resize(3);
  job.prior = *tuner::PutPrior(store, "one", Example());
  const auto stored = tuner::GetPrior(store, job);
  REQUIRE(stored.ok());
  CHECK(stored->model.bytes.empty());
  REQUIRE(stored->prior != nullptr);
  CHECK(stored->prior->tasks == Example().tasks);
}

TEST_CASE("a prior whose model is not of programs is what is left of it", "[tuner]") {
  db::MemoryStore store(Clock::Real());
  db::Job job;
  job.tasks.resize(3);
  for (db::Task& task : job.tasks) task.target = "x86/avx2";
  const int columns = costmodel::FeatureCount(ir::TargetKind::kX86);
  const int of_gpus = costmodel::FeatureCount(ir::TargetKind::kOpenCl);
  for (const auto& [stated, used] : {std::pair(columns, 0), {1, 1}, {columns, -1}, {of_gpus, 0}}) {
    CAPTURE(stated, used);
    Prior prior = Example();
    prior.cost_model = "regression";
    prior.model = store.PutBlob(ModelOfNoTrees(stated, used)).value();
    job.prior = *tuner::PutPrior(store, "one", prior);
    const auto stored = tuner::GetPrior(store, job);
    REQUIRE(stored.ok());
    CHECK(stored->model.bytes.empty() == (stated != columns || used != 0));
    CHECK(stored->prior->tasks == Example().tasks);
  }
}

}  // namespace
}  // namespace tessera::test
