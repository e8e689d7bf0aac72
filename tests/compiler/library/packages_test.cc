// Libraries as build systems find them: by CMake and pkg-config, static, from C++.

#include "compiler/library/packages.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "compiler/te/operators.h"
#include "tests/compiler/graph/run.h"
#include "tests/compiler/library/model_fixture.h"
#include "tests/support/temporary_directory.h"

namespace tessera::library {
namespace {

const char* const kModel =
    "graph net\n"
    "input image: f32[1,2,5,5]\n"
    "const w: f32[2,2,1,1] = [1,-0.5,0.25,2]\n"
    "conv = conv(image, w): f32[1,2,5,5]\n"
    "relu = relu(conv): f32[1,2,5,5]\n"
    "mean = reduce_mean(relu) axes=[2,3] keep=0: f32[1,2]\n"
    "softmax = softmax(mean): f32[1,2]\n"
    "output softmax\n"
    "output relu\n";

bool Works(const std::string& command) {
  return std::system(absl::StrCat(command, " >/dev/null 2>&1").c_str()) == 0;
}

void Write(const std::string& folder, const LibraryFiles& files) {
  std::filesystem::create_directories(folder);
  for (const LibraryFile& file : files.files) {
    std::ofstream(absl::StrCat(folder, "/", file.name), std::ios::binary) << file.bytes;
  }
}

// Runs it in the folder; what it prints.
std::string Output(const std::string& folder, const std::string& command) {
  const int result =
      std::system(absl::StrCat("cd ", folder, " && (", command, ") >output 2>errors").c_str());
  const auto read = [&](const char* name) {
    std::ifstream file(absl::StrCat(folder, "/", name));
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  INFO(command << "\n" << read("output") << read("errors"));
  REQUIRE(result == 0);
  return read("output");
}

// Prints the outputs of an input of counted values, and the code of an error.
constexpr char kProgram[] = R"(
#include <cstdio>
#include <utility>
#include "net.hpp"
int main() {
  tessera_net::SetThreads(1);
  tessera_net::Model made;
  tessera_net::Model model = std::move(made);
  tessera_net::Session session(model);
  tessera_net::tensors::image image;
  tessera_net::tensors::softmax softmax;
  tessera_net::tensors::relu relu;
  for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<float>(i % 7) / 4 - 0.5f;
  session.Run(image, softmax, relu);
  for (const float value : softmax) std::printf("%.9g ", value);
  for (const float value : relu) std::printf("%.9g ", value);
  try {
    session.Run(image.data(), softmax.data() + 1, relu.data());
  } catch (const tessera_net::Error& error) {
    std::printf("%d %s\n", error.code(), error.what());
  }
  return 0;
}
)";

void CheckOutput(const std::string& text) {
  const graph::Graph graph = graph::Parsed(kModel);
  std::vector<double> image;
  for (int i = 0; i < 50; ++i) image.push_back(i % 7 / 4.0 - 0.5);
  const auto expected =
      graph::Outputs(graph, {graph::MakeTensor(ir::ParseType("f32").value(), {1, 2, 5, 5}, image)});
  INFO(text);
  std::istringstream stream(text);
  for (const auto& output : expected) {
    for (const double value : output) {
      double got = -100;
      stream >> got;
      CHECK(got == Approx(value).margin(1e-5));
    }
  }
  CHECK_THAT(text, Catch::Contains("2 net: an argument is not aligned to 64 bytes"));
}

LibraryFiles ModelFiles() {
  LibrarySpec spec = SpecOf(graph::MakePlan(graph::Parsed(kModel)).value());
  spec.static_library = true;
  auto files = BuildLibrary(spec);
  INFO(files.status());
  REQUIRE(files.ok());
  return *std::move(files);
}

LibraryFiles OperatorFiles(const std::string& library, const std::string& op) {
  LibrarySpec spec;
  spec.name = library;
  spec.static_library = true;
  spec.versions = {{ir::ParseTarget(HostText()).value(), ""}};
  LibraryOp made{.name = op, .workload = te::MakeWorkload({op, "softmax", {{"n", "7"}}}).value()};
  made.versions.push_back(
      {.trace = schedule::DefaultTrace(made.workload.dag, spec.versions[0].target).value(),
       .is_default = true});
  spec.ops.push_back(std::move(made));
  auto files = BuildLibrary(spec);
  INFO(files.status());
  REQUIRE(files.ok());
  return *std::move(files);
}

}  // namespace

TEST_CASE("CMake finds a model's library in its folder, shared and static", "[library]") {
  if (!Works("cmake --version") || !Works("c++ --version")) {
    WARN("no cmake or c++ on this machine: the CMake package is not used");
    return;
  }
  const test::TemporaryDirectory folder;
  Write(folder.path + "/before", ModelFiles());
  // The folder may be moved.
  std::filesystem::rename(folder.path + "/before", folder.path + "/dist of net");
  std::ofstream(folder.path + "/main.cc") << kProgram;
  std::ofstream(folder.path + "/CMakeLists.txt")
      << "cmake_minimum_required(VERSION 3.16)\nproject(use CXX)\n"
         "set(CMAKE_CXX_STANDARD 17)\n"
         "find_package(tessera_net CONFIG REQUIRED PATHS \"${CMAKE_SOURCE_DIR}/dist of net\"\n"
         "  NO_DEFAULT_PATH)\n"
         "find_package(tessera_net CONFIG REQUIRED PATHS \"${CMAKE_SOURCE_DIR}/dist of net\")\n"
         "add_executable(shared main.cc)\n"
         "target_link_libraries(shared tessera::net)\n"
         "add_executable(static main.cc)\n"
         "target_link_libraries(static tessera::net_static)\n";
  Output(folder.path, "cmake -S . -B build && cmake --build build");
  CheckOutput(Output(folder.path, "build/shared"));
  // Nothing of the shared object is needed.
  std::filesystem::remove(folder.path + "/dist of net/libnet.so");
  CheckOutput(Output(folder.path, "build/static"));
}

TEST_CASE("pkg-config finds a library in its folder", "[library]") {
  if (!Works("pkg-config --version") || !Works("c++ --version")) {
    WARN("no pkg-config or c++ on this machine: the file for pkg-config is not used");
    return;
  }
  const test::TemporaryDirectory folder;
  Write(folder.path + "/dist", ModelFiles());
  std::ofstream(folder.path + "/main.cc") << kProgram;
  const std::string flags = "$(PKG_CONFIG_PATH=dist pkg-config --cflags --libs tessera_net)";
  CheckOutput(Output(
      folder.path, absl::StrCat("c++ -std=c++17 -Wall -Wextra -Wpedantic -Werror main.cc -o main ",
                                flags, " -Wl,-rpath,dist && ./main")));
}

TEST_CASE("static libraries show their interface only and go together", "[library]") {
  if (!Works("cc --version") || !Works("nm --version")) {
    WARN("no cc or nm on this machine: static libraries are not linked");
    return;
  }
  const test::TemporaryDirectory folder;
  Write(folder.path, OperatorFiles("one", "first"));
  Write(folder.path, OperatorFiles("two", "second"));
  std::ofstream(folder.path + "/main.c")
      << "#include <stdio.h>\n#include \"one.h\"\n#include \"two.h\"\n"
         "_Alignas(64) float x[7] = {1, 2, 3}, y[7], z[7];\n"
         "int main(void) {\n"
         "  if (tessera_one_set_threads(2) || first(x, y) || second(x, z)) return 1;\n"
         "  printf(\"%d\\n\", y[0] == z[0] && y[0] > 0);\n"
         "  return 0;\n}\n";
  CHECK(
      Output(
          folder.path,
          "cc -std=c11 -Wall -Werror main.c libone.a libtwo.a -pthread -o main -Wl,--fatal-warnings"
          " && ./main") == "1\n");
  // What an object file of a program could clash with.
  std::istringstream symbols(Output(folder.path, "nm --defined-only -g libone.a"));
  std::set<std::string> names;
  for (std::string line; std::getline(symbols, line);) {
    const size_t space = line.rfind(' ');
    if (space == std::string::npos) continue;
    names.insert(line.substr(space + 1));
  }
  CHECK(names.contains("first"));
  for (const std::string& name : names) {
    CAPTURE(name);
    CHECK((name.starts_with("first") || name.starts_with("tessera_one_")));
  }
}

TEST_CASE("the bill of materials names what is in a library, with its digests", "[library]") {
  const LibraryFiles files = ModelFiles();
  const std::string* bill = files.Find("sbom.json");
  REQUIRE(bill != nullptr);
  const auto json = nlohmann::json::parse(*bill);
  CHECK(json["bomFormat"] == "CycloneDX");
  CHECK(json["specVersion"] == "1.5");
  const auto manifest = nlohmann::json::parse(files.manifest());
  std::set<std::string> refs;
  std::map<std::string, std::string> digests;
  for (const auto& component : json["components"]) {
    CHECK(refs.insert(component["bom-ref"]).second);
    digests[component["name"]] = component["hashes"][0]["content"];
  }
  CHECK(digests["tessera-runtime"] == manifest["runtime_sha256"].get<std::string>());
  CHECK(digests["net"] == manifest["model"]["graph_digest"].get<std::string>());
  CHECK(digests["net constants"] == manifest["model"]["constants_sha256"].get<std::string>());
  for (const char* name :
       {"libnet.so", "libnet.a", "net.h", "net.hpp", "tessera_netConfig.cmake"}) {
    CAPTURE(name);
    REQUIRE(files.Find(name) != nullptr);
    CHECK(digests[name] == Sha256Hex(*files.Find(name)));
  }
}

}  // namespace tessera::library
