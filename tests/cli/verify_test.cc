#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "cli/commands.h"
#include "cli/library_reference.h"
#include "cli/verifiable_library.h"
#include "compiler/ir/evaluate.h"
#include "compiler/te/operators.h"
#include "compiler/te/reference.h"
#include "tests/compiler/graph/run.h"
#include "tests/compiler/library/model_fixture.h"
#include "tests/support/temporary_directory.h"

namespace tessera::cli {
namespace {

const char* const kModel =
    "graph net\n"
    "input image: f32[1,2,5,5]\n"
    "const w: f32[2,2,1,1] = [1,-0.5,0.25,2]\n"
    "conv = conv(image, w): f32[1,2,5,5]\n"
    "mean = reduce_mean(conv) axes=[2,3] keep=0: f32[1,2]\n"
    "softmax = softmax(mean): f32[1,2]\n"
    "output softmax\n"
    "output conv\n";

library::LibraryFiles ModelFiles() {
  const graph::Plan plan = graph::MakePlan(graph::Parsed(kModel)).value();
  auto files = library::BuildLibrary(library::SpecOf(plan));
  INFO(files.status());
  REQUIRE(files.ok());
  return *std::move(files);
}

struct Folder {
  explicit Folder(const library::LibraryFiles& files) {
    for (const library::LibraryFile& file : files.files) Write(file.name, file.bytes);
  }
  void Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(absl::StrCat(folder.path, "/", name), std::ios::binary) << bytes;
  }
  absl::Status Verify(bool json = false) const {
    return RunVerify({.folder = folder.path, .json = json, .max_seconds = 60});
  }
  test::TemporaryDirectory folder;
};

bool IsX86() { return codegen::HostTarget().kind == ir::TargetKind::kX86; }

}  // namespace

TEST_CASE("a library is verified by its manifest", "[cli]") {
  if (!IsX86()) return;
  const library::LibraryFiles files = ModelFiles();
  const Folder folder(files);
  CHECK(folder.Verify().ok());
  CHECK(folder.Verify(/*json=*/true).ok());
  SECTION("a byte of any file that is another is found") {
    for (const library::LibraryFile& file : files.files) {
      if (file.name == "manifest.json") continue;
      CAPTURE(file.name);
      std::string bytes = file.bytes;
      bytes[bytes.size() / 2] ^= 1;
      folder.Write(file.name, bytes);
      CHECK(absl::IsDataLoss(folder.Verify()));
      folder.Write(file.name, file.bytes);
    }
    CHECK(folder.Verify().ok());
  }
  SECTION("a file that is missing is found") {
    std::remove((folder.folder.path + "/net.h").c_str());
    CHECK(absl::IsDataLoss(folder.Verify()));
  }
  SECTION("a value beyond the tolerance is found") {
    auto manifest = nlohmann::json::parse(files.manifest());
    auto& output = manifest["reference"]["outputs"][1];
    const double tolerance = output["tolerance"];
    const double value = output["values"][3];
    output["values"][3] = value + tolerance / 2;
    folder.Write("manifest.json", manifest.dump());
    CHECK(folder.Verify().ok());
    output["values"][3] = value + 2 * tolerance;
    folder.Write("manifest.json", manifest.dump());
    CHECK(absl::IsDataLoss(folder.Verify()));
  }
  SECTION("code for another kind of CPU isn't run") {
    auto manifest = nlohmann::json::parse(files.manifest());
    manifest["versions"][0]["target"] = "aarch64/neon";
    manifest["reference"]["outputs"][1]["values"][3] = 1e6;
    folder.Write("manifest.json", manifest.dump());
    CHECK(folder.Verify().ok());
  }
  CHECK(absl::IsNotFound(RunVerify({.folder = folder.folder.path + "/nothing"})));
}

TEST_CASE("operators of a library are run against the interpreter", "[cli]") {
  if (!IsX86()) return;
  library::LibrarySpec spec;
  spec.versions = {{ir::ParseTarget(library::HostText()).value(), ""}};
  // Stored in blocks, with constants, with several inputs.
  const std::vector<
      std::tuple<std::string, std::string, std::map<std::string, std::string>, std::string>>
      operators = {
          {"conv",
           "conv2d",
           {{"ic", "5"}, {"oc", "6"}, {"size", "7"}, {"k", "3"}, {"pad", "1"}, {"layout", "any"}},
           "layout X 0 1/4 2 3 1%4\n"},
          {"product", "batch_matmul", {{"batch", "2"}, {"m", "6"}, {"n", "20"}, {"k", "9"}}, ""}};
  for (const auto& [name, op, attributes, layouts] : operators) {
    const auto workload = te::MakeWorkload({name, op, attributes});
    INFO(workload.status());
    REQUIRE(workload.ok());
    library::Implementation made;
    made.trace = schedule::ParseTrace("trace 1\n" + layouts).value();
    const schedule::Trace rest =
        schedule::DefaultTrace(workload->dag, spec.versions[0].target).value();
    made.trace.insert(made.trace.end(), rest.begin(), rest.end());
    spec.ops.push_back({.name = name, .workload = *workload, .versions = {made}});
  }
  const auto files = library::BuildLibrary(spec);
  INFO(files.status());
  REQUIRE(files.ok());
  const auto library = ReadVerifiableLibrary(files->manifest());
  INFO(library.status());
  REQUIRE(library.ok());
  REQUIRE(library->runs[0].operators.size() == spec.ops.size());
  const auto right = RunLibrary(files->shared_object(), library->runs[0], absl::Seconds(60));
  REQUIRE(right.ok());
  INFO(right->detail);
  CHECK(right->kind == RunResult::Kind::kRight);
  CHECK_THAT(right->detail, Catch::StartsWith("32 values, off by at most "));
  ReferenceRun other = library->runs[0];
  for (te::Sample& sample : other.operators[1].expected) sample.value += 0.25;
  const auto wrong = RunLibrary(files->shared_object(), other, absl::Seconds(60));
  REQUIRE(wrong.ok());
  CHECK(wrong->kind == RunResult::Kind::kWrong);
  CHECK_THAT(wrong->detail, Catch::StartsWith("product."));
  const Folder folder(*files);
  CHECK(folder.Verify().ok());
}

TEST_CASE("what is no manifest is refused with the place", "[cli]") {
  const auto message = [](const nlohmann::json& json) {
    const auto library = ReadVerifiableLibrary(json.dump());
    CHECK(absl::IsDataLoss(library.status()));
    return std::string(library.status().message());
  };
  CHECK(absl::IsDataLoss(ReadVerifiableLibrary("{").status()));
  CHECK_THAT(message({{"ops", 1}}), Catch::EndsWith("files is missing"));
  const nlohmann::json good =
      nlohmann::json::parse(R"({"files": [{"name": "libnet.so", "sha256": "12"}],
        "versions": [{"target": "x86/avx2 threads=2"}],
        "model": {"name": "net", "inputs": [{"name": "x", "type": "f32", "shape": [2]}],
                  "outputs": [{"name": "y", "type": "f32", "shape": [3]}]},
        "reference": {"seed": 1, "outputs": [{"elements": [2], "values": [1], "tolerance": 0}]}})");
  const auto library = ReadVerifiableLibrary(good.dump());
  INFO(library.status());
  REQUIRE(library.ok());
  CHECK(library->cpu_kind == "x86");
  CHECK(library->runs[0].library == "net");
  nlohmann::json bad = good;
  for (const char* name : {"../libnet.so", "/lib/libc.so", "", ".hidden"}) {
    bad["files"].push_back({{"name", name}, {"sha256", ""}});
    CHECK_THAT(message(bad), Catch::Contains("files[1].name"));
    bad = good;
  }
  bad["files"][0]["name"] = "net.so";
  CHECK_THAT(message(bad), Catch::Contains("no libNAME.so"));
  bad = good;
  bad["reference"]["outputs"][0]["elements"] = {3};
  CHECK_THAT(message(bad), Catch::Contains("there is no element 3"));
  bad = good;
  bad["reference"]["outputs"][0]["values"] = nlohmann::json::array();
  CHECK_THAT(message(bad), Catch::Contains("has 0 values for 1 elements"));
  bad = good;
  bad["model"]["inputs"][0]["shape"] = {int64_t{1} << 40, int64_t{1} << 40};
  CHECK_THAT(message(bad), Catch::Contains("model.inputs[0]"));
  bad = good;
  bad["model"]["inputs"][0]["type"] = 4;
  CHECK_THAT(message(bad), Catch::Contains("model.inputs[0].type is no text"));
  bad = good;
  bad["versions"] = nlohmann::json::array();
  CHECK_THAT(message(bad), Catch::Contains("versions is empty"));
}

namespace {

// Of y = 2 x; `instead` runs before it.
constexpr char kLibrary[] = R"(
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
const char* tessera_net_isa(void) { return ISA; }
int net_create(void** model) { *model = model; return 0; }
size_t net_workspace_bytes(void) { return 0; }
int net_run_timed(const void* model, void* const* tensors, void* workspace, double* seconds) {
  const float* const x = tensors[0];
  float* const y = tensors[1];
  INSTEAD;
  for (int i = 0; i < 3; ++i) y[i] = 2 * x[i];
  return 0;
}
)";

RunResult Run(const std::string& instead, const std::string& isa = "\"some\"",
              absl::Duration limit = absl::Seconds(60)) {
  const test::TemporaryDirectory folder;
  std::ofstream(folder.path + "/net.c")
      << absl::StrReplaceAll(kLibrary, {{"INSTEAD", instead}, {"ISA", isa}});
  REQUIRE(std::system(
              absl::StrCat("cd ", folder.path, " && cc -shared -fPIC net.c -o net.so").c_str()) ==
          0);
  std::ifstream file(folder.path + "/net.so", std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(file), {});
  ReferenceRun run{.library = "net", .model = "net", .seed = 3};
  run.inputs.emplace_back();
  run.inputs[0].type = ir::ParseType("f32").value();
  run.inputs[0].shape = {3};
  run.outputs.push_back({run.inputs[0], {0, 2}, {}, 0});
  run.outputs[0].buffer.name = "y";
  const std::vector<std::byte> input = te::TestInput(run.inputs[0], 0, *run.seed);
  for (const int64_t element : {0, 2}) {
    run.outputs[0].values.push_back(2 * ir::ReadElement(run.inputs[0].type, input, element));
  }
  const auto result = RunLibrary(bytes, run, limit);
  INFO(result.status());
  REQUIRE(result.ok());
  return *result;
}

}  // namespace

TEST_CASE("a library that misbehaves is found out and harms nobody", "[cli]") {
  if (std::system("cc --version >/dev/null 2>&1") != 0) {
    WARN("no C compiler `cc` on this machine: libraries that misbehave are not run");
    return;
  }
  using Kind = RunResult::Kind;
  const RunResult right = Run("");
  CHECK(right.kind == Kind::kRight);
  CHECK(right.detail == "2 values, off by at most 0 % of the tolerance (some)");
  CHECK(right.errors == std::vector<double>{0});
  const RunResult wrong = Run("y[2] = 1; y[0] = 2 * x[0]; return 0");
  CHECK(wrong.kind == Kind::kWrong);
  CHECK_THAT(wrong.detail, Catch::StartsWith("y[2] is 1 where "));
  const RunResult not_finite = Run("y[0] = y[2] = 0.0f / (x[0] - x[0]); return 0");
  CHECK(not_finite.kind == Kind::kWrong);
  CHECK(not_finite.errors == std::vector<double>{std::numeric_limits<double>::infinity()});
  CHECK_THAT(Run("return 3").detail, Catch::StartsWith("net_run_timed returned 3"));
  CHECK_THAT(Run("abort()").detail, Catch::StartsWith("it ended by signal 6"));
  CHECK_THAT(Run("_exit(7)").detail, Catch::StartsWith("it ended the process with 7"));
  CHECK_THAT(Run("for (;;) pause()", "\"some\"", absl::Milliseconds(300)).detail,
             Catch::StartsWith("it did not end within 300ms"));
  const RunResult skipped = Run("", "0");
  CHECK(skipped.kind == Kind::kSkipped);
  const auto none = RunLibrary("no library", {.library = "net", .model = "net"}, absl::Seconds(60));
  REQUIRE(none.ok());
  CHECK(none->kind == Kind::kWrong);
  CHECK_THAT(none->detail, Catch::StartsWith("it can't be loaded: "));
}

}  // namespace tessera::cli
