// Programs that call libraries of others, evaluated and, where the library is installed, run.

#include <catch2/catch.hpp>

#include "base/third_party.h"
#include "compiler/codegen/gpu/opencl.h"
#include "compiler/codegen/ptx.h"
#include "compiler/ir/parse.h"
#include "compiler/ir/print.h"
#include "compiler/ir/verify.h"
#include "compiler/schedule/default_trace.h"
#include "tests/compiler/codegen/loaded_kernel.h"
#include "tests/support/lower_schedule.h"
#include "tests/support/reference_check.h"
#include "tests/support/workloads.h"

namespace tessera::codegen {
namespace {

// Stays loaded. False, and says so, where it is not installed.
bool HasLibrary(std::string_view name) {
  const auto loaded = LoadThirdParty(*ThirdPartyNamed(name));
  if (!loaded.ok()) WARN("not run: " << loaded.status().message());
  return loaded.ok();
}

// All test workloads that have something for it, with the trace.
std::vector<std::pair<te::Workload, schedule::Trace>> Calling(int threads,
                                                              std::string_view provider) {
  std::vector<std::pair<te::Workload, schedule::Trace>> found;
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    te::Workload workload = te::MakeWorkload(spec).value();
    ir::Target target = HostTarget();
    target.max_threads = threads;
    const auto trace = schedule::ExternalTrace(workload.dag, target, provider);
    if (trace.ok()) found.emplace_back(std::move(workload), *trace);
  }
  return found;
}

// Convolutions in every form that oneDNN is given, with what is around them.
std::vector<te::OpSpec> Convolutions() {
  using A = std::map<std::string, std::string>;
  std::vector<te::OpSpec> specs;
  const auto add = [&](const char* op, A attributes) {
    attributes.insert({{"h", "9"}, {"w", "9"}, {"kh", "3"}, {"kw", "3"}});
    specs.push_back({absl::StrCat("w", specs.size()), op, std::move(attributes)});
  };
  for (const char* layout : {"nchw", "any", "nchwc16"}) {
    add("conv2d", A{{"ic", "32"},
                    {"oc", "48"},
                    {"pad", "1"},
                    {"bias", "true"},
                    {"relu", "true"},
                    {"layout", layout}});
    add("conv2d", A{{"ic", "32"},
                    {"oc", "32"},
                    {"stride", "2"},
                    {"kh", "1"},
                    {"kw", "1"},
                    {"layout", layout}});
    add("depthwise_conv2d",
        A{{"c", "48"}, {"pad", "1"}, {"stride", "2"}, {"relu", "true"}, {"layout", layout}});
  }
  add("conv2d", A{{"ic", "3"},
                  {"oc", "32"},
                  {"pad", "3"},
                  {"stride", "2"},
                  {"kh", "7"},
                  {"kw", "7"},
                  {"h", "20"},
                  {"w", "23"},
                  {"relu", "true"}});
  add("conv2d",
      A{{"n", "3"}, {"ic", "64"}, {"oc", "64"}, {"groups", "2"}, {"pad", "2"}, {"dilation", "2"}});
  add("conv2d", A{{"ic", "5"}, {"oc", "7"}, {"pad", "1"}});
  return specs;
}

ir::Program LowerOne() {
  const te::Workload workload =
      te::MakeWorkload({"w", "matmul", {{"m", "8"}, {"n", "8"}, {"k", "8"}}}).value();
  return passes::LowerTrace(workload,
                            schedule::ParseTrace("trace 1\nexternal matmul openblas\n").value())
      ->program;
}

}  // namespace

TEST_CASE("calls of libraries have the values of the loops that they stand for", "[codegen]") {
  const std::string provider = GENERATE("openblas", "onednn");
  const bool runs = HasLibrary(provider);
  for (const int threads : {1, 3}) {
    const auto calling = Calling(threads, provider);
    CHECK(calling.size() >= 8);
    for (const auto& [workload, trace] : calling) {
      CAPTURE(provider, workload.name, threads, schedule::Print(trace));
      const auto expected = te::ComputeExpected(workload, 1);
      REQUIRE(expected.ok());
      const auto candidate = passes::LowerTrace(workload, trace);
      REQUIRE(candidate.ok());
      const absl::Status evaluated =
          te::CheckAgainst(workload, *expected, *candidate, ir::Evaluate);
      CHECK(evaluated.ToString() == "OK");
      if (!runs) continue;
      ir::Target target = HostTarget();
      target.max_threads = threads;
      const absl::Status ran =
          te::CheckAgainst(workload, *expected, *candidate,
                           [&](const ir::Program& p, absl::Span<const absl::Span<std::byte>> b) {
                             return RunCompiled(p, target, b, Checks::kNone);
                           });
      CHECK(ran.ToString() == "OK");
    }
  }
}

TEST_CASE("convolutions of oneDNN have the values of the loops that they stand for", "[codegen]") {
  const bool runs = HasLibrary("onednn");
  for (const te::OpSpec& spec : Convolutions()) {
    const te::Workload workload = te::MakeWorkload(spec).value();
    const auto expected = te::ComputeExpected(workload, 1);
    REQUIRE(expected.ok());
    for (const auto& [isa, threads] : {std::pair("avx512", 1), {"avx512", 3}, {"avx2", 1}}) {
      ir::Target target = ir::X86Target(isa).value();
      target.max_threads = threads;
      const auto trace = schedule::ExternalTrace(workload.dag, target, "onednn");
      CAPTURE(te::Print(workload), isa, threads, trace.status().ToString());
      REQUIRE(trace.ok());
      CAPTURE(schedule::Print(*trace));
      const auto candidate = passes::LowerTrace(workload, *trace);
      CAPTURE(candidate.status().ToString());
      REQUIRE(candidate.ok());
      CHECK(te::CheckAgainst(workload, *expected, *candidate, ir::Evaluate).ToString() == "OK");
      const ir::Target host = HostTarget();
      if (!runs || host.vector_bytes < target.vector_bytes) continue;
      const absl::Status ran =
          te::CheckAgainst(workload, *expected, *candidate,
                           [&](const ir::Program& p, absl::Span<const absl::Span<std::byte>> b) {
                             return RunCompiled(p, target, b, Checks::kNone);
                           });
      CHECK(ran.ToString() == "OK");
    }
  }
}

TEST_CASE("oneDNN's sums of integers are exact to the largest ones", "[codegen]") {
  const bool runs = HasLibrary("onednn") && HostTarget().Has("vnni");
  ir::Target target = ir::ParseTarget("x86/avx512,vnni").value();
  target.max_threads = 1;
  for (const char* type : {"u8", "i8"}) {
    const te::Workload workload =
        te::ParseWorkload(
            absl::StrCat("workload w\ninput A: ", type,
                         "[33,70]\ninput B: i8[65,70]\nstage C: i32[i:33, j:65] = "
                         "sum[k:70] (cast(i32, A[i, k]) * cast(i32, B[j, k]))\noutput C\n"))
            .value();
    const auto trace = schedule::ExternalTrace(workload.dag, target, "onednn").value();
    CAPTURE(type, schedule::Print(trace));
    const auto candidate = passes::LowerTrace(workload, trace).value();
    CHECK_FALSE(GenerateObject({candidate.program}, ir::X86Target("avx512").value()).ok());
    CHECK_FALSE(GenerateObject({candidate.program}, ir::ParseTarget("aarch64").value()).ok());
    // All of A the largest, B the least and the largest by turns of two: pairs of products would
    // saturate.
    const auto fill = [&](absl::Span<const absl::Span<std::byte>> buffers) {
      std::ranges::fill(buffers[0], std::byte{type[0] == 'u' ? uint8_t{255} : uint8_t{0x80}});
      for (size_t i = 0; i < buffers[1].size(); ++i) {
        buffers[1][i] = std::byte{i / 140 % 2 == 0 ? uint8_t{0x80} : uint8_t{0x7f}};
      }
    };
    const auto values = [&](const auto& run) {
      std::vector<AlignedBytes> memory;
      memory.emplace_back(33 * 70);
      memory.emplace_back(65 * 70);
      memory.emplace_back(33 * 65 * 4);
      std::vector<absl::Span<std::byte>> buffers;
      for (const AlignedBytes& bytes : memory) buffers.emplace_back(bytes.data(), bytes.size());
      fill(buffers);
      const absl::Status ran = run(candidate.program, buffers);
      CHECK(ran.ToString() == "OK");
      return std::vector<std::byte>(buffers[2].begin(), buffers[2].end());
    };
    const auto evaluated = values(ir::Evaluate);
    int32_t first;
    std::memcpy(&first, evaluated.data(), sizeof(first));
    CHECK(first == (type[0] == 'u' ? 255 : -128) * -128 * 70);
    if (!runs) continue;
    CHECK(values([&](const ir::Program& p, absl::Span<const absl::Span<std::byte>> b) {
            return RunCompiled(p, target, b, Checks::kNone);
          }) == evaluated);
  }
}

TEST_CASE("threads that are in a library at once don't disturb each other", "[codegen]") {
  const std::string provider = GENERATE("openblas", "onednn");
  if (!HasLibrary(provider)) return;
  constexpr int kThreads = 8, kCalls = 2000;
  // A share of 32 rows is too large for OpenBLAS to compute in place: it packs.
  const te::Workload workload =
      te::MakeWorkload({"w", "matmul", {{"m", "256"}, {"n", "192"}, {"k", "200"}}}).value();
  ir::Target target = HostTarget();
  target.max_threads = kThreads;
  const auto trace = schedule::ExternalTrace(workload.dag, target, provider).value();
  CAPTURE(schedule::Print(trace));
  const auto candidate = passes::LowerTrace(workload, trace).value();
  tessera_pool_options options = {};
  options.threads = kThreads;
  options.spin_microseconds = -1;
  const std::unique_ptr<tessera_pool, void (*)(tessera_pool*)> pool(tessera_pool_create(&options),
                                                                    tessera_pool_destroy);
  REQUIRE(pool != nullptr);
  // The first values are compared with the evaluator's, those of all later calls with these.
  const auto run = [&](const ir::Program& program,
                       absl::Span<const absl::Span<std::byte>> buffers) -> absl::Status {
    TESSERA_ASSIGN_OR_RETURN(const LoadedKernel kernel, LoadedKernel::Load(program, target));
    const AlignedBytes a(buffers[0].size()), b(buffers[1].size()), c(buffers[2].size());
    std::ranges::copy(buffers[0], a.data());
    std::ranges::copy(buffers[1], b.data());
    for (int i = 0; i < kCalls; ++i) {
      std::memset(c.data(), 0xff, c.size());
      kernel.Run({a.data(), b.data(), c.data()}, tessera_pool_launcher(pool.get()));
      if (i == 0) std::memcpy(buffers[2].data(), c.data(), c.size());
      if (std::memcmp(buffers[2].data(), c.data(), c.size()) != 0) {
        return absl::InternalError(absl::StrCat("call ", i, " has other values than the first"));
      }
    }
    return absl::OkStatus();
  };
  const auto expected = te::ComputeExpected(workload, 1).value();
  CHECK(te::CheckAgainst(workload, expected, candidate, run).ToString() == "OK");
}

TEST_CASE("what calls a library says so, and is linked where that is not installed", "[codegen]") {
  const ir::Program program = LowerOne();
  const ObjectCode code = GenerateObject({program}, HostTarget()).value();
  CHECK(code.providers == std::vector<std::string>{"openblas"});
  LinkOptions options;
  options.exported = {code.kernels[0].symbol};
  CHECK_THAT(std::string(LinkSharedObject({code.bytes}, options).status().message()),
             Catch::Contains("cblas_sgemm"));
  options.providers = code.providers;
  const std::string library = LinkSharedObject({code.bytes}, options).value();
  CHECK(library.find("libopenblas.so.0") != std::string::npos);
  CHECK(LinkSharedObject({code.bytes}, options).value() == library);
  options.providers = {"blis"};
  CHECK_THAT(std::string(LinkSharedObject({code.bytes}, options).status().message()),
             Catch::Contains("no library blis; known are openblas or onednn"));
  const ir::Target arm = ir::ParseTarget("aarch64").value();
  CHECK(GenerateObject({program}, arm).ok());
}

TEST_CASE("devices call no libraries", "[codegen]") {
  const ir::Program program = LowerOne();
  const auto opencl = gpu::GenerateOpenCl({program}, ir::ParseTarget("opencl").value());
  CHECK_FALSE(opencl.ok());
  const auto ptx = GeneratePtx({program}, ir::ParseTarget("cuda/sm_80").value());
  CHECK_FALSE(ptx.ok());
}

TEST_CASE("a library's call is text like all of a program", "[codegen]") {
  const ir::Program program = LowerOne();
  const std::string text = ir::Print(program);
  CAPTURE(text);
  CHECK_THAT(text, Catch::Contains("openblas_gemm("));
  const auto parsed = ir::ParseProgram(text);
  REQUIRE(parsed.ok());
  CHECK(ir::Print(*parsed) == text);
  CHECK(ir::Verify(*parsed).ok());
  const size_t strides = text.find(", 8)");
  REQUIRE(strides != std::string::npos);
  const auto narrow = ir::ParseProgram(std::string(text).replace(strides, 4, ", 7)"));
  REQUIRE(narrow.ok());
  CHECK_THAT(std::string(ir::Verify(*narrow).message()),
             Catch::Contains("strides that hold a row"));
}

TEST_CASE("a convolution's call is text, too, and refused where its numbers don't fit",
          "[codegen]") {
  const te::Workload workload = te::MakeWorkload(Convolutions()[0]).value();
  const auto trace =
      schedule::ExternalTrace(workload.dag, ir::X86Target("avx512").value(), "onednn").value();
  const ir::Program program = passes::LowerTrace(workload, trace)->program;
  const std::string text = ir::Print(program);
  CAPTURE(text);
  // Form, block, channels, data, filters, result, window, strides and dilations.
  const std::string numbers = ", 1, 16, 32, 11, 11, 48, 9, 9, 3, 3, 1, 1, 1, 1)";
  CHECK_THAT(text, Catch::Contains("onednn_conv(") && Catch::Contains(numbers));
  const auto verified = [&](const std::string& with) {
    const auto parsed =
        ir::ParseProgram(std::string(text).replace(text.find(numbers), numbers.size(), with));
    REQUIRE(parsed.ok());
    return ir::Verify(*parsed);
  };
  CHECK(verified(numbers).ok());
  CHECK_THAT(ir::Print(*ir::ParseProgram(text)), Catch::Contains(numbers));
  for (const char* other : {", 4, 16, 32, 11, 11, 48, 9, 9, 3, 3, 1, 1, 1, 1)",
                            ", 0, 16, 32, 11, 11, 48, 9, 9, 3, 3, 1, 1, 1, 1)",
                            ", 1, 7, 32, 11, 11, 48, 9, 9, 3, 3, 1, 1, 1, 1)",
                            ", 1, 16, 31, 11, 11, 48, 9, 9, 3, 3, 1, 1, 1, 1)",
                            ", 3, 16, 32, 11, 11, 48, 9, 9, 3, 3, 1, 1, 1, 1)",
                            ", 1, 16, 32, 11, 11, 48, 10, 9, 3, 3, 1, 1, 1, 1)",
                            ", 1, 16, 32, 11, 11, 48, 9, 9, 3, 3, 0, 1, 1, 1)", ")"}) {
    CAPTURE(other);
    CHECK_THAT(std::string(verified(other).message()), Catch::Contains("fourteen numbers"));
  }
  // Of more channels than the data has.
  const auto longer = ir::ParseProgram(std::string(text).replace(
      text.find(numbers), numbers.size(), ", 1, 16, 64, 11, 11, 48, 9, 9, 3, 3, 1, 1, 1, 1)"));
  REQUIRE(longer.ok());
  std::vector<AlignedBytes> memory;
  std::vector<absl::Span<std::byte>> buffers;
  for (const ir::Buffer& buffer : longer->params) {
    memory.emplace_back(static_cast<size_t>(buffer->StoredBytes()));
  }
  for (const AlignedBytes& bytes : memory) buffers.emplace_back(bytes.data(), bytes.size());
  CHECK_THAT(std::string(ir::Evaluate(*longer, buffers).message()),
             Catch::Contains("is outside the"));
  CHECK_FALSE(gpu::GenerateOpenCl({program}, ir::ParseTarget("opencl").value()).ok());
}

}  // namespace tessera::codegen
