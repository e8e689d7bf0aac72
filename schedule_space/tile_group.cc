#include "schedule_space/tile_group.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "absl/strings/str_cat.h"
#include "compiler/schedule/divisors.h"
#include "schedule_space/layout_rules.h"
#include "schedule_space/tile_group_impl.h"
#include "schedule_space/tile_sizes.h"

namespace tessera::space {
namespace {

constexpr int64_t kMaxEdgeBodies = 256;   // edges are partitioned: up to three copies of those
constexpr int64_t kMaxCornerBodies = 64;  // edges both ways: up to nine
constexpr int64_t kMaxTilesInRegion = 128;
constexpr size_t kMaxOrdered = 6;  // 720 orders
// Results of so many L2 caches may go past them. Measured with add and relu of one core (Zen 5, L2
// of 1 MiB): 4 MiB are up to 1.5 times slower that way, 16 MiB 1.1 to 1.3 times and 64 MiB 1.35
// times faster.
constexpr int64_t kStreamedCaches = 4;
constexpr double kStreamWeight = 0.6;
constexpr double kStreamSumsWeight = 0.3;  // there stores are a small part of the time
constexpr double kTestedInsideWeight = 0.4;
constexpr double kPrefetchWeight = 0.2;

}  // namespace

TileGroup::TileGroup(const TileSpec& spec, const ir::Target& target)
    : base_(*spec.base),
      reduce_(spec.reduce),
      store_(spec.store),
      copies_(spec.copies),
      ordered_(spec.ordered),
      untiled_(spec.untiled),
      max_bodies_(spec.max_bodies),
      dot_lanes_(spec.dot_lanes),
      sums_(spec.sums),
      chunked_(spec.chunked),
      threads_(spec.threads) {
  for (const te::Axis& axis : Stage(store_).axes) {
    extents_.push_back(axis.extent);
    names_.push_back(axis.var->name);
  }
  if (!spec.extents.empty()) extents_ = spec.extents;
  if (reduce_ >= 0) {
    for (const te::Axis& axis : Stage(reduce_).reduce_axes) {
      reduction_.extents.push_back(axis.extent);
      reduce_names_.push_back(axis.var->name);
    }
    if (has_dots()) {
      dot_extent_ = reduction_.extents.back();
      reduction_.extents.pop_back();
      reduce_names_.pop_back();
    }
    reduction_.chunked = chunked_;
    main_ = MainAxis(reduction_);
  }
  MakeTileKnob(target);
  if (chunked_) MakeRegionKnob(target);
  MakeAxisKnobs();
  if (reduce_ >= 0) MakeReductionKnobs();
  if (threads_ > 1 && !spatial_.empty()) MakeParallelKnob();
  if (spec.offers_blocks) MakeBlockKnobs();
  MakeStreamKnob(target);
  if (reduce_ >= 0) MakePrefetchKnob(target);
  if (has_dots() && !copies_.empty()) MakeRowsKnob();
  if (spec.places_copies) MakePlaceKnobs();
}

bool TileGroup::HasChoices() const {
  return std::all_of(knobs_.begin(), knobs_.end(), [](const Knob& knob) {
    return !knob.options.empty() &&
           std::all_of(knob.domains.begin(), knob.domains.end(),
                       [](const auto& domain) { return !domain.second.empty(); });
  });
}

std::vector<VectorAxis> TileGroup::VectorAxes() const {
  const ir::Buffer& out = Stage(store_).output();
  const Contiguous last = ContiguousDim(*out);
  std::vector<VectorAxis> candidates;
  if (out->policy == ir::LayoutPolicy::kBlocked && out->shape[out->block_axis] > 1) {
    candidates.push_back({out->block_axis, out->shape[out->block_axis]});
  }
  if (last.dim >= 0 && (candidates.empty() || candidates[0].axis != last.dim)) {
    candidates.push_back({last.dim, last.run});
  }
  if (has_dots()) {
    std::erase_if(candidates, [&](const VectorAxis& v) { return !SuitsDots(v.axis); });
    return candidates;
  }
  if (candidates.empty()) candidates.push_back({-1, 1});
  return candidates;
}

// Whether the operands of instructions are the same all along the axis, or one after the other.
bool TileGroup::SuitsDots(int axis) const {
  for (const schedule::Access& access : Analysis(reduce_).reads) {
    for (const schedule::AxisForm& form : access.dims) {
      if (!Uses(form, axis)) continue;
      const bool steps = std::any_of(form.terms.begin(), form.terms.end(), [&](const auto& term) {
        return term.first == axis && term.second == 1;
      });
      const bool is_ordered = std::any_of(ordered_.begin(), ordered_.end(), [&](int index) {
        return Stage(index).output() == access.buffer;
      });
      // Channel blocks hold whole groups, of one place.
      const bool is_blocked = access.buffer->policy == ir::LayoutPolicy::kBlocked;
      if (!steps || is_blocked || (is_ordered && !IsPlain(form, axis))) return false;
    }
  }
  return true;
}

void TileGroup::MakeTileKnob(const ir::Target& target) {
  RegisterTileProblem problem;
  problem.extents = extents_;
  problem.vector_axes = VectorAxes();
  const int computed = reduce_ >= 0 ? reduce_ : store_;
  if (reduce_ >= 0) problem.analysis = &Analysis(reduce_);
  problem.element_bits = Stage(computed).output()->type.bits;
  problem.untiled = untiled_;
  problem.lanes = dot_lanes_;
  problem.whole_tiles = chunked_;  // edges of regions would test every update
  tile_knob_ = 0;
  knobs_.push_back(RegisterTileKnob(problem, target));
  for (size_t a = 0; a < rank(); ++a) knobs_[0].parts[kTileFactors + a] = names_[a];
  for (size_t a = 0; a < rank(); ++a) {
    if (extents_[a] > 1) spatial_.push_back(static_cast<int>(a));
  }
}

// How many register tiles a region holds, by axis.
void TileGroup::MakeRegionKnob(const ir::Target& target) {
  const Knob& tiles = knobs_[tile_knob_];
  const int64_t limit = std::max<int64_t>(target.l1_bytes, target.l2_bytes / 8) * 8 /
                        std::max<int64_t>(8, Stage(reduce_).output()->type.bits);
  Knob knob;
  knob.name = "region";
  knob.parts = names_;
  Knob::Control control{tile_knob_, {}};
  absl::flat_hash_map<std::vector<int64_t>, int> known;
  for (size_t t = 0; t < tiles.options.size(); ++t) {
    const Option& tile = tiles.options[t];
    std::vector<int>& domain = knob.domains[static_cast<int64_t>(t) + 1];
    control.factor.push_back(static_cast<int64_t>(t) + 1);
    const int64_t elements = Accumulators(tile) * tile[kTileLanes];
    const auto add = [&](const std::vector<int64_t>& counts, int64_t product) {
      if (product > kMaxTilesInRegion || product * elements > limit) return;
      const auto [found, fresh] = known.try_emplace(counts, static_cast<int>(knob.options.size()));
      if (fresh) knob.options.emplace_back(counts.begin(), counts.end());
      domain.push_back(found->second);
    };
    const std::function<void(size_t, std::vector<int64_t>&, int64_t)> extend =
        [&](size_t i, std::vector<int64_t>& counts, int64_t product) {
          if (i == spatial_.size()) {
            if (product > 1) add(counts, product);
            return;
          }
          const int a = spatial_[i];
          for (int64_t count : schedule::Divisors(CeilDiv(extents_[a], tile[kTileFactors + a]))) {
            if (product * count > kMaxTilesInRegion) break;
            counts[a] = count;
            extend(i + 1, counts, product * count);
          }
          counts[a] = 1;
        };
    std::vector<int64_t> counts(rank(), 1);
    extend(0, counts, 1);
    if (domain.empty()) add(std::vector<int64_t>(rank(), 1), 1);
  }
  knob.controls.push_back(std::move(control));
  region_knob_ = static_cast<int>(knobs_.size());
  knobs_.push_back(std::move(knob));
}

// How many regions a middle tile holds along one axis.
void TileGroup::MakeAxisKnobs() {
  axis_knob_.assign(rank(), -1);
  for (int a : spatial_) {
    Knob knob;
    knob.name = absl::StrCat("middle.", names_[a]);
    knob.parts = {"count"};
    Knob::Control tile{tile_knob_, {}};
    std::vector<int64_t> sizes, counts{1};
    for (const Option& option : knobs_[tile_knob_].options) {
      tile.factor.push_back(option[kTileFactors + a]);
    }
    sizes = tile.factor;
    knob.controls.push_back(std::move(tile));
    if (region_knob_ >= 0) {
      Knob::Control region{region_knob_, {}};
      for (const Option& option : knobs_[region_knob_].options) region.factor.push_back(option[a]);
      counts = region.factor;
      knob.controls.push_back(std::move(region));
    }
    for (std::vector<int64_t>* values : {&sizes, &counts}) {
      std::sort(values->begin(), values->end());
      values->erase(std::unique(values->begin(), values->end()), values->end());
    }
    std::vector<int64_t> known;
    for (int64_t size : sizes) {
      for (int64_t count : counts) {
        std::vector<int>& domain = knob.domains[size * count];
        if (!domain.empty()) continue;
        const bool untiled = std::count(untiled_.begin(), untiled_.end(), a) > 0;
        const int64_t most = untiled ? 1 : CeilDiv(extents_[a], size * count);
        for (int64_t middle : schedule::Divisors(most)) {
          const auto found = std::find(known.begin(), known.end(), middle);
          domain.push_back(static_cast<int>(found - known.begin()));
          if (found != known.end()) continue;
          known.push_back(middle);
          knob.options.push_back({middle});
          knob.weights.push_back(1 / (1 + std::log2(static_cast<double>(middle))));
        }
      }
    }
    axis_knob_[a] = static_cast<int>(knobs_.size());
    knobs_.push_back(std::move(knob));
  }
  if (spatial_.size() > 1 && spatial_.size() <= kMaxOrdered) {
    const int count = static_cast<int>(spatial_.size());
    outer_order_ = static_cast<int>(knobs_.size());
    knobs_.push_back(OrderKnob("order.outer", count));
    middle_order_ = static_cast<int>(knobs_.size());
    knobs_.push_back(OrderKnob("order.middle", count));
    if (region_knob_ >= 0) {
      region_order_ = static_cast<int>(knobs_.size());
      knobs_.push_back(OrderKnob("order.region", count));
    }
  }
}

bool TileGroup::IsPadded() const { return Analysis(reduce_).operations.select > 0; }

// Whether the last tile along some axis reaches beyond it.
bool TileGroup::Overshoots(const Option& tile) const {
  for (size_t a = 0; a < rank(); ++a) {
    if (extents_[a] % tile[kTileFactors + a] != 0) return true;
  }
  return false;
}

// How many of the tile's axes taps move along.
int TileGroup::TiledWindows(const Option& tile) const {
  int windows = 0;
  for (size_t a = 0; a < rank(); ++a) {
    const bool tiled = tile[kTileFactors + a] > 1;
    windows += tiled && IsWindow(Analysis(reduce_), static_cast<int>(a)) ? 1 : 0;
  }
  return windows;
}

void TileGroup::MakeReductionKnobs() {
  Knob knob;
  knob.name = "reduce";
  knob.parts = {"chunk", "inner"};
  for (const std::string& name : reduce_names_) knob.parts.push_back(absl::StrCat("unroll.", name));
  knob.options = ReductionOptions(reduction_);
  Knob::Control control{tile_knob_, {}};
  for (const Option& tile : knobs_[tile_knob_].options) {
    const int64_t accumulators = Accumulators(tile);
    const bool has_edges = IsPadded() || Overshoots(tile);
    const bool has_corners = IsPadded() && TiledWindows(tile) > 1;
    const int64_t cap = has_corners ? kMaxCornerBodies
                        : has_edges ? std::min(max_bodies_, kMaxEdgeBodies)
                                    : max_bodies_;
    control.factor.push_back(has_corners ? -accumulators - max_bodies_
                             : has_edges ? -accumulators
                                         : accumulators);
    std::vector<int>& domain = knob.domains[control.factor.back()];
    if (!domain.empty()) continue;
    for (size_t i = 0; i < knob.options.size(); ++i) {
      const int64_t copies = UnrolledCopies(knob.options[i]);
      if (copies == 1 || copies * accumulators <= cap) domain.push_back(static_cast<int>(i));
    }
  }
  knob.controls.push_back(std::move(control));
  reduce_knob_ = static_cast<int>(knobs_.size());
  knobs_.push_back(std::move(knob));
  // Places: the main axis's outer loop, the other axes in order, its inner loop.
  const int places = static_cast<int>(reduce_names_.size()) + 1;
  const auto real = std::count_if(reduction_.extents.begin(), reduction_.extents.end(),
                                  [](int64_t extent) { return extent > 1; });
  if (real > 1 && places <= static_cast<int>(kMaxOrdered)) {
    reduce_order_ = static_cast<int>(knobs_.size());
    knobs_.push_back(OrderKnob("order.reduce", places));
    if (IsPadded()) WeighReductionOrders(knobs_.back());
  }
  // Which operand's values are used up first.
  tile_order_ = static_cast<int>(knobs_.size());
  knobs_.push_back(FreeKnob("order.tile", {"vectors_outermost"}, {{0}, {1}}));
}

// Windows outside of the main axis: whether a tap is padding is then tested once a loop over that.
void TileGroup::WeighReductionOrders(Knob& knob) const {
  const int inner_place = static_cast<int>(reduce_names_.size());
  for (const Option& order : knob.options) {
    double weight = 1;
    bool inside = false;  // of the main axis
    for (const int64_t place : order) {
      const bool is_main = place == main_ || place == inner_place;
      if (is_main) inside = true;
      if (!is_main && inside && reduction_.extents[place] > 1) weight *= kTestedInsideWeight;
    }
    knob.weights.push_back(weight);
  }
}

void TileGroup::MakeParallelKnob() {
  std::vector<Option> options;
  for (size_t i = 1; i <= spatial_.size(); ++i) options.push_back({static_cast<int64_t>(i)});
  parallel_knob_ = static_cast<int>(knobs_.size());
  knobs_.push_back(FreeKnob("parallel", {"loops"}, std::move(options)));
}

// One knob for each buffer whose channels may be blocked. Where vectors run along a dimension of
// the buffer, the block has to keep them contiguous.
void TileGroup::MakeBlockKnobs() {
  const auto offer = [&](const ir::Buffer& buffer) {
    if (buffer->policy != ir::LayoutPolicy::kBlocked || buffer->shape[buffer->block_axis] == 1) {
      return;
    }
    Knob knob;
    knob.name = absl::StrCat("block.", buffer->name);
    knob.parts = {"channels"};
    const std::vector<int64_t> sizes = BlockChoices(buffer->shape[buffer->block_axis]);
    for (int64_t size : sizes) knob.options.push_back({size});
    int64_t group = 1;  // that instructions take from the buffer at once
    // Dimensions of the buffer that each axis of the tile moves.
    std::vector<bool> in_channels(rank(), false), in_last(rank(), false);
    const int last = static_cast<int>(buffer->shape.size()) - 1;
    const auto note = [&](const std::vector<schedule::AxisForm>& dims) {
      for (size_t a = 0; a < rank(); ++a) {
        if (Uses(dims[buffer->block_axis], static_cast<int>(a))) in_channels[a] = true;
        if (Uses(dims[last], static_cast<int>(a))) in_last[a] = true;
      }
    };
    if (buffer == Stage(store_).output()) {
      in_channels[buffer->block_axis] = in_last[last] = true;
    }
    for (int stage : {reduce_, store_}) {
      if (stage < 0) continue;
      for (const schedule::Access& access : Analysis(stage).reads) {
        if (access.buffer != buffer) continue;
        note(access.dims);
        if (stage == reduce_) group = dot_extent_;
      }
    }
    Knob::Control control{tile_knob_, {}};
    for (const Option& tile : knobs_[tile_knob_].options) {
      const int v = static_cast<int>(tile[kTileVectorAxis]);
      const int64_t lanes = tile[kTileLanes];
      const bool along_channels = v >= 0 && in_channels[v];
      const bool along_last = v >= 0 && !along_channels && in_last[v];
      const int64_t key = along_channels ? 1 + lanes : along_last ? 1 : -1;
      control.factor.push_back(key);
      std::vector<int>& domain = knob.domains[key];
      if (!domain.empty()) continue;
      for (size_t i = 0; i < sizes.size(); ++i) {
        const bool fits = along_channels ? (sizes[i] % lanes == 0 || i + 1 == sizes.size())
                                         : !along_last || sizes[i] == 1;
        if (fits && sizes[i] % group == 0) domain.push_back(static_cast<int>(i));
      }
      if (domain.empty()) domain.push_back(0);
    }
    knob.controls.push_back(std::move(control));
    blocks_.push_back({buffer, buffer->block_axis, static_cast<int>(knobs_.size())});
    knobs_.push_back(std::move(knob));
  };
  for (const te::Input& input : base_.inputs()) offer(input.buffer);
  offer(Stage(store_).output());
}

void TileGroup::MakeStreamKnob(const ir::Target& target) {
  const ir::BufferNode& out = *Stage(store_).output();
  if (!base_.IsOutput(Stage(store_).output()) || !base_.Consumers(store_).empty() ||
      Stage(store_).is_reduction() ||
      out.ElementCount() * out.type.bits / 8 <= kStreamedCaches * target.l2_bytes) {
    return;
  }
  stream_knob_ = static_cast<int>(knobs_.size());
  knobs_.push_back(FreeKnob("stream", {"on"}, {{0}, {1}}));
  const double weight = reduce_ < 0 ? kStreamWeight : kStreamSumsWeight;
  knobs_.back().weights = {1 - weight, weight};
}

// Offered where vectors of an operand come from beyond the second-level cache, or share it with all
// else. Measured with a 1 × 1024 × 1024 product: the fastest of random samples in 31.3 µs with and
// 32.6 without, tiles of 4 vectors 1.2 times faster.
void TileGroup::MakePrefetchKnob(const ir::Target& target) {
  const auto is_large = [&](const schedule::Access& access) {
    const int64_t bytes = access.buffer->ElementCount() * access.buffer->type.bits / 8;
    return bytes > target.l2_bytes / 2;
  };
  const auto& reads = Analysis(reduce_).reads;
  if (std::none_of(reads.begin(), reads.end(), is_large)) return;
  prefetch_knob_ = static_cast<int>(knobs_.size());
  knobs_.push_back(FreeKnob("prefetch", {"iterations"}, {{0}, {1}, {4}}));
  knobs_.back().weights = {1 - 2 * kPrefetchWeight, kPrefetchWeight, kPrefetchWeight};
}

// Whether copies that instructions repeat for all lanes are stored row by row, which is quickly
// done, or in the order in which they are read.
void TileGroup::MakeRowsKnob() {
  rows_knob_ = static_cast<int>(knobs_.size());
  knobs_.push_back(FreeKnob("operand", {"rows"}, {{0}, {1}}));
}

// --- Reading choices

TileGroup::Tiling TileGroup::Read(absl::Span<const int> choices) const {
  const Option& tile = Chosen(choices, tile_knob_);
  Tiling t;
  t.vector_axis = static_cast<int>(tile[kTileVectorAxis]);
  t.lanes = tile[kTileLanes];
  for (size_t a = 0; a < rank(); ++a) {
    t.tile.push_back(tile[kTileFactors + a]);
    t.region.push_back(region_knob_ >= 0 ? Chosen(choices, region_knob_)[a] : 1);
    t.middle.push_back(axis_knob_[a] >= 0 ? Chosen(choices, axis_knob_[a])[0] : 1);
    t.outer.push_back(CeilDiv(extents_[a], t.tile[a] * t.region[a] * t.middle[a]));
  }
  return t;
}

absl::InlinedVector<int, 8> TileGroup::Ordered(absl::Span<const int> choices, int knob) const {
  absl::InlinedVector<int, 8> order;
  if (knob < 0) {
    order.assign(spatial_.begin(), spatial_.end());
    return order;
  }
  for (int64_t i : Chosen(choices, knob)) order.push_back(spatial_[i]);
  return order;
}

absl::InlinedVector<int, 8> TileGroup::ActiveOuter(absl::Span<const int> choices,
                                                   const Tiling& t) const {
  absl::InlinedVector<int, 8> active;
  for (int a : Ordered(choices, outer_order_)) {
    if (t.outer[a] > 1) active.push_back(a);
  }
  return active;
}

// Loops that don't exist come first, in their natural order.
void TileGroup::SetOrder(absl::Span<int> choices, int knob, absl::Span<const int> active) const {
  if (knob < 0) return;
  absl::InlinedVector<int, 8> order;
  for (size_t i = 0; i < spatial_.size(); ++i) {
    if (std::find(active.begin(), active.end(), spatial_[i]) == active.end()) {
      order.push_back(static_cast<int>(i));
    }
  }
  for (int a : active) {
    const auto at = std::find(spatial_.begin(), spatial_.end(), a);
    order.push_back(static_cast<int>(at - spatial_.begin()));
  }
  choices[knob] = RankOfOrder(order);
}

void TileGroup::Canonicalize(absl::Span<int> choices) const {
  Tiling t = Read(choices);
  absl::InlinedVector<int, 8> outer = ActiveOuter(choices, t), middle;
  for (int a : Ordered(choices, middle_order_)) {
    if (t.middle[a] > 1) middle.push_back(a);
  }
  // A middle loop right inside the outer ones is an outer loop if its axis has none yet, and
  // nothing but a piece of it if its axis is the last of them.
  const auto clear_middle = [&](int a) {
    t.outer[a] *= t.middle[a];
    t.middle[a] = 1;
    choices[axis_knob_[a]] = FindOption(knobs_[axis_knob_[a]], {1});
    middle.erase(middle.begin());
  };
  while (!middle.empty()) {
    const int a = middle.front();
    if (t.outer[a] == 1 && outer_order_ >= 0) {
      outer.push_back(a);
    } else if (outer.empty() || outer.back() != a) {
      break;
    }
    clear_middle(a);
  }
  SetOrder(choices, outer_order_, outer);
  SetOrder(choices, middle_order_, middle);
  absl::InlinedVector<int, 8> region;
  for (int a : Ordered(choices, region_order_)) {
    if (t.region[a] > 1) region.push_back(a);
  }
  SetOrder(choices, region_order_, region);
  int shared = 0;
  if (parallel_knob_ >= 0) {
    auto fused = static_cast<size_t>(Chosen(choices, parallel_knob_)[0]);
    fused = std::min(fused, std::max<size_t>(1, outer.size()));
    int64_t iterations = 1;
    for (size_t i = 0; i < fused && i < outer.size(); ++i) iterations *= t.outer[outer[i]];
    while (iterations < threads_ && fused < outer.size()) iterations *= t.outer[outer[fused++]];
    choices[parallel_knob_] = static_cast<int>(fused) - 1;
    shared = static_cast<int>(fused);
  }
  for (size_t i = 0; i < place_knob_.size(); ++i) {
    int& place = choices[place_knob_[i]];
    place = UsefulPlace(copies_[i], place, t, outer, shared);
  }
  if (tile_order_ >= 0 && !HasVectorRows(t)) choices[tile_order_] = 0;
  if (rows_knob_ >= 0 && std::none_of(copies_.begin(), copies_.end(),
                                      [&](int copy) { return IsRepeated(copy, t.vector_axis); })) {
    choices[rows_knob_] = 0;
  }
  CanonicalizeReduction(choices);
}

// Whether the register tile has several vectors in each of several rows.
bool TileGroup::HasVectorRows(const Tiling& t) const {
  if (t.vector_axis < 0 || t.tile[t.vector_axis] <= t.lanes) return false;
  for (int a : spatial_) {
    if (a != t.vector_axis && t.tile[a] > 1) return true;
  }
  return false;
}

void TileGroup::CanonicalizeReduction(absl::Span<int> choices) const {
  if (reduce_order_ < 0) return;
  Option reduce = Chosen(choices, reduce_knob_);
  const int inner_place = static_cast<int>(reduce_names_.size());
  const auto active = [&](int place) {
    const int64_t unroll_main = reduce[kReduceUnroll + main_];
    if (place == inner_place) return reduce[kReduceInner] > unroll_main;
    if (place == main_) return reduce[kReduceChunk] > reduce[kReduceInner];
    return reduction_.extents[place] > reduce[kReduceUnroll + place];
  };
  absl::InlinedVector<int, 8> order, loops;
  for (int64_t place : Chosen(choices, reduce_order_)) {
    if (active(static_cast<int>(place))) loops.push_back(static_cast<int>(place));
  }
  const auto outer = std::find(loops.begin(), loops.end(), main_);
  const auto inner = std::find(loops.begin(), loops.end(), inner_place);
  if (outer != loops.end() && inner != loops.end()) {
    if (inner < outer) std::iter_swap(inner, outer);
    const auto first = std::min(inner, outer), second = std::max(inner, outer);
    if (second == first + 1) {  // two pieces of one loop
      loops.erase(second);
      reduce[kReduceInner] = reduce[kReduceUnroll + main_];
      choices[reduce_knob_] = FindOption(knobs_[reduce_knob_], reduce);
    }
  }
  for (int place = 0; place <= inner_place; ++place) {
    if (std::find(loops.begin(), loops.end(), place) == loops.end()) order.push_back(place);
  }
  order.insert(order.end(), loops.begin(), loops.end());
  choices[reduce_order_] = RankOfOrder(order);
}

std::unique_ptr<Group> MakeTileGroup(const TileSpec& spec, const ir::Target& target) {
  auto group = std::make_unique<TileGroup>(spec, target);
  if (!group->HasChoices()) return nullptr;
  return group;
}

bool IsElementwiseOver(const schedule::Schedule& schedule, int store, int reduce) {
  const schedule::StageState& consumer = schedule.stages()[store];
  const te::Stage& producer = *schedule.stages()[reduce].stage;
  if (consumer.stage->is_reduction() || producer.outputs.size() != 1 ||
      consumer.stage->axes.size() != producer.axes.size()) {
    return false;
  }
  for (const schedule::Access& access : consumer.analysis->reads) {
    if (access.buffer != producer.output()) continue;
    for (size_t d = 0; d < access.dims.size(); ++d) {
      if (!IsPlain(access.dims[d], static_cast<int>(d)) ||
          consumer.stage->axes[d].extent != producer.axes[d].extent) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace tessera::space
