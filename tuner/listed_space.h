#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "tuner/search_space.h"

namespace tessera::tuner {

// Some programs of a space, named one by one, in an order: to measure them again, or elsewhere.
// Moves lead to any of them. Immutable and thread-safe.
class ListedSpace final : public SearchSpace {
 public:
  // Requires a config. InvalidArgument, with its place, for one that `space` has not.
  static absl::StatusOr<std::shared_ptr<const ListedSpace>> Make(
      std::shared_ptr<const SearchSpace> space, const std::vector<std::string>& configs);

  std::optional<FixedProgram> Baseline() const override { return space_->Baseline(); }
  absl::Span<const FixedProgram> External() const override { return space_->External(); }
  Point Sample(Rng& rng) const override { return points_[rng.Below(points_.size())]; }
  Point Mutate(const Point&, Rng& rng) const override { return Sample(rng); }
  Point Jump(const Point&, Rng& rng) const override { return Sample(rng); }
  Point Crossover(const Point&, const Point&, Rng& rng) const override { return Sample(rng); }
  std::vector<Point> Neighbours(const Point&) const override { return points_; }
  // In the order of the list.
  std::optional<Point> Next(const Point& point) const override;

  absl::StatusOr<uint64_t> LoopHash(const Point& point) const override {
    return space_->LoopHash(point);
  }
  absl::StatusOr<std::string> Trace(const Point& point) const override {
    return space_->Trace(point);
  }
  std::string Config(const Point& point) const override { return space_->Config(point); }
  // InvalidArgument, too, for configs that are not listed.
  absl::StatusOr<Point> Parse(std::string_view config) const override;

  int FeatureCount() const override { return space_->FeatureCount(); }
  absl::StatusOr<std::vector<float>> Features(absl::Span<const Point> points) const override {
    return space_->Features(points);
  }

 private:
  explicit ListedSpace(std::shared_ptr<const SearchSpace> space) : space_(std::move(space)) {}

  const std::shared_ptr<const SearchSpace> space_;
  std::vector<Point> points_;
  absl::flat_hash_map<Point, size_t> index_;
};

}  // namespace tessera::tuner
