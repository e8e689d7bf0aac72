#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <set>

#include "base/rng.h"
#include "base/test_data.h"
#include "worker/runner/cores.h"
#include "worker/runner/element.h"
#include "worker/runner/exchange.h"
#include "worker/runner/peak.h"
#include "worker/runner/stored_layout.h"
#include "worker/runner/test_set_cache.h"
#include "worker/runner/verify.h"

namespace tessera::runner {
namespace {

constexpr ElementType kTypes[] = {ElementType::kF64,  ElementType::kF32, ElementType::kF16,
                                  ElementType::kBF16, ElementType::kI64, ElementType::kI32,
                                  ElementType::kI16,  ElementType::kI8,  ElementType::kU32,
                                  ElementType::kU16,  ElementType::kU8};

uint16_t Bits16(ElementType type, double value) {
  std::byte bytes[2];
  WriteElement(type, bytes, 0, value);
  uint16_t bits;
  memcpy(&bits, bytes, 2);
  return bits;
}

absl::Span<const std::byte> Bytes(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

}  // namespace

TEST_CASE("element types have names that parse back", "[element]") {
  for (const ElementType type : kTypes) REQUIRE(ParseElementType(ToString(type)).value() == type);
  const auto unknown = ParseElementType("f8");
  REQUIRE(absl::IsInvalidArgument(unknown.status()));
  REQUIRE_THAT(std::string(unknown.status().message()),
               Catch::Contains("\"f8\"") && Catch::Contains("bf16"));
}

TEST_CASE("small test values survive every element type", "[element]") {
  const uint64_t seed = 11;
  for (const ElementType type : kTypes) {
    CAPTURE(std::string(ToString(type)), seed);
    std::byte data[8 * 4];
    for (int64_t i = 0; i < 200; ++i) {
      const double value = IsFloat(type) ? TestValue(seed, 0, i)
                                         : static_cast<double>(TestInteger(seed, 0, i, 0, 15));
      WriteElement(type, data, i % 4, value);
      REQUIRE(ReadElement(type, data, i % 4) == value);
    }
  }
}

TEST_CASE("sixteen-bit floats round to nearest even and keep every bit pattern", "[element]") {
  REQUIRE(Bits16(ElementType::kF16, 1.0) == 0x3c00);
  REQUIRE(Bits16(ElementType::kF16, 65504) == 0x7bff);
  REQUIRE(Bits16(ElementType::kF16, 65519.9) == 0x7bff);
  REQUIRE(Bits16(ElementType::kF16, 65520) == 0x7c00);
  REQUIRE(Bits16(ElementType::kF16, 0x1p-24) == 0x0001);
  REQUIRE(Bits16(ElementType::kF16, 0x1p-25) == 0x0000);
  REQUIRE(Bits16(ElementType::kF16, 1 + 0x1p-11) == 0x3c00);
  REQUIRE(Bits16(ElementType::kF16, 1 + 3 * 0x1p-11) == 0x3c02);
  REQUIRE(Bits16(ElementType::kBF16, 1 + 0x1p-8) == 0x3f80);
  REQUIRE(Bits16(ElementType::kBF16, 1 + 3 * 0x1p-8) == 0x3f82);
  REQUIRE(Bits16(ElementType::kBF16, -1e39) == 0xff80);
  for (const ElementType type : {ElementType::kF16, ElementType::kBF16}) {
    for (int bits = 0; bits < 65536; ++bits) {
      const auto pattern = static_cast<uint16_t>(bits);
      std::byte data[2];
      memcpy(data, &pattern, 2);
      const double value = ReadElement(type, data, 0);
      if (std::isnan(value)) continue;
      CAPTURE(bits);
      REQUIRE(Bits16(type, value) == pattern);
    }
  }
}

TEST_CASE("integers round and saturate", "[element]") {
  std::byte data[8];
  const auto through = [&](ElementType type, double value) {
    WriteElement(type, data, 0, value);
    return ReadElement(type, data, 0);
  };
  REQUIRE(through(ElementType::kI8, 200) == 127);
  REQUIRE(through(ElementType::kI8, -200) == -128);
  REQUIRE(through(ElementType::kU8, -3) == 0);
  REQUIRE(through(ElementType::kU8, 254.6) == 255);
  REQUIRE(through(ElementType::kI32, 1e300) == 2147483647.0);
  REQUIRE(through(ElementType::kI32, std::nan("")) == 0);
}

TEST_CASE("random stored layouts are injective and copy back", "[layout]") {
  const uint64_t seed = 3;
  Rng rng(seed);
  for (int round = 0; round < 200; ++round) {
    CAPTURE(seed, round);
    std::vector<int64_t> shape;
    std::vector<LayoutDim> dims;
    const int rank = static_cast<int>(rng.Between(0, 4));
    for (int axis = 0; axis < rank; ++axis) {
      shape.push_back(rng.Between(1, 9));
      int64_t covered = 1;
      while (covered < shape.back()) {
        const int64_t extent = rng.Between(2, 5);
        dims.push_back({axis, covered, extent});
        covered *= extent;
      }
    }
    rng.Shuffle(absl::MakeSpan(dims));
    const StoredLayout layout = StoredLayout::Create(shape, dims).value();
    std::set<int64_t> places;
    for (int64_t i = 0; i < layout.logical_elements(); ++i) {
      const int64_t place = layout.Offset(i);
      REQUIRE(place >= 0);
      REQUIRE(place < layout.stored_elements());
      places.insert(place);
    }
    REQUIRE(static_cast<int64_t>(places.size()) == layout.logical_elements());

    const int bytes = 1 << rng.Below(4);
    std::vector<std::byte> logical(static_cast<size_t>(layout.logical_elements() * bytes));
    for (std::byte& byte : logical) byte = static_cast<std::byte>(rng.Below(256));
    std::vector<std::byte> stored(static_cast<size_t>(layout.stored_elements() * bytes),
                                  std::byte{77});
    layout.Store(bytes, logical, absl::MakeSpan(stored));
    for (int64_t i = 0; i < layout.logical_elements(); ++i) {
      REQUIRE(memcmp(&stored[static_cast<size_t>(layout.Offset(i) * bytes)],
                     &logical[static_cast<size_t>(i * bytes)], static_cast<size_t>(bytes)) == 0);
    }
    std::vector<std::byte> back(logical.size());
    layout.Load(bytes, stored, absl::MakeSpan(back));
    REQUIRE(back == logical);
  }
}

TEST_CASE("a part that stands twice is a diagonal in padding", "[layout]") {
  const int64_t shape[] = {8};
  const LayoutDim dims[] = {{0, 4, 2}, {0, 1, 4}, {0, 1, 4}};
  const auto layout = StoredLayout::Create(shape, dims);
  REQUIRE(layout.ok());
  REQUIRE(layout->stored_elements() == 32);
  std::vector<std::byte> logical(8), stored(32, std::byte{9}), expected(32), back(8);
  for (size_t i = 0; i < 8; ++i) {
    logical[i] = static_cast<std::byte>(i + 1);
    expected[i / 4 * 16 + i % 4 * 5] = logical[i];
  }
  layout->Store(1, logical, absl::MakeSpan(stored));
  CHECK(stored == expected);
  layout->Load(1, stored, absl::MakeSpan(back));
  CHECK(back == logical);
}

TEST_CASE("a part behind all of an axis is of copies", "[layout]") {
  const int64_t shape[] = {4};
  const LayoutDim dims[] = {{0, 2, 2}, {0, 4, 2}, {0, 1, 2}};
  const auto layout = StoredLayout::Create(shape, dims);
  REQUIRE(layout.ok());
  std::vector<std::byte> logical, stored(8), expected, back(4);
  for (const int value : {1, 2, 3, 4}) logical.push_back(static_cast<std::byte>(value));
  for (const int value : {1, 2, 1, 2, 3, 4, 3, 4})
    expected.push_back(static_cast<std::byte>(value));
  layout->Store(1, logical, absl::MakeSpan(stored));
  CHECK(stored == expected);
  layout->Load(1, stored, absl::MakeSpan(back));
  CHECK(back == logical);
  const LayoutDim many[] = {{0, 4, 4096}, {0, 1, 4}};
  CHECK_THAT(std::string(StoredLayout::Create(shape, many).status().message()),
             Catch::Contains("axis 0 is stored more than 2048 times"));
}

TEST_CASE("layouts that leave gaps or overlap are refused", "[layout]") {
  const int64_t shape[] = {4, 10};
  const auto error = [&](std::vector<LayoutDim> dims) {
    return std::string(StoredLayout::Create(shape, dims).status().message());
  };
  REQUIRE_THAT(error({{0, 1, 4}}), Catch::Contains("axis 1 of extent 10 is stored for 1 elements"));
  REQUIRE_THAT(error({{0, 1, 4}, {1, 5, 2}}), Catch::Contains("divisor 5 where 1 must follow"));
  REQUIRE_THAT(error({{0, 1, 4}, {1, 1, 5}, {1, 2, 5}}),
               Catch::Contains("divisor 2 where 5 must follow"));
  REQUIRE_THAT(error({{2, 1, 4}}), Catch::Contains("axis 2 of an array with 2 dimensions"));
  REQUIRE_THAT(error({{0, 1, int64_t{1} << 40}}), Catch::Contains("at most 2^36"));
  REQUIRE_THAT(error({{0, 1, -4}}), Catch::Contains("at least 1"));
}

TEST_CASE("each overwritten guard byte is found", "[exchange]") {
  const int64_t sizes[] = {100, 64, 1};
  const Exchange exchange = LayOutExchange(sizes);
  std::vector<std::byte> image(static_cast<size_t>(exchange.bytes));
  for (const Slot& slot : exchange.slots) {
    REQUIRE(slot.offset % kBufferAlignment == 0);
    FillGuards(absl::MakeSpan(image), slot);
  }
  for (const Slot& slot : exchange.slots) {
    for (const Placement placement : {Placement::kStrict, Placement::kLoose}) {
      REQUIRE(FindOverwrittenGuard(image, slot, placement) == 0);
      for (int64_t at = -kGuardBytes; at < slot.bytes + slot.BackGuard(placement); ++at) {
        const auto place = static_cast<size_t>(slot.offset + at);
        image[place] ^= std::byte{1};
        REQUIRE(FindOverwrittenGuard(image, slot, placement) ==
                (at >= 0 && at < slot.bytes ? 0 : at));
        image[place] ^= std::byte{1};
      }
    }
  }
}

TEST_CASE("outputs are compared within the tolerance of their type", "[verify]") {
  const BufferSpec buffer = {"y", ElementType::kF32, {2, 2}, true};
  const StoredLayout layout = StoredLayout::Create(buffer.shape, {}).value();
  const auto floats = [](std::vector<float> values) {
    return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  };
  const float nan = std::nanf(""), inf = INFINITY;
  const auto compare = [&](std::vector<float> actual, std::vector<float> expected) {
    const std::string a = floats(actual), e = floats(expected);
    return CompareOutput(buffer, layout, Bytes(a), Bytes(e), {0.01, 0.1}).value_or("");
  };
  REQUIRE(compare({1, 2, nan, inf}, {1.05f, 2.2f, nan, inf}).empty());
  REQUIRE(compare({1, 2, 3, 4}, {1, 2.3f, 3, 4}) ==
          "y: 1 of 4 elements are wrong; worst at [0, 1]: 2 where 2.29999995 is expected (±0.24)");
  REQUIRE_THAT(compare({1, 2, nan, 5}, {1, 2, 3, 4}),
               Catch::StartsWith("y: 2 of 4 elements are wrong; worst at [1, 0]"));
  REQUIRE_THAT(compare({1, 2, 3, 4}, {1, 2, 3, nan}), Catch::Contains("[1, 1]"));
  REQUIRE_THAT(compare({1, 2, 3, -inf}, {1, 2, 3, inf}), Catch::Contains("[1, 1]"));
}

TEST_CASE("the cache of test sets keeps the latest, and others within its bytes", "[cache]") {
  TestSetCache cache(250);
  const auto set = [](size_t bytes) {
    return std::make_shared<TestSet>(
        TestSet{{std::string(bytes / 2, 'i')}, {std::string(bytes / 2, 'o')}});
  };
  cache.Put("a", 1, set(100));
  cache.Put("a", 2, set(100));
  REQUIRE(cache.Get("a", 1) != nullptr);
  cache.Put("b", 1, set(100));
  REQUIRE(cache.Get("a", 2) == nullptr);
  REQUIRE(cache.Get("a", 1) != nullptr);
  REQUIRE(cache.Get("b", 1) != nullptr);
  cache.Put("b", 1, set(50));
  REQUIRE(cache.bytes() == 150);
  cache.Put("c", 1, set(300));
  REQUIRE(cache.Get("c", 1) != nullptr);
  REQUIRE(cache.bytes() == 300);
  cache.Put("d", 1, set(100));
  REQUIRE(cache.Get("c", 1) == nullptr);
  REQUIRE(cache.bytes() == 100);
  cache.Trim();
  REQUIRE(cache.Get("d", 1) != nullptr);
  cache.Put("e", 1, set(300));
  cache.Trim();
  REQUIRE(cache.bytes() == 0);
}

TEST_CASE("the peak of a core is plausible and grows with cores", "[peak]") {
  const std::vector<int> cores = AllowedCores();
  const PeakFlops one = MeasurePeakFlops(1, {cores[0]}, absl::Milliseconds(30)).value();
  CAPTURE(one.gflops, std::string(one.features));
  REQUIRE(one.gflops > 1);
  REQUIRE(one.gflops < 1000);
  if (cores.size() >= 2) {
    // What else the machine does may take one of the cores for a while.
    double two = 0;
    for (int i = 0; i < 50 && two <= 1.2 * one.gflops; ++i) {
      const auto both = MeasurePeakFlops(2, {cores[0], cores[1]}, absl::Milliseconds(30));
      two = std::max(two, both.value().gflops);
    }
    REQUIRE(two > 1.2 * one.gflops);
  }
  REQUIRE(absl::IsInvalidArgument(MeasurePeakFlops(0, {}).status()));
  REQUIRE(absl::IsInvalidArgument(MeasurePeakFlops(2, {cores[0]}).status()));
  REQUIRE(absl::IsInvalidArgument(MeasurePeakFlops(1, {5000}, absl::Milliseconds(1)).status()));
}

}  // namespace tessera::runner
