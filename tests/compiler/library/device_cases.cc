#include "tests/compiler/library/device_cases.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "tests/compiler/library/device_fixture.h"
#include "tests/compiler/library/elf.h"
#include "tests/support/temporary_directory.h"

namespace tessera::library {
namespace {

using Text = const char* (*)();

void CheckRunsOnCpu(const Library& library, const LibrarySpec& spec, const std::string& why) {
  CHECK(library.Find<Text>("tessera_gpu_device")() == nullptr);
  CHECK_THAT(library.Find<Text>("tessera_gpu_fallback")(), Catch::Contains(why));
  CheckHostCalls(library, spec);
}

}  // namespace

LibrarySpec ForCpu(LibrarySpec spec, const std::string& target) {
  spec.versions = {{ir::ParseTarget(target).value(), ""}};
  for (LibraryOp& op : spec.ops) op.versions = {DefaultFor(op.workload, spec.versions[0].target)};
  return spec;
}

void CheckRunsOnDevice(const Library& library, const LibrarySpec& spec) {
  const auto fallback = library.Find<Text>("tessera_gpu_fallback");
  INFO((fallback() == nullptr ? "" : fallback()));
  REQUIRE(library.Find<Text>("tessera_gpu_device")() != nullptr);
  CHECK(fallback() == nullptr);
  CheckHostCalls(library, spec);
}

void CheckFallsBack(const LibrarySpec& spec,
                    const std::vector<std::pair<std::string, std::string>>& wanted_and_why) {
  const Environment quiet("TESSERA_QUIET", "1");
  for (const auto& [wanted, why] : wanted_and_why) {
    CAPTURE(wanted);
    const Environment device("TESSERA_DEVICE", wanted.c_str());
    CheckRunsOnCpu(Library(Build(spec).shared_object()), spec, why);
  }
}

LibraryFiles CheckFiles(const LibrarySpec& spec, const std::string& kind) {
  LibraryFiles files = Build(spec);
  const LibraryFiles again = Build(spec);
  CHECK(files.shared_object() == again.shared_object());
  CHECK(files.header() == again.header());
  CHECK(files.manifest() == again.manifest());
  CHECK(Needed(files.shared_object()) == std::vector<std::string>{"libc.so.6"});

  const auto manifest = nlohmann::json::parse(files.manifest());
  CHECK(manifest["device"]["target"] == ir::ToString(spec.device->target));
  CHECK(manifest["device"]["device_class"] == "a device");
  const auto& soft = manifest["ops"][5]["device"];
  CHECK(soft["is_default"] == true);
  CHECK(soft["launches"][0]["kernel"] == "tessera_kernel_soft_0");
  const auto& winograd = manifest["ops"][4]["device"];
  CHECK(winograd["packing_launches"].size() > 0);
  CHECK(winograd["prepared"][0]["packed_offset"].get<int64_t>() % TESSERA_DEVICE_ALIGNMENT == 0);

  std::vector<std::string> declared = {"tessera_gpu_set_threads",
                                       "tessera_gpu_version",
                                       "tessera_gpu_isa",
                                       "tessera_gpu_device",
                                       "tessera_gpu_fallback",
                                       absl::StrCat("tessera_gpu_", kind, "_create"),
                                       absl::StrCat("tessera_gpu_", kind, "_destroy")};
  for (const auto& op : manifest["ops"]) {
    for (const auto& function : op["functions"]) declared.push_back(function);
  }
  CHECK(std::ranges::count(declared, absl::StrCat("conv_", kind, "_pack_weights")) == 1);
  for (const std::string& name : declared) {
    CAPTURE(name);
    CHECK(files.header().find(" " + name + "(") != std::string::npos);
  }
  std::ranges::sort(declared);
  CHECK(Exported(files.shared_object()) == declared);
  return files;
}

void CheckHeaderCompiles(const LibrarySpec& spec, const std::string& driver,
                         const std::string& call) {
  if (std::system("cc --version >/dev/null 2>&1") != 0) {
    WARN("no C compiler `cc` on this machine: the header is not compiled");
    return;
  }
  const test::TemporaryDirectory folder;
  const LibraryFiles files = Build(spec);
  CAPTURE(files.header());
  std::ofstream(folder.path + "/ops.h") << files.header();
  std::ofstream(folder.path + "/alone.c") << "#include \"ops.h\"\n";
  std::ofstream(folder.path + "/before.c") << driver << "#include \"ops.h\"\n" << call;
  std::ofstream(folder.path + "/behind.c") << "#include \"ops.h\"\n" << driver << call;
  for (const char* compiler : {"cc -std=c99 -pedantic", "cc -x c++ -std=c++11"}) {
    CAPTURE(compiler);
    CHECK(std::system(absl::StrCat("cd ", folder.path, " && ", compiler,
                                   " -Wall -Wextra -Werror -fsyntax-only alone.c before.c behind.c")
                          .c_str()) == 0);
  }
}

void CheckLinksForAArch64(const LibrarySpec& spec) {
  const auto files = BuildLibrary(ForCpu(spec, "aarch64/neon"));
  if (files.status().code() == absl::StatusCode::kFailedPrecondition) {
    WARN(files.status().ToString());
    return;
  }
  INFO(files.status());
  REQUIRE(files.ok());
  CHECK(Needed(files->shared_object()) == std::vector<std::string>{"libc.so.6"});
}

void CheckRefused(
    const std::vector<std::pair<LibrarySpec, std::string>>& refused,
    absl::FunctionRef<int(const Library&, void** kernels, char* log, size_t log_bytes)> create) {
  const Environment quiet("TESSERA_QUIET", "1");
  for (const auto& [spec, why] : refused) {
    CAPTURE(why);
    const Library library(Build(spec).shared_object());
    char log[256];
    void* kernels = nullptr;
    CHECK(create(library, &kernels, log, sizeof(log)) == TESSERA_OPS_DEVICE_LIMITS);
    CHECK(kernels == nullptr);
    CHECK_THAT(log, Catch::Contains(why));
    CheckRunsOnCpu(library, spec, why);
  }
}

}  // namespace tessera::library
