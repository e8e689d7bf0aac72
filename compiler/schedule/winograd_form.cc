#include "compiler/schedule/winograd_form.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/ir/simplify.h"
#include "compiler/ir/visitor.h"
#include "compiler/schedule/access.h"

namespace tessera::schedule {
namespace {

constexpr size_t kMaxWindows = 2;
// Of a window that is tried out: outputs times taps, and operations of an index.
constexpr int64_t kMaxTries = 1 << 14;
constexpr int kMaxOperations = 16;

absl::Status Refusal(const std::string& why) {
  return absl::InvalidArgumentError(
      absl::StrCat(why,
                   "; it has to sum X[…, ic, oh + kh, ow + kw] * W[oc, ic, kh, kw] in f32 over ic "
                   "and one or two windows"));
}

// How many dimensions of the read an axis moves, and the last of them.
struct Use {
  int count = 0, dim = -1;
};
Use UseOf(const Access& read, int axis) {
  Use use;
  for (size_t d = 0; d < read.dims.size(); ++d) {
    if (!Uses(read.dims[d], axis)) continue;
    ++use.count;
    use.dim = static_cast<int>(d);
  }
  return use;
}

bool IsShort(const ir::Expr& index) {
  int operations = 0;
  ir::ForEach<ir::Binary>(index, [&](const ir::Binary&) { ++operations; });
  return operations <= kMaxOperations;
}

class Matcher {
 public:
  Matcher(const te::Stage& conv, const Access& x, const Access& w, const ir::Load& x_load,
          const ir::Load& w_load)
      : conv_(conv),
        x_(x),
        w_(w),
        x_load_(x_load),
        w_load_(w_load),
        rank_(static_cast<int>(conv.axes.size())) {
    form_.x = x_load.buffer, form_.w = w_load.buffer;
  }

  // Whether X is read through windows; `form` has them then.
  absl::StatusOr<WinogradForm> Run() {
    FindWindows();
    for (const Access* read : {&x_, &w_}) {
      for (size_t d = 0; d < read->dims.size(); ++d) {
        const auto has_it = [&](const WinogradWindow& window) {
          return (read == &x_ ? window.x_dim : window.w_dim) == static_cast<int>(d);
        };
        if (!read->dims[d].affine &&
            std::none_of(form_.windows.begin(), form_.windows.end(), has_it)) {
          return Refusal("reads its operands otherwise");
        }
      }
    }
    if (form_.windows.empty()) return Refusal("has no window of two taps or more");
    FindChannelAndFilter();
    if (form_.channel < 0 || form_.filter < 0) return Refusal("has no channels or no filters");
    NameTheRest();
    return std::move(form_);
  }

 private:
  void FindWindows() {
    for (size_t d = 0; d < x_.dims.size(); ++d) {
      const AxisForm& form = x_.dims[d];
      if (!form.affine) {
        AddTransposed(static_cast<int>(d));
        continue;
      }
      if (form.constant != 0 || form.terms.size() != 2) continue;
      auto [output, tap] = std::pair(form.terms[0], form.terms[1]);
      if (output.first > tap.first) std::swap(output, tap);
      if (output.first >= rank_ || tap.first < rank_ || output.second < 1 || tap.second < 1) {
        continue;
      }
      const Use weight = UseOf(w_, tap.first);
      if (UseOf(x_, output.first).count != 1 || UseOf(x_, tap.first).count != 1 ||
          UseOf(w_, output.first).count != 0 || weight.count != 1 ||
          PlainAxis(w_.dims[weight.dim]) != tap.first) {
        continue;
      }
      WinogradWindow window;
      window.axis = output.first;
      window.reduce_axis = tap.first - rank_;
      window.x_dim = static_cast<int>(d);
      window.w_dim = weight.dim;
      window.outputs = conv_.axes[window.axis].extent;
      window.kernel = conv_.reduce_axes[window.reduce_axis].extent;
      window.step = std::gcd(output.second, tap.second);
      window.stride = output.second / window.step;
      window.dilation = tap.second / window.step;
      if ((window.stride > 1 && window.dilation > 1) || window.taps() < 2) continue;
      form_.windows.push_back(window);
    }
    if (form_.windows.size() > kMaxWindows) {
      form_.windows.erase(form_.windows.begin(), form_.windows.end() - kMaxWindows);
    }
  }

  // If dimension `d` of X and one of W are read as of a transposed convolution.
  void AddTransposed(int d) {
    std::vector<int> moving;
    for (int axis = 0; axis < rank_ + static_cast<int>(conv_.reduce_axes.size()); ++axis) {
      if (Uses(x_.dims[d], axis)) moving.push_back(axis);
    }
    if (moving.size() != 2 || moving[0] >= rank_ || moving[1] < rank_) return;
    const Use of_output = UseOf(w_, moving[0]), of_tap = UseOf(w_, moving[1]);
    if (UseOf(x_, moving[0]).count != 1 || UseOf(x_, moving[1]).count != 1 ||
        of_output.count != 1 || of_tap.count != 1 || of_output.dim != of_tap.dim) {
      return;
    }
    WinogradWindow window;
    window.axis = moving[0];
    window.reduce_axis = moving[1] - rank_;
    window.x_dim = d;
    window.w_dim = of_tap.dim;
    window.outputs = conv_.axes[window.axis].extent;
    window.kernel = conv_.reduce_axes[window.reduce_axis].extent;
    if (window.kernel < 2 || window.outputs * window.kernel > kMaxTries) return;
    const auto at = [&](const ir::Expr& index, int64_t output, int64_t tap) {
      const ir::Expr constant = ir::Substitute(
          index, {conv_.axes[window.axis].var, conv_.reduce_axes[window.reduce_axis].var},
          {ir::Expr(output), ir::Expr(tap)});
      const int64_t* value = ir::AsConstInt(constant);
      return value == nullptr ? -1 : *value;
    };
    const ir::Expr &x = x_load_.indices[d], &w = w_load_.indices[window.w_dim];
    if (!IsShort(x) || !IsShort(w)) return;
    window.offset = at(w, 0, 0);
    window.spread = at(w, 0, 1) - window.offset;
    if (window.spread < 2 || window.offset < 0) return;
    // Outputs may be too few to read all phases of W, but there they have to be.
    if (form_.w->shape[window.w_dim] < window.spread * window.kernel) return;
    for (int64_t output = 0; output < window.outputs; ++output) {
      const int64_t place = output + window.offset;
      for (int64_t tap = 0; tap < window.kernel; ++tap) {
        if (at(x, output, tap) != place / window.spread + window.kernel - 1 - tap ||
            at(w, output, tap) != place % window.spread + window.spread * tap) {
          return;
        }
      }
    }
    form_.windows.push_back(window);
  }

  void FindChannelAndFilter() {
    for (size_t d = 0; d < x_.dims.size(); ++d) {
      const int axis = PlainAxis(x_.dims[d]);
      if (axis < rank_ || UseOf(x_, axis).count != 1 || UseOf(w_, axis).count != 1) continue;
      const int reduce = axis - rank_;
      if (form_.channel >= 0 && Extent(reduce) <= Extent(form_.channel)) continue;
      form_.channel = reduce;
      form_.channel_dim = static_cast<int>(d);
    }
    for (size_t d = 0; d < w_.dims.size(); ++d) {
      const int axis = PlainAxis(w_.dims[d]);
      if (axis < 0 || axis >= rank_ || UseOf(w_, axis).count != 1 || UseOf(x_, axis).count != 0) {
        continue;
      }
      if (form_.filter >= 0 && conv_.axes[axis].extent <= conv_.axes[form_.filter].extent) continue;
      form_.filter = axis;
      form_.filter_dim = static_cast<int>(d);
    }
  }
  int64_t Extent(int reduce) const { return conv_.reduce_axes[reduce].extent; }

  const te::Axis& Axis(int axis) const {
    return axis < rank_ ? conv_.axes[axis] : conv_.reduce_axes[axis - rank_];
  }

  WinogradSlice SliceOf(int dim, const AxisForm& form) const {
    WinogradSlice slice{.dim = dim, .first = form.constant};
    int64_t last = form.constant, step = 0;
    for (const auto& [axis, coefficient] : form.terms) {
      (coefficient < 0 ? slice.first : last) += coefficient * (Axis(axis).extent - 1);
      step = std::gcd(step, coefficient);
    }
    slice.step = std::max<int64_t>(step, 1);
    slice.count = (last - slice.first) / slice.step + 1;
    ir::LinearForm index{{}, (form.constant - slice.first) / slice.step};
    for (const auto& [axis, coefficient] : form.terms) {
      index.terms.emplace_back(Axis(axis).var, coefficient / slice.step);
    }
    slice.index = ir::FromLinear(index);
    return slice;
  }

  void NameTheRest() {
    const auto rest = [&](size_t count, int WinogradWindow::* of, int taken) {
      std::vector<int> others;
      for (int i = 0; i < static_cast<int>(count); ++i) {
        const bool in_window =
            std::any_of(form_.windows.begin(), form_.windows.end(),
                        [&](const WinogradWindow& window) { return window.*of == i; });
        if (!in_window && i != taken) others.push_back(i);
      }
      return others;
    };
    for (const int dim : rest(x_.dims.size(), &WinogradWindow::x_dim, form_.channel_dim)) {
      form_.images.push_back(SliceOf(dim, x_.dims[dim]));
    }
    for (const int dim : rest(w_.dims.size(), &WinogradWindow::w_dim, form_.filter_dim)) {
      form_.weights.push_back(SliceOf(dim, w_.dims[dim]));
    }
    form_.outputs = rest(conv_.axes.size(), &WinogradWindow::axis, form_.filter);
    form_.sums = rest(conv_.reduce_axes.size(), &WinogradWindow::reduce_axis, -1);
  }

  const te::Stage& conv_;
  const Access &x_, &w_;
  const ir::Load &x_load_, &w_load_;
  const int rank_;
  WinogradForm form_;
};

}  // namespace

double WinogradForm::Savings(int64_t m) const {
  double savings = 1;
  for (const WinogradWindow& window : windows) {
    savings *= static_cast<double>(window.outputs * window.kernel) /
               static_cast<double>(window.phases() * window.tiles(m) * window.points(m));
  }
  return savings;
}

absl::StatusOr<WinogradForm> MatchWinograd(const te::Stage& conv) {
  if (conv.direct) {
    return absl::InvalidArgumentError("has to be a direct sum, as the workload says");
  }
  if (conv.combiner != te::Combiner::kSum) return Refusal("is no sum");
  if (conv.output()->type != ir::Float(32)) {
    return Refusal(absl::StrCat("is of type ", ir::ToString(conv.output()->type)));
  }
  const auto* product = conv.bodies[0].As<ir::Binary>();
  const auto* a = product == nullptr ? nullptr : product->a.As<ir::Load>();
  const auto* b = product == nullptr ? nullptr : product->b.As<ir::Load>();
  if (a == nullptr || b == nullptr || product->op != ir::BinaryOp::kMul) {
    return Refusal("is no sum of products of two tensors");
  }
  const auto analysis = Analyze(conv);
  const std::vector<Access>& reads = analysis->reads;
  if (reads.size() != 2) return Refusal("reads indices");
  absl::StatusOr<WinogradForm> form = Matcher(conv, reads[0], reads[1], *a, *b).Run();
  if (form.ok()) return form;
  absl::StatusOr<WinogradForm> swapped = Matcher(conv, reads[1], reads[0], *b, *a).Run();
  return swapped.ok() ? std::move(swapped) : std::move(form);
}

}  // namespace tessera::schedule
