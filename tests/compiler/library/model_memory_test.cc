// What a model takes of memory and time to be created and to run, seen by a program that uses it.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/compiler/library/model_fixture.h"
#include "tests/support/temporary_directory.h"

namespace tessera::library {
namespace {

// Prints what creating the model allocated and took, how often runs of two threads allocated, the
// first of each among them, how many threads runs started, and the largest memory of the process.
constexpr char kProgram[] = R"(
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include "net.h"
static _Atomic long allocations, bytes;
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
static size_t Count(size_t n) { ++allocations; bytes += (long)n; return n; }
void* malloc(size_t n) { return __libc_malloc(Count(n)); }
void* calloc(size_t n, size_t size) { return __libc_calloc(Count(n * size) / size, size); }
void* realloc(void* p, size_t n) { return __libc_realloc(p, Count(n)); }
void* aligned_alloc(size_t a, size_t n) { return __libc_memalign(a, Count(n)); }
static _Alignas(64) float x[net_x_BYTES / 4], y[2][OUTPUT_BYTES / 4];
static net* model;
static long of_runs;
static int failed;
static void* Run(void* result) {
  void* workspace = aligned_alloc(64, (net_workspace_bytes() + 63) / 64 * 64);
  const long before = allocations;
  for (int i = 0; i < RUNS; ++i) failed |= net_run(model, x, result, workspace);
  of_runs += allocations - before;
  free(workspace);
  return NULL;
}
static int Threads(void) {
  int count = 0;
  DIR* threads = opendir("/proc/self/task");
  while (readdir(threads) != NULL) ++count;
  closedir(threads);
  return count;
}
int main(void) {
  for (size_t i = 0; i < sizeof(x) / sizeof(x[0]); ++i) x[i] = (float)(i % 5) / 4;
  struct timespec begin, end;
  const long before = bytes;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  if (net_create(&model)) return 1;
  clock_gettime(CLOCK_MONOTONIC, &end);
  const long of_create = bytes - before;
  const int threads = Threads();
  Run(y[0]);
  const int more = Threads() - threads;
  pthread_t thread;
  if (pthread_create(&thread, NULL, Run, y[1]) || pthread_join(thread, NULL) || failed) return 2;
  for (size_t i = 0; i < OUTPUT_BYTES / 4; ++i) failed |= y[0][i] != y[1][i];
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("%ld %ld %d %ld %ld\n", of_create, of_runs, more,
         (end.tv_sec - begin.tv_sec) * 1000000 + (end.tv_nsec - begin.tv_nsec) / 1000,
         usage.ru_maxrss);
  net_destroy(model);
  return failed;
}
)";

struct Usage {
  int64_t create_bytes = -1;
  int64_t run_allocations = -1;
  int64_t threads_of_runs = -1;
  int64_t create_microseconds = -1;
  int64_t peak_kilobytes = -1;
};

bool HasCompiler() { return std::system("cc --version >/dev/null 2>&1") == 0; }

Usage UsageOf(const LibraryFiles& files, int64_t output_bytes, int runs) {
  const test::TemporaryDirectory folder;
  const auto write_file = [&](const std::string& name, const std::string& bytes) {
    std::ofstream(absl::StrCat(folder.path, "/", name), std::ios::binary) << bytes;
  };
  for (const LibraryFile& file : files.files) write_file(file.name, file.bytes);
  write_file("main.c", kProgram);
  REQUIRE(std::system(absl::StrCat("cd ", folder.path, " && cc -std=c11 -Wall -O1 -DRUNS=", runs,
                                   " -DOUTPUT_BYTES=", output_bytes,
                                   " main.c -o main -L. -lnet -Wl,-rpath,. -pthread && ./main >out")
                          .c_str()) == 0);
  std::ifstream file(folder.path + "/out");
  Usage usage;
  file >> usage.create_bytes >> usage.run_allocations >> usage.threads_of_runs >>
      usage.create_microseconds >> usage.peak_kilobytes;
  return usage;
}

}  // namespace

TEST_CASE(
    "runs of a model allocate nothing and start no thread, and a library of one version has "
    "its weights packed",
    "[library]") {
  if (!HasCompiler()) {
    WARN("no C compiler `cc` on this machine: a model's allocations are not counted");
    return;
  }
  const int64_t width = 256, weights = width * width * 4;
  const graph::Plan plan = LayersPlan(2, width);
  const auto files = BuildLibrary(SpecOf(plan));
  INFO(files.status());
  REQUIRE(files.ok());
  const auto model = nlohmann::json::parse(files->manifest())["model"];
  // Operators need memory to work in.
  REQUIRE(model["workspace_bytes"].get<int64_t>() >= plan.arena_bytes + 64);
  CHECK(model["packed_bytes"] == 0);
  CHECK(model["steps"][0]["packed"] == "in the library");
  const Usage usage = UsageOf(*files, width * 4, 100);
  CHECK(usage.run_allocations == 0);
  CHECK(usage.threads_of_runs == 0);
  CHECK(usage.create_bytes >= 0);
  CHECK(usage.create_bytes < weights / 4);
  if (codegen::HostTarget().kind != ir::TargetKind::kX86) return;
  const auto several = BuildLibrary(SpecOf(plan, {"x86/sse4.2 threads=2", "x86/avx2 threads=2"}));
  INFO(several.status());
  REQUIRE(several.ok());
  CHECK(nlohmann::json::parse(several->manifest())["model"]["packed_bytes"] == 2 * weights);
  const Usage packing = UsageOf(*several, width * 4, 100);
  CHECK(packing.run_allocations == 0);
  CHECK(packing.create_bytes >= 2 * weights);
}

TEST_CASE("steps of the same operator and constants share what is packed of them", "[library]") {
  const int64_t bytes = 64 * 64 * 4;
  // Two layers of the same weights, or of others.
  const auto plan_of = [](bool is_shared) {
    const ir::Type f32 = ir::ParseType("f32").value();
    graph::GraphBuilder builder("net");
    int value = builder.Input("x", {f32, {1, 64}, {}}).value();
    int w = -1;
    for (int layer = 0; layer < 2; ++layer) {
      if (w < 0 || !is_shared) {
        const std::vector<double> weights(64 * 64, 0.5 + layer);
        w = builder.Constant("w", graph::MakeTensor(f32, {64, 64}, weights)).value();
      }
      value = builder.Add("matmul", {value, w}, {{"transpose_b", int64_t{1}}}).value();
      value = builder.Add("softmax", {value}).value();
    }
    return graph::MakePlan(std::move(builder).Finish({value})).value();
  };
  const auto shared = BuildLibrary(SpecOf(plan_of(true)));
  const auto other = BuildLibrary(SpecOf(plan_of(false)));
  REQUIRE(shared.ok());
  REQUIRE(other.ok());
  CHECK(other->shared_object().size() >= shared->shared_object().size() + bytes);
  if (codegen::HostTarget().kind != ir::TargetKind::kX86) return;
  const auto several =
      BuildLibrary(SpecOf(plan_of(true), {"x86/sse4.2 threads=2", "x86/avx2 threads=2"}));
  REQUIRE(several.ok());
  CHECK(nlohmann::json::parse(several->manifest())["model"]["packed_bytes"] == bytes);
}

// What packing in advance gains, on 48 MiB of weights: prints figures.
TEST_CASE("creating a model of many weights", "[.][measure]") {
  if (!HasCompiler() || codegen::HostTarget().kind != ir::TargetKind::kX86) return;
  const graph::Plan plan = LayersPlan(12, 1024);
  for (const auto& targets :
       std::vector<std::vector<std::string>>{{HostText()}, {HostText(), "x86/sse4.2 threads=2"}}) {
    const auto files = BuildLibrary(SpecOf(plan, targets));
    REQUIRE(files.ok());
    const Usage usage = UsageOf(*files, 1024 * 4, 1);
    WARN(targets.size() << " versions: created in " << usage.create_microseconds
                        << " us, allocating " << usage.create_bytes << " bytes; peak "
                        << usage.peak_kilobytes << " KiB after a run of two threads");
  }
}

}  // namespace tessera::library
