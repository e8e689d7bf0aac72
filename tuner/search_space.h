#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/rng.h"

namespace tessera::tuner {

// A config as explorers see it: element 0 is the sketch, the others are choices of its knobs. What
// a number means is the space's business; equal points are the same config.
using Point = std::vector<int32_t>;

// Stable over platforms and releases. Equal points have equal hashes.
uint64_t HashPoint(const Point& point);

// A program by its self-contained trace.
struct FixedProgram {
  std::string trace;
  uint64_t loop_hash = 0;
  std::string provider;  // the library that it calls (base/third_party.h); empty: none
};

// What a search walks through for one task: a config space together with its features. Every point
// that it hands out is valid. Thread-safe; all randomness comes from the caller.
class SearchSpace {
 public:
  virtual ~SearchSpace() = default;

  // The program that a library would use without any tuning, if there is one: measured first, so
  // that every job shows what was gained. No point of the space; nothing is learned from it.
  virtual std::optional<FixedProgram> Baseline() const = 0;
  // Programs that call libraries of others, where these are allowed: measured beside what is
  // generated, by the same rules. No points of the space; nothing is learned from them.
  virtual absl::Span<const FixedProgram> External() const { return {}; }
  virtual Point Sample(Rng& rng) const = 0;
  // An estimate of each point's time that needs no measurements, to compare them with each other;
  // empty where there is none.
  virtual std::vector<double> DraftSeconds(absl::Span<const Point>) const { return {}; }
  // A near neighbour: one knob moves a little.
  virtual Point Mutate(const Point& point, Rng& rng) const = 0;
  // One knob, or the sketch, has any other of its values.
  virtual Point Jump(const Point& point, Rng& rng) const = 0;
  // Each knob of either parent.
  virtual Point Crossover(const Point& a, const Point& b, Rng& rng) const = 0;
  // The points in which one knob has another near value, each once.
  virtual std::vector<Point> Neighbours(const Point& point) const = 0;
  // All points in a fixed order: the one after `point`, or the first for an empty one; none after
  // the last.
  virtual std::optional<Point> Next(const Point& point) const = 0;

  // Identity of the program: points of equal loop hash need only one measurement.
  virtual absl::StatusOr<uint64_t> LoopHash(const Point& point) const = 0;
  // The self-contained schedule that the point stands for, canonical text.
  virtual absl::StatusOr<std::string> Trace(const Point& point) const = 0;
  // Named knobs, and back. Parse fails with InvalidArgument for configs of another space.
  virtual std::string Config(const Point& point) const = 0;
  virtual absl::StatusOr<Point> Parse(std::string_view config) const = 0;
  // The point nearest to a config of another task. Fails for one with which this space has too
  // little in common.
  virtual absl::StatusOr<Point> Adapt(std::string_view config) const { return Parse(config); }

  // What programs of each sketch (a point's first number) compute, in a unit of its own; infinity
  // for one of which the space has none. Empty where that is not known.
  virtual absl::Span<const double> SketchWork() const { return {}; }

  virtual int FeatureCount() const = 0;
  // Returns [points × FeatureCount()], row-major.
  virtual absl::StatusOr<std::vector<float>> Features(absl::Span<const Point> points) const = 0;
};

}  // namespace tessera::tuner
