#include "compiler/schedule/schedule.h"

#include <catch2/catch.hpp>
#include <map>

#include "compiler/schedule/loop_structure.h"
#include "tests/support/random_trace.h"
#include "tests/support/workloads.h"

namespace tessera::schedule {
namespace {

te::Workload Conv() {
  te::OpSpec spec{"c",
                  "conv2d",
                  {{"ic", "8"},
                   {"oc", "32"},
                   {"h", "14"},
                   {"w", "14"},
                   {"k", "3"},
                   {"pad", "1"},
                   {"bias", "true"},
                   {"relu", "true"},
                   {"layout", "any"}}};
  auto workload = te::MakeWorkload(spec);
  REQUIRE(workload.ok());
  return *std::move(workload);
}

absl::StatusOr<Schedule> Scheduled(const te::Workload& workload, std::string_view steps) {
  auto trace = ParseTrace(absl::StrCat("trace 1\n", std::string(steps)));
  if (!trace.ok()) return trace.status();
  return ApplyTrace(workload.dag, *trace);
}

std::string Why(const te::Workload& workload, std::string_view steps) {
  const auto schedule = Scheduled(workload, steps);
  if (!schedule.ok()) return std::string(schedule.status().message());
  return std::string(InferBounds(*schedule).status().message());
}

bool Contains(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

TEST_CASE("an attached stage covers the region that its consumer's tile reads", "[schedule]") {
  const te::Workload workload = Conv();
  const auto schedule = Scheduled(workload,
                                  "inline bias\n"
                                  "split relu ow 7\n"
                                  "split relu oc 16\n"
                                  "reorder relu n oc.0 oh ow.0 ow.1 oc.1\n"
                                  "compute_at conv relu ow.0\n"
                                  "compute_at pad conv ic\n");
  REQUIRE(schedule.ok());
  const auto loops = InferBounds(*schedule);
  REQUIRE(loops.ok());
  REQUIRE(loops->stages.size() == 3);
  CHECK(loops->stages[0].buffer_shape == std::vector<int64_t>{1, 1, 3, 3});
  CHECK(loops->stages[1].buffer_shape == std::vector<int64_t>{1, 16, 1, 7});
  CHECK(loops->stages[1].at == 2);
  CHECK_FALSE(loops->stages[1].axes[3].guarded);
  CHECK(loops->stages[1].scope == ir::Scope::kLocal);
  CHECK(loops->stages[2].scope == ir::Scope::kGlobal);
}

TEST_CASE("a factor that does not divide guards the axis", "[schedule]") {
  const te::Workload workload = Conv();
  const auto schedule = Scheduled(workload, "split relu ow 4\n");
  REQUIRE(schedule.ok());
  const auto loops = InferBounds(*schedule);
  REQUIRE(loops.ok());
  const BoundStage& relu = loops->stages.back();
  CHECK(relu.axes[3].guarded);
  CHECK(relu.loops[3].extent == 4);
  CHECK(relu.loops[4].extent == 4);
}

TEST_CASE("primitives refuse what they can't do and say why", "[schedule]") {
  const te::Workload workload = Conv();
  CHECK(Contains(Why(workload, "inline conv\n"),
                 "step 1: inline conv: a reduction can't be inlined"));
  CHECK(Contains(Why(workload, "inline relu\n"), "an output can't be inlined"));
  CHECK(Contains(Why(workload, "split conv xx 4\n"), "no loop xx"));
  CHECK(Contains(Why(workload, "split nope ow 4\n"), "no stage nope; known are pad, conv"));
  CHECK(Contains(Why(workload, "split conv ow 2 7\nsplit conv ow.1 3\n"),
                 "factor 3 does not divide extent 2"));
  CHECK(Contains(Why(workload, "split relu ow 1099511627776\nsplit relu ow.0 1099511627776\n"),
                 "factor 1099511627776 over stride 1099511627776 passes the limit"));
  CHECK(Contains(Why(workload, "reorder conv ic n oc oh ow kh kw\nparallel conv ic\n"),
                 "loop ic reduces; use rfactor first"));
  CHECK(Contains(Why(workload, "reorder conv oc n\n"), "names 2 loops; the stage has 7"));
  CHECK(Contains(Why(workload, "parallel conv oc\n"), "not the outermost loop"));
  CHECK(Contains(Why(workload, "compute_at relu conv oc\n"), "does not come after it"));
  CHECK(Contains(Why(workload, "parallel pad n\ncompute_at pad conv ow\n"),
                 "loop n is parallel, as at the root alone"));
  CHECK(Contains(Why(workload, "fuse conv oc ic\n"), "is not next inside"));
  CHECK(Contains(Why(workload, "fuse conv ow ic\n"), "can't be fused with a spatial one"));
  CHECK(Contains(Why(workload, "compute_at pad conv ow\nsplit conv ow 7\n"), "no longer exists"));
  CHECK(Contains(Why(workload, "stream conv\n"), "use cache_write first"));
  CHECK(Contains(Why(workload, "stream pad\n"), "is not an output"));
  CHECK(Contains(Why(workload, "stream relu\nstream relu\n"), "streams already"));
  CHECK(Contains(Why(workload, "prefetch relu 65\n"), "65 iterations; at most 64"));
  CHECK(Contains(Why(workload, "prefetch conv 2\nprefetch conv 2\n"), "prefetches already"));
  CHECK(Contains(Why(workload, "inline pad\nprefetch pad 2\n"), "has been inlined"));
  CHECK(Contains(Why(workload, "prefetch relu 2\ncache_write relu\n"),
                 "must come before the stage's loops are changed"));
  CHECK(Contains(Why(workload, "stream relu\ncache_write relu\n"),
                 "must come before the stage's loops are changed"));
  CHECK(Contains(Why(workload, "layout Bias 0/4 0%4\n"), "fixes this buffer's layout"));
  CHECK(Why(workload, "layout Bias 0/8%4 0/32+3 0%8\n") == "");
  CHECK(Contains(Why(workload, "layout Bias 0%8 0/32+3 0/8%4\n"), "fixes this buffer's layout"));
  CHECK(Contains(Why(workload, "layout X 1 0 2 3\n"), "is not a block of axis 1 moved innermost"));
  CHECK(Contains(Why(workload, "layout X 0 1/4 2 3 1%4 1%4\n"), "only constants of free layout"));
  CHECK(Contains(Why(workload, "layout X 0 1/4 2/2 3 2%2 1%4\n"), "is not a block of axis 1"));
  CHECK(Contains(Why(workload, "read_through conv image\n"), "is no input of the workload"));
  CHECK(Contains(Why(workload, "read_through W texture\n"), "known are constant, image"));
  CHECK(Contains(Why(workload, "read_through W image\nread_through W constant\n"),
                 "step 2: read_through W: has a path already"));
  const te::Workload odd =
      te::MakeWorkload({"odd", "matmul", {{"m", "3"}, {"n", "6"}, {"k", "5"}, {"dtype", "i8"}}})
          .value();
  CHECK(Contains(Why(odd, "read_through A image\n"),
                 "15 elements of i8; an image has fours of f32 or f16"));
}

TEST_CASE("what a layout stores is bounded in all", "[schedule]") {
  const te::Workload workload = Conv();
  CHECK(Contains(Why(workload, "layout W 0/32+63 1/8+63 2 3 0 1\n"),
                 "layout W: it stores 4096 copies of each element; constants have 1024 at most"));
  CHECK(Why(workload, "layout W 0/32+31 1/8+31 2 3 0 1\n") == "");
  CHECK(Contains(Why(workload,
                     "layout W 0/1000000000000000 1/1000000000000000 2 3 "
                     "0%1000000000000000 1%1000000000000000\n"),
                 "layout W: it stores more than 2199023255552 elements"));
}

TEST_CASE("convolutions that Winograd's algorithm doesn't fit are refused", "[schedule]") {
  const auto why = [](const char* attribute, const char* value, const char* step) {
    te::OpSpec spec{"c", "conv2d", {{"ic", "8"}, {"oc", "8"}, {"size", "9"}, {"k", "3"}}};
    spec.attributes[attribute] = value;
    const auto workload = te::MakeWorkload(spec);
    REQUIRE(workload.ok());
    return Why(*workload, step);
  };
  CHECK(why("pad", "2", "winograd conv 2\n").empty());
  for (const auto& [attribute, value] :
       {std::pair{"stride", "2"}, {"dilation", "2"}, {"groups", "2"}, {"k", "5"}, {"kh", "1"}}) {
    CHECK(why(attribute, value, "winograd conv 3\n").empty());
  }
  CHECK(Contains(why("pad", "1", "winograd conv 5\n"), "tiles of 5; 2, 3 and 4 are known"));
  CHECK(Contains(why("k", "1", "winograd conv 2\n"), "has no window of two taps or more"));
  CHECK(Contains(why("k", "7", "winograd conv 4\n"), "need 10 points; at most 8 are known"));
  CHECK(Contains(why("dtype", "i8", "winograd conv 2\n"), "is of type i32"));
  CHECK(Contains(why("dtype", "f16", "winograd conv 2\n"), "is no sum of products"));
  CHECK(Contains(why("pad", "1", "winograd pad 2\n"), "is no sum"));
  CHECK(Contains(why("algorithm", "direct", "winograd conv 2\n"), "has to be a direct sum"));
  // W has no last tap of the phase that no output is of.
  const auto transposed = te::ParseWorkload(
      "workload t\ninput X: f32[6,8]\nconst W: f32[17,8,8] free\n"
      "stage Y: f32[h:2, o:8] = sum[k:6, c:8] (X[h / 3 + 5 - k, c] * W[h % 3 + 3*k, c, o])\n"
      "output Y\n");
  REQUIRE(transposed.ok());
  CHECK(Contains(Why(*transposed, "winograd Y 2\n"), "reads its operands otherwise"));
  CHECK(
      Contains(why("pad", "1", "split conv oc 4\nwinograd conv 2\n"), "before the stage's loops"));
  CHECK(Contains(why("pad", "1", "winograd conv 2\nwinograd conv 2\n"), "is no sum"));
}

TEST_CASE("sums of products become groups in the instruction's types", "[schedule]") {
  const auto product = [](const char* dtype, const char* b) {
    return *te::MakeWorkload(
        {"p", "matmul", {{"m", "4"}, {"n", "8"}, {"k", "10"}, {"dtype", dtype}, {"b", b}}});
  };
  const auto schedule = Scheduled(product("i8", "const"), "tensorize matmul vpdpbusd_512\n");
  REQUIRE(schedule.ok());
  const ir::Buffer a = schedule->BufferNamed("matmul.a"), b = schedule->BufferNamed("matmul.b");
  CHECK(a->type == ir::UInt(8));
  CHECK(a->shape == std::vector<int64_t>{4, 12});
  CHECK(b->type == ir::Int(8));
  CHECK(b->shape == std::vector<int64_t>{12, 8});
  CHECK(schedule->BufferNamed("matmul.c")->shape == std::vector<int64_t>{8});
  // Weights are prepared before the run, what depends on the input is not.
  const auto loops = InferBounds(*schedule);
  REQUIRE(loops.ok());
  for (const BoundStage& stage : loops->stages) {
    const std::string& name = schedule->stages()[stage.stage].stage->name();
    CAPTURE(name);
    CHECK(stage.is_constant == (name == "matmul.b" || name == "matmul.c"));
  }
  const auto widened = Scheduled(product("i8", "const"), "tensorize matmul vpmaddwd_256\n");
  REQUIRE(widened.ok());
  CHECK(widened->BufferNamed("matmul.a")->shape == std::vector<int64_t>{4, 10});
  CHECK(widened->BufferNamed("matmul.a")->type == ir::Int(16));
  CHECK(widened->BufferNamed("matmul.c") == nullptr);
}

TEST_CASE("what no instruction computes is refused with a reason", "[schedule]") {
  const auto why = [](const char* op, const char* dtype, std::string_view steps) {
    te::OpSpec spec{"p", op, {{"dtype", dtype}}};
    if (std::string_view(op) == "depthwise_conv2d") {
      spec.attributes.insert({{"c", "8"}, {"size", "6"}, {"k", "3"}});
    } else {
      spec.attributes.insert({{"m", "4"}, {"n", "8"}, {"k", "8"}});
    }
    return Why(*te::MakeWorkload(spec), steps);
  };
  CHECK(why("matmul", "i8", "tensorize matmul vpdpbusd_512\n").empty());
  CHECK(Contains(why("matmul", "i8", "tensorize matmul vnni\n"), "no instruction vnni; known are"));
  CHECK(Contains(why("matmul", "f32", "tensorize matmul vpdpbusd_512\n"), "is of type f32"));
  CHECK(Contains(why("matmul", "f32", "tensorize matmul vdpbf16ps_512\n"), "is no such sum"));
  CHECK(Contains(why("matmul", "i8", "split matmul n 4\ntensorize matmul vpdpbusd_512\n"),
                 "before the stage's loops"));
  CHECK(Contains(why("depthwise_conv2d", "i8", "tensorize conv vpdpbusd_512\n"), "is no such sum"));
}

TEST_CASE("what is attached is as large as the tile that quotients and remainders read",
          "[schedule]") {
  const te::Workload workload = Conv();
  const auto schedule = Scheduled(workload,
                                  "winograd conv 4\n"
                                  "inline pad\ninline conv\ninline bias\n"
                                  "split relu oh 4\nsplit relu ow 4\nsplit relu oc 16\n"
                                  "reorder relu n oc.0 oh.0 ow.0 oh.1 ow.1 oc.1\n"
                                  "compute_at conv.Y relu ow.0\ncompute_at conv.AM relu ow.0\n"
                                  "compute_at conv.Bd conv.V tw\ncompute_at conv.d conv.V tw\n");
  REQUIRE(schedule.ok());
  REQUIRE(schedule->error_factors().size() == 1);
  CHECK(schedule->error_factors().at("conv") > 1);
  const auto loops = InferBounds(*schedule);
  REQUIRE(loops.ok());
  std::map<std::string, std::vector<int64_t>> shapes;
  std::map<std::string, bool> constant;
  for (const BoundStage& stage : loops->stages) {
    const std::string& name = schedule->stages()[stage.stage].stage->name();
    shapes[name] = stage.buffer_shape;
    constant[name] = stage.is_constant;
  }
  CHECK(shapes["conv.d"] == std::vector<int64_t>{1, 6, 6, 8});
  CHECK(shapes["conv.Bd"] == std::vector<int64_t>{6, 6, 1, 1, 1, 8});
  CHECK(shapes["conv.M"] == std::vector<int64_t>{36, 1, 4, 4, 32});
  CHECK(shapes["conv.AM"] == std::vector<int64_t>{6, 4, 1, 1, 1, 16});
  CHECK(shapes["conv.Y"] == std::vector<int64_t>{4, 4, 1, 1, 1, 16});
  CHECK(constant["conv.U"]);
  CHECK(constant["conv.Gg"]);
  CHECK_FALSE(constant["conv.V"]);
  CHECK_FALSE(constant["conv.M"]);
}

TEST_CASE("what is attached inside a tile is as large as the part of it that is read there",
          "[schedule]") {
  const te::Workload workload = Conv();
  const auto shape_of_y = [&](const std::string& order, const std::string& at) {
    const auto schedule = Scheduled(workload,
                                    "winograd conv 4\n"
                                    "inline pad\ninline conv\ninline bias\n"
                                    "split relu oh 4\nsplit relu ow 2 2\n"
                                    "reorder relu n oc " +
                                        order + "\ncompute_at conv.Y relu " + at + "\n");
    REQUIRE(schedule.ok());
    const auto loops = InferBounds(*schedule);
    REQUIRE(loops.ok());
    for (const BoundStage& stage : loops->stages) {
      if (schedule->stages()[stage.stage].stage->name() == "conv.Y") return stage.buffer_shape;
    }
    return std::vector<int64_t>();
  };
  // [y, x, n, th, tw, oc] of a column of a tile, of its half, of all tiles.
  CHECK(shape_of_y("oh.0 ow.0 ow.1 ow.2 oh.1", "ow.2") == std::vector<int64_t>{4, 1, 1, 1, 1, 1});
  CHECK(shape_of_y("oh.0 ow.0 ow.1 ow.2 oh.1", "ow.1") == std::vector<int64_t>{4, 2, 1, 1, 1, 1});
  CHECK(shape_of_y("oh.0 oh.1 ow.0 ow.1 ow.2", "oh.1") == std::vector<int64_t>{1, 4, 1, 1, 4, 1});
}

TEST_CASE("a refused step leaves the schedule unchanged", "[schedule]") {
  const te::Workload workload = Conv();
  Schedule schedule(workload.dag);
  REQUIRE(schedule.Apply({Primitive::kSplit, "conv", {"ow"}, {2, 7}, {}}).ok());
  const uint64_t before = LoopHash(schedule, *InferBounds(schedule));
  CHECK_FALSE(schedule.Apply({Primitive::kSplit, "conv", {"ow.1"}, {3}, {}}).ok());
  CHECK(LoopHash(schedule, *InferBounds(schedule)) == before);
}

TEST_CASE("loop hashes ignore loops of extent 1 and see everything else", "[schedule]") {
  const te::Workload workload = Conv();
  const auto hash = [&](std::string_view steps) {
    const auto schedule = Scheduled(workload, steps);
    REQUIRE(schedule.ok());
    return LoopHash(*schedule, *InferBounds(*schedule));
  };
  CHECK(hash("split relu ow 7\n") == hash("split relu ow 7 1\n"));
  CHECK(hash("split relu ow 7\n") != hash("split relu ow 2\n"));
  CHECK(hash("split relu ow 7\n") != hash("split relu ow 7\nunroll relu ow.1\n"));
  CHECK(hash("layout X 0 1/4 2 3 1%4\n") != hash("layout X 0 1/8 2 3 1%8\n"));
  CHECK(hash("inline pad\n") != hash(""));
  CHECK(hash("stream relu\n") != hash(""));
  CHECK(hash("read_through W constant\n") != hash(""));
  CHECK(hash("read_through W constant\n") != hash("read_through W image\n"));
  CHECK(hash("read_through W image\n") != hash("read_through X image\n"));
  CHECK(hash("prefetch conv 1\n") != hash(""));
  CHECK(hash("prefetch conv 1\n") != hash("prefetch conv 4\n"));
}

TEST_CASE("random traces of every operator have bounds and stable hashes", "[schedule]") {
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    const auto workload = te::MakeWorkload(spec);
    REQUIRE(workload.ok());
    for (uint64_t seed = 0; seed < 10; ++seed) {
      const Trace trace = RandomTrace(workload->dag, Rng(seed).Fork(spec.name)).Draw();
      CAPTURE(spec.name, seed, Print(trace));
      const auto schedule = ApplyTrace(workload->dag, trace);
      REQUIRE(schedule.ok());
      const auto loops = InferBounds(*schedule);
      REQUIRE(loops.ok());
      const auto again = ApplyTrace(workload->dag, trace);
      CHECK(LoopHash(*schedule, *loops) == LoopHash(*again, *InferBounds(*again)));
      for (const BoundStage& stage : loops->stages) {
        for (const BoundLoop& loop : stage.loops) CHECK(loop.extent >= 1);
      }
    }
  }
}

}  // namespace
}  // namespace tessera::schedule
