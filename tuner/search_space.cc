#include "tuner/search_space.h"

#include "base/hash.h"

namespace tessera::tuner {

uint64_t HashPoint(const Point& point) {
  StableHasher hasher;
  for (int32_t value : point) hasher.Add(static_cast<uint64_t>(static_cast<int64_t>(value)));
  return hasher.Add(static_cast<uint64_t>(point.size())).Finish();
}

}  // namespace tessera::tuner
