#include "schedule_space/thread_group.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "schedule_space/read_knobs.h"
#include "schedule_space/thread_sum.h"

namespace tessera::space {
namespace {

class ThreadGroup final : public Group {
 public:
  ThreadGroup(const schedule::Schedule& base, std::vector<ThreadKernelSpec> specs,
              const ir::Target& target)
      : target_(target) {
    for (ThreadKernelSpec& spec : specs) {
      const std::string prefix =
          specs.size() > 1 ? absl::StrCat(base.stages()[spec.store].stage->name(), ".") : "";
      kernels_.push_back(spec.is_shared_sum ? MakeThreadSum(base, spec, target_, prefix, knobs_)
                                            : MakeThreadTile(base, spec, target_, prefix, knobs_));
    }
    reads_.emplace(base, target_, knobs_);
  }

  const std::vector<Knob>& knobs() const override { return knobs_; }
  void Canonicalize(absl::Span<int> choices) const override {
    for (const auto& kernel : kernels_) kernel->Canonicalize(choices);
    reads_->Canonicalize(choices, kernels_);
  }
  Decisions Decide(absl::Span<const int> choices) const override {
    Places places;
    for (const auto& kernel : kernels_) kernel->AddStages(choices, places);
    Decisions decisions;
    for (size_t i = kernels_.size(); i-- > 0;) kernels_[i]->Decide(choices, places, decisions);
    reads_->Decide(choices, decisions);
    return decisions;
  }

 private:
  const ir::Target target_;
  std::vector<Knob> knobs_;
  std::vector<std::unique_ptr<ThreadKernel>> kernels_;
  std::optional<ReadKnobs> reads_;  // behind those of all kernels
};

}  // namespace

std::unique_ptr<Group> MakeThreadGroup(const schedule::Schedule& base,
                                       std::vector<ThreadKernelSpec> specs,
                                       const ir::Target& target) {
  for (const ThreadKernelSpec& spec : specs) {
    if (spec.is_shared_sum && !HasThreadSum(base, spec, target)) return nullptr;
  }
  return std::make_unique<ThreadGroup>(base, std::move(specs), target);
}

}  // namespace tessera::space
