#include "worker/builder/builder.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "base/view.h"
#include "proto/checks.h"
#include "proto/convert.h"
#include "proto/limits.h"
#include "worker/builder/child_process.h"

namespace tessera::builder {
namespace {

db::Outcome OutcomeOf(Fault fault) {
  switch (fault) {
    case Fault::kCrashed:
    case Fault::kOutOfMemory:
    case Fault::kTimeout:
      return db::Outcome::kBuildError;
    case Fault::kStarved:
    case Fault::kKilled:
      break;
  }
  return db::Outcome::kInfrastructure;
}

// A crash may be the late effect of an earlier build in the same process.
bool MayBeAnothersFault(const Failure& failure, int earlier_requests) {
  return earlier_requests > 0 &&
         (failure.fault == Fault::kCrashed || failure.fault == Fault::kOutOfMemory);
}

// Requests are carried under a fence of this side, whatever the caller's is.
constexpr uint64_t kFence = 1;

}  // namespace

// Guarded by the builder's mutex, but that the slot's user may read `child` without.
struct Builder::Slot {
  std::unique_ptr<ChildProcess> child;
  uint64_t fence = 0;  // of the user's request
  bool busy = false;
  bool cancelled = false;
};

struct Builder::Answer {
  absl::Status status;  // of getting a child at all
  std::variant<Reply, Failure> value;
};

// A slot to itself, for as long as it lives.
class Builder::Use {
 public:
  Use(Builder& builder, uint64_t fence) : builder_(builder) {
    const auto is_free = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(builder_.mutex_) {
      slot_ = nullptr;
      for (const auto& slot : builder_.slots_) {
        if (!slot->busy) slot_ = slot.get();
      }
      return slot_ != nullptr;
    };
    absl::MutexLock lock(&builder_.mutex_);
    builder_.mutex_.Await(absl::Condition(&is_free));
    slot_->busy = true;
    slot_->fence = fence;
    slot_->cancelled = false;
  }
  ~Use() {
    absl::MutexLock lock(&builder_.mutex_);
    slot_->busy = false;
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

  // The slot's child, a fresh one where there is none, it has ended or served its time.
  absl::StatusOr<ChildProcess*> Child() {
    if (slot_->child == nullptr || !slot_->child->IsAlive() ||
        slot_->child->requests() >= builder_.options_.builds_per_child) {
      Discard();
      TESSERA_ASSIGN_OR_RETURN(auto child, ChildProcess::Start(builder_.options_));
      absl::MutexLock lock(&builder_.mutex_);
      slot_->child = std::move(child);
    }
    return slot_->child.get();
  }

  void Discard() {
    std::unique_ptr<ChildProcess> child;  // ended without the lock
    absl::MutexLock lock(&builder_.mutex_);
    child = std::move(slot_->child);
  }

  bool cancelled() const {
    absl::MutexLock lock(&builder_.mutex_);
    return slot_->cancelled;
  }

 private:
  Builder& builder_;
  Slot* slot_ = nullptr;
};

Builder::Builder(BuilderOptions options) : options_(std::move(options)) {
  for (int i = 0; i < options_.slots; ++i) slots_.push_back(std::make_unique<Slot>());
}

Builder::~Builder() = default;

absl::StatusOr<std::unique_ptr<Builder>> Builder::Create(BuilderOptions options) {
  if (options.slots < 1 || options.slots > proto::kMaxThreads) {
    return absl::InvalidArgumentError(
        absl::StrCat("build slots: ", options.slots, " is not in 1 … ", proto::kMaxThreads));
  }
  std::unique_ptr<Builder> builder(new Builder(std::move(options)));
  std::vector<std::unique_ptr<Use>> all;
  for (int i = 0; i < builder->options_.slots; ++i) {
    all.push_back(std::make_unique<Use>(*builder, 0));
    TESSERA_RETURN_IF_ERROR(all.back()->Child().status());
  }
  all.clear();
  return builder;
}

std::vector<pid_t> Builder::children() const {
  absl::MutexLock lock(&mutex_);
  std::vector<pid_t> processes;
  for (const auto& slot : slots_) {
    const pid_t process = slot->child == nullptr ? -1 : slot->child->process();
    if (process > 0) processes.push_back(process);
  }
  return processes;
}

void Builder::Cancel(uint64_t fence) {
  absl::MutexLock lock(&mutex_);
  for (const auto& slot : slots_) {
    if (!slot->busy || slot->fence != fence) continue;
    slot->cancelled = true;
    if (slot->child != nullptr) slot->child->Kill();
  }
}

Builder::Answer Builder::Exchange(const proto::ServerMessage& request,
                                  const std::vector<std::string>& artifacts, uint64_t fence,
                                  int core, absl::Duration time) {
  const v1::ServerMessage message = proto::ToProto(request);
  Use use(*this, fence);
  for (;;) {
    const absl::StatusOr<ChildProcess*> child = use.Child();
    if (!child.ok()) return {child.status(), {}};
    if (use.cancelled()) return {absl::CancelledError("cancelled"), {}};
    (*child)->Pin(core);
    const int earlier_requests = (*child)->requests();
    std::variant<Reply, Failure> answer =
        (*child)->Exchange(message, artifacts, absl::ToChronoNanoseconds(time));
    if (const auto* failure = std::get_if<Failure>(&answer)) {
      use.Discard();
      if (use.cancelled()) return {absl::CancelledError("cancelled"), {}};
      LogWarning(absl::StrCat("builder: ", failure->reason));
      if (MayBeAnothersFault(*failure, earlier_requests)) continue;
    }
    return {absl::OkStatus(), std::move(answer)};
  }
}

agent::BuildOutput Builder::Build(const proto::BuildRequest& request, int core) {
  agent::BuildOutput output;
  const auto refuse = [&](db::Outcome outcome, std::string_view reason) {
    output = {};
    output.result.fence = request.fence;
    output.result.outcome = outcome;
    output.result.reason = proto::CleanText(reason, proto::kMaxTextBytes);
    return output;
  };
  proto::BuildRequest carried = request;
  carried.fence = kFence;
  if (const auto checked = proto::FromProto(proto::ToProto(carried)); !checked.ok()) {
    return refuse(db::Outcome::kInfrastructure, StdView(checked.status().message()));
  }
  const auto start = std::chrono::steady_clock::now();
  Answer answer = Exchange(carried, {}, request.fence, core, absl::Seconds(request.max_seconds));
  if (!answer.status.ok()) {
    return refuse(db::Outcome::kInfrastructure, StdView(answer.status.message()));
  }
  if (const auto* failure = std::get_if<Failure>(&answer.value)) {
    refuse(OutcomeOf(failure->fault), failure->reason);
    output.result.build_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return output;
  }
  auto& reply = std::get<Reply>(answer.value);
  absl::StatusOr<proto::BuildResult> result = proto::FromProto(reply.message.build_result());
  if (!result.ok()) return refuse(db::Outcome::kInfrastructure, StdView(result.status().message()));
  output.result = *std::move(result);
  output.result.fence = request.fence;
  if (!reply.files.empty()) output.bytes = std::move(reply.files[0]);
  return output;
}

agent::LibraryOutput Builder::BuildLibrary(const proto::LibraryRequest& request,
                                           const std::vector<std::string>& artifacts, int core) {
  proto::LibraryRequest carried = request;
  carried.fence = kFence;
  if (const auto checked = proto::FromProto(proto::ToProto(carried)); !checked.ok()) {
    return {std::string(checked.status().message()), {}};
  }
  Answer answer = Exchange(carried, artifacts, request.fence, core, options_.library_time);
  if (!answer.status.ok()) return {std::string(answer.status.message()), {}};
  if (const auto* failure = std::get_if<Failure>(&answer.value)) {
    return {proto::CleanText(failure->reason, proto::kMaxTextBytes), {}};
  }
  auto& reply = std::get<Reply>(answer.value);
  const v1::LibraryResult& result = reply.message.library_result();
  agent::LibraryOutput output;
  output.error = result.error();
  for (int i = 0; i < result.files_size(); ++i) {
    output.files.emplace_back(result.files(i).name(), std::move(reply.files[i]));
  }
  return output;
}

}  // namespace tessera::builder
