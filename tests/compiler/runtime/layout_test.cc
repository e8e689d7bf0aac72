#include "compiler/runtime/layout.h"

#include <catch2/catch.hpp>
#include <numeric>
#include <vector>

TEST_CASE("blocked layout with padding packs and unpacks", "[runtime]") {
  // [3, 5] with axis 1 in blocks of 4: stored [2, 3, 4], the second block padded by 3.
  const int64_t shape[] = {3, 5};
  const tessera_layout_dim dims[] = {{1, 4, 2}, {0, 1, 3}, {1, 1, 4}};
  const tessera_layout layout{4, 2, shape, 3, dims};
  REQUIRE(tessera_layout_logical_bytes(&layout) == 60);
  REQUIRE(tessera_layout_stored_bytes(&layout) == 96);
  std::vector<float> row_major(15), stored(24, -1.0f), back(15);
  std::iota(row_major.begin(), row_major.end(), 1.0f);
  tessera_layout_pack(&layout, row_major.data(), stored.data());
  for (int64_t block = 0; block < 2; ++block) {
    for (int64_t row = 0; row < 3; ++row) {
      for (int64_t lane = 0; lane < 4; ++lane) {
        const int64_t column = block * 4 + lane;
        const float expected = column < 5 ? row_major[static_cast<size_t>(row * 5 + column)] : 0.0f;
        REQUIRE(stored[static_cast<size_t>((block * 3 + row) * 4 + lane)] == expected);
      }
    }
  }
  tessera_layout_unpack(&layout, stored.data(), back.data());
  REQUIRE(back == row_major);
}

TEST_CASE("a part that stands twice is packed as a diagonal in zeros", "[runtime]") {
  // [6, 2] with axis 0 in blocks of 4, stored [2, 2, 4, 4]; the second block is padded by 2.
  const int64_t shape[] = {6, 2};
  const tessera_layout_dim dims[] = {{0, 4, 2}, {1, 1, 2}, {0, 1, 4}, {0, 1, 4}};
  const tessera_layout layout{1, 2, shape, 4, dims};
  REQUIRE(tessera_layout_stored_bytes(&layout) == 64);
  std::vector<char> row_major(12), stored(64, 77), expected(64, 0), back(12);
  std::iota(row_major.begin(), row_major.end(), static_cast<char>(1));
  for (size_t i = 0; i < 6; ++i) {
    for (size_t j = 0; j < 2; ++j)
      expected[(i / 4 * 2 + j) * 16 + i % 4 * 5] = row_major[i * 2 + j];
  }
  tessera_layout_pack(&layout, row_major.data(), stored.data());
  REQUIRE(stored == expected);
  tessera_layout_unpack(&layout, stored.data(), back.data());
  REQUIRE(back == row_major);
}

TEST_CASE("a gap behind all of an axis is packed as copies", "[runtime]") {
  // [6] in blocks of 2, each three times.
  const int64_t shape[] = {6};
  const tessera_layout_dim dims[] = {{0, 2, 3}, {0, 6, 3}, {0, 1, 2}};
  const tessera_layout layout{1, 1, shape, 3, dims};
  std::vector<char> row_major(6), stored(18, 77), back(6);
  std::iota(row_major.begin(), row_major.end(), static_cast<char>(1));
  tessera_layout_pack(&layout, row_major.data(), stored.data());
  REQUIRE(stored == std::vector<char>{1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4, 5, 6, 5, 6, 5, 6});
  tessera_layout_unpack(&layout, stored.data(), back.data());
  REQUIRE(back == row_major);
}

TEST_CASE("row-major layouts are copied for every element size", "[runtime]") {
  const int64_t shape[] = {2, 3};
  for (int64_t bytes : {1, 2, 4, 8}) {
    const tessera_layout plain{bytes, 2, shape, 0, nullptr};
    const tessera_layout_dim transposed_dims[] = {{1, 1, 3}, {0, 1, 2}};
    const tessera_layout transposed{bytes, 2, shape, 2, transposed_dims};
    std::vector<char> in(static_cast<size_t>(6 * bytes)), out(in.size()), back(in.size());
    std::iota(in.begin(), in.end(), 0);
    tessera_layout_pack(&plain, in.data(), out.data());
    REQUIRE(out == in);
    tessera_layout_pack(&transposed, in.data(), out.data());
    REQUIRE(out[static_cast<size_t>(bytes)] == in[static_cast<size_t>(3 * bytes)]);
    tessera_layout_unpack(&transposed, out.data(), back.data());
    REQUIRE(back == in);
  }
}
