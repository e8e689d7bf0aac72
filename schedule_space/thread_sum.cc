#include "schedule_space/thread_sum.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "compiler/schedule/lowering_limits.h"
#include "compiler/schedule/thread_registers.h"
#include "schedule_space/nest_loops.h"
#include "schedule_space/steps.h"
#include "schedule_space/tile_sizes.h"

namespace tessera::space {
namespace {

constexpr int64_t kMaxInner = 8;         // results that a thread adds up side by side
constexpr int64_t kMaxInnerFactor = 4;   // along an axis
constexpr int64_t kMaxPartials = 32;     // that one thread adds up
constexpr int64_t kUsualPartials = 16;   // of more than so many threads
constexpr size_t kMaxSharedAxes = 2;     // of the reduction
constexpr int64_t kMinBlockThreads = 8;  // that a block has, if the target allows it

// The threads along an axis of the reduction as factors, the last step's first.
std::vector<int64_t> StepsOf(int64_t threads) {
  if (threads <= kMaxPartials) return {threads};
  const int64_t last = threads / kUsualPartials <= kMaxPartials ? kUsualPartials : kMaxPartials;
  return {last, threads / last};
}

// What partial results of `results` sums by `sharers` threads each take.
int64_t PartialBytes(const te::Stage& sum, int64_t results, const Option& sharers) {
  int64_t bytes = 0, partials = results;
  for (size_t r = sharers.size(); r-- > 0;) {
    if (sharers[r] == 1) continue;
    for (const int64_t step : StepsOf(sharers[r])) {
      partials *= step;
      // Rounded up for each output.
      bytes += partials * ElementBytes(sum) +
               static_cast<int64_t>(sum.outputs.size()) * schedule::kSharedAlignment;
    }
  }
  return bytes;
}

// The axes that threads share, innermost last.
std::vector<bool> SharedAxes(const te::Stage& sum) {
  std::vector<bool> shared(sum.reduce_axes.size(), false);
  size_t count = 0;
  for (size_t r = shared.size(); r-- > 0 && count < kMaxSharedAxes;) {
    shared[r] = sum.reduce_axes[r].extent > 1;
    count += shared[r] ? 1 : 0;
  }
  return shared;
}

// How a reduction's terms may be shared out: threads along each axis, more than one in all.
std::vector<Option> SharerOptions(const te::Stage& sum, const ir::Target& target) {
  const std::vector<bool> shared = SharedAxes(sum);
  std::vector<std::vector<int64_t>> choices;
  for (size_t r = 0; r < shared.size(); ++r) {
    const int64_t extent = shared[r] ? sum.reduce_axes[r].extent : 1;
    choices.push_back({1});
    for (int64_t n = 2; n <= std::min<int64_t>(PowerAtLeast(extent), target.block_threads);
         n *= 2) {
      choices.back().push_back(n);
    }
    // Short axes, such as windows, go to as many threads as they are long.
    if (extent <= kMaxPartials && PowerAtLeast(extent) != extent) choices.back().push_back(extent);
  }
  std::vector<Option> options = Combine(choices, target.block_threads);
  std::erase_if(options, [&](const Option& option) {
    return Product(option) == 1 || PartialBytes(sum, 1, option) > target.shared_bytes;
  });
  return options;
}

class SharedSum final : public ThreadKernel, KnobReader {
 public:
  SharedSum(const schedule::Schedule& base, const ThreadKernelSpec& spec, const ir::Target& target,
            const std::string& prefix, std::vector<Knob>& knobs)
      : KnobReader(knobs),
        base_(base),
        store_(spec.store),
        sum_(spec.reduce < 0 ? spec.store : spec.reduce),
        target_(target) {
    for (const te::Axis& axis : Store().axes) extents_.push_back(axis.extent);
    AddThreadKnobs(prefix, TiledAxes(Store(), spec.has_parts), target);
    order_ = Add(FreeKnob(prefix + "neighbours", {"terms"}, {{1}, {0}}));
    unroll_ = Add(FreeKnob(prefix + "unroll", {"terms"}, {{1}, {2}, {4}, {8}}));
  }

  void Canonicalize(absl::Span<int> choices) const override {
    const Option& threads = Chosen(choices, threads_);
    const Option& sharers = Chosen(choices, sharers_);
    Option inner = Chosen(choices, inner_);
    for (size_t a = 0; a < extents_.size(); ++a) {
      // What a thread has no place for, it does not compute.
      while (inner[a] > 1 && inner[a] > CeilDiv(extents_[a], threads[a])) inner[a] /= 2;
    }
    for (size_t a = 0; a < extents_.size(); ++a) {
      while (inner[a] > 1 && !Fits(threads, inner, sharers)) inner[a] /= 2;
    }
    Set(choices, inner_, inner);
    // A block of one result has only one order.
    if (Product(threads) == 1) choices[order_] = 0;
    const int64_t left = Left(choices);
    while (Chosen(choices, unroll_)[0] > 1 && left % Chosen(choices, unroll_)[0] != 0) {
      --choices[unroll_];
    }
  }

  // Their threads have terms of their own.
  bool ReadsTogether(absl::Span<const int>, const ir::Buffer& buffer) const override {
    return !base_.stages()[store_].Reads(buffer) && !base_.stages()[sum_].Reads(buffer);
  }

  void AddStages(absl::Span<const int> choices, Places& places) const override {
    places.Add(sum_, static_cast<int>(Cuts(choices).size()));
  }

  void Decide(absl::Span<const int> choices, const Places& places,
              Decisions& decisions) const override {
    const std::vector<Cut> cuts = Cuts(choices);
    AddSteps(cuts, decisions.steps);
    const int store = places.Of(store_), sum = places.Of(sum_);
    schedule::Nest root{store, {}};
    AddBlockLoop(choices, root.loops);
    AddThreadLoop(choices, 0, root.loops);
    const int last = static_cast<int>(root.loops.size()) - 1;
    if (sum == store) AddPartialLoop(root.loops, ir::LoopKind::kUnrolled);
    AddInner(choices, root.loops);
    decisions.nests.push_back(std::move(root));
    if (sum != store) {
      schedule::Nest total{sum, {}, store, last};
      AddPartialLoop(total.loops, ir::LoopKind::kUnrolled);
      for (size_t a = 0; a < extents_.size(); ++a) {
        total.loops.push_back(Loop({static_cast<int>(a), 1, kRest}, ir::LoopKind::kUnrolled));
      }
      decisions.nests.push_back(std::move(total));
    }
    for (size_t i = 1; i <= cuts.size(); ++i) {
      const int steps = static_cast<int>(i);
      schedule::Nest partial{sum - steps, {}, store, 0};
      AddThreadLoop(choices, steps, partial.loops);
      if (i < cuts.size()) {
        AddPartialLoop(partial.loops, ir::LoopKind::kUnrolled, steps);
      } else {
        AddTermLoops(choices, steps, partial.loops);
      }
      AddInner(choices, partial.loops);
      decisions.nests.push_back(std::move(partial));
    }
  }

 private:
  // One rfactor: so many threads along an axis of the reduction.
  struct Cut {
    size_t axis;
    int64_t threads;
  };

  const te::Stage& Stage(int index) const { return *base_.stages()[index].stage; }
  const te::Stage& Store() const { return Stage(store_); }
  const te::Stage& Sum() const { return Stage(sum_); }

  void AddThreadKnobs(const std::string& prefix, const std::vector<bool>& tiled,
                      const ir::Target& target) {
    const std::vector<Option> sharers = SharerOptions(Sum(), target);
    int64_t fewest = target.block_threads;
    for (const Option& option : sharers) fewest = std::min(fewest, Product(option));
    std::vector<std::string> parts;
    std::vector<std::vector<int64_t>> powers, factors;
    for (size_t a = 0; a < extents_.size(); ++a) {
      parts.push_back(Store().axes[a].var->name);
      const int64_t extent = tiled[a] ? extents_[a] : 1;
      powers.emplace_back();
      for (int64_t n = 1; n <= PowerAtLeast(extent); n *= 2) powers.back().push_back(n);
      factors.emplace_back();
      for (int64_t n = 1; n <= std::min(extent, kMaxInnerFactor); n *= 2) {
        factors.back().push_back(n);
      }
    }
    std::vector<Option> threads = Combine(powers, target.block_threads / fewest);
    const auto fits = [&](const Option& results, const Option& option) {
      return Product(results) * Product(option) <= target.block_threads &&
             PartialBytes(Sum(), Product(results), option) <= target.shared_bytes;
    };
    std::erase_if(threads, [&](const Option& results) {
      return std::ranges::none_of(sharers, [&](const Option& o) { return fits(results, o); });
    });
    threads_ = Add(FreeKnob(prefix + "threads", parts, std::move(threads)));

    std::vector<std::string> sums;
    for (const te::Axis& axis : Sum().reduce_axes) sums.push_back(axis.var->name);
    Knob knob = FreeKnob(prefix + "sharers", std::move(sums), sharers);
    for (const Option& option : sharers) knob.weights.push_back(SharerWeight(option));
    knob.controls = {{threads_, {}}};
    knob.domains.clear();
    for (const Option& results : knobs_[threads_].options) {
      const int64_t count = Product(results);
      knob.controls[0].factor.push_back(count);
      if (knob.domains.contains(count)) continue;
      std::vector<int>& open = knob.domains[count];
      // Blocks that leave most of a wave idle only where there are no others.
      for (const int64_t least : {kMinBlockThreads, int64_t{1}}) {
        if (!open.empty()) break;
        for (size_t i = 0; i < sharers.size(); ++i) {
          const bool is_enough = count * Product(sharers[i]) >= least;
          if (is_enough && fits(results, sharers[i])) open.push_back(static_cast<int>(i));
        }
      }
    }
    sharers_ = Add(std::move(knob));
    inner_ = Add(FreeKnob(prefix + "inner", std::move(parts), Combine(factors, kMaxInner)));
  }

  // All threads with something to do, and enough of them.
  double SharerWeight(const Option& option) const {
    double weight = BlockWeight(Product(option));
    for (size_t r = 0; r < option.size(); ++r) {
      const int64_t extent = Sum().reduce_axes[r].extent;
      weight *=
          static_cast<double>(extent) / static_cast<double>(CeilDiv(extent, option[r]) * option[r]);
    }
    return weight + 1e-6;
  }

  // Partial results into what a block shares, and a thread's own into its registers.
  bool Fits(const Option& threads, const Option& inner, const Option& sharers) const {
    const int64_t block = Product(threads) * Product(sharers);
    return PartialBytes(Sum(), Product(threads) * Product(inner), sharers) <=
               target_.shared_bytes &&
           Product(inner) * ElementBytes(Sum()) <= schedule::HoldableBytes(target_, block);
  }

  // Of the last axis first.
  std::vector<Cut> Cuts(absl::Span<const int> choices) const {
    const Option& sharers = Chosen(choices, sharers_);
    std::vector<Cut> cuts;
    for (size_t r = sharers.size(); r-- > 0;) {
      if (sharers[r] == 1) continue;
      for (const int64_t step : StepsOf(sharers[r])) cuts.push_back({r, step});
    }
    return cuts;
  }

  // What is left to a thread along the last axis that it adds up one term after the other.
  int64_t Left(absl::Span<const int> choices) const { return LeftOf(choices, LastAxis(choices)); }
  int64_t LeftOf(absl::Span<const int> choices, size_t axis) const {
    int64_t left = Sum().reduce_axes[axis].extent;
    for (const Cut& cut : Cuts(choices)) {
      if (cut.axis == axis) left = CeilDiv(left, cut.threads);
    }
    return left;
  }
  size_t LastAxis(absl::Span<const int> choices) const {
    size_t last = Sum().reduce_axes.size() - 1;
    while (last > 0 && LeftOf(choices, last) == 1) --last;
    return last;
  }

  // Each rfactor cuts what the one before has left of its axis.
  void AddSteps(const std::vector<Cut>& cuts, schedule::Trace& steps) const {
    std::string stage = Sum().name();
    std::vector<std::string> rests;
    for (const te::Axis& axis : Sum().reduce_axes) rests.push_back(axis.var->name);
    for (const Cut& cut : cuts) {
      std::string& rest = rests[cut.axis];
      steps.push_back(SplitStep(stage, rest, {cut.threads}));
      steps.push_back(RfactorStep(stage, rest + ".1"));
      rest += ".0";
      stage += ".rf";
    }
  }

  void AddBlockLoop(absl::Span<const int> choices, Loops& loops) const {
    schedule::LoopState block = BoundLoop(ir::ThreadAxis::kBlockX);
    for (size_t a = 0; a < extents_.size(); ++a) {
      const int64_t tile = Chosen(choices, threads_)[a] * Chosen(choices, inner_)[a];
      block.digits.push_back({static_cast<int>(a), tile, kRest});
    }
    loops.push_back(std::move(block));
  }

  // Over a block's results and the first `steps` cuts of what they are summed from; of the root
  // stage, which has axes to their ends, the extents are given.
  void AddThreadLoop(absl::Span<const int> choices, int steps, Loops& loops) const {
    schedule::LoopState thread = BoundLoop(ir::ThreadAxis::kThreadX);
    const Option &threads = Chosen(choices, threads_), inner = Chosen(choices, inner_);
    const auto add_results = [&] {
      for (size_t a = 0; a < extents_.size(); ++a) {
        if (steps == 0 && threads[a] == 1) continue;
        thread.digits.push_back({static_cast<int>(a), inner[a], steps == 0 ? threads[a] : kRest});
      }
    };
    const bool terms_first = Chosen(choices, order_)[0] == 0;
    if (!terms_first) add_results();
    // What is cut first is innermost: its threads read neighbours.
    for (int step = steps; step-- > 0;) {
      thread.digits.push_back({static_cast<int>(extents_.size()) + step, 1, kRest});
    }
    if (terms_first) add_results();
    if (!thread.digits.empty()) loops.push_back(std::move(thread));
  }

  // Over the partial results of the next cut.
  void AddPartialLoop(Loops& loops, ir::LoopKind kind, int steps = 0) const {
    loops.push_back(Loop({static_cast<int>(extents_.size()) + steps, 1, kRest}, kind));
  }

  // Over a thread's own terms.
  void AddTermLoops(absl::Span<const int> choices, int steps, Loops& loops) const {
    const int first = static_cast<int>(extents_.size()) + steps;
    const auto last = static_cast<int>(LastAxis(choices));
    const int64_t unroll = Chosen(choices, unroll_)[0];
    for (int r = 0; r < static_cast<int>(Sum().reduce_axes.size()); ++r) {
      if (r != last || unroll == 1 || unroll < Left(choices)) {
        loops.push_back(Loop({first + r, r == last ? unroll : 1, kRest}));
      }
    }
    if (unroll == 1) return;
    loops.push_back(
        Loop({first + last, 1, unroll < Left(choices) ? unroll : kRest}, ir::LoopKind::kUnrolled));
  }

  void AddInner(absl::Span<const int> choices, Loops& loops) const {
    const Option& inner = Chosen(choices, inner_);
    for (size_t a = 0; a < extents_.size(); ++a) {
      AddLoop(loops, {static_cast<int>(a), 1, inner[a]}, ir::LoopKind::kUnrolled);
    }
  }

  const schedule::Schedule& base_;
  const int store_, sum_;
  const ir::Target& target_;
  std::vector<int64_t> extents_;
  int threads_ = -1, sharers_ = -1, inner_ = -1, order_ = -1, unroll_ = -1;
};

}  // namespace

bool HasThreadSum(const schedule::Schedule& base, const ThreadKernelSpec& spec,
                  const ir::Target& target) {
  const te::Stage& sum = *base.stages()[spec.reduce < 0 ? spec.store : spec.reduce].stage;
  return sum.is_reduction() && !sum.axes.empty() && !SharerOptions(sum, target).empty();
}

std::unique_ptr<ThreadKernel> MakeThreadSum(const schedule::Schedule& base,
                                            const ThreadKernelSpec& spec, const ir::Target& target,
                                            const std::string& prefix, std::vector<Knob>& knobs) {
  return std::make_unique<SharedSum>(base, spec, target, prefix, knobs);
}

}  // namespace tessera::space
