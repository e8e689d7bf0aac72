#include "costmodel/draft.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "costmodel/features.h"
#include "costmodel/gpu_draft.h"
#include "costmodel/model_format.h"
#include "costmodel/vta_draft.h"

namespace tessera::costmodel {
namespace {

// A core of these days, in round numbers; docs/cost_models.md tells how they were chosen.
constexpr double kHertz = 3e9;
constexpr double kOperationCycles = 1;  // of vectors
// Of a vector that is loaded, with its address, and of a body's loop: more than a cache that hits
// needs, because what a program waits for shows in them.
constexpr double kLoadCycles = 2, kBodyCycles = 5;
// Of a stage that begins: its first results wait for one another.
constexpr double kEntryCycles = 10;
// Of an accumulator that finds no register, which is loaded and stored.
constexpr double kSpillCycles = 8;
// Of an element that is loaded into its lane by itself, because the lanes lie apart in memory.
constexpr double kGatherCycles = 2;
constexpr double kL1BytesPerCycle = 32, kL2BytesPerCycle = 8, kMemoryBytesPerCycle = 6;

// Where the columns are that the estimate reads.
struct Columns {
  size_t vectors, loads, bodies, entries, l1, l2, l3, extent, balance, threads, main_bodies,
      accumulators, per_register;
  struct Read {
    size_t gathered, body_elements;
  };
  std::vector<Read> reads;  // of the main stage
};

const Columns& ColumnsOfRow() {
  static const Columns kColumns = [] {
    const auto of = [](std::string_view name) { return ColumnOf(ir::TargetKind::kX86, name); };
    std::vector<Columns::Read> reads;
    for (int b = 1; b <= kDescribedReads; ++b) {
      reads.push_back({of(absl::StrCat("buffer", b, ".gathered")),
                       of(absl::StrCat("buffer", b, ".body_elements"))});
    }
    return Columns{.vectors = of("stages.vectors"),
                   .loads = of("stages.loads"),
                   .bodies = of("stages.bodies"),
                   .entries = of("stages.entries"),
                   .l1 = of("stages.l1_traffic"),
                   .l2 = of("stages.l2_traffic"),
                   .l3 = of("stages.l3_traffic"),
                   .extent = of("parallel.extent"),
                   .balance = of("parallel.balance"),
                   .threads = of("target.threads"),
                   .main_bodies = of("bodies"),
                   .accumulators = of("accumulators"),
                   .per_register = of("accumulators_per_register"),
                   .reads = std::move(reads)};
  }();
  return kColumns;
}

double CpuDraftSeconds(absl::Span<const float> row) {
  const Columns& at = ColumnsOfRow();
  const auto count = [&](size_t column) { return std::exp2(double{row[column]}) - 1; };

  double cycles = kOperationCycles * count(at.vectors) + kLoadCycles * count(at.loads) +
                  kBodyCycles * count(at.bodies) + kEntryCycles * count(at.entries) +
                  count(at.l1) / kL1BytesPerCycle + count(at.l2) / kL2BytesPerCycle +
                  count(at.l3) / kMemoryBytesPerCycle;
  // Each accumulator of the main stage that finds no register is loaded and stored by every body.
  if (const double per_register = row[at.per_register]; per_register > 1) {
    cycles +=
        kSpillCycles * count(at.main_bodies) * count(at.accumulators) * (1 - 1 / per_register);
  }
  for (const Columns::Read& read : at.reads) {
    if (row[read.gathered] <= 0) continue;
    cycles += kGatherCycles * count(at.main_bodies) * count(read.body_elements);
  }
  const double threads = std::clamp(count(at.extent), 1.0, std::max(1.0, count(at.threads)));
  const double shared = cycles / (threads * std::max(double{row[at.balance]}, 1e-3));
  return (1 + shared) / kHertz;
}

}  // namespace

double DraftSeconds(absl::Span<const float> row) {
  const int version = FeatureVersionOfRows(static_cast<int>(row.size()));
  TESSERA_CHECK(version != 0);
  if (version == kVtaFeatureVersion) return VtaDraftSeconds(row);
  return version == kGpuFeatureVersion ? GpuDraftSeconds(row) : CpuDraftSeconds(row);
}

std::vector<float> DraftScores(absl::Span<const float> rows, int columns) {
  std::vector<float> scores(rows.size() / columns);
  for (float& score : scores) {
    score = static_cast<float>(-std::log2(DraftSeconds(rows.first(columns))));
    rows.remove_prefix(columns);
  }
  return scores;
}

absl::Status DraftModel::Fit(const TrainingData& data) {
  TESSERA_RETURN_IF_ERROR(CheckTrainingData(data));
  if (FeatureVersionOfRows(data.columns) == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "draft: rows of ", data.columns, " columns; those of programs have ", ProgramColumns()));
  }
  columns_ = data.columns;
  return absl::OkStatus();
}

std::vector<float> DraftModel::Predict(absl::Span<const float> rows, int columns) const {
  return DraftScores(rows, columns);
}

absl::StatusOr<std::string> DraftModel::Save() const { return ModelHead(name(), columns_); }

absl::Status DraftModel::Load(std::string_view bytes) {
  TESSERA_ASSIGN_OR_RETURN(const ModelBody body, ReadModelHead(name(), bytes));
  if (FeatureVersionOfRows(body.columns) == 0 || !body.bytes.empty()) {
    return absl::DataLossError("cost model: damaged");
  }
  columns_ = body.columns;
  return absl::OkStatus();
}

std::unique_ptr<CostModel> MakeDraftModel(uint64_t) { return std::make_unique<DraftModel>(); }

}  // namespace tessera::costmodel
