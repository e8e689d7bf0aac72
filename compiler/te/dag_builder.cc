#include "compiler/te/dag_builder.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "absl/strings/str_join.h"
#include "base/status.h"
#include "compiler/te/saturating.h"

namespace tessera::te {
namespace {

std::vector<Axis> MakeAxes(const std::vector<Dim>& dims) {
  std::vector<Axis> axes;
  for (const Dim& dim : dims) axes.push_back({ir::MakeVar(dim.name), dim.extent});
  return axes;
}

DagBuilder::Indices AsIndices(const std::vector<Axis>& axes) {
  DagBuilder::Indices indices;
  for (const Axis& axis : axes) indices.emplace_back(axis.var);
  return indices;
}

}  // namespace

std::vector<int64_t> Extents(const std::vector<Dim>& dims) {
  std::vector<int64_t> extents;
  for (const Dim& dim : dims) extents.push_back(dim.extent);
  return extents;
}

ir::Buffer DagBuilder::NewBuffer(std::string name, ir::Type type, const std::vector<Dim>& dims,
                                 ir::Scope scope, Placement placement) {
  const std::vector<int64_t> shape = Extents(dims);
  if (SaturatingProduct(shape) > kMaxElements && status_.ok()) {
    status_ = absl::InvalidArgumentError(
        absl::StrCat("tensor ", name, " of ", absl::StrJoin(shape, "x"), " has more than 2^40 (",
                     kMaxElements, ") elements; make it smaller"));
  }
  auto node = std::make_shared<ir::BufferNode>();
  node->name = std::move(name);
  node->type = type;
  node->shape = shape;
  node->scope = scope;
  node->policy = placement.policy;
  node->block_axis = placement.block_axis;
  node->layout = std::move(placement.layout);
  return node;
}

ir::Buffer DagBuilder::Input(std::string name, ir::Type type, const std::vector<Dim>& dims,
                             Placement placement) {
  dag_.inputs.push_back(
      {NewBuffer(std::move(name), type, dims, ir::Scope::kGlobal, std::move(placement)), false});
  return dag_.inputs.back().buffer;
}

ir::Buffer DagBuilder::Constant(std::string name, ir::Type type, const std::vector<Dim>& dims,
                                Placement placement) {
  dag_.inputs.push_back(
      {NewBuffer(std::move(name), type, dims, ir::Scope::kGlobal, std::move(placement)), true});
  return dag_.inputs.back().buffer;
}

ir::Buffer DagBuilder::Compute(std::string name, ir::Type type, const std::vector<Dim>& dims,
                               const Body& body) {
  return ReduceTuple(
      {std::move(name)}, {type}, dims, {}, Combiner::kNone,
      [&](const Indices& axes, const Indices&) { return std::vector<ir::Expr>{body(axes)}; })[0];
}

ir::Buffer DagBuilder::Reduce(std::string name, ir::Type type, const std::vector<Dim>& dims,
                              const std::vector<Dim>& reduce_dims, Combiner combiner,
                              const ReduceBody& body) {
  return ReduceTuple({std::move(name)}, {type}, dims, reduce_dims, combiner,
                     [&](const Indices& axes, const Indices& reduce_axes) {
                       return std::vector<ir::Expr>{body(axes, reduce_axes)};
                     })[0];
}

std::vector<ir::Buffer> DagBuilder::ReduceTuple(const std::vector<std::string>& names,
                                                const std::vector<ir::Type>& types,
                                                const std::vector<Dim>& dims,
                                                const std::vector<Dim>& reduce_dims,
                                                Combiner combiner, const TupleBody& body) {
  Stage stage;
  for (size_t i = 0; i < names.size(); ++i) {
    stage.outputs.push_back(NewBuffer(names[i], types[i], dims, ir::Scope::kWorkspace, {}));
  }
  stage.axes = MakeAxes(dims);
  stage.reduce_axes = MakeAxes(reduce_dims);
  stage.combiner = combiner;
  stage.bodies = body(AsIndices(stage.axes), AsIndices(stage.reduce_axes));
  std::vector<int64_t> points = Extents(dims);
  std::ranges::copy(Extents(reduce_dims), std::back_inserter(points));
  if (SaturatingProduct(points) > kMaxStagePoints && status_.ok()) {
    status_ = absl::InvalidArgumentError(
        absl::StrCat("stage ", names[0], " over ", absl::StrJoin(points, "x"),
                     " has more than 2^56 (", kMaxStagePoints, ") points; make it smaller"));
  }
  dag_.stages.push_back(std::move(stage));
  return dag_.stages.back().outputs;
}

absl::StatusOr<Workload> DagBuilder::Finish(const std::vector<ir::Buffer>& outputs,
                                            const Placement& placement) && {
  TESSERA_RETURN_IF_ERROR(status_);
  for (const ir::Buffer& output : outputs) {
    auto placed = std::make_shared<ir::BufferNode>(*output);
    placed->scope = ir::Scope::kGlobal;
    placed->policy = placement.policy;
    placed->block_axis = placement.block_axis;
    placed->layout = placement.layout;
    const int index = dag_.StageOf(output);
    TESSERA_CHECK(index >= 0);
    std::ranges::replace(dag_.stages[index].outputs, output, ir::Buffer(placed));
    dag_.outputs.push_back(std::move(placed));
  }
  return Workload{.name = {}, .dag = std::move(dag_)};
}

}  // namespace tessera::te
