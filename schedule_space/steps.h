#pragma once

#include <string>
#include <utility>
#include <vector>

#include "compiler/schedule/trace.h"

// Short forms of the primitives that rules emit.

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
inline schedule::Step ComputeAtStep(std::string stage, std::string consumer, std::string loop) {
  return {schedule::Primitive::kComputeAt,
          std::move(stage),
          {std::move(consumer), std::move(loop)},
          {},
          {}};
}
inline schedule::Step SplitStep(std::string stage, std::string loop, std::vector<int64_t> factors) {
  return {schedule::Primitive::kSplit, std::move(stage), {std::move(loop)}, std::move(factors), {}};
}
inline schedule::Step FuseStep(std::string stage, std::vector<std::string> loops) {
  return {schedule::Primitive::kFuse, std::move(stage), std::move(loops), {}, {}};
}
inline schedule::Step ReorderStep(std::string stage, std::vector<std::string> loops) {
  return {schedule::Primitive::kReorder, std::move(stage), std::move(loops), {}, {}};
}
inline schedule::Step VectorizeStep(std::string stage, std::string loop) {
  return {schedule::Primitive::kVectorize, std::move(stage), {std::move(loop)}, {}, {}};
}
inline schedule::Step UnrollStep(std::string stage, std::string loop) {
  return {schedule::Primitive::kUnroll, std::move(stage), {std::move(loop)}, {}, {}};
}
inline schedule::Step ParallelStep(std::string stage, std::string loop) {
  return {schedule::Primitive::kParallel, std::move(stage), {std::move(loop)}, {}, {}};
}

}  // namespace tessera::space
