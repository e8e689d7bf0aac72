// What a call of an operator costs besides its kernel, seen by a program that uses the library.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "compiler/codegen/codegen.h"
#include "compiler/library/library.h"
#include "compiler/te/operators.h"
#include "tests/support/temporary_directory.h"

namespace tessera::library {
namespace {

// Prints how often a hundred calls after the first allocated, how many threads beside the caller
// may run on one core only, and how many cores the process has.
constexpr char kProgram[] = R"(
#define _GNU_SOURCE
#include <dirent.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "ops.h"
static _Atomic long allocations;
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void* malloc(size_t n) { ++allocations; return __libc_malloc(n); }
void* calloc(size_t n, size_t size) { ++allocations; return __libc_calloc(n, size); }
void* realloc(void* p, size_t n) { ++allocations; return __libc_realloc(p, n); }
void* aligned_alloc(size_t a, size_t n) { ++allocations; return __libc_memalign(a, n); }
static _Alignas(64) float x[conv_X_BYTES / 4], w[4 * 4 * 9], y[OUTPUT_BYTES / 4];
static int Cores(int thread) {
  cpu_set_t allowed;
  return sched_getaffinity(thread, sizeof(allowed), &allowed) == 0 ? CPU_COUNT(&allowed) : -1;
}
int main(void) {
  void* weights = aligned_alloc(64, (conv_packed_bytes() + 63) / 64 * 64);
  if (conv_pack_weights(w, weights) || tessera_ops_set_threads(2)) return 1;
  for (int call = 0; call < 3; ++call) if (conv(x, weights, y)) return 2;
  const long before = allocations;
  for (int call = 0; call < 100; ++call) if (conv(x, weights, y)) return 2;
  const long after = allocations;
  if (before < 2) return 3;
  // A thread that has not begun yet is not pinned yet; its caller ran what was its share.
  int pinned = 0;
  const int waits = getenv("TESSERA_PIN")[0] == '1' ? 1000 : 1;
  for (int wait = 0; wait < waits && pinned == 0; ++wait) {
    if (wait > 0) usleep(10000);
    DIR* threads = opendir("/proc/self/task");
    for (struct dirent* entry; (entry = readdir(threads)) != NULL;) {
      const int thread = atoi(entry->d_name);
      if (thread != 0 && thread != getpid() && Cores(thread) == 1) ++pinned;
    }
    closedir(threads);
  }
  printf("%ld %d %d\n", after - before, pinned, Cores(0));
  return 0;
}
)";

}  // namespace

TEST_CASE("calls allocate nothing after a thread's first, and threads are pinned if asked to be",
          "[library]") {
  if (std::system("cc --version >/dev/null 2>&1") != 0) {
    WARN("no C compiler `cc` on this machine: the library's allocations are not counted");
    return;
  }
  const auto workload = te::MakeWorkload(
      {"conv", "conv2d", {{"ic", "4"}, {"oc", "4"}, {"size", "12"}, {"k", "3"}, {"pad", "1"}}});
  REQUIRE(workload.ok());
  ir::Target target = codegen::HostTarget();
  target.max_threads = 2;
  LibrarySpec spec;
  spec.versions.push_back({target, "test device"});
  spec.ops.push_back({});
  spec.ops[0].name = "conv";
  spec.ops[0].workload = *workload;
  spec.ops[0].versions.push_back({});  // the padded input at the root, in the workspace
  spec.ops[0].versions[0].trace = schedule::ParseTrace(
                                      "trace 1\nparallel pad n\nreorder conv oc n oh ow ic kh kw\n"
                                      "parallel conv oc\n")
                                      .value();
  const auto files = BuildLibrary(spec);
  INFO(files.status());
  REQUIRE(files.ok());
  REQUIRE(files->manifest().find("\"shared_workspace_bytes\": 0") == std::string::npos);
  const test::TemporaryDirectory folder;
  const auto write_file = [&](const char* name, const std::string& bytes) {
    std::ofstream(absl::StrCat(folder.path, "/", name), std::ios::binary) << bytes;
  };
  write_file("ops.h", files->header());
  write_file("libops.so", files->shared_object());
  write_file("main.c", kProgram);
  REQUIRE(std::system(absl::StrCat("cd ", folder.path, " && cc -std=c11 -Wall -O1 -DOUTPUT_BYTES=",
                                   4 * 12 * 12 * 4, " main.c -o main -L. -lops -Wl,-rpath,.")
                          .c_str()) == 0);
  for (const bool pins : {false, true}) {
    CAPTURE(pins);
    REQUIRE(std::system(absl::StrCat("cd ", folder.path, " && env TESSERA_PIN=", pins ? 1 : 0,
                                     " ./main > out")
                            .c_str()) == 0);
    std::ifstream file(folder.path + "/out");
    int allocations = -1, pinned = -1, cores = 0;
    file >> allocations >> pinned >> cores;
    CHECK(allocations == 0);
    if (cores > 1) CHECK(pinned == (pins ? 1 : 0));
  }
}

}  // namespace tessera::library
