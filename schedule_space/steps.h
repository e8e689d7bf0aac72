#pragma once

#include <string>
#include <utility>
#include <vector>

#include "compiler/ir/buffer.h"
#include "compiler/schedule/trace.h"

// Short forms of the primitives by which rules change stages.

namespace tessera::space {

inline schedule::Step InlineStep(std::string stage) {
  return {schedule::Primitive::kInline, std::move(stage), {}, {}, {}};
}
inline schedule::Step CacheWriteStep(std::string stage) {
  return {schedule::Primitive::kCacheWrite, std::move(stage), {}, {}, {}};
}
inline schedule::Step CacheReadStep(std::string buffer, std::string consumer) {
  return {schedule::Primitive::kCacheRead, std::move(buffer), {std::move(consumer)}, {}, {}};
}
inline schedule::Step RfactorStep(std::string stage, std::string loop) {
  return {schedule::Primitive::kRfactor, std::move(stage), {std::move(loop)}, {}, {}};
}
inline schedule::Step SplitStep(std::string stage, std::string loop, std::vector<int64_t> factors) {
  return {schedule::Primitive::kSplit, std::move(stage), {std::move(loop)}, std::move(factors), {}};
}
inline schedule::Step LayoutStep(std::string buffer, const std::vector<ir::LayoutDim>& layout,
                                 const std::vector<int64_t>& shape) {
  return {
      schedule::Primitive::kLayout, std::move(buffer), {}, {}, ir::LayoutToString(layout, shape)};
}
inline schedule::Step WinogradStep(std::string stage, int64_t m) {
  return {schedule::Primitive::kWinograd, std::move(stage), {}, {m}, {}};
}

inline schedule::Step TensorizeStep(std::string stage, std::string instruction) {
  return {schedule::Primitive::kTensorize, std::move(stage), {std::move(instruction)}, {}, {}};
}

inline schedule::Step ReadThroughStep(std::string buffer, ir::ReadPath path) {
  return {schedule::Primitive::kReadThrough, std::move(buffer), {ir::ToString(path)}, {}, {}};
}

}  // namespace tessera::space
