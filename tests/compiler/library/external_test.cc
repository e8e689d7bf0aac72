// Libraries whose kernels call libraries of others.

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "base/third_party.h"
#include "compiler/library/library.h"
#include "compiler/schedule/default_trace.h"
#include "compiler/te/operators.h"
#include "tests/compiler/library/elf.h"
#include "tests/compiler/library/loaded.h"

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

}  // namespace tessera::library
