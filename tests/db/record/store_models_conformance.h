#pragma once

// What every Store does with models and comparisons.

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "tests/db/record/store_fixture.h"

namespace tessera::db {
namespace conformance {

TEST_CASE("a trained model comes back as it was put, and by its name", "[db]") {
  Fixture f;
  const std::string digest = f.store->PutBlob("a model").value();
  const ModelInfo model = SampleModel("x86-1", digest);
  REQUIRE(f.store->PutModel(model).ok());
  CHECK(f.store->GetModelInfo("x86-1").value() == model);
  ModelInfo young = SampleModel("any_2.0", digest);
  young.device_classes.clear();
  young.created = absl::Time();
  REQUIRE(f.store->PutModel(young).ok());
  young.created = f.clock.Now();
  CHECK(f.store->ListModels().value() == std::vector<ModelInfo>{young, model});
  CHECK(absl::IsNotFound(f.store->GetModelInfo("x86").status()));
  CHECK(absl::IsNotFound(f.store->GetModelInfo("").status()));
}

TEST_CASE("a model's name stands for the same bytes for ever", "[db]") {
  Fixture f;
  const ModelInfo model = SampleModel("x86-1", f.store->PutBlob("a model").value());
  REQUIRE(f.store->PutModel(model).ok());
  ModelInfo again = model;
  again.origin = "told otherwise";
  CHECK(f.store->PutModel(again).ok());
  const ModelInfo other = SampleModel("x86-1", f.store->PutBlob("another").value());
  const absl::Status taken = f.store->PutModel(other);
  CHECK(absl::IsAlreadyExists(taken));
  CHECK_THAT(std::string(taken.message()), Catch::Contains("\"x86-1\""));
  CHECK(absl::IsNotFound(f.store->PutModel(SampleModel("x86-2", Sha256Hex("nothing")))));
  CHECK(f.store->ListModels().value() == std::vector<ModelInfo>{model});
}

TEST_CASE("models with names and figures that can't be kept are refused", "[db]") {
  Fixture f;
  const std::string digest = f.store->PutBlob("a model").value();
  const auto refused = [&](auto change) {
    ModelInfo model = SampleModel("x86-1", digest);
    change(model);
    return absl::IsInvalidArgument(f.store->PutModel(model));
  };
  for (const std::string& name :
       {std::string(), std::string("X86"), std::string("a b"), std::string("../a"),
        std::string("-a"), std::string("auto"), std::string("none"), std::string(65, 'a'),
        std::string("a\0", 2)}) {
    CAPTURE(name);
    CHECK(refused([&](ModelInfo& m) { m.name = name; }));
  }
  CHECK(refused([](ModelInfo& m) { m.digest = "0"; }));
  CHECK(refused([](ModelInfo& m) { m.cost_model.clear(); }));
  CHECK(refused([](ModelInfo& m) { m.tasks = -1; }));
  CHECK(refused([](ModelInfo& m) { m.records = -1; }));
  CHECK(refused([](ModelInfo& m) { m.pairwise_accuracy = std::nan(""); }));
  CHECK(refused([](ModelInfo& m) { m.top1 = std::nan(""); }));
  CHECK(refused([](ModelInfo& m) { m.top5 = std::numeric_limits<double>::infinity(); }));
  CHECK(f.store->PutModel(SampleModel(std::string(64, 'a'), digest)).ok());
}

TEST_CASE("comparisons come back as they were appended, newest first", "[db]") {
  using Comparisons = std::vector<Comparison>;
  Fixture f;
  const Ids ids = f.Append({SampleRecord("t", "a"), SampleRecord("t", "b"), SampleRecord("t", "c"),
                            SampleRecord("other", "d")});
  Comparison three = SampleComparison("t", {ids[2], ids[0], ids[1]});
  three.job_id = f.CreateJob();
  Comparison same = SampleComparison("other", {ids[3]});
  same.created = absl::Time();
  same.device_class = "arm/test/4c";
  Comparison two = SampleComparison("t", {ids[0], ids[1]});
  for (Comparison* c : {&three, &same, &two}) {
    const absl::StatusOr<int64_t> id = f.store->AppendComparison(*c);
    INFO(id.status().ToString());
    REQUIRE(id.ok());
    c->id = *id;
  }
  same.created = f.clock.Now();
  CHECK(three.id < same.id);
  CHECK(f.store->ListComparisons("", "", {}, 9).value() == Comparisons{two, same, three});
  CHECK(f.store->ListComparisons("t", "", {}, 9).value() == Comparisons{two, three});
  CHECK(f.store->ListComparisons("", "arm/test/4c", {}, 9).value() == Comparisons{same});
  CHECK(f.store->ListComparisons("t", "arm/test/4c", {}, 9)->empty());
  CHECK(f.store->ListComparisons("t", "x86/test/2c", {}, 1).value() == Comparisons{two});
  CHECK(f.store->ListComparisons("", "", ComparisonPurpose::kSame, 9).value() == Comparisons{same});
  CHECK(f.store->ListComparisons("", "", ComparisonPurpose::kPromotion, 1).value() ==
        Comparisons{two});
  CHECK(f.store->ListComparisons("t", "", {}, 0)->empty());
  CHECK(f.store->ListComparisons("t", "", {}, -1)->empty());
}

TEST_CASE("a comparison may have programs that left it early or failed", "[db]") {
  Fixture f;
  const Ids ids =
      f.Append({SampleRecord("t", "a"), SampleRecord("t", "b"), SampleRecord("t", "c")});
  Comparison comparison = SampleComparison("t", {ids[0], ids[1], ids[2]});
  comparison.sample_seconds = {{}, {1e-3, 2e-3, 1e-3}, {2e-3}};
  comparison.promoted = ids[1];
  comparison.ratio_low = comparison.ratio = comparison.ratio_high = 0;
  const absl::StatusOr<int64_t> id = f.store->AppendComparison(comparison);
  REQUIRE(id.status() == absl::OkStatus());
  CHECK(f.store->ListComparisons("t", "", {}, 1)->at(0).sample_seconds ==
        comparison.sample_seconds);
  // The incumbent and another failed: what is left has won.
  comparison.sample_seconds = {{}, {2e-3}, {}};
  CHECK(f.store->AppendComparison(comparison).status() == absl::OkStatus());
}

TEST_CASE("comparisons of what does not exist or was not measured alike are refused", "[db]") {
  Fixture f;
  const Ids ids = f.Append({SampleRecord("t", "a"), SampleRecord("t", "b")});
  const auto code_after = [&](auto change) {
    Comparison comparison = SampleComparison("t", {ids[0], ids[1]});
    change(comparison);
    return f.store->AppendComparison(comparison).status().code();
  };
  CHECK(code_after([](Comparison& c) { c.job_id = 77; }) == absl::StatusCode::kNotFound);
  CHECK(code_after([](Comparison& c) { c.record_ids[0] = 77; }) == absl::StatusCode::kNotFound);
  const auto refused = [&](auto change) {
    return code_after(change) == absl::StatusCode::kInvalidArgument;
  };
  CHECK(refused([](Comparison& c) { c.task_key.clear(); }));
  CHECK(refused([](Comparison& c) { c.record_ids.pop_back(); }));
  CHECK(refused([](Comparison& c) { c.purpose = ComparisonPurpose::kSame; }));
  CHECK(refused([](Comparison& c) { c.sample_seconds.pop_back(); }));
  CHECK(refused([](Comparison& c) { c.sample_seconds[1].clear(); }));
  CHECK(refused([](Comparison& c) { c.sample_seconds = {{}, {}}; }));
  CHECK(refused([](Comparison& c) { c.promoted = 77; }));
  for (const double bad : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    CAPTURE(bad);
    CHECK(refused([&](Comparison& c) { c.sample_seconds[1][1] = bad; }));
  }
  CHECK(refused([](Comparison& c) { c.ratio = std::nan(""); }));
  CHECK(refused([](Comparison& c) { c.ratio_low = 0.95; }));
  CHECK(refused([](Comparison& c) { c.ratio_high = 0.85; }));
  CHECK(f.store->ListComparisons("", "", {}, 9)->empty());
}

}  // namespace conformance
}  // namespace tessera::db
