// Libraries whose kernels call libraries of others.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/third_party.h"
#include "compiler/library/library.h"
#include "compiler/schedule/default_trace.h"
#include "compiler/te/operators.h"
#include "tests/compiler/graph/run.h"
#include "tests/compiler/library/elf.h"
#include "tests/compiler/library/loaded.h"
#include "tests/compiler/library/model_fixture.h"

namespace tessera::library {
namespace {

constexpr int kRows = 6, kColumns = 5, kTerms = 4;

// `provider`: empty, nothing is called.
LibrarySpec Spec(const std::string& provider) {
  const ir::Target target = ir::X86Target("sse4.2").value();
  const te::Workload workload =
      te::MakeWorkload({"fc", "dense", {{"m", "6"}, {"n", "5"}, {"k", "4"}, {"relu", "true"}}})
          .value();
  Implementation implementation;
  implementation.trace = provider.empty()
                             ? schedule::DefaultTrace(workload.dag, target).value()
                             : schedule::ExternalTrace(workload.dag, target, provider).value();
  LibrarySpec spec;
  spec.name = "ops";
  spec.versions = {{target, "x86/test"}};
  spec.ops = {{"fc", workload, {implementation}}};
  spec.static_library = true;
  return spec;
}

}  // namespace

TEST_CASE("a library names those of others that its kernels call", "[library]") {
  const LibraryFiles plain = BuildLibrary(Spec("")).value();
  const LibraryFiles files = BuildLibrary(Spec("openblas")).value();
  CHECK(BuildLibrary(Spec("openblas"))->files[0].bytes == files.files[0].bytes);
  using Names = std::vector<std::string>;
  CHECK(Needed(*plain.Find("libops.so")) == Names{"libc.so.6"});
  Names needed = Needed(*files.Find("libops.so"));
  std::ranges::sort(needed);
  CHECK(needed == Names{"libc.so.6", "libopenblas.so.0"});

  const auto manifest = nlohmann::json::parse(*files.Find("manifest.json"));
  CHECK(manifest["needed"] == nlohmann::json({"libc.so.6", "libopenblas.so.0"}));
  CHECK_THAT(manifest["ops"][0]["versions"][0]["trace"].get<std::string>(),
             Catch::Contains("external matmul openblas"));
  const auto bill = nlohmann::json::parse(*files.Find("sbom.json"));
  const auto named = [](const nlohmann::json& component) {
    return component["name"] == "openblas";
  };
  CHECK(std::ranges::count_if(bill["components"], named) == 1);
  CHECK(bill["dependencies"][0]["dependsOn"] == nlohmann::json({"openblas"}));
  // No module of pkg-config, which only development packages have.
  const std::string package = *files.Find("tessera_ops.pc");
  CHECK_THAT(package, Catch::Contains("\nLibs.private: -pthread -ldl -l:libopenblas.so.0\n"));
  CHECK(package.find("Requires") == std::string::npos);
  CHECK_THAT(*files.Find("tessera_opsConfig.cmake"),
             Catch::Contains("\"Threads::Threads;${CMAKE_DL_LIBS};-l:libopenblas.so.0\""));
  CHECK(plain.Find("tessera_ops.pc")->find("openblas") == std::string::npos);
  CHECK_FALSE(nlohmann::json::parse(*plain.Find("sbom.json")).contains("dependencies"));
}

TEST_CASE("a library that calls oneDNN needs what its threads are of, too", "[library]") {
  const LibraryFiles files = BuildLibrary(Spec("onednn")).value();
  std::vector<std::string> needed = Needed(*files.Find("libops.so"));
  std::ranges::sort(needed);
  CHECK(needed == std::vector<std::string>{"libc.so.6", "libdnnl.so.2", "libgomp.so.1"});
  const auto manifest = nlohmann::json::parse(*files.Find("manifest.json"));
  CHECK(manifest["needed"] == nlohmann::json({"libc.so.6", "libdnnl.so.2", "libgomp.so.1"}));
  CHECK_THAT(*files.Find("tessera_ops.pc"), Catch::Contains(" -l:libdnnl.so.2 -l:libgomp.so.1\n"));
  CHECK_THAT(*files.Find("tessera_opsConfig.cmake"),
             Catch::Contains("-l:libdnnl.so.2;-l:libgomp.so.1\""));
  const auto bill = nlohmann::json::parse(*files.Find("sbom.json"));
  CHECK(bill["dependencies"][0]["dependsOn"] == nlohmann::json({"onednn"}));
  // What stands between is in the static library, too, under a name that no other library has.
  const std::string& archive = *files.Find("libops.a");
  CHECK(archive.find("tessera_ops_internal_tessera_onednn_gemm_f32") != std::string::npos);
}

TEST_CASE("an operator that calls a library computes what it should", "[library]") {
  const std::string provider = GENERATE("openblas", "onednn");
  if (const auto loaded = LoadThirdParty(*ThirdPartyNamed(provider)); !loaded.ok()) {
    WARN("not run: " << loaded.status().message());
    return;
  }
  const Library library(*BuildLibrary(Spec(provider))->Find("libops.so"));
  const auto packed_bytes = library.Find<size_t (*)()>("fc_packed_bytes");
  const auto pack = library.Find<int (*)(const float*, void*)>("fc_pack_weights");
  const auto run = library.Find<int (*)(const float*, const void*, float*)>("fc");
  Aligned a(kRows * kTerms * 4), b(kColumns * kTerms * 4), c(kRows * kColumns * 4);
  const Aligned weights(packed_bytes());
  for (int i = 0; i < kRows * kTerms; ++i) a.data[i] = static_cast<float>(i % 7) - 3;
  for (int i = 0; i < kColumns * kTerms; ++i) b.data[i] = static_cast<float>(i % 5) - 2;
  REQUIRE(pack(b.data, weights.data) == 0);
  REQUIRE(run(a.data, weights.data, c.data) == 0);
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kColumns; ++j) {
      float sum = 0;
      for (int k = 0; k < kTerms; ++k) sum += a.data[i * kTerms + k] * b.data[j * kTerms + k];
      CAPTURE(i, j);
      CHECK(c.data[i * kColumns + j] == std::max(sum, 0.0f));  // whole numbers: exact
    }
  }
}

TEST_CASE("a model some of whose kernels call a library computes what its graph does",
          "[library]") {
  const std::string provider = GENERATE("openblas", "onednn");
  const ThirdParty& library_of_others = *ThirdPartyNamed(provider);
  if (const auto loaded = LoadThirdParty(library_of_others); !loaded.ok()) {
    WARN("not run: " << loaded.status().message());
    return;
  }
  const graph::Graph graph = graph::Parsed(
      "graph net\n"
      "input x: f32[2,3]\n"
      "const w: f32[3,4] = [1,-2,3,0.5,2,1,-1,4,0.25,3,2,-3]\n"
      "const v: f32[4,2] = [1,2,-3,1,0.5,2,2,-1]\n"
      "one = matmul(x, w): f32[2,4]\n"
      "soft = softmax(one): f32[2,4]\n"
      "two = matmul(soft, v): f32[2,2]\n"
      "output two\n");
  LibrarySpec spec = SpecOf(*graph::MakePlan(graph));
  int calls = 0;
  for (LibraryOp& op : spec.ops) {
    const auto trace = schedule::ExternalTrace(op.workload.dag, spec.versions[0].target, provider);
    if (!trace.ok()) continue;  // softmax: nobody else computes that
    op.versions[0] = {.trace = *trace, .record_ids = {"7"}};
    ++calls;
  }
  REQUIRE(calls == 2);
  REQUIRE(spec.ops.size() > 2);
  const absl::StatusOr<LibraryFiles> files = BuildLibrary(spec);
  INFO(files.status());
  REQUIRE(files.ok());
  const auto manifest = nlohmann::json::parse(files->manifest());
  CHECK(std::count(manifest["needed"].begin(), manifest["needed"].end(),
                   library_of_others.soname) == 1);
  struct Net;
  const Library library(files->shared_object());
  Net* net = nullptr;
  REQUIRE(library.Find<int (*)(Net**)>("net_create")(&net) == 0);
  const uint64_t seed = 8;
  CAPTURE(seed);
  const std::vector<graph::TensorRef> inputs = graph::SomeInputs(graph, seed);
  const Aligned x(inputs[0]->bytes.size()), y(2 * 2 * sizeof(float));
  const Aligned workspace(library.Find<size_t (*)()>("net_workspace_bytes")());
  std::memcpy(x.data, inputs[0]->bytes.data(), x.bytes);
  using Run = int (*)(const Net*, const float*, float*, void*);
  REQUIRE(library.Find<Run>("net_run")(net, x.data, y.data, workspace.data) == 0);
  const auto expected = graph::Outputs(graph, inputs);
  for (size_t i = 0; i < 4; ++i) {
    CAPTURE(i);
    CHECK(y.data[i] == Approx(expected[0][i]).margin(1e-5));
  }
  library.Find<void (*)(Net*)>("net_destroy")(net);
}

}  // namespace tessera::library
