#include "compiler/library/library.h"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/hash.h"
#include "compiler/codegen/codegen.h"
#include "compiler/ir/evaluate.h"
#include "compiler/schedule/default_trace.h"
#include "compiler/te/operators.h"
#include "compiler/te/reference.h"
#include "tests/compiler/library/elf.h"
#include "tests/compiler/library/loaded.h"
#include "tests/support/reference_check.h"

namespace tessera::library {
namespace {

// The default schedule for each target, after the steps of `layouts`.
LibraryOp MakeOp(const std::string& name, const std::string& op,
                 const std::map<std::string, std::string>& attributes,
                 const std::vector<LibraryVersion>& versions, const std::string& layouts = "") {
  const auto workload = te::MakeWorkload({name, op, attributes});
  INFO(workload.status());
  REQUIRE(workload.ok());
  LibraryOp result;
  result.name = name;
  result.workload = *workload;
  for (const LibraryVersion& version : versions) {
    Implementation made;
    made.trace = schedule::DefaultTrace(workload->dag, version.target).value();
    made.is_default = layouts.empty();
    if (!layouts.empty()) {
      auto trace = schedule::ParseTrace("trace 1\n" + layouts);
      INFO(trace.status());
      REQUIRE(trace.ok());
      trace->insert(trace->end(), made.trace.begin(), made.trace.end());
      made.trace = *trace;
      made.record_ids = {"17", "42"};
      made.device = "lab/cpu";
      made.measured_seconds = 1.5e-6;
    }
    result.versions.push_back(std::move(made));
  }
  return result;
}

ir::Target TestTarget() {
  ir::Target target = codegen::HostTarget();
  target.max_threads = 2;
  return target;
}

LibrarySpec SpecFor(const std::vector<std::string>& targets) {
  LibrarySpec spec;
  for (const std::string& text : targets) {
    spec.versions.push_back({ir::ParseTarget(text).value(), "test device"});
  }
  spec.ops.push_back(
      MakeOp("product", "matmul", {{"m", "6"}, {"n", "20"}, {"k", "9"}}, spec.versions));
  spec.ops.push_back(MakeOp("conv", "conv2d",
                            {{"ic", "5"},
                             {"oc", "6"},
                             {"size", "7"},
                             {"k", "3"},
                             {"bias", "true"},
                             {"pad", "1"},
                             {"relu", "true"},
                             {"layout", "any"}},
                            spec.versions, "layout X 0 1/4 2 3 1%4\n"));
  return spec;
}

LibrarySpec TestSpec() { return SpecFor({ir::ToString(TestTarget())}); }

}  // namespace

TEST_CASE("operators of a built library compute what their workloads say", "[library]") {
  const LibrarySpec spec = TestSpec();
  const auto files = BuildLibrary(spec);
  INFO(files.status());
  REQUIRE(files.ok());
  const Library library(files->shared_object());

  const auto& product = spec.ops[0].workload;
  const auto expected = te::ComputeExpected(product, 3);
  REQUIRE(expected.ok());
  const auto manifest = nlohmann::json::parse(files->manifest());
  const auto set_threads = library.Find<int (*)(int)>("tessera_ops_set_threads");
  for (int threads : {1, 2, 3}) {
    REQUIRE(set_threads(threads) == 0);
    // Whether weights are constants is the operator's choice; the manifest says it.
    std::vector<std::vector<std::byte>> inputs = expected->inputs;
    std::vector<std::unique_ptr<Aligned>> memory;
    std::vector<void*> arguments, constants;
    for (size_t i = 0; i < inputs.size(); ++i) {
      memory.push_back(std::make_unique<Aligned>(inputs[i].size()));
      std::memcpy(memory.back()->data, inputs[i].data(), inputs[i].size());
      (product.dag.inputs[i].is_constant ? constants : arguments).push_back(memory.back()->data);
    }
    Aligned weights(manifest["ops"][0]["packed_bytes"].get<size_t>() + 64);
    if (!constants.empty()) {
      REQUIRE(constants.size() == 1);
      REQUIRE(library.Find<size_t (*)()>("product_packed_bytes")() ==
              manifest["ops"][0]["packed_bytes"].get<size_t>());
      REQUIRE(library.Find<int (*)(const void*, void*)>("product_pack_weights")(constants[0],
                                                                                weights.data) == 0);
      arguments.push_back(weights.data);
    }
    Aligned output(6 * 20 * 4);
    REQUIRE(arguments.size() == 2);
    REQUIRE(library.Find<int (*)(void*, void*, void*)>("product")(arguments[0], arguments[1],
                                                                  output.data) == 0);
    for (size_t i = 0; i < expected->outputs[0].size(); ++i) {
      REQUIRE(output.data[i] == Approx(expected->outputs[0][i]).margin(1e-5));
    }
  }
}

TEST_CASE("layouts are packed, weights too, outputs unpacked, from several threads", "[library]") {
  const LibrarySpec spec = TestSpec();
  const auto files = BuildLibrary(spec);
  INFO(files.status());
  REQUIRE(files.ok());
  const Library library(files->shared_object());
  const auto& workload = spec.ops[1].workload;
  const auto expected = te::ComputeExpected(workload, 4);
  REQUIRE(expected.ok());
  REQUIRE(workload.dag.inputs.size() == 3);
  REQUIRE(workload.dag.inputs[1].is_constant);
  REQUIRE(workload.dag.inputs[2].is_constant);

  const auto manifest = nlohmann::json::parse(files->manifest())["ops"][1];
  const size_t input_bytes = manifest["tensors"][0]["stored_bytes"];
  REQUIRE(input_bytes == 8 * 7 * 7 * 4);  // five channels in blocks of four
  const size_t output_bytes = manifest["tensors"][3]["stored_bytes"];
  Aligned weights(library.Find<size_t (*)()>("conv_packed_bytes")());
  REQUIRE(library.Find<int (*)(const void*, const void*, void*)>("conv_pack_weights")(
              expected->inputs[1].data(), expected->inputs[2].data(), weights.data) == 0);
  Aligned input(input_bytes);
  REQUIRE(library.Find<int (*)(const void*, void*)>("conv_pack_input")(expected->inputs[0].data(),
                                                                       input.data) == 0);
  const auto conv = library.Find<int (*)(const void*, const void*, void*)>("conv");
  const auto unpack = library.Find<int (*)(const void*, void*)>("conv_unpack_output");
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 3; ++t) {
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 20; ++repeat) {
        Aligned output(output_bytes);
        std::vector<float> result(expected->outputs[0].size());
        wrong += conv(input.data, weights.data, output.data) != 0;
        wrong += unpack(output.data, result.data()) != 0;
        for (size_t i = 0; i < result.size(); ++i) {
          wrong += std::abs(result[i] - expected->outputs[0][i]) > 1e-4;
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  REQUIRE(wrong == 0);
}

TEST_CASE("constants that are transformed are so when they are packed", "[library]") {
  LibrarySpec spec;
  spec.versions.push_back({TestTarget(), "test device"});
  spec.ops.push_back(MakeOp("conv", "conv2d",
                            {{"ic", "5"}, {"oc", "6"}, {"size", "7"}, {"k", "3"}, {"bias", "true"}},
                            spec.versions));
  spec.ops[0].versions[0].trace =
      schedule::ParseTrace("trace 1\nlayout W 1 0 2 3\nwinograd conv 2\n").value();
  const auto files = BuildLibrary(spec);
  INFO(files.status());
  REQUIRE(files.ok());
  const Library library(files->shared_object());
  const auto expected = te::ComputeExpected(spec.ops[0].workload, 4);
  REQUIRE(expected.ok());
  const size_t packed = library.Find<size_t (*)()>("conv_packed_bytes")();
  CHECK(packed == (16 * 5 * 6 * 4 + 63) / 64 * 64 + 64);  // U and Bias, not W
  const auto manifest = nlohmann::json::parse(files->manifest())["ops"][0];
  CHECK(manifest["packed_bytes"] == packed);
  const auto version = manifest["versions"][0];
  CHECK(version["prepared"][0]["name"] == "conv.U");
  CHECK_FALSE(version["constants"][0].contains("packed_offset"));
  CHECK(files->header().find("transformed when packed") != std::string::npos);

  const Aligned weights(packed + 64), input(5 * 7 * 7 * 4), output(6 * 5 * 5 * 4);
  const auto pack = library.Find<int (*)(const void*, const void*, void*)>("conv_pack_weights");
  const std::vector<std::byte>&w = expected->inputs[1], &bias = expected->inputs[2];
  CHECK(pack(w.data(), bias.data(), weights.data + 1) == 2);  // misaligned
  weights.data[packed / 4] = 7;
  REQUIRE(pack(w.data(), bias.data(), weights.data) == 0);
  CHECK(weights.data[packed / 4] == 7);
  std::memcpy(input.data, expected->inputs[0].data(), expected->inputs[0].size());
  const auto conv = library.Find<int (*)(const void*, const void*, void*)>("conv");
  for (int run = 0; run < 2; ++run) {
    REQUIRE(conv(input.data, weights.data, output.data) == 0);
    for (size_t i = 0; i < expected->outputs[0].size(); ++i) {
      REQUIRE(output.data[i] == Approx(expected->outputs[0][i]).margin(1e-5));
    }
  }
}

TEST_CASE("same spec gives the same bytes, and no folder is needed to make them", "[library]") {
  const LibrarySpec spec = TestSpec();
  const auto first = BuildLibrary(spec);
  REQUIRE(first.ok());
  CHECK(first->shared_object().find("/proc/self") == std::string::npos);
  const char* before = std::getenv("TMPDIR");
  const std::string kept = before == nullptr ? "" : before;
  setenv("TMPDIR", "/nowhere", 1);
  const auto second = BuildLibrary(spec);
  if (before == nullptr)
    unsetenv("TMPDIR");
  else
    setenv("TMPDIR", kept.c_str(), 1);
  REQUIRE(second.ok());
  REQUIRE(first->shared_object() == second->shared_object());
  REQUIRE(first->header() == second->header());
  REQUIRE(first->manifest() == second->manifest());
}

TEST_CASE("library needs libc alone", "[library]") {
  const auto files = BuildLibrary(TestSpec());
  REQUIRE(files.ok());
  REQUIRE(Needed(files->shared_object()) == std::vector<std::string>{"libc.so.6"});
}

TEST_CASE("a library exports what its header declares and nothing else", "[library]") {
  LibrarySpec spec = TestSpec();
  spec.name = "2nd_set";
  const auto files = BuildLibrary(spec);
  INFO(files.status());
  REQUIRE(files.ok());
  std::vector<std::string> declared = {"tessera_2nd_set_set_threads", "tessera_2nd_set_version",
                                       "tessera_2nd_set_isa"};
  const auto manifest = nlohmann::json::parse(files->manifest());
  for (const auto& op : manifest["ops"]) {
    for (const auto& function : op["functions"]) declared.push_back(function);
  }
  for (const std::string& name : declared) {
    CAPTURE(name);
    CHECK(files->header().find(" " + name + "(") != std::string::npos);
  }
  std::ranges::sort(declared);
  CHECK(Exported(files->shared_object()) == declared);
}

TEST_CASE("manifest tells where each operator comes from", "[library]") {
  const auto files = BuildLibrary(TestSpec());
  REQUIRE(files.ok());
  const auto manifest = nlohmann::json::parse(files->manifest());
  REQUIRE(manifest["library_sha256"].get<std::string>() == Sha256Hex(files->shared_object()));
  REQUIRE(manifest["header_sha256"].get<std::string>() == Sha256Hex(files->header()));
  REQUIRE(manifest["manifest_version"] == 2);
  REQUIRE(manifest["versions"][0]["target"].get<std::string>() == ir::ToString(TestTarget()));
  REQUIRE(manifest["versions"][0]["device_class"] == "test device");
  const auto product = manifest["ops"][0]["versions"][0];
  REQUIRE(product["is_default"] == true);
  REQUIRE(product["measured_seconds"].is_null());
  const auto conv = manifest["ops"][1]["versions"][0];
  REQUIRE(conv["is_default"] == false);
  REQUIRE(conv["measured_seconds"] == 1.5e-6);
  REQUIRE(conv["record_ids"] == nlohmann::json({"17", "42"}));
  REQUIRE(conv["device_class"] == "test device");
  REQUIRE(conv["device"] == "lab/cpu");
  REQUIRE(conv["constants"].size() == 2);
  const auto workload = te::ParseWorkload(manifest["ops"][1]["workload"].get<std::string>());
  REQUIRE(workload.ok());
  REQUIRE(HashToHex(te::StructuralHash(workload->dag)) ==
          manifest["ops"][1]["workload_hash"].get<std::string>());
}

TEST_CASE("wrong arguments are told, not crashed on", "[library]") {
  const auto files = BuildLibrary(TestSpec());
  REQUIRE(files.ok());
  const Library library(files->shared_object());
  const auto conv = library.Find<int (*)(const void*, const void*, void*)>("conv");
  Aligned memory(1 << 16);
  REQUIRE(conv(nullptr, memory.data, memory.data) == 1);
  REQUIRE(conv(memory.data + 1, memory.data, memory.data) == 2);
  const auto set_threads = library.Find<int (*)(int)>("tessera_ops_set_threads");
  REQUIRE(set_threads(0) == 4);
  REQUIRE(set_threads(1 << 20) == 4);
  REQUIRE(std::string(library.Find<const char* (*)()>("tessera_ops_version")()).find("tessera ") ==
          0);
}

TEST_CASE("bad operator names are refused with the reason", "[library]") {
  for (const char* name : {"", "1st", "a-b", "int", "a b"}) {
    LibrarySpec spec = TestSpec();
    spec.ops[0].name = name;
    CAPTURE(name);
    REQUIRE(BuildLibrary(spec).status().code() == absl::StatusCode::kInvalidArgument);
  }
  LibrarySpec spec = TestSpec();
  spec.ops[0].name = "conv_pack_weights";
  const absl::Status status = BuildLibrary(spec).status();
  REQUIRE(status.code() == absl::StatusCode::kInvalidArgument);
  REQUIRE(std::string(status.message()).find("conv_pack_weights") != std::string::npos);
  spec = TestSpec();
  spec.ops[0].name = "conv_X_BYTES";
  REQUIRE(BuildLibrary(spec).status().code() == absl::StatusCode::kInvalidArgument);
  spec = TestSpec();
  spec.versions[0].target = ir::ParseTarget("cuda").value();
  REQUIRE(!BuildLibrary(spec).ok());
}

TEST_CASE("an operator can't take the place of a C library function", "[library]") {
  for (const char* name : {"tanh", "printf", "sin", "malloc", "exit", "select", "fma", "stdout",
                           "pthread_create", "posix_memalign"}) {
    LibrarySpec spec = TestSpec();
    spec.ops[0].name = name;
    const absl::Status status = BuildLibrary(spec).status();
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    CHECK(std::string(status.message()) ==
          std::string(name) +
              ": a function of the C library has this name; give the operator another");
  }
}

TEST_CASE("names of the library's own functions and of the types it uses are refused",
          "[library]") {
  LibrarySpec odd = TestSpec();
  for (const char* name : {"", "a-b", "a.b"}) {
    odd.name = name;
    CHECK(BuildLibrary(odd).status().code() == absl::StatusCode::kInvalidArgument);
  }
  odd.name = "kernel";
  odd.ops[0].name = "version";
  CHECK(BuildLibrary(odd).ok());  // whose kernels are no names of the library
  for (const char* name : {"tessera_op_run", "tessera_kernel_conv", "TESSERA_OPS_OK", "size_t",
                           "int8_t", "NULL", "linux"}) {
    LibrarySpec spec = TestSpec();
    spec.ops[0].name = name;
    CAPTURE(name);
    CHECK(BuildLibrary(spec).status().code() == absl::StatusCode::kInvalidArgument);
  }
}

TEST_CASE("every operator without a name of its own has one that a library takes", "[library]") {
  for (const std::string& op : te::OperatorNames()) {
    LibrarySpec spec = TestSpec();
    spec.ops[0].name = te::DefaultName(op);
    const auto files = BuildLibrary(spec);
    INFO(files.status());
    CHECK(files.ok());
  }
  const auto workload = te::MakeWorkload({"", "tanh", {{"n", "8"}}});
  REQUIRE(workload.ok());
  CHECK(workload->name == "tanh_op");
}

TEST_CASE("header compiles as C and C++ and links against the library", "[library]") {
  if (std::system("cc --version >/dev/null 2>&1") != 0) {
    WARN("no C compiler `cc` on this machine: the header is not compiled");
    return;
  }
  const auto files = BuildLibrary(TestSpec());
  REQUIRE(files.ok());
  std::string pattern =
      (std::filesystem::temp_directory_path() / "tessera-header-test-XXXXXX").string();
  REQUIRE(mkdtemp(pattern.data()) != nullptr);
  const auto write_file = [&](const char* name, const std::string& bytes) {
    std::ofstream(pattern + "/" + name, std::ios::binary) << bytes;
  };
  write_file("ops.h", files->header());
  write_file("libops.so", files->shared_object());
  write_file("main.c",
             "#include \"ops.h\"\n#include <stdio.h>\n"
             "static char stored[conv_X_BYTES == 8 * 7 * 7 * 4 ? 1 : -1];\n"
             "int main(void) { (void)stored; puts(tessera_ops_version());\n"
             "  return product(NULL, NULL, NULL) == TESSERA_OPS_NULL_POINTER ? 0 : 1; }\n");
  CAPTURE(files->header());
  REQUIRE(std::system(("cd " + pattern +
                       " && cc -std=c99 -Wall -Wextra -Werror main.c -o main -L. -lops "
                       "-Wl,-rpath,. && ./main >/dev/null && cc -x c++ -Wall -Werror "
                       "-fsyntax-only ops.h -Wno-pragma-once-outside-header")
                          .c_str()) == 0);
  std::filesystem::remove_all(pattern);
}

TEST_CASE("libraries for ARM CPUs link", "[library]") {
  for (const char* target : {"aarch64/neon threads=2", "arm/neon threads=2"}) {
    const auto files = BuildLibrary(SpecFor({target}));
    if (files.status().code() == absl::StatusCode::kFailedPrecondition) {
      WARN(files.status().ToString());
      continue;
    }
    CAPTURE(target, files.status());
    REQUIRE(files.ok());
    REQUIRE(Needed(files->shared_object()) == std::vector<std::string>{"libc.so.6"});
  }
}

}  // namespace tessera::library
