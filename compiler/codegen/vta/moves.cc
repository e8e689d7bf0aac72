#include "compiler/codegen/vta/moves.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/codegen/vta/affine.h"
#include "compiler/vta/fields.h"

namespace tessera::codegen::vta {
namespace {

namespace isa = tessera::vta;

constexpr int64_t kMaxStride = (int64_t{1} << isa::kExtentBits) - 1;

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

}  // namespace

bool MoveDim::IsClipped() const {
  const schedule::Range range = RangeOf(first);
  return range.min < 0 || range.max + count > limit;
}

absl::StatusOr<std::vector<MoveDim>> LoadDims(const Nest& nest, int copy, const Held& held,
                                              const MemoryPlan& plan) {
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

std::vector<MoveDim> MaskDims(const Nest& nest, int copy, const MemoryPlan& plan) {
  const schedule::Access& source = nest.SourceOf(copy);
  std::vector<MoveDim> dims;
  for (const schedule::TiledDim& stored : plan.sources.at(plan.mask->buffer).dims) {
    const schedule::AxisForm& form = source.dims[stored.dimension];
    const int axis = form.terms[0].first;
    const auto dim = std::ranges::find(plan.mask->dims, axis, &schedule::TiledDim::dimension);
    if (dim == plan.mask->dims.end()) continue;
    schedule::AffineValue first = plan.mask->base[axis];
    first.constant += form.constant;
    const bool is_column = dim + 1 == plan.mask->dims.end();
    // LoadDims has checked that no tiles are cut.
    dims.push_back({Divide(std::move(first), schedule::UnitOf(plan.mask->tile, axis)), dim->extent,
                    stored.extent, is_column ? 1 : 0, dim->stride});
  }
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
  TESSERA_CHECK(dims.back().stride == 1);
  move.columns = span_of(dims.back());
  size_t outer = dims.size() - std::min<size_t>(dims.size(), 2);
  if (dims.size() > 1 && (dims[outer].stride <= kMaxStride || dims[outer].IsClipped())) {
    move.rows = span_of(dims[outer]);
    move.stride = dims[outer].stride;
  } else {
    outer = dims.size() - 1;  // rows too far apart are transfers of their own
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
