#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "compiler/schedule/lowering_limits.h"
#include "compiler/te/dag.h"
#include "schedule_space/nest_loops.h"
#include "schedule_space/steps.h"
#include "schedule_space/thread_kernel.h"
#include "schedule_space/tile_sizes.h"

namespace tessera::space {
namespace {

constexpr int64_t kMinBlockThreads = 16;
constexpr int64_t kMaxInner = 64;          // accumulators of a virtual thread
constexpr int64_t kMaxAccumulators = 128;  // of a thread
constexpr int64_t kMaxInnerFactor = 8;     // along an axis
constexpr int64_t kMaxVirtual = 8;
constexpr int64_t kMaxChunk = 64;       // along a reduction axis
constexpr int64_t kMaxUnrolled = 2048;  // multiplications that are copied
constexpr int64_t kMaxAhead = 32;       // elements of the next chunk that a thread loads ahead
constexpr double kShareWeight = 0.75;

class Tile final : public ThreadKernel, KnobReader {
 public:
  Tile(const schedule::Schedule& base, ThreadKernelSpec spec, const ir::Target& target,
       const std::string& prefix, std::vector<Knob>& knobs)
      : KnobReader(knobs), base_(base), spec_(std::move(spec)), target_(target) {
    for (const te::Axis& axis : Store().axes) extents_.push_back(axis.extent);
    if (spec_.reduce >= 0) {
      for (const te::Axis& axis : Reduce().reduce_axes) sums_.push_back(axis.extent);
    }
    AddTileKnobs(prefix);
    if (spec_.reduce >= 0) AddReduceKnobs(prefix);
  }

  void Canonicalize(absl::Span<int> choices) const override {
    // What a thread has no place for, it does not compute.
    Option threads = Chosen(choices, threads_), inner = Of(choices, inner_),
           virtuals = Of(choices, virtual_);
    for (size_t a = 0; a < extents_.size() && spec_.waves; ++a) {
      // A tile beyond the end would be tested inside of the sum, where waves can't multiply.
      const auto halve = [&](Option& option, int64_t least) {
        while (option[a] > least && threads[a] * inner[a] * virtuals[a] > extents_[a]) {
          option[a] /= 2;
        }
      };
      halve(virtuals, a == spec_.waves->row ? 2 : 1);
      halve(threads, NearThreads(a, threads[a]));
    }
    Set(choices, threads_, threads);
    for (size_t a = 0; a < extents_.size() && !spec_.waves; ++a) {
      const int64_t left = CeilDiv(extents_[a], threads[a]);
      while (inner[a] > 1 && inner[a] > left) inner[a] = Smaller(inner_, a, inner[a]);
      while (virtuals[a] > 1 && (virtuals[a] - 1) * inner[a] >= left) virtuals[a] /= 2;
    }
    Set(choices, inner_, inner);
    Set(choices, virtual_, virtuals);
    while (lanes_ >= 0 && inner[VectorAxis()] % Chosen(choices, lanes_)[0] != 0) --choices[lanes_];
    if (spec_.reduce < 0) return;
    // A single thread has nobody to share with.
    if (Product(threads) == 1) {
      for (const int share : share_) choices[share] = 0;
    }
    for (size_t i = 0; i < spec_.copies.size(); ++i) {
      if (choices[share_[i]] == 1) CanonicalizeCopy(choices, i);
    }
    FitShared(choices);
    if (double_ >= 0 && !CanDouble(choices)) choices[double_] = 0;
    for (size_t i = 0; i < spec_.copies.size(); ++i) {
      if (choices[share_[i]] == 1) continue;
      for (const int knob : {vector_[i], order_[i], gap_[i]}) {
        if (knob >= 0) choices[knob] = 0;
      }
    }
    // Unrolling of what has one iteration changes nothing.
    while (choices[unroll_] > 0 && (UnrolledProducts(choices, choices[unroll_]) > kMaxUnrolled ||
                                    UnrolledProducts(choices, choices[unroll_]) ==
                                        UnrolledProducts(choices, choices[unroll_] - 1))) {
      --choices[unroll_];
    }
    if (!spec_.waves && !SharesAny(choices)) MergeChunks(choices);
  }

  void Decide(absl::Span<const int> choices, const Places& places,
              Decisions& decisions) const override {
    schedule::Nest store{places.Of(spec_.store), {}};
    const int thread_loop = AddOuterLoops(choices, store.loops);
    if (spec_.reduce < 0) {
      for (size_t r = 0; r < Store().reduce_axes.size(); ++r) {
        store.loops.push_back(Loop({static_cast<int>(extents_.size() + r), 1, kRest}));
      }
    }
    AddInnerLoops(choices, store.loops);
    decisions.nests.push_back(std::move(store));
    if (spec_.reduce < 0) return;

    schedule::Nest reduce{places.Of(spec_.reduce), {}, places.Of(spec_.store), thread_loop};
    const int last_chunk = AddReduceLoops(choices, reduce.loops);
    decisions.nests.push_back(std::move(reduce));
    for (size_t i = 0; i < spec_.copies.size(); ++i) {
      if (choices[share_[i]] == 0) {
        decisions.steps.push_back(InlineStep(Stage(spec_.copies[i]).name()));
        continue;
      }
      schedule::Nest copy{places.Of(spec_.copies[i]), CopyLoops(choices, i)};
      copy.at_stage = places.Of(last_chunk >= 0 ? spec_.reduce : spec_.store);
      copy.at_loop = last_chunk >= 0 ? last_chunk : thread_loop;
      copy.is_doubled = IsDoubled(choices);
      decisions.nests.push_back(std::move(copy));
      if (IsTransposed(choices, i) || Gap(choices, i) > 0) {
        decisions.layouts.emplace_back(Stage(spec_.copies[i]).output(), LayoutOf(choices, i));
      }
    }
  }

 private:
  const te::Stage& Stage(int index) const { return *base_.stages()[index].stage; }
  const te::Stage& Store() const { return Stage(spec_.store); }
  const te::Stage& Reduce() const { return Stage(spec_.reduce); }
  // Of a knob that may not be there: ones.
  Option Of(absl::Span<const int> choices, int knob) const {
    return knob < 0 ? Option(extents_.size(), 1) : Chosen(choices, knob);
  }
  // The next smaller value that the knob's options have for a part.
  int64_t Smaller(int knob, size_t part, int64_t value) const {
    int64_t best = 1;
    for (const Option& option : knobs_[knob].options) {
      if (option[part] < value) best = std::max(best, option[part]);
    }
    return best;
  }

  bool SharesAny(absl::Span<const int> choices) const {
    return std::ranges::any_of(share_, [&](int share) { return choices[share] == 1; });
  }
  bool IsDoubled(absl::Span<const int> choices) const {
    return double_ >= 0 && choices[double_] == 1;
  }
  bool IsTransposed(absl::Span<const int> choices, size_t i) const {
    return order_[i] >= 0 && choices[order_[i]] == 1;
  }
  int64_t Gap(absl::Span<const int> choices, size_t i) const {
    return gap_[i] < 0 ? 0 : Chosen(choices, gap_[i])[0];
  }

  void CanonicalizeCopy(absl::Span<int> choices, size_t i) const {
    const std::vector<int64_t> region = RegionOf(choices, i);
    while (choices[vector_[i]] > 0 && region.back() % Chosen(choices, vector_[i])[0] != 0) {
      --choices[vector_[i]];
    }
    if (order_[i] < 0) return;
    // One that is not a matrix has no order and no gaps; one in vectors keeps them whole.
    const auto is_long = [](int64_t extent) { return extent > 1; };
    const bool is_matrix = std::ranges::count_if(region, is_long) > 1;
    if (!is_matrix || region.back() == 1 || choices[vector_[i]] > 0) choices[order_[i]] = 0;
    if (!is_matrix) choices[gap_[i]] = 0;
    const int64_t lanes = Chosen(choices, vector_[i])[0];
    if (Gap(choices, i) % lanes != 0) Set(choices, gap_[i], {lanes});
  }

  // Whether there is a next chunk, which threads have registers for.
  bool CanDouble(absl::Span<const int> choices) const {
    const Option& chunk = Chosen(choices, chunk_);
    bool is_cut = false;
    for (size_t r = 0; r < sums_.size(); ++r) is_cut |= chunk[r] < sums_[r];
    int64_t ahead = 0;
    for (size_t i = 0; i < spec_.copies.size(); ++i) {
      if (choices[share_[i]] == 0) continue;
      int64_t vectors = 1;
      for (const int64_t extent : RegionOf(choices, i)) vectors *= extent;
      const int64_t lanes = Chosen(choices, vector_[i])[0];
      ahead += CeilDiv(vectors / lanes, Product(Chosen(choices, threads_))) * lanes;
    }
    return is_cut && ahead > 0 && ahead <= kMaxAhead;
  }

  // Copies have one half where there is no place for two; those that don't fit are not made, the
  // largest first.
  void FitShared(absl::Span<int> choices) const {
    for (;;) {
      int64_t total = 0, most = 0;
      size_t largest = 0;
      for (size_t i = 0; i < spec_.copies.size(); ++i) {
        if (choices[share_[i]] == 0) continue;
        const int64_t bytes = SharedBytes(choices, i);
        total += bytes;
        if (bytes >= most) largest = i;
        most = std::max(most, bytes);
      }
      if (total <= target_.shared_bytes) return;
      if (IsDoubled(choices)) {
        choices[double_] = 0;
      } else {
        choices[share_[largest]] = 0;
      }
    }
  }

  // The axis along which a store's elements are neighbours.
  size_t VectorAxis() const { return extents_.size() - (spec_.has_parts ? 2 : 1); }

  // Where no copies are made for chunks, one outermost loop over whole axes is like chunks of one.
  void MergeChunks(absl::Span<int> choices) const {
    Option chunk = Chosen(choices, chunk_);
    for (size_t r = 0; r < sums_.size(); ++r) {
      if (chunk[r] == 1) continue;
      const bool is_unrolled =
          static_cast<int64_t>(sums_.size() - 1 - r) < Chosen(choices, unroll_)[0];
      bool is_outermost = !is_unrolled;
      for (size_t later = r; later < sums_.size(); ++later) {
        is_outermost &= chunk[later] >= sums_[later];
      }
      if (!is_outermost) break;
      chunk[r] = 1;
    }
    Set(choices, chunk_, chunk);
  }

  void AddTileKnobs(const std::string& prefix) {
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
  void RestrictToWaves(size_t axis, std::vector<int64_t>& threads, std::vector<int64_t>& inner,
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
  double ThreadWeight(const Option& option) const {
    double weight = BlockWeight(Product(option));
    for (size_t a = 0; a < extents_.size(); ++a) {
      const double padded = static_cast<double>(CeilDiv(extents_[a], option[a]) * option[a]);
      weight *= static_cast<double>(extents_[a]) / padded;
    }
    return weight + 1e-6;
  }

  void AddReduceKnobs(const std::string& prefix) {
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
        order_.back() =
            Add(FreeKnob(prefix + "order." + SourceOf(copy), {"transposed"}, {{0}, {1}}));
        gap_.back() = Add(
            FreeKnob(prefix + "gap." + SourceOf(copy), {"elements"}, {{0}, {1}, {2}, {4}, {8}}));
      }
    }
    if (spec_.copies.empty()) return;
    double_ = Add(FreeKnob(prefix + "double", {"is"}, {{0}, {1}}));
  }

  const std::string& SourceOf(int copy) const {
    return base_.stages()[copy].analysis->reads[0].buffer->name;
  }
  // Elements as they are, not behind tests of padding.
  bool IsCopy(int copy) const { return base_.stages()[copy].analysis->operations.select == 0; }

  // What a block has of each axis of the reduction: spatial ones, then chunks.
  std::vector<int64_t> TileOf(absl::Span<const int> choices) const {
    std::vector<int64_t> tile;
    const Option &threads = Chosen(choices, threads_), inner = Of(choices, inner_),
                 virtuals = Of(choices, virtual_);
    for (size_t a = 0; a < extents_.size(); ++a) {
      tile.push_back(threads[a] * inner[a] * virtuals[a]);
    }
    const Option& chunk = Chosen(choices, chunk_);
    for (size_t r = 0; r < sums_.size(); ++r) tile.push_back(std::min(chunk[r], sums_[r]));
    return tile;
  }

  // Extents of what a block copies of operand `i` for a chunk.
  std::vector<int64_t> RegionOf(absl::Span<const int> choices, size_t i) const {
    const std::vector<int64_t> tile = TileOf(choices);
    const te::Stage& copy = Stage(spec_.copies[i]);
    std::vector<int64_t> region;
    for (const te::Axis& axis : copy.axes) region.push_back(axis.extent);
    const schedule::StageAnalysis& analysis = *base_.stages()[spec_.reduce].analysis;
    const schedule::Window* window = nullptr;
    for (const schedule::Window& one : analysis.windows) {
      if (analysis.reads[one.read].buffer != copy.output()) continue;
      if (window != nullptr) return region;  // two ways to read it: all of it may be needed
      window = &one;
    }
    for (size_t d = 0; window != nullptr && d < region.size(); ++d) {
      const schedule::AxisForm& form = analysis.reads[window->read].dims[d];
      if (!form.affine) continue;
      int64_t reach = 1 + window->offsets[d].second - window->offsets[d].first;
      for (const auto& [axis, coefficient] : form.terms) {
        reach += std::abs(coefficient) * (tile[axis] - 1);
      }
      region[d] = std::min(region[d], reach);
    }
    return region;
  }

  int64_t SharedBytes(absl::Span<const int> choices, size_t i) const {
    const std::vector<int64_t> region = RegionOf(choices, i);
    int64_t elements = IsDoubled(choices) ? 2 : 1;
    for (const int64_t extent : region) elements *= extent;
    if (const int64_t gap = Gap(choices, i); gap > 0) {
      elements += elements / region[RowDim(choices, i)] * gap;
    }
    const int64_t bytes =
        elements * std::max<int64_t>(Stage(spec_.copies[i]).output()->type.bits / 8, 1);
    return CeilDiv(bytes, schedule::kSharedAlignment) * schedule::kSharedAlignment;
  }

  // Multiplications of a thread where that many of the innermost loops are unrolled.
  int64_t UnrolledProducts(absl::Span<const int> choices, int64_t loops) const {
    int64_t products = Product(Of(choices, inner_)) * Product(Of(choices, virtual_));
    const Option& chunk = Chosen(choices, chunk_);
    for (size_t r = 0; r < sums_.size() && static_cast<int64_t>(r) < loops; ++r) {
      products *= std::min(chunk[sums_.size() - 1 - r], sums_[sums_.size() - 1 - r]);
    }
    return products;
  }

  // The loops over blocks, virtual threads and threads; returns the index of the last one.
  int AddOuterLoops(absl::Span<const int> choices, Loops& loops) const {
    const Option &threads = Chosen(choices, threads_), inner = Of(choices, inner_),
                 virtuals = Of(choices, virtual_);
    schedule::LoopState block = BoundLoop(ir::ThreadAxis::kBlockX),
                        virtual_loop = BoundLoop(ir::ThreadAxis::kVirtual),
                        thread = BoundLoop(ir::ThreadAxis::kThreadX);
    for (size_t a = 0; a < extents_.size(); ++a) {
      const int axis = static_cast<int>(a);
      const int64_t near = NearThreads(a, threads[a]), stride = near * inner[a];
      block.digits.push_back({axis, threads[a] * inner[a] * virtuals[a], kRest});
      if (virtuals[a] > 1) virtual_loop.digits.push_back({axis, stride, virtuals[a]});
      if (threads[a] > near) {
        thread.digits.push_back({axis, stride * virtuals[a], threads[a] / near});
      }
    }
    const auto add_near = [&](size_t a) {
      const int64_t near = NearThreads(a, threads[a]);
      if (near > 1) thread.digits.push_back({static_cast<int>(a), inner[a], near});
    };
    if (spec_.waves) {
      add_near(spec_.waves->row);
      add_near(spec_.waves->column);
    } else {
      for (size_t a = 0; a < extents_.size(); ++a) add_near(a);
    }
    for (schedule::LoopState* loop : {&block, &virtual_loop, &thread}) {
      if (!loop->digits.empty()) loops.push_back(std::move(*loop));
    }
    return static_cast<int>(loops.size()) - 1;
  }

  // Of the threads along an axis those that are finer than the virtual ones: all, or the part of a
  // wave that multiplies matrices.
  int64_t NearThreads(size_t axis, int64_t threads) const {
    if (!spec_.waves) return threads;
    return axis == spec_.waves->row ? kWaveRows : axis == spec_.waves->column ? kWaveColumns : 1;
  }

  void AddInnerLoops(absl::Span<const int> choices, Loops& loops) const {
    const Option inner = Of(choices, inner_);
    const int64_t lanes = lanes_ < 0 ? 1 : Chosen(choices, lanes_)[0];
    for (size_t a = 0; a < extents_.size(); ++a) {
      const int64_t width = a == VectorAxis() ? lanes : 1;
      AddLoop(loops, {static_cast<int>(a), width, inner[a] / width}, ir::LoopKind::kUnrolled);
    }
    AddLoop(loops, {static_cast<int>(VectorAxis()), 1, lanes}, ir::LoopKind::kVectorized);
  }

  // Chunks, then what is in one, then accumulators; returns the index of the last loop over chunks.
  int AddReduceLoops(absl::Span<const int> choices, Loops& loops) const {
    const Option& chunk = Chosen(choices, chunk_);
    const auto first = static_cast<int>(extents_.size());
    for (size_t r = 0; r < sums_.size(); ++r) {
      if (chunk[r] == sums_[r]) continue;
      const schedule::Digit digit{first + static_cast<int>(r), chunk[r], kRest};
      // The loop that copies are doubled in knows which chunk is next.
      if (IsDoubled(choices) && !loops.empty()) {
        loops.back().digits.push_back(digit);
      } else {
        loops.push_back(Loop(digit));
      }
    }
    const int last_chunk = static_cast<int>(loops.size()) - 1;
    const int64_t unrolled = Chosen(choices, unroll_)[0];
    for (const size_t r : OrderInChunk()) {
      const bool is_cut = chunk[r] < sums_[r];
      if (is_cut && chunk[r] == 1) continue;
      const auto from_last = static_cast<int64_t>(sums_.size() - 1 - r);
      loops.push_back(Loop({first + static_cast<int>(r), 1, is_cut ? chunk[r] : kRest},
                           from_last < unrolled ? ir::LoopKind::kUnrolled : ir::LoopKind::kSerial));
    }
    for (size_t a = 0; a < extents_.size(); ++a) {
      loops.push_back(Loop({static_cast<int>(a), 1, kRest}, ir::LoopKind::kUnrolled));
    }
    return last_chunk;
  }

  // Axes of the reduction; the terms that an instruction sums up are innermost.
  std::vector<size_t> OrderInChunk() const {
    std::vector<size_t> order(sums_.size());
    std::iota(order.begin(), order.end(), 0);
    if (spec_.waves) {
      const auto term = order.begin() + static_cast<int64_t>(spec_.waves->term);
      std::rotate(term, term + 1, order.end());
    }
    return order;
  }

  // One loop that all threads share out, and vectors.
  Loops CopyLoops(absl::Span<const int> choices, size_t i) const {
    const int64_t lanes = Chosen(choices, vector_[i])[0];
    const auto dims = static_cast<int>(Stage(spec_.copies[i]).axes.size());
    schedule::LoopState all = BoundLoop(ir::ThreadAxis::kThreadX);
    for (int d = 0; d < dims; ++d) all.digits.push_back({d, d + 1 == dims ? lanes : 1, kRest});
    Loops loops{std::move(all)};
    AddLoop(loops, {dims - 1, 1, lanes}, ir::LoopKind::kVectorized);
    return loops;
  }

  // Dimensions of a copy as they are stored: row-major, or the last one first.
  std::vector<int> DimsOf(absl::Span<const int> choices, size_t i) const {
    const auto rank = static_cast<int>(Stage(spec_.copies[i]).axes.size());
    std::vector<int> dims;
    for (int d = 0; d < rank; ++d) dims.push_back(d);
    if (IsTransposed(choices, i)) std::rotate(dims.begin(), dims.end() - 1, dims.end());
    return dims;
  }

  // The dimension that rows with gaps behind them lie along: the innermost that has an extent.
  size_t RowDim(absl::Span<const int> choices, size_t i) const {
    const std::vector<int64_t> region = RegionOf(choices, i);
    const std::vector<int> dims = DimsOf(choices, i);
    size_t at = dims.size() - 1;
    while (at > 0 && region[dims[at]] == 1) --at;
    return dims[at];
  }

  std::vector<ir::LayoutDim> LayoutOf(absl::Span<const int> choices, size_t i) const {
    const std::vector<int64_t>& shape = Stage(spec_.copies[i]).output()->shape;
    const size_t row = RowDim(choices, i);
    std::vector<ir::LayoutDim> layout;
    for (const int d : DimsOf(choices, i)) {
      const int64_t gap = static_cast<size_t>(d) == row ? Gap(choices, i) : 0;
      layout.push_back({d, 1, shape[d] + gap});
    }
    return layout;
  }

  const schedule::Schedule& base_;
  const ThreadKernelSpec spec_;
  const ir::Target& target_;
  std::vector<int64_t> extents_, sums_;
  int threads_ = -1, inner_ = -1, lanes_ = -1, virtual_ = -1, chunk_ = -1, unroll_ = -1,
      double_ = -1;
  std::vector<int> share_, vector_, order_, gap_;  // by copy
};

}  // namespace

std::unique_ptr<ThreadKernel> MakeThreadTile(const schedule::Schedule& base, ThreadKernelSpec spec,
                                             const ir::Target& target, const std::string& prefix,
                                             std::vector<Knob>& knobs) {
  return std::make_unique<Tile>(base, std::move(spec), target, prefix, knobs);
}

}  // namespace tessera::space
