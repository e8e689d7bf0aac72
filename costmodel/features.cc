#include "costmodel/features.h"

#include <algorithm>

#include "base/status.h"
#include "costmodel/feature_row.h"

namespace tessera::costmodel {
namespace {

using schedule::LoopStructure;
using schedule::Schedule;

// Of the smallest program there is.
std::vector<FeatureColumn> MakeColumns() {
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
  NestProfiler profiler;
  const ir::Target target;
  std::vector<FeatureColumn> columns;
  RowWriter row(&columns);
  WriteTarget(target, 1, row);
  TESSERA_CHECK(columns.size() == kTargetColumns);
  WriteProgram({schedule, profiler.Profile(schedule, *loops), target, 1}, row);
  return columns;
}

}  // namespace

const std::vector<FeatureColumn>& FeatureColumns() {
  static const auto* const kColumns = new std::vector<FeatureColumn>(MakeColumns());
  return *kColumns;
}

int FeatureCount() { return static_cast<int>(FeatureColumns().size()); }

FeatureExtractor::FeatureExtractor(const ir::Target& target, int threads)
    : target_(target), threads_(threads), target_columns_(kTargetColumns) {
  RowWriter row(absl::MakeSpan(target_columns_));
  WriteTarget(target, threads, row);
}

void FeatureExtractor::Extract(const Schedule& schedule, const LoopStructure& loops,
                               absl::Span<float> row) {
  TESSERA_CHECK(static_cast<int>(row.size()) == FeatureCount());
  std::copy(target_columns_.begin(), target_columns_.end(), row.begin());
  RowWriter writer(row.subspan(kTargetColumns));
  WriteProgram({schedule, profiler_.Profile(schedule, loops), target_, threads_}, writer);
}

absl::StatusOr<std::vector<float>> ConfigFeatures(const space::ConfigSpace& space, int threads,
                                                  absl::Span<const space::Config> configs) {
  FeatureExtractor extractor(space.target(), threads);
  const auto count = static_cast<size_t>(FeatureCount());
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
  std::vector<float> row(FeatureCount());
  FeatureExtractor(target, threads).Extract(schedule, loops, absl::MakeSpan(row));
  return row;
}

absl::StatusOr<std::vector<float>> TraceFeatures(const te::Dag& dag, const ir::Target& target,
                                                 int threads, std::string_view trace) {
  TESSERA_ASSIGN_OR_RETURN(const schedule::Trace parsed, schedule::ParseTrace(trace));
  return TraceFeatures(dag, target, threads, parsed);
}

}  // namespace tessera::costmodel
