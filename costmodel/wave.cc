#include "costmodel/wave.h"

#include <algorithm>
#include <cmath>

namespace tessera::costmodel {
namespace {

constexpr int64_t kMaxThreads = 64;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

// Where element `index` of a dimension lies, the others being 0.
int64_t OffsetOf(absl::Span<const ir::LayoutDim> storage, int dim, int64_t index) {
  if (index < 0) return -OffsetOf(storage, dim, -index);
  int64_t offset = 0, inner = 1;
  for (size_t i = storage.size(); i-- > 0;) {
    const ir::LayoutDim& part = storage[i];
    if (part.axis == dim) {
      const int64_t digit = part.divisor == 1 ? index : index / part.divisor;
      offset += inner * (digit < part.extent ? digit : digit % part.extent);
    }
    inner *= part.extent;
  }
  return offset;
}

// Units of so many bytes that threads touch, `bytes` each from its offset.
int64_t UnitsTouched(absl::Span<const int64_t> sorted, int64_t bytes, int64_t unit) {
  int64_t touched = 0, next = FloorDiv(sorted[0], unit);
  for (const int64_t offset : sorted) {
    const int64_t first = std::max(next, FloorDiv(offset, unit));
    next = std::max(next, FloorDiv(offset + bytes - 1, unit) + 1);
    touched += next - first;
  }
  return touched;
}

// Cycles that banks need for what threads touch at once.
int64_t BankCycles(absl::Span<const int64_t> sorted, int64_t words) {
  std::array<int64_t, kBanks> busy = {};
  int64_t next = FloorDiv(sorted[0], kWordBytes);
  for (const int64_t offset : sorted) {
    const int64_t begin = FloorDiv(offset, kWordBytes);
    for (int64_t word = std::max(next, begin); word < begin + words; ++word) {
      ++busy[static_cast<uint64_t>(word) % kBanks];
    }
    next = std::max(next, begin + words);
  }
  return *std::max_element(busy.begin(), busy.end());
}

}  // namespace

WaveAccess AccessOfWave(const WaveQuestion& question) {
  const BlockShape& block = question.block;
  const int64_t threads = std::min<int64_t>(
      {question.wave_threads, kMaxThreads, std::max<int64_t>(1, block[0] * block[1] * block[2])});
  const int64_t bytes = question.element_bytes * question.lanes;
  std::array<int64_t, kMaxThreads> offsets;  // in bytes, of those that take part
  size_t count = 0;
  BlockShape place = {0, 0, 0};
  for (int64_t t = 0; t < threads; ++t) {
    bool takes_part = true;
    for (size_t axis = 0; axis < place.size(); ++axis) {
      const int64_t iterations = question.iterations[axis];
      takes_part &= iterations == 0 || place[axis] < iterations;
    }
    if (takes_part) {
      int64_t offset = 0;
      for (const LaneTerm& term : question.terms) {
        const auto at = static_cast<uint32_t>(place[term.axis]);
        const uint32_t step =
            at / static_cast<uint32_t>(term.divisor) % static_cast<uint32_t>(term.extent);
        offset += OffsetOf(question.storage, term.dim,
                           static_cast<int64_t>(std::floor(term.factor * step)));
      }
      offsets[count++] = offset * question.element_bytes;
    }
    for (size_t axis = 0; axis < place.size() && ++place[axis] == block[axis]; ++axis) {
      place[axis] = 0;
    }
  }

  WaveAccess access;
  access.threads = static_cast<int>(count);
  // Banks serve as many threads at a time as have words for all of them.
  const int64_t words = CeilDiv(bytes, kWordBytes);
  const auto at_once = static_cast<size_t>(std::max<int64_t>(1, kBanks / words));
  int64_t cycles = 0, least_cycles = 0;
  for (size_t first = 0; first < count; first += at_once) {
    const auto some = absl::MakeSpan(offsets).subspan(first, std::min(at_once, count - first));
    std::sort(some.begin(), some.end());
    cycles += BankCycles(some, words);
    least_cycles += CeilDiv(UnitsTouched(some, bytes, kWordBytes), kBanks);
  }
  const auto all = absl::MakeSpan(offsets).first(count);
  std::sort(all.begin(), all.end());
  access.sectors = static_cast<double>(UnitsTouched(all, bytes, kSectorBytes));
  access.least_sectors = static_cast<double>(CeilDiv(UnitsTouched(all, bytes, 1), kSectorBytes));
  access.bank_cycles = static_cast<double>(cycles);
  access.least_cycles = static_cast<double>(least_cycles);
  return access;
}

}  // namespace tessera::costmodel
