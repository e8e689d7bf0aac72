#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
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
  double weight = 1;  // prior when sampled; 0: closed, by pins, none of its configs is in the space
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

// Everything that may be chosen for a workload on a target, or the part of it that pins leave
// (schedule_space/pins.h). Every Config that its methods return is valid and canonical: it applies
// without error, and different ones are different programs. Immutable; thread-safe.
class ConfigSpace {
 public:
  // `is_pinned`: domains are parts of those that the groups know, and may be empty. A canonical
  // config is then in the space if each of its options is in its domain, or stands for one that is.
  // Every sketch of a weight above 0 has a config.
  ConfigSpace(ir::Target target, std::vector<Sketch> sketches, bool is_pinned = false);

  const std::vector<Sketch>& sketches() const { return sketches_; }
  const ir::Target& target() const { return target_; }
  bool is_pinned() const { return is_pinned_; }
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
  // that stand for others, which only happens in spaces too large to go through.
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
  // The config nearest to one of another space, as ToJson wrote it there: the sketch of the same
  // name, knobs of the same name as near as they can be in the parts that both have, the others
  // at their likeliest. NotFound where no sketch has that name or more than half of its knobs are
  // others, and where pins rule it out; InvalidArgument for what is no config.
  absl::StatusOr<Config> NearestTo(std::string_view json) const;

 private:
  friend class SpaceCounter;
  // Going through the choices that the domains of a sketch allow, those that stand for others too:
  // the first, and the next one. None, or false, where there is no other.
  std::optional<Config> FirstChoice(int sketch) const;
  bool Advance(Config& choices) const;
  // The config that is made of these choices, unless others make it.
  std::optional<Config> MadeBy(const Config& choices) const;
  // The choices that make a config: one and the same for each. None where the domains hold none.
  std::optional<Config> ChoicesOf(const Config& config) const;
  // The config of choices of which each is in its domain; none where that is not in the space.
  std::optional<Config> Finish(Config choices) const;
  // The same of choices that are moved to the nearest that their domains hold; none either where
  // one holds nothing.
  std::optional<Config> Repair(Config choices) const;
  // Of drawn choices; none as of Repair.
  std::optional<Config> Draw(int sketch, Rng& rng) const;
  Config SampleSketch(int sketch, Rng& rng) const;
  int SampleSketchIndex(Rng& rng) const;
  // The config of `sketch` nearest to `config`: knobs of the same name and parts keep their values
  // as far as they can, the others are drawn. None as of Repair.
  std::optional<Config> CarryOver(const Config& config, int sketch, Rng& rng) const;
  // The config of `sketch` whose knobs have the open options nearest to what `wanted` says, and
  // what `otherwise` chooses from the open ones where that says nothing. None as of Repair.
  using Wanted = absl::FunctionRef<std::optional<Option>(const Knob&)>;
  using Otherwise = absl::FunctionRef<int(const Knob&, absl::Span<const int>)>;
  std::optional<Config> Nearest(int sketch, Wanted wanted, Otherwise otherwise) const;
  void Canonicalize(Config& config) const;
  absl::StatusOr<schedule::Schedule> Build(const Config& config, Decisions decisions) const;

  ir::Target target_;
  std::vector<Sketch> sketches_;
  bool is_pinned_;
};

// The space of `workload` on `target` for kernels that use up to `threads` threads, by the sketch
// rules of schedule_space/sketch_rules.h, thread_rules.h and accelerator_group.h.
absl::StatusOr<ConfigSpace> BuildSpace(const te::Workload& workload, const ir::Target& target,
                                       int threads);

// Sketches, knobs, domains and size, for people.
std::string DescribeSpace(const ConfigSpace& space);

}  // namespace tessera::space
