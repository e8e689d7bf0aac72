#include "costmodel/vta_draft.h"

#include <cmath>

#include "costmodel/features.h"

namespace tessera::costmodel {
namespace {

constexpr double kHertz = 100e6;  // docs/vta-timing.md

}  // namespace

double VtaDraftSeconds(absl::Span<const float> row) {
  static const size_t kCycles = ColumnOf(ir::TargetKind::kVta, "vta.cycles");
  // One more than the column's.
  return std::exp2(double{row[kCycles]}) / kHertz;
}

}  // namespace tessera::costmodel
