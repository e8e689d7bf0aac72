#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "tests/tuner/synthetic.h"
#include "tuner/replay/table_space.h"

namespace tessera::test {

// Programs of a synthetic space, one row a loop hash, fastest first: whatever looks at the order of
// rows would find the best at once.
inline replay::Dataset DatasetOf(const SyntheticSpace& space,
                                 const std::vector<tuner::Point>& points,
                                 replay::DatasetKind kind) {
  replay::Dataset dataset;
  dataset.task.name = "T";
  dataset.task.workload = "synthetic";
  dataset.task.workload_hash = HashToHex(1);
  dataset.task.target = "synthetic";
  dataset.device_class = "simulated";
  dataset.kind = kind;
  dataset.space = HashToHex(2);
  for (const tuner::Point& point : points) {
    const uint64_t hash = *space.LoopHash(point);
    if (std::ranges::any_of(dataset.rows, [&](const auto& r) { return r.loop_hash == hash; })) {
      continue;
    }
    dataset.rows.push_back({space.Config(point), hash, db::Outcome::kOk, space.CostSeconds(point)});
  }
  std::ranges::stable_sort(dataset.rows, {}, &replay::Row::seconds);
  return dataset;
}

// Every program of a space of `knobs` knobs with `choices` choices each.
inline replay::Dataset EnumeratedDataset(const SyntheticSpace& space) {
  std::vector<tuner::Point> points;
  for (auto point = space.Next({}); point; point = space.Next(*point)) points.push_back(*point);
  return DatasetOf(space, points, replay::DatasetKind::kEnumerated);
}

inline replay::Dataset SampledDataset(const SyntheticSpace& space, int count, uint64_t seed) {
  std::vector<tuner::Point> points;
  Rng rng(seed);
  for (int i = 0; i < count; ++i) points.push_back(space.Sample(rng));
  return DatasetOf(space, points, replay::DatasetKind::kSampled);
}

}  // namespace tessera::test
