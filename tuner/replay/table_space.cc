#include "tuner/replay/table_space.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <utility>

#include "base/hash.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/te/dag.h"
#include "tuner/config_search_space.h"
#include "tuner/replay/dataset_maker.h"

namespace tessera::replay {
namespace {

// Draws of a move of the whole space until it counts as leading nowhere.
constexpr int kMaxDraws = 32;
// As many as a config of a usual space has neighbours that differ in one of a few knobs.
constexpr size_t kNearestRows = 16;

}  // namespace

absl::StatusOr<std::shared_ptr<const TableSpace>> TableSpace::Make(
    Dataset dataset, std::shared_ptr<const tuner::SearchSpace> space) {
  std::shared_ptr<TableSpace> table(new TableSpace(std::move(dataset), std::move(space)));
  TESSERA_RETURN_IF_ERROR(table->Index());
  return table;
}

absl::Status TableSpace::Index() {
  best_seconds_ = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < dataset_.rows.size(); ++i) {
    const Row& row = dataset_.rows[i];
    const auto refuse = [&](std::string_view why) {
      return absl::FailedPreconditionError(absl::StrCat("row ", i + 1, ": ", std::string(why)));
    };
    absl::StatusOr<tuner::Point> point = space_->Parse(row.config);
    if (!point.ok()) return refuse(StdView(point.status().message()));
    TESSERA_ASSIGN_OR_RETURN(const uint64_t loop_hash, space_->LoopHash(*point));
    if (loop_hash != row.loop_hash) {
      return refuse(absl::StrCat("its config stands for program ", HashToHex(loop_hash),
                                 " now, and stood for ", HashToHex(row.loop_hash)));
    }
    const int index = static_cast<int>(i);
    if (!index_.emplace(*point, index).second || !by_loop_hash_.emplace(loop_hash, index).second) {
      return refuse("comes again");
    }
    by_sketch_[point->front()].push_back(index);
    points_.push_back(*std::move(point));
    if (row.outcome == db::Outcome::kOk) best_seconds_ = std::min(best_seconds_, row.seconds);
  }
  if (best_seconds_ == std::numeric_limits<double>::infinity()) {
    return absl::InvalidArgumentError("no row has a time");
  }
  TESSERA_ASSIGN_OR_RETURN(features_, space_->Features(points_));
  return absl::OkStatus();
}

std::optional<int> TableSpace::Find(uint64_t loop_hash) const {
  const auto found = by_loop_hash_.find(loop_hash);
  return found == by_loop_hash_.end() ? std::nullopt : std::make_optional(found->second);
}

tuner::Point TableSpace::Sample(Rng& rng) const {
  if (dataset_.kind == DatasetKind::kEnumerated) {
    for (int draw = 0; draw < kMaxDraws; ++draw) {
      tuner::Point point = space_->Sample(rng);
      if (Contains(point)) return point;
    }
  }
  return points_[rng.Below(points_.size())];
}

tuner::Point TableSpace::Mutate(const tuner::Point& point, Rng& rng) const {
  return Moved(&tuner::SearchSpace::Mutate, point, rng);
}

tuner::Point TableSpace::Jump(const tuner::Point& point, Rng& rng) const {
  return Moved(&tuner::SearchSpace::Jump, point, rng);
}

tuner::Point TableSpace::Moved(Move move, const tuner::Point& point, Rng& rng) const {
  if (dataset_.kind == DatasetKind::kEnumerated) {
    for (int draw = 0; draw < kMaxDraws; ++draw) {
      tuner::Point moved = ((*space_).*move)(point, rng);
      if (moved != point && Contains(moved)) return moved;
    }
  }
  const std::vector<int> nearest = NearestRows(point);
  return nearest.empty() ? Sample(rng) : points_[nearest[rng.Below(nearest.size())]];
}

tuner::Point TableSpace::Crossover(const tuner::Point& a, const tuner::Point& b, Rng& rng) const {
  tuner::Point child = space_->Crossover(a, b, rng);
  if (dataset_.kind == DatasetKind::kEnumerated) {
    for (int draw = 1; draw < kMaxDraws && !Contains(child); ++draw) {
      child = space_->Crossover(a, b, rng);
    }
  }
  if (Contains(child)) return child;
  const std::vector<int> nearest = Nearest(child, 1);
  return nearest.empty() ? a : points_[nearest[0]];
}

std::vector<tuner::Point> TableSpace::Neighbours(const tuner::Point& point) const {
  std::vector<tuner::Point> neighbours;
  if (dataset_.kind == DatasetKind::kEnumerated) {
    neighbours = space_->Neighbours(point);
    std::erase_if(neighbours, [&](const tuner::Point& other) { return !Contains(other); });
    return neighbours;
  }
  for (const int row : NearestRows(point)) neighbours.push_back(points_[row]);
  return neighbours;
}

std::optional<tuner::Point> TableSpace::Next(const tuner::Point& point) const {
  if (point.empty()) return points_[0];
  const auto found = index_.find(point);
  if (found == index_.end() || found->second + 1 == static_cast<int>(points_.size())) {
    return std::nullopt;
  }
  return points_[found->second + 1];
}

absl::StatusOr<int> TableSpace::IndexOf(const tuner::Point& point) const {
  const auto found = index_.find(point);
  if (found != index_.end()) return found->second;
  return absl::InvalidArgumentError("the config is no row of the data set");
}

absl::StatusOr<uint64_t> TableSpace::LoopHash(const tuner::Point& point) const {
  TESSERA_ASSIGN_OR_RETURN(const int index, IndexOf(point));
  return dataset_.rows[index].loop_hash;
}

absl::StatusOr<tuner::Point> TableSpace::Parse(std::string_view config) const {
  TESSERA_ASSIGN_OR_RETURN(tuner::Point point, space_->Parse(config));
  TESSERA_RETURN_IF_ERROR(IndexOf(point).status());
  return point;
}

absl::StatusOr<std::vector<float>> TableSpace::Features(
    absl::Span<const tuner::Point> points) const {
  const int columns = FeatureCount();
  std::vector<float> rows;
  rows.reserve(points.size() * columns);
  for (const tuner::Point& point : points) {
    TESSERA_ASSIGN_OR_RETURN(const int index, IndexOf(point));
    const auto row = features_.begin() + static_cast<std::ptrdiff_t>(index) * columns;
    rows.insert(rows.end(), row, row + columns);
  }
  return rows;
}

std::vector<int> TableSpace::Nearest(const tuner::Point& point, size_t count) const {
  struct Near {
    int knobs, steps, row;
    auto operator<=>(const Near&) const = default;
  };
  std::vector<Near> all;
  const auto sketch = by_sketch_.find(point.front());
  if (sketch == by_sketch_.end()) return {};
  for (const int row : sketch->second) {
    Near near = {0, 0, row};
    for (size_t k = 1; k < point.size(); ++k) {
      near.knobs += points_[row][k] != point[k];
      near.steps += std::abs(points_[row][k] - point[k]);
    }
    if (near.knobs > 0) all.push_back(near);
  }
  count = std::min(count, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count), all.end());
  std::vector<int> nearest;
  for (size_t i = 0; i < count; ++i) nearest.push_back(all[i].row);
  return nearest;
}

std::vector<int> TableSpace::NearestRows(const tuner::Point& point) const {
  const auto found = index_.find(point);
  if (found == index_.end()) return Nearest(point, kNearestRows);
  absl::MutexLock lock(&mutex_);
  std::vector<int>& nearest = nearest_[found->second];
  if (nearest.empty()) nearest = Nearest(point, kNearestRows);
  return nearest;
}

absl::StatusOr<std::shared_ptr<const TableSpace>> OpenTable(const std::string& path) {
  TESSERA_ASSIGN_OR_RETURN(Dataset dataset, ReadDataset(path));
  const auto make = [&]() -> absl::StatusOr<std::shared_ptr<const TableSpace>> {
    const auto workload = te::ParseWorkload(dataset.task.workload);
    if (!workload.ok()) return Annotate(workload.status(), "workload");
    dataset.task.workload_hash = HashToHex(te::StructuralHash(workload->dag));
    TESSERA_ASSIGN_OR_RETURN(const std::string digest, SpaceDigest(dataset.task));
    TESSERA_ASSIGN_OR_RETURN(std::shared_ptr<const tuner::SearchSpace> space,
                             tuner::MakeSearchSpace(dataset.task, dataset.pins));
    const std::string then = dataset.space, commit = dataset.commit;
    auto table = TableSpace::Make(std::move(dataset), std::move(space));
    if (!absl::IsFailedPrecondition(table.status())) return table;
    return absl::FailedPreconditionError(
        absl::StrCat(table.status().message(), " (space ", then, " then, ", digest,
                     " now); measure it anew, or replay with the build that made it",
                     commit.empty() ? "" : absl::StrCat(", commit ", commit)));
  };
  auto table = make();
  if (!table.ok()) return Annotate(table.status(), path);
  return table;
}

}  // namespace tessera::replay
