#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/graph/graph.h"

// Derivatives by adjoints (reverse mode): what operators of the table compute is differentiated by
// operators of the table, so that the backward kernels of a model are tasks like any other. After
// DLVM (1711.03016): the whole graph is transformed before it runs, there is no tape.

namespace tessera::graph {

// The gradients of Σ ⟨cotangent of an output, that output⟩ with respect to inputs and constants of
// floats. The graph that is returned has
//   inputs    those of `graph`; the constants of `wrt`, under their names; and for each output that
//             depends on `wrt` its cotangent "d_NAME", of the output's type
//   outputs   for each node of `wrt`, in that order, the gradient "d_NAME", of the node's type
// and computes what it needs of the forward values itself. Equal values aren't merged, nor numbers
// folded: run StandardPasses on it.
//
// Where a function has no derivative the result is one of its subgradients: that of relu at 0 is 0,
// min and max of equals go to the first, reductions by min and max share it among equals, a max
// pool's goes to the first. What is piecewise constant (floor, round, sign, casts to integers) has
// the gradient 0.
//
// InvalidArgument where a node of `wrt` is none of floats, or is computed, or named twice; where no
// output depends on it; and for an operator without a rule, which is named.
absl::StatusOr<Graph> Adjoint(const Graph& graph, absl::Span<const int> wrt);

// What a model learns: constants of floats with more than one element on which an output depends;
// where there are none, the inputs on which one does.
std::vector<int> Parameters(const Graph& graph);

}  // namespace tessera::graph
