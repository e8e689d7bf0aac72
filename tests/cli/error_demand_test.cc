#include "cli/error_demand.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "cli/exit_code.h"
#include "compiler/graph/accuracy.h"
#include "compiler/graph/calibrate.h"
#include "compiler/graph/quantize.h"
#include "tests/compiler/graph/run.h"
#include "tests/compiler/library/model_fixture.h"
#include "tests/support/captured_stderr.h"

namespace tessera::cli {
namespace {

const char* const kModel =
    "graph net\n"
    "input x: f32[2,4]\n"
    "const w: f32[4,4] = [1,-0.5,0.25,2,0.3,0.7,-1,0.1,0.9,-0.2,0.4,-0.6,0.8,0.05,-0.35,0.15]\n"
    "product = matmul(x, w): f32[2,4]\n"
    "relu = relu(product): f32[2,4]\n"
    "output relu\n"
    "output product\n";

std::vector<BuiltFile> FilesOf(const graph::Graph& graph) {
  const auto plan = graph::MakePlan(graph);
  REQUIRE(plan.ok());
  const auto files = library::BuildLibrary(library::SpecOf(*plan));
  INFO(files.status());
  REQUIRE(files.ok());
  std::vector<BuiltFile> built;
  for (const library::LibraryFile& file : files->files) built.push_back({file.name, file.bytes});
  return built;
}

// Changes what the manifest says.
template <typename Change>
std::vector<BuiltFile> With(std::vector<BuiltFile> files, Change change) {
  for (BuiltFile& file : files) {
    if (file.name != "manifest.json") continue;
    nlohmann::json manifest = nlohmann::json::parse(file.bytes);
    change(manifest);
    file.bytes = manifest.dump();
  }
  return files;
}

bool IsX86() { return codegen::HostTarget().kind == ir::TargetKind::kX86; }

}  // namespace

TEST_CASE("a model's library is judged by how far its outputs are off the reference", "[cli]") {
  if (!IsX86()) return;
  const std::vector<BuiltFile> files = FilesOf(graph::Parsed(kModel));
  {
    const test::CapturedStderr captured;
    CHECK(CheckError(files, {}, 1e-4).ok());
    CHECK_THAT(captured.Text(), Catch::StartsWith("--max-error 0.0001 is met: output "));
  }
  double largest = 0;
  const auto off = With(files, [&](nlohmann::json& manifest) {
    auto& output = manifest["reference"]["outputs"][1];
    largest = output["largest"];
    for (const double value : output["values"]) CHECK(std::abs(value) <= largest);
    output["values"][5] = output["values"][5].get<double>() + 0.02 * largest;
  });
  REQUIRE(largest > 0);
  const absl::Status status = CheckError(off, {}, 0.01);
  CHECK(ExitCode(status) == 3);
  CHECK_THAT(std::string(status.message()),
             Catch::StartsWith("--max-error 0.01 is not met: output product is off from the "
                               "reference by 0.02 of its largest value"));
  // The reference's own tolerance, which is 1/1024, is another thing.
  const test::CapturedStderr captured;
  CHECK(CheckError(off, {}, 0.03).ok());
}

TEST_CASE("what can't be compared doesn't meet a demand", "[cli]") {
  if (!IsX86()) return;
  const std::vector<BuiltFile> files = FilesOf(graph::Parsed(kModel));
  const auto message = [&](auto change) {
    const absl::Status status = CheckError(With(files, change), {}, 0.01);
    CHECK(ExitCode(status) == 3);
    return std::string(status.message());
  };
  CHECK_THAT(message([](nlohmann::json& manifest) {
               manifest["reference"] = {{"missing", "it takes too many operations"}};
             }),
             Catch::Equals("--max-error 0.01 can't be judged: there is no reference: it takes too "
                           "many operations"));
  CHECK_THAT(
      message([](nlohmann::json& manifest) { manifest["versions"][0]["target"] = "aarch64/neon"; }),
      Catch::Contains("can't be judged: the library is for aarch64"));
  CHECK_THAT(message([](nlohmann::json& manifest) { manifest["model"]["name"] = "other"; }),
             Catch::Contains("can't be judged: it has no function other_workspace_bytes"));
  CHECK(absl::IsDataLoss(CheckError({}, {}, 0.01)));
}

TEST_CASE("all buckets together run for ten minutes at most", "[cli]") {
  if (!IsX86()) return;
  // The one model as two buckets.
  const auto files = With(FilesOf(graph::Parsed(kModel)), [](nlohmann::json& manifest) {
    nlohmann::json bucket = manifest["model"];
    bucket["reference"] = manifest["reference"];
    manifest["model"]["buckets"] = {bucket, bucket};
  });
  // A clock that goes on by a step whenever it is read: once at first and once a bucket.
  class SteppingClock final : public Clock {
   public:
    explicit SteppingClock(absl::Duration step) : step_(step) {}
    absl::Time Now() override {
      now_.Advance(step_);
      return now_.Now();
    }
    void SleepFor(absl::Duration duration) override { now_.Advance(duration); }

   private:
    const absl::Duration step_;
    ManualClock now_;
  };
  SteppingClock fast(absl::Minutes(4)), slow(absl::Minutes(6));
  const test::CapturedStderr captured;
  const absl::Status met = CheckError(files, {}, 1e-4, fast);
  INFO(met);
  CHECK(met.ok());
  const absl::Status late = CheckError(files, {}, 1e-4, slow);
  CHECK(ExitCode(late) == 3);
  CHECK_THAT(std::string(late.message()),
             Catch::Contains("can't be judged: its buckets did not all run within 10m"));
}

TEST_CASE("of a model in i8 the demand is what quantisation may cost on the samples", "[cli]") {
  if (!IsX86()) return;
  const graph::Graph floats = graph::Parsed(kModel);
  std::vector<graph::Sample> samples;
  std::vector<SampleRun> runs;
  for (const uint64_t seed : {1, 2, 3}) {
    samples.push_back(graph::SomeInputs(floats, seed));
    runs.push_back({samples.back(), graph::Evaluate(floats, samples.back()).value()});
  }
  const auto ranges = graph::Calibrate(floats, samples);
  REQUIRE(ranges.ok());
  const auto quantized = graph::Quantize(floats, *ranges);
  REQUIRE(quantized.ok());
  REQUIRE_FALSE(quantized->products.empty());
  const std::vector<BuiltFile> files = FilesOf(quantized->graph);
  // The interpreter of the quantised graph says how far that is, which rounds as the kernels do.
  const auto accuracy = graph::MeasureAccuracy(floats, *quantized, samples);
  REQUIRE(accuracy.ok());
  double expected = 0;
  for (const graph::ValueError& output : accuracy->outputs) {
    expected = std::max(expected, output.largest_error / output.largest);
  }
  REQUIRE(expected > 1e-4);
  const test::CapturedStderr captured;
  CHECK(CheckError(files, runs, expected * 1.01).ok());
  const absl::Status status = CheckError(files, runs, expected * 0.99);
  CHECK(ExitCode(status) == 3);
  CHECK_THAT(std::string(status.message()), Catch::Contains("is off from the model of floats by"));
  // By its own reference, which is quantised, too, it is exact.
  CHECK(CheckError(files, {}, 1e-4).ok());
  CHECK(ExitCode(CheckError(files, {{samples[0], {}}}, 0.01)) == 3);
}

}  // namespace tessera::cli
