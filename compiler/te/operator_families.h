#pragma once

#include "absl/status/statusor.h"
#include "compiler/te/attributes.h"
#include "compiler/te/dag_builder.h"

// Builders of the operator table (operators.cc), one source a family. Each takes attributes that
// were resolved against its table entry; the result still lacks its name. Errors say what is
// wrong with the shapes, without naming the instance.

namespace tessera::te {

// matmul, batch_matmul, dense: sum over k of A[m, k] * B[k, n].
absl::StatusOr<Workload> BuildMatmul(const Attributes& attributes);

// conv1d, conv2d, conv3d; with groups > 1 the group is a dimension of its own before the channels
// of every tensor, which leaves the bytes of NCHW as they are.
absl::StatusOr<Workload> BuildConvolution(const Attributes& attributes);
absl::StatusOr<Workload> BuildDepthwise(const Attributes& attributes);
// t2d: each output position sums over the ceil(k / stride) taps of its phase, along each dimension.
absl::StatusOr<Workload> BuildTransposedConvolution(const Attributes& attributes);

// Convolution whose channels are square matrices and whose product is theirs (Hinton et al. 2018):
// sum over k, c, kh, kw of X[n, i, k, c, …] * W[k, j, c, oc, kh, kw]. Activations are stored with
// the capsules last.
absl::StatusOr<Workload> BuildCapsuleConvolution(const Attributes& attributes);

// Softmax over t of Q[n, q, h, :] · K[n, t, h, :] / sqrt(dim), as [n, h, q, t].
absl::StatusOr<Workload> BuildAttentionScores(const Attributes& attributes);
// One step of a long short-term memory: gates input, forget, candidate, output in this order along
// the second dimension of Wx[input, 4, hidden] and Wh[hidden, 4, hidden]. Returns the next hidden
// state and the next cell.
absl::StatusOr<Workload> BuildLstmCell(const Attributes& attributes);

absl::StatusOr<Workload> BuildPooling(const Attributes& attributes);  // max_pool2d, avg_pool2d
absl::StatusOr<Workload> BuildGlobalPooling(const Attributes& attributes);

// reduce_*: over one axis of [m, n]. norm2, softmax, layer_norm, argmax and argmin: over n.
absl::StatusOr<Workload> BuildReduction(const Attributes& attributes);
absl::StatusOr<Workload> BuildNorm2(const Attributes& attributes);
absl::StatusOr<Workload> BuildArgument(const Attributes& attributes);
absl::StatusOr<Workload> BuildSoftmax(const Attributes& attributes);
absl::StatusOr<Workload> BuildLayerNorm(const Attributes& attributes);

// relu, sigmoid, tanh, gelu of X[m, n]; add, mul of X and Y; bias_add of X[m, n] and Bias[n]. i8 is
// added in i32 and becomes the nearest i8.
absl::StatusOr<Workload> BuildUnary(const Attributes& attributes);
absl::StatusOr<Workload> BuildAdd(const Attributes& attributes);
absl::StatusOr<Workload> BuildBinary(const Attributes& attributes);

}  // namespace tessera::te
