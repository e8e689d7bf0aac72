#include "cli/job_file.h"

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "base/rng.h"
#include "cli/operator_source.h"

namespace tessera::cli {
namespace {

constexpr char kGood[] =
    "name: two\n"
    "threads: 2\n"
    "trials: 10\n"
    "seed: 5\n"
    "scheduler: fixed\n"
    "defaults:\n"
    "  conv2d: {bias: true, relu: true}\n"
    "operators:\n"
    "  - {name: a, op: conv2d, ic: 4, oc: 8, size: 6, k: 3, pad: 1, weight: 3}\n"
    "  - {name: b, op: matmul, m: 4, n: 8, k: 2}\n";

std::string Fault(const std::string& text) {
  const auto file = ParseJobFile(text, "job.yaml");
  REQUIRE_FALSE(file.ok());
  CHECK(file.status().code() == absl::StatusCode::kInvalidArgument);
  return std::string(file.status().message());
}

TEST_CASE("a job file gives operators with their defaults", "[cli]") {
  const auto file = ParseJobFile(kGood, "job.yaml");
  REQUIRE(file.ok());
  CHECK(file->name == "two");
  CHECK(file->options.threads == 2);
  CHECK(file->options.trials_per_task == 10);
  CHECK(file->options.seed == 5);
  CHECK(file->options.scheduler == "fixed");
  REQUIRE(file->operators.size() == 2);
  CHECK(file->operators[0].spec.attributes.at("relu") == "true");
  CHECK(file->operators[1].spec.attributes.count("relu") == 0);
  CHECK(file->operators[0].weight == 3);
  CHECK(file->operators[1].weight == 1);
}

TEST_CASE("tasks carry canonical texts and equal keys for equal work", "[cli]") {
  const auto file = ParseJobFile(kGood, "job.yaml");
  REQUIRE(file.ok());
  const std::string target = "x86/avx2 l1=32768 l2=1048576 threads=2";
  const auto tasks = MakeTasks(*file, target, 2);
  REQUIRE(tasks.ok());
  CHECK((*tasks)[0].target == target);
  CHECK((*tasks)[0].Key() == (*MakeTasks(*file, target, 2))[0].Key());
  CHECK((*tasks)[0].Key() != (*MakeTasks(*file, target, 1))[0].Key());
  CHECK(MakeTasks(*file, target, 3).status().message() == "threads is 3; the device offers 1 to 2");
  CHECK_FALSE(MakeTasks(*file, "pdp11", 1).ok());
  const auto cold = ParseJobFile(absl::StrCat("cache: cold\n", kGood), "job.yaml");
  REQUIRE(cold.ok());
  CHECK((*MakeTasks(*cold, target, 2))[0].cache_mode == db::CacheMode::kCold);
  CHECK((*tasks)[0].cache_mode == db::CacheMode::kWarm);
  CHECK((*tasks)[0].Key() != (*MakeTasks(*cold, target, 2))[0].Key());
}

TEST_CASE("faults name the file, the line, the value and what is allowed", "[cli]") {
  CHECK(Fault("operators: [").starts_with("job.yaml:"));
  CHECK(Fault("opreators: []\n") ==
        "job.yaml:1: unknown key opreators; known are name, threads, cache, trials, seed, "
        "pins, scheduler, defaults, operators");
  CHECK(Fault("scheduler: tarot\n") ==
        "job.yaml:1: scheduler 'tarot' is not known; choose fair, fixed or gradient");
  CHECK(Fault("cache: hot\n") == "job.yaml:1: cache is hot; expected warm or cold");
  CHECK(Fault("name: x\n") == "job.yaml:1: names no operators");
  CHECK(Fault("threads: many\noperators: []\n") ==
        "job.yaml:1: threads is many; expected a whole number from 1 to 1024");
  CHECK(Fault("trials: 99999999999\n") ==
        "job.yaml:1: trials is 99999999999; expected a whole number from 1 to 10000000");
  CHECK(Fault("seed: 9223372036854775808\n").find("0 to 9223372036854775807") != std::string::npos);
  CHECK(Fault("seed: [1]\n") == "job.yaml:1: seed is no single value; expected a word");
  CHECK(Fault("trials: 3\ntrials: 4\n") == "job.yaml:2: trials is given twice");
  CHECK(Fault("name: \"a\\nb\"\n").starts_with("job.yaml:1: name: control characters"));
  CHECK(Fault("") == "job.yaml: expected a map with the key operators");
  CHECK(Fault("operators:\n  - {name: a, op: relu, n: 4, n: 5}\n") ==
        "job.yaml:2: n is given twice");
  CHECK(
      Fault("operators:\n  - {name: a/b, op: relu, n: 4}\n").find("\"a/b\" is not an identifier") !=
      std::string::npos);
  for (const char* weight : {"0", "-1", ".inf", "nan", "1e99", "heavy"}) {
    CHECK(
        Fault(absl::StrCat("operators:\n  - {name: a, op: relu, n: 4, weight: ", weight, "}\n")) ==
        absl::StrCat("job.yaml:2: weight is ", weight,
                     "; expected a number above 0 and up to 1e+09"));
  }
  CHECK(Fault("operators:\n  - {op: matmul}\n") == "job.yaml:2: operator without name");
  CHECK(Fault("operators:\n  - {name: a, op: matmul, m: 0, n: 1, k: 1}\n").find("0") !=
        std::string::npos);
  CHECK(Fault("operators:\n  - {name: a, op: nothing}\n").find("nothing") != std::string::npos);
  CHECK(Fault("operators:\n"
              "  - {name: a, op: matmul, m: 1, n: 1, k: 1}\n"
              "  - {name: a, op: matmul, m: 2, n: 1, k: 1}\n") ==
        "job.yaml:3: two operators are named a");
}

TEST_CASE("names that a library could not export are refused before anything is tuned", "[cli]") {
  const auto fault = [](const std::string& name) {
    return Fault(absl::StrCat("operators:\n  - {name: ", name, ", op: softmax, n: 10}\n"));
  };
  CHECK(fault("printf") ==
        "job.yaml:2: printf: a function of the C library has this name; give the operator another");
  CHECK(fault("int").find("job.yaml:2: operator name \"int\" can't name a C function; ") == 0);
  CHECK(fault("_a").find("job.yaml:2: operator name \"_a\" can't name a C function; ") == 0);
  CHECK(fault("Tessera_a").find("job.yaml:2: Tessera_a: names that begin with tessera_ are ") == 0);
  const auto words = ReadSource({.file = "", .words = {"tanh", "n=64", "name=tanh"}});
  CHECK(words.status() ==
        absl::InvalidArgumentError("tanh: a function of the C library has this name; give the "
                                   "operator another (name=…)"));
  CHECK(ReadSource({.file = "", .words = {"tanh", "n=64"}}).ok());
}

TEST_CASE("pins become the JSON that spaces are pinned by", "[cli]") {
  const auto file = ParseJobFile(absl::StrCat("pins:\n"
                                              "  sketch: [direct]\n"
                                              "  tile.lanes: [16, 8]\n"
                                              "  order.outer: [[0, 1], [1, 0]]\n"
                                              "  tile: [{vector: 1, lanes: 8}]\n",
                                              kGood),
                                 "job.yaml");
  REQUIRE(file.ok());
  CHECK(file->options.pins ==
        R"({"sketch":["direct"],"tile.lanes":[16,8],"order.outer":[[0,1],[1,0]],)"
        R"("tile":[{"vector":1,"lanes":8}]})");
  CHECK(ParseJobFile(kGood, "job.yaml")->options.pins.empty());
  const auto later = ParseJobFile(absl::StrCat(kGood, "pins: {sketch: [magic]}\n"), "job.yaml");
  REQUIRE(later.ok());
  CHECK(WithPlace(absl::InvalidArgumentError("task a: pins: no sketch"), *later) ==
        absl::InvalidArgumentError("job.yaml:11: task a: pins: no sketch"));
  CHECK(WithPlace(absl::NotFoundError("no model"), *later) == absl::NotFoundError("no model"));

  CHECK(Fault("pins: [1]\n") == "job.yaml:1: pins: expected {KNOB: [what it may be], …}");
  CHECK(Fault("pins: {a: [1], a: [2]}\n") == "job.yaml:1: a is given twice");
  CHECK(Fault("pins: {a: [[[[[[[[[1]]]]]]]]]}\n") == "job.yaml:1: pins: too much, or too deep");
  CHECK(Fault("pins: {a: ~}\n") == "job.yaml:1: pins: a value is missing");
}

TEST_CASE("what is no job file is told apart from a wrong one", "[cli]") {
  CHECK(ReadJobFile("/no/such/file").status() ==
        absl::NotFoundError("cannot open /no/such/file: No such file or directory"));
  CHECK(ReadJobFile("/").status() ==
        absl::InvalidArgumentError("/: is a folder; name a job file (YAML)"));
  CHECK(ReadJobFile("/dev/zero").status() ==
        absl::InvalidArgumentError("/dev/zero: more than 4194304 bytes, the most that is read"));
}

TEST_CASE("mutated job files never crash", "[cli][fuzz]") {
  const uint64_t seed = 11;
  CAPTURE(seed);
  Rng rng(seed);
  for (int round = 0; round < 3000; ++round) {
    std::string text = kGood;
    for (int edits = static_cast<int>(rng.Between(1, 5)); edits > 0; --edits) {
      text[rng.Below(text.size())] = static_cast<char>(rng.Below(256));
    }
    if (const auto file = ParseJobFile(text, "job.yaml"); file.ok()) {
      CHECK_FALSE(file->operators.empty());
    }
  }
}

}  // namespace
}  // namespace tessera::cli
