#include "compiler/graph/layouts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/status.h"
#include "compiler/graph/define.h"
#include "compiler/graph/fuse.h"
#include "compiler/graph/layout_rules.h"
#include "compiler/graph/operators.h"

namespace tessera::graph {
namespace {

constexpr int kMaxSweeps = 8;
constexpr int64_t kMaxChanges = 1 << 20;  // seconds
constexpr double kNothing = 1e-12;        // seconds, below what sums are rounded by

// By how much known seconds have to be less: those that were measured singly, of programs that a
// search found by chance, vary by some per cent.
constexpr double kClearly = 0.05;
// What a kernel counts that would run unmeasured, times what it takes where it is measured: more
// than all others together.
constexpr double kUnmeasured = 1e4;
constexpr size_t kMaxFormValues = 3;  // of kernels whose forms are all looked for
constexpr double kMaybeOff = 0.3;     // RivalLayouts::stake_seconds

// The estimate, in nanoseconds. Measured on one core (Zen 4, AVX-512) with the layers of ResNet-18
// and of MobileNets, 60 trials each: row-major takes 1.02 to 1.41 times as long as blocks in
// convolutions and 1.6 to 2.5 times in depthwise ones.
constexpr double kTerm = 0.32;  // of a sum, times the vector's lanes
constexpr double kRowMajorConvolution = 1.15;
constexpr double kRowMajorBytes = 2;     // of convolutions of i8, whose terms come in groups of
constexpr double kTermsOfGroups = 0.25;  // channels
constexpr double kRowMajorWindow = 2;
constexpr double kByte = 0.02;
constexpr double kStridedByte = 0.1;  // of what is read otherwise than it is written

// Whether a dimension behind the channels has any extent: else blocks are the same bytes.
bool HasPlaces(const TensorType& type) {
  const size_t rank = type.shape.size();
  if (rank < 3 || rank > 5 || type.shape[kChannel] == 1) return false;
  return std::any_of(type.shape.begin() + 2, type.shape.end(), [](int64_t e) { return e > 1; });
}

using Form = std::vector<bool>;  // which of some values are in blocks

struct Kernel {
  Group group;
  std::vector<int> reads;   // values of other kernels and inputs, each once
  std::vector<int> values;  // of these and its own that have a choice
  int summed = -1;          // what its convolution slides over
  bool keeps_blocks = true;
  bool is_view = false;                 // where its values are row-major
  Form estimated = {};                  // of `values`, as the estimate chooses them
  std::map<Form, double> seconds = {};  // of `values`
};

class Chooser {
 public:
  Chooser(const Graph& graph, const ir::Target& target)
      : graph_(graph),
        block_(ChannelBlock(target)),
        lanes_(static_cast<double>(target.Lanes(32))),
        users_(graph.nodes.size()) {
    std::vector<bool> has_choice(graph.nodes.size(), false);
    const std::vector<bool> is_placed = Placed(graph);
    for (Group& group : Fuse(graph)) {
      Kernel kernel{.group = std::move(group)};
      const int result = kernel.group.back();
      kernel.is_view = kernel.group.size() == 1 && is_placed[result];
      for (const int member : kernel.group) {
        kernel.keeps_blocks =
            kernel.keeps_blocks && KeepsBlocks(graph, graph.nodes[member], block_);
      }
      has_choice[result] = !(kernel.is_view && graph.nodes[result].op == "reshape") &&
                           kernel.keeps_blocks && HasChoice(result);
      FindReads(kernel);
      kernels_.push_back(std::move(kernel));
    }
    for (size_t k = 0; k < kernels_.size(); ++k) {
      Kernel& kernel = kernels_[k];
      kernel.values = kernel.reads;
      kernel.values.push_back(kernel.group.back());
      std::erase_if(kernel.values, [&](int value) { return !has_choice[value]; });
      for (const int value : kernel.values) users_[value].push_back(k);
    }
    for (size_t i = 0; i < has_choice.size(); ++i) {
      if (has_choice[i]) choices_.push_back(static_cast<int>(i));
    }
  }

  absl::StatusOr<LayoutChoice> Run(const KnownSeconds& known, Unmeasured unmeasured) {
    LayoutChoice choice;
    TESSERA_ASSIGN_OR_RETURN(const Form chosen, Choose(known, unmeasured, choice));
    Store(chosen);
    choice.values = static_cast<int>(chosen.size());
    choice.blocked = static_cast<int>(std::ranges::count(chosen, true));
    choice.graph = std::move(graph_);
    return choice;
  }

  absl::StatusOr<std::vector<RivalLayouts>> Rivals(const KnownSeconds& known) {
    LayoutChoice choice;
    TESSERA_ASSIGN_OR_RETURN(const Form chosen, Choose(known, Unmeasured::kTuned, choice));
    GoBy(nullptr);
    std::map<std::vector<uint64_t>, RivalLayouts> rivals;  // by hashes of their kernels
    for (const int value : choices_) {
      Store(chosen);
      changes_ = 0;
      TESSERA_ASSIGN_OR_RETURN(const Region region, Grow(value));
      double seconds = 0;
      const std::vector<size_t> users = UsersOf(region.values);
      for (const size_t k : users) {
        TESSERA_ASSIGN_OR_RETURN(const double one, SecondsOf(kernels_[k]));
        seconds += one;
      }
      const double stake = kMaybeOff * seconds + region.gain;
      if (stake <= 0) continue;
      RivalLayouts rival;
      TESSERA_ASSIGN_OR_RETURN(const std::vector<uint64_t> key, Kinds(users, rival.kernels));
      Store(chosen);
      TESSERA_RETURN_IF_ERROR(Kinds(users, rival.chosen).status());
      rivals.try_emplace(key, std::move(rival)).first->second.stake_seconds += stake;
    }
    const auto is_known = [&](const te::Workload& kernel) { return known(kernel).has_value(); };
    std::vector<RivalLayouts> sorted;
    for (auto& [key, rival] : rivals) {
      const bool is_decided = known && std::ranges::all_of(rival.kernels, is_known) &&
                              std::ranges::all_of(rival.chosen, is_known);
      if (!is_decided) sorted.push_back(std::move(rival));
    }
    std::ranges::stable_sort(sorted, std::greater<>(), &RivalLayouts::stake_seconds);
    return sorted;
  }

 private:
  bool IsBlocked(int value) const { return !graph_.nodes[value].type.layout.empty(); }
  void SetBlocked(int value, bool blocked) {
    TensorType& type = graph_.nodes[value].type;
    type.layout.clear();
    if (blocked) type.layout = BlockedChannels(type.shape, block_);
  }

  bool HasChoice(int value) const {
    const TensorType& type = graph_.nodes[value].type;
    return (type.element.is_float() || IsByte(type.element)) && type.layout.empty() &&
           HasPlaces(type) && type.shape[kChannel] % block_ == 0 && !graph_.IsOutput(value);
  }

  void FindReads(Kernel& kernel) const {
    for (const int member : kernel.group) {
      const Node& node = graph_.nodes[member];
      for (size_t i = 0; i < node.operands.size(); ++i) {
        const int operand = node.operands[i];
        if (graph_.nodes[operand].is_constant() ||
            std::ranges::binary_search(kernel.group, operand)) {
          continue;
        }
        if (i == 0 && IsConvolution(node)) kernel.summed = operand;
        if (std::ranges::count(kernel.reads, operand) == 0) kernel.reads.push_back(operand);
      }
    }
  }

  Form Stored() const {
    Form form;
    for (const int value : choices_) form.push_back(IsBlocked(value));
    return form;
  }
  void Store(const Form& form) {
    for (size_t i = 0; i < form.size(); ++i) SetBlocked(choices_[i], form[i]);
  }

  // What descents from these end in, the least of them, the first of equals: region by region as it
  // is better with the others as they are, until none is.
  absl::StatusOr<Form> LeastOf(const std::vector<Form>& starts) {
    Form best;
    double least = std::numeric_limits<double>::infinity();
    for (const Form& start : starts) {
      Store(start);
      changes_ = 0;
      TESSERA_RETURN_IF_ERROR(Descend());
      double total = 0;
      for (Kernel& kernel : kernels_) {
        TESSERA_ASSIGN_OR_RETURN(const double seconds, SecondsOf(kernel));
        total += seconds;
      }
      if (total >= least) continue;
      least = total;
      best = Stored();
    }
    return best;
  }

  // By the estimate alone, then by what is known besides.
  absl::StatusOr<Form> Choose(const KnownSeconds& known, Unmeasured unmeasured,
                              LayoutChoice& choice) {
    const Form rows(choices_.size(), false), blocks(choices_.size(), true);
    TESSERA_ASSIGN_OR_RETURN(const Form estimated, LeastOf({rows, blocks}));
    if (!known) return estimated;
    Store(estimated);
    for (Kernel& kernel : kernels_) kernel.estimated = FormOf(kernel);
    unmeasured_ = unmeasured;
    GoBy(&known);
    TESSERA_ASSIGN_OR_RETURN(const Form least, LeastOf({estimated, rows, blocks}));
    return TakeClear(estimated, least, choice);
  }

  // From here on seconds are known ones, or without those of the estimate.
  void GoBy(const KnownSeconds* known) {
    known_ = known;
    for (Kernel& kernel : kernels_) kernel.seconds.clear();
  }

  // `from`, with what differs in `to` where it gains clearly: each part by itself that no kernel
  // ties to the others.
  absl::StatusOr<Form> TakeClear(const Form& from, const Form& to, LayoutChoice& choice) {
    std::map<int, size_t> open;  // values that differ, with their place in choices_
    for (size_t i = 0; i < from.size(); ++i) {
      if (from[i] != to[i]) open.emplace(choices_[i], i);
    }
    Form taken = from;
    bool all_before = true, all_after = true;
    while (!open.empty()) {
      std::vector<int> part{open.begin()->first};
      std::vector<size_t> places{open.begin()->second};
      open.erase(open.begin());
      for (size_t i = 0; i < part.size(); ++i) {
        for (const size_t k : users_[part[i]]) {
          for (const int value : kernels_[k].values) {
            const auto found = open.find(value);
            if (found == open.end()) continue;
            part.push_back(value);
            places.push_back(found->second);
            open.erase(found);
          }
        }
      }
      double before = 0, after = 0;
      bool before_is_known = true, after_is_known = true;
      for (const bool now : {false, true}) {
        Store(now ? to : from);
        for (const size_t k : UsersOf(part)) {
          TESSERA_ASSIGN_OR_RETURN(const double seconds, SecondsOf(kernels_[k]));
          (now ? after : before) += seconds;
          if (IsPlaced(kernels_[k])) continue;
          TESSERA_ASSIGN_OR_RETURN(const auto known, Known(kernels_[k]));
          bool& is_known = now ? after_is_known : before_is_known;
          is_known = is_known && known.has_value();
        }
      }
      if (after >= (1 - kClearly) * before) continue;
      for (const size_t place : places) taken[place] = to[place];
      choice.changed += static_cast<int>(places.size());
      choice.seconds += after;
      choice.estimated_seconds += before;
      all_after = all_after && after_is_known;
      all_before = all_before && before_is_known;
    }
    if (!all_after) choice.seconds = 0;
    if (!all_before) choice.estimated_seconds = 0;
    return taken;
  }

  // Kernels whose time the layouts of these change, each once.
  std::vector<size_t> UsersOf(const std::vector<int>& values) const {
    std::set<size_t> users;
    for (const int value : values) users.insert(users_[value].begin(), users_[value].end());
    return {users.begin(), users.end()};
  }

  // What these kernels compute as values are stored now, each kind once, and the hashes of these.
  absl::StatusOr<std::vector<uint64_t>> Kinds(const std::vector<size_t>& kernels,
                                              std::vector<te::Workload>& kinds) {
    const std::vector<bool> placed = Placed(graph_);
    std::map<uint64_t, te::Workload> found;
    for (const size_t k : kernels) {
      const Group& group = kernels_[k].group;
      if (group.size() == 1 && placed[group[0]]) continue;
      TESSERA_ASSIGN_OR_RETURN(Definition definition,
                               Define(graph_, group, graph_.nodes[group.back()].name));
      definition.workload.name = TaskName(definition.workload.name);
      found.try_emplace(te::StructuralHash(definition.workload.dag),
                        std::move(definition.workload));
    }
    std::vector<uint64_t> hashes;
    for (auto& [hash, workload] : found) {
      hashes.push_back(hash);
      kinds.push_back(std::move(workload));
    }
    return hashes;
  }

  absl::Status Descend() {
    for (int sweep = 0; sweep < kMaxSweeps; ++sweep) {
      bool changed = false;
      for (const int value : choices_) {
        TESSERA_ASSIGN_OR_RETURN(const bool is_better, ChangeRegion(value));
        changed = changed || is_better;
      }
      if (!changed || changes_ > kMaxChanges) break;
    }
    return absl::OkStatus();
  }

  // As of Grow; not where all of them together are no better.
  absl::StatusOr<bool> ChangeRegion(int first) {
    const bool blocked = !IsBlocked(first);
    TESSERA_ASSIGN_OR_RETURN(const Region changed, Grow(first));
    if (changed.gain > kNothing) return true;
    for (const int value : changed.values) SetBlocked(value, !blocked);
    return false;
  }

  struct Region {
    std::vector<int> values;
    double gain = 0;
  };
  // Gives a value its other layout, and those around it that are no worse for it, as far as they
  // reach.
  absl::StatusOr<Region> Grow(int first) {
    const bool blocked = !IsBlocked(first);
    Region region{.values = {first}};
    TESSERA_ASSIGN_OR_RETURN(region.gain, Change(first, blocked));
    std::vector<int>& changed = region.values;
    for (size_t i = 0; i < changed.size() && changes_ <= kMaxChanges; ++i) {
      for (const size_t k : users_[changed[i]]) {
        for (const int next : kernels_[k].values) {
          if (IsBlocked(next) == blocked) continue;
          TESSERA_ASSIGN_OR_RETURN(const double more, Change(next, blocked));
          if (more > -kNothing) {
            region.gain += more;
            changed.push_back(next);
          } else {
            SetBlocked(next, !blocked);
          }
        }
      }
    }
    return region;
  }

  // What the kernels gain that use a value.
  absl::StatusOr<double> Change(int value, bool blocked) {
    double gain = 0;
    ++changes_;
    for (const bool now : {false, true}) {
      if (now) SetBlocked(value, blocked);
      for (const size_t k : users_[value]) {
        TESSERA_ASSIGN_OR_RETURN(const double seconds, SecondsOf(kernels_[k]));
        gain += now ? -seconds : seconds;
      }
    }
    return gain;
  }

  Form FormOf(const Kernel& kernel) const {
    Form form;
    for (const int value : kernel.values) form.push_back(IsBlocked(value));
    return form;
  }
  void StoreOf(const Kernel& kernel, const Form& form) {
    for (size_t i = 0; i < form.size(); ++i) SetBlocked(kernel.values[i], form[i]);
  }

  // Of a kernel as its values are stored now.
  absl::StatusOr<double> SecondsOf(Kernel& kernel) {
    const Form form = FormOf(kernel);
    const auto [found, is_new] = kernel.seconds.try_emplace(form, 0.0);
    if (!is_new) return found->second;
    double& seconds = found->second;
    seconds = Estimate(kernel) * 1e-9;
    if (known_ == nullptr) return seconds;
    if (IsPlaced(kernel)) return seconds = 0;
    TESSERA_ASSIGN_OR_RETURN(const std::optional<double> known, Known(kernel));
    if (known.has_value()) return seconds = *known;
    TESSERA_ASSIGN_OR_RETURN(const Instead instead, InsteadOf(kernel));
    StoreOf(kernel, form);
    // What is unmeasured whatever layouts are has a say as the estimate has it.
    const bool is_tuned = unmeasured_ == Unmeasured::kTuned || !instead.is_known;
    if (form == kernel.estimated && is_tuned) return seconds = instead.seconds;
    // The same for all such forms: regions grow through them to what is measured.
    return seconds = kUnmeasured * (instead.seconds > 0 ? instead.seconds : seconds);
  }

  // What is there of a kernel that is unmeasured in some form.
  struct Instead {
    double seconds = 0;  // as the estimate has it: known, or estimated by what is known of others
    bool is_known = false;  // anything
  };
  absl::StatusOr<Instead> InsteadOf(Kernel& kernel) {
    StoreOf(kernel, kernel.estimated);
    const double estimate = Estimate(kernel) * 1e-9;
    if (IsPlaced(kernel)) return Instead{.seconds = 0, .is_known = true};
    TESSERA_ASSIGN_OR_RETURN(const std::optional<double> own, Known(kernel));
    if (own.has_value()) return Instead{*own, true};
    const size_t values = kernel.values.size();
    std::set<Form> others{Form(values, false), Form(values, true)};
    for (size_t bits = 0; values <= kMaxFormValues && bits < (size_t{1} << values); ++bits) {
      Form form;
      for (size_t i = 0; i < values; ++i) form.push_back((bits >> i & 1) != 0);
      others.insert(std::move(form));
    }
    double logarithms = 0;
    int count = 0;
    for (const Form& form : others) {
      StoreOf(kernel, form);
      if (IsPlaced(kernel)) continue;
      TESSERA_ASSIGN_OR_RETURN(const std::optional<double> known, Known(kernel));
      if (!known.has_value() || *known <= 0) continue;
      logarithms += std::log(*known / (Estimate(kernel) * 1e-9));
      ++count;
    }
    return Instead{count > 0 ? estimate * std::exp(logarithms / count) : estimate, count > 0};
  }

  // Whether it is one as its values are stored now.
  bool IsView(const Kernel& kernel) const {
    if (!kernel.is_view) return false;
    const Node& node = graph_.nodes[kernel.group[0]];
    return node.type.layout.empty() && std::ranges::all_of(node.operands, [&](int operand) {
             return graph_.nodes[operand].type.layout.empty();
           });
  }

  bool SumsBytes(const Node& node) const {
    return IsConvolution(node) && IsByte(graph_.operand(node, 0).type.element);
  }

  // The same of blocks, too: some lie in their place.
  bool IsPlaced(const Kernel& kernel) const {
    return kernel.is_view && Placed(graph_)[kernel.group[0]];
  }

  absl::StatusOr<std::optional<double>> Known(const Kernel& kernel) const {
    TESSERA_ASSIGN_OR_RETURN(const Definition definition,
                             Define(graph_, kernel.group, graph_.nodes[kernel.group.back()].name));
    return (*known_)(definition.workload);
  }

  double Estimate(const Kernel& kernel) const {
    const int result = kernel.group.back();
    if (IsView(kernel)) return 0;
    const TensorType& type = graph_.nodes[result].type;
    const bool in_blocks = IsBlocked(result);
    double time = static_cast<double>(type.Bytes()) * kByte;
    bool sums_bytes = false;
    for (const int member : kernel.group) {
      const Node& node = graph_.nodes[member];
      if (!IsConvolution(node) && !IsWindow(node)) continue;
      const bool of_bytes = SumsBytes(node);
      const double slower = IsWindow(node) ? kRowMajorWindow
                            : of_bytes     ? kRowMajorBytes
                                           : kRowMajorConvolution;
      time += SummedTerms(graph_, node) * kTerm / lanes_ * (of_bytes ? kTermsOfGroups : 1) *
              (in_blocks ? 1 : slower);
      sums_bytes = sums_bytes || of_bytes;
    }
    for (const int value : kernel.reads) {
      const TensorType& read = graph_.nodes[value].type;
      // Convolutions of floats read one element for a vector of results, wherever it is; those of
      // bytes a group of channels. Where results have no places, vectors of them go along channels
      // or along the places of what is summed.
      const bool suits = !kernel.keeps_blocks                     ? !IsBlocked(value)
                         : !HasPlaces(read)                       ? true
                         : !HasPlaces(type)                       ? true
                         : sums_bytes && value == kernel.summed   ? IsBlocked(value)
                         : in_blocks && value == kernel.summed    ? true
                         : read.shape.size() != type.shape.size() ? !in_blocks && !IsBlocked(value)
                                                                  : IsBlocked(value) == in_blocks;
      time += static_cast<double>(read.Bytes()) * (suits ? kByte : kStridedByte);
    }
    return time;
  }

  Graph graph_;
  const int64_t block_;
  const double lanes_;
  std::vector<Kernel> kernels_;
  std::vector<std::vector<size_t>> users_;  // by node: the kernels whose time its layout changes
  std::vector<int> choices_;
  int64_t changes_ = 0;  // tried from this beginning on
  const KnownSeconds* known_ = nullptr;
  Unmeasured unmeasured_ = Unmeasured::kTuned;
};

}  // namespace

int64_t ChannelBlock(const ir::Target& target) {
  return ir::IsCpu(target.kind) ? std::max(1, target.Lanes(32)) : 1;
}

std::vector<ir::LayoutDim> BlockedChannels(const std::vector<int64_t>& shape, int64_t block) {
  std::vector<ir::LayoutDim> layout;
  for (size_t d = 0; d < shape.size(); ++d) {
    const int64_t size = d == kChannel ? block : 1;
    TESSERA_CHECK(shape[d] % size == 0);
    layout.push_back({static_cast<int>(d), size, shape[d] / size});
  }
  layout.push_back({static_cast<int>(kChannel), 1, block});
  return layout;
}

absl::StatusOr<LayoutChoice> ChooseLayouts(const Graph& graph, const ir::Target& target,
                                           const KnownSeconds& known, Unmeasured unmeasured) {
  if (ChannelBlock(target) == 1) return LayoutChoice{.graph = graph};
  return Chooser(graph, target).Run(known, unmeasured);
}

absl::StatusOr<Graph> ChooseLayouts(const Graph& graph, const ir::Target& target,
                                    const KnownSeconds& known) {
  TESSERA_ASSIGN_OR_RETURN(LayoutChoice choice,
                           ChooseLayouts(graph, target, known, Unmeasured::kTuned));
  return std::move(choice.graph);
}

absl::StatusOr<std::vector<RivalLayouts>> FindRivalLayouts(const Graph& graph,
                                                           const ir::Target& target,
                                                           const KnownSeconds& known) {
  if (ChannelBlock(target) == 1) return std::vector<RivalLayouts>();
  return Chooser(graph, target).Rivals(known);
}

absl::StatusOr<Plan> PlanModel(const Graph& graph, const ir::Target& target,
                               const KnownSeconds& known) {
  TESSERA_ASSIGN_OR_RETURN(const Graph chosen, ChooseLayouts(graph, target, known));
  return MakePlan(chosen);
}

}  // namespace tessera::graph
