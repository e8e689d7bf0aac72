#include "costmodel/features.h"

#include <algorithm>

#include "base/status.h"
#include "costmodel/feature_row.h"
#include "costmodel/vta_row.h"

namespace tessera::costmodel {
namespace {

using schedule::LoopStructure;
using schedule::Schedule;

std::vector<FeatureColumn> MakeVtaColumns() {
  std::vector<FeatureColumn> columns;
  RowWriter row(&columns);
  WriteVta({}, {}, row);
  return columns;
}

// Of the smallest program there is.
std::vector<FeatureColumn> MakeColumns(ir::TargetKind kind) {
  te::Stage stage;
  stage.outputs = {ir::MakeBuffer("x", ir::Float(32), {1})};
  stage.axes = {{ir::MakeVar("i"), 1}};
  stage.bodies = {ir::MakeFloat(ir::Float(32), 0)};
  te::Dag dag;
  dag.outputs = stage.outputs;
  dag.stages = {stage};
  const Schedule schedule(dag);
  const absl::StatusOr<LoopStructure> loops = schedule::InferBounds(schedule);
  TESSERA_CHECK(loops.ok());
  ir::Target target;
  target.kind = kind;
  NestProfiler profiler;
  std::vector<FeatureColumn> columns;
  RowWriter row(&columns);
  WriteTarget(target, 1, row);
  TESSERA_CHECK(columns.size() == kTargetColumns);
  WriteProgram({schedule, profiler.Profile(schedule, *loops), profiler, target, 1}, row);
  return columns;
}

}  // namespace

const std::vector<FeatureColumn>& FeatureColumns(ir::TargetKind kind) {
  static const auto* const kCpu = new std::vector<FeatureColumn>(MakeColumns(ir::TargetKind::kX86));
  static const auto* const kGpu =
      new std::vector<FeatureColumn>(MakeColumns(ir::TargetKind::kOpenCl));
  static const auto* const kVta = new std::vector<FeatureColumn>(MakeVtaColumns());
  if (kind == ir::TargetKind::kVta) return *kVta;
  return ir::IsGpu(kind) ? *kGpu : *kCpu;
}

int FeatureCount(ir::TargetKind kind) { return static_cast<int>(FeatureColumns(kind).size()); }

size_t ColumnOf(ir::TargetKind kind, std::string_view name) {
  const std::vector<FeatureColumn>& columns = FeatureColumns(kind);
  const auto found = std::ranges::find(columns, name, &FeatureColumn::name);
  TESSERA_CHECK(found != columns.end());
  return static_cast<size_t>(found - columns.begin());
}

int FeatureVersion(ir::TargetKind kind) { return FeatureVersionOfRows(FeatureCount(kind)); }

int FeatureVersionOfRows(int columns) {
  for (const RowKind& kind : kRowKinds) {
    if (columns == FeatureCount(kind.example)) return kind.version;
  }
  return 0;
}

FeatureExtractor::FeatureExtractor(const ir::Target& target, int threads)
    : target_(target),
      threads_(threads),
      target_columns_(kTargetColumns),
      profiler_(ir::IsGpu(target.kind) ? target.wave_threads : 0),
      vta_profiler_(target) {
  RowWriter row(absl::MakeSpan(target_columns_));
  WriteTarget(target, threads, row);
}

void FeatureExtractor::Extract(const Schedule& schedule, const LoopStructure& loops,
                               absl::Span<float> row) {
  TESSERA_CHECK(static_cast<int>(row.size()) == FeatureCount(target_.kind));
  if (target_.kind == ir::TargetKind::kVta) {
    RowWriter writer(row);
    return WriteVta(target_, vta_profiler_.Profile(schedule, loops), writer);
  }
  std::copy(target_columns_.begin(), target_columns_.end(), row.begin());
  RowWriter writer(row.subspan(kTargetColumns));
  WriteProgram({schedule, profiler_.Profile(schedule, loops), profiler_, target_, threads_},
               writer);
}

absl::StatusOr<std::vector<float>> ConfigFeatures(const space::ConfigSpace& space, int threads,
                                                  absl::Span<const space::Config> configs) {
  FeatureExtractor extractor(space.target(), threads);
  const auto count = static_cast<size_t>(FeatureCount(space.target().kind));
  std::vector<float> rows(configs.size() * count);
  for (size_t i = 0; i < configs.size(); ++i) {
    TESSERA_ASSIGN_OR_RETURN(const Schedule schedule, space.ToSchedule(configs[i]));
    TESSERA_ASSIGN_OR_RETURN(const LoopStructure loops, schedule::InferBounds(schedule));
    extractor.Extract(schedule, loops, absl::MakeSpan(rows).subspan(i * count, count));
  }
  return rows;
}

absl::StatusOr<std::vector<float>> TraceFeatures(const te::Dag& dag, const ir::Target& target,
                                                 int threads, const schedule::Trace& trace) {
  TESSERA_ASSIGN_OR_RETURN(const Schedule schedule, schedule::ApplyTrace(dag, trace));
  TESSERA_ASSIGN_OR_RETURN(const LoopStructure loops, schedule::InferBounds(schedule));
  std::vector<float> row(FeatureCount(target.kind));
  FeatureExtractor(target, threads).Extract(schedule, loops, absl::MakeSpan(row));
  return row;
}

absl::StatusOr<std::vector<float>> TraceFeatures(const te::Dag& dag, const ir::Target& target,
                                                 int threads, std::string_view trace) {
  TESSERA_ASSIGN_OR_RETURN(const schedule::Trace parsed, schedule::ParseTrace(trace));
  return TraceFeatures(dag, target, threads, parsed);
}

}  // namespace tessera::costmodel
