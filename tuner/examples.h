#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "tuner/search_space.h"

namespace tessera::tuner {

// A measured point.
struct Example {
  int64_t number = 0;  // from 0 in the order of Add
  Point point;
  double cost_seconds = 0;  // infinity for a candidate that failed
  int device = 0;           // that measured it, as of Paces
};

struct ExampleLimits {
  size_t newest = 1024;
  size_t fastest = 256;
  size_t sampled = 768;  // of the older ones, uniformly
};

// What a task's models are trained on: all results while they are few, then the newest, the fastest
// and a sample of the others. Bounded in size, and so are the fits. A function of the order of Add
// and the seed alone. Thread-compatible.
class Examples {
 public:
  Examples(const ExampleLimits& limits, uint64_t seed) : limits_(limits), seed_(seed) {}

  void Add(Point point, double cost_seconds, int device = 0);
  // What each device measured costs that much more; 1 for those beyond the list.
  void Scale(absl::Span<const double> factors);

  // Each once, the oldest first.
  std::vector<const Example*> All() const;
  // At most `count`, fastest first, the older of equals first; no failures.
  std::vector<Point> Fastest(size_t count) const;

  size_t MemoryBytes() const;  // on the heap, estimated from below

 private:
  using Shared = std::shared_ptr<Example>;

  std::vector<Example*> Each() const;

  ExampleLimits limits_;
  uint64_t seed_;
  int64_t added_ = 0;
  std::deque<Shared> newest_;
  std::vector<Shared> fastest_;
  // By a hash of the number: those with the smallest are a uniform sample.
  std::map<uint64_t, Shared> sampled_;
};

}  // namespace tessera::tuner
