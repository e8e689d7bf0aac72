#include <catch2/catch.hpp>

#include "compiler/ir/buffer.h"
#include "compiler/ir/layout_parts.h"
#include "compiler/ir/target.h"
#include "compiler/ir/type.h"

namespace tessera::ir {
namespace {

TEST_CASE("types go to text and back", "[ir][type]") {
  for (const char* text : {"f32", "f16", "f64", "bf16", "i8", "u8", "i64", "u1", "u2", "i4",
                           "token", "f32x16", "bf16x32", "u1x8", "i64x2"}) {
    CAPTURE(text);
    const auto type = ParseType(text);
    REQUIRE(type.ok());
    CHECK(ToString(*type) == text);
  }
  CHECK(*ParseType("f32x16") == Float(32).WithLanes(16));
}

TEST_CASE("unknown types are refused and named", "[ir][type]") {
  for (const char* text : {"", "f", "f31", "i3", "f8", "bf32", "i128", "f32x", "f32x1", "f32x5000",
                           "f32x16x2", "token4", "x", "i-8", "f32 ", "i99999999999999999999"}) {
    CAPTURE(text);
    const auto type = ParseType(text);
    REQUIRE(!type.ok());
    CHECK(std::string(type.status().message()).find(text) != std::string::npos);
  }
}

TEST_CASE("layouts go to text and back", "[ir][layout]") {
  const std::vector<int64_t> shape = {1, 60, 7, 7};
  for (const char* text : {"", "0 1 2 3", "0 1/16 2 3 1%16", "0 1/32 1/8%4 2 3 1%8", "3 2 1 0",
                           "0 1+4 2 3", "3 0 1/16+1 2 1%16", "1/16 0 2 3 1%16 1%16"}) {
    CAPTURE(text);
    const auto layout = ParseLayout(text, shape);
    REQUIRE(layout.status() == absl::OkStatus());
    CHECK(LayoutToString(*layout, shape) == text);
  }
}

TEST_CASE("layouts that miss, repeat or overlap an axis are refused", "[ir][layout]") {
  const std::vector<int64_t> shape = {4, 60};
  for (const char* text :
       {"0", "0 1 1", "0 1/16 1%8", "0 1/16 1%32", "0 2", "0 1/0 1%4", "0 1/16", "0 x", "0 1%30",
        "0 1/16%2 1%16", "0 1-", "0/4611686018427387904 1", "0 1+0", "0 1+1025", "0 1/16 1%16+4",
        "0 1%64", "0 1/16 1%16 1%16 1%16", "0 1/16 1/16 1%16", "0/2 0%2 0%2 1/4 1%4 1%4"}) {
    CAPTURE(text);
    CHECK(!ParseLayout(text, shape).ok());
  }
}

TEST_CASE("a blocked layout pads and places its elements", "[ir][layout]") {
  BufferNode buffer{"A", Float(32), {2, 20}};
  buffer.layout = *ParseLayout("1/16 0 1%16", buffer.shape);
  CHECK(buffer.ElementCount() == 40);
  CHECK(buffer.StoredElementCount() == 64);
  CHECK(buffer.StoredBytes() == 256);
  CHECK(StoredOffset(buffer, {0, 0}) == 0);
  CHECK(StoredOffset(buffer, {0, 17}) == 33);
  CHECK(StoredOffset(buffer, {1, 3}) == 19);
  buffer.layout.clear();
  CHECK(StoredOffset(buffer, {1, 3}) == 23);
}

TEST_CASE("rows with gaps behind them begin further apart", "[ir][layout]") {
  BufferNode buffer{"A", Float(32), {3, 20}};
  buffer.layout = *ParseLayout("0 1+4", buffer.shape);
  CHECK(HasGaps(buffer.layout, buffer.shape));
  CHECK(buffer.ElementCount() == 60);
  CHECK(buffer.StoredElementCount() == 72);
  CHECK(StoredOffset(buffer, {2, 19}) == 67);
  CHECK_FALSE(HasGaps(*ParseLayout("0 1/16 1%16", buffer.shape), buffer.shape));
}

TEST_CASE("a part that stands twice stores a diagonal", "[ir][layout]") {
  BufferNode buffer{"A", Int(8), {8, 3}};
  buffer.layout = *ParseLayout("0/4 1 0%4 0%4", buffer.shape);
  CHECK(HasDiagonal(buffer.layout));
  CHECK(buffer.StoredElementCount() == 2 * 3 * 16);
  CHECK(StoredOffset(buffer, {0, 0}) == 0);
  CHECK(StoredOffset(buffer, {6, 2}) == 5 * 16 + 2 * 5);
  CHECK_FALSE(HasDiagonal(*ParseLayout("0/4 1 0%4", buffer.shape)));
  CHECK_FALSE(ParseLayout("0/65 1 0%65 0%65", {130, 3}).ok());
}

TEST_CASE("a gap behind all of an axis is of copies", "[ir][layout]") {
  const std::vector<int64_t> shape = {8, 3};
  const auto layout = [&](const char* text) { return *ParseLayout(text, shape); };
  for (const char* text : {"0/4%2 0/8+1 0%4 1", "0/8+2 1 0%8"}) {
    CAPTURE(text);
    CHECK(LayoutToString(layout(text), shape) == text);
  }
  CHECK(IsRowMajorButCopies(layout("0/4%2 0/8+1 0%4 1"), shape));
  CHECK_FALSE(IsRowMajorButCopies(layout("0/8+2 1 0%8"), shape));
  CHECK(IsOfCopies(layout("0/4%2 0/8+1 0%4 1"), shape, 1));
  CHECK_FALSE(IsOfCopies(layout("0/4%2 0/8+1 0%4 1"), shape, 0));
  CHECK(CopiesOf(layout("0/4%2 0/8+1 0%4 1"), shape) == 2);
  CHECK(CopiesOf(layout("0/8+63 1/3+3 1 0%8"), shape) == 64 * 4);
  CHECK(CopiesOf(layout("0 1"), shape) == 1);
  CHECK(CopiesOf(layout("0+1 1"), shape) == 0);
  CHECK(CopiesOf(layout("0/8+1 1+1 0%8"), shape) == 0);
  CHECK_FALSE(IsRowMajorButCopies(layout("1 0/8+1 0%8"), shape));
  CHECK_FALSE(IsRowMajorButCopies(layout("0/4 1 0/8+1 0%4"), shape));
  // Padding of a block is none.
  CHECK_FALSE(IsOfCopies(*ParseLayout("0/16 1 0%16", shape), shape, 2));
}

TEST_CASE("stored bytes of sub-byte types round up", "[ir][layout]") {
  CHECK(MakeBuffer("A", UInt(1), {9})->StoredBytes() == 2);
  CHECK(MakeBuffer("A", Int(4), {3})->StoredBytes() == 2);
  CHECK(MakeBuffer("A", Float(16), {})->StoredBytes() == 2);
}

TEST_CASE("targets go to text and back, without what makes no difference", "[ir][target]") {
  const std::string canonical = "x86/avx512,vnni l1=32768 l2=1048576 threads=2";
  const auto target = ParseTarget("x86/vnni,avx512,sse4.2,avx2 threads=2");
  REQUIRE(target.status() == absl::OkStatus());
  CHECK(ToString(*target) == canonical);
  CHECK(*ParseTarget(canonical) == *target);
  CHECK(target->vector_bytes == 64);
  CHECK(target->vector_registers == 32);
  CHECK(target->Lanes(32) == 16);
  CHECK(*ParseTarget("x86") == *X86Target("sse4.2"));
  CHECK(ToString(*ParseTarget("arm")) == "arm/neon l1=32768 l2=1048576 threads=1");
  CHECK(ToString(*ParseTarget("aarch64/dotprod")) ==
        "aarch64/dotprod,neon l1=32768 l2=1048576 threads=1");
  CHECK(ToString(*ParseTarget("cuda")) ==
        "cuda/sm_70 l2=1048576 block=1024 wave=32 shared=49152 registers=65536");
  CHECK(ToString(*ParseTarget("cuda/sm_75,sm_90")) ==
        "cuda/sm_90 l2=1048576 block=1024 wave=32 shared=49152 registers=65536");
  for (const char* text :
       {"opencl/fp16 l2=1024 block=512 wave=64 shared=65536", "cuda/sm_80 registers=32768", "vta",
        "opencl constant=65536", "opencl texels=65536"}) {
    CHECK(ParseTarget(ToString(*ParseTarget(text))) == ParseTarget(text));
  }
}

TEST_CASE("a GPU's target has its limits, and code that needs less runs on it", "[ir][target]") {
  const Target device = *ParseTarget("opencl/fp16 block=512 shared=49152");
  CHECK(ToString(device) == "opencl/fp16 l2=1048576 block=512 wave=32 shared=49152");
  CHECK(CanRun(device, *ParseTarget("opencl"), 1));
  CHECK_FALSE(CanRun(device, *ParseTarget("opencl block=1024"), 1));
  CHECK_FALSE(CanRun(device, *ParseTarget("opencl shared=65536"), 1));
  CHECK_FALSE(CanRun(*ParseTarget("opencl"), *ParseTarget("opencl/fp16"), 1));
  const Target reader = *ParseTarget("opencl/fp16 texels=4096 constant=1024 block=512");
  CHECK(ToString(reader) ==
        "opencl/fp16 l2=1048576 block=512 wave=32 shared=32768 constant=1024 texels=4096");
  CHECK(CanRun(reader, *ParseTarget("opencl texels=4096 constant=1024"), 1));
  CHECK_FALSE(CanRun(reader, *ParseTarget("opencl constant=1025"), 1));
  CHECK_FALSE(CanRun(reader, *ParseTarget("opencl texels=4097"), 1));
  CHECK_FALSE(CanRun(device, *ParseTarget("cuda"), 1));
  CHECK(CanRun(*ParseTarget("cuda/sm_90"), *ParseTarget("cuda/sm_80"), 1));
  CHECK_FALSE(CanRun(*ParseTarget("cuda/sm_80"), *ParseTarget("cuda/sm_90"), 1));
  CHECK_FALSE(CanRun(device, *ParseTarget("x86"), 1));
}

TEST_CASE("an accelerator's target is its configuration, and only its own code runs on it",
          "[ir][target]") {
  const Target pynq = *ParseTarget("vta");
  CHECK(ToString(pynq) ==
        "vta batch=1 block=16 uop=32768 inp=32768 wgt=262144 acc=131072 pipeline=4");
  CHECK(CanRun(pynq, pynq, 1));
  CHECK_FALSE(CanRun(*ParseTarget("vta inp=65536"), pynq, 1));
  CHECK_FALSE(CanRun(pynq, *ParseTarget("x86"), 1));
  CHECK(WhyNotTogether(pynq, *ParseTarget("opencl")));
  CHECK_FALSE(WhyNotTogether(pynq, *ParseTarget("x86")));
}

TEST_CASE("threads of a CUDA block share out its registers by eights, 255 at most",
          "[ir][target]") {
  const Target target = *ParseTarget("cuda/sm_80");
  CHECK(ThreadRegisters(target, 32) == 255);
  CHECK(ThreadRegisters(target, 256) == 255);
  CHECK(ThreadRegisters(target, 257) == 224);  // nine waves
  CHECK(ThreadRegisters(target, 512) == 128);
  CHECK(ThreadRegisters(target, 1024) == 64);
  CHECK(ThreadRegisters(*ParseTarget("cuda registers=32768"), 1024) == 32);
  CHECK(ThreadRegisters(*ParseTarget("opencl"), 256) == std::nullopt);
  // The driver's compiler makes do with fewer.
  CHECK(CanRun(*ParseTarget("cuda/sm_80 registers=32768"), target, 1));
}

TEST_CASE("x86 ceilings have their vectors", "[ir][target]") {
  CHECK(X86Target("sse4.2")->vector_bytes == 16);
  CHECK(X86Target("avx2")->vector_bytes == 32);
  CHECK(X86Target("avx2")->vector_registers == 16);
  CHECK(X86Target("avx512")->vector_registers == 32);
  CHECK(!X86Target("avx1024").ok());
}

struct BadTarget {
  const char* text;
  const char* message;
};

TEST_CASE("bad targets are refused with what is known", "[ir][target]") {
  const BadTarget cases[] = {
      {"", "target is empty"},
      {"x87", "known: x86, aarch64, arm, opencl, cuda, vta"},
      {"x86/sse5", "known: sse4.2, avx2, avx512, vnni, bf16"},
      {"cuda/fast", "known: sm_70, sm_75, sm_80"},
      {"x86/vnni", "need avx512"},
      {"x86 l1=0", "from 1 to 2^40"},
      {"x86 l1=big", "from 1 to 2^40"},
      {"x86 l9=5", "known: l1, l2, threads"},
      {"x86 threads=5000", "over the limit of 4096"},
      {"opencl/fp64", "known: fp16"},
      {"opencl threads=2", "known: l2, block, wave, shared, constant, texels"},
      {"opencl texels=536870912", "over the limit of 536870911"},
      {"cuda constant=65536", "known: l2, block, wave, shared"},
      {"vta threads=1", "known: batch, block, uop, inp, wgt, acc, pipeline"},
      {"vta block=24", "block=24 is no power of two"},
      {"opencl block=5000", "over the limit of 4096"},
      {"opencl registers=65536", "known: l2, block, wave, shared"},
      {"cuda registers=8192", "registers=8192 leave each of 1024 threads of a block 8"},
  };
  for (const BadTarget& bad : cases) {
    CAPTURE(bad.text);
    const auto target = ParseTarget(bad.text);
    REQUIRE(!target.ok());
    CHECK(std::string(target.status().message()).find(bad.message) != std::string::npos);
  }
}

}  // namespace
}  // namespace tessera::ir
