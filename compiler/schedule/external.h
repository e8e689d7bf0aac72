#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/schedule.h"

// Stages that libraries of others compute (base/third_party.h), by the external step.

namespace tessera::schedule {

// How such a stage multiplies: C[…, row, column] = Σ A[…, row, sum] · B[…, sum, column], either
// operand maybe transposed. Axes count as in Digit.
struct MatrixProduct {
  const ir::Load *a, *b;  // in the stage's body
  bool transposes_a, transposes_b;
  int row_axis, column_axis, sum_axis;
};

// Which product `stage` is, by its definition. InvalidArgument, saying why, where `provider`
// (base/third_party.h) can't compute it: it is no sum over one axis of products of two tensors, of
// types that the library multiplies (ir/matrix_call.h), a tensor's last two dimensions are not the
// axes alone, in either order, the result's are not the last two in theirs, or there are more
// elements along one than a library counts.
absl::StatusOr<MatrixProduct> FindMatrixProduct(const te::Stage& stage, std::string_view provider);

// Whether `provider` can compute the stage: as a product of matrices or, of oneDNN, as a
// convolution (external_convolution.h). InvalidArgument, saying why not.
absl::Status CheckCallable(const te::Stage& stage, std::string_view provider);

// Whether the stage of an external step can be computed by one call in each turn of its outer
// loops. Of a product its innermost three loops are rows, columns, each all or an equal part, and
// the sum, in order, and all that it reads and makes is row-major; of a convolution
// external_convolution.h says it. It is at the root with nothing inside. InvalidArgument, which
// names the stage and says what is in the way.
absl::Status CheckExternal(const Schedule& schedule, const BoundStage& stage);

// What the schedule calls, each once, in the order of base/third_party.h.
std::vector<std::string> ProvidersOf(const Schedule& schedule);

}  // namespace tessera::schedule
