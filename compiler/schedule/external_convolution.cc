#include "compiler/schedule/external_convolution.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/schedule/access.h"

namespace tessera::schedule {
namespace {

absl::Status Refuse(std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      std::string(why), "; a library convolves f32 in two dimensions, as conv2d does"));
}

// What multiplies `axis` in an index that is a sum with nothing added; 0: nothing does.
int64_t Coefficient(const AxisForm& form, int axis) {
  for (const auto& [term, coefficient] : form.terms) {
    if (term == axis) return coefficient;
  }
  return 0;
}

// Whether the index is the axis alone, or nothing where that has no extent.
bool IsAxis(const AxisForm& form, int axis, int64_t extent) {
  if (!form.affine || form.constant != 0) return false;
  return form.terms.empty() ? extent == 1 : IsPlain(form, axis);
}

// Row-major, but for blocks of `dimension` innermost.
std::vector<ir::LayoutDim> Blocked(const std::vector<int64_t>& shape, int dimension,
                                   int64_t block) {
  std::vector<ir::LayoutDim> layout;
  for (int d = 0; d < static_cast<int>(shape.size()); ++d) {
    if (d == dimension) {
      layout.push_back({d, block, shape[d] / block});
    } else {
      layout.push_back({d, 1, shape[d]});
    }
  }
  if (block > 1) layout.push_back({dimension, 1, block});
  return layout;
}

bool BlocksData(ir::ChannelForm form) {
  return form == ir::ChannelForm::kBlocked || form == ir::ChannelForm::kChannel;
}

bool Divides(const Convolution& convolution, StoredForm form) {
  return convolution.filters % form.block == 0 &&
         (!BlocksData(form.form) || convolution.channels % form.block == 0);
}

}  // namespace

absl::StatusOr<Convolution> FindConvolution(const te::Stage& stage, std::string_view provider) {
  if (provider != "onednn") return Refuse("is no product of matrices, which is all it computes");
  const size_t sums = stage.reduce_axes.size(), rank = stage.axes.size();
  if (stage.combiner != te::Combiner::kSum || stage.outputs.size() != 1 || rank < 4 || sums < 2 ||
      sums > 3) {
    return Refuse("is no sum over channels and the taps of a window for images of filters");
  }
  const auto* product = stage.bodies[0].As<ir::Binary>();
  if (product == nullptr || product->op != ir::BinaryOp::kMul) return Refuse("is no product");
  const auto *a = product->a.As<ir::Load>(), *b = product->b.As<ir::Load>();
  if (a == nullptr || b == nullptr || a->predicate || b->predicate || a->buffer == b->buffer) {
    return Refuse("multiplies what is not two tensors' elements");
  }
  const ir::Type type = ir::Float(32);
  if (a->type != type || b->type != type || stage.output()->type != type) {
    return Refuse(absl::StrCat("multiplies ", ir::ToString(a->type), " and ", ir::ToString(b->type),
                               " for ", ir::ToString(stage.output()->type)));
  }
  const auto analysis = Analyze(stage);
  const auto dims_of = [&](const ir::Load& load) -> const std::vector<AxisForm>& {
    return std::ranges::find(analysis->reads, load.buffer, &Access::buffer)->dims;
  };
  const int filter = static_cast<int>(rank) - 3, taps = static_cast<int>(rank + sums) - 2;
  const bool by_channel = sums == 2;
  const auto extent_of = [&](int axis) {
    const auto spatial = static_cast<int>(rank);
    return axis < spatial ? stage.axes[axis].extent : stage.reduce_axes[axis - spatial].extent;
  };
  // Data moves with pixels.
  const auto is_moved = [&](const ir::Load& load) {
    return std::ranges::any_of(dims_of(load), [&](const AxisForm& form) {
      return Uses(form, filter + 1) || Uses(form, filter + 2);
    });
  };
  if (is_moved(*b)) std::swap(a, b);
  Convolution found = {.data = a->buffer,
                       .weights = b->buffer,
                       .data_load = a,
                       .weights_load = b,
                       .by_channel = by_channel,
                       .filter_axis = filter};
  const std::vector<AxisForm>&data = dims_of(*a), &weights = dims_of(*b);
  const size_t inner_weights = by_channel ? 3 : 4;
  if (data.size() < 3 || weights.size() < inner_weights || is_moved(*b)) {
    return Refuse("has weights that move with pixels, or too few dimensions");
  }
  const auto is_leading = [&](const std::vector<AxisForm>& dims, size_t inner) {
    for (size_t d = 0; d + inner < dims.size(); ++d) {
      if (!dims[d].affine) return false;
      for (const auto& [axis, coefficient] : dims[d].terms) {
        if (axis >= filter) return false;
      }
    }
    return true;
  };
  const int channel = by_channel ? filter : static_cast<int>(rank);
  bool fits = is_leading(data, 3) && is_leading(weights, inner_weights) &&
              IsAxis(data[data.size() - 3], channel, extent_of(channel)) &&
              IsAxis(weights[weights.size() - inner_weights], filter, extent_of(filter)) &&
              (by_channel || IsAxis(weights[weights.size() - 3], channel, extent_of(channel)));
  for (int d = 0; d < 2 && fits; ++d) {
    const AxisForm& form = data[data.size() - 2 + d];
    const int pixel = filter + 1 + d, tap = taps + d;
    found.kernel[d] = extent_of(tap);
    found.stride[d] = std::max<int64_t>(1, Coefficient(form, pixel));
    found.dilation[d] = std::max<int64_t>(1, Coefficient(form, tap));
    const size_t terms =
        (Coefficient(form, pixel) > 0 ? 1 : 0) + (Coefficient(form, tap) > 0 ? 1 : 0);
    fits = form.affine && form.constant == 0 && form.terms.size() == terms &&
           (Coefficient(form, pixel) > 0 || extent_of(pixel) == 1) &&
           (Coefficient(form, tap) > 0 || extent_of(tap) == 1) &&
           IsAxis(weights[weights.size() - 2 + d], tap, extent_of(tap));
  }
  if (!fits) return Refuse("reads tensors by indices other than those of a convolution");
  const std::vector<int64_t>& shape = a->buffer->shape;
  found.channels = shape[shape.size() - 3];
  found.height = shape[shape.size() - 2];
  found.width = shape[shape.size() - 1];
  found.filters = extent_of(filter);
  found.result_height = extent_of(filter + 1);
  found.result_width = extent_of(filter + 2);
  if (found.channels != extent_of(channel)) return Refuse("reads some of its data's channels");
  std::vector<int64_t> whole{found.filters};
  if (!by_channel) whole.push_back(found.channels);
  whole.insert(whole.end(), {found.kernel[0], found.kernel[1]});
  const std::vector<int64_t>& stored = b->buffer->shape;
  if (!std::equal(whole.rbegin(), whole.rend(), stored.rbegin())) {
    return Refuse(absl::StrCat("reads [", absl::StrJoin(whole, ","), "] of weights of [",
                               absl::StrJoin(stored, ","), "]"));
  }
  const int64_t extents[] = {found.height, found.width};
  const int64_t results[] = {found.result_height, found.result_width};
  for (int d = 0; d < 2; ++d) {
    const int64_t span = (found.kernel[d] - 1) * found.dilation[d] + 1;
    if ((extents[d] - span) / found.stride[d] + 1 != results[d]) {
      return Refuse(absl::StrCat("leaves out some of ", extents[d], d == 0 ? " rows" : " columns"));
    }
    constexpr int64_t kMostAlong = int64_t{1} << 24;
    if (std::max(extents[d], std::max(found.channels, found.filters)) > kMostAlong) {
      return Refuse(absl::StrCat("has more than ", kMostAlong, " along a dimension"));
    }
  }
  return found;
}

std::vector<ir::LayoutDim> DataLayout(const Convolution& convolution, StoredForm form) {
  const std::vector<int64_t>& shape = convolution.data->shape;
  const int channel = static_cast<int>(shape.size()) - 3;
  return Blocked(shape, channel, BlocksData(form.form) ? form.block : 1);
}

std::vector<ir::LayoutDim> ResultLayout(const te::Stage& stage, StoredForm form) {
  const std::vector<int64_t>& shape = stage.output()->shape;
  return Blocked(shape, static_cast<int>(shape.size()) - 3, form.block);
}

std::vector<ir::LayoutDim> WeightsLayout(const Convolution& convolution, StoredForm form) {
  const std::vector<int64_t>& shape = convolution.weights->shape;
  const int rank = static_cast<int>(shape.size());
  const int filter = rank - (convolution.by_channel ? 3 : 4), channel = rank - 3;
  std::vector<ir::LayoutDim> layout = Blocked(shape, filter, form.block);
  if (form.form == ir::ChannelForm::kBlocked) {
    layout[channel] = {channel, form.block, shape[channel] / form.block};
    layout.insert(layout.end() - 1, {channel, 1, form.block});
  } else if (form.form == ir::ChannelForm::kFirst) {
    const ir::LayoutDim all = layout[channel];
    layout.erase(layout.begin() + channel);
    layout.insert(layout.end() - 1, all);
  }
  return layout;
}

bool SameLayout(const std::vector<ir::LayoutDim>& stored, const std::vector<ir::LayoutDim>& wanted,
                const std::vector<int64_t>& shape) {
  const auto parts = [&](std::vector<ir::LayoutDim> layout) {
    const bool is_row_major = layout.empty();
    for (int d = 0; is_row_major && d < static_cast<int>(shape.size()); ++d) {
      layout.push_back({d, 1, shape[d]});
    }
    std::erase_if(layout, [](const ir::LayoutDim& part) { return part.extent == 1; });
    return layout;
  };
  return parts(stored) == parts(wanted);
}

absl::StatusOr<StoredForm> FormOf(const Schedule& schedule, const te::Stage& stage,
                                  const Convolution& convolution) {
  using ir::ChannelForm;
  const auto blocked = convolution.by_channel ? ChannelForm::kChannel : ChannelForm::kBlocked;
  std::vector<StoredForm> forms = {{blocked, 16}, {blocked, 8}};
  if (!convolution.by_channel) {
    forms.insert(forms.end(),
                 {{ChannelForm::kFirst, 16}, {ChannelForm::kFirst, 8}, {ChannelForm::kRows, 1}});
  }
  for (const StoredForm& form : forms) {
    if (!Divides(convolution, form)) continue;
    const ir::Buffer &data = convolution.data, &weights = convolution.weights;
    if (SameLayout(schedule.LayoutOf(data), DataLayout(convolution, form), data->shape) &&
        SameLayout(schedule.LayoutOf(weights), WeightsLayout(convolution, form), weights->shape) &&
        SameLayout(schedule.LayoutOf(stage.output()), ResultLayout(stage, form),
                   stage.output()->shape)) {
      return form;
    }
  }
  return absl::InvalidArgumentError(
      "data, weights and result are stored in no form that a library reads and writes; use rows, "
      "or "
      "channels in blocks of 8 or 16, with weights in blocks of them");
}

absl::StatusOr<StoredForm> BestForm(const Convolution& convolution, int64_t lanes) {
  using ir::ChannelForm;
  const int64_t block = lanes >= 16 ? 16 : 8;
  const bool fills_data = lanes >= 8 && convolution.channels % block == 0;
  if (convolution.by_channel) {
    if (fills_data) return StoredForm{ChannelForm::kChannel, block};
    return absl::InvalidArgumentError(
        absl::StrCat(convolution.channels, " channels fill no blocks of ", block));
  }
  const bool fills_result = lanes >= 8 && convolution.filters % block == 0;
  if (fills_result && fills_data) return StoredForm{ChannelForm::kBlocked, block};
  if (fills_result && convolution.channels < block) return StoredForm{ChannelForm::kFirst, block};
  return StoredForm{ChannelForm::kRows, 1};
}

absl::Status CheckExternalConvolution(const Schedule& schedule, const BoundStage& bound,
                                      const Convolution& convolution) {
  const te::Stage& stage = *schedule.stages()[bound.stage].stage;
  TESSERA_ASSIGN_OR_RETURN(const StoredForm form, FormOf(schedule, stage, convolution));
  const size_t count = bound.loops.size();
  const int first = convolution.filter_axis;
  const size_t inner = InnerLoops(stage, convolution);
  for (size_t l = 0; l < inner; ++l) {
    const int axis = first + static_cast<int>(l);
    const BoundLoop* loop = count >= inner ? &bound.loops[count - inner + l] : nullptr;
    const bool fits = loop != nullptr && loop->digits.size() == 1 &&
                      loop->kind == ir::LoopKind::kSerial && loop->digits[0].axis == axis &&
                      loop->digits[0].stride == 1;
    if (!fits || (l > 0 && loop->extent != bound.axes[axis].extent)) {
      return absl::InvalidArgumentError(
          "its innermost loops have to be filters, pixels, channels and taps, in order, and all "
          "but filters whole");
    }
    if (l == 0 && loop->extent % form.block != 0) {
      return absl::InvalidArgumentError(absl::StrCat("a part of ", loop->extent,
                                                     " filters cuts a block of ", form.block,
                                                     "; choose whole blocks"));
    }
  }
  return absl::OkStatus();
}

}  // namespace tessera::schedule
