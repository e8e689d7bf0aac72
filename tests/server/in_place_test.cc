#include "server/in_place.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "server/model_facts.h"
#include "tests/server/model_farm.h"

namespace tessera::server {
namespace {

constexpr char kBuckets[] = R"({"model": {"name": "net", "buckets": [
    {"name": "net_rows_2", "steps": [{"op": "a"}, {"op": "b"}, {"op": "a"}], "reference": {"missing": "too large"},
     "inputs": [{"name": "x", "type": "f32", "shape": [2], "layout": "row-major"}],
     "outputs": [{"name": "y", "type": "f32", "shape": [2], "layout": "row-major"}]},
    {"name": "net_rows_4", "steps": [{"op": "a"}, {"op": "b"}, {"op": "a"}], "reference": {"missing": "too large"},
     "inputs": [{"name": "x", "type": "f32", "shape": [4], "layout": "row-major"}],
     "outputs": [{"name": "y", "type": "f32", "shape": [4], "layout": "row-major"}]}]}})";

}  // namespace

TEST_CASE("each kernel gets the program that is fastest in the model", "[server]") {
  Farm farm;
  farm.Measured("a", "x", 1.0e-4);
  farm.Measured("a", "y", 1.1e-4);
  farm.Measured("a", "z", 1.9e-4);  // too slow alone to be tried
  farm.Measured("b", "v", 1e-4);
  farm.in_place["a y"] = 0.9e-3;
  farm.in_place["b v"] = 4e-3;  // slower there than the default schedule
  const v1::Selection selection = farm.Select();
  CHECK(selection.items(0).trace() == "x");
  const auto chosen = farm.Choose(selection);
  INFO(chosen.status());
  REQUIRE(chosen.ok());
  CHECK(chosen->id() != selection.id());
  CHECK(chosen->items(0).trace() == "y");
  CHECK(chosen->items(0).seconds() == Approx(1.1e-4));
  CHECK(chosen->items(0).in_place_seconds() == Approx(1.8e-3));
  CHECK(chosen->items(1).trace().empty());
  CHECK(chosen->items(1).record_id() == 0);
  CHECK(chosen->model().graph() == selection.model().graph());
  CHECK(chosen->in_place().device() == "fake/cpu");
  CHECK(chosen->in_place().seconds() == Approx(4.8e-3));
  CHECK(chosen->in_place().alone_seconds() == Approx(6e-3));
  CHECK(chosen->in_place().default_seconds() == Approx(7e-3));
  REQUIRE(farm.doing.size() == 9);  // three ways and three finalists are built, both measured
  CHECK(farm.doing[4] ==
        "6 ms in the model, 7 ms with default schedules; its kernels take 300 us alone");
  REQUIRE(farm.plans.size() == 2);
  const proto::ModelPlan& plan = farm.plans[0];
  CHECK(plan.name == "net");
  CHECK(plan.bucket == "net");
  CHECK(plan.steps == 3);
  CHECK(plan.libraries.size() == 3);  // as selected, with y, with defaults
  CHECK(plan.seed == 20);
  REQUIRE(plan.samples.size() == 2);
  CHECK(plan.samples[1] == proto::OracleSample{0, 3, 1.5});
  CHECK(plan.tolerances == std::vector<proto::Tolerance>{{1e-3, 0}});
  CHECK(farm.builds == 4);

  // The same is answered from the store, until there are other programs.
  const auto again = farm.Choose(farm.Select());
  REQUIRE(again.ok());
  CHECK(again->id() == chosen->id());
  CHECK(again->in_place().seconds() == chosen->in_place().seconds());
  CHECK(farm.doing.empty());
  CHECK(farm.plans.size() == 2);
  farm.Measured("a", "w", 0.9e-4);
  farm.in_place["a w"] = 0.5e-3;
  const auto other = farm.Choose(farm.Select());
  REQUIRE(other.ok());
  CHECK(other->items(0).trace() == "w");
}

TEST_CASE("what is slower as a whole falls back", "[server]") {
  Farm farm;
  farm.Measured("a", "x", 1.0e-4);
  farm.Measured("a", "y", 1.1e-4);
  farm.Measured("b", "v", 1e-4);
  farm.in_place["a y"] = 0.9e-3;
  farm.totals["a=y;b=v;"] = 5e-3;
  SECTION("to what is fastest alone") {
    const auto chosen = farm.Choose(farm.Select());
    REQUIRE(chosen.ok());
    CHECK(chosen->items(0).trace() == "x");
    CHECK(chosen->in_place().seconds() == Approx(3e-3));
  }
  SECTION("to default schedules") {
    farm.totals["a=x;b=v;"] = 5e-3;
    farm.totals["a=;b=;"] = 2e-3;
    const auto chosen = farm.Choose(farm.Select());
    REQUIRE(chosen.ok());
    CHECK(chosen->items(0).record_id() == 0);
    CHECK(chosen->items(1).record_id() == 0);
    CHECK(chosen->in_place().seconds() == Approx(2e-3));
    CHECK(chosen->in_place().alone_seconds() == Approx(5e-3));
  }
}

TEST_CASE("programs that compute something else in the model are not chosen", "[server]") {
  Farm farm;
  farm.Measured("a", "x", 1.0e-4);
  farm.Measured("a", "y", 1.1e-4);
  farm.Measured("b", "v", 1e-4);
  SECTION("if others are right") {
    farm.in_place["a x"] = -1;
    const auto chosen = farm.Choose(farm.Select());
    INFO(chosen.status());
    REQUIRE(chosen.ok());
    CHECK(chosen->items(0).trace() == "y");
    CHECK(chosen->in_place().alone_seconds() == 0);  // not known
  }
  SECTION("if all are wrong, the reason is told") {
    for (const char* a : {"a x", "a y", "a "}) farm.in_place[a] = -1;
    const auto chosen = farm.Choose(farm.Select());
    CHECK(absl::IsFailedPrecondition(chosen.status()));
    CHECK_THAT(std::string(chosen.status().message()),
               Catch::Contains("can't be measured on fake/cpu: y[0] is 2 instead of 0.5"));
  }
}

TEST_CASE("ways that fail are left out", "[server]") {
  Farm farm;
  farm.Measured("a", "x", 1.0e-4);
  farm.Measured("a", "y", 1.1e-4);
  farm.Measured("b", "v", 1e-4);
  SECTION("those that can't be built") {
    farm.refused = "a=y;";
    const auto chosen = farm.Choose(farm.Select());
    INFO(chosen.status());
    REQUIRE(chosen.ok());
    CHECK(chosen->items(0).trace() == "x");
    CHECK_THAT(absl::StrJoin(farm.doing, "\n"),
               Catch::Contains("way 2 can't be built: its schedule is refused"));
  }
  SECTION("but for the selection's own") {
    farm.refused = "a=x;";
    CHECK(absl::IsFailedPrecondition(farm.Choose(farm.Select()).status()));
  }
  SECTION("those that don't end, which may the next time") {
    farm.late = "a=x;b=v;";
    farm.in_place["a y"] = 0.5e-3;
    const auto first = farm.Choose(farm.Select());
    REQUIRE(first.ok());
    CHECK(first->items(0).trace() == "y");
    CHECK_THAT(absl::StrJoin(farm.doing, "\n"), Catch::Contains("way 1 is left out: no answer"));
    farm.late.clear();
    const auto second = farm.Choose(farm.Select());
    REQUIRE(second.ok());
    CHECK(second->id() != first->id());
    CHECK_FALSE(farm.doing.empty());
    CHECK(farm.Choose(farm.Select())->id() == second->id());
  }
}

TEST_CASE("buckets of a model are measured one after the other on one device", "[server]") {
  Farm farm;
  farm.manifest = kBuckets;
  farm.Measured("a", "x", 1.0e-4);
  farm.Measured("a", "y", 1.1e-4);
  farm.Measured("b", "v", 1e-4);
  farm.in_place["a y"] = 0.5e-3;
  const auto chosen = farm.Choose(farm.Select());
  INFO(chosen.status());
  REQUIRE(chosen.ok());
  CHECK(chosen->items(0).trace() == "y");
  CHECK(chosen->in_place().seconds() == Approx(2 * (2 * 0.5e-3 + 1e-3)));
  REQUIRE(farm.plans.size() == 4);
  CHECK(farm.plans[0].bucket == "net_rows_2");
  CHECK(farm.plans[1].bucket == "net_rows_4");
  CHECK(farm.plans[1].device == farm.plans[0].device);
}

TEST_CASE("what can't be measured in place says why", "[server]") {
  SECTION("without records there is nothing to choose") {
    Farm farm;
    const v1::Selection selection = farm.Select();
    const auto chosen = farm.Choose(selection);
    REQUIRE(chosen.ok());
    CHECK(chosen->id() == selection.id());
    CHECK(farm.builds == 0);
  }
  SECTION("operators are no model") {
    Farm farm;
    farm.Measured("a", "x", 1e-4);
    const auto chosen = farm.Choose(farm.Select(/*is_model=*/false));
    CHECK(absl::IsInvalidArgument(chosen.status()));
  }
  SECTION("no device") {
    Farm farm(/*runs=*/false);
    farm.Measured("a", "x", 1e-4);
    const auto chosen = farm.Choose(farm.Select());
    CHECK(absl::IsFailedPrecondition(chosen.status()));
    CHECK_THAT(std::string(chosen.status().message()),
               Catch::Contains("no connected device of class x86/fake takes"));
    CHECK(farm.builds == 0);
  }
}

TEST_CASE("each bucket of a model is run by its own functions", "[server]") {
  const auto facts = ReadModelFacts(kBuckets);
  INFO(facts.status());
  REQUIRE(facts.ok());
  REQUIRE(facts->size() == 2);
  CHECK(facts->at(1).plan.name == "net");
  CHECK(facts->at(1).plan.bucket == "net_rows_4");
  CHECK(facts->at(1).plan.buffers[0].shape == std::vector<int64_t>{4});
  CHECK(facts->at(1).step_ops.size() == 3);
  CHECK(facts->at(1).plan.samples.empty());
}

TEST_CASE("manifests of builders are not believed", "[server]") {
  const std::string good = kManifest;
  REQUIRE(ReadModelFacts(good).ok());
  CHECK(ReadModelFacts(good)->at(0).step_ops == std::vector<std::string>{"a", "b", "a"});
  for (const auto& [part, instead] : std::vector<std::pair<std::string, std::string>>{
           {"row-major", "0 1/16"},
           {"\"shape\": [4]", "\"shape\": [0]"},
           {"\"type\": \"f32\"", "\"type\": \"a type of more than sixteen letters\""},
           {"\"name\": \"net\"", "\"name\": \"rm -rf\""},
           {"[0, 3]", "[0, -3]"},
           {"\"steps\"", "\"strides\""},
           {"\"shape\": [4]", "\"shape\": \"4\""},
           {"{", "["},
           {"\"values\": [0.5, 1.5]", "\"values\": [0.5]"}}) {
    CAPTURE(part);
    REQUIRE(good.find(part) != std::string::npos);
    std::string text = good;
    text.replace(text.find(part), part.size(), instead);
    CHECK(absl::IsFailedPrecondition(ReadModelFacts(text).status()));
  }
}

}  // namespace tessera::server
