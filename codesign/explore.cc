#include "codesign/explore.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/hash.h"
#include "base/status.h"
#include "codesign/estimate.h"
#include "codesign/for_each.h"
#include "codesign/select.h"

namespace tessera::codesign {
namespace {

// Rounds of tuning: what share of the variants has which share of the trials by their end.
struct Round {
  double variants, trials;
};
constexpr Round kRounds[] = {{1, 0.25}, {0.5, 0.5}, {0.25, 1}};
// That begin with the same knowledge: a number of its own, so that threads decide nothing.
constexpr size_t kBatch = 8;

uint64_t SeedOf(uint64_t seed, const Variant& variant, int round) {
  return StableHasher().Add(seed).Add(ToString(variant)).Add(static_cast<uint64_t>(round)).Finish();
}

// Whether nothing but tiles, memories and the ALU makes a difference, and none takes more.
bool ComparesWithDefault(const Evaluated& one, const Evaluated& base) {
  return IsWithin(one.resources, base.resources) &&
         HasSameClock(one.tuned.variant, base.tuned.variant);
}

class Explorer {
 public:
  Explorer(const Network& network, const Device& device, const ExploreOptions& options,
           MeasurementLog& log, const std::atomic<bool>& stop,
           const std::function<void(const Progress&)>& report)
      : network_(network),
        device_(device),
        options_(options),
        log_(log),
        stop_(stop),
        report_(report) {}

  absl::StatusOr<Exploration> Run() {
    found_.device = device_;
    TESSERA_RETURN_IF_ERROR(ScreenAll());
    TESSERA_RETURN_IF_ERROR(EstimateAll());
    TESSERA_RETURN_IF_ERROR(Choose());
    for (int round = 0; round < static_cast<int>(std::size(kRounds)); ++round) {
      TESSERA_RETURN_IF_ERROR(Tune(round));
    }
    TESSERA_RETURN_IF_ERROR(LeaveOutFailed());
    Evaluate();
    std::stable_sort(found_.tuned.begin() + 1, found_.tuned.end(),
                     [](const Evaluated& a, const Evaluated& b) { return a.seconds < b.seconds; });
    return std::move(found_);
  }

 private:
  // Counts where it is told, so that what is told only grows.
  void ReportOneMore(Progress progress) {
    absl::MutexLock lock(&report_mutex_);
    progress.done = ++done_;
    if (progress.best_seconds) best_seconds_ = std::min(best_seconds_, *progress.best_seconds);
    // Nothing before a variant has a program of each layer.
    progress.best_seconds =
        std::isfinite(best_seconds_) ? std::optional(best_seconds_) : std::nullopt;
    report_(progress);
  }
  void CountFromZero() {
    absl::MutexLock lock(&report_mutex_);
    done_ = 0;
  }

  absl::Status ScreenAll() {
    const Variant base = DefaultVariant(device_);
    if (absl::Status fits = CheckFits(base.config, ClockOf(base), device_, WidthsOf(base));
        !fits.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the default configuration can't be: ", fits.message()));
    }
    if (absl::Status serves = CheckServes(network_, base.config); !serves.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the default configuration has no programs of the network: ", serves.message()));
    }
    found_.screening = Screen(options_.axes, device_, [&](const vta::Config& config) {
      return CheckServes(network_, config).ok();
    });
    report_({.phase = Progress::Phase::kScreened, .screening = &found_.screening});
    for (const Variant& variant : found_.screening.variants) {
      if (variant != base) by_config_[vta::Print(variant.config)].push_back(variant);
    }
    // It is compared with whether or not the axes have it.
    by_config_[vta::Print(base.config)].push_back(base);
    found_.candidates = static_cast<int64_t>(found_.screening.variants.size());
    found_.screening.variants.clear();
    return absl::OkStatus();
  }

  absl::Status EstimateAll() {
    std::vector<const std::vector<Variant>*> groups;
    int64_t most_stages = DefaultVariant(device_).stages;
    for (const auto& [name, variants] : by_config_) {
      groups.push_back(&variants);
      for (const Variant& variant : variants) most_stages = std::max(most_stages, variant.stages);
    }
    found_.configurations = std::ssize(groups);
    std::vector<std::vector<Candidate>> estimated(groups.size());
    std::atomic<int64_t> no_memory = 0;
    CountFromZero();
    TESSERA_RETURN_IF_ERROR(ForEach(groups.size(), options_.threads, [&](size_t g) -> absl::Status {
      if (stop_) return absl::CancelledError("interrupted");
      TESSERA_ASSIGN_OR_RETURN(estimated[g], EstimateGroup(*groups[g], most_stages));
      no_memory += std::ssize(*groups[g]) - std::ssize(estimated[g]);
      ReportOneMore({.phase = Progress::Phase::kEstimating, .all = std::ssize(groups)});
      return absl::OkStatus();
    }));
    found_.no_memory = no_memory;
    for (std::vector<Candidate>& some : estimated) {
      candidates_.insert(candidates_.end(), some.begin(), some.end());
    }
    return absl::OkStatus();
  }

  // Of variants of one configuration those that have programs: of as many stages as there are, or
  // of as many of the group's as its memories allow, because deeper pipelines want more
  // accumulators.
  absl::StatusOr<std::vector<Candidate>> EstimateGroup(absl::Span<const Variant> group,
                                                       int64_t most_stages) const {
    std::set<int64_t, std::greater<>> stages = {most_stages};
    for (const Variant& variant : group) stages.insert(variant.stages);
    std::vector<Candidate> candidates;
    for (const int64_t most : stages) {
      const auto programs =
          EstimatedPrograms::Make(network_, group.front().config, most, options_.seed);
      if (absl::IsResourceExhausted(programs.status())) continue;
      TESSERA_RETURN_IF_ERROR(programs.status());
      for (const Variant& variant : group) {
        if (variant.stages > most) continue;
        candidates.push_back(CandidateOf(variant, programs->Estimate(variant)));
      }
      break;
    }
    return candidates;
  }

  Candidate CandidateOf(const Variant& variant, const Activity& activity) const {
    return {variant, ResourcesOf(variant, device_),
            activity.cycles / (1e6 * static_cast<double>(variant.megahertz)),
            1e-12 * Picojoules(activity, variant.config)};
  }

  absl::Status Choose() {
    const auto base = std::ranges::find(candidates_, DefaultVariant(device_), &Candidate::variant);
    if (base == candidates_.end()) {
      return absl::InvalidArgumentError(
          "the default configuration's memories hold no program of some layer");
    }
    for (const size_t place :
         SelectCandidates(candidates_, static_cast<size_t>(base - candidates_.begin()),
                          static_cast<size_t>(options_.variants))) {
      Evaluated& one = found_.tuned.emplace_back();
      one.tuned.variant = candidates_[place].variant;
      one.resources = candidates_[place].resources;
      one.estimated_seconds = candidates_[place].seconds;
    }
    candidates_.clear();
    return absl::OkStatus();
  }

  // Those that have more trials in this round: the default; of a quarter, the fastest that compare
  // with it directly; then front by front the fastest.
  std::vector<size_t> Staying(int round) const {
    const size_t all = found_.tuned.size();
    std::vector<size_t> order(all);
    std::iota(order.begin(), order.end(), 0);
    if (round == 0) return order;
    const Evaluated& base = found_.tuned.front();
    std::ranges::stable_sort(order, {}, [&](size_t i) { return found_.tuned[i].seconds; });
    const auto count = std::max<size_t>(
        1, static_cast<size_t>(static_cast<double>(all) * kRounds[round].variants));
    std::vector<int> ranks(all, 1);
    ranks[0] = 0;
    size_t compared = count / 4;
    for (const size_t i : order) {
      const Evaluated& one = found_.tuned[i];
      if (i > 0) ranks[i] += one.front + 1;
      if (i == 0 || compared == 0 || !ComparesWithDefault(one, base)) continue;
      ranks[i] = 1;
      --compared;
    }
    std::ranges::stable_sort(order, {}, [&](size_t i) { return ranks[i]; });
    order.resize(count);
    return order;
  }

  int TrialsBy(int round) const {
    return std::max(1, static_cast<int>(options_.trials * kRounds[round].trials));
  }

  absl::Status Tune(int round) {
    const std::vector<size_t> staying = Staying(round);
    const int trials = TrialsBy(round) - (round > 0 ? TrialsBy(round - 1) : 0);
    if (trials == 0) return absl::OkStatus();
    CountFromZero();
    for (size_t begin = 0; begin < staying.size(); begin += kBatch) {
      const size_t count = std::min(kBatch, staying.size() - begin);
      std::vector<TunedVariant> taught;
      tuner::SavedModel model;
      if (options_.transfer) {
        taught = InOrderOfTuning();
        TESSERA_ASSIGN_OR_RETURN(model, FitModel(taught, options_.seed));
      }
      TESSERA_RETURN_IF_ERROR(ForEach(count, options_.threads, [&](size_t i) -> absl::Status {
        Evaluated& one = found_.tuned[staying[begin + i]];
        const Transfer transfer = options_.transfer
                                      ? MakeTransfer(network_, taught, one.tuned.variant, model)
                                      : Transfer();
        const uint64_t seed = SeedOf(options_.seed, one.tuned.variant, round);
        TESSERA_ASSIGN_OR_RETURN(one.tuned, TuneVariant(network_, std::move(one.tuned), transfer,
                                                        trials, seed, log_, stop_));
        one.trials += trials;
        ReportOneMore({.phase = Progress::Phase::kTuning,
                       .all = std::ssize(staying),
                       .round = round + 1,
                       .rounds = static_cast<int>(std::size(kRounds)),
                       .best_seconds = one.tuned.Seconds(network_)});
        return absl::OkStatus();
      }));
      for (size_t i = 0; i < count; ++i) last_tuned_.push_back(staying[begin + i]);
    }
    Evaluate();
    return absl::OkStatus();
  }

  // What was tuned, the latest last, each once.
  std::vector<TunedVariant> InOrderOfTuning() const {
    std::vector<size_t> order;
    for (size_t i = last_tuned_.size(); i-- > 0;) {
      if (std::ranges::find(order, last_tuned_[i]) == order.end()) order.push_back(last_tuned_[i]);
    }
    std::vector<TunedVariant> tuned;
    for (size_t i = order.size(); i-- > 0;) tuned.push_back(found_.tuned[order[i]].tuned);
    return tuned;
  }

  // Variants of which some layer has no program that ran: nothing is known of the network on them.
  absl::Status LeaveOutFailed() {
    const TunedVariant& base = found_.tuned.front().tuned;
    for (size_t i = 0; i < base.layers.size(); ++i) {
      if (!base.layers[i].best_config.empty()) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          network_.layers[i].workload.name, ": of the default configuration none of the ",
          base.layers[i].tried.size(), " programs that were tried can be run; try more trials"));
    }
    found_.no_program =
        std::erase_if(found_.tuned, [&](const Evaluated& one) { return !one.tuned.HasPrograms(); });
    return absl::OkStatus();
  }

  void Evaluate() {
    std::vector<Costs> costs;
    for (Evaluated& one : found_.tuned) {
      one.activity = one.tuned.Total(network_);
      one.seconds = one.tuned.Seconds(network_);
      // What was counted then is of some layers only, too little.
      one.joules = one.tuned.HasPrograms()
                       ? 1e-12 * Picojoules(one.activity, one.tuned.variant.config)
                       : std::numeric_limits<double>::infinity();
      costs.push_back(CostsOf(one));
    }
    const std::vector<int> fronts = FrontsOf(costs);
    for (size_t i = 0; i < fronts.size(); ++i) found_.tuned[i].front = fronts[i];
  }

  const Network& network_;
  const Device& device_;
  const ExploreOptions& options_;
  MeasurementLog& log_;
  const std::atomic<bool>& stop_;
  const std::function<void(const Progress&)>& report_;
  absl::Mutex report_mutex_;  // held while report_ is called by several
  int64_t done_ ABSL_GUARDED_BY(report_mutex_) = 0;
  double best_seconds_ ABSL_GUARDED_BY(report_mutex_) = std::numeric_limits<double>::infinity();
  Exploration found_;
  std::map<std::string, std::vector<Variant>> by_config_;
  std::vector<Candidate> candidates_;
  std::vector<size_t> last_tuned_;  // places in found_.tuned
};

}  // namespace

Costs CostsOf(const Evaluated& evaluated) {
  return {evaluated.seconds, evaluated.joules, static_cast<double>(evaluated.resources.dsps),
          static_cast<double>(evaluated.resources.bram18s),
          static_cast<double>(evaluated.resources.luts)};
}

const Evaluated& BestWithinDefault(const Exploration& exploration, bool at_its_clock) {
  const Evaluated& base = exploration.tuned.front();
  const Evaluated* best = &base;
  for (const Evaluated& one : exploration.tuned) {
    if (at_its_clock ? !ComparesWithDefault(one, base) : !IsWithin(one.resources, base.resources)) {
      continue;
    }
    if (one.seconds < best->seconds) best = &one;
  }
  return *best;
}

const Evaluated& LeanestAtItsClock(const Exploration& exploration, double slack) {
  const Evaluated& base = exploration.tuned.front();
  const Evaluated* leanest = &base;
  for (const Evaluated& one : exploration.tuned) {
    if (!ComparesWithDefault(one, base) || one.seconds > (1 + slack) * base.seconds) continue;
    if (one.resources.bram18s < leanest->resources.bram18s) leanest = &one;
  }
  return *leanest;
}

absl::StatusOr<Exploration> Explore(const Network& network, const Device& device,
                                    const ExploreOptions& options, MeasurementLog& log,
                                    const std::atomic<bool>& stop,
                                    const std::function<void(const Progress&)>& report) {
  return Explorer(network, device, options, log, stop, report).Run();
}

}  // namespace tessera::codesign
