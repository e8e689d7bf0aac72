#include "worker/builder/builder.h"

#include <catch2/catch.hpp>

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <set>

#include "base/rng.h"
#include "compiler/ir/type.h"
#include "compiler/runtime/thread_pool.h"
#include "compiler/schedule/default_trace.h"
#include "compiler/schedule/trace.h"
#include "proto/limits.h"
#include "tests/compiler/codegen/loaded_kernel.h"
#include "tests/support/reference_check.h"
#include "tests/worker/builder/requests.h"

namespace tessera::builder {
namespace {

// Without the handlers that Catch has installed.
TEST_CASE("build child", "[.][build-child]") {
  for (const int signal : {SIGINT, SIGILL, SIGFPE, SIGSEGV, SIGTERM, SIGABRT}) {
    std::signal(signal, SIG_DFL);
  }
  _exit(BuildChildMain(kBuildChildDescriptor));
}

// The artifact's parameters as its description states them.
ir::Program DescribedProgram(const proto::Artifact& artifact) {
  ir::Program program;
  for (const proto::BufferSpec& spec : artifact.buffers) {
    auto buffer = std::make_shared<ir::BufferNode>();
    buffer->name = spec.name;
    buffer->type = ir::ParseType(spec.type).value();
    buffer->shape = spec.shape;
    for (const auto& dim : spec.layout) {
      buffer->layout.push_back({dim.axis, dim.divisor, dim.extent});
    }
    program.params.push_back(std::move(buffer));
  }
  return program;
}

// Loads a shared object and calls its kernel on what the artifact says it needs.
absl::Status RunArtifact(const agent::BuildOutput& output,
                         absl::Span<const absl::Span<std::byte>> params) {
  const proto::Artifact& artifact = output.result.artifact;
  const int file = memfd_create("kernel", MFD_CLOEXEC);
  REQUIRE(write(file, output.bytes.data(), output.bytes.size()) ==
          static_cast<ssize_t>(output.bytes.size()));
  void* handle = dlopen(absl::StrCat("/proc/self/fd/", file).c_str(), RTLD_NOW | RTLD_LOCAL);
  close(file);
  if (handle == nullptr) return absl::InternalError(dlerror());
  auto kernel = reinterpret_cast<tessera_kernel>(dlsym(handle, artifact.symbol.c_str()));
  if (kernel == nullptr) return absl::InternalError("no symbol");
  std::vector<codegen::AlignedBytes> copies;
  std::vector<void*> pointers;
  for (const auto& bytes : params) {
    copies.emplace_back(bytes.size());
    std::memcpy(copies.back().data(), bytes.data(), bytes.size());
    pointers.push_back(copies.back().data());
  }
  for (const int64_t bytes : artifact.prepared_bytes) {
    copies.emplace_back(static_cast<size_t>(bytes));
    pointers.push_back(copies.back().data());
  }
  const codegen::AlignedBytes workspace(
      static_cast<size_t>(artifact.shared_workspace_bytes + artifact.private_workspace_bytes));
  tessera_launcher launcher = {codegen::RunInOrder, 1};
  if (!artifact.prepare_symbol.empty()) {
    auto prepare = reinterpret_cast<tessera_kernel>(dlsym(handle, artifact.prepare_symbol.c_str()));
    if (prepare == nullptr) return absl::InternalError("no symbol to prepare with");
    prepare(pointers.data(), workspace.data(), &launcher);
  }
  kernel(pointers.data(), workspace.data(), &launcher);
  bool intact = workspace.GuardsIntact();
  for (const codegen::AlignedBytes& copy : copies) intact &= copy.GuardsIntact();
  for (size_t i = 0; i < params.size(); ++i) {
    std::memcpy(params[i].data(), copies[i].data(), params[i].size());
  }
  dlclose(handle);
  return intact ? absl::OkStatus() : absl::InternalError("guard bytes were overwritten");
}

TEST_CASE("a built artifact is what its description says and computes what the evaluator does",
          "[builder]") {
  constexpr uint64_t kSeed = 11;
  CAPTURE(kSeed);
  const auto builder = MakeBuilder();
  for (const te::Workload& workload :
       {SmallConvolution(), MakeWorkload({"soft", "softmax", {{"m", "5"}, {"n", "17"}}}),
        MakeWorkload({"mm", "matmul", {{"m", "9"}, {"n", "32"}, {"k", "24"}, {"bias", "true"}}})}) {
    CAPTURE(workload.name);
    const auto expected = te::ComputeExpected(workload, kSeed);
    REQUIRE(expected.ok());
    const space::ConfigSpace space = SpaceOf(workload);
    Rng rng(kSeed);
    std::vector<proto::BuildRequest> requests = {RequestFor(workload)};
    for (int i = 0; i < 4; ++i) requests.push_back(SampledRequest(workload, space, rng));
    if (workload.name == "small") {
      requests.push_back(RequestFor(workload));
      requests.back().trace = "trace 1\nwinograd conv 4\n";
    }
    for (const proto::BuildRequest& request : requests) {
      CAPTURE(request.trace);
      const agent::BuildOutput output = builder->Build(request, -1);
      INFO(output.result.reason);
      REQUIRE(output.result.outcome == db::Outcome::kOk);
      CHECK(output.result.fence == request.fence);
      CHECK(output.result.build_seconds > 0);
      CHECK(output.result.artifact.digest == Sha256Hex(output.bytes));
      CHECK(output.result.artifact.size == static_cast<int64_t>(output.bytes.size()));
      if (!request.loop_hash.empty()) CHECK(output.result.loop_hash == request.loop_hash);
      const ir::Program program = DescribedProgram(output.result.artifact);
      REQUIRE(program.params.size() == workload.dag.inputs.size() + workload.dag.outputs.size());
      for (size_t i = 0; i < workload.dag.inputs.size(); ++i) {
        CHECK_FALSE(output.result.artifact.buffers[i].is_output);
        CHECK(output.result.artifact.buffers[i].is_constant == workload.dag.inputs[i].is_constant);
      }
      CHECK(output.result.artifact.buffers.back().is_output);
      const std::vector<proto::Tolerance>& own = output.result.artifact.tolerances;
      CHECK(own.empty() == output.result.artifact.prepare_symbol.empty());
      te::ErrorFactors factors;
      if (!own.empty()) {
        factors["conv"] = own[0].absolute / te::OutputTolerance(workload.dag, 0).absolute;
      }
      const absl::Status compared = te::CheckAgainst(
          workload, *expected, {.program = program, .error_factors = factors},
          [&](const ir::Program&, auto params) { return RunArtifact(output, params); });
      INFO(compared);
      CHECK(compared.ok());
    }
  }
}

TEST_CASE("a reference carries tolerances and the evaluator's values", "[builder]") {
  const te::Workload workload = SmallConvolution();
  const auto expected = te::ComputeExpected(workload, 5);
  REQUIRE(expected.ok());
  proto::BuildRequest request = RequestFor(workload);
  request.is_reference = true;
  request.seed = 5;
  request.sample_count = 32;
  const agent::BuildOutput output = MakeBuilder()->Build(request, 0);
  INFO(output.result.reason);
  REQUIRE(output.result.outcome == db::Outcome::kOk);
  REQUIRE(output.result.tolerances.size() == 1);
  CHECK(output.result.tolerances[0].absolute > 0);
  REQUIRE(output.result.samples.size() == 32);
  for (const proto::OracleSample& sample : output.result.samples) {
    CHECK(sample.value == expected->outputs[sample.output][sample.index]);
  }
}

TEST_CASE("equal programs give equal bytes whatever child builds them and whatever they are called",
          "[builder]") {
  te::Workload workload = SmallConvolution();
  Rng rng(3);
  proto::BuildRequest request = SampledRequest(workload, SpaceOf(workload), rng);
  const auto builder = MakeBuilder();
  const agent::BuildOutput first = builder->Build(request, -1);
  REQUIRE(first.result.outcome == db::Outcome::kOk);
  CHECK(builder->Build(request, -1).bytes == first.bytes);
  CHECK(MakeBuilder()->Build(request, -1).bytes == first.bytes);
  workload.name = "another";
  request.workload = te::Print(workload);
  CHECK(builder->Build(request, -1).bytes == first.bytes);
}

TEST_CASE("another loop hash than the server's is not the candidate's fault", "[builder]") {
  proto::BuildRequest request = RequestFor(SmallConvolution());
  request.loop_hash = "0123456789abcdef";
  const agent::BuildOutput output = MakeBuilder()->Build(request, -1);
  CHECK(output.result.outcome == db::Outcome::kInfrastructure);
  CHECK(output.result.loop_hash.size() == 16);
  CHECK_THAT(output.result.reason, Catch::Contains("expects 0123456789abcdef") &&
                                       Catch::Contains(output.result.loop_hash));
  CHECK(output.bytes.empty());
}

TEST_CASE("malformed texts are refused with a reason and do not cost the child", "[builder]") {
  const auto builder = MakeBuilder();
  const std::vector<pid_t> children = builder->children();
  const proto::BuildRequest good = RequestFor(SmallConvolution());
  const auto outcome = [&](const proto::BuildRequest& request, const std::string& words) {
    const agent::BuildOutput output = builder->Build(request, -1);
    CHECK_THAT(output.result.reason, Catch::Contains(words));
    CHECK(output.result.reason.size() <= 4096);
    CHECK(output.bytes.empty());
    return output.result.outcome;
  };
  auto request = good;
  request.workload = "workload x\nstage nonsense";
  CHECK(outcome(request, "workload") == db::Outcome::kInfrastructure);
  request = good;
  request.target = "x86/mmx";
  CHECK(outcome(request, "target") == db::Outcome::kInfrastructure);
  request = good;
  request.threads = 0;
  CHECK(outcome(request, "threads") == db::Outcome::kInfrastructure);
  request = good;
  request.max_seconds = std::nan("");
  CHECK(outcome(request, "max_seconds") == db::Outcome::kInfrastructure);
  request = good;
  request.trace = "trace 1\nsplit conv";
  CHECK(outcome(request, "trace") == db::Outcome::kBuildError);
  request = good;
  request.trace = "trace 1\nsplit nowhere w 4\n";
  CHECK(outcome(request, "nowhere") == db::Outcome::kBuildError);
  request = good;
  request.trace = "trace 1\nsplit " + std::string(100'000, 'x') + " w 4\n";
  CHECK(outcome(request, "trace") == db::Outcome::kBuildError);
  CHECK(builder->Build(good, -1).result.outcome == db::Outcome::kOk);
  CHECK(builder->children() == children);
}

// The sum of so many vectors, which are inputs or constants.
te::Workload SumOf(int inputs, const char* kind = "input") {
  std::string text = "workload sum\n", sum;
  for (int i = 0; i < inputs; ++i) {
    absl::StrAppend(&text, kind, " X", i, ": f32[8]\n");
    absl::StrAppend(&sum, i == 0 ? "" : " + ", "X", i, "[n]");
  }
  absl::StrAppend(&text, "stage total: f32[n:8] = ", sum, "\noutput total\n");
  const auto workload = te::ParseWorkload(text);
  INFO(workload.status());
  REQUIRE(workload.ok());
  return *workload;
}

TEST_CASE("a kernel with more buffers than a runner passes is refused with count and limit",
          "[builder]") {
  const auto builder = MakeBuilder();
  const agent::BuildOutput most = builder->Build(RequestFor(SumOf(63)), -1);
  INFO(most.result.reason);
  CHECK(most.result.outcome == db::Outcome::kOk);
  const agent::BuildOutput more = builder->Build(RequestFor(SumOf(64)), -1);
  CHECK(more.result.outcome == db::Outcome::kBuildError);
  CHECK(
      more.result.reason ==
      "the operator has 65 inputs and outputs; at most 64 can be passed to a kernel, so split it");
  CHECK(more.bytes.empty());
}

TEST_CASE("what a runner can't be given beside its inputs is computed from constants in each run",
          "[builder]") {
  const te::Workload workload = SumOf(40, "const");
  proto::BuildRequest request = RequestFor(workload);
  request.trace = "trace 1\n";
  for (int i = 0; i < 40; ++i) absl::StrAppend(&request.trace, "cache_read X", i, " total\n");
  const agent::BuildOutput output = MakeBuilder()->Build(request, -1);
  INFO(output.result.reason);
  REQUIRE(output.result.outcome == db::Outcome::kOk);
  const proto::Artifact& artifact = output.result.artifact;
  CHECK(artifact.buffers.size() + artifact.prepared_bytes.size() == proto::kMaxBuffers);
  const auto expected = te::ComputeExpected(workload, 7);
  REQUIRE(expected.ok());
  const absl::Status compared = te::CheckAgainst(
      workload, *expected, {.program = DescribedProgram(artifact)},
      [&](const ir::Program&, auto params) { return RunArtifact(output, params); });
  INFO(compared);
  CHECK(compared.ok());
}

TEST_CASE("a library has its files, and the same selection gives the same bytes", "[builder]") {
  const auto builder = MakeBuilder();
  const te::Workload convolution = SmallConvolution();
  const te::Workload product =
      MakeWorkload({"mm", "matmul", {{"m", "9"}, {"n", "32"}, {"k", "24"}}});
  Rng rng(3);
  proto::LibraryRequest request;
  request.fence = 9;
  request.name = "net";
  request.selection.id = 1;
  request.selection.name = "net";
  for (const te::Workload* workload : {&convolution, &product}) {
    db::SelectionItem item;
    item.op = workload->name;
    item.task.name = workload->name;
    item.task.workload = te::Print(*workload);
    item.task.workload_hash = HashToHex(te::StructuralHash(workload->dag));
    item.task.target = ir::ToString(TestTarget());
    item.device_class = "x86/test";
    request.selection.items.push_back(std::move(item));
  }
  request.selection.items[0].trace = SampledRequest(convolution, SpaceOf(convolution), rng).trace;
  request.selection.items[0].record_id = 42;
  request.selection.items[0].seconds = 1e-5;

  const agent::LibraryOutput library = builder->BuildLibrary(request, {}, -1);
  INFO(library.error);
  REQUIRE(library.error.empty());
  REQUIRE(library.files.size() == 6);
  CHECK(library.files[0].first == "libnet.so");
  CHECK(library.files[1].first == "net.h");
  CHECK(library.files[2].first == "manifest.json");
  CHECK(library.files[3].first == "tessera_netConfig.cmake");
  CHECK_THAT(library.files[1].second, Catch::Contains("int mm("));
  CHECK_THAT(library.files[2].second, Catch::Contains("42"));
  CHECK(builder->BuildLibrary(request, {}, -1).files == library.files);

  SECTION("a static library comes on demand, beside the same shared one") {
    request.static_library = true;
    const agent::LibraryOutput both = builder->BuildLibrary(request, {}, -1);
    INFO(both.error);
    REQUIRE(both.files.size() == 7);
    CHECK(both.files[0] == library.files[0]);
    CHECK(both.files[3].first == "libnet.a");
    CHECK(both.files[3].second.starts_with("!<arch>\n"));
  }
  SECTION("an operator that lacks a version is refused by name") {
    request.selection.items[1].task.target = "x86/sse4.2";
    CHECK_THAT(builder->BuildLibrary(request, {}, -1).error,
               Catch::Contains("small: it is missing for target x86/sse4.2"));
  }
  SECTION("an operator that is there twice is refused by name") {
    request.selection.items.push_back(request.selection.items[1]);
    CHECK_THAT(builder->BuildLibrary(request, {}, -1).error,
               Catch::Contains("mm: it is there twice"));
  }
  SECTION("items of several targets become versions, and the order does not matter") {
    for (size_t i = 0; i < 2; ++i) {
      db::SelectionItem item = request.selection.items[i];
      item.task.target = "x86/sse4.2";
      item.device_class = "x86/old";
      item.record_id = 0;
      item.seconds = 0;
      // In the layouts of the other version, as a selection names them.
      if (i == 0) {
        const auto trace = schedule::ParseTrace(item.trace).value();
        schedule::Trace rest;
        for (const schedule::Step& step : trace) {
          const auto is_it = [&](const ir::Buffer& buffer) { return buffer->name == step.stage; };
          const bool is_shared =
              is_it(convolution.dag.inputs[0].buffer) || is_it(convolution.dag.outputs[0]);
          if (step.primitive == schedule::Primitive::kLayout && is_shared) rest.push_back(step);
        }
        const auto made =
            schedule::DefaultTrace(convolution.dag, ir::ParseTarget("x86/sse4.2").value());
        rest.insert(rest.end(), made->begin(), made->end());
        item.trace = schedule::Print(rest);
      }
      request.selection.items.push_back(std::move(item));
    }
    const agent::LibraryOutput versions = builder->BuildLibrary(request, {}, -1);
    INFO(versions.error);
    REQUIRE(versions.error.empty());
    CHECK_THAT(versions.files[1].second,
               Catch::Contains("sse4.2: safe default schedule, not tuned"));
    CHECK_THAT(versions.files[2].second,
               Catch::Contains("\"x86/old\"") && Catch::Contains("\"x86/test\""));
    CHECK(builder->BuildLibrary(request, {}, -1).files == versions.files);
    std::swap(request.selection.items[1], request.selection.items[2]);
    CHECK(builder->BuildLibrary(request, {}, -1).files == versions.files);
  }
  SECTION("a workload that is not the recorded one is refused") {
    request.selection.items[1].task.workload_hash = "0123456789abcdef";
    CHECK_THAT(builder->BuildLibrary(request, {}, -1).error,
               Catch::Contains("mm: workload hash") && Catch::Contains("0123456789abcdef"));
  }
  SECTION("a trace that does not apply is refused") {
    request.selection.items[0].trace = "trace 1\nsplit nowhere w 4\n";
    CHECK_THAT(builder->BuildLibrary(request, {}, -1).error, Catch::Contains("nowhere"));
  }
}

}  // namespace
}  // namespace tessera::builder
