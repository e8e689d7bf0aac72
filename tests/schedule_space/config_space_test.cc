#include "schedule_space/config_space.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "compiler/schedule/loop_structure.h"
#include "tests/schedule_space/spaces.h"
#include "tests/support/cpu_time.h"

namespace tessera::space {
namespace {

std::string DigitsOf(const schedule::LoopState& loop) {
  std::string text;
  for (const schedule::Digit& digit : loop.digits) {
    absl::StrAppend(&text, " ", digit.axis, "*", digit.stride, "/", digit.extent);
  }
  return text;
}

// Loops, names, kinds, placements and layouts.
void CheckSame(const schedule::Schedule& a, const schedule::Schedule& b) {
  REQUIRE(a.stages().size() == b.stages().size());
  for (size_t i = 0; i < a.stages().size(); ++i) {
    const schedule::StageState &x = a.stages()[i], &y = b.stages()[i];
    CAPTURE(x.stage->name());
    CHECK(x.stage->name() == y.stage->name());
    CHECK(x.analysis->definition_hash == y.analysis->definition_hash);
    CHECK(x.placement == y.placement);
    CHECK(x.at_stage == y.at_stage);
    CHECK(x.at_loop == y.at_loop);
    REQUIRE(x.loops.size() == y.loops.size());
    for (size_t l = 0; l < x.loops.size(); ++l) {
      CHECK(x.loops[l].name == y.loops[l].name);
      CHECK(x.loops[l].kind == y.loops[l].kind);
      CHECK(x.loops[l].is_reduction == y.loops[l].is_reduction);
      CHECK(DigitsOf(x.loops[l]) == DigitsOf(y.loops[l]));
    }
    for (const ir::Buffer& output : x.stage->outputs) {
      CHECK(a.LayoutOf(output) == b.LayoutOf(b.BufferNamed(output->name)));
    }
  }
  for (const te::Input& input : a.inputs()) {
    CHECK(a.LayoutOf(input.buffer) == b.LayoutOf(input.buffer));
    CHECK(a.ReadPathOf(input.buffer) == b.ReadPathOf(input.buffer));
  }
}

// Makes the config's schedule directly and from the text of its trace; the loop hash, once both
// agree.
uint64_t HashOf(const te::Workload& workload, const ConfigSpace& space, const Config& config) {
  CAPTURE(space.ToJson(config));
  REQUIRE(space.Validate(config).ok());
  absl::StatusOr<schedule::Trace> trace = space.ToTrace(config);
  REQUIRE(trace.ok());
  CAPTURE(schedule::Print(*trace));
  absl::StatusOr<schedule::Schedule> fast = space.ToSchedule(config);
  CAPTURE(std::string(fast.status().message()));
  REQUIRE(fast.ok());
  absl::StatusOr<schedule::Trace> parsed = schedule::ParseTrace(schedule::Print(*trace));
  REQUIRE(parsed.ok());
  absl::StatusOr<schedule::Schedule> slow = schedule::ApplyTrace(workload.dag, *parsed);
  CAPTURE(std::string(slow.status().message()));
  REQUIRE(slow.ok());
  CheckSame(*fast, *slow);
  absl::StatusOr<schedule::LoopStructure> loops = schedule::InferBounds(*fast);
  CAPTURE(std::string(loops.status().message()));
  REQUIRE(loops.ok());
  absl::StatusOr<schedule::LoopStructure> again = schedule::InferBounds(*slow);
  REQUIRE(again.ok());
  const uint64_t hash = schedule::LoopHash(*fast, *loops);
  CHECK(hash == schedule::LoopHash(*slow, *again));
  return hash;
}

TEST_CASE("sampled, moved and crossed configs apply without error", "[space]") {
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    const te::Workload workload = Make(spec);
    for (int threads : {1, 3}) {
      const ConfigSpace space = SpaceOf(workload, threads);
      const uint64_t seed = 11;
      CAPTURE(spec.name, threads, seed);
      Rng rng(seed);
      Config config = space.Sample(rng);
      for (int i = 0; i < 6; ++i) {
        HashOf(workload, space, config);
        const Config other = space.Sample(rng);
        HashOf(workload, space, space.Crossover(config, other, rng));
        HashOf(workload, space, space.Jump(config, rng));
        config = space.Mutate(config, rng);
      }
    }
  }
}

TEST_CASE("stages that would grow too large by inlining keep loops of their own", "[space]") {
  std::string text = "workload doubling\ninput s0: f32[8,32]\n";
  for (int i = 1; i <= 40; ++i) {
    absl::StrAppend(&text, "stage s", i, ": f32[y:8, x:32] = s", i - 1, "[y, x] * s", i - 1,
                    "[y, x] + 1.0\n");
  }
  const absl::StatusOr<te::Workload> workload = te::ParseWorkload(text + "output s40\n");
  REQUIRE(workload.ok());
  const ConfigSpace space = SpaceOf(*workload, 2);
  const uint64_t seed = 3;
  CAPTURE(seed);
  Rng rng(seed);
  for (int i = 0; i < 10; ++i) HashOf(*workload, space, space.Sample(rng));
}

TEST_CASE("narrow targets get configs that apply too", "[space]") {
  for (const char* isa : {"sse4.2", "avx2"}) {
    const te::Workload workload = C2();
    const ConfigSpace space = SpaceOf(workload, 2, isa);
    Rng rng(5);
    for (int i = 0; i < 20; ++i) HashOf(workload, space, space.Sample(rng));
  }
}

void CheckDistinct(const te::Workload& workload, const ConfigSpace& space) {
  const uint64_t seed = 7;
  CAPTURE(workload.name, seed);
  Rng rng(seed);
  std::set<uint64_t> hashes;
  std::set<Config> configs;
  for (int i = 0; i < 10'000; ++i) {
    const Config config = space.Sample(rng);
    configs.insert(config);
    absl::StatusOr<schedule::Schedule> schedule = space.ToSchedule(config);
    REQUIRE(schedule.ok());
    absl::StatusOr<schedule::LoopStructure> loops = schedule::InferBounds(*schedule);
    REQUIRE(loops.ok());
    hashes.insert(schedule::LoopHash(*schedule, *loops));
  }
  CHECK(hashes.size() >= 9'900);
  CHECK(hashes.size() == configs.size());
}

TEST_CASE("of 10,000 samples of C2 at least 99% are distinct programs", "[space]") {
  const te::Workload workload = C2();
  CheckDistinct(workload, SpaceOf(workload, 1));
}

TEST_CASE("of 10,000 samples for a GPU at least 99% are distinct programs", "[space]") {
  const ir::Target target = ir::ParseTarget("opencl").value();
  for (const te::Workload& workload :
       {C2(), Make({"mm", "matmul", {{"m", "256"}, {"n", "320"}, {"k", "1000"}}})}) {
    CheckDistinct(workload, BuildSpace(workload, target, 1).value());
  }
}

// Shapes whose kernels are few and short: all of their programs are told apart.
TEST_CASE("configs of small spaces of a GPU are programs of their own", "[space]") {
  const ir::Target target = ir::ParseTarget("opencl block=64 constant=1024 texels=4096").value();
  for (const te::OpSpec& spec :
       {te::OpSpec{"sum", "reduce_sum", {{"m", "6"}, {"n", "300"}}},
        te::OpSpec{"pool", "global_avg_pool", {{"c", "24"}, {"size", "7"}}},
        te::OpSpec{"dense", "dense", {{"n", "20"}, {"k", "131"}, {"bias", "true"}}},
        te::OpSpec{"softmax", "softmax", {{"m", "4"}, {"n", "300"}}},
        te::OpSpec{"relu", "relu", {{"m", "6"}, {"n", "48"}}}}) {
    const te::Workload workload = Make(spec);
    const ConfigSpace space = BuildSpace(workload, target, 1).value();
    CAPTURE(spec.name);
    std::map<uint64_t, std::string> programs;
    const uint64_t seed = 9;
    Rng rng(seed);
    for (int i = 0; i < 500; ++i) {
      const Config config = space.Sample(rng);
      const std::string text = space.ToJson(config);
      CAPTURE(seed, text);
      const auto [known, is_new] = programs.try_emplace(HashOf(workload, space, config), text);
      CHECK(known->second == text);
    }
  }
}

TEST_CASE("inputs are read by other paths where the target has them and they fit", "[space]") {
  const te::Workload workload =
      Make({"d", "depthwise_conv2d", {{"c", "32"}, {"size", "30"}, {"k", "3"}, {"bias", "true"}}});
  const auto paths = [&](const char* target) {
    const ConfigSpace space = BuildSpace(workload, ir::ParseTarget(target).value(), 1).value();
    std::map<std::string, std::vector<Option>> found;
    for (const Knob& knob : space.sketches()[0].group->knobs()) {
      if (knob.name.starts_with("read.")) found[knob.name] = knob.options;
    }
    return found;
  };
  using Paths = std::map<std::string, std::vector<Option>>;
  CHECK(paths("opencl").empty());
  CHECK(paths("cuda").empty());
  // W has 1,152 bytes, Bias 128.
  CHECK(paths("opencl constant=1151") == Paths{{"read.Bias", {{0}, {1}}}});
  CHECK(paths("opencl constant=1152 texels=72") ==
        Paths{{"read.Bias", {{0}, {1}, {2}}}, {"read.W", {{0}, {1}, {2}}}});
  CHECK(paths("opencl texels=71") == Paths{{"read.Bias", {{0}, {2}}}});
}

TEST_CASE("constant memory is for what a wave reads at once, and holds what is read by it",
          "[space]") {
  const te::Workload workload =
      Make({"d", "depthwise_conv2d", {{"c", "32"}, {"size", "30"}, {"k", "3"}, {"bias", "true"}}});
  const ir::Target target = ir::ParseTarget("opencl wave=32 constant=1152").value();
  const ConfigSpace space = BuildSpace(workload, target, 1).value();
  const uint64_t seed = 4;
  CAPTURE(seed);
  Rng rng(seed);
  std::set<std::string> read;
  for (int i = 0; i < 2000; ++i) {
    const Config config = space.Sample(rng);
    const std::string text = schedule::Print(space.ToTrace(config).value());
    const bool reads_weights = text.find("read_through W constant\n") != std::string::npos;
    const bool reads_bias = text.find("read_through Bias constant\n") != std::string::npos;
    if (reads_weights) read.insert("W");
    if (reads_bias) read.insert("Bias");
    if (!reads_weights && !reads_bias) continue;
    CAPTURE(text);
    // Both are 128 bytes too many.
    CHECK(reads_weights != reads_bias);
    CHECK(text.find("read_through X") == std::string::npos);
    // Threads that are neighbours have the same channel: those of a wave lie along a row, or rows.
    const std::vector<Knob>& knobs = space.KnobsOf(config);
    const auto threads = std::ranges::find_if(
        knobs, [](const Knob& knob) { return knob.name.ends_with("threads"); });
    REQUIRE(threads != knobs.end());
    const Option& chosen = threads->options[config[threads - knobs.begin() + 1]];
    CHECK((chosen[1] == 1 || chosen[2] * chosen[3] >= target.wave_threads));
  }
  CHECK(read == std::set<std::string>{"Bias", "W"});
}

TEST_CASE("C2 has more than a billion programs", "[space]") {
  const SpaceSize size = SpaceOf(C2(), 1).Size();
  CHECK(size.configs > 1e9);
  CHECK_FALSE(size.exact);
  CHECK(size.standard_error < size.configs / 5);
}

TEST_CASE("small spaces are counted one by one and every config is a program of its own",
          "[space]") {
  const te::Workload workload = Make({"r", "relu", {{"m", "4"}, {"n", "32"}}});
  const ConfigSpace space = SpaceOf(workload, 1);
  const SpaceSize size = space.Size();
  REQUIRE(size.exact);
  Rng rng(3);
  std::set<uint64_t> hashes;
  for (int i = 0; i < 4000; ++i) hashes.insert(HashOf(workload, space, space.Sample(rng)));
  CHECK(static_cast<double>(hashes.size()) == size.configs);
}

TEST_CASE("a small space is enumerated whole, each config once", "[space]") {
  for (const te::OpSpec& spec : {te::OpSpec{"r", "relu", {{"m", "4"}, {"n", "32"}}},
                                 te::OpSpec{"m", "matmul", {{"m", "2"}, {"n", "3"}, {"k", "5"}}},
                                 te::OpSpec{"s", "softmax", {{"m", "4"}, {"n", "24"}}}}) {
    const te::Workload workload = Make(spec);
    const ConfigSpace space = SpaceOf(workload, 1);
    const SpaceSize size = space.Size();
    CAPTURE(spec.name, size.configs);
    REQUIRE(size.exact);
    std::set<Config> all;
    for (std::optional<Config> config = space.Next({}); config; config = space.Next(*config)) {
      REQUIRE(space.Validate(*config).ok());
      REQUIRE(all.insert(*config).second);
    }
    CHECK(static_cast<double>(all.size()) == size.configs);
    const uint64_t seed = 4;
    CAPTURE(seed);
    Rng rng(seed);
    for (int i = 0; i < 1000; ++i) CHECK(all.count(space.Sample(rng)) == 1);
    for (const Config& config : all) {
      for (const Config& neighbour : space.Neighbours(config)) CHECK(all.count(neighbour) == 1);
    }
  }
}

TEST_CASE("the configs of a large space come one after the other", "[space]") {
  const te::Workload workload = C2();
  const ConfigSpace space = SpaceOf(workload, 2);
  const uint64_t seed = 7;
  CAPTURE(seed);
  Rng rng(seed);
  Config config = space.Sample(rng);
  std::set<Config> seen = {config};
  for (int i = 0; i < 20; ++i) {
    const std::optional<Config> next = space.Next(config);
    REQUIRE(next.has_value());
    config = *next;
    REQUIRE(space.Validate(config).ok());
    CHECK(seen.insert(config).second);
  }
}

TEST_CASE("named knobs read back as the same config", "[space]") {
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    const ConfigSpace space = SpaceOf(Make(spec), 2);
    Rng rng(1);
    for (int i = 0; i < 5; ++i) {
      const Config config = space.Sample(rng);
      const absl::StatusOr<Config> back = space.FromJson(space.ToJson(config));
      CAPTURE(space.ToJson(config), std::string(back.status().message()));
      REQUIRE(back.ok());
      CHECK(*back == config);
    }
  }
}

TEST_CASE("a config that is not of the space is refused by name", "[space]") {
  const ConfigSpace space = SpaceOf(C2(), 1);
  const auto refusal = [&](std::string_view json) {
    return std::string(space.FromJson(json).status().message());
  };
  CHECK(refusal("]") == "config: expected a JSON object with a \"sketch\"");
  CHECK(refusal(R"({"sketch":)" + std::string(100'000, '[')) ==
        "config: expected a JSON object with a \"sketch\"");
  CHECK(refusal(R"({"sketch":"magic"})") == "config: no sketch magic");
  CHECK(refusal(R"({"sketch":"direct"})") ==
        "config: knob tile is missing; sketch direct needs it");
  CHECK(refusal(R"({"sketch":"direct","tiles":3})")
            .find("config: sketch direct has no knob tiles; it has ") == 0);
  Rng rng(2);
  std::string json = space.ToJson(space.Sample(rng));
  const size_t at = json.find("\"middle.oc\":");
  REQUIRE(at != std::string::npos);
  json.insert(at + 12, "99");
  CHECK(refusal(json).find("config: knob middle.oc has no option 99") == 0);
  CHECK(space.Validate({0, 1}).code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("register tiles stay within the register file", "[space]") {
  for (const char* isa : {"sse4.2", "avx2", "avx512"}) {
    const ConfigSpace space = SpaceOf(C2(), 1, isa);
    const int registers = space.target().vector_registers;
    for (const Sketch& sketch : space.sketches()) {
      for (const Option& tile : sketch.group->knobs()[0].options) {
        int64_t vectors = 1;
        for (size_t i = 2; i < tile.size(); ++i) vectors *= tile[i];
        CHECK(vectors / tile[1] + 2 <= registers);
      }
    }
  }
}

TEST_CASE("bodies with tests at edges are unrolled less, so that loops can be cut", "[space]") {
  const te::Workload workload = C2();
  const ConfigSpace space = SpaceOf(workload, 1);
  const uint64_t seed = 9;
  CAPTURE(seed);
  Rng rng(seed);
  int overshooting = 0;
  for (int i = 0; i < 3'000; ++i) {
    const Config config = space.Sample(rng);
    const std::vector<Knob>& knobs = space.sketches()[config[0]].group->knobs();
    const Option& tile = knobs[0].options[config[1]];
    int64_t bodies = 1;
    bool has_edges = false;
    const std::vector<te::Axis>& axes = workload.dag.stages.back().axes;
    for (size_t a = 0; a < axes.size(); ++a) {
      bodies *= tile[2 + a];
      has_edges |= axes[a].extent % tile[2 + a] != 0;
    }
    if (!has_edges) continue;
    ++overshooting;
    bodies /= tile[1];
    int64_t copies = 1;
    for (size_t k = 0; k < knobs.size(); ++k) {
      if (knobs[k].name != "reduce") continue;
      const Option& reduce = knobs[k].options[config[k + 1]];
      for (size_t r = 2; r < reduce.size(); ++r) copies *= reduce[r];
    }
    CAPTURE(space.ToJson(config));
    CHECK((copies == 1 || copies * bodies <= 256));
  }
  CHECK(overshooting > 100);
}

TEST_CASE("only results that caches can't hold are offered streaming stores", "[space]") {
  const auto streams = [](const char* op, const char* rows) {
    te::OpSpec spec{"x", op, {{"m", rows}, {"n", "1024"}}};
    if (spec.op == "matmul") spec.attributes["k"] = "32";
    const ConfigSpace space = SpaceOf(Make(spec), 1);
    Rng rng(7);
    int count = 0;
    for (int i = 0; i < 40; ++i) {
      const schedule::Trace trace = *space.ToTrace(space.Sample(rng));
      count += schedule::Print(trace).find("\nstream ") != std::string::npos ? 1 : 0;
    }
    return count;
  };
  CHECK(streams("relu", "128") == 0);
  CHECK(streams("reduce_sum", "16384") == 0);
  CHECK(streams("matmul", "128") == 0);
  for (const char* op : {"relu", "matmul"}) {
    CAPTURE(op);
    const int large = streams(op, "16384");
    CHECK(large > 5);
    CHECK(large < 35);
  }
}

TEST_CASE("sums with an operand larger than half a cache may fetch ahead", "[space]") {
  const auto prefetches = [](const char* n) {
    const ConfigSpace space =
        SpaceOf(Make({"x", "matmul", {{"m", "16"}, {"n", n}, {"k", "512"}}}), 1);
    Rng rng(7);
    int count = 0;
    for (int i = 0; i < 40; ++i) {
      const schedule::Trace trace = *space.ToTrace(space.Sample(rng));
      count += schedule::Print(trace).find("\nprefetch ") != std::string::npos ? 1 : 0;
    }
    return count;
  };
  CHECK(prefetches("256") == 0);
  const int large = prefetches("512");
  CHECK(large > 5);
  CHECK(large < 35);
}

TEST_CASE("operands that vectors are loaded from are packed, whole or inside of outer loops",
          "[space]") {
  const te::Workload workload =
      Make({"x", "batch_matmul", {{"batch", "4"}, {"m", "128"}, {"n", "128"}, {"k", "64"}}});
  for (const int threads : {1, 2}) {
    const ConfigSpace space = SpaceOf(workload, threads);
    const uint64_t seed = 37;
    CAPTURE(threads, seed);
    Rng rng(seed);
    int whole = 0, placed = 0;
    for (int i = 0; i < 400; ++i) {
      const Config config = space.Sample(rng);
      if (space.sketches()[config[0]].name.find("packed") != 0) continue;
      CAPTURE(space.ToJson(config));
      const schedule::Schedule schedule = *space.ToSchedule(config);
      CHECK(schedule.StageNamed("matmul.local.A") < 0);
      const int copy = schedule.StageNamed("matmul.local.B");
      REQUIRE(copy >= 0);
      const schedule::LoopStructure loops = *schedule::InferBounds(schedule);
      const schedule::BoundStage& bound = loops.stages[0];
      REQUIRE(bound.stage == copy);
      CHECK(bound.loops.back().kind == ir::LoopKind::kVectorized);
      const bool shares = bound.loops.front().kind == ir::LoopKind::kParallel;
      int64_t elements = 1;
      for (const int64_t extent : bound.buffer_shape) elements *= extent;
      if (bound.at < 0) {
        ++whole;
        CHECK(elements == 4 * 64 * 128);
        CHECK(shares == (threads > 1));
      } else {
        ++placed;
        CHECK(elements < 4 * 64 * 128);
        CHECK_FALSE(shares);
        // Of the loop that it is inside of, each iteration reads another part.
        const schedule::BoundStage& at = loops.stages[bound.at];
        CHECK(std::any_of(at.loops[bound.at_depth].digits.begin(),
                          at.loops[bound.at_depth].digits.end(),
                          [](const schedule::Digit& digit) { return digit.axis != 1; }));
      }
    }
    CHECK(whole > 10);
    CHECK(placed > 10);
  }
  // Constants are stored in the order in which they are read.
  const ConfigSpace space =
      SpaceOf(Make({"x", "matmul", {{"m", "128"}, {"n", "128"}, {"k", "64"}}}), 1);
  for (const Sketch& sketch : space.sketches()) CHECK(sketch.name.find("packed") != 0);
}

TEST_CASE("register tiles are mostly sampled with enough accumulators and registers to spare",
          "[space]") {
  const ConfigSpace space = SpaceOf(C2(), 1);
  const uint64_t seed = 23;
  CAPTURE(seed);
  Rng rng(seed);
  int sums = 0, good = 0;
  for (int i = 0; i < 400; ++i) {
    const Config config = space.Sample(rng);
    const Knob& knob = space.KnobsOf(config)[0];
    if (knob.name != "tile" || space.sketches()[config[0]].name.rfind("winograd", 0) == 0) continue;
    const Option& tile = knob.options[config[1]];
    int64_t vectors = 1;
    for (size_t a = 2; a < tile.size(); ++a) vectors *= tile[a];
    vectors /= tile[1];
    ++sums;
    good += vectors >= 10 && vectors <= 26 ? 1 : 0;
  }
  CAPTURE(sums, good);
  CHECK(good > sums * 7 / 10);
}

TEST_CASE("a direct convolution has no sketch of Winograd's algorithm", "[space]") {
  const auto sketches = [](const char* algorithm) {
    const auto workload = te::MakeWorkload(
        {"c",
         "conv2d",
         {{"ic", "16"}, {"oc", "16"}, {"size", "14"}, {"k", "3"}, {"algorithm", algorithm}}});
    REQUIRE(workload.ok());
    return DescribeSpace(SpaceOf(*workload, 1));
  };
  CHECK(sketches("any").find("sketch winograd4") != std::string::npos);
  CHECK(sketches("direct").find("winograd") == std::string::npos);
  CHECK(sketches("direct").find("sketch direct") != std::string::npos);
}

TEST_CASE("a description names every sketch and the size", "[space]") {
  const std::string text = DescribeSpace(SpaceOf(C2(), 1));
  CHECK(text.find("sketch direct") != std::string::npos);
  CHECK(text.find("sketch chunked") != std::string::npos);
  CHECK(text.find("standard error") != std::string::npos);
}

TEST_CASE("zero threads, and what an accelerator can't do, are refused", "[space]") {
  CHECK(BuildSpace(C2(), Avx512(1), 0).status().message() == "threads is 0; at least 1 is needed");
  CHECK(BuildSpace(C2(), ir::ParseTarget("vta").value(), 1).status().code() ==
        absl::StatusCode::kInvalidArgument);
}

TEST_CASE("spaces of huge or odd definitions are made in a moment", "[space]") {
  const auto check = [](const std::string& text) {
    const absl::StatusOr<te::Workload> workload = te::ParseWorkload(text);
    REQUIRE(workload.ok());
    CAPTURE(workload->name);
    const absl::Duration start = test::ThreadCpuTime();
    CHECK(BuildSpace(*workload, Avx512(2), 2).ok());
    CHECK(test::ThreadCpuTime() - start < absl::Seconds(1));
  };
  check(
      "workload rows\ninput X: f32[8,8589934595,4]\nconst W: f32[8,8,3,3] free\n"
      "stage Y: f32[o:8, h:8589934593, w:2] = sum[c:8, k:3, l:3] "
      "(X[c, h + k, w + l] * W[o, c, k, l])\noutput Y\n");
  // Zeros, a long sum of which leaves the index as that of a transposed convolution.
  std::vector<std::string> zeros(4096, "(h + k) / 1000000");
  while (zeros.size() > 1) {
    for (size_t i = 0; i < zeros.size() / 2; ++i) {
      zeros[i] = absl::StrCat("(", zeros[2 * i], " + ", zeros[2 * i + 1], ")");
    }
    zeros.resize(zeros.size() / 2);
  }
  check(
      absl::StrCat("workload index\ninput X: f32[1034,16]\nconst W: f32[16,16,16] free\n"
                   "stage Y: f32[h:2048, o:16] = sum[k:8, c:16] (X[h / 2 + 7 - k + ",
                   zeros[0], ", c] * W[h % 2 + 2*k, c, o])\noutput Y\n"));
}

}  // namespace
}  // namespace tessera::space
