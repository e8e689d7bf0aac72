#include "schedule_space/accelerator_group.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/schedule/accelerator_memory.h"
#include "compiler/schedule/divisors.h"

namespace tessera::space {
namespace {

using schedule::AcceleratorDraft;
using schedule::AcceleratorTiles;

constexpr int64_t kVirtualThreads = 2;
constexpr size_t kMaxTileOptions = 4096;
// Of an option of knob "overlap": one more than the axis of virtual threads, or 0.
enum OverlapPart { kVirtual, kDoubled, kHeld };
enum Operand { kA = 1, kB = 2 };  // bits of kDoubled, values of kHeld

class AcceleratorGroup final : public Group {
 public:
  AcceleratorGroup(AcceleratorDraft draft, const ir::Target& target)
      : draft_(std::move(draft)),
        target_(target),
        sum_(*draft_.schedule.stages()[draft_.sum].stage),
        spatial_(static_cast<int>(sum_.axes.size())) {
    for (int axis = 0; axis < spatial_ + static_cast<int>(sum_.reduce_axes.size()); ++axis) {
      const int64_t tiles = ExtentOf(axis) / UnitOf(axis);
      if (tiles == 1) continue;
      if (axis < spatial_) orders_.push_back(axis);
      if (axis < spatial_ || axis == draft_.product.term_axis) tiled_.push_back(axis);
      stepped_.push_back(axis);
    }
    AddOverlaps();
    AddSteps();
    AddTiles();
    if (!knobs_.empty()) knobs_.push_back(OrderKnob("order", static_cast<int>(orders_.size())));
  }

  bool is_empty() const { return knobs_.empty(); }
  const std::vector<Knob>& knobs() const override { return knobs_; }

  void Canonicalize(absl::Span<int> choices) const override {
    AcceleratorTiles tiles = TilesOf(choices);
    // Axes of one tile are in order behind the others.
    Option order = knobs_[kOrder].options[choices[kOrder]];
    std::stable_partition(order.begin(), order.end(),
                          [&](int64_t place) { return IsLooped(tiles, orders_[place]); });
    std::sort(std::find_if(order.begin(), order.end(),
                           [&](int64_t place) { return !IsLooped(tiles, orders_[place]); }),
              order.end());
    choices[kOrder] = FindOption(knobs_[kOrder], order);
    tiles = TilesOf(choices);
    Option overlap = knobs_[kOverlap].options[choices[kOverlap]];
    if (overlap[kHeld] == kA && !Matters(tiles, draft_.a)) overlap[kHeld] = 0;
    if (overlap[kHeld] == kB && !Matters(tiles, draft_.b)) overlap[kHeld] = 0;
    tiles.holds_a = overlap[kHeld] == kA;
    tiles.holds_b = overlap[kHeld] == kB;
    if (!HasTurns(tiles, draft_.a, tiles.holds_a)) overlap[kDoubled] &= ~kA;
    if (draft_.b < 0 || !HasTurns(tiles, draft_.b, tiles.holds_b)) overlap[kDoubled] &= ~kB;
    choices[kOverlap] = FindOption(knobs_[kOverlap], overlap);
    const auto taken = [&](int step) {
      tiles.step_order = StepOrder(step);
      return schedule::StepsTaken(draft_, tiles, target_);
    };
    const std::vector<int> steps = taken(choices[kSteps]);
    for (int i = 0; i < choices[kSteps]; ++i) {
      if (taken(i) != steps) continue;
      choices[kSteps] = i;
      break;
    }
  }

  Decisions Decide(absl::Span<const int> choices) const override {
    Decisions decisions;
    decisions.nests = schedule::AcceleratorNests(draft_, TilesOf(choices));
    return decisions;
  }

 private:
  enum { kTile, kOverlap, kSteps, kOrder };

  int64_t ExtentOf(int axis) const {
    return axis < spatial_ ? sum_.axes[axis].extent : sum_.reduce_axes[axis - spatial_].extent;
  }
  const std::string& NameOf(int axis) const {
    return (axis < spatial_ ? sum_.axes[axis] : sum_.reduce_axes[axis - spatial_]).var->name;
  }
  int64_t UnitOf(int axis) const { return draft_.product.UnitOf(axis, target_); }
  bool IsLooped(const AcceleratorTiles& tiles, int axis) const {
    const int64_t threads = axis == tiles.virtual_axis ? tiles.virtual_threads : 1;
    return tiles.results[axis] * threads < sum_.axes[axis].extent;
  }

  // Every way to overlap; which of them fit is said by tiles.
  void AddOverlaps() {
    overlaps_ = FreeKnob("overlap", {"virtual", "doubled", "held"}, {});
    for (int64_t axis = -1; axis < spatial_; ++axis) {
      if (axis >= 0 && std::ranges::count(orders_, axis) == 0) continue;
      for (const int64_t held : {0, +kA, +kB}) {
        for (int64_t doubled = 0; doubled <= (kA | kB); ++doubled) {
          if (draft_.b < 0 && ((doubled & kB) != 0 || held == kB)) continue;
          overlaps_.options.push_back({axis + 1, doubled, held});
        }
      }
    }
  }

  // Two axes for the instruction's loops.
  void AddSteps() {
    steps_ = FreeKnob("steps", {"outer", "inner"}, {});
    // What is only widened is done in the order of tiles.
    const size_t count = IsWidened() ? 0 : stepped_.size();
    for (size_t i = 0; i < count; ++i) {
      for (size_t j = i + 1; j < count; ++j) steps_.options.push_back({stepped_[i], stepped_[j]});
    }
    if (steps_.options.empty()) steps_.options.push_back({0, 0});
  }

  void AddTiles() {
    std::vector<std::string> parts;
    for (const int axis : tiled_) parts.push_back(NameOf(axis));
    Knob tile = FreeKnob("tile", std::move(parts), {});
    std::vector<int64_t> overlap_classes, step_classes;
    std::map<std::vector<int>, int64_t> known_overlaps, known_steps;
    const auto class_of = [](std::map<std::vector<int>, int64_t>& known, std::vector<int> open) {
      const auto next = static_cast<int64_t>(known.size()) + 1;
      return known.emplace(std::move(open), next).first->second;
    };
    for (const Option& option : TileOptions()) {
      AcceleratorTiles tiles = WithTile(option);
      const std::vector<int> overlaps = OverlapsOf(tiles);
      std::vector<int> steps;
      for (size_t i = 0; i < steps_.options.size(); ++i) {
        tiles.step_order = StepOrder(static_cast<int>(i));
        if (schedule::CanStep(draft_, tiles, target_)) steps.push_back(static_cast<int>(i));
      }
      if (overlaps.empty() || steps.empty()) continue;
      tile.options.push_back(option);
      overlap_classes.push_back(class_of(known_overlaps, overlaps));
      step_classes.push_back(class_of(known_steps, std::move(steps)));
    }
    if (tile.options.empty()) return;
    const auto control = [](Knob& knob, std::vector<int64_t> classes,
                            const std::map<std::vector<int>, int64_t>& known) {
      knob.controls = {{kTile, std::move(classes)}};
      knob.domains.clear();
      for (const auto& [open, key] : known) knob.domains[key] = open;
    };
    control(overlaps_, std::move(overlap_classes), known_overlaps);
    control(steps_, std::move(step_classes), known_steps);
    std::vector<int>& all = tile.domains[1];
    all.clear();
    for (size_t i = 0; i < tile.options.size(); ++i) all.push_back(static_cast<int>(i));
    knobs_ = {std::move(tile), std::move(overlaps_), std::move(steps_)};
  }

  // Those that fit and make no program too long, or as many of them as a space has room for: with
  // the fewest turns, which load the least again.
  std::vector<Option> TileOptions() const {
    std::vector<std::pair<int64_t, Option>> options;
    ForEachTile({}, [&](Option option) {
      const int64_t turns = schedule::TurnsOf(draft_, WithTile(option));
      if (turns <= schedule::kMaxAcceleratorTurns) options.emplace_back(turns, std::move(option));
    });
    if (options.size() > kMaxTileOptions) {
      std::ranges::nth_element(options, options.begin() + kMaxTileOptions);
      options.resize(kMaxTileOptions);
    }
    std::vector<Option> kept;
    for (auto& [turns, option] : options) kept.push_back(std::move(option));
    std::ranges::sort(kept);
    return kept;
  }

  // All sizes that divide, of one axis after the other.
  template <typename Function>
  void ForEachTile(Option begun, const Function& visit) const {
    if (begun.size() == tiled_.size()) return visit(std::move(begun));
    const int axis = tiled_[begun.size()];
    for (const int64_t tile : schedule::Divisors(ExtentOf(axis) / UnitOf(axis))) {
      Option longer = begun;
      longer.push_back(tile);
      // What is too large stays so.
      const AcceleratorTiles tiles = WithTile(longer);
      if (!Fits(UseOf(draft_, tiles, target_), target_)) return;
      ForEachTile(std::move(longer), visit);
    }
  }

  // Sizes that aren't chosen yet are the least.
  AcceleratorTiles WithTile(const Option& option) const {
    AcceleratorTiles tiles;
    for (int axis = 0; axis < spatial_; ++axis) {
      tiles.results.push_back(UnitOf(axis));
      tiles.tile_order.push_back(axis);
    }
    for (size_t r = 0; r < sum_.reduce_axes.size(); ++r) {
      const int axis = spatial_ + static_cast<int>(r);
      tiles.terms.push_back(axis == draft_.product.term_axis ? UnitOf(axis) : ExtentOf(axis));
    }
    for (size_t i = 0; i < option.size(); ++i) {
      const int axis = tiled_[i];
      (axis < spatial_ ? tiles.results[axis] : tiles.terms[axis - spatial_]) =
          option[i] * UnitOf(axis);
    }
    return tiles;
  }
  static void SetOverlap(const Option& option, AcceleratorTiles& tiles) {
    tiles.virtual_axis = static_cast<int>(option[kVirtual]) - 1;
    tiles.virtual_threads = tiles.virtual_axis >= 0 ? kVirtualThreads : 1;
    tiles.doubles_a = (option[kDoubled] & kA) != 0;
    tiles.doubles_b = (option[kDoubled] & kB) != 0;
    tiles.holds_a = option[kHeld] == kA;
    tiles.holds_b = option[kHeld] == kB;
  }
  AcceleratorTiles TilesOf(absl::Span<const int> choices) const {
    AcceleratorTiles tiles = WithTile(knobs_[kTile].options[choices[kTile]]);
    SetOverlap(knobs_[kOverlap].options[choices[kOverlap]], tiles);
    const Option& order = knobs_[kOrder].options[choices[kOrder]];
    tiles.tile_order.clear();
    for (const int64_t place : order) tiles.tile_order.push_back(orders_[place]);
    for (int axis = 0; axis < spatial_; ++axis) {
      if (std::ranges::count(orders_, axis) == 0) tiles.tile_order.push_back(axis);
    }
    tiles.step_order = StepOrder(choices[kSteps]);
    return tiles;
  }

  // Those that there is memory for. How much depends on what is held and where virtual threads are;
  // two copies take twice of it.
  std::vector<int> OverlapsOf(AcceleratorTiles tiles) const {
    std::vector<int> fitting;
    Option base;
    schedule::AcceleratorUse one, of_a, of_b;
    bool is_valid = false;
    for (size_t i = 0; i < overlaps_.options.size(); ++i) {
      const Option& overlap = overlaps_.options[i];
      const Option without = {overlap[kVirtual], 0, overlap[kHeld]};
      if (without != base) {
        base = without;
        SetOverlap(base, tiles);
        const int axis = tiles.virtual_axis;
        is_valid = schedule::MissingPositions(draft_, tiles) == 0 &&
                   (axis < 0 || ExtentOf(axis) % (tiles.results[axis] * kVirtualThreads) == 0);
        if (!is_valid) continue;
        one = UseOf(draft_, tiles, target_);
        tiles.doubles_a = true;
        of_a = UseOf(draft_, tiles, target_);
        tiles.doubles_a = false;
        tiles.doubles_b = true;
        of_b = UseOf(draft_, tiles, target_);
      }
      schedule::AcceleratorUse use = one;
      if ((overlap[kDoubled] & kA) != 0) use.inp = of_a.inp;
      if ((overlap[kDoubled] & kB) != 0) use.wgt = of_b.wgt;
      if (is_valid && Fits(use, target_)) fitting.push_back(static_cast<int>(i));
    }
    return fitting;
  }

  // The pair, then terms, then results.
  std::vector<int> StepOrder(int steps) const {
    const Option& pair = (knobs_.empty() ? steps_ : knobs_[kSteps]).options[steps];
    std::vector<int> order = {static_cast<int>(pair[0])};
    const auto add = [&](int64_t axis) {
      if (std::ranges::count(order, axis) == 0) order.push_back(static_cast<int>(axis));
    };
    add(pair[1]);
    for (size_t r = 0; r < sum_.reduce_axes.size(); ++r) add(spatial_ + static_cast<int64_t>(r));
    for (int axis = 0; axis < spatial_; ++axis) add(axis);
    return order;
  }
  bool IsWidened() const { return draft_.product.filling == schedule::Filling::kWidened; }

  bool Moves(int copy, int axis) const {
    const schedule::StageState& sum = draft_.schedule.stages()[draft_.sum];
    const ir::Buffer& output = draft_.schedule.stages()[copy].stage->output();
    return std::ranges::any_of(sum.analysis->reads, [&](const schedule::Access& access) {
      return access.buffer == output && schedule::Uses(access, axis);
    });
  }
  bool HasChunks(const AcceleratorTiles& tiles) const {
    for (size_t r = 0; r < tiles.terms.size(); ++r) {
      if (tiles.terms[r] < sum_.reduce_axes[r].extent) return true;
    }
    return false;
  }
  // The axes whose loops are around a copy that is held, by the order of tiles.
  std::vector<int> LoopsAroundHeld(const AcceleratorTiles& tiles, int copy) const {
    std::vector<int> loops;
    for (const int axis : tiles.tile_order) {
      if (IsLooped(tiles, axis)) loops.push_back(axis);
    }
    while (!loops.empty() && !Moves(copy, loops.back())) loops.pop_back();
    return loops;
  }
  // Whether holding a copy changes where it is loaded, or how much.
  bool Matters(const AcceleratorTiles& tiles, int copy) const {
    const auto looped =
        std::ranges::count_if(tiles.tile_order, [&](int axis) { return IsLooped(tiles, axis); });
    // Virtual threads that share it are inside, too.
    const bool is_shared = tiles.virtual_axis >= 0 && !Moves(copy, tiles.virtual_axis);
    return HasChunks(tiles) ||
           (static_cast<int64_t>(LoopsAroundHeld(tiles, copy).size()) < looped &&
            (tiles.virtual_axis < 0 || is_shared));
  }
  bool HasTurns(const AcceleratorTiles& tiles, int copy, bool is_held) const {
    if (is_held) {
      // A virtual thread's own copy is inside of all loops over tiles.
      const bool is_innermost = tiles.virtual_axis >= 0 && Moves(copy, tiles.virtual_axis);
      if (!is_innermost) return !LoopsAroundHeld(tiles, copy).empty();
    } else if (HasChunks(tiles)) {
      return true;
    }
    return std::ranges::any_of(tiles.tile_order, [&](int axis) { return IsLooped(tiles, axis); });
  }

  const AcceleratorDraft draft_;
  const ir::Target target_;
  const te::Stage& sum_;
  const int spatial_;
  std::vector<int> orders_;   // axes of results of several tiles
  std::vector<int> tiled_;    // those, and the one of terms that is loaded in parts
  std::vector<int> stepped_;  // all of several tiles
  Knob overlaps_, steps_;     // until they are among the knobs
  std::vector<Knob> knobs_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Group>> MakeAcceleratorGroup(AcceleratorDraft draft,
                                                            const ir::Target& target) {
  auto group = std::make_unique<AcceleratorGroup>(std::move(draft), target);
  if (group->is_empty()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no tile fits the memories of ", ir::ToString(target)));
  }
  return group;
}

absl::StatusOr<std::vector<Sketch>> AcceleratorSketches(const te::Dag& dag,
                                                        const ir::Target& target) {
  TESSERA_ASSIGN_OR_RETURN(schedule::AcceleratorDraft draft,
                           schedule::DraftForAccelerator(dag, target));
  Sketch sketch{"accelerator", draft.steps,
                std::make_shared<const schedule::Schedule>(draft.schedule), nullptr, 1};
  TESSERA_ASSIGN_OR_RETURN(sketch.group, MakeAcceleratorGroup(std::move(draft), target));
  return std::vector<Sketch>{std::move(sketch)};
}

}  // namespace tessera::space
