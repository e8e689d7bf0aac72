#include "costmodel/wave.h"

#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <vector>

#include "base/rng.h"

namespace tessera::costmodel {
namespace {

constexpr BlockShape kShared = {64, 0, 0};  // iterations that 64 threads or less all take part in

WaveAccess Of(const BlockShape& block, const std::vector<LaneTerm>& terms,
              const std::vector<ir::LayoutDim>& storage, int64_t element_bytes, int64_t lanes = 1,
              const BlockShape& iterations = kShared, int wave = 32) {
  return AccessOfWave({wave, block, iterations, terms, storage, element_bytes, lanes});
}

TEST_CASE("neighbours that read neighbours fill their sectors", "[features]") {
  const std::vector<ir::LayoutDim> row = {{0, 1, 4096}};
  WaveAccess access = Of({64, 1, 1}, {{0, 1, 64, 0, 1}}, row, 4);
  CHECK(access.threads == 32);
  CHECK(access.sectors == 4);  // 128 bytes
  CHECK(access.least_sectors == 4);
  CHECK(access.bank_cycles == 1);
  // Four elements each.
  access = Of({64, 1, 1}, {{0, 1, 64, 0, 4}}, row, 4, 4);
  CHECK(access.sectors == 16);
  CHECK(access.least_sectors == 16);
  CHECK(access.bank_cycles == 4);  // a quarter of the wave at a time
  CHECK(access.least_cycles == 4);
  // Bytes: the wave has one sector and eight words.
  access = Of({64, 1, 1}, {{0, 1, 64, 0, 1}}, row, 1);
  CHECK(access.sectors == 1);
  CHECK(access.bank_cycles == 1);
}

TEST_CASE("threads that lie apart have a sector each, and those of one bank wait", "[features]") {
  const std::vector<ir::LayoutDim> row = {{0, 1, 4096}};
  WaveAccess access = Of({32, 1, 1}, {{0, 1, 32, 0, 32}}, row, 4);
  CHECK(access.sectors == 32);
  CHECK(access.least_sectors == 4);
  CHECK(access.bank_cycles == 32);
  CHECK(access.least_cycles == 1);
  // With a padded row none do.
  access = Of({32, 1, 1}, {{0, 1, 32, 0, 33}}, row, 4);
  CHECK(access.sectors == 32);
  CHECK(access.bank_cycles == 1);
  // Every other word: two of each bank.
  access = Of({32, 1, 1}, {{0, 1, 32, 0, 2}}, row, 4);
  CHECK(access.sectors == 8);
  CHECK(access.bank_cycles == 2);
}

TEST_CASE("what all read is read once", "[features]") {
  const WaveAccess access = Of({32, 1, 1}, {}, {{0, 1, 64}}, 4, 1, {0, 0, 0});
  CHECK(access.threads == 32);
  CHECK(access.sectors == 1);
  CHECK(access.bank_cycles == 1);
}

TEST_CASE("threads beyond the iterations take no part", "[features]") {
  const WaveAccess access = Of({32, 1, 1}, {{0, 1, 8, 0, 1}}, {{0, 1, 8}}, 4, 1, {8, 0, 0});
  CHECK(access.threads == 8);
  CHECK(access.sectors == 1);
}

TEST_CASE("blocks of two axes have neighbours along x first", "[features]") {
  // 8 × 4 threads read rows of 64: each row of eight is a sector.
  const std::vector<ir::LayoutDim> matrix = {{0, 1, 64}, {1, 1, 64}};
  const WaveAccess access =
      Of({8, 4, 1}, {{0, 1, 8, 1, 1}, {1, 1, 4, 0, 1}}, matrix, 4, 1, {8, 4, 0});
  CHECK(access.threads == 32);
  CHECK(access.sectors == 4);
  CHECK(access.bank_cycles == 4);  // rows of 64 words begin at the same bank
}

// Element by element, with sets.
TEST_CASE("what a wave touches is what its threads touch", "[features]") {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    const auto power = [&](int most) { return int64_t{1} << rng.Below(most + 1); };
    const BlockShape block = {power(6), power(2), 1};
    const int64_t rows = power(4), blocks = power(3), inner = power(3);
    // Of a matrix whose columns are stored by blocks.
    const std::vector<ir::LayoutDim> storage = {{1, inner, blocks}, {0, 1, rows}, {1, 1, inner}};
    const int64_t fast = std::min(power(3), block[0]);
    const std::vector<LaneTerm> terms = {{0, 1, fast, 1, 1},
                                         {0, fast, block[0] / fast, 0, 1},
                                         {1, 1, block[1], 1, static_cast<double>(fast)}};
    const int64_t bytes = power(3);
    const WaveAccess access = Of(block, terms, storage, bytes, 1, {block[0], block[1], 0});

    std::set<int64_t> elements, sectors;
    std::map<int64_t, std::set<int64_t>> words_of_bank;
    const int64_t threads = std::min<int64_t>(32, block[0] * block[1]);
    const int64_t at_once = std::min<int64_t>(32, 128 / bytes);
    int64_t cycles = 0;
    for (int64_t t = 0; t < threads; ++t) {
      const int64_t x = t % block[0], y = t / block[0];
      const int64_t row = x / fast % rows, column = x % fast + y * fast;
      const int64_t offset = column / inner % blocks * rows * inner + row * inner + column % inner;
      elements.insert(offset);
      for (int64_t byte = offset * bytes; byte < (offset + 1) * bytes; ++byte) {
        sectors.insert(byte / kSectorBytes);
        words_of_bank[byte / kWordBytes % kBanks].insert(byte / kWordBytes);
      }
      if (t + 1 < threads && (t + 1) % at_once != 0) continue;
      size_t most = 0;
      for (const auto& [bank, words] : words_of_bank) most = std::max(most, words.size());
      cycles += static_cast<int64_t>(most);
      words_of_bank.clear();
    }
    CHECK(access.threads == threads);
    CHECK(access.sectors == static_cast<double>(sectors.size()));
    CHECK(access.bank_cycles == static_cast<double>(cycles));
    const auto distinct = static_cast<int64_t>(elements.size());
    CHECK(access.least_sectors ==
          static_cast<double>((distinct * bytes + kSectorBytes - 1) / kSectorBytes));
  }
}

}  // namespace
}  // namespace tessera::costmodel
