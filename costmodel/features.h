#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/schedule.h"
#include "costmodel/nest.h"
#include "costmodel/vta_profile.h"
#include "schedule_space/config_space.h"

// Features of a program, from its loop structure alone: before vectors and unrolled bodies are
// expanded. docs/features.md lists every column. Groups after Ansor (2006.06762, appendix) and
// AutoTVM's relation features (1805.08166 §5.1).

namespace tessera::costmodel {

// Programs of CPUs have one kind of row, those of GPUs another, which begins with the same columns
// and has more, those of a VTA one of their own. Each has a version, a new number of one sequence
// whenever the meaning or order of its columns changes: a model of one is never one of another, and
// is refused rows of another version (docs/decisions/0020).
struct RowKind {
  int version;
  ir::TargetKind example;  // a kind of target whose programs have such rows
  std::string_view of;     // "GPUs"
};
constexpr int kCpuFeatureVersion = 4, kGpuFeatureVersion = 6, kVtaFeatureVersion = 8;
constexpr RowKind kRowKinds[] = {{kCpuFeatureVersion, ir::TargetKind::kX86, "CPUs"},
                                 {kGpuFeatureVersion, ir::TargetKind::kOpenCl, "GPUs"},
                                 {kVtaFeatureVersion, ir::TargetKind::kVta, "VTA"}};
int FeatureVersion(ir::TargetKind kind);
// Of rows of so many columns; 0: programs have no such rows.
int FeatureVersionOfRows(int columns);

// Reads of the main stage that are described one by one, as buffer1 and so on; buffer0 is its
// store.
constexpr int kDescribedReads = 3;

struct FeatureColumn {
  std::string name;  // unique
  std::string_view group;
  std::string_view unit;
  std::string_view meaning;
};

// In row order.
const std::vector<FeatureColumn>& FeatureColumns(ir::TargetKind kind);
int FeatureCount(ir::TargetKind kind);
// The place of a column in rows. Requires that they have it.
size_t ColumnOf(ir::TargetKind kind, std::string_view name);

// Writes rows of programs for kernels of up to `threads` threads on `target`. Keeps its memory from
// one to the next: after the largest program it allocates nothing. Thread-compatible: a thread that
// extracts has its own.
class FeatureExtractor {
 public:
  FeatureExtractor(const ir::Target& target, int threads);

  // Writes the row of a program into `row`, which holds FeatureCount() values of the target's kind:
  // counts, bytes and extents as log2(1 + x), ratios and flags as they are, all finite. Equal for
  // equal structures.
  // Requires `loops` = InferBounds(schedule).
  void Extract(const schedule::Schedule& schedule, const schedule::LoopStructure& loops,
               absl::Span<float> row);

 private:
  const ir::Target target_;
  const int threads_;
  std::vector<float> target_columns_;  // the first of each row, but of a VTA
  NestProfiler profiler_;
  VtaProfiler vta_profiler_;
};

// [configs × FeatureCount() of the target's kind], row-major, of valid configs of `space`, which
// was built for `threads` threads. Thread-safe.
absl::StatusOr<std::vector<float>> ConfigFeatures(const space::ConfigSpace& space, int threads,
                                                  absl::Span<const space::Config> configs);

// The row of `dag` under `trace`: that of the config that made the trace, bit for bit, so that
// records of the log train models after their space is gone. Errors name the trace's step.
// Thread-safe.
absl::StatusOr<std::vector<float>> TraceFeatures(const te::Dag& dag, const ir::Target& target,
                                                 int threads, const schedule::Trace& trace);
// Of the trace's text, as records have it.
absl::StatusOr<std::vector<float>> TraceFeatures(const te::Dag& dag, const ir::Target& target,
                                                 int threads, std::string_view trace);

}  // namespace tessera::costmodel
