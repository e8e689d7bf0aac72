#include "compiler/te/stage_nest.h"

#include <utility>

#include "base/status.h"
#include "compiler/ir/visitor.h"
#include "compiler/te/saturating.h"

namespace tessera::te {
namespace {

std::vector<ir::Expr> Shifted(std::vector<ir::Expr> indices, const Box& box) {
  for (size_t d = 0; d < indices.size(); ++d) {
    if (box[d].min != 0) indices[d] = indices[d] - ir::Expr(box[d].min);
  }
  return indices;
}

class Redirect : public ir::Mutator {
 public:
  explicit Redirect(const Holdings& holdings) : holdings_(holdings) {}

 protected:
  ir::Expr MutateLoad(const ir::Load& load, const ir::Expr&) override {
    const auto held = holdings_.find(load.buffer.get());
    TESSERA_CHECK(held != holdings_.end());
    std::vector<ir::Expr> indices;
    for (const ir::Expr& index : load.indices) indices.push_back(Mutate(index));
    return ir::MakeLoad(held->second.buffer, Shifted(std::move(indices), held->second.box),
                        Mutate(load.predicate));
  }

 private:
  const Holdings& holdings_;
};

}  // namespace

Box WholeBox(const std::vector<int64_t>& shape) {
  Box box;
  for (int64_t extent : shape) box.push_back({0, extent - 1});
  return box;
}

int64_t Points(const Box& box) {
  int64_t points = 1;
  for (const ir::Interval& side : box) points = SaturatingMultiply(points, side.max - side.min + 1);
  return points;
}

ir::Stmt StageNest(const Stage& stage, const Holdings& holdings) {
  Redirect redirect(holdings);
  const Box& box = holdings.at(stage.output().get()).box;
  std::vector<ir::Expr> axes;
  for (const Axis& axis : stage.axes) axes.emplace_back(axis.var);
  const std::vector<ir::Expr> at = Shifted(axes, box);
  std::vector<ir::Expr> bodies, kept;
  std::vector<ir::Buffer> outputs;
  for (size_t k = 0; k < stage.outputs.size(); ++k) {
    outputs.push_back(holdings.at(stage.outputs[k].get()).buffer);
    bodies.push_back(redirect.Mutate(stage.bodies[k]));
    kept.push_back(ir::MakeLoad(outputs[k], at));
  }

  const std::vector<ir::Expr> values =
      stage.is_reduction() ? CombineTuple(stage.combiner, kept, bodies) : bodies;
  std::vector<ir::Stmt> stores;
  for (size_t k = values.size(); k-- > 0;) {
    stores.push_back(ir::MakeStore(outputs[k], at, values[k]));
  }
  ir::Stmt nest = ir::MakeBlock(std::move(stores));
  for (size_t r = stage.reduce_axes.size(); r-- > 0;) {
    nest = ir::MakeFor(stage.reduce_axes[r].var, 0, stage.reduce_axes[r].extent, std::move(nest));
  }
  if (stage.is_reduction()) {
    std::vector<ir::Stmt> parts;
    for (size_t k = 0; k < outputs.size(); ++k) {
      parts.push_back(ir::MakeStore(
          outputs[k], at, Identity(stage.combiner, outputs[k]->type, static_cast<int>(k))));
    }
    parts.push_back(std::move(nest));
    nest = ir::MakeBlock(std::move(parts));
  }
  for (size_t a = stage.axes.size(); a-- > 0;) {
    nest = ir::MakeFor(stage.axes[a].var, box[a].min, box[a].max - box[a].min + 1, std::move(nest));
  }
  return nest;
}

}  // namespace tessera::te
