#include "compiler/codegen/vta/moves.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/codegen/vta/affine.h"
#include "compiler/ir/print.h"
#include "compiler/te/padding.h"

namespace tessera::codegen::vta {
namespace {

namespace isa = tessera::vta;

// Whether `inner` is moved whole, so that it and `outer` lie in one piece on both sides.
bool AreOnePiece(const MoveDim& outer, const MoveDim& inner) {
  return inner.first.terms.empty() && inner.first.constant == 0 && inner.count == inner.limit &&
         outer.stride == inner.stride * inner.limit &&
         outer.held_stride == inner.held_stride * inner.count && !outer.IsClipped();
}

std::vector<MoveDim> Joined(std::vector<MoveDim> dims) {
  for (size_t i = dims.size() - 1; i-- > 0;) {
    MoveDim& outer = dims[i];
    const MoveDim& inner = dims[i + 1];
    if (!AreOnePiece(outer, inner)) continue;
    outer = {Add({}, outer.first, inner.limit), outer.count * inner.limit,
             outer.limit * inner.limit, inner.stride, inner.held_stride};
    dims.erase(dims.begin() + static_cast<int64_t>(i) + 1);
  }
  return dims;
}

absl::Status CheckClipping(absl::Span<const MoveDim> dims, const std::string& name) {
  for (size_t i = 0; i + 2 < dims.size(); ++i) {
    if (dims[i].IsClipped()) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": only rows and columns may lie beyond the tensor"));
    }
  }
  return absl::OkStatus();
}

// The bound that a condition sets to an axis: [axis] < `limit`, or at least `least`.
struct AxisBound {
  const ir::Var* var = nullptr;
  std::optional<int64_t> least, limit;
};
AxisBound BoundOf(const ir::Expr& condition) {
  const auto* compare = condition.As<ir::Binary>();
  if (compare == nullptr) return {};
  const bool is_strict = compare->op == ir::BinaryOp::kLt;
  if (!is_strict && compare->op != ir::BinaryOp::kLe) return {};
  if (const int64_t* least = ir::AsConstInt(compare->a)) {
    return {compare->b.As<ir::Var>(), *least + (is_strict ? 1 : 0), std::nullopt};
  }
  if (const int64_t* most = ir::AsConstInt(compare->b)) {
    return {compare->a.As<ir::Var>(), std::nullopt, *most + (is_strict ? 0 : 1)};
  }
  return {};
}

// That a copy has zeros exactly where it lies beyond its source.
absl::Status CheckBody(const Nest& nest, int copy) {
  const te::Stage& stage = nest.definition(copy);
  const auto refuse = [&] {
    return absl::InvalidArgumentError(absl::StrCat(
        stage.name(), " is ", ir::Print(stage.bodies[0]),
        "; the accelerator loads what lies in memory, and zeros beyond a tensor's edges"));
  };
  const ir::Expr& body = stage.bodies[0];
  if (body.As<ir::Load>() != nullptr) return absl::OkStatus();
  const auto* select = body.As<ir::Select>();
  if (select == nullptr || select->if_true.As<ir::Load>() == nullptr ||
      !ir::IsConst(select->if_false, 0.0)) {
    return refuse();
  }
  const schedule::Access& source = nest.SourceOf(copy);
  for (const ir::Expr& condition : te::Conjuncts(select->condition)) {
    const AxisBound bound = BoundOf(condition);
    bool is_edge = false;
    for (size_t d = 0; d < source.dims.size(); ++d) {
      const schedule::AxisForm& form = source.dims[d];
      if (stage.axes[form.terms[0].first].var.get() != bound.var) continue;
      is_edge = (!bound.least || *bound.least + form.constant == 0) &&
                (!bound.limit || *bound.limit + form.constant == source.buffer->shape[d]);
    }
    if (!is_edge) return refuse();
  }
  return absl::OkStatus();
}

}  // namespace

bool MoveDim::IsClipped() const {
  const Range range = RangeOf(first);
  return range.min < 0 || range.max + count > limit;
}

absl::StatusOr<std::vector<MoveDim>> LoadDims(const Nest& nest, int copy, const Held& held,
                                              const MemoryPlan& plan) {
  TESSERA_RETURN_IF_ERROR(CheckBody(nest, copy));
  const schedule::Access& source = nest.SourceOf(copy);
  std::vector<MoveDim> dims;
  for (const schedule::TiledDim& dim : plan.sources.at(held.buffer).dims) {
    const schedule::AxisForm& form = source.dims[dim.dimension];
    const int axis = form.terms[0].first;
    const int64_t unit = schedule::UnitOf(held.tile, axis);
    schedule::AffineValue first = held.base[axis];
    first.constant += form.constant;
    if (!IsMultiple(first, unit)) {
      return absl::InvalidArgumentError(
          absl::StrCat(nest.definition(copy).name(), " cuts tiles of ", source.buffer->name));
    }
    const schedule::TiledDim& region =
        *std::ranges::find(held.dims, axis, &schedule::TiledDim::dimension);
    dims.push_back(
        {Divide(std::move(first), unit), region.extent, dim.extent, dim.stride, region.stride});
  }
  dims = Joined(std::move(dims));
  TESSERA_RETURN_IF_ERROR(CheckClipping(dims, nest.definition(copy).name()));
  return dims;
}

absl::StatusOr<std::vector<MoveDim>> StoreDims(const Nest& nest, const MemoryPlan& plan) {
  const Held& held = plan.of(nest.output(nest.sum()));
  std::vector<MoveDim> dims;
  for (size_t i = 0; i < held.dims.size(); ++i) {
    const schedule::TiledDim &region = held.dims[i], &stored = plan.stored.dims[i];
    const int64_t unit = schedule::UnitOf(held.tile, region.dimension);
    dims.push_back({Divide(held.base[region.dimension], unit), region.extent, stored.extent,
                    stored.stride, region.stride});
  }
  dims = Joined(std::move(dims));
  TESSERA_RETURN_IF_ERROR(CheckClipping(dims, nest.definition(nest.root()).name()));
  return dims;
}

isa::Node MakeMoves(const Turns& turns, isa::Place place, absl::Span<const MoveDim> dims,
                    int argument, bool is_store) {
  isa::Move move{.is_store = is_store,
                 .place = std::move(place),
                 .buffer = argument,
                 .tile = {},
                 .rows = {},
                 .columns = {},
                 .stride = 1};
  schedule::AffineValue tile;
  const auto span_of = [&](const MoveDim& dim) {
    if (dim.IsClipped()) return isa::Span{turns.ToValue(dim.first), dim.count, dim.limit};
    tile = Add(std::move(tile), dim.first, dim.stride);
    return isa::Span{{}, dim.count, dim.count};
  };
  const bool has_columns = dims.back().stride == 1;
  const size_t outer = dims.size() - std::min<size_t>(dims.size(), has_columns ? 2 : 1);
  if (has_columns) move.columns = span_of(dims.back());
  if (outer + (has_columns ? 1 : 0) < dims.size()) {
    move.rows = span_of(dims[outer]);
    move.stride = dims[outer].stride;
  }
  for (size_t i = 0; i < outer; ++i) tile = Add(std::move(tile), dims[i].first, dims[i].stride);
  move.tile = turns.ToValue(tile);
  std::vector<int64_t> around;
  for (size_t i = 0; i < outer; ++i) {
    if (dims[i].count == 1) continue;
    const int loop = turns.depth() + static_cast<int>(around.size());
    move.tile.terms.push_back({loop, 1, dims[i].count, dims[i].stride});
    move.place.offset.terms.push_back({loop, 1, dims[i].count, dims[i].held_stride});
    around.push_back(dims[i].count);
  }
  isa::Node node{std::move(move)};
  for (size_t i = around.size(); i-- > 0;) {
    isa::Repeat repeat{around[i], {}};
    repeat.body.push_back(std::move(node));
    node = {std::move(repeat)};
  }
  return node;
}

}  // namespace tessera::codegen::vta
