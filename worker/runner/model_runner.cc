#include "worker/runner/model_runner.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/hash.h"
#include "base/statistics.h"
#include "base/status.h"
#include "worker/runner/environment.h"
#include "worker/runner/exchange.h"
#include "worker/runner/kernel_runner.h"
#include "worker/runner/kernel_session.h"
#include "worker/runner/model_host.h"
#include "worker/runner/turns.h"
#include "worker/runner/verify.h"
#include "worker/sandbox/shared_memory.h"

namespace tessera::runner {
namespace {

using db::Outcome;

constexpr int64_t kMaxImageBytes = int64_t{4} << 30;
constexpr int kMaxSteps = 1 << 20;
// Creating a model may pack its weights.
constexpr absl::Duration kCreateTimeout = absl::Seconds(120);
constexpr absl::Duration kRunTimeout = absl::Seconds(60);
constexpr int kClaimAttempts = 3;
constexpr double kMaxRuns = 10'000;  // of a turn
constexpr uint8_t kPoison = 0xff;    // not a number in every float type

// Where a plan's tensors and times lie in the memory that a child shares.
struct Image {
  std::vector<int64_t> tensors;
  int64_t step_seconds = 0;
  int64_t bytes = 0;
};

int64_t BytesOf(const BufferSpec& buffer) {
  double bytes = ElementBytes(buffer.type);
  for (const int64_t extent : buffer.shape) bytes *= static_cast<double>(extent);
  return static_cast<int64_t>(std::min(bytes, static_cast<double>(kMaxImageBytes)));
}

absl::StatusOr<Image> LayOut(const ModelPlan& plan) {
  Image image;
  for (const BufferSpec& buffer : plan.buffers) {
    image.tensors.push_back(image.bytes);
    image.bytes = RoundUp(image.bytes + BytesOf(buffer), kBufferAlignment);
    if (image.bytes >= kMaxImageBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("model: its inputs and outputs take more than ", kMaxImageBytes, " bytes"));
    }
  }
  image.step_seconds = image.bytes;
  image.bytes += plan.steps * static_cast<int64_t>(sizeof(double));
  return image;
}

absl::Status CheckPlan(const ModelPlan& plan) {
  const auto outputs = std::ranges::count_if(plan.buffers, &BufferSpec::is_output);
  if (plan.buffers.size() > kMaxBuffers || outputs == 0 ||
      !std::is_partitioned(plan.buffers.begin(), plan.buffers.end(),
                           [](const BufferSpec& b) { return !b.is_output; })) {
    return absl::InvalidArgumentError(
        absl::StrCat("model: ", plan.buffers.size(), " inputs and outputs, ", outputs,
                     " of them outputs; inputs come first, at most ", kMaxBuffers,
                     " with at least one output are allowed"));
  }
  if (plan.name.empty() || plan.name.size() > kMaxModelName || plan.bucket.empty() ||
      plan.bucket.size() > kMaxBucketName || plan.libraries.size() < 2 || plan.steps < 1 ||
      plan.steps > kMaxSteps || plan.threads < 1 || plan.threads > kMaxThreads ||
      (!plan.cores.empty() && plan.cores.size() != static_cast<size_t>(plan.threads)) ||
      plan.turns < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("model \"", plan.name, "\": ", plan.libraries.size(), " libraries of ",
                     plan.steps, " steps, ", plan.threads, " threads on ", plan.cores.size(),
                     " cores, ", plan.turns, " turns; names, two libraries, a turn, 1 to ",
                     kMaxSteps, " steps and 1 to ", kMaxThreads, " threads are needed"));
  }
  if (!plan.samples.empty() && plan.tolerances.size() != static_cast<size_t>(outputs)) {
    return absl::InvalidArgumentError(
        absl::StrCat("model: ", plan.tolerances.size(), " tolerances for ", outputs, " outputs"));
  }
  return absl::OkStatus();
}

// The parent's side of one library in one child, which is dead after a failure.
class ModelSession {
 public:
  static absl::StatusOr<std::unique_ptr<ModelSession>> Start(sandbox::Spawner& spawner,
                                                             const ModelPlan& plan,
                                                             const Image& layout,
                                                             absl::Span<const std::string> inputs,
                                                             const std::string& library) {
    auto session = std::unique_ptr<ModelSession>(new ModelSession(plan, layout));
    TESSERA_ASSIGN_OR_RETURN(session->image_,
                             sandbox::SharedMemory::Create("tessera-model", layout.bytes));
    for (size_t i = 0; i < plan.buffers.size(); ++i) {
      std::byte* const data = session->image_.bytes().data() + layout.tensors[i];
      if (plan.buffers[i].is_output) {
        memset(data, kPoison, static_cast<size_t>(BytesOf(plan.buffers[i])));
      } else {
        memcpy(data, inputs[i].data(), inputs[i].size());
      }
    }
    ModelHostArgument argument = {};
    memcpy(argument.name, plan.name.data(), plan.name.size());
    memcpy(argument.bucket, plan.bucket.data(), plan.bucket.size());
    argument.threads = plan.threads;
    argument.pinned = plan.cores.empty() ? 0 : 1;
    std::ranges::copy(plan.cores, argument.cores);
    argument.tensor_count = static_cast<int32_t>(plan.buffers.size());
    std::ranges::copy(layout.tensors, argument.tensors);
    argument.step_seconds = layout.step_seconds;
    argument.image_bytes = layout.bytes;
    sandbox::ChildTask task;
    task.entry = ModelHostMain;
    task.argument.assign(reinterpret_cast<const char*>(&argument), sizeof(argument));
    task.descriptors = {session->image_.fd()};
    task.library = library;
    task.limits.memory_bytes = plan.memory_bytes + layout.bytes + plan.threads * kThreadBytes +
                               static_cast<int64_t>(library.size());
    task.limits.cpu_seconds =
        static_cast<int>(std::min(1e6, (plan.max_seconds + 600) * 2 * plan.threads));
    TESSERA_ASSIGN_OR_RETURN(session->child_, spawner.Spawn(task));
    return session;
  }

  std::optional<Failure> Load() { return Await(0, kCreateTimeout).failure; }

  struct Answer {
    std::optional<Failure> failure;
    double seconds = 0;  // of a run
  };
  // By the child's clock where what it says may be so, else by ours: too slow rather than too fast.
  Answer Run(int64_t runs, bool is_timed, double expected_seconds) {
    Answer answer;
    for (int attempt = 0; attempt < kClaimAttempts; ++attempt) {
      memset(image_.bytes().data() + layout_.step_seconds, 0,
             static_cast<size_t>(layout_.bytes - layout_.step_seconds));
      const ModelCommand command = {++sequence_, runs, is_timed ? 1 : 0};
      const auto start = std::chrono::steady_clock::now();  // the child's clock, too
      // An ended child is told by the reply that doesn't come.
      child_->Send({reinterpret_cast<const std::byte*>(&command), sizeof(command)}).IgnoreError();
      const double patience = 10 * expected_seconds * static_cast<double>(runs);
      answer = Await(sequence_, kRunTimeout + absl::Seconds(patience));
      if (answer.failure) return answer;
      const double wall =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      const bool is_plausible = JudgeClaim(answer.seconds, wall) == Claim::kPlausible;
      if (!is_plausible) answer.seconds = wall;
      answer.seconds /= static_cast<double>(runs);
      if (is_plausible) break;
    }
    return answer;
  }

  // What is wrong with the outputs.
  std::optional<Failure> CheckOutputs() const {
    int output = 0;
    for (size_t i = 0; i < plan_.buffers.size() && !plan_.samples.empty(); ++i) {
      if (!plan_.buffers[i].is_output) continue;
      auto wrong = CompareSamples(plan_.buffers[i], output, Bytes(i), plan_.samples,
                                  plan_.tolerances[static_cast<size_t>(output)]);
      if (wrong) return Failure{Outcome::kWrongAnswer, *std::move(wrong)};
      ++output;
    }
    return std::nullopt;
  }

  // Of each step in one of `runs` runs; what can't be true is the library's fault.
  absl::StatusOr<std::vector<double>> StepSeconds(int64_t runs, double run_seconds) const {
    std::vector<double> seconds(static_cast<size_t>(plan_.steps));
    memcpy(seconds.data(), image_.bytes().data() + layout_.step_seconds,
           seconds.size() * sizeof(double));
    double sum = 0;
    for (double& step : seconds) {
      step /= static_cast<double>(runs);
      if (!std::isfinite(step) || step < 0) return absl::DataLossError("seconds of a step");
      sum += step;
    }
    if (sum > 1.01 * run_seconds + 1e-5) return absl::DataLossError("seconds of steps");
    return seconds;
  }

  int64_t Finish() { return child_->Kill(sandbox::KillReason::kNotNeeded).peak_memory_bytes; }

 private:
  ModelSession(const ModelPlan& plan, const Image& layout) : plan_(plan), layout_(layout) {}

  absl::Span<const std::byte> Bytes(size_t tensor) const {
    return image_.bytes().subspan(static_cast<size_t>(layout_.tensors[tensor]),
                                  static_cast<size_t>(BytesOf(plan_.buffers[tensor])));
  }

  Answer Await(uint64_t sequence, absl::Duration timeout) {
    std::byte message[sizeof(ModelReply) + 1];
    const absl::StatusOr<size_t> size =
        ReceiveReply(*child_, plan_.cancelled, absl::MakeSpan(message), timeout);
    if (absl::IsCancelled(size.status())) {
      child_->Kill(sandbox::KillReason::kNotNeeded);
      return {Failure{Outcome::kCancelled, std::string(size.status().message())}};
    }
    if (absl::IsDeadlineExceeded(size.status())) {
      Failure failure = FailureOf(child_->Kill(sandbox::KillReason::kTimeout));
      failure.reason = absl::StrCat("no answer after ", absl::FormatDuration(timeout));
      return {std::move(failure)};
    }
    if (!size.ok()) {
      const auto exit = child_->Wait(absl::Seconds(10));
      if (exit.ok()) return {FailureOf(*exit)};
      return {Failure{Outcome::kInfrastructure, std::string(exit.status().message())}};
    }
    ModelReply reply;
    memcpy(&reply, message, sizeof(reply));
    reply.error[sizeof(reply.error) - 1] = 0;
    if (*size != sizeof(reply) || reply.sequence != sequence) {
      child_->Kill(sandbox::KillReason::kNotNeeded);
      return {Failure{Outcome::kRunError, "the library meddled with the channel to the runner"}};
    }
    if (reply.error[0] != 0) return {Failure{Outcome::kRunError, reply.error}};
    return {std::nullopt, reply.seconds};
  }

  const ModelPlan& plan_;
  const Image& layout_;
  sandbox::SharedMemory image_;
  std::unique_ptr<sandbox::Child> child_;
  uint64_t sequence_ = 0;
};

// A turn of one library: verified, then timed as a whole, then by steps.
class Turn {
 public:
  Turn(ModelSession& session, const ModelPlan& plan) : session_(session), plan_(plan) {}

  // The seconds of a step in a run; the failure otherwise.
  std::optional<Failure> Take(db::Measurement& measurement, std::vector<double>& step_seconds) {
    if (auto failure = session_.Load()) return failure;
    // The first run meets cold pages.
    if (auto failure = Run(1, false)) return failure;
    if (auto failure = session_.CheckOutputs()) return failure;
    if (auto failure = Run(1, false)) return failure;
    const auto runs = static_cast<int64_t>(
        std::clamp(std::ceil(plan_.min_turn_seconds / std::max(seconds_, 1e-9)), 1.0, kMaxRuns));
    double best = HUGE_VAL;
    for (int repeat = 0; repeat < 2; ++repeat) {  // a disturbance seldom meets both
      if (auto failure = Run(runs, false)) return failure;
      best = std::min(best, seconds_);
    }
    if (auto failure = Run(runs, true)) return failure;
    absl::StatusOr<std::vector<double>> steps = session_.StepSeconds(runs, seconds_);
    if (!steps.ok()) {
      return Failure{Outcome::kRunError,
                     absl::StrCat("the child claims impossible ", steps.status().message())};
    }
    if (auto failure = session_.CheckOutputs()) return failure;
    step_seconds = *std::move(steps);
    measurement.sample_seconds = {best};
    measurement.sample_calls = {runs};
    return std::nullopt;
  }

 private:
  std::optional<Failure> Run(int64_t runs, bool is_timed) {
    ModelSession::Answer answer = session_.Run(runs, is_timed, seconds_);
    seconds_ = answer.seconds;
    return std::move(answer.failure);
  }

  ModelSession& session_;
  const ModelPlan& plan_;
  double seconds_ = 0;  // of a run, the last time
};

std::vector<double> MedianOfTurns(const std::vector<std::vector<double>>& turns) {
  std::vector<double> medians;
  for (size_t step = 0; !turns.empty() && step < turns[0].size(); ++step) {
    std::vector<double> seconds;
    for (const std::vector<double>& turn : turns) seconds.push_back(turn[step]);
    medians.push_back(Median(std::move(seconds)));
  }
  return medians;
}

}  // namespace

absl::StatusOr<std::vector<ModelTiming>> MeasureModels(sandbox::Spawner& spawner,
                                                       const ModelPlan& plan) {
  TESSERA_RETURN_IF_ERROR(CheckPlan(plan));
  TESSERA_ASSIGN_OR_RETURN(const Image layout, LayOut(plan));
  std::vector<std::string> inputs;
  for (size_t i = 0; i < plan.buffers.size() && !plan.buffers[i].is_output; ++i) {
    inputs.push_back(SeededInput(plan.buffers[i], static_cast<int>(i), plan.seed));
  }
  std::vector<std::vector<std::vector<double>>> steps(plan.libraries.size());  // by turn
  const auto take = [&](size_t i) -> absl::StatusOr<db::Measurement> {
    const absl::Time started = absl::Now();
    TESSERA_ASSIGN_OR_RETURN(const auto session,
                             ModelSession::Start(spawner, plan, layout, inputs, plan.libraries[i]));
    db::Measurement measurement;
    std::vector<double> seconds;
    std::optional<Failure> failure = Turn(*session, plan).Take(measurement, seconds);
    const int64_t peak_memory_bytes = session->Finish();
    measurement.outcome = Outcome::kOk;
    if (failure) {
      measurement.outcome = failure->outcome;
      measurement.reason = std::move(failure->reason);
    } else {
      steps[i].push_back(std::move(seconds));
    }
    measurement.environment = ReadEnvironment(plan.cores);
    measurement.environment.peak_memory_bytes = peak_memory_bytes;
    measurement.run_seconds = absl::ToDoubleSeconds(absl::Now() - started);
    return measurement;
  };
  const TurnRules rules = {plan.turns, plan.max_seconds, StableHash(plan.bucket)};
  TESSERA_ASSIGN_OR_RETURN(std::vector<db::Measurement> measurements,
                           MeasureInTurns(plan.libraries.size(), rules, take));
  std::vector<ModelTiming> timings;
  for (size_t i = 0; i < measurements.size(); ++i) {
    const bool is_ok = measurements[i].outcome == Outcome::kOk;
    timings.push_back(
        {std::move(measurements[i]), is_ok ? MedianOfTurns(steps[i]) : std::vector<double>()});
  }
  return timings;
}

}  // namespace tessera::runner
