#include "compiler/schedule/winograd.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/ir/visitor.h"
#include "compiler/schedule/winograd_transforms.h"

namespace tessera::schedule {
namespace {

using Indices = std::vector<ir::Expr>;
using Dims = std::vector<std::pair<std::string, int64_t>>;

// Of the square root of what the matrices allow, since errors of terms partly cancel: 1.7 times the
// largest error that was seen.
constexpr double kErrorMargin = 3;

// `value` mod 1 and value / 1 are 0 and value.
ir::Expr Quotient(const ir::Expr& value, int64_t by) {
  return by == 1 ? value : value / ir::Expr(by);
}
ir::Expr Product(const ir::Expr& value, int64_t by) {
  return by == 1 ? value : value * ir::Expr(by);
}

// A stage named `name` over axes of these extents and of these names, if they differ; the sum over
// `sums`, if there are any.
te::Stage MakeStage(const std::string& name, const Dims& axes,
                    const std::function<ir::Expr(const Indices&)>& body,
                    std::vector<te::Axis> sums) {
  te::Stage stage;
  stage.reduce_axes = std::move(sums);
  if (!stage.reduce_axes.empty()) stage.combiner = te::Combiner::kSum;
  std::vector<int64_t> shape;
  Indices indices;
  for (const auto& [axis, extent] : axes) {
    stage.axes.push_back(te::MakeAxis(axis, extent, {stage.axes, stage.reduce_axes}));
    indices.push_back(stage.axes.back().var);
    shape.push_back(extent);
  }
  stage.outputs = {ir::MakeBuffer(name, ir::Float(32), std::move(shape), ir::Scope::kWorkspace)};
  stage.bodies = {body(indices)};
  return stage;
}

// Hands out the indices of a stage in the order of its axes.
class Cursor {
 public:
  explicit Cursor(const Indices& indices) : next_(indices.begin()) {}
  explicit Cursor(Indices&&) = delete;  // it keeps none
  ir::Expr One() { return *next_++; }
  Indices Take(size_t count) {
    next_ += static_cast<std::ptrdiff_t>(count);
    return Indices(next_ - static_cast<std::ptrdiff_t>(count), next_);
  }

 private:
  Indices::const_iterator next_;
};

Indices Joined(std::initializer_list<Indices> parts) {
  Indices all;
  for (const Indices& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

Dims JoinedDims(std::initializer_list<Dims> parts) {
  Dims all;
  for (const Dims& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

class Rewriter {
 public:
  Rewriter(const te::Stage& conv, WinogradForm form, int64_t m)
      : conv_(conv), form_(std::move(form)), m_(m), two_(form_.windows.size() == 2) {
    for (const WinogradWindow& window : form_.windows) {
      transforms_.push_back(MakeTransforms(m, window.taps()));
    }
    for (const WinogradSlice& slice : form_.images) images_.push_back(Named(slice, "i"));
    for (const WinogradSlice& slice : form_.weights) weights_.push_back(Named(slice, "w"));
    for (const int axis : form_.outputs) outputs_.push_back(Named(conv.axes[axis]));
    for (size_t i = 0; i < form_.windows.size(); ++i) {
      const WinogradWindow& window = form_.windows[i];
      const std::string letter = two_ && i == 0 ? "h" : "w";
      if (window.phases() > 1) phases_.emplace_back("p" + letter, window.phases());
      if (window.stride > 1) summed_phases_.emplace_back("p" + letter, window.stride);
      if (window.output_phases() > 1) {
        output_phases_.emplace_back("p" + letter, window.output_phases());
      }
      if (window.weight_phases() > 1) {
        weight_phases_.emplace_back("p" + letter, window.weight_phases());
      }
      tiles_.emplace_back("t" + letter, window.tiles(m));
    }
    channel_ = {Named(conv.reduce_axes[form_.channel])};
    filter_ = {Named(conv.axes[form_.filter])};
  }

  Winograd Run() && {
    const ir::Buffer v = TransformInput();
    const ir::Buffer u = TransformWeights();
    TransformOutput(Multiply(v, u));
    double amplification = 1;
    for (const Transforms& transforms : transforms_) amplification *= transforms.amplification;
    return {std::move(form_), m_, std::move(stages_), kErrorMargin * std::sqrt(amplification)};
  }

 private:
  static std::pair<std::string, int64_t> Named(const te::Axis& axis) {
    return {axis.var->name, axis.extent};
  }
  // By the name of the axis that is its index, if one is.
  static std::pair<std::string, int64_t> Named(const WinogradSlice& slice, const char* otherwise) {
    const auto* axis = slice.index.As<ir::Var>();
    return {axis != nullptr ? axis->name : absl::StrCat(otherwise, slice.dim), slice.count};
  }
  static ir::Expr Position(const WinogradSlice& slice, const ir::Expr& place) {
    const ir::Expr distance = Product(place, slice.step);
    return slice.first == 0 ? distance : distance + ir::Expr(slice.first);
  }
  const WinogradWindow& rows() const { return form_.windows.front(); }  // where there are two
  const WinogradWindow& columns() const { return form_.windows.back(); }
  const Transforms& row_transforms() const { return transforms_.front(); }
  const Transforms& column_transforms() const { return transforms_.back(); }
  int64_t ColumnPoints() const { return columns().points(m_); }
  int64_t Elements() const { return (two_ ? rows().points(m_) : 1) * ColumnPoints(); }

  ir::Buffer Add(const char* name, const Dims& axes, const std::function<ir::Expr(Cursor)>& body,
                 std::vector<te::Axis> sums = {}) {
    stages_.push_back(MakeStage(
        absl::StrCat(conv_.name(), ".", name), axes,
        [&](const Indices& indices) { return body(Cursor(indices)); }, std::move(sums)));
    return stages_.back().output();
  }

  ir::Buffer TransformInput() {
    Dims dense;
    for (size_t i = 0; i < form_.windows.size(); ++i) {
      const WinogradWindow& window = form_.windows[i];
      dense.emplace_back(two_ && i == 0 ? "y" : "x", window.tiles(m_) * m_ + window.taps() - 1);
    }
    const ir::Buffer d = Add("d", JoinedDims({images_, phases_, dense, channel_}), [&](Cursor at) {
      const Indices images = at.Take(images_.size());
      const Indices phase_indices = at.Take(phases_.size());
      Cursor phases(phase_indices);
      Indices from(form_.x->shape.size());
      ir::Expr inside;
      for (size_t i = 0; i < form_.windows.size(); ++i) {
        const WinogradWindow& window = form_.windows[i];
        ir::Expr place = at.One();
        int64_t reached = dense[i].second, read = 0;  // extents
        if (window.spread > 1) {
          place = place + (phases.One() + ir::Expr(window.offset)) / ir::Expr(window.spread);
          reached += 1;
          read = (window.outputs - 1 + window.offset) / window.spread + window.kernel;
        } else {
          place = Product(place, window.phases());
          if (window.phases() > 1) place = place + phases.One();
          reached *= window.phases();
          read = window.stride * (window.outputs - 1) + window.dilation * (window.kernel - 1) + 1;
        }
        if (reached > read) {
          inside = ir::And(inside, ir::Lt(place, ir::Expr(read)));
        }
        from[window.x_dim] = Product(place, window.step);
      }
      for (size_t i = 0; i < images.size(); ++i) {
        from[form_.images[i].dim] = Position(form_.images[i], images[i]);
      }
      from[form_.channel_dim] = at.One();
      const ir::Expr value = ir::MakeLoad(form_.x, from);
      return inside ? ir::MakeSelect(inside, value, ir::Zero(form_.x->type)) : value;
    });
    const size_t around = images_.size() + phases_.size();
    const auto place = [&](const ir::Expr& tile, int64_t point) {
      return tile * ir::Expr(m_) + ir::Expr(point);
    };
    if (!two_) {
      return Add("V", JoinedDims({{{"e", Elements()}}, images_, phases_, tiles_, channel_}),
                 [&](Cursor at) {
                   const ir::Expr e = at.One();
                   const Indices outer = at.Take(around);
                   const ir::Expr tile = at.One(), c = at.One();
                   return ChosenRow(column_transforms().b, e, [&](int64_t k) {
                     return ir::MakeLoad(d, Joined({outer, {place(tile, k), c}}));
                   });
                 });
    }
    const ir::Buffer bd = Add(
        "Bd",
        JoinedDims({{{"a", rows().points(m_)}, {"j", ColumnPoints()}},
                    images_,
                    phases_,
                    tiles_,
                    channel_}),
        [&](Cursor at) {
          const ir::Expr a = at.One(), j = at.One();
          const Indices outer = at.Take(around);
          const ir::Expr row = at.One(), column = at.One(), c = at.One();
          return ChosenRow(row_transforms().b, a, [&](int64_t k) {
            return ir::MakeLoad(d, Joined({outer, {place(row, k), column * ir::Expr(m_) + j, c}}));
          });
        });
    return Add(
        "V", JoinedDims({{{"e", Elements()}}, images_, phases_, tiles_, channel_}), [&](Cursor at) {
          const ir::Expr e = at.One();
          const Indices rest = at.Take(around + 3);
          return ChosenRow(column_transforms().b, e % ir::Expr(ColumnPoints()), [&](int64_t k) {
            const Indices element = {e / ir::Expr(ColumnPoints()), ir::Expr(k)};
            return ir::MakeLoad(bd, Joined({element, rest}));
          });
        });
  }

  // Tap `taps[i]` of window i, of phase `phases`: zero where the window ends before.
  ir::Expr Weight(const Indices& taps, const Indices& weights, const Indices& phases,
                  const ir::Expr& filter) const {
    Cursor phase(phases);
    Indices from(form_.w->shape.size());
    ir::Expr inside;
    for (size_t i = 0; i < form_.windows.size(); ++i) {
      const WinogradWindow& window = form_.windows[i];
      ir::Expr tap = Product(taps[i], window.stride);
      if (window.stride > 1) tap = tap + phase.One();
      if (window.spread > 1) {
        tap = (phase.One() + ir::Expr(window.offset)) % ir::Expr(window.spread) +
              (ir::Expr(window.kernel - 1) - taps[i]) * ir::Expr(window.spread);
      }
      if (window.taps() * window.stride > window.kernel) {
        inside = ir::And(inside, ir::Lt(tap, ir::Expr(window.kernel)));
      }
      from[window.w_dim] = tap;
    }
    for (size_t i = 0; i < weights.size(); ++i) {
      from[form_.weights[i].dim] = Position(form_.weights[i], weights[i]);
    }
    from[form_.filter_dim] = filter;
    const ir::Expr value = ir::MakeLoad(form_.w, from);
    return inside ? ir::MakeSelect(inside, value, ir::Zero(form_.w->type)) : value;
  }

  ir::Buffer TransformWeights() {
    const size_t ws = weights_.size(), ps = weight_phases_.size();
    const Dims rest = JoinedDims({weights_, weight_phases_, filter_});
    if (!two_) {
      return Add("U", JoinedDims({{{"e", Elements()}}, rest}), [&](Cursor at) {
        const ir::Expr e = at.One();
        const Indices weights = at.Take(ws), phases = at.Take(ps);
        const ir::Expr f = at.One();
        return ChosenRow(column_transforms().g, e,
                         [&](int64_t k) { return Weight({ir::Expr(k)}, weights, phases, f); });
      });
    }
    const ir::Buffer gg =
        Add("Gg", JoinedDims({{{"a", rows().points(m_)}, {"kw", columns().taps()}}, rest}),
            [&](Cursor at) {
              const ir::Expr a = at.One(), kw = at.One();
              const Indices weights = at.Take(ws), phases = at.Take(ps);
              const ir::Expr f = at.One();
              return ChosenRow(row_transforms().g, a, [&](int64_t k) {
                return Weight({ir::Expr(k), kw}, weights, phases, f);
              });
            });
    return Add("U", JoinedDims({{{"e", Elements()}}, rest}), [&](Cursor at) {
      const ir::Expr e = at.One();
      const Indices others = at.Take(ws + ps + 1);
      return ChosenRow(column_transforms().g, e % ir::Expr(ColumnPoints()), [&](int64_t k) {
        const Indices element = {e / ir::Expr(ColumnPoints()), ir::Expr(k)};
        return ir::MakeLoad(gg, Joined({element, others}));
      });
    });
  }

  ir::Buffer Multiply(const ir::Buffer& v, const ir::Buffer& u) {
    std::vector<te::Axis> sums;
    for (const auto& [name, extent] : summed_phases_)
      sums.push_back(te::MakeAxis(name, extent, {}));
    Indices summed_phases;
    for (const te::Axis& phase : sums) summed_phases.push_back(phase.var);
    std::vector<ir::VarRef> from;
    Indices to;
    for (const int sum : form_.sums) {
      const te::Axis& axis = conv_.reduce_axes[sum];
      sums.push_back(te::MakeAxis(axis.var->name, axis.extent, {sums}));
      from.push_back(axis.var);
      to.push_back(sums.back().var);
    }
    return Add(
        "M", JoinedDims({{{"e", Elements()}}, outputs_, output_phases_, tiles_, filter_}),
        [&](Cursor at) {
          const ir::Expr e = at.One();
          for (const int axis : form_.outputs) {
            from.push_back(conv_.axes[axis].var);
            to.push_back(at.One());
          }
          const Indices phases_of_outputs = at.Take(output_phases_.size());
          Cursor output_phases(phases_of_outputs), summed(summed_phases);
          Indices phases, weight_phases;
          for (const WinogradWindow& window : form_.windows) {
            if (window.phases() == 1) continue;
            phases.push_back(window.stride > 1 ? summed.One() : output_phases.One());
            if (window.weight_phases() > 1) weight_phases.push_back(phases.back());
          }
          const auto renamed = [&](const std::vector<WinogradSlice>& slices) {
            Indices result;
            for (const auto& slice : slices) {
              result.push_back(ir::Substitute(slice.index, from, to));
            }
            return result;
          };
          const Indices tiles = at.Take(tiles_.size());
          const ir::Expr channel = ir::Substitute(conv_.reduce_axes[form_.channel].var, from, to);
          return ir::MakeLoad(v, Joined({{e}, renamed(form_.images), phases, tiles, {channel}})) *
                 ir::MakeLoad(u, Joined({{e}, renamed(form_.weights), weight_phases, {at.One()}}));
        },
        sums);
  }

  void TransformOutput(ir::Buffer product) {
    const Dims rest = JoinedDims({outputs_, output_phases_, tiles_, filter_});
    if (two_) {
      product =
          Add("AM", JoinedDims({{{"a", rows().points(m_)}, {"x", m_}}, rest}), [&](Cursor at) {
            const ir::Expr a = at.One(), x = at.One();
            const Indices others = at.Take(rest.size());
            return ChosenRow(column_transforms().a, x, [&](int64_t k) {
              const ir::Expr e = a * ir::Expr(ColumnPoints()) + ir::Expr(k);
              return ir::MakeLoad(product, Joined({{e}, others}));
            });
          });
    }
    const Dims tile = two_ ? Dims{{"y", m_}, {"x", m_}} : Dims{{"x", m_}};
    const ir::Buffer y = Add("Y", JoinedDims({tile, rest}), [&](Cursor at) {
      const ir::Expr first = at.One();
      const Indices others = at.Take(tile.size() - 1 + rest.size());
      return ChosenRow(row_transforms().a, first, [&](int64_t k) {
        return ir::MakeLoad(product, Joined({{ir::Expr(k)}, others}));
      });
    });
    te::Stage result;
    result.outputs = conv_.outputs;
    Indices at;
    for (const te::Axis& axis : conv_.axes) {
      result.axes.push_back({ir::MakeVar(axis.var->name), axis.extent});
      at.push_back(result.axes.back().var);
    }
    Indices inner, outputs, phases, tiles;
    for (const WinogradWindow& window : form_.windows) {
      const ir::Expr& place = at[window.axis];
      const int64_t apart = window.output_phases();
      if (apart > 1) phases.push_back(place % ir::Expr(apart));
      inner.push_back(Quotient(place, apart) % ir::Expr(m_));
      tiles.push_back(place / ir::Expr(apart * m_));
    }
    for (const int axis : form_.outputs) outputs.push_back(at[axis]);
    result.bodies = {ir::MakeLoad(y, Joined({inner, outputs, phases, tiles, {at[form_.filter]}}))};
    stages_.push_back(std::move(result));
  }

  const te::Stage& conv_;
  WinogradForm form_;
  const int64_t m_;
  const bool two_;  // windows
  std::vector<Transforms> transforms_;
  Dims images_, weights_, outputs_, phases_, summed_phases_, output_phases_, weight_phases_, tiles_,
      channel_, filter_;
  std::vector<te::Stage> stages_;
};

}  // namespace

absl::StatusOr<Winograd> RewriteByWinograd(const te::Stage& conv, int64_t m) {
  if (m < 2 || m > 4) {
    return absl::InvalidArgumentError(absl::StrCat("tiles of ", m, "; 2, 3 and 4 are known"));
  }
  TESSERA_ASSIGN_OR_RETURN(WinogradForm form, MatchWinograd(conv));
  for (const WinogradWindow& window : form.windows) {
    if (window.points(m) > kMaxWinogradPoints) {
      return absl::InvalidArgumentError(
          absl::StrCat("tiles of ", m, " with a window of ", window.taps(), " taps need ",
                       window.points(m), " points; at most ", kMaxWinogradPoints, " are known"));
    }
  }
  return Rewriter(conv, std::move(form), m).Run();
}

}  // namespace tessera::schedule
