#include "compiler/passes/external_call.h"

#include "compiler/ir/convolution_call.h"
#include "compiler/ir/matrix_call.h"
#include "compiler/schedule/external.h"
#include "compiler/schedule/external_convolution.h"

namespace tessera::passes {
namespace {

ir::Expr MakeProduct(const schedule::MatrixProduct& product, const schedule::StageState& state,
                     const schedule::BoundStage& stage, size_t around, const FirstElements& first) {
  ir::MatrixCall call;
  call.provider = state.provider;
  call.rows = stage.loops[around].extent;
  call.columns = stage.loops[around + 1].extent;
  call.terms = stage.loops[around + 2].extent;
  call.transposes_a = product.transposes_a;
  call.transposes_b = product.transposes_b;
  call.a_stride = product.a->buffer->shape.back();
  call.b_stride = product.b->buffer->shape.back();
  call.c_stride = state.stage->output()->shape.back();
  call.a = first.Of(*product.a);
  call.b = first.Of(*product.b);
  call.c = first.result;
  return ir::MakeMatrixCall(call);
}

ir::Expr MakeConvolution(const schedule::Convolution& found, schedule::StoredForm form,
                         const schedule::StageState& state, const schedule::BoundStage& stage,
                         size_t around, const FirstElements& first) {
  ir::ConvolutionCall call;
  call.provider = state.provider;
  call.form = form.form;
  call.block = form.block;
  call.filters = stage.loops[around].extent;
  call.channels = found.by_channel ? call.filters : found.channels;
  call.height = found.height;
  call.width = found.width;
  call.result_height = found.result_height;
  call.result_width = found.result_width;
  for (int d = 0; d < 2; ++d) {
    call.kernel[d] = found.kernel[d];
    call.stride[d] = found.stride[d];
    call.dilation[d] = found.dilation[d];
  }
  call.data = first.Of(*found.data_load);
  call.weights = first.Of(*found.weights_load);
  call.result = first.result;
  return ir::MakeConvolutionCall(call);
}

}  // namespace

size_t LoopsAroundCall(const schedule::Schedule& schedule, const schedule::BoundStage& stage) {
  const schedule::StageState& state = schedule.stages()[stage.stage];
  if (schedule::FindMatrixProduct(*state.stage, state.provider).ok()) {
    return stage.loops.size() - 3;
  }
  const auto found = schedule::FindConvolution(*state.stage, state.provider).value();
  return stage.loops.size() - schedule::InnerLoops(*state.stage, found);
}

ir::Expr MakeExternalCall(const schedule::Schedule& schedule, const schedule::BoundStage& stage,
                          const FirstElements& first) {
  const schedule::StageState& state = schedule.stages()[stage.stage];
  const size_t around = LoopsAroundCall(schedule, stage);
  const auto product = schedule::FindMatrixProduct(*state.stage, state.provider);
  if (product.ok()) return MakeProduct(*product, state, stage, around, first);
  const auto found = schedule::FindConvolution(*state.stage, state.provider).value();
  const schedule::StoredForm form = schedule::FormOf(schedule, *state.stage, found).value();
  return MakeConvolution(found, form, state, stage, around, first);
}

}  // namespace tessera::passes
