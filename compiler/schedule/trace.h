#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace tessera::schedule {

// The primitives; docs/schedule.md shows each at work.
enum class Primitive : uint8_t {
  kLayout,      // layout B 0 1/16 2 3 1%16     storage order of input, constant or stage output B
  kInline,      // inline S                     substitute S into its consumers
  kCacheWrite,  // cache_write S                compute into S.local; S becomes the copy out
  kCacheRead,   // cache_read B S               S reads B through a new stage S.B (packing)
  kRfactor,     // rfactor S loop               partial results over `loop` in a new stage S.rf
  kComputeAt,   // compute_at S C loop          compute S where C's loop needs it
  kSplit,       // split S loop f1 f2 …         loop.0 (inferred), loop.1 (f1), loop.2 (f2), …
  kFuse,        // fuse S a b …                 adjacent loops become a+b+…
  kReorder,     // reorder S a b c …            all loops of S, outermost first
  kVectorize,   // vectorize S loop
  kUnroll,      // unroll S loop
  kParallel,    // parallel S loop
  kBind,        // bind S loop thread.x         GPU thread axis
  kStream,      // stream S                     stores of output S go past the caches
  kWinograd,    // winograd S m                 S by F(m × m, 3 × 3) in new stages (winograd.h)
  kPrefetch,    // prefetch S n                 vectors that S reads, n iterations ahead
  kTensorize,   // tensorize S instruction      S by groups of products in new stages (tensorize.h)
  kDoubleBuffer,  // double_buffer S            shared S is filled for the next turn while one reads
  kReadThrough,   // read_through B constant    how a GPU reads input B: constant memory, or image
  kExternal,      // external S openblas        S by calls of a library (external.h)
};

// One primitive with its operands.
struct Step {
  Primitive primitive;
  std::string stage;               // S (for kLayout, kReadThrough: the buffer B)
  std::vector<std::string> names;  // loops; kComputeAt: {C, loop}; kCacheRead: {consumer};
                                   // kTensorize: {instruction}; kReadThrough: {path};
                                   // kExternal: {library}
  std::vector<int64_t> factors;    // kSplit; kWinograd: {m}; kPrefetch: {n}
  std::string layout;              // kLayout, as ir::LayoutToString writes it
  bool operator==(const Step&) const = default;
};

// A program's decisions, self-contained: applied to a workload it yields one loop structure.
using Trace = std::vector<Step>;

// "trace 1", then one step a line. Canonical: equal traces print equal text.
std::string Print(const Trace& trace);
// Input is hostile: at most 8192 steps and 1 MiB. Errors name the line.
absl::StatusOr<Trace> ParseTrace(std::string_view text);

std::string_view ToString(Primitive primitive);

}  // namespace tessera::schedule
