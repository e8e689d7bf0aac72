#pragma once

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/convolution_call.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/schedule.h"

// Convolutions that libraries of others compute, by the external step (external.h).

namespace tessera::schedule {

// How such a stage convolves: R[…, f, y, x] = Σ D[…, c, y · stride + i · dilation, …] · W[…, f, c,
// i, j]; without `c` where each channel has one filter. The axes of pixels are the last of the
// stage's, that of filters in front of them; those of taps are the last that it sums over. What
// stands in front of all is of images and groups.
struct Convolution {
  ir::Buffer data, weights;
  const ir::Load *data_load, *weights_load;  // in the stage's body
  bool by_channel;
  int64_t channels, height, width;  // of the data of one image and group
  int64_t filters, result_height, result_width;
  int64_t kernel[2], stride[2], dilation[2];
  int filter_axis;  // as in Digit
};

// Which convolution `stage` is, by its definition. InvalidArgument, saying why, where `provider`
// can't compute it: it is none of two dimensions, of f32, over data that has what windows need and
// no row or column behind the last one, or other than oneDNN is asked.
absl::StatusOr<Convolution> FindConvolution(const te::Stage& stage, std::string_view provider);

// Loops that a call takes the place of.
inline size_t InnerLoops(const te::Stage& stage, const Convolution& convolution) {
  return stage.axes.size() + stage.reduce_axes.size() -
         static_cast<size_t>(convolution.filter_axis);
}

// In which form the schedule stores what the stage reads and makes, and in which blocks: forms are
// what ir::ChannelForm says. InvalidArgument: in none.
struct StoredForm {
  ir::ChannelForm form;
  int64_t block;
};
absl::StatusOr<StoredForm> FormOf(const Schedule& schedule, const te::Stage& stage,
                                  const Convolution& convolution);

// The form that a library computes best on vectors of `lanes` elements, and the layouts that it
// means. InvalidArgument: channels with a filter each fill no blocks.
absl::StatusOr<StoredForm> BestForm(const Convolution& convolution, int64_t lanes);
std::vector<ir::LayoutDim> DataLayout(const Convolution& convolution, StoredForm form);
std::vector<ir::LayoutDim> WeightsLayout(const Convolution& convolution, StoredForm form);
std::vector<ir::LayoutDim> ResultLayout(const te::Stage& stage, StoredForm form);

// Whether the layouts store a tensor of this shape alike; an empty one is row-major.
bool SameLayout(const std::vector<ir::LayoutDim>& stored, const std::vector<ir::LayoutDim>& wanted,
                const std::vector<int64_t>& shape);

// Whether the stage of an external step can be computed by one call in each turn of its outer
// loops: its innermost loops are filters, all or an equal part of whole blocks, pixels, channels
// and taps, in order; the rest as of products (external.h), but for layouts, which are of a form.
absl::Status CheckExternalConvolution(const Schedule& schedule, const BoundStage& stage,
                                      const Convolution& convolution);

}  // namespace tessera::schedule
