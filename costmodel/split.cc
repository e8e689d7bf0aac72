#include "costmodel/split.h"

#include <bit>

#include "base/hash.h"

namespace tessera::costmodel {
namespace {

constexpr uint64_t kPartsHeldOut = 5;  // one in so many

uint64_t HashRows(absl::Span<const float> values, uint64_t seed) {
  StableHasher hasher;
  hasher.Add(seed);
  for (const float value : values) hasher.Add(std::bit_cast<uint32_t>(value));
  return hasher.Finish();
}

void Append(TrainingData& part, const TrainingData& data, size_t row) {
  const auto values = absl::MakeConstSpan(data.rows).subspan(row * data.columns, data.columns);
  part.rows.insert(part.rows.end(), values.begin(), values.end());
  part.labels.push_back(data.labels[row]);
  if (!data.margins.empty()) part.margins.push_back(data.margins[row]);
}

}  // namespace

Split HoldOut(const TrainingData& data, uint64_t seed) {
  Split split;
  split.kept.columns = split.held_out.columns = data.columns;
  const std::vector<int> groups = GroupsOf(data);
  const bool whole_tasks = groups.size() >= kTasksToHoldOut;
  size_t row = 0;
  for (const int size : groups) {
    const size_t kept_before = split.kept.labels.size(), held_before = split.held_out.labels.size();
    const bool task_is_held =
        HashRows(absl::MakeConstSpan(data.rows).subspan(row * data.columns, data.columns), seed) %
            kPartsHeldOut ==
        0;
    for (const size_t end = row + size; row < end; ++row) {
      const auto values = absl::MakeConstSpan(data.rows).subspan(row * data.columns, data.columns);
      const bool is_held = whole_tasks ? task_is_held : HashRows(values, seed) % kPartsHeldOut == 0;
      Append(is_held ? split.held_out : split.kept, data, row);
    }
    // Groups without rows are none.
    if (const size_t kept = split.kept.labels.size() - kept_before; kept > 0) {
      split.kept.groups.push_back(static_cast<int>(kept));
    }
    if (const size_t held = split.held_out.labels.size() - held_before; held > 0) {
      split.held_out.groups.push_back(static_cast<int>(held));
    }
  }
  if (split.held_out.labels.size() < kMinHeldOut || split.kept.labels.empty()) {
    return {data, {.columns = data.columns}};
  }
  return split;
}

}  // namespace tessera::costmodel
