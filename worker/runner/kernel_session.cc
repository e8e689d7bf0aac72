#include "worker/runner/kernel_session.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "absl/strings/str_format.h"
#include "base/status.h"
#include "worker/runner/verify.h"

namespace tessera::runner {
namespace {

using sandbox::ExitKind;
using sandbox::KillReason;

// Of all children that are alive at once; memory bounds those of one.
constexpr int kMaxSandboxThreads = 4096;
// Copying and evicting: seconds would mean a machine in trouble.
constexpr absl::Duration kHostTimeout = absl::Seconds(30);
// How often a wait for the child looks whether the plan is cancelled.
constexpr absl::Duration kCancelInterval = absl::Milliseconds(50);

std::byte* Data(const sandbox::SharedMemory& image, const Slot& slot) {
  return image.bytes().data() + slot.offset;
}

absl::StatusOr<HostArgument> MakeArgument(const MeasurePlan& plan, const KernelArtifact& kernel,
                                          const Exchange& exchange) {
  HostArgument argument = {};
  if (kernel.symbol.empty() || kernel.symbol.size() >= sizeof(argument.symbol)) {
    return absl::InvalidArgumentError(absl::StrCat("symbol \"", kernel.symbol.substr(0, 64),
                                                   "\": 1 to 255 characters are allowed"));
  }
  if (kernel.prepare_symbol.size() >= sizeof(argument.prepare_symbol)) {
    return absl::InvalidArgumentError(absl::StrCat("symbol \"", kernel.prepare_symbol.substr(0, 64),
                                                   "\": at most 255 characters are allowed"));
  }
  argument.buffer_count = static_cast<int32_t>(exchange.slots.size());
  argument.threads = plan.threads;
  argument.pinned = plan.cores.empty() ? 0 : 1;
  argument.workspace_bytes = std::max<int64_t>(
      kernel.shared_workspace_bytes + plan.threads * kernel.private_workspace_bytes, 1);
  argument.exchange_bytes = exchange.bytes;
  argument.memory_bytes = plan.memory_bytes;
  std::copy(exchange.slots.begin(), exchange.slots.end(), argument.slots);
  std::copy(plan.cores.begin(), plan.cores.end(), argument.cores);
  memcpy(argument.symbol, kernel.symbol.data(), kernel.symbol.size());
  memcpy(argument.prepare_symbol, kernel.prepare_symbol.data(), kernel.prepare_symbol.size());
  for (size_t i = 0; i < plan.buffers.size(); ++i) {
    if (plan.buffers[i].is_constant) argument.constants |= uint64_t{1} << i;
  }
  argument.prepared_count = static_cast<int32_t>(kernel.prepared_bytes.size());
  std::copy(kernel.prepared_bytes.begin(), kernel.prepared_bytes.end(), argument.prepared_bytes);
  return argument;
}

}  // namespace

absl::StatusOr<std::unique_ptr<KernelSession>> KernelSession::Start(
    sandbox::Spawner& spawner, const MeasurePlan& plan, const KernelArtifact& kernel,
    absl::Span<const std::string> inputs, const Options& options) {
  auto session = std::unique_ptr<KernelSession>(new KernelSession);
  session->plan_ = &plan;
  session->options_ = options;
  session->tolerances_ = kernel.tolerances.empty() ? plan.tolerances : kernel.tolerances;
  std::vector<int64_t> sizes;
  for (size_t i = 0; i < plan.buffers.size(); ++i) {
    const BufferSpec& buffer = plan.buffers[i];
    auto layout = StoredLayout::Create(
        buffer.shape, kernel.layouts.empty() ? absl::Span<const LayoutDim>() : kernel.layouts[i]);
    if (!layout.ok())
      return Annotate(layout.status(), absl::StrCat(kernel.name, ": ", buffer.name));
    sizes.push_back(layout->stored_elements() * ElementBytes(buffer.type));
    session->layouts_.push_back(*std::move(layout));
  }
  session->exchange_ = LayOutExchange(sizes);
  TESSERA_ASSIGN_OR_RETURN(
      session->image_, sandbox::SharedMemory::Create("tessera-buffers", session->exchange_.bytes));
  const absl::Span<std::byte> image = session->image_.bytes();
  for (size_t i = 0; i < plan.buffers.size(); ++i) {
    const Slot& slot = session->exchange_.slots[i];
    FillGuards(image, slot);
    if (plan.buffers[i].is_output) continue;
    session->layouts_[i].Store(
        ElementBytes(plan.buffers[i].type),
        {reinterpret_cast<const std::byte*>(inputs[i].data()), inputs[i].size()},
        image.subspan(static_cast<size_t>(slot.offset), static_cast<size_t>(slot.bytes)));
  }
  session->pristine_.assign(image.begin(), image.end());

  TESSERA_ASSIGN_OR_RETURN(HostArgument argument, MakeArgument(plan, kernel, session->exchange_));
  TESSERA_RETURN_IF_ERROR(session->LendProgram(kernel, argument));
  sandbox::ChildTask task;
  task.entry = KernelHostMain;
  task.argument.assign(reinterpret_cast<const char*>(&argument), sizeof(argument));
  task.descriptors = {session->image_.fd()};
  if (options.programs != nullptr) task.descriptors.push_back(session->program_.fd());
  task.library = kernel.bytes;
  task.limits.memory_bytes = plan.memory_bytes + HostMemoryBytes(argument);
  task.limits.max_threads = kMaxSandboxThreads;
  task.limits.real_time_seconds = options.real_time_seconds;
  task.limits.cpu_seconds = static_cast<int>(
      std::min(1e6, (absl::ToDoubleSeconds(plan.call_timeout + plan.reference_timeout) +
                     plan.timing.max_seconds + 60) *
                        4 * plan.threads));
  TESSERA_ASSIGN_OR_RETURN(session->child_, spawner.Spawn(task));
  return session;
}

absl::Status KernelSession::LendProgram(const KernelArtifact& kernel, HostArgument& argument) {
  if (options_.programs == nullptr) return absl::OkStatus();
  TESSERA_ASSIGN_OR_RETURN(program_,
                           sandbox::SharedMemory::Create("tessera-program", kMaxProgramBytes));
  program_key_ = options_.programs->KeyOf(kernel.bytes);
  const std::string binary = options_.programs->Get(program_key_);
  has_binary_ = !binary.empty();
  memcpy(program_.bytes().data(), binary.data(), binary.size());
  TESSERA_CHECK(program_key_.size() < sizeof(argument.program_key));
  memcpy(argument.program_key, program_key_.data(), program_key_.size());
  argument.program_bytes = std::ssize(binary);
  argument.wants_program = options_.keeps_program ? 1 : 0;
  return absl::OkStatus();
}

Failure FailureOf(const sandbox::ChildExit& exit) {
  switch (exit.kind) {
    case ExitKind::kTimeout:
      return {db::Outcome::kTimeout, exit.reason};
    case ExitKind::kOutOfMemory:
      return {db::Outcome::kOutOfMemory, exit.reason};
    case ExitKind::kSandbox:
      return {db::Outcome::kInfrastructure, exit.reason};
    case ExitKind::kExited:
      return {db::Outcome::kRunError, "the kernel ended its process: " + exit.reason};
    case ExitKind::kCrashed:
    case ExitKind::kForbidden:
    case ExitKind::kKilled:
      break;
  }
  return {db::Outcome::kRunError, exit.reason};
}

Failure KernelSession::Ended(const sandbox::ChildExit& exit) {
  peak_memory_bytes_ = exit.peak_memory_bytes;
  return FailureOf(exit);
}

absl::StatusOr<size_t> ReceiveReply(sandbox::Child& child, const std::atomic<bool>* cancelled,
                                    absl::Span<std::byte> message, absl::Duration timeout) {
  absl::Duration left = timeout;
  for (;;) {
    if (cancelled != nullptr && *cancelled) return absl::CancelledError("not wanted any more");
    const absl::Duration slice = std::min(left, kCancelInterval);
    const auto start = std::chrono::steady_clock::now();
    const absl::StatusOr<size_t> size = child.Receive(message, slice);
    left -= absl::FromChrono(std::chrono::steady_clock::now() - start);
    if (!absl::IsDeadlineExceeded(size.status()) || left <= absl::ZeroDuration()) return size;
  }
}

KernelSession::Answer KernelSession::AwaitReply(uint64_t sequence, absl::Duration timeout) {
  Answer answer;
  std::byte message[sizeof(HostReply) + 1];
  const absl::StatusOr<size_t> size =
      ReceiveReply(*child_, plan_->cancelled, absl::MakeSpan(message), timeout);
  if (absl::IsCancelled(size.status())) {
    child_->Kill(KillReason::kNotNeeded);
    answer.failure = {db::Outcome::kCancelled, std::string(size.status().message())};
    return answer;
  }
  if (absl::IsDeadlineExceeded(size.status())) {
    answer.failure = Ended(child_->Kill(KillReason::kTimeout));
    if (answer.failure->outcome == db::Outcome::kTimeout) {
      answer.failure->reason = absl::StrFormat("no answer after %.3g s, call %d",
                                               absl::ToDoubleSeconds(timeout), calls_ + 1);
    }
    return answer;
  }
  if (!size.ok()) {
    const auto exit = child_->Wait(absl::Seconds(10));
    answer.failure =
        exit.ok() ? Ended(*exit)
                  : Failure{db::Outcome::kInfrastructure, std::string(exit.status().message())};
    if (calls_ > 0)
      absl::StrAppend(&answer.failure->reason, ", in call ", calls_ + 1, " or after it");
    return answer;
  }
  memcpy(&answer.reply, message, sizeof(HostReply));
  answer.reply.error[sizeof(answer.reply.error) - 1] = 0;
  if (*size != sizeof(HostReply) || answer.reply.sequence != sequence) {
    child_->Kill(KillReason::kNotNeeded);
    answer.failure = {db::Outcome::kRunError, "the kernel meddled with the channel to the runner"};
  } else if (answer.reply.error[0] != 0) {
    answer.failure = {db::Outcome::kRunError, answer.reply.error};
  }
  return answer;
}

std::optional<Failure> KernelSession::Load(absl::Duration timeout) {
  Answer answer = AwaitReply(0, timeout);
  const int64_t bytes = answer.reply.program_bytes;
  // None of the kernel's code has run yet: what lies there is the driver's. Later it may be the
  // kernel's.
  if (!answer.failure && options_.keeps_program && bytes > 0 &&
      bytes <= static_cast<int64_t>(program_.bytes().size())) {
    compiled_.assign(reinterpret_cast<const char*>(program_.bytes().data()),
                     static_cast<size_t>(bytes));
  }
  return std::move(answer.failure);
}

bool KernelSession::Settle(db::Outcome outcome) {
  if (outcome == db::Outcome::kOk) {
    if (!compiled_.empty()) options_.programs->Put(program_key_, compiled_);
    return false;
  }
  const bool is_its_own =
      outcome != db::Outcome::kCancelled && outcome != db::Outcome::kInfrastructure;
  if (!has_binary_ || !is_its_own) return false;
  options_.programs->Forget(program_key_);
  return true;
}

KernelSession::CallResult KernelSession::Execute(HostCommandKind kind, int64_t calls,
                                                 absl::Duration timeout) {
  const HostCommand command = {++sequence_, kind, placement_, calls};
  CallResult result;
  const auto start = std::chrono::steady_clock::now();  // the child's clock too
  // An ended child is told by the reply that doesn't come.
  child_->Send({reinterpret_cast<const std::byte*>(&command), sizeof(command)}).IgnoreError();
  Answer answer = AwaitReply(sequence_, timeout);
  result.wall_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.claimed_seconds = answer.reply.seconds;
  result.failure = std::move(answer.failure);
  return result;
}

std::optional<Failure> KernelSession::Prepare(Placement placement, uint8_t poison) {
  placement_ = placement;
  std::copy(pristine_.begin(), pristine_.end(), image_.bytes().begin());
  for (size_t i = 0; i < exchange_.slots.size(); ++i) {
    if (!plan_->buffers[i].is_output) continue;
    memset(Data(image_, exchange_.slots[i]), poison, static_cast<size_t>(exchange_.slots[i].bytes));
  }
  return Execute(HostCommandKind::kPrepare, 0, kHostTimeout).failure;
}

KernelSession::CallResult KernelSession::Call(int64_t calls, absl::Duration timeout) {
  CallResult result = Execute(HostCommandKind::kCall, calls, timeout);
  calls_ += calls;
  // But for simulators the child's interval lies within ours.
  const bool is_within = options_.time_source == TimeSource::kSimulator ||
                         result.claimed_seconds <= result.wall_seconds * 1.001 + 1e-6;
  if (!result.failure &&
      (!std::isfinite(result.claimed_seconds) || result.claimed_seconds < 0 || !is_within)) {
    child_->Kill(KillReason::kNotNeeded);
    result.failure = {db::Outcome::kRunError,
                      absl::StrFormat("the child claims %.6g s for what took %.6g s",
                                      result.claimed_seconds, result.wall_seconds)};
  }
  return result;
}

std::optional<Failure> KernelSession::Evict() {
  return Execute(HostCommandKind::kEvict, 0, kHostTimeout).failure;
}

std::optional<Failure> KernelSession::Collect() {
  if (auto failure = Execute(HostCommandKind::kCollect, 0, kHostTimeout).failure) return failure;
  for (size_t i = 0; i < exchange_.slots.size(); ++i) {
    const Slot& slot = exchange_.slots[i];
    const BufferSpec& buffer = plan_->buffers[i];
    if (const int64_t at = FindOverwrittenGuard(image_.bytes(), slot, placement_); at != 0) {
      return Failure{db::Outcome::kWrongAnswer,
                     at < 0 ? absl::StrFormat("wrote %d bytes before %s", -at, buffer.name)
                            : absl::StrFormat("wrote %d bytes past the end of %s (%d bytes)",
                                              at - slot.bytes + 1, buffer.name, slot.bytes)};
    }
    if (buffer.is_output) continue;
    const std::byte* now = Data(image_, slot);
    const std::byte* before = pristine_.data() + slot.offset;
    if (memcmp(now, before, static_cast<size_t>(slot.bytes)) != 0) {
      const auto at = std::mismatch(now, now + slot.bytes, before).first - now;
      return Failure{db::Outcome::kWrongAnswer,
                     absl::StrFormat("overwrote its input %s at byte %d", buffer.name, at)};
    }
  }
  return std::nullopt;
}

std::optional<Failure> KernelSession::CheckOutputs(absl::Span<const std::string> expected) const {
  size_t output = 0;
  for (size_t i = 0; i < exchange_.slots.size(); ++i) {
    if (!plan_->buffers[i].is_output) continue;
    const Slot& slot = exchange_.slots[i];
    const std::string& values = expected[output];
    auto wrong = CompareOutput(
        plan_->buffers[i], layouts_[i], {Data(image_, slot), static_cast<size_t>(slot.bytes)},
        {reinterpret_cast<const std::byte*>(values.data()), values.size()}, tolerances_[output]);
    if (wrong) return Failure{db::Outcome::kWrongAnswer, *std::move(wrong)};
    ++output;
  }
  return std::nullopt;
}

std::string KernelSession::LogicalOutput(int output) const {
  for (size_t i = 0; i < exchange_.slots.size(); ++i) {
    if (!plan_->buffers[i].is_output || output-- > 0) continue;
    const Slot& slot = exchange_.slots[i];
    const int bytes = ElementBytes(plan_->buffers[i].type);
    std::string values(static_cast<size_t>(layouts_[i].logical_elements() * bytes), '\0');
    layouts_[i].Load(bytes, {Data(image_, slot), static_cast<size_t>(slot.bytes)},
                     absl::MakeSpan(reinterpret_cast<std::byte*>(values.data()), values.size()));
    return values;
  }
  return "";
}

std::optional<Failure> KernelSession::Finish() {
  const sandbox::ChildExit exit = child_->Kill(KillReason::kNotNeeded);
  peak_memory_bytes_ = exit.peak_memory_bytes;
  std::byte message[sizeof(HostReply)];
  if (child_->Receive(absl::MakeSpan(message), absl::ZeroDuration()).ok()) {
    return Failure{db::Outcome::kRunError, "the kernel meddled with the channel to the runner"};
  }
  return std::nullopt;
}

}  // namespace tessera::runner
