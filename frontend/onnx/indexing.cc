#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "compiler/te/saturating.h"
#include "frontend/onnx/converters.h"
#include "frontend/onnx/tensor.h"

// What takes elements from other places.

namespace tessera::frontend {
namespace {

using Shape = std::vector<int64_t>;

Values Slice(Call& call) {
  Value x = call.In(0);
  const bool is_attribute = call.opset < 10;
  const Shape starts = is_attribute ? call.Ints("starts") : call.KnownInts(1, "starts");
  const Shape ends = is_attribute ? call.Ints("ends") : call.KnownInts(2, "ends");
  Shape axes = is_attribute ? call.Ints("axes") : Shape{}, steps;
  if (!is_attribute && call.Has(3)) axes = call.KnownInts(3, "axes");
  if (!is_attribute && call.Has(4)) steps = call.KnownInts(4, "steps");
  if (axes.empty()) {
    axes.resize(starts.size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  if (steps.empty()) steps.assign(starts.size(), 1);
  if (!call.ok()) return {};
  if (ends.size() != starts.size() || axes.size() != starts.size() ||
      steps.size() != starts.size()) {
    return call.Invalid("starts, ends, axes and steps have to have as many entries");
  }
  for (size_t i = 0; i < starts.size(); ++i) {
    const size_t axis = call.Axis(axes[i], call.emit.Rank(x));
    if (!call.ok()) return {};
    if (steps[i] == 0) return call.Invalid("a step is 0");
    const int64_t extent = call.emit.Extent(x, axis), most = std::max<int64_t>(extent, 1);
    // Steps beyond the extent take the first element alone.
    const int64_t step = std::clamp(steps[i], -most, most);
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? extent : extent - 1;
    const auto bound = [&](int64_t at, int64_t least) {
      return std::clamp(at < 0 ? at + extent : at, std::min(least, high), high);
    };
    const int64_t start = bound(starts[i], 0), end = bound(ends[i], low);
    const int64_t span = step > 0 ? end - start : start - end, size = step > 0 ? step : -step;
    const int64_t count = span > 0 ? (span + size - 1) / size : 0;
    x = call.emit.Slice(x, axis, start, count, step);
  }
  return {x};
}

Values Split(Call& call) {
  const Value x = call.In(0);
  const size_t axis = call.Axis(call.Int("axis", 0), call.emit.Rank(x));
  const int64_t extent = call.emit.Extent(x, axis);
  Shape sizes = call.opset < 13 ? call.Ints("split") : Shape{};
  if (call.opset >= 13 && call.Has(1)) sizes = call.KnownInts(1, "split");
  const int64_t parts = call.Int("num_outputs", static_cast<int64_t>(call.outputs()));
  if (!call.ok()) return {};
  if (sizes.empty()) {
    if (parts < 1 || parts > extent || (call.opset < 18 && extent % parts != 0)) {
      return call.Invalid(absl::StrCat(extent, " elements cannot be split in ", parts));
    }
    // The last part is what is left.
    const int64_t size = (extent + parts - 1) / parts;
    for (int64_t start = 0; start < extent; start += size) {
      sizes.push_back(std::min(size, extent - start));
    }
  }
  if (sizes.size() != call.outputs()) {
    return call.Invalid(
        absl::StrCat("splits in ", sizes.size(), " parts, but has ", call.outputs(), " outputs"));
  }
  Values outputs;
  int64_t start = 0;
  for (const int64_t size : sizes) {
    if (size < 0 || size > extent - start) return call.Invalid("splits more than there is");
    outputs.push_back(call.emit.Slice(x, axis, start, size));
    start += size;
  }
  if (start != extent) return call.Invalid("splits less than there is");
  return outputs;
}

Values Pad(Call& call) {
  Emitter& emit = call.emit;
  Value x = call.In(0);
  const size_t rank = emit.Rank(x);
  const std::string mode = call.Word("mode", "constant");
  const Shape pads = call.opset < 11 ? call.Ints("pads") : call.KnownInts(1, "pads");
  double value = call.opset < 11 ? call.Float("value", 0) : 0;
  if (call.opset >= 11 && call.Has(2)) {
    const std::vector<double> given = call.KnownNumbers(2, "constant_value");
    if (given.size() == 1) value = given[0];
  }
  Shape axes(rank);
  std::iota(axes.begin(), axes.end(), 0);
  if (call.Has(3)) axes = call.KnownInts(3, "axes");
  if (!call.ok()) return {};
  if (pads.size() != 2 * axes.size()) {
    return call.Invalid(absl::StrCat("pads has ", pads.size(), " entries for ", axes.size(),
                                     " dimensions; each needs two"));
  }
  if (mode != "constant" && mode != "reflect" && mode != "edge") {
    return call.Fail(absl::StrCat("mode is ", mode, "; it can be constant, reflect or edge"));
  }
  Shape before(rank, 0), behind(rank, 0);
  for (size_t i = 0; i < axes.size(); ++i) {
    const size_t d = call.Axis(axes[i], rank);
    if (!call.ok()) return {};
    before[d] = pads[i];
    behind[d] = pads[i + axes.size()];
    // Negative ones take away.
    const int64_t extent = emit.Extent(x, d);
    const int64_t cut = std::clamp<int64_t>(before[d], -extent, 0),
                  end = std::clamp<int64_t>(behind[d], -extent, 0);
    if (extent + cut + end < 1) return call.Invalid("takes away all elements of a dimension");
    x = emit.Slice(x, d, -cut, extent + cut + end);
    before[d] = std::max<int64_t>(before[d], 0);
    behind[d] = std::max<int64_t>(behind[d], 0);
  }
  return {emit.Add("pad", {x},
                   {{"before", before}, {"behind", behind}, {"mode", mode}, {"value", value}})};
}

Values Gather(Call& call) {
  const Value x = call.In(0), at = call.In(1);
  const size_t axis = call.Axis(call.Int("axis", 0), call.emit.Rank(x));
  return {call.emit.Add("gather", {x, at}, {{"axis", static_cast<int64_t>(axis)}})};
}

Values GatherElements(Call& call) {
  const Value x = call.In(0), at = call.In(1);
  const size_t axis = call.Axis(call.Int("axis", 0), call.emit.Rank(x));
  return {call.emit.Add("gather_elements", {x, at}, {{"axis", static_cast<int64_t>(axis)}})};
}

// Tuples of indices, the last dimension of the second input, become numbers of rows of x, flat but
// for the dimensions that no index names.
Values GatherNd(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0);
  Value at = emit.Cast(call.In(1), ir::Int(64));
  if (!call.CheckRank(x, 1) || !call.CheckRank(at, 1)) return {};
  const Shape shape = emit.Shape(x), tuples = emit.Shape(at);
  const size_t rank = tuples.size(), last = rank - 1;
  const int64_t named = tuples[last], batch = call.Int("batch_dims", 0);
  const auto dims = static_cast<int64_t>(shape.size());
  if (batch < 0 || batch >= static_cast<int64_t>(rank) || named < 1 || named > dims - batch) {
    return call.Invalid(
        absl::StrCat("indices name ", named, " dimensions behind ", batch, " of ", dims));
  }
  Shape result(tuples.begin(), tuples.end() - 1);
  result.insert(result.end(), shape.begin() + batch + named, shape.end());
  const auto number = [&](int64_t value) {
    return emit.Number(static_cast<double>(value), ir::Int(64));
  };
  Value row;
  for (int64_t i = 0; i < batch + named; ++i) {
    Value index;
    if (i < batch) {  // each batch has its own
      Shape along(static_cast<size_t>(last), 1);
      along[static_cast<size_t>(i)] = shape[static_cast<size_t>(i)];
      index = emit.Counted(shape[static_cast<size_t>(i)], ir::Int(64), along);
    } else {
      index = emit.Reshape(emit.Slice(at, last, i - batch, 1), {tuples.begin(), tuples.end() - 1});
      const Value is_negative = emit.Add("less", {index, number(0)});
      const Value moved = emit.Add("add", {index, number(shape[static_cast<size_t>(i)])});
      index = emit.Where(is_negative, moved, index);
    }
    if (i == 0) {
      row = index;
      continue;
    }
    const Value before = emit.Add("mul", {row, number(shape[static_cast<size_t>(i)])});
    row = emit.Add("add", {before, index});
  }
  const Shape indexed(shape.begin(), shape.begin() + batch + named);
  Shape flat{te::SaturatingProduct(indexed)};
  flat.insert(flat.end(), shape.begin() + batch + named, shape.end());
  const Value rows = emit.Add("gather", {emit.Reshape(x, flat), row}, {{"axis", int64_t{0}}});
  return {emit.Reshape(rows, result)};
}

// The slices along an axis, or the elements, whose condition holds.
Values Compress(Call& call) {
  Emitter& emit = call.emit;
  Value x = call.In(0);
  const Shape holds = call.KnownInts(1, "condition");
  size_t axis = 0;
  if (call.HasAttribute("axis")) {
    axis = call.Axis(call.Int("axis", 0), emit.Rank(x));
  } else {
    x = emit.Reshape(x, {te::SaturatingProduct(emit.Shape(x))});
  }
  if (!call.ok()) return {};
  Shape taken;
  for (size_t i = 0; i < holds.size(); ++i) {
    if (holds[i] != 0) taken.push_back(static_cast<int64_t>(i));
  }
  if (taken.empty() || taken.back() >= emit.Extent(x, axis)) {
    return call.Fail("takes nothing, or more than there is");
  }
  const Value at{-1, IntTensor(taken, {static_cast<int64_t>(taken.size())})};
  return {emit.Add("gather", {x, at}, {{"axis", static_cast<int64_t>(axis)}})};
}

// Each batch's first elements in time, as many as its length, come in reverse.
Values ReverseSequence(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0);
  const Shape lengths = call.KnownInts(1, "sequence_lens");
  if (!call.CheckRank(x, 2)) return {};
  const int64_t time = call.Int("time_axis", 0), batch = call.Int("batch_axis", 1);
  if (time < 0 || time > 1 || batch != 1 - time) {
    return call.Invalid("time_axis and batch_axis have to be 0 and 1");
  }
  const int64_t steps = emit.Extent(x, static_cast<size_t>(time)),
                batches = emit.Extent(x, static_cast<size_t>(batch));
  if (static_cast<int64_t>(lengths.size()) != batches) {
    return call.Invalid("sequence_lens has to have an entry for each batch");
  }
  if (te::SaturatingMultiply(steps, batches) > 1 << 20) {
    return call.Fail("reverses more than 2^20 elements' places");
  }
  Shape places(static_cast<size_t>(steps * batches));
  for (int64_t b = 0; b < batches; ++b) {
    const int64_t length = lengths[static_cast<size_t>(b)];
    if (length < 1 || length > steps) return call.Invalid("a length is beyond the sequence");
    for (int64_t t = 0; t < steps; ++t) {
      places[static_cast<size_t>(time == 0 ? t * batches + b : b * steps + t)] =
          t < length ? length - 1 - t : t;
    }
  }
  Shape along(emit.Rank(x), 1);
  along[static_cast<size_t>(time)] = steps;
  along[static_cast<size_t>(batch)] = batches;
  const Value at{-1, IntTensor(places, along)};
  return {emit.Add("gather_elements", {x, emit.Broadcast(at, emit.Shape(x))}, {{"axis", time}})};
}

// 1 of `values` where the index is the position along the new axis, 0 of them elsewhere.
Values OneHot(Call& call) {
  Emitter& emit = call.emit;
  Value at = call.In(0);
  const std::vector<double> depth = call.KnownNumbers(1, "depth");
  const Value values = call.In(2);
  const size_t axis = call.Axis(call.Int("axis", -1), emit.Rank(at) + 1);
  if (!call.ok() || !call.CheckRank(at, 0, graph::kMaxRank - 1)) return {};
  if (depth.size() != 1 || !(depth[0] >= 1) || depth[0] > 1 << 20 ||
      emit.Shape(values) != Shape{2}) {
    return call.Invalid("depth has to be a number from 1 to 2^20, and values two");
  }
  const Value none = emit.Number(0, at), count = emit.Number(depth[0], at);
  at = emit.Where(emit.Add("less", {at, none}), emit.Add("add", {at, count}), at);
  Shape shape = emit.Shape(at), along(shape.size() + 1, 1);
  shape.insert(shape.begin() + static_cast<int64_t>(axis), 1);
  along[axis] = static_cast<int64_t>(depth[0]);
  const Value places = emit.Counted(along[axis], emit.Element(at), along);
  const Value is_here = emit.Add("equal", {emit.Reshape(at, shape), places});
  const Value off = emit.Reshape(emit.Slice(values, 0, 0, 1), {}),
              on = emit.Reshape(emit.Slice(values, 0, 1, 1), {});
  return {emit.Where(is_here, on, off)};
}

// x [n, c, h, w] and the size of its blocks; false after an error.
bool Blocks(Call& call, Shape& shape, int64_t& block) {
  const Value x = call.In(0);
  block = call.Int("blocksize", 0);
  if (!call.CheckRank(x, 4, 4)) return false;
  shape = call.emit.Shape(x);
  if (block >= 1 && block <= 1 << 12) return true;
  call.Invalid(absl::StrCat("blocksize is ", block));
  return false;
}

Values DepthToSpace(Call& call) {
  Emitter& emit = call.emit;
  Shape shape;
  int64_t b = 0;
  const std::string mode = call.Word("mode", "DCR");
  if (!Blocks(call, shape, b)) return {};
  const int64_t n = shape[0], c = shape[1] / (b * b), h = shape[2], w = shape[3];
  const bool is_outer = mode == "DCR";  // the block's places are the outer part of the channels
  if (!is_outer && mode != "CRD") return call.Invalid("mode has to be DCR or CRD");
  const Value apart =
      emit.Reshape(call.In(0), is_outer ? Shape{n, b, b, c, h, w} : Shape{n, c, b, b, h, w});
  const Value moved =
      emit.Transpose(apart, is_outer ? Shape{0, 3, 4, 1, 5, 2} : Shape{0, 1, 4, 2, 5, 3});
  return {emit.Reshape(moved, {n, c, h * b, w * b})};
}

Values SpaceToDepth(Call& call) {
  Emitter& emit = call.emit;
  Shape shape;
  int64_t b = 0;
  if (!Blocks(call, shape, b)) return {};
  const int64_t n = shape[0], c = shape[1], h = shape[2] / b, w = shape[3] / b;
  const Value apart = emit.Reshape(call.In(0), {n, c, h, b, w, b});
  return {emit.Reshape(emit.Transpose(apart, {0, 3, 5, 1, 2, 4}), {n, c * b * b, h, w})};
}

}  // namespace

std::vector<Row> IndexingRows() {
  return {{"Compress", Compress}, {"DepthToSpace", DepthToSpace},
          {"Gather", Gather},     {"GatherElements", GatherElements},
          {"GatherND", GatherNd}, {"OneHot", OneHot},
          {"Pad", Pad},           {"ReverseSequence", ReverseSequence},
          {"Slice", Slice},       {"SpaceToDepth", SpaceToDepth},
          {"Split", Split}};
}

}  // namespace tessera::frontend
