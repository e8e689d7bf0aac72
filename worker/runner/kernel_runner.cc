#include "worker/runner/kernel_runner.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "base/status.h"
#include "compiler/runtime/kernel.h"
#include "worker/runner/cores.h"
#include "worker/runner/environment.h"
#include "worker/runner/peak.h"
#include "worker/runner/turns.h"
#include "worker/runner/verify.h"

namespace tessera::runner {
namespace {

using db::Outcome;

// Poisons of output bytes: not a number in every float type, and a value that isn't; an element
// that is never written can't agree under both.
constexpr uint8_t kPoisons[] = {0xff, 0x7b};
constexpr int kClaimAttempts = 5;
// Calls this long leave nothing of what was in the caches before: none goes ahead of them, and how
// long they take is known well enough from verification.
constexpr double kLongCallSeconds = 0.02;
constexpr size_t kMaxCandidates = 64;
constexpr int kTurnRepeats = 2;
constexpr absl::Duration kLoopDuration = absl::Microseconds(500);

// A candidate of which no call is expected to be long may not be interrupted, as systems share a
// core's time out by the second, until it computes for hopelessly long.
int RealTimeSeconds(const Timing& timing) {
  return timing.best_seconds > 0 && timing.best_seconds < kLongCallSeconds ? 10 : 0;
}

absl::Status CheckKernel(const MeasurePlan& plan, const KernelArtifact& kernel) {
  if (kernel.abi != TESSERA_KERNEL_ABI) {
    return absl::InvalidArgumentError(absl::StrCat(kernel.name, ": built for kernel ABI ",
                                                   kernel.abi, ", this runner has ",
                                                   TESSERA_KERNEL_ABI));
  }
  if (!kernel.layouts.empty() && kernel.layouts.size() != plan.buffers.size()) {
    return absl::InvalidArgumentError(absl::StrCat(kernel.name, ": ", kernel.layouts.size(),
                                                   " layouts for ", plan.buffers.size(),
                                                   " buffers"));
  }
  const size_t passed = plan.buffers.size() + kernel.prepared_bytes.size();
  if (passed > kMaxBuffers || kernel.prepare_symbol.empty() != kernel.prepared_bytes.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(kernel.name, ": ", passed, " buffers, ", kernel.prepared_bytes.size(),
                     " of them filled by \"", kernel.prepare_symbol.substr(0, 64), "\"; at most ",
                     kMaxBuffers, " are allowed, and a symbol only with buffers to fill"));
  }
  if (!kernel.tolerances.empty() && kernel.tolerances.size() != plan.tolerances.size()) {
    return absl::InvalidArgumentError(absl::StrCat(kernel.name, ": ", kernel.tolerances.size(),
                                                   " tolerances for ", plan.tolerances.size(),
                                                   " outputs"));
  }
  constexpr int64_t kMaxWorkspace = int64_t{1} << 36;
  std::vector<int64_t> sizes = kernel.prepared_bytes;
  sizes.insert(sizes.end(), {kernel.shared_workspace_bytes, kernel.private_workspace_bytes});
  for (const int64_t bytes : sizes) {
    if (bytes < 0 || bytes > kMaxWorkspace) {
      return absl::InvalidArgumentError(
          absl::StrCat(kernel.name, ": a workspace of ", bytes, " bytes; 0 to 2^36 are allowed"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPlan(const MeasurePlan& plan) {
  const auto outputs = static_cast<size_t>(std::count_if(
      plan.buffers.begin(), plan.buffers.end(), [](const BufferSpec& b) { return b.is_output; }));
  if (plan.buffers.size() > kMaxBuffers || outputs == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "plan: ", plan.buffers.size(), " buffers, ", outputs, " of them outputs; at most ",
        kMaxBuffers, " with at least 1 output are allowed"));
  }
  if (!std::is_partitioned(plan.buffers.begin(), plan.buffers.end(),
                           [](const BufferSpec& b) { return !b.is_output; })) {
    return absl::InvalidArgumentError("plan: an output precedes an input");
  }
  if (plan.tolerances.size() != outputs) {
    return absl::InvalidArgumentError(
        absl::StrCat("plan: ", plan.tolerances.size(), " tolerances for ", outputs, " outputs"));
  }
  const std::vector<int> allowed = AllowedCores();
  if (plan.threads < 1 || plan.threads > kMaxThreads ||
      (!plan.cores.empty() && plan.cores.size() != static_cast<size_t>(plan.threads))) {
    return absl::InvalidArgumentError(
        absl::StrCat("plan: ", plan.threads, " threads on ", plan.cores.size(), " cores; 1 to ",
                     kMaxThreads, " threads with one core each, or none, are allowed"));
  }
  for (const int core : plan.cores) {
    if (std::count(plan.cores.begin(), plan.cores.end(), core) > 1) {
      return absl::InvalidArgumentError(absl::StrCat("plan: core ", core, " is named twice"));
    }
    if (!std::binary_search(allowed.begin(), allowed.end(), core)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "plan: core ", core, " is not one of this process: ", absl::StrJoin(allowed, ", ")));
    }
  }
  const Timing& timing = plan.timing;
  if (timing.repeats < 1 || timing.repeats > 10'000 || timing.warmup_calls < 0 ||
      timing.max_calls < 1 || timing.contender_repeats < 1 || timing.contender_repeats > 10'000 ||
      !(timing.min_repeat_seconds >= 0 && timing.min_repeat_seconds <= 60) ||
      !(timing.screen_seconds >= 0 && timing.screen_seconds <= 60) || !(timing.best_seconds >= 0) ||
      !(timing.max_seconds > 0)) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "plan: %d or %d repeats of at least %g s, screened in %g s, within %g s, %d "
        "warm-up calls, at most %d calls, against %g s; allowed are 1 to 10000 "
        "repeats of 0 to 60 s, at least 0 warm-up calls and 1 call",
        timing.repeats, timing.contender_repeats, timing.min_repeat_seconds, timing.screen_seconds,
        timing.max_seconds, timing.warmup_calls, timing.max_calls, timing.best_seconds));
  }
  if (plan.call_timeout <= absl::ZeroDuration() || plan.call_timeout > absl::Hours(1)) {
    return absl::InvalidArgumentError(absl::StrCat("plan: a call time-out of ",
                                                   absl::FormatDuration(plan.call_timeout),
                                                   "; more than 0 and at most 1h is allowed"));
  }
  if (plan.candidates.empty() || plan.candidates.size() > kMaxCandidates) {
    return absl::InvalidArgumentError(absl::StrCat(
        "plan: ", plan.candidates.size(), " candidates, 1 to ", kMaxCandidates, " are allowed"));
  }
  for (const KernelArtifact& kernel : plan.candidates)
    TESSERA_RETURN_IF_ERROR(CheckKernel(plan, kernel));
  return absl::OkStatus();
}

// This process holds the test set, the image that a child maps, and what was in it at the start.
absl::Status CheckMemory(const MeasurePlan& plan, bool has_test_set) {
  const double copies = has_test_set ? 2 : 3;
  double bytes = 0;
  for (const BufferSpec& buffer : plan.buffers) {
    bytes += std::accumulate(buffer.shape.begin(), buffer.shape.end(),
                             copies * ElementBytes(buffer.type), std::multiplies<double>());
  }
  const int64_t available = AvailableMemoryBytes();
  if (available < 0 || bytes <= static_cast<double>(available)) return absl::OkStatus();
  constexpr double kMebi = 1 << 20;
  return absl::ResourceExhaustedError(absl::StrFormat(
      "measuring needs %.0f MiB of memory for the operator's arrays and their copies, this device "
      "has %.0f MiB available; choose smaller shapes",
      bytes / kMebi, static_cast<double>(available) / kMebi));
}

// One candidate on its way through a plan.
struct Trial {
  std::unique_ptr<KernelSession> session;
  db::Measurement measurement;
  int64_t calls = 1;         // a repeat
  double call_seconds = 0;   // a first estimate
  double spent_seconds = 0;  // on timing
  TimeSource time_source = TimeSource::kHost;
  bool done = false;  // failed or dropped, or every repeat made

  void Fail(Failure failure) {
    measurement.outcome = failure.outcome;
    measurement.reason = std::move(failure.reason);
    done = true;
  }
  // Whether `failure` is none; else the trial ends with it.
  bool Passed(std::optional<Failure> failure) {
    if (failure) Fail(*std::move(failure));
    return !done;
  }
};

void Verify(Trial& trial, const MeasurePlan& plan, const TestSet& set) {
  if (!trial.Passed(trial.session->Load(plan.call_timeout))) return;
  for (int run = 0; run < 2; ++run) {
    if (!trial.Passed(trial.session->Prepare(run == 0 ? Placement::kStrict : Placement::kLoose,
                                             kPoisons[run]))) {
      return;
    }
    KernelSession::CallResult call = trial.session->Call(1, plan.call_timeout);
    trial.call_seconds =
        run == 0 ? call.wall_seconds : std::min(trial.call_seconds, call.wall_seconds);
    if (!trial.Passed(std::move(call.failure)) || !trial.Passed(trial.session->Collect()) ||
        !trial.Passed(trial.session->CheckOutputs(set.expected))) {
      if (run == 1) absl::StrAppend(&trial.measurement.reason, " (in the second call)");
      return;
    }
  }
}

absl::Duration RepeatTimeout(const MeasurePlan& plan, const Trial& trial, int64_t calls) {
  return plan.call_timeout + absl::Seconds(10 * trial.call_seconds * static_cast<double>(calls));
}

// Seconds of `calls` calls that parent and child agree on.
std::optional<double> TimedCalls(Trial& trial, const MeasurePlan& plan, int64_t calls) {
  bool always_false = true;
  for (int attempt = 0; attempt < kClaimAttempts; ++attempt) {
    const bool cold = plan.timing.cache_mode == db::CacheMode::kCold;
    const absl::Time start = absl::Now();
    if (plan.timing.warmup_calls > 0 && trial.call_seconds < kLongCallSeconds) {
      auto warmup = trial.session->Call(plan.timing.warmup_calls,
                                        RepeatTimeout(plan, trial, plan.timing.warmup_calls));
      if (!trial.Passed(std::move(warmup.failure))) return std::nullopt;
    }
    if (cold && !trial.Passed(trial.session->Evict())) return std::nullopt;
    auto call = trial.session->Call(calls, RepeatTimeout(plan, trial, calls));
    trial.spent_seconds += absl::ToDoubleSeconds(absl::Now() - start);
    if (!trial.Passed(std::move(call.failure))) return std::nullopt;
    const Claim claim = JudgeClaim(call.claimed_seconds, call.wall_seconds);
    if (claim == Claim::kPlausible ||
        (claim == Claim::kDoubtful && trial.time_source == TimeSource::kDevice)) {
      return call.claimed_seconds;
    }
    always_false &= claim == Claim::kFalse;
    if (attempt + 1 < kClaimAttempts) continue;
    if (!always_false) return call.wall_seconds;  // a busy machine: too slow rather than too fast
    // A liar or a machine too busy to schedule this process: not to be told apart, so it is neither
    // believed nor held against the candidate.
    trial.Fail({Outcome::kInfrastructure,
                absl::StrFormat("the child claims %.6g s for what took %.6g s, %d times in a row",
                                call.claimed_seconds, call.wall_seconds, kClaimAttempts)});
  }
  return std::nullopt;
}

// Chooses the calls a repeat: enough of them to last `wanted` seconds.
void Calibrate(Trial& trial, const MeasurePlan& plan, double wanted) {
  // Verified outputs are spoilt once more: what is checked after timing was computed in it.
  if (!trial.Passed(trial.session->Prepare(Placement::kLoose, kPoisons[0]))) return;
  if (plan.timing.cache_mode == db::CacheMode::kCold) return;
  if (trial.call_seconds >= std::max(wanted, kLongCallSeconds)) return;
  for (;;) {
    const std::optional<double> seconds = TimedCalls(trial, plan, trial.calls);
    if (!seconds) return;
    trial.call_seconds = *seconds / static_cast<double>(trial.calls);
    const double needed = std::ceil(wanted / std::max(trial.call_seconds, 1e-9));
    const bool settled = *seconds >= wanted / 8;
    // Short runs say little about long ones: approach in steps.
    const double next = settled ? needed : std::min(needed, static_cast<double>(trial.calls) * 20);
    trial.calls = std::clamp<int64_t>(static_cast<int64_t>(next), 1, plan.timing.max_calls);
    if (settled || next >= needed || trial.calls == plan.timing.max_calls) return;
  }
}

void Repeat(Trial& trial, const MeasurePlan& plan) {
  const std::optional<double> seconds = TimedCalls(trial, plan, trial.calls);
  if (!seconds) return;
  trial.measurement.sample_seconds.push_back(*seconds / static_cast<double>(trial.calls));
  trial.measurement.sample_calls.push_back(trial.calls);
  trial.done = trial.spent_seconds >= plan.timing.max_seconds;
}

// Ends the trial unless it may be the best. Its repeats stay if they were as long as any.
void Screen(Trial& trial, const MeasurePlan& plan) {
  const Timing& timing = plan.timing;
  Calibrate(trial, plan, std::min(timing.screen_seconds, timing.min_repeat_seconds));
  if (!trial.done) Repeat(trial, plan);
  if (trial.done) return;
  const auto calls_of_a_repeat = [&] {
    if (timing.cache_mode == db::CacheMode::kCold) return trial.calls;
    const double call_seconds = std::max(trial.measurement.CostSeconds(), 1e-9);
    const double needed = timing.min_repeat_seconds / call_seconds;
    return std::clamp(static_cast<int64_t>(std::ceil(needed)), trial.calls, timing.max_calls);
  };
  const auto is_hopeless = [&] {
    return trial.measurement.CostSeconds() > kHopelessFactor * timing.best_seconds;
  };
  // A repeat may be the victim of a disturbance, two in a row hardly.
  if (is_hopeless()) Repeat(trial, plan);
  if (trial.done) return;
  trial.done = is_hopeless();
  if (trial.done || calls_of_a_repeat() == trial.calls) return;
  trial.calls = calls_of_a_repeat();
  trial.measurement.sample_seconds.clear();
  trial.measurement.sample_calls.clear();
}

// Times a program alone: few repeats unless it may be the best.
void Race(Trial& trial, const MeasurePlan& plan) {
  const Timing& timing = plan.timing;
  if (timing.best_seconds > 0) {
    Screen(trial, plan);
  } else {
    Calibrate(trial, plan, timing.min_repeat_seconds);
  }
  while (!trial.done) {
    const auto made = static_cast<int>(trial.measurement.sample_seconds.size());
    const bool contends =
        timing.best_seconds == 0 ||
        (made > 0 && trial.measurement.CostSeconds() <= kContenderFactor * timing.best_seconds);
    if (made >= (contends ? std::max(timing.repeats, timing.contender_repeats) : timing.repeats)) {
      return;
    }
    Repeat(trial, plan);
  }
}

// Verifies what the timed calls left behind, once the child can't change it any more.
void Conclude(Trial& trial, const TestSet& set) {
  if (trial.measurement.outcome != Outcome::kOk) {
    trial.measurement.environment.peak_memory_bytes = trial.session->peak_memory_bytes();
    return;
  }
  trial.done = false;
  trial.Passed(trial.session->Collect());
  std::optional<Failure> meddled = trial.session->Finish();
  trial.measurement.environment.peak_memory_bytes = trial.session->peak_memory_bytes();
  if (!trial.done && trial.Passed(std::move(meddled))) {
    trial.Passed(trial.session->CheckOutputs(set.expected));
  }
  if (trial.measurement.outcome == Outcome::kWrongAnswer) {
    absl::StrAppend(&trial.measurement.reason, " (after the timed calls)");
  }
}

using TimeProgram = void (*)(Trial&, const MeasurePlan&);

absl::StatusOr<db::Measurement> MeasureProgram(sandbox::Spawner& spawner,
                                               const KernelRunner::Options& options,
                                               const MeasurePlan& plan,
                                               const KernelArtifact& kernel, const TestSet& set,
                                               TimeProgram time) {
  const absl::Time started = absl::Now();
  for (;;) {
    Trial trial;
    trial.measurement.outcome = Outcome::kOk;
    trial.time_source = options.time_source;
    // Handing a binary over costs some drivers half as much as compiling: only for what is started
    // in every turn.
    TESSERA_ASSIGN_OR_RETURN(
        trial.session, KernelSession::Start(spawner, plan, kernel, set.inputs,
                                            {.real_time_seconds = RealTimeSeconds(plan.timing),
                                             .time_source = options.time_source,
                                             .programs = options.programs,
                                             .keeps_program = plan.candidates.size() > 1}));
    Verify(trial, plan, set);
    if (!trial.done) time(trial, plan);
    Conclude(trial, set);
    trial.measurement.run_seconds = absl::ToDoubleSeconds(absl::Now() - started);
    if (!trial.session->Settle(trial.measurement.outcome)) return std::move(trial.measurement);
  }
}

// One sample, the faster of two repeats: a disturbance seldom meets both.
void TakeTurn(Trial& trial, const MeasurePlan& plan) {
  Calibrate(trial, plan, plan.timing.min_repeat_seconds);
  for (int repeat = 0; repeat < kTurnRepeats && !trial.done; ++repeat) Repeat(trial, plan);
  if (trial.measurement.outcome != Outcome::kOk) return;
  trial.measurement.sample_seconds = {trial.measurement.CostSeconds()};
  trial.measurement.sample_calls.resize(1);
}

// What a simulator says of one call it says of all. A candidate for it is instructions, none of the
// child's code: the claim is the simulator's.
void TimeSimulated(Trial& trial, const MeasurePlan& plan) {
  if (!trial.Passed(trial.session->Prepare(Placement::kLoose, kPoisons[0]))) return;
  KernelSession::CallResult call = trial.session->Call(1, plan.call_timeout);
  if (!trial.Passed(std::move(call.failure))) return;
  trial.measurement.sample_seconds = {call.claimed_seconds};
  trial.measurement.sample_calls = {1};
}

double ReferenceLoop(const MeasurePlan& plan, TimeSource time_source) {
  if (!plan.timing.bracket_with_reference_loop || time_source != TimeSource::kHost) return -1;
  const std::vector<int> core(plan.cores.begin(),
                              plan.cores.begin() + (plan.cores.empty() ? 0 : 1));
  const auto peak = MeasurePeakFlops(1, core, kLoopDuration);
  return peak.ok() ? peak->gflops : -1;
}

}  // namespace

Claim JudgeClaim(double claimed_seconds, double wall_seconds) {
  constexpr double kMessageSeconds = 0.002;
  const double missing = wall_seconds - claimed_seconds;
  if (claimed_seconds >= 0 && missing >= -1e-6 &&
      missing <= std::max(kMessageSeconds, 0.1 * wall_seconds)) {
    return Claim::kPlausible;
  }
  return claimed_seconds >= 0.5 * (wall_seconds - kMessageSeconds) && missing >= -1e-6
             ? Claim::kDoubtful
             : Claim::kFalse;
}

absl::Status KernelRunner::ComputeExpected(const MeasurePlan& plan, TestSet& set) {
  const Expectation& expectation = plan.expectation;
  std::vector<const BufferSpec*> outputs;
  for (const BufferSpec& buffer : plan.buffers) {
    if (buffer.is_output) outputs.push_back(&buffer);
  }
  if (!expectation.values.empty()) {
    set.expected = expectation.values;
    if (set.expected.size() != outputs.size()) {
      return absl::InvalidArgumentError(absl::StrCat("plan: expected values of ",
                                                     set.expected.size(), " outputs where it has ",
                                                     outputs.size()));
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      TESSERA_ASSIGN_OR_RETURN(StoredLayout layout, StoredLayout::Create(outputs[i]->shape, {}));
      const auto bytes =
          static_cast<size_t>(layout.logical_elements() * ElementBytes(outputs[i]->type));
      if (set.expected[i].size() != bytes) {
        return absl::InvalidArgumentError(absl::StrCat("plan: ", set.expected[i].size(),
                                                       " bytes of expected values for ",
                                                       outputs[i]->name, ", which has ", bytes));
      }
    }
    return absl::OkStatus();
  }

  const KernelArtifact& reference = expectation.reference;
  if (reference.bytes.empty()) {
    return absl::NotFoundError(absl::StrCat("no expected outputs are known for workload ",
                                            plan.workload_hash, " with seed ", plan.seed,
                                            "; send the reference program"));
  }
  TESSERA_RETURN_IF_ERROR(CheckKernel(plan, reference));
  std::optional<Failure> failure;
  for (bool is_settled = false; !is_settled;) {
    TESSERA_ASSIGN_OR_RETURN(auto session,
                             KernelSession::Start(spawner_, plan, reference, set.inputs,
                                                  {.time_source = options_.time_source,
                                                   .programs = options_.programs,
                                                   .keeps_program = true}));
    failure = session->Load(plan.reference_timeout);
    if (!failure) failure = session->Prepare(Placement::kStrict, kPoisons[0]);
    if (!failure) failure = session->Call(1, plan.reference_timeout).failure;
    if (!failure) failure = session->Collect();
    if (!failure) failure = session->Finish();
    set.expected.clear();
    for (size_t i = 0; i < outputs.size() && !failure; ++i) {
      const std::string& values =
          set.expected.emplace_back(session->LogicalOutput(static_cast<int>(i)));
      auto wrong =
          CompareSamples(*outputs[i], static_cast<int>(i),
                         {reinterpret_cast<const std::byte*>(values.data()), values.size()},
                         expectation.samples, plan.tolerances[i]);
      if (wrong) failure = {Outcome::kWrongAnswer, *std::move(wrong)};
    }
    is_settled = !session->Settle(failure ? failure->outcome : Outcome::kOk);
  }
  if (failure) {
    const std::string message = absl::StrCat("reference program: ", failure->reason);
    if (failure->outcome == Outcome::kCancelled) return absl::CancelledError(message);
    return failure->outcome == Outcome::kInfrastructure ? absl::UnavailableError(message)
                                                        : absl::FailedPreconditionError(message);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const TestSet>> KernelRunner::MakeTestSet(const MeasurePlan& plan) {
  auto set = std::make_shared<TestSet>();
  for (size_t i = 0; i < plan.buffers.size() && !plan.buffers[i].is_output; ++i) {
    TESSERA_RETURN_IF_ERROR(StoredLayout::Create(plan.buffers[i].shape, {}).status());
    set->inputs.push_back(SeededInput(plan.buffers[i], static_cast<int>(i), plan.seed));
  }
  TESSERA_RETURN_IF_ERROR(ComputeExpected(plan, *set));
  test_sets_.Put(plan.workload_hash, plan.seed, set);
  return set;
}

absl::StatusOr<std::vector<db::Measurement>> KernelRunner::Measure(const MeasurePlan& plan) {
  TESSERA_RETURN_IF_ERROR(CheckPlan(plan));
  std::shared_ptr<const TestSet> set = test_sets_.Get(plan.workload_hash, plan.seed);
  if (set == nullptr) test_sets_.Trim();
  TESSERA_RETURN_IF_ERROR(CheckMemory(plan, set != nullptr));
  if (set == nullptr) {
    TESSERA_ASSIGN_OR_RETURN(set, MakeTestSet(plan));
  }
  const db::Environment before = ReadEnvironment(plan.cores);
  const double loop_before = ReferenceLoop(plan, options_.time_source);
  const bool is_simulated = options_.time_source == TimeSource::kSimulator;
  std::vector<db::Measurement> measurements(1);
  if (plan.candidates.size() == 1) {
    TESSERA_ASSIGN_OR_RETURN(measurements[0],
                             MeasureProgram(spawner_, options_, plan, plan.candidates[0], *set,
                                            is_simulated ? TimeSimulated : Race));
  } else {
    std::vector<std::optional<db::Measurement>> known(plan.candidates.size());
    const auto take = [&](size_t i) -> absl::StatusOr<db::Measurement> {
      if (known[i]) return *known[i];
      TESSERA_ASSIGN_OR_RETURN(db::Measurement taken,
                               MeasureProgram(spawner_, options_, plan, plan.candidates[i], *set,
                                              is_simulated ? TimeSimulated : TakeTurn));
      // A simulator's next turn is as its last.
      if (is_simulated && taken.outcome == Outcome::kOk) known[i] = taken;
      return taken;
    };
    const TurnRules rules = {plan.timing.repeats, plan.timing.max_seconds, plan.interleaving_seed};
    TESSERA_ASSIGN_OR_RETURN(measurements, MeasureInTurns(plan.candidates.size(), rules, take));
  }
  const double loop_after = ReferenceLoop(plan, options_.time_source);
  for (db::Measurement& measurement : measurements) {
    const int64_t peak_memory_bytes = measurement.environment.peak_memory_bytes;
    measurement.environment = before;
    measurement.environment.peak_memory_bytes = peak_memory_bytes;
    // The slower of both: a disturbance on either side shows.
    measurement.environment.reference_gflops = std::min(loop_before, loop_after);
  }
  return measurements;
}

}  // namespace tessera::runner
