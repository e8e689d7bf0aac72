#include "schedule_space/read_knobs.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "compiler/schedule/lowering_limits.h"
#include "schedule_space/sketch_draft.h"
#include "schedule_space/steps.h"

namespace tessera::space {
namespace {

constexpr double kPlainWeight = 0.6;

// The paths that the target has for a buffer, plainly first.
std::vector<Option> PathsFor(const ir::BufferNode& buffer, const ir::Target& target) {
  const auto option = [](ir::ReadPath path) { return Option{static_cast<int64_t>(path)}; };
  std::vector<Option> paths = {option(ir::ReadPath::kPlain)};
  if (buffer.StoredBytes() <= target.constant_bytes) {
    paths.push_back(option(ir::ReadPath::kConstant));
  }
  if (ir::FillsTexels(buffer) &&
      buffer.StoredElementCount() / ir::kTexelElements <= target.image_texels) {
    paths.push_back(option(ir::ReadPath::kImage));
  }
  return paths;
}

}  // namespace

ReadKnobs::ReadKnobs(const schedule::Schedule& base, const ir::Target& target,
                     std::vector<Knob>& knobs)
    : KnobReader(knobs), constant_bytes_(target.constant_bytes) {
  const std::vector<int> live = Live(base);
  for (const te::Input& input : base.inputs()) {
    const bool is_read = std::ranges::any_of(
        live, [&](int stage) { return base.stages()[stage].Reads(input.buffer); });
    std::vector<Option> paths = PathsFor(*input.buffer, target);
    if (!is_read || paths.size() == 1) continue;
    const auto others = static_cast<double>(paths.size() - 1);
    Knob knob = FreeKnob(absl::StrCat("read.", input.buffer->name), {"path"}, std::move(paths));
    knob.weights.assign(knob.options.size(), (1 - kPlainWeight) / others);
    knob.weights[0] = kPlainWeight;
    inputs_.push_back({input.buffer, Add(std::move(knob))});
  }
}

void ReadKnobs::Canonicalize(absl::Span<int> choices,
                             absl::Span<const std::unique_ptr<ThreadKernel>> kernels) const {
  for (const Input& input : inputs_) {
    if (PathOf(choices, input) != ir::ReadPath::kConstant) continue;
    const bool is_together = std::ranges::all_of(
        kernels, [&](const auto& kernel) { return kernel->ReadsTogether(choices, input.buffer); });
    if (!is_together) choices[input.knob] = 0;
  }
  int64_t images = 0;
  for (const Input& input : inputs_) {
    if (PathOf(choices, input) != ir::ReadPath::kImage) continue;
    if (++images > schedule::kMaxImageArguments) choices[input.knob] = 0;
  }
  for (;;) {
    int64_t bytes = 0, count = 0;
    const Input* largest = nullptr;
    for (const Input& input : inputs_) {
      if (PathOf(choices, input) != ir::ReadPath::kConstant) continue;
      ++count;
      bytes += input.buffer->StoredBytes();
      if (largest == nullptr || input.buffer->StoredBytes() > largest->buffer->StoredBytes()) {
        largest = &input;
      }
    }
    if (bytes <= constant_bytes_ && count <= schedule::kMaxConstantArguments) return;
    choices[largest->knob] = 0;
  }
}

void ReadKnobs::Decide(absl::Span<const int> choices, Decisions& decisions) const {
  for (const Input& input : inputs_) {
    const ir::ReadPath path = PathOf(choices, input);
    if (path == ir::ReadPath::kPlain) continue;
    decisions.steps.push_back(ReadThroughStep(input.buffer->name, path));
  }
}

}  // namespace tessera::space
