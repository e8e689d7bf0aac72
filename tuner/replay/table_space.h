#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "tuner/replay/dataset.h"
#include "tuner/search_space.h"

namespace tessera::replay {

// The rows of a data set as a search space: explorers see only what was measured. Features are
// computed once. There is no baseline: the default schedule is no point of a space.
//
// Of an enumerated data set, samples and moves are those of `space`, drawn again until they stay
// inside. Of a sampled one every row is as likely as every other, and nearly every move of the
// space leads to a program that nobody measured; so a neighbour is one of the nearest rows, by the
// number of knobs that differ, which may be many. That says little about explorers. Thread-safe.
class TableSpace final : public tuner::SearchSpace {
 public:
  // `space` is that of the data set's task, within its pins. FailedPrecondition, naming the row,
  // when one is not a config of `space` or stands for another program than when it was measured;
  // InvalidArgument when no row has a time.
  static absl::StatusOr<std::shared_ptr<const TableSpace>> Make(
      Dataset dataset, std::shared_ptr<const tuner::SearchSpace> space);

  const Dataset& dataset() const { return dataset_; }
  const Row& row(int index) const { return dataset_.rows[index]; }
  absl::Span<const float> features(int row) const {  // [FeatureCount()]
    return absl::MakeConstSpan(features_).subspan(static_cast<size_t>(row) * FeatureCount(),
                                                  FeatureCount());
  }
  double best_seconds() const { return best_seconds_; }
  // The row of a program; none of one that was not measured.
  std::optional<int> Find(uint64_t loop_hash) const;

  std::optional<tuner::FixedProgram> Baseline() const override { return std::nullopt; }
  tuner::Point Sample(Rng& rng) const override;
  std::vector<double> DraftSeconds(absl::Span<const tuner::Point> points) const override {
    return space_->DraftSeconds(points);
  }
  tuner::Point Mutate(const tuner::Point& point, Rng& rng) const override;
  tuner::Point Jump(const tuner::Point& point, Rng& rng) const override;
  tuner::Point Crossover(const tuner::Point& a, const tuner::Point& b, Rng& rng) const override;
  std::vector<tuner::Point> Neighbours(const tuner::Point& point) const override;
  std::optional<tuner::Point> Next(const tuner::Point& point) const override;

  // These require a row's point.
  absl::StatusOr<uint64_t> LoopHash(const tuner::Point& point) const override;
  absl::StatusOr<std::string> Trace(const tuner::Point& point) const override {
    return space_->Trace(point);
  }
  std::string Config(const tuner::Point& point) const override { return space_->Config(point); }
  // InvalidArgument, too, for configs that are no row.
  absl::StatusOr<tuner::Point> Parse(std::string_view config) const override;

  absl::Span<const double> SketchWork() const override { return space_->SketchWork(); }
  int FeatureCount() const override { return space_->FeatureCount(); }
  absl::StatusOr<std::vector<float>> Features(absl::Span<const tuner::Point> points) const override;

 private:
  TableSpace(Dataset dataset, std::shared_ptr<const tuner::SearchSpace> space)
      : dataset_(std::move(dataset)), space_(std::move(space)), nearest_(dataset_.rows.size()) {}
  absl::Status Index();
  bool Contains(const tuner::Point& point) const { return index_.contains(point); }
  // `move`, one of the space's, made a move of the table.
  using Move = tuner::Point (tuner::SearchSpace::*)(const tuner::Point&, Rng&) const;
  tuner::Point Moved(Move move, const tuner::Point& point, Rng& rng) const;
  absl::StatusOr<int> IndexOf(const tuner::Point& point) const;
  // Up to `count` rows other than `point`, nearest first: of its sketch, by the number of knobs
  // that differ, then by how far apart their options stand in their lists, then by row.
  std::vector<int> Nearest(const tuner::Point& point, size_t count) const;
  // Of a row; remembered.
  std::vector<int> NearestRows(const tuner::Point& point) const;

  const Dataset dataset_;
  const std::shared_ptr<const tuner::SearchSpace> space_;
  double best_seconds_ = 0;
  std::vector<tuner::Point> points_;  // by row
  absl::flat_hash_map<tuner::Point, int> index_;
  absl::flat_hash_map<uint64_t, int> by_loop_hash_;
  absl::flat_hash_map<int32_t, std::vector<int>> by_sketch_;
  std::vector<float> features_;  // [rows × FeatureCount()]
  mutable absl::Mutex mutex_;
  mutable std::vector<std::vector<int>> nearest_ ABSL_GUARDED_BY(mutex_);  // by row; empty: not yet
};

// Of a file. The build must have the space that the rows are of: otherwise FailedPrecondition says
// so, with the digests then and now.
absl::StatusOr<std::shared_ptr<const TableSpace>> OpenTable(const std::string& path);

}  // namespace tessera::replay
