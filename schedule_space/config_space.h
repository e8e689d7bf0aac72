#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/rng.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/schedule.h"
#include "compiler/te/dag.h"
#include "schedule_space/group.h"

namespace tessera::space {

// One point of a space: the sketch, then for each of its knobs the index of the chosen option.
// Means something only together with its space; a Trace outlives it.
using Config = std::vector<int>;

// A loop structure derived by rules, with its knobs.
struct Sketch {
  std::string name;                                // "direct", "chunked", …
  schedule::Trace structure;                       // steps that all its configs share
  std::shared_ptr<const schedule::Schedule> base;  // with them applied
  std::shared_ptr<const Group> group;
  double weight = 1;  // prior when sampled
};

// How many configs a space has. `exact`: counted one by one; else Knuth's estimator (Estimating
// the efficiency of backtrack programs, 1975) over seeded random descents, with its standard
// error: a descent counts as the product of the domain sizes that it met times the fraction of
// canonical configs at its end, which makes the mean unbiased for their number.
struct SpaceSize {
  double configs = 0;
  double standard_error = 0;
  bool exact = false;
};

// Everything that may be chosen for a workload on a target. Every Config that its methods return
// is valid and canonical: it applies without error, and different ones are different programs.
// Immutable; thread-safe.
class ConfigSpace {
 public:
  ConfigSpace(ir::Target target, std::vector<Sketch> sketches);

  const std::vector<Sketch>& sketches() const { return sketches_; }
  const ir::Target& target() const { return target_; }
  const std::vector<Knob>& KnobsOf(const Config& config) const;

  Config Sample(Rng& rng) const;
  // A neighbour: one knob moves, mostly to a near option (a factor moves between tile levels, two
  // loops change places); now and then far, or to another sketch, mostly with what both sketches
  // have in common. Equal to `config` only when the space has hardly any other.
  Config Mutate(const Config& config, Rng& rng) const;
  // One knob, or the sketch, has any other of its options, each as likely, near or far: AutoTVM's
  // move. Equal to `config` as Mutate's.
  Config Jump(const Config& config, Rng& rng) const;
  // Each knob of either parent. The sketch is that of `a`, which `b` is carried over to.
  Config Crossover(const Config& a, const Config& b, Rng& rng) const;

  // The configs in which one knob has another near option, each once; where that knob's option
  // rules out later ones, those have the nearest that are open.
  std::vector<Config> Neighbours(const Config& config) const;
  // All configs in order, sketch by sketch, orders of loops slowest: the one after `config`, or the
  // first for an empty one; none after the last. None either after a quarter of a million choices
  // that are not canonical, which only happens in spaces too large to go through.
  std::optional<Config> Next(const Config& config) const;

  // InvalidArgument naming the knob and its value unless `config` is one of this space's.
  absl::Status Validate(const Config& config) const;

  // Both require a valid config; errors are bugs of the rules. The trace makes the same schedule:
  // ToSchedule copies the sketch's base and sets what the config decides, without text.
  absl::StatusOr<schedule::Trace> ToTrace(const Config& config) const;
  absl::StatusOr<schedule::Schedule> ToSchedule(const Config& config) const;

  SpaceSize Size() const;

  // {"sketch":"direct","tile":{"vector":1,"lanes":16,"n":1,"oc":64,…},"middle.oc":2,…}
  std::string ToJson(const Config& config) const;
  // The config of named knobs; InvalidArgument naming what is missing, unknown or out of domain.
  absl::StatusOr<Config> FromJson(std::string_view json) const;

 private:
  friend class SpaceCounter;
  // The next of the choices that the domains allow, canonical or not; false after the sketch's
  // last.
  bool Advance(Config& config) const;
  // The first of them.
  Config First(int sketch) const;
  bool IsCanonical(const Config& config) const;
  Config SampleSketch(int sketch, Rng& rng) const;
  int SampleSketchIndex(Rng& rng) const;
  // The config of `sketch` nearest to `config`: knobs of the same name and parts keep their values
  // as far as they can, the others are drawn.
  Config CarryOver(const Config& config, int sketch, Rng& rng) const;
  // Puts options that their domains don't hold in place of the nearest that they do.
  void Repair(Config& config) const;
  void Canonicalize(Config& config) const;
  absl::StatusOr<schedule::Schedule> Build(const Config& config, Decisions decisions) const;

  ir::Target target_;
  std::vector<Sketch> sketches_;
};

// The space of `workload` on `target` for kernels that use up to `threads` threads, by the sketch
// rules of schedule_space/sketch_rules.h. Unimplemented for targets without rules.
absl::StatusOr<ConfigSpace> BuildSpace(const te::Workload& workload, const ir::Target& target,
                                       int threads);

// Sketches, knobs, domains and size, for people.
std::string DescribeSpace(const ConfigSpace& space);

}  // namespace tessera::space
