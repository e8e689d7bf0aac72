#include "schedule_space/thread_kernel.h"

#include <algorithm>
#include <bit>

namespace tessera::space {

int64_t PowerAtLeast(int64_t n) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(n)));
}

int64_t Product(const Option& option) {
  int64_t product = 1;
  for (const int64_t part : option) product *= part;
  return product;
}

int64_t ElementBytes(const te::Stage& stage) {
  int64_t bytes = 0;
  for (const ir::Buffer& output : stage.outputs) {
    bytes += std::max<int64_t>(output->type.bits / 8, 1);
  }
  return bytes;
}

std::vector<Option> Combine(const std::vector<std::vector<int64_t>>& choices, int64_t limit) {
  std::vector<Option> options{{}};
  for (const std::vector<int64_t>& values : choices) {
    std::vector<Option> longer;
    for (const Option& option : options) {
      for (const int64_t value : values) {
        if (Product(option) * value > limit) continue;
        longer.push_back(option);
        longer.back().push_back(value);
      }
    }
    options = std::move(longer);
  }
  return options;
}

std::vector<bool> TiledAxes(const te::Stage& store, bool has_parts) {
  std::vector<bool> tiled(store.axes.size(), false);
  int count = 0;
  for (size_t a = store.axes.size() - (has_parts ? 1 : 0); a-- > 0 && count < kMaxTiledAxes;) {
    tiled[a] = store.axes[a].extent > 1;
    count += tiled[a] ? 1 : 0;
  }
  return tiled;
}

double BlockWeight(int64_t threads) {
  return threads < kUsualBlockThreads ? static_cast<double>(threads) / kUsualBlockThreads : 1;
}

}  // namespace tessera::space
