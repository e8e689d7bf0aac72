#include <utility>

#include "compiler/te/epilogue.h"
#include "compiler/te/operator_families.h"

namespace tessera::te {

absl::StatusOr<Workload> BuildLstmCell(const Attributes& attributes) {
  using Indices = DagBuilder::Indices;
  const ir::Type element = attributes.ElementType();
  const ir::Type wide = AccumulatorType(element);
  const Dim m{"m", attributes.Int("m")}, gate{"g", 4}, u{"u", attributes.Int("hidden")},
      k{"k", attributes.Int("input")};
  const std::vector<Dim> state{m, u}, gates{m, gate, u};

  DagBuilder builder;
  const ir::Buffer x = builder.Input("X", element, {m, k});
  const ir::Buffer hidden = builder.Input("H", element, state);
  const ir::Buffer cell = builder.Input("C", element, state);
  const ir::Buffer from_x = builder.Constant("Wx", element, {k, gate, u}, FreePlacement());
  const ir::Buffer from_h =
      builder.Constant("Wh", element, {{"v", u.extent}, gate, u}, FreePlacement());
  const ir::Buffer bias = builder.Constant("Bias", wide, {gate, u});
  const auto project = [&](std::string name, const ir::Buffer& from, const ir::Buffer& weights,
                           const Dim& over) {
    return builder.Reduce(std::move(name), wide, gates, {over}, Combiner::kSum,
                          [&](const Indices& at, const Indices& reduce) {
                            return As(wide, ir::MakeLoad(from, {at[0], reduce[0]})) *
                                   As(wide, ir::MakeLoad(weights, {reduce[0], at[1], at[2]}));
                          });
  };
  const ir::Buffer of_x = project("input_gates", x, from_x, k);
  const ir::Buffer of_h = project("hidden_gates", hidden, from_h, {"v", u.extent});
  const auto activate = [&](int which, const char* function, const Indices& at) {
    const ir::Expr sum = ir::MakeLoad(of_x, {at[0], ir::Expr(which), at[1]}) +
                         ir::MakeLoad(of_h, {at[0], ir::Expr(which), at[1]}) +
                         ir::MakeLoad(bias, {ir::Expr(which), at[1]});
    return ir::MakeCall(wide, function, {sum});
  };
  const ir::Buffer next = builder.Compute("cell", wide, state, [&](const Indices& at) {
    return activate(1, "sigmoid", at) * As(wide, ir::MakeLoad(cell, at)) +
           activate(0, "sigmoid", at) * activate(2, "tanh", at);
  });
  const ir::Buffer next_cell = builder.Compute("next_cell", element, state, [&](const Indices& at) {
    return As(element, ir::MakeLoad(next, at));
  });
  const ir::Buffer next_hidden =
      builder.Compute("next_hidden", element, state, [&](const Indices& at) {
        return As(element, activate(3, "sigmoid", at) *
                               ir::MakeCall(wide, "tanh", {ir::MakeLoad(next, at)}));
      });
  return std::move(builder).Finish({next_hidden, next_cell});
}

}  // namespace tessera::te
