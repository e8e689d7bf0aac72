#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "db/record/record.h"
#include "schedule_space/config_space.h"
#include "tuner/search_space.h"

namespace tessera::tuner {

// Where the rows of a config space come from. Thread-safe.
struct FeatureSource {
  int count = 0;
  // [configs × count], row-major.
  std::function<absl::StatusOr<std::vector<float>>(absl::Span<const space::Config>)> rows;
  // An estimate from a row, to compare it with others; null: there is none.
  std::function<double(absl::Span<const float>)> draft_seconds = nullptr;
};

// A config space of schedule_space as explorers see it: points are its configs. Immutable and
// thread-safe.
class ConfigSearchSpace final : public SearchSpace {
 public:
  ConfigSearchSpace(std::shared_ptr<const space::ConfigSpace> space, FeatureSource features,
                    std::optional<FixedProgram> baseline = std::nullopt,
                    std::vector<double> sketch_work = {}, std::vector<FixedProgram> external = {});

  std::optional<FixedProgram> Baseline() const override { return baseline_; }
  absl::Span<const FixedProgram> External() const override { return external_; }
  Point Sample(Rng& rng) const override { return space_->Sample(rng); }
  std::vector<double> DraftSeconds(absl::Span<const Point> points) const override;
  Point Mutate(const Point& point, Rng& rng) const override { return space_->Mutate(point, rng); }
  Point Jump(const Point& point, Rng& rng) const override { return space_->Jump(point, rng); }
  Point Crossover(const Point& a, const Point& b, Rng& rng) const override {
    return space_->Crossover(a, b, rng);
  }
  std::vector<Point> Neighbours(const Point& point) const override {
    return space_->Neighbours(point);
  }
  std::optional<Point> Next(const Point& point) const override { return space_->Next(point); }
  absl::StatusOr<uint64_t> LoopHash(const Point& point) const override;
  absl::StatusOr<std::string> Trace(const Point& point) const override;
  std::string Config(const Point& point) const override { return space_->ToJson(point); }
  absl::StatusOr<Point> Parse(std::string_view config) const override {
    return space_->FromJson(config);
  }
  absl::StatusOr<Point> Adapt(std::string_view config) const override {
    return space_->NearestTo(config);
  }
  absl::Span<const double> SketchWork() const override { return sketch_work_; }
  int FeatureCount() const override { return features_.count; }
  absl::StatusOr<std::vector<float>> Features(absl::Span<const Point> points) const override {
    return features_.rows(points);
  }

 private:
  std::shared_ptr<const space::ConfigSpace> space_;
  FeatureSource features_;
  std::optional<FixedProgram> baseline_;
  std::vector<double> sketch_work_;
  std::vector<FixedProgram> external_;
};

// The space of a task's workload and target for its number of threads, or the part of it that pins
// leave (schedule_space/pins.h), with the features of costmodel; and with programs that call the
// libraries that are allowed, where they compute a part of the workload. Errors are those of the
// texts, of the pins, and of space::BuildSpace, with the task's name.
absl::StatusOr<std::shared_ptr<const SearchSpace>> MakeSearchSpace(const db::Task& task,
                                                                   std::string_view pins = "",
                                                                   std::string_view allowed = "");

}  // namespace tessera::tuner
