#include "schedule_space/thread_tile_knobs.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "compiler/te/dag.h"
#include "schedule_space/tile_sizes.h"
#include "schedule_space/wave_axes.h"

namespace tessera::space {
namespace {

constexpr int64_t kMinBlockThreads = 16;
constexpr int64_t kMaxInner = 64;          // accumulators of a virtual thread
constexpr int64_t kMaxAccumulators = 128;  // of a thread
constexpr int64_t kMaxInnerFactor = 8;     // along an axis
constexpr int64_t kMaxVirtual = 8;
constexpr int64_t kMaxChunk = 64;  // along a reduction axis
constexpr double kShareWeight = 0.75;

}  // namespace

ThreadTileKnobs::ThreadTileKnobs(const schedule::Schedule& base, ThreadKernelSpec spec,
                                 const ir::Target& target, const std::string& prefix,
                                 std::vector<Knob>& knobs)
    : KnobReader(knobs), base_(base), spec_(std::move(spec)), target_(target) {
  for (const te::Axis& axis : Store().axes) extents_.push_back(axis.extent);
  if (spec_.reduce >= 0) {
    for (const te::Axis& axis : Reduce().reduce_axes) sums_.push_back(axis.extent);
  }
  AddTileKnobs(prefix);
  if (spec_.reduce >= 0) AddReduceKnobs(prefix);
}

void ThreadTileKnobs::AddTileKnobs(const std::string& prefix) {
  std::vector<std::string> parts;
  for (const te::Axis& axis : Store().axes) parts.push_back(axis.var->name);
  std::vector<std::vector<int64_t>> powers, factors, few;
  int64_t points = 1;
  const std::vector<bool> tiled = TiledAxes(Store(), spec_.has_parts);
  for (size_t a = 0; a < extents_.size(); ++a) {
    const int64_t extent = tiled[a] ? extents_[a] : 1;
    powers.emplace_back();
    for (int64_t n = 1; n <= std::min<int64_t>(PowerAtLeast(extent), target_.block_threads);
         n *= 2) {
      powers.back().push_back(n);
    }
    factors.emplace_back();
    for (int64_t n = 1; n <= std::min(extent, kMaxInnerFactor); ++n) {
      if (n == 1 || n == 2 || n == 4 || n == 8 || extent % n == 0) factors.back().push_back(n);
    }
    few.emplace_back();
    for (int64_t n = 1; n <= std::min<int64_t>(extent, 4); n *= 2) few.back().push_back(n);
    points *= extent;  // that tiles may hold
    if (spec_.waves) RestrictToWaves(a, powers.back(), factors.back(), few.back());
  }
  std::vector<Option> threads = Combine(powers, target_.block_threads);
  const int64_t least = std::min(
      {kMinBlockThreads, PowerAtLeast(points),
       static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(target_.block_threads)))});
  std::erase_if(threads, [&](const Option& option) { return Product(option) < least; });
  Knob knob = FreeKnob(prefix + "threads", parts, std::move(threads));
  for (const Option& option : knob.options) knob.weights.push_back(ThreadWeight(option));
  threads_ = Add(std::move(knob));
  // Without a stage of its own a reduction has one accumulator a thread.
  if (Store().is_reduction()) return;
  inner_ = Add(FreeKnob(prefix + "inner", parts, Combine(factors, kMaxInner)));
  std::vector<Option> lanes{{1}};
  for (const int64_t n : {2, 4}) {
    if (points > 1 && extents_[VectorAxis()] % n == 0) lanes.push_back({n});
  }
  if (lanes.size() > 1) lanes_ = Add(FreeKnob(prefix + "vector", {"lanes"}, std::move(lanes)));
  if (spec_.reduce < 0) return;
  Knob virtuals =
      FreeKnob(prefix + "virtual", parts, Combine(few, spec_.waves ? kMaxInner : kMaxVirtual));
  virtuals.controls = {{inner_, {}}};
  virtuals.domains.clear();
  for (const Option& inner : knobs_[inner_].options) {
    const int64_t product = Product(inner);
    virtuals.controls[0].factor.push_back(product);
    if (virtuals.domains.contains(product)) continue;
    std::vector<int>& open = virtuals.domains[product];
    for (size_t i = 0; i < virtuals.options.size(); ++i) {
      if (Product(virtuals.options[i]) * product <= kMaxAccumulators) {
        open.push_back(static_cast<int>(i));
      }
    }
  }
  virtual_ = Add(std::move(virtuals));
}

// The threads along an axis, what each has of it, and its virtual threads, where waves share it
// out: two of the virtual threads along rows make one instruction, with two columns each.
void ThreadTileKnobs::RestrictToWaves(size_t axis, std::vector<int64_t>& threads,
                                      std::vector<int64_t>& inner,
                                      std::vector<int64_t>& virtuals) const {
  const bool is_row = axis == spec_.waves->row, is_column = axis == spec_.waves->column;
  if (!is_row && !is_column) {
    threads = inner = {1};
    return;
  }
  const int64_t least = is_row ? kWaveRows : kWaveColumns;
  threads = {least};
  while (threads.back() * 4 <= extents_[axis] && threads.back() < target_.block_threads) {
    threads.push_back(2 * threads.back());
  }
  inner = {is_row ? 1 : 2};
  virtuals = is_row ? std::vector<int64_t>{2, 4, 8} : std::vector<int64_t>{1, 2, 4, 8};
}

// Blocks of a few waves, with neighbours along the innermost axis, are the likeliest.
double ThreadTileKnobs::ThreadWeight(const Option& option) const {
  double weight = BlockWeight(Product(option));
  for (size_t a = 0; a < extents_.size(); ++a) {
    const double padded = static_cast<double>(CeilDiv(extents_[a], option[a]) * option[a]);
    weight *= static_cast<double>(extents_[a]) / padded;
  }
  return weight + 1e-6;
}

void ThreadTileKnobs::AddReduceKnobs(const std::string& prefix) {
  std::vector<std::string> parts;
  std::vector<std::vector<int64_t>> chunks;
  for (const te::Axis& axis : Reduce().reduce_axes) {
    parts.push_back(axis.var->name);
    chunks.emplace_back();
    for (int64_t n = 1; n <= std::min(axis.extent, kMaxChunk); n *= 2) chunks.back().push_back(n);
    // Short ones, such as windows, are whole or not cut.
    if (axis.extent <= 7 && axis.extent > 1) chunks.back() = {1, axis.extent};
    if (spec_.waves && chunks.size() - 1 == spec_.waves->term) {
      std::erase_if(chunks.back(),
                    [&](int64_t n) { return n < spec_.waves->terms || axis.extent % n != 0; });
    }
  }
  chunk_ = Add(FreeKnob(prefix + "chunk", parts, Combine(chunks, kMaxChunk * 4)));
  const std::vector<Option> unrolled = {{0}, {1}, {2}};
  unroll_ = Add(
      FreeKnob(prefix + "unroll", {"loops"}, spec_.waves ? std::vector<Option>{{0}} : unrolled));
  for (const int copy : spec_.copies) {
    const std::string name = prefix + "share." + SourceOf(copy);
    share_.push_back(Add(FreeKnob(name, {"is"}, {{0}, {1}})));
    knobs_.back().weights = {1 - kShareWeight, kShareWeight};
    std::vector<Option> widths = {{1}};
    if (IsCopy(copy)) widths.insert(widths.end(), {{2}, {4}});
    vector_.push_back(
        Add(FreeKnob(prefix + "vector." + SourceOf(copy), {"lanes"}, std::move(widths))));
    order_.push_back(-1);
    gap_.push_back(-1);
    if (Stage(copy).axes.size() > 1) {
      order_.back() = Add(FreeKnob(prefix + "order." + SourceOf(copy), {"transposed"}, {{0}, {1}}));
      gap_.back() =
          Add(FreeKnob(prefix + "gap." + SourceOf(copy), {"elements"}, {{0}, {1}, {2}, {4}, {8}}));
    }
  }
  if (spec_.copies.empty()) return;
  double_ = Add(FreeKnob(prefix + "double", {"is"}, {{0}, {1}}));
}

}  // namespace tessera::space
